import math

import pytest

from hpsuite.analysis import Interval
from hpsuite.analysis.gate import Gate, gate, tuning_did_not_matter


def test_a_setup_far_under_the_common_best_or_at_chance_did_not_train() -> None:
    found = gate([0.97, 0.87, 0.8699, 0.3], [True, True, True, False])
    assert found == (
        Gate(True, ""),
        Gate(True, ""),
        Gate(False, "its best is 10.0 points under the common best"),
        Gate(False, "its best is no better than chance"),
    )


def test_the_gate_has_the_scores_own_unit() -> None:
    found = gate([-2.0, -4.0, -12.5], [True] * 3, margin=10, point=1)
    assert [g.trained for g in found] == [True, True, False]
    assert found[2].reason == "its best is 10.5 points under the common best"


def test_a_setup_alone_is_gated_by_chance_only() -> None:
    assert gate([0.2], [True])[0].trained
    assert not gate([0.2], [False])[0].trained


@pytest.mark.parametrize(
    ("bests", "above", "more", "message"),
    [
        ([], [], {}, "bests must be one axis of finite numbers"),
        ([math.nan], [True], {}, "bests must be"),
        ([0.5], [], {}, "above_chance must have"),
        ([0.5], [True], {"margin": -1}, "margin must be"),
        ([0.5], [True], {"margin": math.nan}, "margin must be"),
        ([0.5], [True], {"point": 0}, "point must be"),
    ],
)
def test_bad_gates_are_refused(
    bests: list[float], above: list[bool], more: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        gate(bests, above, **more)


def of(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, "")


def test_tuning_did_not_matter_where_even_the_lower_end_is_above_nine_tenths() -> None:
    assert tuning_did_not_matter(of(0.91, 1.0))
    assert not tuning_did_not_matter(of(0.90, 1.0))
    assert not tuning_did_not_matter(of(0.1, 0.3))
    assert not tuning_did_not_matter(of(math.nan, math.nan))
    # A setup that never learns is as bad everywhere.
    assert not tuning_did_not_matter(of(0.97, 1.0), trained=False)
    assert tuning_did_not_matter(of(0.6, 0.7), whole=0.5)
    with pytest.raises(ValueError, match="whole must be"):
        tuning_did_not_matter(of(0.6, 0.7), whole=1)
