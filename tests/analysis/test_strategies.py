import itertools
import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.comparisons import compare_strategies
from hpsuite.analysis.strategies import (
    areas,
    best_so_far_curve,
    mean_regret,
    strategy_figures,
)

SCORES = np.array([[0.1, 0.5, 0.3, 0.9], [0.7, 0.2, 0.8, 0.4], [0.6, 0.6, 0.6, 0.6]])


def test_best_so_far_by_hand() -> None:
    found = best_so_far_curve(SCORES)
    # Best so far: .1 .5 .5 .9 / .7 .7 .8 .8 / .6 .6 .6 .6
    assert found.mean == pytest.approx([1.4 / 3, 0.6, 1.9 / 3, 2.3 / 3])
    assert found.quantiles[0.5] == pytest.approx((0.6, 0.6, 0.6, 0.8))
    sd = np.std([0.5, 0.7, 0.6], ddof=1)
    half = stats.t.isf(0.025, 2) * sd / math.sqrt(3)
    assert found.mean_low[1] == pytest.approx(0.6 - half)
    assert found.mean_high[1] == pytest.approx(0.6 + half)
    assert all(math.isnan(x) for x in found.median_low + found.median_high)
    assert areas(SCORES) == pytest.approx([2.0 / 4, 3.0 / 4, 0.6])
    assert "pointwise" in found.method


def test_area_is_the_mean_over_stopping_times() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 7))
    expected = [np.mean([row[: k + 1].max() for k in range(7)]) for row in scores]
    assert areas(scores) == pytest.approx(expected)
    assert strategy_figures(scores).area.estimate == pytest.approx(np.mean(expected))


def test_the_expected_curve_of_random_search_is_that_of_order_statistics() -> None:
    # The best of k uniform draws has mean k / (k + 1).
    scores = np.random.default_rng(1).random((4000, 8))
    found = best_so_far_curve(scores)
    k = np.arange(1, 9)
    errors = (np.array(found.mean) - k / (k + 1)) / (
        (np.array(found.mean_high) - np.array(found.mean)) / 1.96
    )
    assert np.abs(errors).max() < 5


def test_regret_adds_the_error_of_b() -> None:
    best = SCORES.max(axis=1)
    plain = mean_regret(best, 0.95)
    assert plain.estimate == pytest.approx(0.95 - best.mean())
    error = best.std(ddof=1) / math.sqrt(3)
    assert plain.high - plain.estimate == pytest.approx(stats.t.isf(0.025, 2) * error)
    # Satterthwaite: as many degrees of freedom as the variance of R - 1 leaves in the sum.
    wide = mean_regret(best, 0.95, b_error=0.1)
    total = error**2 + 0.01
    df = 2 * (total / error**2) ** 2
    assert wide.high - wide.estimate == pytest.approx(stats.t.isf(0.025, df) * math.sqrt(total))
    assert math.isnan(mean_regret([0.5], 0.9).low)
    # All repeats equal: only b is uncertain, and normal.
    flat = mean_regret([0.5] * 4, 0.9, b_error=0.01)
    assert flat.high - flat.estimate == pytest.approx(0.0195996, rel=1e-5)
    exact = mean_regret([0.5] * 4, 0.9)
    assert exact.low == exact.high == exact.estimate


def test_figures_of_one_repeat_have_no_ends_and_no_wrong_numbers() -> None:
    found = strategy_figures(SCORES[:1], b=0.9)
    for interval in (found.best, found.area, found.regret, found.median_best):
        assert interval is not None
        assert math.isfinite(interval.estimate)
        assert math.isnan(interval.low)
    assert math.isnan(found.tenth_percentile.estimate)
    assert "needs 100 repeats" in found.tenth_percentile.method
    assert all(math.isnan(x) for x in found.curve.mean_low)
    assert strategy_figures(SCORES).regret is None
    assert strategy_figures(SCORES).to_good is None


def test_the_order_of_repeats_does_not_matter_and_that_of_trials_does() -> None:
    scores = np.random.default_rng(2).normal(size=(9, 5))
    found = strategy_figures(scores, b=2.0, margin=0.5)
    assert strategy_figures(scores[::-1], b=2.0, margin=0.5) == found
    assert strategy_figures(scores[:, ::-1], b=2.0, margin=0.5).curve != found.curve


def test_any_unit_will_do() -> None:
    scores = np.random.default_rng(3).normal(size=(12, 6))
    plain = strategy_figures(scores, b=1.5, margin=0.25)
    # Losses of another size and sign: a power of two keeps sums exact.
    moved = strategy_figures(1024 * scores, b=1024 * 1.5, margin=1024 * 0.25)
    assert moved.best.low == pytest.approx(1024 * plain.best.low)
    assert moved.area.high == pytest.approx(1024 * plain.area.high)
    assert plain.to_good is not None
    assert moved.to_good is not None
    assert moved.to_good.share == plain.to_good.share


def test_tenth_percentile_of_a_hundred_repeats() -> None:
    scores = np.random.default_rng(4).random((100, 3))
    best = np.sort(scores.max(axis=1))
    found = strategy_figures(scores).tenth_percentile
    assert (found.low, found.high) == (best[4], best[16])


def test_comparison_is_antisymmetric_and_cut_to_the_shorter_search() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.random((8, 6)), generator.random((8, 9))
    for paired in (False, True):
        found = compare_strategies(a, b, paired=paired, b=0.95)
        mirrored = compare_strategies(b, a, paired=paired, b=0.95)
        assert found.n == mirrored.n == 6
        assert found == compare_strategies(a, b[:, :6], paired=paired, b=0.95)
        for name in ("best", "area", "trials"):
            one, other = getattr(found, name), getattr(mirrored, name)
            assert (one.estimate, one.low, one.high) == pytest.approx(
                (-other.estimate, -other.high, -other.low)
            )
        assert found.better.low == pytest.approx(1 - mirrored.better.high)
    assert compare_strategies(a, b).trials is None


def test_pairs_that_share_their_luck_are_compared_more_sharply() -> None:
    generator = np.random.default_rng(6)
    luck = generator.normal(size=(20, 1))
    a = luck + 0.1 * generator.normal(size=(20, 4))
    b = luck + 0.1 * generator.normal(size=(20, 4)) - 0.05
    paired, unpaired = (compare_strategies(a, b, paired=p).best for p in (True, False))
    assert paired.estimate == pytest.approx(unpaired.estimate)
    assert (paired.high - paired.low) < (unpaired.high - unpaired.low) / 4


BAD = [[], [0.5], [[math.nan]], [[]], [[math.inf, 1.0]]]


@pytest.mark.parametrize("scores", BAD)
def test_scores_that_are_no_table_of_finite_numbers_are_refused(scores: list[float]) -> None:
    calls = [
        lambda: strategy_figures(scores),
        lambda: best_so_far_curve(scores),
        lambda: areas(scores),
        lambda: compare_strategies(scores, SCORES),
        lambda: compare_strategies(SCORES, scores),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"scores\w* must (have 2 axes|be finite)"):
            call()


def test_bad_arguments_are_refused() -> None:
    for arguments, words in (
        ({"b": math.nan}, "b must be"),
        ({"b": 1.0, "b_error": -1.0}, "b_error must be"),
        ({"b": 1.0, "margin": -0.1}, "margin must be"),
        ({"level": 95}, "level must be"),
    ):
        with pytest.raises(ValueError, match=words):
            strategy_figures(SCORES, **arguments)
    with pytest.raises(ValueError, match="shares must be"):
        best_so_far_curve(SCORES, shares=[0.5, 1.0])
    with pytest.raises(ValueError, match="as many repeats"):
        compare_strategies(SCORES, SCORES[:2], paired=True)


def test_median_curve_covers_at_every_place() -> None:
    # Pointwise: each place by itself is covered with 95%, whatever the distribution.
    generator, simulations = np.random.default_rng(7), 400
    scores = generator.exponential(size=(simulations, 11, 5)) ** 3
    # The best of k exponentials has its median at -ln(1 - 2^(-1/k)).
    medians = np.array([-math.log(1 - 2 ** (-1 / k)) for k in range(1, 6)]) ** 3
    hits = np.zeros(5)
    for found in (best_so_far_curve(s) for s in scores):
        hits += (np.array(found.median_low) <= medians) & (medians <= np.array(found.median_high))
    assert hits.min() >= stats.binom.ppf(1e-6, simulations, 0.95)


def test_every_order_of_trials_leads_to_the_same_best() -> None:
    row = [0.3, 0.1, 0.4]
    for order in itertools.permutations(row):
        assert strategy_figures([order]).best.estimate == 0.4
