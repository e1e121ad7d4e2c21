import math

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from scipy import stats

from hpsuite.strategies.unit_cube import check_scale, level, n_levels, to_unit, to_value

DISTRIBUTIONS: list[BaseDistribution] = [
    FloatDistribution(1e-5, 0.3, log=True),
    FloatDistribution(-3.0, 7.5),
    FloatDistribution(-1.7e308, 1.7e308),
    FloatDistribution(0.1, 0.7, step=0.2),
    FloatDistribution(2.0, 2.0),
    FloatDistribution(0.3, 0.3, log=True),
    IntDistribution(1, 1000, log=True),
    IntDistribution(-3, 11),
    IntDistribution(10, 46, step=4),
    IntDistribution(5, 5),
    IntDistribution(7, 7, log=True),
    CategoricalDistribution(["a", None, 1, 2.5, False]),
]
each = pytest.mark.parametrize("d", DISTRIBUTIONS, ids=str)
each_scale = pytest.mark.parametrize("scale", ["own", "linear"])


@each
@each_scale
def test_values_stay_in_range_and_rise_with_the_unit(d, scale):
    units = np.concatenate([[0.0, 5e-324], np.linspace(0, 1, 1001), [1 - 1e-16]])
    values = [to_value(d, float(u), scale) for u in np.sort(units)]
    if isinstance(d, CategoricalDistribution):
        assert all(value in d.choices for value in values)
        return
    assert all(d.low <= value <= d.high for value in values)
    assert values == sorted(values)
    assert values[0] == d.low
    assert values[-1] == d.high


@each
@each_scale
def test_to_unit_is_the_inverse(d, scale):
    n = n_levels(d)
    if n is None:
        for u in np.linspace(0, 1, 101):
            assert to_unit(d, to_value(d, float(u), scale), scale) == pytest.approx(u, abs=1e-12)
    else:
        values = [level(d, i) for i in range(n)]
        for value in values:
            back = to_value(d, to_unit(d, value, scale), scale)
            assert back == value
            assert type(back) is type(value)


def test_to_unit_takes_values_outside_to_the_nearest_end():
    d = FloatDistribution(1e-3, 1, log=True)
    assert to_unit(d, 5.0, "own") == 1
    assert to_unit(d, 1e-9, "linear") == 0
    with pytest.raises(ValueError, match="c"):
        to_unit(CategoricalDistribution(["a", "b"]), "c", "own")


def test_known_points():
    rate = FloatDistribution(1e-4, 1.0, log=True)
    assert to_value(rate, 0.5, "own") == pytest.approx(1e-2)
    assert to_value(rate, 0.5, "linear") == pytest.approx(0.50005)
    # Edges of the cells of 1, 2, 3 on a log scale: .5, 1.5, 2.5, 3.5.
    three = IntDistribution(1, 3, log=True)
    edge = math.log(1.5 / 0.5) / math.log(3.5 / 0.5)
    assert to_value(three, edge - 1e-9, "own") == 1
    assert to_value(three, edge + 1e-9, "own") == 2
    assert to_value(three, 1 / 3 + 1e-9, "linear") == 2


@pytest.mark.parametrize(
    ("d", "scale"),
    [
        (IntDistribution(3, 9), "own"),
        (IntDistribution(0, 28, step=7), "own"),
        (IntDistribution(1, 8, log=True), "linear"),
        (FloatDistribution(0, 0.5, step=0.125), "own"),
        (CategoricalDistribution(list("abcde")), "own"),
    ],
)
def test_all_levels_are_equally_likely(d, scale, rng):
    n = n_levels(d)
    drawn = [to_value(d, float(u), scale) for u in rng.random(20_000)]
    counts = [drawn.count(level(d, i)) for i in range(n)]
    assert sum(counts) == 20_000
    assert stats.chisquare(counts).pvalue > 1e-6


def test_log_ints_have_their_share_of_the_log_scale(rng):
    d = IntDistribution(2, 12, log=True)
    drawn = [to_value(d, float(u), "own") for u in rng.random(20_000)]
    edges = np.log(np.arange(2, 14) - 0.5)
    expected = 20_000 * np.diff(edges) / (edges[-1] - edges[0])
    assert stats.chisquare([drawn.count(i) for i in range(2, 13)], expected).pvalue > 1e-6


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale: found 'log'; accepted: 'own' or 'linear'"):
        check_scale("log")


@pytest.fixture
def rng():
    return np.random.default_rng(20_261)
