"""Quantiles over repeats, with intervals that hold for any distribution.

The ends are values that were seen, chosen by the binomial distribution (David and Nagaraja 2003,
section 7.1). The quantile of a small share cannot be enclosed by few repeats: below the lowest of
30 lies the 5th percentile with probability .21. Where the values cannot tell, the end is nan and
the method says from how many repeats on it is computable.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.intervals import Interval

METHOD = "order statistics"


def quantile(values: npt.ArrayLike, share: float, level: float = 0.95) -> Interval:
    """The value that a given share of repeats stays below, with an exact interval.

    Coverage is at least `level` whatever the distribution, ties included, as each end misses with
    probability (1 - level) / 2 at most.

    Args:
        values: shape [R], one value a repeat; inf and -inf are allowed (a repeat that never got
            there), nan is not.
        share: in (0, 1); .5 for the median.
        level: confidence level, in (0, 1).

    Returns:
        The interval; its estimate is the median-unbiased sample quantile (Hyndman and Fan 1996,
        number 8), an end nan where R repeats cannot tell.

    Raises:
        ValueError: for no values, nan, or a share or level outside its range.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or np.isnan(array).any():
        raise ValueError(f"values must be one axis of numbers; found {array}")
    low, high = quantile_ranks(len(array), share, level)
    ordered = np.sort(array)
    method = METHOD
    if low is None or high is None:
        needed = least_repeats(share, level)
        method += f"; both ends not computable at R = {len(array)}, from R = {needed} on they are"
    return Interval(
        float(sample_quantile(ordered, share)),
        math.nan if low is None else float(ordered[low]),
        math.nan if high is None else float(ordered[high]),
        level,
        method,
    )


def quantile_ranks(n: int, share: float, level: float) -> tuple[int | None, int | None]:
    """Which of n ordered values are the ends, counted from 0; None where there is no such value.

    Raises:
        ValueError: for a share or level outside (0, 1).
    """
    checked_level(level)
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), 0.5 for the median; found {share}")
    tail = (1 - level) / 2
    # Value number i (from 1) lies above the quantile where fewer than i of n fall below it.
    low = int(stats.binom.ppf(tail, n, share))
    high = int(stats.binom.isf(tail, n, share)) + 1
    return (low - 1 if low >= 1 else None), (high - 1 if high <= n else None)


def least_repeats(share: float, level: float) -> int:
    """The fewest repeats with which both ends are computable: (max(share, 1 - share))^n <= tail."""
    tail = (1 - level) / 2
    n = max(1, math.floor(math.log(tail) / math.log(max(share, 1 - share))))
    while None in quantile_ranks(n, share, level):
        n += 1
    return n


def sample_quantile(ordered: Floats, share: float) -> Floats:
    """Quantile number 8 of Hyndman and Fan (1996) along the first axis of sorted values [n, ...].

    Between a finite value and an infinite one it is the infinite one, never nan.
    """
    n = len(ordered)
    place = min(max((n + 1 / 3) * share + 1 / 3 - 1, 0.0), n - 1.0)
    below, weight = int(place), place - int(place)
    low, high = ordered[below], ordered[min(below + 1, n - 1)]
    with np.errstate(invalid="ignore"):
        between = low + weight * (high - low)
    return np.asarray(np.where(np.isinf(low) | (weight == 0), low, between))


def percentile_of_repeats(
    values: npt.ArrayLike, share: float, least: int, level: float = 0.95
) -> Interval:
    """`quantile`, or nan with the reason where there are fewer than `least` repeats.

    Raises:
        ValueError: as `quantile`, and for values that are not finite.
    """
    array = checked_finite("values", values)
    if len(array) >= least:
        return quantile(array, share, level)
    checked_level(level)
    reason = f"not computable at R = {len(array)}: needs {least} repeats"
    return Interval(math.nan, math.nan, math.nan, level, reason)
