import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.order_statistics import (
    least_repeats,
    percentile_of_repeats,
    quantile,
    quantile_ranks,
)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("n", [1, 5, 6, 30, 36, 100, 257])
@pytest.mark.parametrize("level", [0.81, 0.95, 0.99])
def test_ends_miss_with_half_of_the_rest_at_most_and_are_the_closest_that_do(
    share: float, n: int, level: float
) -> None:
    tail, below = (1 - level) / 2, stats.binom(n, share)
    low, high = quantile_ranks(n, share, level)
    # Value number i (from 0) lies above the quantile where at most i values lie below that.
    if low is None:
        assert below.cdf(0) > tail
    else:
        assert below.cdf(low) <= tail < below.cdf(low + 1)
    if high is None:
        assert below.sf(n - 1) > tail
    else:
        assert below.sf(high) <= tail < below.sf(high - 1)


def test_a_median_has_ends_from_six_repeats_on() -> None:
    assert least_repeats(0.5, 0.95) == 6
    found = quantile([3, 1, 2, 6, 5, 4], 0.5)
    assert (found.estimate, found.low, found.high) == (3.5, 1, 6)
    few = quantile([3, 1, 2, 5, 4], 0.5)
    assert few.estimate == 3
    assert math.isnan(few.low)
    assert math.isnan(few.high)
    assert "R = 5, from R = 6" in few.method


def test_a_low_percentile_needs_many_repeats() -> None:
    assert least_repeats(0.1, 0.95) == 36
    # .95^n <= .025 from 72 on.
    assert least_repeats(0.05, 0.95) == 72
    found = percentile_of_repeats(np.arange(99.0), 0.1, 100)
    assert all(math.isnan(x) for x in (found.estimate, found.low, found.high))
    assert found.method == "not computable at R = 99: needs 100 repeats"
    values = np.random.default_rng(0).permutation(np.arange(100.0))
    found = percentile_of_repeats(values, 0.1, 100)
    # Values number 5 and 17 of 100 (from 1), of binomial(100, .1).
    assert (found.low, found.high) == (4, 16)
    assert found.low < found.estimate < found.high


def test_the_estimate_is_hyndman_and_fans_number_8() -> None:
    values = np.random.default_rng(1).normal(size=23)
    for share in (0.01, 0.1, 0.5, 0.77, 0.99):
        expected = np.quantile(values, share, method="median_unbiased")
        assert quantile(values, share).estimate == pytest.approx(expected, abs=1e-12)


def test_values_that_never_came_count_as_larger_than_all() -> None:
    found = quantile([1, 2, 3, 4, 5, 6, *[math.inf] * 4], 0.5)
    assert (found.estimate, found.low, found.high) == (5.5, 2, math.inf)
    assert quantile([1, 2, math.inf, math.inf], 0.5).estimate == math.inf
    assert quantile([math.inf] * 8, 0.5).low == math.inf
    assert quantile([-math.inf, 1.0], 0.5).estimate == -math.inf


def test_coverage_of_a_lattice_is_at_least_nominal() -> None:
    generator, simulations = np.random.default_rng(2), 1000
    values = generator.binomial(20, 0.8, (simulations, 30))
    truth = stats.binom.ppf(0.5, 20, 0.8)
    hits = sum(i.low <= truth <= i.high for i in (quantile(v, 0.5) for v in values))
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.95)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="share must be"):
        quantile([1.0], 0)
    with pytest.raises(ValueError, match="level must be"):
        quantile([1.0], 0.5, 95)
    for values in ([], [math.nan], [[1.0]]):
        with pytest.raises(ValueError, match="values must be"):
            quantile(values, 0.5)
    with pytest.raises(ValueError, match="finite"):
        percentile_of_repeats([math.inf], 0.1, 100)
