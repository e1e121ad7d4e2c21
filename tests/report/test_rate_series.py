"""The line through scores over learning rates, against the same thing done one by one."""

import math

import numpy as np
import pytest

from hpsuite.report.axes import Axis
from hpsuite.report.figures.lines import Curve, Curves, Level, Panel, marked, note_of, score_limits
from hpsuite.report.figures.points import counted, distinct_values
from hpsuite.report.figures.rate_series import AT_CHANCE, DIVERGED, RateSeries, line_of
from tests.report.pictures import sampled_points

RATE = Axis("learning rate", scale="log")


def test_a_sweep_has_the_median_and_range_of_its_seeds_and_gaps() -> None:
    scores = np.array([[1.0, 2.0, 9.0], [math.nan, 4.0, 6.0], [math.nan] * 3, [10.0, 10.0, 10.0]])
    rates = np.array([1e-3, 1e-2, 1e-1, 1.0])
    line = line_of(RateSeries("a", rates, scores, np.zeros((4, 3), np.int8), 0), RATE)
    assert line.x == pytest.approx([-3, -2, -1, 0])
    assert line.middle == pytest.approx([2, 5, math.nan, 10], nan_ok=True)
    assert line.low == pytest.approx([1, 4, math.nan, 10], nan_ok=True)
    assert line.high == pytest.approx([9, 6, math.nan, 10], nan_ok=True)


def test_a_sample_has_a_running_median_of_neighbours() -> None:
    generator = np.random.default_rng(0)
    rates, scores = 10 ** generator.uniform(-4, 1, 90), generator.uniform(0, 1, 90)
    line = line_of(RateSeries("a", rates, scores, np.zeros(90, np.int8), 0), RATE)
    order = np.argsort(rates)
    window = 9
    assert len(line.x) == 90 - window + 1
    for i in (0, 17, 81):
        near = order[i : i + window]
        assert line.x[i] == pytest.approx(np.median(np.log10(rates[near])))
        assert line.middle[i] == pytest.approx(np.median(scores[near]))
        assert line.low[i] == pytest.approx(np.quantile(scores[near], 0.25))
        assert line.high[i] == pytest.approx(np.quantile(scores[near], 0.75))
    shuffled = generator.permutation(90)
    again = RateSeries("a", rates[shuffled], scores[shuffled], np.zeros(90, np.int8), 0)
    assert np.array_equal(line_of(again, RATE).middle, line.middle)
    few = RateSeries("a", rates[:13], scores[:13], np.zeros(13, np.int8), 0)
    assert line_of(few, RATE).kind == ""


def test_shares_of_failures_count_the_seeds_that_ran() -> None:
    scores = np.array([[10.0, 10.0, 90.0], [10.0, math.nan, math.nan]])
    outcomes = np.array([[DIVERGED, AT_CHANCE, 0], [DIVERGED, 0, 0]], np.int8)
    series = RateSeries("a", np.array([1.0, 2.0]), scores, outcomes, 0)
    assert series.shares(DIVERGED) == pytest.approx([1 / 3, 1])
    assert series.shares(AT_CHANCE) == pytest.approx([1 / 3, 0])


def curves(*ys: list[float], level: float = math.nan) -> Curves:
    x = np.arange(1.0, len(ys[0]) + 1)
    none = np.full(len(x), math.nan)
    made = tuple(Curve(str(i), i, x, np.array(y), none, none) for i, y in enumerate(ys))
    panel = Panel("", made, Level("b", level))
    return Curves("t", Axis("trials", scale="integer"), Axis("score"), (panel,))


def test_a_panel_shows_where_lines_have_settled_and_says_what_it_leaves_out() -> None:
    data = curves(
        [0.0, 50.0, 80.0, 90.0, 92.0, 93.0, 94.0], [70.0, 85.0, 91.0, 94.0, 95.0, 95.0, 96.0]
    )
    first, last = score_limits(data, data.panels[0])
    assert 50 < first < 80  # of the third trial on
    assert last > 96
    assert "leave out" in note_of(data)
    level = curves([80.0, 90.0, 92.0], level=99.0)
    assert score_limits(level, level.panels[0])[1] > 99
    flat = curves([90.0, 90.0, 90.0])
    assert note_of(flat) == ""
    low, high = score_limits(flat, flat.panels[0])
    assert low < 90 < high


def test_marks_are_spread_over_the_axis() -> None:
    x = np.log10(np.arange(1.0, 65.0))
    at = marked(x, 0)
    assert at[0] == 0
    assert len(at) <= 7
    steps = np.diff(x[at])
    assert steps.max() < 2.5 * steps.min()
    assert marked(x, 0) != marked(x, 1)
    assert marked(np.array([0.0, 1.0]), 3) == [0, 1]


def test_a_grid_tries_few_values_of_each_and_a_random_search_as_many_as_trials() -> None:
    grid, random, *_ = sampled_points().strategies
    assert counted(grid) == "16 points, 4 x 4 values"
    assert counted(random) == "16 points, 16 x 16 values"
    assert len(distinct_values(np.array([0.1, 0.1 * (1 + 1e-13), 0.2, math.nan]))) == 2
    assert len(distinct_values(np.zeros(0))) == 0
