import dataclasses
import json
import math
import sys

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.claims import SMALLEST_EFFECTS, Cell, Claim, Verdict
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
from hpsuite.analysis.probability_better import probability_better
from hpsuite.analysis.verdicts import (
    cell_of_interval,
    cell_of_t,
    settling_size,
    verdict,
    whole_space,
)

ALL = ("greater", "less", "equivalent")


def claim(direction: str = "greater", effect: float = 0.05, **others) -> Claim:
    return Claim(
        "Batch norm widens the good range",
        "the good fraction with batch norm minus without",
        direction,  # type: ignore[arg-type]
        effect,
        "relu",
        256,
        **others,
    )


def fixed(low: float, high: float, estimate: float | None = None, n: int = 256, **others) -> Cell:
    """A cell with one interval at every level."""
    middle = (low + high) / 2 if estimate is None else estimate
    return Cell(n, lambda level: Interval(middle, low, high, level, "given"), **others)


def judged(direction: str, low: float, high: float) -> str:
    return verdict(claim(direction), {"relu": fixed(low, high)}).verdict


@pytest.mark.parametrize(
    ("low", "high", "greater", "less", "equivalent"),
    [
        (0.06, 0.2, "supported", "contradicted", "contradicted"),
        (-0.2, -0.06, "contradicted", "supported", "contradicted"),
        (-0.04, 0.03, "no difference", "no difference", "supported"),
        # A difference that is surely there, and too small to matter.
        (0.01, 0.04, "no difference", "no difference", "supported"),
        (0.01, 0.06, "inconclusive", "inconclusive", "inconclusive"),
        (-0.06, 0.06, "inconclusive", "inconclusive", "inconclusive"),
        (-0.06, 0.04, "inconclusive", "inconclusive", "inconclusive"),
        # Exactly on the smallest effect is neither beyond nor inside.
        (0.05, 0.2, "inconclusive", "inconclusive", "inconclusive"),
        (-0.2, -0.05, "inconclusive", "inconclusive", "inconclusive"),
        (0.0, 0.05, "inconclusive", "inconclusive", "inconclusive"),
        (-0.05, 0.0, "inconclusive", "inconclusive", "inconclusive"),
    ],
)
def test_what_an_interval_says(
    low: float, high: float, greater: str, less: str, equivalent: str
) -> None:
    assert [judged(d, low, high) for d in ALL] == [greater, less, equivalent]


@pytest.mark.parametrize(
    ("low", "high", "finding"),
    [
        (0.06, 0.2, "supported"),
        (-0.04, 0.2, "supported"),
        (-0.04, 0.03, "supported"),
        (-0.05, 0.2, "inconclusive"),
        (-0.06, 0.2, "inconclusive"),
        (-0.2, -0.05, "inconclusive"),
        (-0.2, -0.06, "contradicted"),
    ],
)
def test_not_less_asks_for_no_more_than_not_to_lose(low: float, high: float, finding: str) -> None:
    assert judged("not_less", low, high) == finding


def test_a_statistic_without_effect_at_another_value() -> None:
    better = claim(effect=0.1, null=0.5)
    a, b = np.arange(30.0) + 100, np.arange(30.0)
    always = Cell(30, lambda level: probability_better(a, b, level=level))
    assert verdict(better, {"relu": always}).verdict == "supported"
    assert verdict(better, {"relu": fixed(0.45, 0.55)}).verdict == "no difference"
    assert verdict(better, {"relu": fixed(0.45, 0.65)}).verdict == "inconclusive"
    assert verdict(better, {"relu": fixed(0.1, 0.39)}).verdict == "contradicted"


def test_gates_go_before_all_else() -> None:
    # A clear difference says nothing where a setup never learned, or where all of it is good.
    stuck = verdict(claim(), {"relu": fixed(0.2, 0.3, trained=False)})
    assert stuck.verdict == "did not train"
    assert "never learned" in stuck.sentence
    easy = verdict(claim(), {"relu": fixed(0.2, 0.3, all_good=True)})
    assert easy.verdict == "tuning did not matter here"
    # One that never trains looks good everywhere.
    both = verdict(claim(), {"relu": fixed(0.2, 0.3, trained=False, all_good=True)})
    assert both.verdict == "did not train"
    assert whole_space([wilson(256, 256), wilson(250, 256)])
    assert not whole_space([wilson(256, 256), wilson(235, 256)])
    assert not whole_space([Interval(1.0, math.nan, 1.0, 0.95, "")])
    with pytest.raises(ValueError, match="one at least"):
        whole_space([])
    with pytest.raises(ValueError, match="least must be"):
        whole_space([wilson(1, 1)], 0)


NO_INTERVAL = {
    "one repeat": Cell(1, lambda level: mean_t([0.3], level)),
    "welch of one": Cell(1, lambda level: welch([0.3], [0.1, 0.2], level)),
    "infinite": fixed(-math.inf, math.inf, 0.3),
    "half": fixed(0.2, math.nan, 0.3),
}


@pytest.mark.parametrize("name", NO_INTERVAL)
def test_ends_that_the_data_do_not_give_are_finite_and_inconclusive(name: str) -> None:
    for direction in ALL:
        found = verdict(claim(direction), {"relu": NO_INTERVAL[name]})
        assert found.verdict == "inconclusive"
        assert found.settles_at is None
        assert found.note.startswith("no interval")
        numbers = (found.estimate, found.low, found.high, found.smallest_effect, found.level)
        assert all(math.isfinite(x) for x in numbers)
        # No end is a claim that the data do not make.
        assert found.low in (-sys.float_info.max, 0.2)
        assert found.high == sys.float_info.max
        assert "no interval" in found.sentence
        assert "nan" not in found.sentence
        assert "e+" not in found.sentence
    bounded = Cell(1, lambda level: welch([0.3], [0.1, 0.2], level), bounds=(-1, 1))
    found = verdict(claim(), {"relu": bounded})
    assert (found.low, found.high) == (-1, 1)


def test_no_spread_is_not_certainty() -> None:
    # Five repeats that all reach one lattice value: their error is unknown, not 0.
    cell = Cell(5, lambda level: welch([0.98] * 5, [0.9] * 5, level))
    found = verdict(claim(), {"relu": cell})
    assert found.verdict == "inconclusive"
    assert found.low == found.high == pytest.approx(0.08)
    assert "no spread among 5 values" in found.note
    assert verdict(claim(), {"relu": cell_of_t(0.3, 0.0, 10, 11)}).verdict == "inconclusive"
    assert verdict(claim(), {"relu": cell_of_t(0.3, math.nan, 1, 1)}).verdict == "inconclusive"


def test_the_verdict_carries_what_was_declared_and_found_as_json() -> None:
    cells = {"relu": cell_of_t(0.13, 0.025, math.inf, 200), "sigmoid": fixed(-0.3, -0.2)}
    found = verdict(claim(unit="points", factor=100), cells, {"range": "[1e-4, 10]", "depth": "3"})
    assert found.claim == "Batch norm widens the good range"
    assert (found.n, found.planned_n, found.smallest_effect) == (200, 256, 0.05)
    assert found.estimate == 0.13
    assert found.low == pytest.approx(0.13 - 1.95996 * 0.025, abs=1e-5)
    assert found.conditions == {"range": "[1e-4, 10]", "depth": "3"}
    assert found.exceptions == ("sigmoid",)
    assert list(found.cells) == ["relu", "sigmoid"]
    assert found.sentence == (
        "Supported: the good fraction with batch norm minus without is +13 [+8.1, +17.9] points, "
        "n = 200; all of it above +5 points, the least that matters. Its cell: relu. Planned were "
        "256: fewer were measured. Under: range [1e-4, 10]; depth 3. Other cells, corrected by "
        "Holm: 1 contradicted (sigmoid)."
    )
    assert json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))["n"] == 200
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.n = 1  # type: ignore[misc]


def sentences() -> list[Verdict]:
    return [
        verdict(claim(direction, unit="points", factor=100), {"relu": cell})
        for direction in ALL
        for cell in (
            fixed(0.06, 0.2),
            fixed(-0.2, -0.06),
            fixed(-0.04, 0.03),
            fixed(-0.06, 0.04),
            fixed(-0.15, 0.25, 0.05),
        )
    ]


def test_sentences_say_the_side() -> None:
    found = {(v.direction, round(v.estimate, 3)): v.sentence for v in sentences()}
    assert "all of it above +5 points" in found["greater", 0.13]
    assert "all of it below -5 points" in found["greater", -0.13]
    assert "all of it below -5 points" in found["less", -0.13]
    assert "all of it above +5 points" in found["less", 0.13]
    assert "all of it beyond 5 points" in found["equivalent", 0.13]
    assert "all of it within 5 points" in found["equivalent", -0.005]
    assert "smaller than 5 points" in found["greater", -0.005]
    assert "would settle it" in found["greater", -0.01]
    assert "No sample size up to 100,000" in found["greater", 0.05]
    shifted = verdict(claim(effect=0.1, null=0.5), {"relu": fixed(0.65, 0.8)})
    assert "is 0.725 [0.65, 0.8], n = 256; all of it above +0.1 from 0.5" in shifted.sentence


def test_other_cells_are_corrected_by_holm_and_the_primary_is_not() -> None:
    # p of each cell: the least alpha at which a normal interval of se 1 excludes effect .05.
    def at(p: float) -> Cell:
        return cell_of_t(0.05 + stats.norm.isf(p / 2), 1.0, math.inf, 10)

    # Four others: thresholds .0125, .0167, .025, .05.
    cells = {"relu": at(0.049), "a": at(0.012), "b": at(0.016), "c": at(0.03), "d": at(0.045)}
    found = verdict(claim(), cells)
    assert found.verdict == "supported"
    assert {name: c.verdict for name, c in found.cells.items()} == {
        "relu": "supported",
        "a": "supported",
        "b": "supported",
        "c": "inconclusive",
        "d": "inconclusive",
    }
    levels = {name: round(c.level, 6) for name, c in found.cells.items()}
    assert levels == {
        "relu": 0.95,
        "a": round(1 - 0.05 / 4, 6),
        "b": round(1 - 0.05 / 3, 6),
        "c": 0.975,
        "d": 0.975,
    }
    # Once c falls too, d is judged at 95%.
    cells["c"] = at(0.024)
    assert {c.verdict for c in verdict(claim(), cells).cells.values()} == {"supported"}


@pytest.mark.parametrize("seed", range(5))
def test_holm_agrees_with_its_p_values(seed: int) -> None:
    generator = np.random.default_rng(seed)
    p_values = generator.random(6) ** 3 * 0.1
    cells = {
        str(i): cell_of_t(0.05 + stats.norm.isf(p / 2), 1.0, math.inf, 10)
        for i, p in enumerate(p_values)
    }
    found = verdict(claim(), {"relu": fixed(-1, 1), **cells})
    rejected, order = set(), np.argsort(p_values)
    for step, i in enumerate(order):
        if p_values[i] > 0.05 / (6 - step):
            break
        rejected.add(str(i))
    decided = {n for n, c in found.cells.items() if c.verdict == "supported"}
    assert decided == rejected


def test_cells_that_cannot_be_judged_are_no_tests() -> None:
    near = cell_of_t(0.05 + stats.norm.isf(0.04 / 2), 1.0, math.inf, 10)
    gated = fixed(0.2, 0.3, trained=False)
    found = verdict(claim(), {"relu": near, "a": near, "b": gated, "c": fixed(0, 1, all_good=True)})
    assert found.cells["a"].verdict == "supported"
    assert found.cells["b"].verdict == "did not train"
    assert found.cells["c"].verdict == "tuning did not matter here"


def test_false_decisions_in_any_of_many_cells_stay_under_alpha() -> None:
    # All true effects sit on the smallest one, where false verdicts are likeliest.
    generator, simulations, wrong = np.random.default_rng(1), 400, 0
    for z in generator.standard_normal((simulations, 5)):
        cells = {str(i): cell_of_t(0.05 + x, 1.0, math.inf, 10) for i, x in enumerate(z)}
        found = verdict(claim(), {"relu": fixed(-1, 1), **cells})
        wrong += any(c.verdict != "inconclusive" for c in found.cells.values())
    assert wrong <= stats.binom.isf(1e-6, simulations, 0.05)


def test_a_cell_of_one_interval_stretches_like_a_normal_one() -> None:
    cell = cell_of_interval(Interval(1.0, 1.0 - 1.95996398, 1.0 + 2 * 1.95996398, 0.95, "x"), 9)
    found = cell.interval_at(0.99)
    assert (found.low, found.high) == pytest.approx((1 - 2.5758293, 1 + 2 * 2.5758293))
    assert "stretched" in found.method
    assert cell.interval_at(0.95).method == "x"
    empty = cell_of_interval(Interval(1.0, math.nan, math.nan, 0.95, "x"), 1)
    assert verdict(claim(), {"relu": empty}).verdict == "inconclusive"


@pytest.mark.parametrize("estimate", [-0.2, 0.0, 0.03, 0.07, 0.09])
def test_settling_size_settles_with_80_percent(estimate: float) -> None:
    n, error = 100, 0.06
    half = 1.95996398 * error
    size = settling_size(estimate, estimate - half, estimate + half, n=n, smallest_effect=0.05)
    assert size is not None
    # New estimates of that size, by simulation.
    spread = error * math.sqrt(n / size)
    drawn = np.random.default_rng(2).normal(estimate, spread, 400_000)
    low, high = drawn - 1.95996398 * spread, drawn + 1.95996398 * spread
    settled = (low > 0.05) | (high < -0.05) | ((low > -0.05) & (high < 0.05))
    assert settled.mean() == pytest.approx(0.8, abs=0.01)
    # And it goes by the root of n.
    other = settling_size(estimate, estimate - half, estimate + half, n=4 * n, smallest_effect=0.05)
    assert other == pytest.approx(4 * size, abs=4)


def test_settling_size_where_none_settles() -> None:
    assert settling_size(0.05, -0.1, 0.2, n=100, smallest_effect=0.05) is None
    assert settling_size(0.0501, -0.1, 0.2, n=100, smallest_effect=0.05) is None
    assert settling_size(0.3, 0.3, 0.3, n=5, smallest_effect=0.05) is None
    # A skewed interval needs more where its long side is in the way.
    long_low = settling_size(0.09, -0.05, 0.12, n=100, smallest_effect=0.05)
    long_high = settling_size(0.09, 0.06 - 0.05, 0.18, n=100, smallest_effect=0.05)
    assert long_low is not None
    assert long_high is not None
    assert long_low > long_high


def test_bad_claims_and_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="direction must be"):
        claim("more")
    for effect in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="smallest_effect must be"):
            claim(effect=effect)
    for others, words in (
        ({"alpha": 0}, "alpha must be"),
        ({"null": math.nan}, "null must be"),
        ({"factor": 0}, "factor must be"),
    ):
        with pytest.raises(ValueError, match=words):
            claim(**others)
    with pytest.raises(ValueError, match="n must be 1 or more"):
        Claim("c", "s", "greater", 0.1, "p", 0)
    with pytest.raises(ValueError, match="must have the primary one, 'relu'; found"):
        verdict(claim(), {"other": fixed(0, 1)})
    with pytest.raises(ValueError, match="n of cell 'relu' must be"):
        verdict(claim(), {"relu": fixed(0, 1, n=0)})
    with pytest.raises(ValueError, match="estimate of cell 'relu' must be finite"):
        verdict(claim(), {"relu": fixed(0, 1, math.nan)})


def test_default_effects_are_claims() -> None:
    for effect in SMALLEST_EFFECTS.values():
        assert claim(effect=effect).smallest_effect == effect
