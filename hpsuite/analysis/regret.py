"""What not tuning costs: the best that a setup can do minus what it does untuned.

As tunability in Probst et al. (2019), with three references: the median and the mean of random
configurations, and the setup's own default. docs/statistics-sensitivity.md has the measured bias
and coverage.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.best import (
    FLAT_GAIN,
    BestLevel,
    best_levels,
    checked_in,
    checked_noise,
    estimate_best,
)
from hpsuite.analysis.checks import Floats, checked_length, checked_level, checked_scores
from hpsuite.analysis.good_fraction import RESAMPLES
from hpsuite.analysis.intervals import Interval, variance, wilson_ends

NO_DEFAULT = "no default was given"


@dataclass(frozen=True, slots=True)
class Regret:
    """The best minus what is done untuned, in the score's unit.

    Attributes:
        n: configurations in the sample.
        median: b - the median configuration's score.
        mean: b - the mean score of all configurations: what picking one at random costs.
        default: b - the default configuration's score (tunability); nan where none was given.
            Negative where the default is better than the best 4% of the sample.
    """

    n: int
    median: Interval
    mean: Interval
    default: Interval


def regret(
    scores: npt.ArrayLike,
    default: npt.ArrayLike | None = None,
    *,
    generator: np.random.Generator,
    best: BestLevel | None = None,
    noise_sd: float | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    unit: float | None = None,
) -> Regret:
    """The regret of a reference sample of n i.i.d. random configurations.

    b's standard error is that of a bootstrap, in which it moves as the plain mean of the best 4%
    does, with the error of its seeds where it was retrained; its luck (`BestLevel.bias`) lowers
    the lower ends. For the median, its order statistics' interval is combined with b's error, and
    what noise does to b minus the median is found by adding it once more. For the mean, the
    regret's share of the distance from the lowest score to b has Wilson's interval with the
    effective n of the bootstrap, which allows for failures that are rare. For the default, Welch's
    degrees of freedom. Regrets against the median and the mean are at least 0.

    Approximate. In simulation at n = 80 and 256 the 95% interval against the mean covers 92% or
    more of the time; against the median 94% or more, but as little as 41% (76% with b retrained)
    where most of the space is good and the regret is within the noise; against the default 88% or
    more with 5 seeds of it. With one seed it covers as little as 54%, as a poor default varies more
    than a good one (docs/statistics-sensitivity.md). Below 6 trials the median has no ends.

    Args:
        scores: shape [n], higher is better: accuracies in [0, 1], or any finite numbers where
            `unit` is given; a failed trial's is its failure score.
        default: the default configuration's score, or [s] of them with fresh seeds; of a single
            one the error is the seed noise.
        generator: draws the resamples and the noise.
        best: from `estimate_best` on the same scores; None for the plain mean of the best 4%.
        noise_sd: see `good_fractions`; by default that of `best`.
        level: nominal confidence level, in (0, 1).
        resamples: bootstrap resamples.
        unit: see `good_fractions`.

    Raises:
        ValueError: for arguments outside these ranges, or a `best` of another number of trials.
    """
    sample = np.sort(checked_in(unit, "scores", scores))
    n = len(sample)
    checked_level(level)
    if best is None:
        best = estimate_best(sample, generator=generator, noise_sd=noise_sd, unit=unit)
    checked_length("best", best.n, n)
    sd = checked_noise(best.noise_sd if noise_sd is None else noise_sd, unit)
    defaults = None if default is None else checked_scores("default", np.atleast_1d(default))
    resampled = sample[generator.integers(n, size=(resamples, n))]
    moved = best.value + best_levels(resampled) - float(best_levels(sample))
    if best.retrained:
        moved = moved + generator.normal(0.0, best.standard_error, resamples)
    half = generator.normal(0.0, sd, (100, n))
    noisy = sample + np.concatenate([half, -half])
    return Regret(
        n=n,
        median=_median(sample, noisy, moved, best, level),
        mean=_mean(sample, resampled, moved, best, level),
        default=_default(defaults, moved, best, sd, level),
    )


def _median(
    sample: Floats, noisy: Floats, moved: Floats, best: BestLevel, level: float
) -> Interval:
    n, middle = len(sample), float(np.median(sample))
    estimate = best.value - middle
    # The ends of the median's own interval are the j-th scores from either side.
    j = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
    if j == 0:
        return Interval(estimate, math.nan, math.nan, level, f"{n} trials: too few for a median")
    # What noise adds, as estimated where it is added once more.
    shift = (middle - float(np.median(noisy, axis=1).mean())) / FLAT_GAIN + best.bias
    error = float(stats.norm.isf((1 - level) / 2)) * float(moved.std())
    low = estimate - math.hypot(sample[n - j] - middle, error) - max(0.0, shift)
    high = estimate + math.hypot(middle - sample[j - 1], error) + max(0.0, -shift)
    method = (
        "order statistics of the median with b's bootstrap error; allows for noise; approximate"
    )
    return Interval(estimate, min(estimate, max(0.0, low)), high, level, method)


def _mean(
    sample: Floats, resampled: Floats, moved: Floats, best: BestLevel, level: float
) -> Interval:
    estimate = best.value - float(sample.mean())
    spread = float(np.var(moved - resampled.mean(axis=1)))
    reach = best.value - float(sample[0])
    method = "Wilson with the effective n of a bootstrap that recomputes b; approximate"
    if not 0 < estimate < reach or spread == 0:
        nan = math.nan
        return Interval(estimate, nan, nan, level, "b is not above the mean: no interval")
    share = estimate / reach
    low, high = wilson_ends(share, share * (1 - share) * reach**2 / spread, level)
    low = max(0.0, low * reach - max(0.0, best.bias))
    return Interval(estimate, min(estimate, low), high * reach, level, method)


def _default(
    defaults: Floats | None, moved: Floats, best: BestLevel, noise_sd: float, level: float
) -> Interval:
    n, nan = best.n, math.nan
    if defaults is None:
        return Interval(nan, nan, nan, level, NO_DEFAULT)
    seeds, estimate = len(defaults), best.value - float(defaults.mean())
    if n == 1:
        return Interval(estimate, nan, nan, level, "one trial: no interval")
    own = float(np.var(moved))
    theirs = variance(defaults) / seeds if seeds > 1 else noise_sd**2
    df = math.inf
    if own + theirs > 0:
        shares = np.array([own, theirs]) / (own + theirs)
        # A single seed's error is the noise, which counts as known.
        df = 1 / float((shares**2 / np.array([n - 1, seeds - 1 if seeds > 1 else math.inf])).sum())
    half = float(stats.t.isf((1 - level) / 2, df)) * math.sqrt(own + theirs)
    method = f"Welch t of b's bootstrap error and {seeds} seeds of the default; approximate"
    return Interval(estimate, estimate - half - max(0.0, best.bias), estimate + half, level, method)
