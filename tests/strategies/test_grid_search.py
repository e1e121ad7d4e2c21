import itertools
import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from hpsuite.strategies import GridSampler, ScaledRandomSampler

RATE = FloatDistribution(1e-4, 1, log=True)
UNIT = FloatDistribution(0, 1)


def trials_of(sampler: GridSampler) -> list[dict[str, object]]:
    study = optuna.create_study(sampler=sampler)
    for _ in range(sampler.n_planned):
        study.tell(study.ask(sampler.search_space), 0.0)
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize(
    ("space", "n_trials", "points"),
    [
        ({"a": UNIT, "b": UNIT}, 16, {"a": 4, "b": 4}),
        ({"a": UNIT, "b": UNIT}, 24, {"a": 4, "b": 4}),
        ({"a": UNIT, "b": UNIT}, 3, {"a": 1, "b": 1}),
        ({"a": UNIT, "b": UNIT, "c": UNIT}, 1000, {"a": 10, "b": 10, "c": 10}),
        ({"a": UNIT, "n": IntDistribution(1, 3)}, 20, {"a": 6, "n": 3}),
        ({"n": IntDistribution(1, 3), "m": IntDistribution(2, 5)}, 1000, {"m": 4, "n": 3}),
        ({"a": UNIT, "c": CategoricalDistribution("xyz")}, 14, {"a": 4, "c": 3}),
        ({"c": CategoricalDistribution("xyz")}, 14, {"c": 3}),
        ({"a": UNIT, "f": FloatDistribution(2.0, 2.0)}, 9, {"a": 9, "f": 1}),
        ({"s": FloatDistribution(0, 1, step=0.5)}, 9, {"s": 3}),
    ],
)
@pytest.mark.parametrize("offset", [False, True])
def test_takes_the_largest_grid_that_fits_and_each_cell_once(space, n_trials, points, offset):
    sampler = GridSampler(space, n_trials, offset=offset, seed=2)
    assert sampler.points == points
    assert sampler.n_planned == math.prod(points.values())
    for name, axis in sampler.axes.items():
        assert len(set(axis)) == len(axis) == points[name]
    trials = trials_of(sampler)
    cells = {tuple(params[name] for name in sampler.axes) for params in trials}
    assert len(trials) == sampler.n_planned
    assert cells == set(itertools.product(*sampler.axes.values()))


def test_points_include_both_ends_on_the_scale():
    space = {"rate": RATE}
    assert GridSampler(space, 5, seed=0).axes["rate"] == pytest.approx(
        (1e-4, 1e-3, 1e-2, 1e-1, 1), rel=1e-12
    )
    axis = GridSampler(space, 3, scale="linear", seed=0).axes["rate"]
    assert axis == pytest.approx((1e-4, 0.50005, 1), rel=1e-12)
    assert (axis[0], axis[-1]) == (1e-4, 1)
    assert GridSampler(space, 1, seed=0).axes["rate"] == pytest.approx((1e-2,))


def test_whole_numbers():
    def axis(distribution: IntDistribution, n: int) -> tuple[object, ...]:
        return GridSampler({"n": distribution}, n, seed=0).axes["n"]

    assert axis(IntDistribution(1, 9), 5) == (1, 3, 5, 7, 9)
    assert axis(IntDistribution(0, 100, step=10), 3) == (0, 50, 100)
    assert axis(IntDistribution(1, 256, log=True), 5) == (1, 4, 16, 64, 256)
    # Evenly spaced logarithms would be 1.0, 1.5, 2.2, 3.2, 4.6, ...: rounded, 2 would come twice.
    assert axis(IntDistribution(1, 100, log=True), 13) == (
        *(1, 2, 3, 4, 5, 7, 10, 15, 22, 32, 46, 68, 100),
    )


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("scale", ["own", "linear"])
def test_whole_numbers_never_repeat(offset, scale):
    for high, n, seed in itertools.product((7, 20, 100), (2, 5, 7, 19), (0, 1, 2)):
        for d in (IntDistribution(1, high, log=True), IntDistribution(3, 3 * high, step=3)):
            sampler = GridSampler({"n": d}, n, scale=scale, offset=offset, seed=seed)
            axis = sampler.axes["n"]
            assert len(axis) == min(n, high)
            assert list(axis) == sorted(set(axis))
            assert d.low <= axis[0] <= axis[-1] <= d.high


def test_offset_places_one_point_in_each_cell_with_one_shift():
    shifts = []
    for seed in range(300):
        sampler = GridSampler({"x": UNIT, "rate": RATE}, 16, offset=True, seed=seed)
        x = 4 * np.array(sampler.axes["x"])
        r = 4 * (np.log10(sampler.axes["rate"]) + 4) / 4
        for axis in (x, r):
            assert np.floor(axis).tolist() == [0, 1, 2, 3]
            assert np.diff(axis) == pytest.approx([1, 1, 1])
        shifts.append((x[0], r[0]))
    shifts = np.array(shifts)
    for column in shifts.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-6
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 5 / np.sqrt(300)


@pytest.mark.parametrize(("k", "width"), [(3, 0.2), (4, 0.1), (4, 0.24), (3, 0.4)])
def test_misses_a_good_region_as_often_as_the_closed_form(k, width):
    """One active dimension of two: max(0, 1 - kW), against (1 - W)^(k^2) for random search."""
    space = {"active": UNIT, "inert": UNIT}
    low, n_grids, n_random = 0.37, 2000, 300

    grid_misses = 0
    for seed in range(n_grids):
        sampler = GridSampler(space, k * k, offset=True, seed=seed)
        grid_misses += not any(low <= x <= low + width for x in sampler.axes["active"])
    random_misses = 0
    for seed in range(n_random):
        study = optuna.create_study(sampler=ScaledRandomSampler(space, k * k, seed=seed))
        drawn = [study.ask(space).params["active"] for _ in range(k * k)]
        random_misses += not any(low <= x <= low + width for x in drawn)

    for misses, n, p in (
        (grid_misses, n_grids, max(0.0, 1 - k * width)),
        (random_misses, n_random, (1 - width) ** (k * k)),
    ):
        assert misses / n == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / n) + 1e-12)


def test_order_is_shuffled_evenly():
    """Each cell comes first equally often."""
    space, first = {"x": UNIT}, []
    for seed in range(600):
        study = optuna.create_study(sampler=GridSampler(space, 6, seed=seed))
        first.append(study.ask(space).params["x"])
    counts = np.unique(first, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-6


def test_explicit_points():
    space = {"a": UNIT, "n": IntDistribution(1, 3), "c": CategoricalDistribution("xy")}
    sampler = GridSampler(space, 100, points={"a": 5, "n": 2}, seed=0)
    assert sampler.points == {"a": 5, "c": 2, "n": 2}
    assert sampler.axes["n"] == (1, 3)
    assert sampler.n_planned == 20
    assert GridSampler(space, 100, points=4, seed=0).points == {"a": 4, "c": 2, "n": 3}


@pytest.mark.parametrize(
    ("n_trials", "points", "message"),
    [
        (24, {"a": 5, "n": 3}, r"5 \(a\) x 2 \(c\) x 3 \(n\) = 30 trials .* budget of 24"),
        (15, 4, r"= 24 trials for a budget of 15; accepted: fewer points"),
        (1, None, r"1 \(a\) x 2 \(c\) x 1 \(n\) = 2 .* accepted: fewer choices or at least 2"),
        (99, {"a": 0, "n": 1}, "points: found 0 for 'a'; accepted: at least 1"),
        (99, 0, "found 0 for .*; accepted: at least 1"),
        (99, {"a": 2}, "points: found nothing for 'n'; accepted: "),
        (99, {"a": 2, "n": 1, "b": 3}, "points: found 'b'; accepted: .* a, n"),
        (99, {"a": 2, "n": 1, "c": 2}, "points: found 'c'; accepted: .* not choices: a, n"),
    ],
)
def test_bad_points(n_trials, points, message):
    space = {"a": UNIT, "n": IntDistribution(1, 3), "c": CategoricalDistribution("xy")}
    with pytest.raises(ValueError, match=message):
        GridSampler(space, n_trials, points=points, seed=0)
