import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import Interval, mean_t, welch, wilson
from hpsuite.analysis.intervals import wilson_ends

# A coverage test of N simulations at true coverage p fails falsely with about this probability.
FALSE_ALARM = 1e-6


def least_covered(coverage: float, simulations: int) -> int:
    """The fewest covered simulations that chance explains."""
    return int(stats.binom.ppf(FALSE_ALARM, simulations, coverage))


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 80), (80, 80), (7, 20), (13, 256)]
)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_wilson_ends_solve_the_score_equation(successes: int, n: int, level: float) -> None:
    found = wilson(successes, n, level)
    share, z = successes / n, stats.norm.isf((1 - level) / 2)
    for p in (found.low, found.high):
        assert (share - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / n, abs=1e-12)
    assert found.estimate == share
    assert 0 <= found.low <= share <= found.high <= 1
    assert wilson_ends(share, n, level) == pytest.approx((found.low, found.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"found {successes} of {n}"):
        wilson(successes, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    intervals: list[Callable[[], Interval]] = [
        lambda: wilson(1, 2, level),
        lambda: mean_t([0.1, 0.2], level),
        lambda: welch([0.1, 0.2], [0.1, 0.2], level),
    ]
    for interval in intervals:
        with pytest.raises(ValueError, match="level must be in"):
            interval()


@pytest.mark.parametrize("values", [[], [math.nan, 0.5], [math.inf], [[0.1], [0.2]]])
def test_values_that_are_not_one_axis_of_finite_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        mean_t(values)
    with pytest.raises(ValueError, match="finite numbers"):
        welch(values, [0.1, 0.2])


def test_mean_t_of_two_values_is_the_cauchy_quantile() -> None:
    # With one degree of freedom t is Cauchy: the quantile is tan(pi level / 2), and the standard
    # error of two values is half their distance.
    found = mean_t([0.4, 0.6], level=0.5)
    assert found.estimate == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.4, 0.6))


def test_mean_t_is_clipped_to_its_bounds() -> None:
    assert (mean_t([0.9, 1.0]).high, mean_t([0.0, 0.1]).low) == (1.0, 0.0)
    wide = mean_t([0.9, 1.0], bounds=(-math.inf, math.inf))
    assert wide.high == pytest.approx(0.95 + 0.05 * math.tan(math.pi * 0.95 / 2))


def test_one_repeat_has_no_interval() -> None:
    for found in (mean_t([0.5]), welch([0.5], [0.25, 0.75])):
        assert math.isfinite(found.estimate)
        assert math.isnan(found.low)
        assert math.isnan(found.high)


def test_equal_repeats_have_an_interval_without_width() -> None:
    # Three times .1 has a rounded mean that is not .1.
    found = mean_t([0.1] * 3)
    assert found.low == found.estimate == found.high == pytest.approx(0.1)
    difference = welch([0.1] * 3, [0.3] * 4)
    assert difference.low == difference.high == pytest.approx(-0.2)


def test_mean_t_moves_and_stretches_with_the_values() -> None:
    values = np.random.default_rng(0).normal(size=9)
    everywhere = (-math.inf, math.inf)
    plain, moved = mean_t(values, bounds=everywhere), mean_t(3 * values + 7, bounds=everywhere)
    assert (moved.low, moved.high) == pytest.approx((3 * plain.low + 7, 3 * plain.high + 7))


def test_welch_agrees_with_scipy_and_mirrors() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(0, 1, 6), generator.normal(1, 4, 15)
    found, mirrored = welch(a, b, 0.9), welch(b, a, 0.9)
    test = stats.ttest_ind(a, b, equal_var=False)
    expected = test.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_coverage_of_mean_t_is_exact_and_of_welch_near_nominal() -> None:
    generator, simulations = np.random.default_rng(2), 2000

    def covers(found: Interval, truth: float) -> bool:
        return found.low <= truth <= found.high

    everywhere = (-math.inf, math.inf)
    means = sum(
        covers(mean_t(generator.normal(3, 2, 5), bounds=everywhere), 3) for _ in range(simulations)
    )
    differences = sum(
        covers(welch(generator.normal(3, 2, 6), generator.normal(2, 0.5, 12)), 1)
        for _ in range(simulations)
    )
    assert means >= least_covered(0.95, simulations)
    assert simulations - means >= least_covered(0.05, simulations)
    assert differences >= least_covered(0.94, simulations)
