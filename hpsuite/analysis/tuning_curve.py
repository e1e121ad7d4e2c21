"""What k random trials reach: tuning curves, the test score of what is selected, trials needed.

All of it holds for the best of k i.i.d. draws, so for random search alone: not for the trials of
TPE or of a grid. docs/statistics-sensitivity.md has the measured coverage.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.bands import Bands, Cache, band_limits
from hpsuite.analysis.checks import Floats, checked_length, checked_level, checked_scores
from hpsuite.analysis.good_fraction import RESAMPLES
from hpsuite.analysis.intervals import Interval

KS = range(1, 65)
# Resamples and groups of equal scores are held at once for about this many numbers.
_BLOCK = 2_000_000
_NEVER = 1e-16


@dataclass(frozen=True, slots=True)
class TuningCurve:
    """The best of k random trials, for each k, in the score's unit.

    Attributes:
        ks: numbers of trials.
        n: trials that it is estimated from.
        expected: expected best of k, unbiased (Tang et al. 2020); nan for k > n.
        expected_biased: the same, biased downwards (Dodge et al. 2019), for every k.
        median: median best of k, of the empirical distribution.
        low, high: band around `median`, or around `expected` where `band_of` says so; it holds
            for all k at once. Infinite where the sample says nothing, as above its own best.
        band_of: which curve the band is of.
        level: of the band, in (0, 1).
        method: how the band was found, for a reader.
    """

    ks: tuple[int, ...]
    n: int
    expected: tuple[float, ...]
    expected_biased: tuple[float, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    band_of: Literal["median", "expected"]
    level: float
    method: str


def tuning_curve(
    scores: npt.ArrayLike,
    *,
    ks: Iterable[int] = KS,
    bands: Bands = "ks",
    band_of: Literal["median", "expected"] = "median",
    bounds: tuple[float, float] = (-math.inf, math.inf),
    level: float = 0.95,
    cache: Cache | None = None,
) -> TuningCurve:
    """The tuning curve of n i.i.d. random trials, with a simultaneous band.

    With y_1 <= ... <= y_n the sorted scores, the expected best of k is estimated without bias by
    the mean over all subsets of size k, sum_i C(i - 1, k - 1) / C(n, k) y_i (Tang et al. 2020), and
    by the mean over samples drawn with replacement, sum_i ((i / n)^k - ((i - 1) / n)^k) y_i (Dodge
    et al. 2019).

    The band follows from one for the distribution function F of the scores (Lourie et al. 2024):
    where L <= F <= U everywhere, the best of k, whose distribution function is F^k, has quantiles
    and an expectation between those of U^k and of L^k. `ks` inverts the Kolmogorov-Smirnov test:
    immediate, and wide at the top, where the curve is. `tight` is the band of Learned-Miller and
    DeStefano (2008) with equal tails, by opda's simulation: 2 s at n = 64, 15 s at 256, 37 s at
    512, minutes and n * .8 MB of memory beyond; the second time at the same n and level it takes
    none. Both are exact for continuous scores and conservative where there are ties.

    The median is finite for more k than the expectation, whose band needs `bounds` on both sides.

    Args:
        scores: shape [n], finite scores of i.i.d. random configurations, higher is better.
        ks: numbers of trials, >= 1.
        bands: which band.
        band_of: which curve it is of.
        bounds: what a score can be at all, (0, 1) for accuracies; infinite where unknown.
        level: of the band, in (0, 1).
        cache: where the limits of `tight` bands are looked up and left, as plain numbers under
            plain text, so that a caller can keep them; within a process they are kept anyway.

    Raises:
        ValueError: for arguments outside these ranges, or scores outside `bounds`.
    """
    sample = np.sort(checked_scores("scores", scores))
    numbers = _checked_ks(ks)
    checked_level(level)
    if not bounds[0] <= sample[0] <= sample[-1] <= bounds[1]:
        raise ValueError(f"scores must be within bounds, {bounds}; found {sample[[0, -1]]}")
    if band_of not in ("median", "expected"):
        raise ValueError(f"band_of must be median or expected; found {band_of!r}")
    n = len(sample)
    lower, upper = band_limits(n, level, bands, cache)
    # Between the i-th score and the next, F lies between lower[i] and upper[i].
    above, below = np.append(sample, bounds[1]), np.insert(sample, 0, bounds[0])
    of = _quantile if band_of == "median" else _expectation
    low = [of(upper, below, k) for k in numbers]
    high = [of(np.append(lower[1:], 1.0), above, k) for k in numbers]
    name = "Kolmogorov-Smirnov" if bands == "ks" else "Learned-Miller and DeStefano, equal tails"
    share = np.arange(1, n + 1) / n
    return TuningCurve(
        ks=tuple(numbers),
        n=n,
        expected=tuple(_weighted(expected_weights(n, k), sample) for k in numbers),
        expected_biased=tuple(_expectation(share, sample, k) for k in numbers),
        median=tuple(_quantile(share, sample, k) for k in numbers),
        low=tuple(low),
        high=tuple(high),
        band_of=band_of,
        level=level,
        method=f"simultaneous band of the {band_of} best of k i.i.d. trials, from opda: {name}",
    )


@dataclass(frozen=True, slots=True)
class SelectedCurve:
    """The test score of what validation selects among k random trials, for each k.

    Attributes:
        ks: numbers of trials.
        n: trials that it is estimated from.
        expected: the expected test score, unbiased; nan for k > n.
        low, high: the ends of an interval for each k by itself: not a simultaneous band.
        level: nominal confidence level of each, in (0, 1).
        method: how the ends were found, for a reader.
    """

    ks: tuple[int, ...]
    n: int
    expected: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float
    method: str


def selected_curve(
    scores: npt.ArrayLike,
    tests: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    ks: Iterable[int] = KS,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> SelectedCurve:
    """The expected test score of the trial that validation selects among k.

    The estimate is the mean, over all subsets of size k, of the test score of the one with the
    best validation score, ties sharing it evenly: in closed form, as a trial's chance of being
    selected follows from its rank.

    The interval reaches over two: Student's t with the standard error of a bootstrap over
    (validation, test) pairs and n / k - 1 degrees of freedom, but at least 1, as the best of k is
    seen n / k times only; and the bootstrap's percentiles. Each resample draws k with replacement.
    Approximate: in simulation at n = 128 and 256 the 95% intervals cover 93% or more for every k,
    and at n = 32 and 64 too but where failures are too rare to be seen (80% at k = 1); they are
    wide from k = n / 2 on (docs/statistics-sensitivity.md).

    Args:
        scores: shape [n], finite validation scores of i.i.d. random configurations, higher is
            better.
        tests: shape [n], their test scores, in the same order.
        generator: draws the resamples.
        ks: numbers of trials, >= 1.
        bounds: what a test score can be at all, (0, 1) for accuracies; the ends are clipped to it.
        level: nominal confidence level, in (0, 1).
        resamples: bootstrap resamples, >= 2.

    Raises:
        ValueError: for arguments outside these ranges, or of unequal lengths.
    """
    val, test = checked_scores("scores", scores), checked_scores("tests", tests)
    checked_length("tests", len(test), len(val))
    numbers = _checked_ks(ks)
    checked_level(level)
    n = len(val)
    # Sorted together, so that the order of the trials cannot matter.
    order = np.lexsort((test, val))
    val, test = val[order], test[order]
    # Trials of equal validation scores share what falls to them.
    starts = np.flatnonzero(np.append(True, val[1:] > val[:-1]))
    sizes = np.diff(np.append(starts, n))
    means = np.add.reduceat(test, starts) / sizes
    expected = [
        _weighted(np.add.reduceat(expected_weights(n, k), starts), means) if k <= n else math.nan
        for k in numbers
    ]
    method = (
        "t with the standard error of a bootstrap over (validation, test) pairs and n / k - 1 "
        "degrees of freedom, and its percentiles; for each k by itself; approximate"
    )
    if n == 1:
        nans = (math.nan,) * len(numbers)
        return SelectedCurve(
            tuple(numbers), n, tuple(expected), nans, nans, level, "one trial: no interval"
        )
    drawn = _resampled_curves(test, starts, numbers, generator, resamples)
    tail = (1 - level) / 2
    t = stats.t.isf(tail, np.maximum(1.0, n / np.array(numbers) - 1))
    half = t * drawn.std(axis=0, ddof=1)
    quantiles = np.quantile(drawn, [tail, 1 - tail], axis=0)
    # Where k > n the estimate is nan, and so are the ends.
    centre = np.array(expected)
    low = np.minimum(np.minimum(centre - half, centre), quantiles[0] + 0 * centre)
    high = np.maximum(np.maximum(centre + half, centre), quantiles[1] + 0 * centre)
    low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    return SelectedCurve(
        tuple(numbers),
        n,
        tuple(expected),
        tuple(low.tolist()),
        tuple(high.tolist()),
        level,
        method,
    )


def trials_needed(good_fraction: Interval, chance: float = 0.95) -> Interval:
    """How many random trials find a good one with a given chance: ln(1 - chance) / ln(1 - G).

    Args:
        good_fraction: G, the share of the space that is good, in [0, 1], with its interval.
        chance: in (0, 1).

    Returns:
        Whole numbers of trials, rounded up, the ends from those of G: 1 where all of the space is
        good, inf where G = 0, so that the upper end is inf wherever the interval of G reaches 0.
        (summary.json, which has no inf, writes null.)

    Raises:
        ValueError: for a chance or a G outside these ranges.
    """
    if not 0 < chance < 1:
        raise ValueError(f"chance must be in (0, 1), .95 for 95%; found {chance}")

    def needed(share: float) -> float:
        if math.isnan(share):
            return math.nan
        if not 0 <= share <= 1:
            raise ValueError(f"good_fraction must be in [0, 1]; found {share}")
        if share in (0.0, 1.0):
            return 1.0 if share else math.inf
        trials = math.log1p(-chance) / math.log1p(-share)
        # What is a whole number but for rounding stays it.
        return max(1.0, math.ceil(trials - 1e-9 * trials))

    return Interval(
        needed(good_fraction.estimate),
        needed(good_fraction.high),
        needed(good_fraction.low),
        good_fraction.level,
        f"from that of the good fraction ({good_fraction.method})",
    )


def expected_weights(n: int, k: int) -> Floats:
    """The chance that each of n sorted trials is the best of k, C(i - 1, k - 1) / C(n, k); n >= k.

    Returns nan where k > n.
    """
    if k > n:
        return np.full(n, math.nan)
    # From the best down: k / n, and each next one by the ratio of its binomial coefficients.
    i = np.arange(n, 1, -1)
    ratios = np.maximum(0, i - k) / (i - 1)
    return np.asarray((k / n * np.cumprod(np.append(1.0, ratios)))[::-1])


def _quantile(cdf: Floats, values: Floats, k: int) -> float:
    """Median of the best of k, where the distribution function steps to cdf[i] at values[i]."""
    # Half a rounding below, so that a step to just the quantile counts.
    return float(values[np.searchsorted(cdf, 0.5 ** (1 / k) * (1 - 1e-15))])


def _expectation(cdf: Floats, values: Floats, k: int) -> float:
    """Expected best of k, where the distribution function steps to cdf[i] at values[i]."""
    return _weighted(np.diff(cdf**k, prepend=0.0), values)


def _weighted(weights: Floats, values: Floats) -> float:
    """Sum of weights times values, where an infinite value of no weight counts nothing."""
    return float(np.sum(weights * np.where(weights == 0, 0.0, values)))


def _resampled_curves(
    test: Floats,
    starts: npt.NDArray[np.intp],
    ks: Sequence[int],
    generator: np.random.Generator,
    resamples: int,
) -> Floats:
    """Curves [resamples, K] of resamples of trials sorted by validation score."""
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more; found {resamples}")
    n = len(test)
    rows = max(1, _BLOCK // n)
    curves = []
    for done in range(0, resamples, rows):
        count = min(rows, resamples - done)
        drawn = generator.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
        sizes = np.add.reduceat(times, starts, axis=1)
        sums = np.add.reduceat(times * test, starts, axis=1)
        means = sums / np.maximum(1, sizes)
        share = np.cumsum(sizes, axis=1) / n
        power, reached, first, block = np.ones_like(share), 0, 0, {}
        highest = share.max(axis=0)
        for k in sorted(set(ks)):
            # Groups so low that none is ever the best of k are left out from here on.
            gone = int(np.searchsorted(highest, _NEVER ** (1 / k))) - first
            power, first = power[:, gone:], first + gone
            power = power * share[:, first:] ** (k - reached)
            reached = k
            chances = np.diff(power, axis=1, prepend=0.0)
            block[k] = (chances * means[:, first:]).sum(axis=1)
        curves.append(np.stack([block[k] for k in ks], axis=1))
    return np.concatenate(curves)


def _checked_ks(ks: Iterable[int]) -> list[int]:
    numbers = list(ks)
    if not numbers or any(k != int(k) or k < 1 for k in numbers):
        raise ValueError(f"ks must be whole numbers of trials >= 1; found {numbers}")
    return [int(k) for k in numbers]
