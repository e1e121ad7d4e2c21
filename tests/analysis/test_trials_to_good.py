import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.bounded import bounded_mean
from hpsuite.analysis.intervals import wilson
from hpsuite.analysis.trials_to_good import trials_to_good

# First good trial (>= .9): 2, never, 1, 3.
SCORES = [[0.1, 0.95, 0.2], [0.1, 0.2, 0.3], [0.9, 0.1, 0.1], [0.1, 0.1, 0.99]]


def test_by_hand() -> None:
    found = trials_to_good(SCORES, 0.95, margin=0.05)
    assert found.threshold == pytest.approx(0.9)
    assert found.share == (0.25, 0.5, 0.75)
    assert (found.reached.estimate, found.reached.low) == (0.75, wilson(3, 4).low)
    assert found.share_low[1] == pytest.approx(wilson(2, 4).low)
    # min(T, n): 2, 3, 1, 3.
    assert found.restricted_mean.estimate == pytest.approx(9 / 4)
    assert 1 <= found.restricted_mean.low < found.restricted_mean.high <= 3
    # T sorted: 1, 2, 3, never.
    assert found.median.estimate == pytest.approx(2.5)


def test_restricted_mean_is_the_area_above_the_curve_of_shares() -> None:
    # E[min(T, n)] = sum over k = 0..n-1 of P(T > k), as with the Kaplan-Meier curve.
    scores = np.random.default_rng(0).random((40, 12))
    found = trials_to_good(scores, 1.0, margin=0.1)
    survival = 1 - np.array([0.0, *found.share[:-1]])
    assert found.restricted_mean.estimate == pytest.approx(survival.sum())


def test_geometric_times_of_random_search() -> None:
    # T of i.i.d. trials with a share p of good ones: P(T <= k) = 1 - (1 - p)^k.
    p, n = 0.1, 20
    scores = np.random.default_rng(1).random((5000, n))
    found = trials_to_good(scores, 1.0, margin=p)
    k = np.arange(1, n + 1)
    error = np.sqrt((1 - p) ** k * (1 - (1 - p) ** k) / 5000)
    assert (np.abs(np.array(found.share) - (1 - (1 - p) ** k)) < 5 * error).all()
    mean = (1 - (1 - p) ** n) / p
    assert found.restricted_mean.low < mean < found.restricted_mean.high


def test_ties_with_the_threshold_are_good_in_any_unit() -> None:
    for scale in (1e-6, 1.0, 1e6):
        scores = np.array([[0.8, 0.95 - 0.05, 0.0]], dtype=np.float32).astype(float) * scale
        found = trials_to_good(scores, 0.95 * scale, margin=0.05 * scale)
        assert found.share == (0, 1, 1), scale


def test_never_and_always() -> None:
    never = trials_to_good(np.zeros((8, 5)), 1.0)
    assert never.reached.estimate == 0
    assert never.median.estimate == never.median.low == math.inf
    assert never.restricted_mean.estimate == never.restricted_mean.high == 5
    assert never.restricted_mean.low < 5
    always = trials_to_good(np.ones((8, 5)), 1.0)
    assert always.median.estimate == always.restricted_mean.estimate == 1
    assert always.restricted_mean.low == 1 < always.restricted_mean.high
    one = trials_to_good(np.ones((8, 1)), 1.0)
    assert (one.restricted_mean.low, one.restricted_mean.high) == (1, 1)
    alone = trials_to_good([[0.0, 1.0]], 1.0)
    assert (alone.restricted_mean.low, alone.restricted_mean.high) == (1, 2)


def test_bounded_mean_of_zeros_and_ones_is_nearly_wilsons() -> None:
    values = [1.0] * 7 + [0.0] * 23
    found, expected = bounded_mean(values, 0, 1), wilson(7, 30)
    # Of n - 1 values, and with Student's quantile.
    assert found.estimate == expected.estimate
    assert found.low == pytest.approx(expected.low, abs=0.012)
    assert found.high == pytest.approx(expected.high, abs=0.012)
    assert bounded_mean([0.0] * 9, 0, 1).low == 0
    assert bounded_mean([0.0] * 9, 0, 1).high > 0.3


def test_bounded_mean_moves_with_its_range() -> None:
    values = np.random.default_rng(2).beta(2, 5, 12)
    plain, moved = bounded_mean(values, 0, 1), bounded_mean(10 * values - 3, -3, 7)
    assert (moved.low, moved.high) == pytest.approx((10 * plain.low - 3, 10 * plain.high - 3))
    for bad in ([-0.1], [1.1], [], [math.nan]):
        with pytest.raises(ValueError, match="values must be"):
            bounded_mean(bad, 0, 1)
    with pytest.raises(ValueError, match="low must be below"):
        bounded_mean([0.5], 1, 1)


@pytest.mark.parametrize("p", [0.02, 0.1, 0.4])
def test_coverage_of_the_restricted_mean_of_geometric_times(p: float) -> None:
    generator, simulations, n = np.random.default_rng(3), 500, 16
    truth = (1 - (1 - p) ** n) / p
    times = np.minimum(generator.geometric(p, (simulations, 30)), n)
    found = [bounded_mean(t, 1, n) for t in times]
    hits = sum(i.low <= truth <= i.high for i in found)
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.93)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="scores must be finite"):
        trials_to_good([[math.nan]], 1.0)
    with pytest.raises(ValueError, match="b must be"):
        trials_to_good(SCORES, math.inf)
    with pytest.raises(ValueError, match="margin must be"):
        trials_to_good(SCORES, 1.0, margin=-1)
