import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import Interval, mean_t
from hpsuite.analysis.split import split_spread

Z = stats.norm.isf(0.025)


def figures(estimates: list[float], error: float = 1.0) -> list[Interval]:
    return [Interval(e, e - Z * error, e + Z * error, 0.95, "") for e in estimates]


def test_fresh_configurations_give_students_t_and_the_splits_own_share() -> None:
    values = [1.0, 4.0, 7.0]
    found = split_spread(figures(values, 2), same_configurations=False)
    everywhere = (-math.inf, math.inf)
    assert (found.mean.low, found.mean.high) == pytest.approx(
        (mean_t(values, bounds=everywhere).low, mean_t(values, bounds=everywhere).high)
    )
    assert found.spread.estimate == pytest.approx(3)
    assert found.within_sd == pytest.approx(2)
    assert found.between_sd == pytest.approx(math.sqrt(9 - 4))
    assert found.ratio == pytest.approx(math.sqrt(5) / 2)
    # Chi-squared with 2 degrees of freedom has the distribution function 1 - exp(-x / 2).
    ends = [math.sqrt(2 * 9 / (-2 * math.log(q))) for q in (0.025, 0.975)]
    assert (found.spread.low, found.spread.high) == pytest.approx(tuple(ends))


def test_shared_configurations_add_the_error_that_no_split_shows() -> None:
    same = split_spread(figures([5.0, 5.0, 5.0], 2), same_configurations=True)
    # Splits that agree leave the error of the configurations alone.
    assert (same.mean.low, same.mean.high) == pytest.approx((5 - Z * 2, 5 + Z * 2))
    assert (same.between_sd, same.ratio) == (0, 0)
    fresh = split_spread(figures([5.0, 5.0, 5.0], 2), same_configurations=False)
    assert fresh.mean.low == fresh.mean.high == 5
    spread = split_spread(figures([1.0, 4.0, 7.0], 2), same_configurations=True)
    squared = 9 / 3 + 4
    df = 2 * (squared / 3) ** 2
    assert spread.mean.high == pytest.approx(4 + stats.t.isf(0.025, df) * math.sqrt(squared))
    assert spread.between_sd == pytest.approx(3)


def test_figures_that_vary_less_than_their_error_leave_nothing_to_the_split() -> None:
    found = split_spread(figures([0.9, 1.0, 1.1], 1), same_configurations=False)
    assert (found.between_sd, found.ratio) == (0, 0)


def test_intervals_of_other_levels_and_bounds() -> None:
    ninety = [Interval(e, e - 1, e + 1, 0.9, "") for e in (0.1, 0.9)]
    found = split_spread(ninety, same_configurations=False, bounds=(0, 1))
    assert found.within_sd == pytest.approx(1 / stats.norm.isf(0.05))
    assert (found.mean.low, found.mean.high) == (0, 1)


def test_one_split_and_figures_without_intervals_are_not_computable() -> None:
    one = split_spread(figures([0.5]), same_configurations=False)
    assert one.mean.estimate == 0.5
    assert one.mean.method == "one split: no interval over splits"
    values = (one.mean.low, one.spread.estimate, one.between_sd, one.ratio)
    assert all(math.isnan(v) for v in values)
    bare = [Interval(v, math.nan, math.nan, 0.95, "") for v in (0.1, 0.3)]
    fresh = split_spread(bare, same_configurations=False)
    assert math.isfinite(fresh.mean.low)
    assert math.isnan(fresh.between_sd)
    same = split_spread(bare, same_configurations=True, bounds=(0, 1))
    assert math.isnan(same.mean.low)
    assert math.isnan(same.mean.high)
    assert "not computable" in same.mean.method


def test_bad_arguments_are_refused() -> None:
    for bad in ([], figures([math.nan])):
        with pytest.raises(ValueError, match="figures must be one axis of finite numbers"):
            split_spread(bad, same_configurations=True)
    with pytest.raises(ValueError, match="level must be"):
        split_spread(figures([1.0]), same_configurations=True, level=95)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("splits", [3, 5])
def test_the_interval_covers_the_mean_over_splits_and_configurations(
    shared: bool, splits: int
) -> None:
    generator, simulations = np.random.default_rng(0), 2000
    covered = 0
    for _ in range(simulations):
        common = generator.standard_normal(1 if shared else splits)
        values = 0.8 * common + 0.6 * generator.standard_normal(splits)
        values += generator.standard_normal(splits)
        mean = split_spread(figures(list(values)), same_configurations=shared).mean
        covered += mean.low <= 0 <= mean.high
    assert covered >= stats.binom.ppf(1e-6, simulations, 0.95)
