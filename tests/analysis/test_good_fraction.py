import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from hpsuite.analysis import best_level, estimate_best, good_fractions, paired_difference
from hpsuite.analysis.best import n_best, noise_allowance
from hpsuite.analysis.good_fraction import _agresti_min_variance

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (12, 1), (37, 1), (38, 2), (80, 3), (256, 10)])
def test_the_best_4_percent_are_the_nearest_whole_number_of_trials(n: int, k: int) -> None:
    assert n_best(n) == k
    scores = np.arange(n) / n
    assert best_level(scores) == pytest.approx(scores[-k:].mean())


@pytest.mark.parametrize("n_val", [359, 360, 1000, 10_000, 12_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exact_ties_count_as_good(n_val: int, dtype: type) -> None:
    # Counts right of n_val: the best one, all exact multiples of a point below it, and one less.
    for best, point in itertools.product(range(n_val - 20, n_val + 1), (1, 2, 5)):
        if point * n_val % 100:
            continue
        edge = best - point * n_val // 100
        scores: Floats = np.asarray(np.array([best, edge, edge - 1]) / n_val, dtype)
        found = good_fractions(scores, generator=seeded(), points=[point], resamples=2)
        assert found[point].estimate == 2 / 3, (best, point)


def test_good_fractions_of_a_small_sample_by_hand() -> None:
    # n = 50: b is the mean of the best two, .98; good at 1 point are .99, .97, at 2 also .96.
    scores = [0.99, 0.97, 0.96, 0.959] + [0.1] * 46
    found = good_fractions(scores, generator=seeded(), points=[1, 2, 2.2])
    assert {e: g.estimate for e, g in found.items()} == {1: 2 / 50, 2: 3 / 50, 2.2: 4 / 50}
    assert all(g.low <= g.estimate <= g.high for g in found.values())


def test_bootstrap_variance_matches_the_enumeration_of_all_resamples() -> None:
    # All 4^4 resamples of four scores, b being the best one of each.
    scores = np.array([0.5, 0.6, 0.61, 0.9])
    resamples = np.array(list(itertools.product(scores, repeat=4)))
    shares = (resamples >= resamples.max(axis=1, keepdims=True) - 0.02 - 1e-9).mean(axis=1)
    found = good_fractions(scores, generator=seeded(), points=[2], noise_sd=0, resamples=200_000)[2]
    share = 0.25
    effective = min(4.0, share * (1 - share) / shares.var())
    z = stats.norm.isf(0.025)
    for p in (found.low, found.high):
        assert (share - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / effective, rel=0.02)


def test_the_order_of_the_trials_does_not_matter() -> None:
    scores, other = seeded(1).beta(8, 1, (2, 90))
    order = seeded(2).permutation(90)
    assert good_fractions(scores, generator=seeded()) == good_fractions(
        scores[order], generator=seeded()
    )
    assert paired_difference(scores, other, generator=seeded()) == paired_difference(
        scores[order], other[order], generator=seeded()
    )


def test_a_constant_added_to_all_scores_changes_nothing() -> None:
    # On a lattice of 1/64 sums are exact.
    scores = seeded(3).integers(10, 50, 100) / 64
    for moved in (scores + 10 / 64, scores - 10 / 64):
        plain = good_fractions(scores, generator=seeded())
        found = good_fractions(moved, generator=seeded())
        for e, g in plain.items():
            # The added noise rounds differently, by less than a part in 1e9.
            assert (found[e].estimate, found[e].low) == (g.estimate, g.low)
            assert found[e].high == pytest.approx(g.high)


def test_a_larger_e_is_good_more_often() -> None:
    found = good_fractions(
        seeded(4).beta(8, 1, 200), generator=seeded(), points=[0, 1, 2, 5, 50, 100]
    )
    estimates = [g.estimate for g in found.values()]
    assert estimates == sorted(estimates)
    assert found[100].estimate == found[100].high == 1


def test_a_larger_noise_only_raises_the_upper_end() -> None:
    scores = seeded(5).beta(8, 1, 200)
    found = [good_fractions(scores, generator=seeded(), noise_sd=sd)[2] for sd in (0, 0.005, 0.02)]
    assert len({(g.estimate, g.low) for g in found}) == 1
    highs = [g.high for g in found]
    assert highs == sorted(highs)
    assert highs[0] < highs[2]


def test_noise_allowance_of_a_flat_sample_is_that_of_normal_order_statistics() -> None:
    # With n = 1 adding noise gains nothing on average; with all of 10 equal, b gains the expected
    # maximum of ten normals, 1.5388 (Harter 1961).
    assert noise_allowance(np.array([0.5]), 0.01, seeded()) == pytest.approx(0, abs=1e-12)
    gains = [noise_allowance(np.full(10, 0.5), 0.01, seeded(s)) for s in range(200)]
    assert np.mean(gains) == pytest.approx(0.015388, rel=0.02)


@pytest.mark.parametrize("n", [1, 2, 3, 80])
def test_equal_scores_are_all_good(n: int) -> None:
    scores = np.full(n, 0.1)
    for g in good_fractions(scores, generator=seeded()).values():
        assert (g.estimate, g.high) == (1, 1)
        assert 0 < g.low < 1
    found = paired_difference(scores, scores, generator=seeded())
    for g in (*found.own.values(), *found.common.values()):
        assert g.estimate == 0
        assert -1 <= g.low < 0 < g.high <= 1


BAD_SCORES = [[], [math.nan, 0.5], [0.5, math.inf], [97.5, 96.0], [-0.1], [[0.5]]]


@pytest.mark.parametrize("scores", BAD_SCORES)
def test_scores_that_are_not_accuracies_are_refused(scores: list[float]) -> None:
    calls: list[Callable[[], object]] = [
        lambda: best_level(scores),
        lambda: good_fractions(scores, generator=seeded()),
        lambda: paired_difference(scores, [0.5], generator=seeded()),
        lambda: paired_difference([0.5], scores, generator=seeded()),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"must (be accuracies|have 1 axes)"):
            call()


def test_arguments_out_of_range_are_refused() -> None:
    for points in ([], [-1], [math.nan], [math.inf]):
        with pytest.raises(ValueError, match="points must be"):
            good_fractions([0.5], generator=seeded(), points=points)
    for noise_sd in (-0.1, math.nan, 1.5):
        with pytest.raises(ValueError, match="noise_sd must be"):
            good_fractions([0.5], generator=seeded(), noise_sd=noise_sd)
    with pytest.raises(ValueError, match="level must be"):
        paired_difference([0.5], [0.5], generator=seeded(), level=95)
    with pytest.raises(ValueError, match="as many trials"):
        paired_difference([0.5], [0.5, 0.6], generator=seeded())


def test_paired_difference_is_that_of_the_good_fractions_and_mirrors() -> None:
    a, b = seeded(6).beta([[8], [20]], 1, (2, 120))
    found = paired_difference(a, b, generator=seeded())
    alone_a, alone_b = (good_fractions(s, generator=seeded()) for s in (a, b))
    assert (found.n, found.b_a, found.b_b) == (120, best_level(a), best_level(b))
    common = max(found.b_a, found.b_b)
    for e, g in found.own.items():
        assert g.estimate == pytest.approx(alone_a[e].estimate - alone_b[e].estimate)
        assert g.low <= g.estimate <= g.high
        good_a, good_b = (s >= best_level(s) - e / 100 - 1e-9 for s in (a, b))
        assert found.only[e] == ((good_a & ~good_b).mean(), (good_b & ~good_a).mean())
        assert found.only[e][0] - found.only[e][1] == pytest.approx(g.estimate)
        shares = [(s >= common - e / 100 - 1e-9).mean() for s in (a, b)]
        assert found.common[e].estimate == pytest.approx(shares[0] - shares[1])
    mirrored = paired_difference(b, a, generator=seeded())
    for e, g in found.own.items():
        assert mirrored.own[e].estimate == -g.estimate
        # The ends differ by other draws of the same resamples.
        assert mirrored.own[e].low == pytest.approx(-g.high, abs=0.03)


def test_agresti_min_variance_by_hand() -> None:
    # Half a pair in each of the four cells: 3.5 and 1.5 discordant of 22.
    p, q = 3.5 / 22, 1.5 / 22
    assert _agresti_min_variance(3, 1, 20) == pytest.approx((p + q - (p - q) ** 2) / 22)


# A landscape with a closed form: the expected score falls from 1 linearly with x, uniform on
# [0, 1], so that b* = 1 - .02 slope, and G_e = .02 + e / slope.
SLOPE = 0.2


def linear_truth(e: float) -> float:
    return 0.02 + e / 100 / SLOPE


def linear_scores(x: Floats, noise_sd: float, generator: np.random.Generator) -> Floats:
    noisy = 0.98 - SLOPE * x + noise_sd * generator.standard_normal(x.shape)
    return np.round(noisy * 359) / 359


@pytest.mark.parametrize("n", [80, 256])
@pytest.mark.parametrize("noise_sd", [0.0, 0.004])
def test_good_fractions_cover_the_truth(n: int, noise_sd: float) -> None:
    generator, simulations = seeded(7), 400
    covered = dict.fromkeys((1.0, 2.0, 5.0), 0)
    for _ in range(simulations):
        scores = linear_scores(generator.random(n), noise_sd, generator)
        for e, g in good_fractions(scores, generator=generator, resamples=200).items():
            covered[e] += g.low <= linear_truth(e) <= g.high
    least = stats.binom.ppf(1e-6, simulations, 0.93)
    assert all(count >= least for count in covered.values()), covered


def test_paired_differences_cover_the_truth_and_zero_for_equal_setups() -> None:
    generator, simulations, n = seeded(8), 250, 80
    equal = different = 0
    for _ in range(simulations):
        x = generator.random(n)
        a, same = (linear_scores(x, 0.004, generator) for _ in range(2))
        # Twice as steep: half as much within 2 points, beside the .02 of the best 4%.
        steep = linear_scores(2 * x, 0.004, generator)
        first = paired_difference(a, same, generator=generator, resamples=200).own[2]
        second = paired_difference(a, steep, generator=generator, resamples=200).own[2]
        equal += first.low <= 0 <= first.high
        different += second.low <= 0.02 / SLOPE / 2 <= second.high
    least = stats.binom.ppf(1e-6, simulations, 0.93)
    assert (equal >= least, different >= least) == (True, True), (equal, different)


def test_figures_of_accuracies_stay_what_they_were() -> None:
    """Recorded before b could be retrained and scores have other units."""
    a, b, _ = seeded(2).beta([[8], [20], [8]], 1, (3, 80))
    a = np.round(a * 359) / 359
    assert best_level(a) == pytest.approx(0.9972144846796658, rel=1e-12)
    found = good_fractions(a, generator=seeded())
    for e, (low, high) in {
        1.0: (0.03316429570119561, 0.21502802099159668),
        2.0: (0.07854714324339108, 0.22967100066986607),
        5.0: (0.21691375156420106, 0.46347827175831885),
    }.items():
        assert (found[e].low, found[e].high) == pytest.approx((low, high), rel=1e-9)
        assert found[e].method == (
            "Wilson with the effective n of a bootstrap that recomputes b; upper end allows for "
            "seed noise of 0.5 points; approximate"
        )
    pair = paired_difference(a, b, generator=seeded())
    for kind, ends in {
        "own": (-0.35673073145288114, -0.07182323587702641),
        "common": (-0.3617115119732862, -0.08623044709505726),
    }.items():
        interval = getattr(pair, kind)[2]
        assert (interval.low, interval.high) == pytest.approx(ends, rel=1e-9)
        assert interval.method == (
            "t with the standard error of a paired bootstrap that recomputes b; allows for seed "
            "noise of 0.5 points; approximate"
        )


def test_scores_of_another_unit_give_the_same_fractions() -> None:
    # Powers of two, and a shift that is exact: all comparisons are the same.
    a, b = np.round(seeded(9).beta([[8], [20]], 1, (2, 90)) * 1024) / 1024
    for noise_sd in (None, 1 / 256):
        given = {"points": [1, 4], "noise_sd": noise_sd}
        scaled = {"points": [1, 4], "noise_sd": noise_sd and 64 * noise_sd}
        plain = good_fractions(a, generator=seeded(), unit=1 / 64, **given)  # type: ignore[arg-type]
        moved = good_fractions(64 * a - 128, generator=seeded(), unit=1.0, **scaled)  # type: ignore[arg-type]
        assert {e: (g.estimate, g.low) for e, g in moved.items()} == {
            e: (g.estimate, g.low) for e, g in plain.items()
        }
        assert moved[4].high == pytest.approx(plain[4].high)
        one = paired_difference(a, b, generator=seeded(), unit=1 / 64, **given)  # type: ignore[arg-type]
        other = paired_difference(
            64 * a - 128,
            64 * b - 128,
            generator=seeded(),
            unit=1.0,
            **scaled,  # type: ignore[arg-type]
        )
        assert other.b_a == 64 * one.b_a - 128
        assert other.own[4].estimate == one.own[4].estimate
        assert other.common[4].low == pytest.approx(one.common[4].low)


def test_ties_count_whatever_the_size_of_the_scores() -> None:
    for offset in (0.0, 1e6, -1e6):
        scores = offset + np.array([0.30, 0.29, 0.25])
        found = good_fractions(scores, generator=seeded(), points=[1, 5], unit=0.01, resamples=2)
        assert [g.estimate for g in found.values()] == [2 / 3, 1]


def test_a_plain_best_changes_nothing_but_the_noise() -> None:
    scores = seeded(10).beta(8, 1, 80)
    plain = estimate_best(scores, generator=seeded())
    noisy = estimate_best(scores, generator=seeded(), noise_sd=0.02)
    assert good_fractions(scores, generator=seeded(), best=plain) == good_fractions(
        scores, generator=seeded()
    )
    assert good_fractions(scores, generator=seeded(), best=noisy) == good_fractions(
        scores, generator=seeded(), noise_sd=0.02
    )


def test_a_retrained_best_is_what_scores_are_measured_against() -> None:
    generator = seeded(11)
    a, b = generator.beta([[8], [20]], 1, (2, 80))
    bests = [
        estimate_best(s, generator.normal(level, 0.004, (6, 3)), generator=seeded())
        for s, level in ((a, 0.95), (b, 0.97))
    ]
    found = good_fractions(a, generator=seeded(), best=bests[0])
    for e, g in found.items():
        assert g.estimate == (a >= bests[0].value - e / 100).mean()
        assert g.low <= g.estimate <= g.high
        assert "retrained b" in g.method
    pair = paired_difference(a, b, generator=seeded(), best_a=bests[0], best_b=bests[1])
    assert (pair.b_a, pair.b_b) == (bests[0].value, bests[1].value)
    line = max(pair.b_a, pair.b_b) - 0.02
    assert pair.common[2].estimate == pytest.approx((a >= line).mean() - (b >= line).mean())
    own = [(s >= best.value - 0.02).mean() for s, best in zip((a, b), bests, strict=True)]
    assert pair.own[2].estimate == pytest.approx(own[0] - own[1])
    assert pair.own[2].low <= pair.own[2].estimate <= pair.own[2].high


def test_bests_that_do_not_fit_are_refused() -> None:
    scores = seeded(12).random(80)
    plain = estimate_best(scores, generator=seeded())
    again = estimate_best(scores, np.full((3, 2), 0.9), generator=seeded())
    with pytest.raises(
        ValueError, match="best must be of the 79 trials in scores; found one of 80"
    ):
        good_fractions(scores[:79], generator=seeded(), best=plain)
    for bests in ({"best_a": again}, {"best_a": plain, "best_b": again}):
        with pytest.raises(ValueError, match="must be retrained both or neither"):
            paired_difference(scores, scores, generator=seeded(), **bests)


@pytest.mark.parametrize("simulations", [250, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("n", [80, 256])
def test_good_fractions_with_b_retrained_cover_the_truth(n: int, simulations: int) -> None:
    generator = seeded(13)
    covered = dict.fromkeys((1.0, 2.0, 5.0), 0)
    for _ in range(simulations):
        x = generator.random(n)
        scores = linear_scores(x, 0.004, generator)
        chosen = x[np.argsort(-scores)[: 2 * n_best(n)]]
        fresh = linear_scores(np.repeat(chosen[:, None], 3, axis=1), 0.004, generator)
        best = estimate_best(scores, fresh, generator=generator)
        found = good_fractions(scores, generator=generator, resamples=200, best=best)
        for e, g in found.items():
            covered[e] += g.low <= linear_truth(e) <= g.high
    least = stats.binom.ppf(1e-6, simulations, 0.93)
    assert all(count >= least for count in covered.values()), covered


def test_against_a_common_best_the_level_is_the_setters() -> None:
    a, b = seeded(14).beta([[8], [20]], 1, (2, 90))
    found = good_fractions(a, generator=seeded(), against=b)
    for e, g in found.items():
        assert g.estimate == (a >= best_level(b) - e / 100).mean()
        assert g.low <= g.estimate <= g.high
    # A setup that sets the common best itself has it for its own.
    assert good_fractions(b, generator=seeded(), against=b) == good_fractions(b, generator=seeded())
    order = seeded(15).permutation(90)
    assert good_fractions(a[order], generator=seeded(), against=b[order]) == found
    again = estimate_best(b, np.full((4, 2), 0.9), generator=seeded())
    shares = good_fractions(a, generator=seeded(), against=b, best=again)
    assert shares[5].estimate == (a >= 0.85).mean()
    with pytest.raises(ValueError, match="against must have as many trials"):
        good_fractions(a, generator=seeded(), against=b[:80])
    with pytest.raises(ValueError, match="against must be accuracies"):
        good_fractions(a, generator=seeded(), against=b + 1)


@pytest.mark.parametrize("again", [False, True])
def test_good_fractions_against_a_common_best_cover_the_truth(again: bool) -> None:
    generator, simulations, n = seeded(16), 250, 256
    covered = 0
    for _ in range(simulations):
        x = generator.random(n)
        # The other is worse by 2 points: within 5 of the common best are .02 + 3 / 20.
        better, worse = linear_scores(x, 0.004, generator), linear_scores(x + 0.1, 0.004, generator)
        best = None
        if again:
            chosen = x[np.argsort(-better)[: 2 * n_best(n)]]
            fresh = linear_scores(np.repeat(chosen[:, None], 3, axis=1), 0.004, generator)
            best = estimate_best(better, fresh, generator=generator)
        found = good_fractions(
            worse, generator=generator, resamples=200, against=better, best=best, points=[5]
        )[5]
        covered += found.low <= 0.02 + 0.03 / SLOPE <= found.high
    assert covered >= stats.binom.ppf(1e-6, simulations, 0.93)
