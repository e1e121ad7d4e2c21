"""Good fractions: the share of a setup's space whose score comes near the setup's own best.

The estimand: with f(x) the expected score of configuration x over seeds and b* the mean of f over
the best 4% of the space, G_e is the share of the space with f(x) >= b* - e. What is seen instead
of f is one noisy score a configuration, so b, the mean of the best 4% of those, lies above b* by
the luck of the selected, and G_e below its truth. More trials do not help: the luck stays. The
intervals' upper ends (both ends of a difference) allow for it. docs/statistics.md has the
measured bias and coverage, and the methods that were tried and fell short.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_accuracies, checked_length, checked_level
from hpsuite.analysis.intervals import Interval, wilson_ends

POINT = 0.01
POINTS = (1.0, 2.0, 5.0)
TOP_SHARE = 0.04
# An assumed seed-to-seed standard deviation of good configurations on a few hundred validation
# images; quickstart's best show .5 to 1.1, median .64 (benchmarks/seed_noise.py).
NOISE_SD = 0.005
RESAMPLES = 1000
# Scores are multiples of 1/n_val, so exact ties with b - e are common and must count as good. It
# exceeds the rounding of float32 accuracies (6e-8), and is far below 1/n_val.
TIE = 1e-7


def n_best(n: int) -> int:
    """How many of n trials are the best 4%: the nearest whole number, at least 1."""
    return max(1, round(TOP_SHARE * n))


def best_level(scores: npt.ArrayLike) -> float:
    """b, the plain mean of the best 4% of `scores`, accuracies [n] in [0, 1].

    Raises:
        ValueError: for scores that are not accuracies.
    """
    return float(_best_levels(checked_accuracies("scores", scores)))


def good_fractions(
    scores: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    noise_sd: float = NOISE_SD,
    resamples: int = RESAMPLES,
) -> dict[float, Interval]:
    """G_e against the setup's own best, for each e, with an interval that recomputes b.

    The estimate is the share of `scores` that are at least b - e, ties included. The interval is
    Wilson's, with the effective sample size G (1 - G) / v, at most n, where v is the variance of
    G over bootstrap resamples that each recompute b. Its upper end is computed at b lowered by
    the allowance for seed noise: what b gains, on average, when noise of `noise_sd` is added to
    every score once more (the first step of simulation-extrapolation, Cook and Stefanski 1994).

    Approximate. In simulation at n = 80, 160 and 256, seed noise of .3 and .5 point and G_2 from
    .05 to .65 the 95% interval of G_2 covers the truth 92% to 100% of the time, 97% on average,
    and that of G_5 92% to 99%. That of G_1 covers 89% or more where G_1 is at most .16, but as
    little as 10% on a plateau with noise of .5 point, and where 89% of the space is good G_2's
    covers as little as 43% (docs/statistics.md).

    Args:
        scores: shape [n], accuracies in [0, 1] of i.i.d. random configurations.
        generator: draws the resamples and the noise.
        points: the values of e, in points of accuracy, >= 0.
        level: nominal confidence level, in (0, 1).
        noise_sd: standard deviation over seeds of a good configuration's score, in [0, 1]; 0
            for scores without noise.
        resamples: bootstrap resamples.

    Returns:
        For each of `points` its interval.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    # Sorted, so that the order of the trials cannot matter.
    sample = np.sort(checked_accuracies("scores", scores))
    _check(points, level, noise_sd)
    n = len(sample)
    resampled = sample[generator.integers(n, size=(resamples, n))]
    b, resampled_b = float(_best_levels(sample)), _best_levels(resampled)
    allowance = _noise_allowance(sample, noise_sd, generator)
    method = (
        "Wilson with the effective n of a bootstrap that recomputes b; upper end allows for "
        f"seed noise of {noise_sd / POINT:g} points; approximate"
    )

    def ends(margin: float) -> tuple[float, float]:
        share = float(_share(sample, b - margin))
        spread = float(np.var(_share(resampled, resampled_b - margin)))
        binomial = share * (1 - share)
        # Where every resample agrees, or all is good, n itself bounds what is known.
        effective = min(n, binomial / spread) if binomial > 0 and spread > 0 else n
        return wilson_ends(share, effective, level)

    return {
        point: Interval(
            float(_share(sample, b - point * POINT)),
            ends(point * POINT)[0],
            ends(point * POINT + allowance)[1],
            level,
            method,
        )
        for point in points
    }


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Good fractions of setup A minus those of setup B, on the same configurations and seeds.

    Attributes:
        n: configurations.
        b_a, b_b: each setup's best level, in [0, 1].
        own: for each e in points, the difference with each against its own best, in [-1, 1].
        common: the same with both against the higher of the two bests.
    """

    n: int
    b_a: float
    b_b: float
    own: Mapping[float, Interval]
    common: Mapping[float, Interval]


def paired_difference(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    noise_sd: float = NOISE_SD,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """Differences of good fractions, A minus B, by a paired bootstrap that recomputes b.

    The estimate is the difference of the two shares. The interval is Student's t around it, with
    the bootstrap's standard error, or that of Agresti and Min (2005) for paired proportions at
    fixed b where it is larger; it is computed without and with the allowance for seed noise in
    both arms (see `good_fractions`), and reaches from the lower to the higher of the ends.

    Approximate. In simulation at n = 80 and 256 the 95% intervals cover a difference of 0 between
    equal setups 95% to 100% of the time, and a true difference of G_2 88% to 100% (each against
    its own best) or 85% to 98% (against the common best); docs/statistics.md has the rest, and
    where G_1 fails.

    Args:
        scores_a: shape [n], accuracies in [0, 1] of i.i.d. random configurations under A.
        scores_b: shape [n], of the same configurations and seeds, in the same order, under B.
        generator: see `good_fractions`.
        points: see `good_fractions`.
        level: see `good_fractions`.
        noise_sd: see `good_fractions`.
        resamples: see `good_fractions`.

    Raises:
        ValueError: for arguments outside their ranges or samples of unequal size.
    """
    a, b = checked_accuracies("scores_a", scores_a), checked_accuracies("scores_b", scores_b)
    checked_length("scores_b", len(b), len(a))
    _check(points, level, noise_sd)
    n = len(a)
    # Sorted together, so that the order of the configurations cannot matter.
    both = np.stack([a, b])[:, np.lexsort((b, a))]
    resampled = both[:, generator.integers(n, size=(resamples, n))]
    own_b, own_resampled_b = _best_levels(both), _best_levels(resampled)
    common_b, common_resampled_b = (
        np.broadcast_to(levels.max(axis=0), levels.shape) for levels in (own_b, own_resampled_b)
    )
    allowances = np.array([_noise_allowance(np.sort(row), noise_sd, generator) for row in both])
    # The allowance of a common best is that of the arm which sets it.
    common_allowance = np.full(2, allowances[int(own_b.argmax())])
    method = (
        "t with the standard error of a paired bootstrap that recomputes b; allows for seed "
        f"noise of {noise_sd / POINT:g} points; approximate"
    )
    t = float(stats.t.isf((1 - level) / 2, max(1, n - 1)))

    def interval(point: float, best: Floats, resampled_best: Floats, extra: Floats) -> Interval:
        estimate = _difference(both, best - point * POINT)
        ends = []
        for margins in (np.full(2, point * POINT), point * POINT + extra):
            centre = _difference(both, best - margins)
            spread = np.var(_difference(resampled, resampled_best - margins[:, None]))
            good = both >= (best - margins - TIE)[:, None]
            only_a, only_b = int((good[0] & ~good[1]).sum()), int((good[1] & ~good[0]).sum())
            floor = _agresti_min_variance(only_a, only_b, n)
            half = t * math.sqrt(max(float(spread), floor))
            ends += [float(centre) - half, float(centre) + half]
        return Interval(float(estimate), max(-1, min(ends)), min(1, max(ends)), level, method)

    return PairedDifference(
        n,
        float(own_b[0]),
        float(own_b[1]),
        {p: interval(p, own_b, own_resampled_b, allowances) for p in points},
        {p: interval(p, common_b, common_resampled_b, common_allowance) for p in points},
    )


def _check(points: Sequence[float], level: float, noise_sd: float) -> None:
    checked_level(level)
    if not (len(points) and all(0 <= point < math.inf for point in points)):
        raise ValueError(f"points must be finite numbers of points >= 0; found {points}")
    if not 0 <= noise_sd <= 1:
        raise ValueError(f"noise_sd must be in [0, 1] (.005 is half a point); found {noise_sd}")


def _best_levels(scores: Floats) -> Floats:
    """Mean of the best 4% along the last axis: [..., n] to [...]."""
    n = scores.shape[-1]
    k = n_best(n)
    return np.asarray(np.partition(scores, n - k, axis=-1)[..., n - k :].mean(axis=-1))


def _share(scores: Floats, thresholds: Floats | float) -> Floats:
    """Share of scores [..., n] that reach their thresholds [...], ties included."""
    reached = scores >= np.asarray(thresholds)[..., None] - TIE
    return np.asarray(reached.mean(axis=-1))


def _difference(scores: Floats, thresholds: Floats) -> Floats:
    """A's share minus B's: scores [2, ..., n], thresholds [2, ...] to [...]."""
    shares = _share(scores, thresholds)
    return np.asarray(shares[0] - shares[1])


def _noise_allowance(scores: Floats, noise_sd: float, generator: np.random.Generator) -> float:
    """What b gains, on average, when seed noise is added to every score once more; >= 0."""
    if noise_sd == 0:
        return 0.0
    # Half of the draws mirror the other half, which takes out most of the simulation's error;
    # 200 leave b's gain uncertain by a few hundredths of a point.
    half = generator.normal(0.0, noise_sd, (100, len(scores)))
    noisy = scores + np.concatenate([half, -half])
    return max(0.0, float(_best_levels(noisy).mean() - _best_levels(scores)))


def _agresti_min_variance(only_a: int, only_b: int, n: int) -> float:
    """Variance of a difference of paired proportions, half a pair added to each cell."""
    a, b, m = only_a + 0.5, only_b + 0.5, n + 2
    return ((a + b) - (a - b) ** 2 / m) / m**2
