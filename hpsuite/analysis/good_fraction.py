"""Good fractions: the share of a setup's space whose score comes near the setup's own best.

The estimand: with f(x) the expected score of configuration x over seeds and b* the mean of f over
the best 4% of the space, G_e is the share of the space with f(x) >= b* - e. What is seen instead
of f is one noisy score a configuration, so b, the mean of the best 4% of those, lies above b* by
the luck of the selected, and G_e below its truth. More trials do not help: the luck stays. The
intervals' upper ends (both ends of a difference) allow for it; training the best again with fresh
seeds takes it away (best.py). docs/statistics.md and docs/statistics-sensitivity.md have the
measured bias and coverage, and the methods that were tried and fell short.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.best import (
    FLAT_GAIN,
    TIE,
    BestLevel,
    best_levels,
    checked_in,
    checked_noise,
    noise_allowance,
    point_of,
    tie_of,
)
from hpsuite.analysis.checks import Floats, checked_length, checked_level
from hpsuite.analysis.intervals import Interval, wilson_ends

POINTS = (1.0, 2.0, 5.0)
RESAMPLES = 1000


def good_fractions(
    scores: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    noise_sd: float | None = None,
    resamples: int = RESAMPLES,
    unit: float | None = None,
    best: BestLevel | None = None,
    against: npt.ArrayLike | None = None,
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

    With a retrained `best`, b is its value, and in a resample moves as the plain mean of the best
    4% does, and by the error of its seeds. What noise does to the share itself is found by adding
    the measured noise to every score once more, and allowed for at the end that it shifts; the
    lower end counts as good only what is half a standard deviation of the noise above the line, as
    some of what is on it diverges with other seeds. In the same simulations, with twice the best
    4% retrained on 3 seeds, the intervals of G_1, G_2 and G_5 cover 91% to 100% of the time, 98% on
    average (docs/statistics-sensitivity.md).

    Against a common best that another setup sets, the interval of G_2 covers 66% or more with a
    plain b, and 96% or more with a retrained one (G_1 75%, where it is .1% and noise is all).

    Args:
        scores: shape [n], scores of i.i.d. random configurations, higher is better: accuracies in
            [0, 1], or any finite numbers where `unit` is given.
        generator: draws the resamples and the noise.
        points: the values of e, in points, >= 0.
        level: nominal confidence level, in (0, 1).
        noise_sd: standard deviation over seeds of a good configuration's score, in its unit, >= 0;
            0 for scores without noise. By default that of `best`, else half a point (.005 of
            accuracy).
        resamples: bootstrap resamples.
        unit: what a point is in the score's unit, > 0; None for accuracies, where it is .01.
        best: from `estimate_best` on the same scores; None for the plain mean of the best 4%.
        against: for G_e against a common best: shape [n], the scores of the setup that sets it, of
            the same configurations and seeds, in the same order; b, and `best`, are then of those.

    Returns:
        For each of `points` its interval.

    Raises:
        ValueError: for arguments outside these ranges, or a `best` of another number of trials.
    """
    # Sorted, so that the order of the trials cannot matter.
    sample = np.sort(checked_in(unit, "scores", scores))
    setter = sample
    if against is not None:
        sample, setter = checked_in(unit, "scores", scores), checked_in(unit, "against", against)
        checked_length("against", len(setter), len(sample))
        order = np.lexsort((setter, sample))
        sample, setter = sample[order], setter[order]
    _check(points, level, best, len(sample))
    sd = _noise(noise_sd, unit, best)
    n, point, tie = len(sample), point_of(unit), tie_of(unit, sample)
    drawn = generator.integers(n, size=(resamples, n))
    resampled = sample[drawn]
    setters = resampled if against is None else setter[drawn]
    b, resampled_b, allowance = _levels(setter, setters, best, sd, generator)
    smear = _Smear(sample, b, tie, sd, generator) if best is not None and best.retrained else None
    method = _method("Wilson with the effective n of a bootstrap", best, sd / point)

    def ends(margin: float, shift: float = 0.0) -> tuple[float, float]:
        share = float(_share(sample, b - margin, tie))
        spread = float(np.var(_share(resampled, resampled_b - margin, tie)))
        binomial = share * (1 - share)
        # Where every resample agrees, or all is good, n itself bounds what is known.
        effective = min(n, binomial / spread) if binomial > 0 and spread > 0 else n
        return wilson_ends(min(1.0, max(0.0, share + shift)), effective, level)

    def interval(margin: float) -> Interval:
        estimate = float(_share(sample, b - margin, tie))
        if smear is None:
            low, high = ends(margin)[0], ends(margin + allowance)[1]
        else:
            gain = smear.gain(margin)
            low = ends(margin - sd / 2, -max(0.0, gain))[0]
            high = ends(margin + allowance, max(0.0, -gain))[1]
        return Interval(estimate, low, high, level, method)

    return {e: interval(e * point) for e in points}


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Good fractions of setup A minus those of setup B, on the same configurations and seeds.

    Attributes:
        n: configurations.
        b_a, b_b: each setup's best level, in the score's unit.
        own: for each e in points, the difference with each against its own best, in [-1, 1].
        common: the same with both against the higher of the two bests.
        only: for each e, the shares of configurations that are good in A alone and in B alone, each
            against its own best; their difference is `own`.
    """

    n: int
    b_a: float
    b_b: float
    own: Mapping[float, Interval]
    common: Mapping[float, Interval]
    only: Mapping[float, tuple[float, float]] = field(default_factory=dict)


def paired_difference(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    noise_sd: float | None = None,
    resamples: int = RESAMPLES,
    unit: float | None = None,
    best_a: BestLevel | None = None,
    best_b: BestLevel | None = None,
) -> PairedDifference:
    """Differences of good fractions, A minus B, by a paired bootstrap that recomputes b.

    The estimate is the difference of the two shares. The interval is Student's t around it, with
    the bootstrap's standard error, or that of Agresti and Min (2005) for paired proportions at
    fixed b where it is larger; it is computed without and with the allowance for seed noise in
    both arms (see `good_fractions`), and reaches from the lower to the higher of the ends.

    Approximate. In simulation at n = 80 and 256 the 95% intervals cover a difference of 0 between
    equal setups 95% to 100% of the time, and a true difference of G_2 88% to 100% (each against
    its own best) or 85% to 98% (against the common best); docs/statistics.md has the rest, and
    where G_1 fails. With both bests retrained, 93% or more (own) and 86% or more (common) for every
    e (docs/statistics-sensitivity.md).

    Args:
        scores_a: shape [n], scores of i.i.d. random configurations under A; see `good_fractions`.
        scores_b: shape [n], of the same configurations and seeds, in the same order, under B.
        generator: see `good_fractions`.
        points: see `good_fractions`.
        level: see `good_fractions`.
        noise_sd: see `good_fractions`; by default each arm has that of its own best.
        resamples: see `good_fractions`.
        unit: see `good_fractions`.
        best_a: A's best, see `good_fractions`.
        best_b: B's best; retrained where A's is, as a common best of one that has luck in it and
            one that has not would be neither.

    Raises:
        ValueError: for arguments outside their ranges or samples of unequal size.
    """
    a, b = checked_in(unit, "scores_a", scores_a), checked_in(unit, "scores_b", scores_b)
    checked_length("scores_b", len(b), len(a))
    n = len(a)
    bests = (best_a, best_b)
    for best in bests:
        _check(points, level, best, n)
    sds = [_noise(noise_sd, unit, best) for best in bests]
    if len({best is not None and best.retrained for best in bests}) > 1:
        raise ValueError("best_a and best_b must be retrained both or neither; found one")
    # Sorted together, so that the order of the configurations cannot matter.
    both = np.stack([a, b])[:, np.lexsort((b, a))]
    point, tie = point_of(unit), tie_of(unit, both)
    resampled = both[:, generator.integers(n, size=(resamples, n))]
    levels = [
        _levels(row, rows, best, sd, generator)
        for row, rows, best, sd in zip(both, resampled, bests, sds, strict=True)
    ]
    own_b, own_resampled_b = np.array([x[0] for x in levels]), np.stack([x[1] for x in levels])
    common_b, common_resampled_b = (
        np.broadcast_to(values.max(axis=0), values.shape) for values in (own_b, own_resampled_b)
    )
    allowances = np.array([x[2] for x in levels])
    # The allowance of a common best is that of the arm which sets it.
    common_allowance = np.full(2, allowances[int(own_b.argmax())])
    # Half the noise upwards for the common of two retrained bests; see good_fractions.
    upwards = [np.full(2, -max(sds) / 2)] if best_a is not None and best_a.retrained else []
    method = _method("t with the standard error of a paired bootstrap", best_a, max(sds) / point)
    t = float(stats.t.isf((1 - level) / 2, max(1, n - 1)))

    def interval(e: float, best: Floats, resampled_best: Floats, *extra: Floats) -> Interval:
        estimate = _difference(both, best - e * point, tie)
        ends = []
        for margins in (np.full(2, e * point), *(e * point + more for more in extra)):
            centre = _difference(both, best - margins, tie)
            spread = np.var(_difference(resampled, resampled_best - margins[:, None], tie))
            good = both >= (best - margins - tie)[:, None]
            only_a, only_b = int((good[0] & ~good[1]).sum()), int((good[1] & ~good[0]).sum())
            floor = _agresti_min_variance(only_a, only_b, n)
            half = t * math.sqrt(max(float(spread), floor))
            ends += [float(centre) - half, float(centre) + half]
        return Interval(float(estimate), max(-1, min(ends)), min(1, max(ends)), level, method)

    def alone(e: float) -> tuple[float, float]:
        good = both >= (own_b - e * point - tie)[:, None]
        return float((good[0] & ~good[1]).mean()), float((good[1] & ~good[0]).mean())

    return PairedDifference(
        n,
        float(own_b[0]),
        float(own_b[1]),
        {e: interval(e, own_b, own_resampled_b, allowances) for e in points},
        {e: interval(e, common_b, common_resampled_b, common_allowance, *upwards) for e in points},
        {e: alone(e) for e in points},
    )


class _Smear:
    """What noise in the scores does to the share above a line."""

    def __init__(
        self, sample: Floats, b: float, tie: float, noise_sd: float, generator: np.random.Generator
    ) -> None:
        half = generator.normal(0.0, noise_sd, (100, len(sample)))
        self._noisy = sample + np.concatenate([half, -half])
        self._sample, self._b, self._tie = sample, b, tie

    def gain(self, margin: float) -> float:
        """What the share gains, on average, when noise is added to every score once more."""
        line = self._b - margin
        noisy = float(_share(self._noisy, line, self._tie).mean())
        return noisy - float(_share(self._sample, line, self._tie))


def _levels(
    sample: Floats,
    resampled: Floats,
    best: BestLevel | None,
    noise_sd: float,
    generator: np.random.Generator,
) -> tuple[float, Floats, float]:
    """The b of a sample and of its resamples, and by how much luck may have raised it."""
    plain, moved = float(best_levels(sample)), best_levels(resampled)
    if best is None or not best.retrained:
        return plain, moved, noise_allowance(np.sort(sample), noise_sd, generator)
    seeds = generator.normal(0.0, best.standard_error, len(moved))
    return best.value, best.value + (moved - plain) + seeds, best.bias * FLAT_GAIN


def _check(points: Sequence[float], level: float, best: BestLevel | None, n: int) -> None:
    checked_level(level)
    if not (len(points) and all(0 <= point < math.inf for point in points)):
        raise ValueError(f"points must be finite numbers of points >= 0; found {points}")
    if best is not None and best.n != n:
        raise ValueError(f"best must be of the {n} trials in scores; found one of {best.n}")


def _noise(noise_sd: float | None, unit: float | None, best: BestLevel | None) -> float:
    """The seed noise: as given, else that of `best`, else half a point."""
    return checked_noise(best.noise_sd if noise_sd is None and best else noise_sd, unit)


def _method(how: str, best: BestLevel | None, noise_points: float) -> str:
    """How an interval was found, for a reader; noise in points."""
    if best is None or not best.retrained:
        return f"{how} that recomputes b; " + (
            ("upper end " if how.startswith("Wilson") else "")
            + f"allows for seed noise of {noise_points:g} points; approximate"
            if noise_points > 0
            else "seed noise is not known, and nothing is allowed for it; approximate"
        )
    return f"{how} around a retrained b; allows for the measured seed noise; approximate"


def _share(scores: Floats, thresholds: Floats | float, tie: float = TIE) -> Floats:
    """Share of scores [..., n] that reach their thresholds [...], ties included."""
    reached = scores >= np.asarray(thresholds)[..., None] - tie
    return np.asarray(reached.mean(axis=-1))


def _difference(scores: Floats, thresholds: Floats, tie: float) -> Floats:
    """A's share minus B's: scores [2, ..., n], thresholds [2, ...] to [...]."""
    shares = _share(scores, thresholds, tie)
    return np.asarray(shares[0] - shares[1])


def _agresti_min_variance(only_a: int, only_b: int, n: int) -> float:
    """Variance of a difference of paired proportions, half a pair added to each cell."""
    a, b, m = only_a + 0.5, only_b + 0.5, n + 2
    return ((a + b) - (a - b) ** 2 / m) / m**2
