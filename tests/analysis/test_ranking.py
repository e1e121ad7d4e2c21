import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import RankRange, ranking
from hpsuite.analysis.ranking import holm


def repeats(mean: float, n: int = 10) -> list[float]:
    """n values of the given mean with a standard deviation near .01."""
    return list(mean + 0.01 * np.linspace(-1.5, 1.5, n))


def test_arms_far_apart_are_ranked_one_by_one() -> None:
    found = ranking({"b": repeats(0.8), "c": repeats(0.7), "a": repeats(0.9)})
    assert {arm: r.text for arm, r in found.items()} == {"b": "2", "c": "3", "a": "1"}


def test_arms_that_overlap_share_their_ranks() -> None:
    found = ranking({"a": repeats(0.9), "b": repeats(0.901), "c": repeats(0.7)})
    assert found["a"] == found["b"] == RankRange(1, 2, 3)
    assert (found["a"].text, found["c"].text) == ("1-2", "3")


def test_equal_arms_are_too_few_to_rank() -> None:
    found = ranking({arm: repeats(0.9) for arm in "abcd"})
    assert set(found.values()) == {RankRange(1, 4, 4)}
    assert found["a"].text == "too few to rank"


def test_fewer_than_five_repeats_are_never_ranked() -> None:
    found = ranking({"a": repeats(0.9, 4), "b": repeats(0.5, 30), "c": repeats(0.1, 30)})
    assert found["a"].text == "too few to rank"
    # The others are compared with each other alone; the unranked arm may lie anywhere.
    assert (found["b"].text, found["c"].text) == ("1-2", "2-3")
    assert {r.text for r in ranking({"a": [0.9], "b": [0.1]}).values()} == {"too few to rank"}


def test_a_single_arm_has_nothing_to_be_compared_with() -> None:
    assert ranking({"a": repeats(0.9)})["a"].text == "only arm"
    assert ranking({}) == {}


def test_repeats_without_spread() -> None:
    # Complete separation of 5 and 5 has p = 2 / 252; Holm asks the first of three for .05 / 3.
    found = ranking({"a": [0.9] * 5, "b": [0.8] * 5, "c": [0.9] * 5})
    assert [found[arm].text for arm in "abc"] == ["1-2", "3", "1-2"]
    assert ranking({"a": [0.1] * 5, "b": [0.1] * 5})["a"].text == "too few to rank"
    # One arm without spread is compared by the spread of the other.
    assert ranking({"a": [0.5] * 5, "b": repeats(0.9, 5)})["b"].text == "1"


def test_the_order_and_the_origin_of_the_values_do_not_matter() -> None:
    generator = np.random.default_rng(0)
    arms = {f"arm {i}": generator.normal(0.8 + 0.01 * i, 0.01, 8) for i in range(5)}
    found = ranking(arms)
    assert found == ranking({arm: generator.permutation(v) + 3 for arm, v in arms.items()})
    backwards = dict(reversed(arms.items()))
    assert found == ranking(backwards)
    # Turned upside down, low and high change places.
    turned = ranking({arm: -v for arm, v in arms.items()})
    assert all((6 - r.high, 6 - r.low) == (turned[a].low, turned[a].high) for a, r in found.items())


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([], []),
        ([0.05], [True]),
        ([0.01, 0.04, 0.03], [True, False, False]),
        ([0.04, 0.01, 0.02], [True, True, True]),
        ([0.02, 0.02, 0.02], [False, False, False]),
    ],
)
def testholm_by_hand(p_values: list[float], expected: list[bool]) -> None:
    assert holm(p_values, 0.05) == expected


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [[0.5]]])
def test_bad_values_are_refused_by_name(values: list[float]) -> None:
    with pytest.raises(ValueError, match="best of tpe must be"):
        ranking({"tpe": values})
    with pytest.raises(ValueError, match="level must be"):
        ranking({"tpe": [0.5]}, level=95)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_equal_arms_are_called_different_in_at_most_5_percent(n: int) -> None:
    generator, simulations = np.random.default_rng(1), 300
    wrong = 0
    for values in generator.standard_normal((simulations, 4, n)):
        found = ranking({str(arm): best for arm, best in enumerate(values)})
        wrong += any(r.low > 1 for r in found.values())
    assert wrong <= stats.binom.isf(1e-6, simulations, 0.05)


def test_ranges_hold_the_true_rank_in_95_percent() -> None:
    # True means one standard error apart: calls are made, and all of them must be right.
    generator, simulations, n = np.random.default_rng(2), 300, 10
    wrong = calls = 0
    for values in generator.standard_normal((simulations, 4, n)):
        means = np.arange(4) * 0.6
        found = ranking({str(arm): values[arm] + means[arm] for arm in range(4)})
        wrong += any(not r.low <= 4 - int(arm) <= r.high for arm, r in found.items())
        calls += any(r.text != "too few to rank" for r in found.values())
    assert calls > simulations / 2
    assert wrong <= stats.binom.isf(1e-6, simulations, 0.05)
