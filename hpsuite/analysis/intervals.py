"""Confidence intervals with a closed form.

Each is for one quantity; ranking.py corrects for comparing many.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_finite, checked_level


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes:
        estimate: the point estimate.
        low, high: the ends, in the estimate's unit; nan where the data cannot tell.
        level: nominal confidence level, in (0, 1).
        method: how the ends were found, for a reader.
    """

    estimate: float
    low: float
    high: float
    level: float
    method: str


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion (Wilson 1927).

    Args:
        successes: in 0..n.
        n: independent trials, >= 1.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for counts or a level outside these ranges.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"successes must be in 0..n and n >= 1; found {successes} of {n}")
    ends = stats.binomtest(int(successes), int(n)).proportion_ci(checked_level(level), "wilson")
    return Interval(successes / n, float(ends.low), float(ends.high), level, "Wilson")


def wilson_ends(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's ends for a share in [0, 1] of an effective sample size n > 0, whole or not.

    The roots of (share - p)^2 = z^2 p (1 - p) / n (Wilson 1927).
    """
    return wilson_roots(share, n, float(stats.norm.isf((1 - level) / 2)))


def wilson_roots(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's ends with any quantile z > 0, such as Student's, in place of the normal one."""
    assert 0 <= share <= 1, share
    assert n > 0, n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # At a share of 0 or 1 one end is exact, which rounding must not push past the share.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def mean_t(
    values: npt.ArrayLike, level: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """Student's t interval for the mean of independent repeats.

    Args:
        values: shape [n], one value a repeat.
        level: confidence level, in (0, 1).
        bounds: what a mean can be at all; the ends are clipped to it.

    Returns:
        The interval; its ends are nan for n = 1.

    Raises:
        ValueError: for no values, values that are not finite, or a level outside its range.
    """
    array = checked_finite("values", values)
    checked_level(level)
    mean, n = float(array.mean()), len(array)
    method = "Student t over repeats"
    if n == 1:
        return Interval(mean, math.nan, math.nan, level, "one repeat: no interval")
    half = float(stats.t.isf((1 - level) / 2, n - 1)) * math.sqrt(variance(array) / n)
    return Interval(
        mean,
        max(bounds[0], min(mean, mean - half)),
        min(bounds[1], max(mean, mean + half)),
        level,
        method,
    )


def welch(a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Welch's t interval for mean(a) - mean(b), unequal variances allowed (Welch 1947).

    Args:
        a: shape [n], independent repeats of the one.
        b: shape [m], independent repeats of the other.
        level: confidence level, in (0, 1).

    Returns:
        The interval; its ends are nan where n or m is 1.

    Raises:
        ValueError: for no values, values that are not finite, or a level outside its range.
    """
    first, second = checked_finite("a", a), checked_finite("b", b)
    checked_level(level)
    difference = float(first.mean() - second.mean())
    if min(len(first), len(second)) == 1:
        return Interval(difference, math.nan, math.nan, level, "Welch t")
    error, df = welch_error(first, second)
    half = float(stats.t.isf((1 - level) / 2, df)) * error if error > 0 else 0.0
    return Interval(difference, difference - half, difference + half, level, "Welch t")


def welch_error(a: Floats, b: Floats) -> tuple[float, float]:
    """Standard error of mean(a) - mean(b) and its degrees of freedom (Satterthwaite 1946).

    Both need at least two values. Where all of a are equal and all of b are, the error is 0 and
    the degrees of freedom are inf.
    """
    assert min(len(a), len(b)) >= 2, (len(a), len(b))
    va, vb = variance(a) / len(a), variance(b) / len(b)
    if va + vb == 0:
        return 0.0, math.inf
    # As shares of the sum, so that squares of tiny variances do not underflow.
    share = va / (va + vb)
    df = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    return math.sqrt(va + vb), df


def t_quantile(level: float, df: float) -> float:
    """How many standard errors Student's t interval reaches; df may be inf."""
    return float(stats.t.isf((1 - level) / 2, df))


def variance(values: Floats) -> float:
    """Unbiased variance of at least two values; exactly 0 where they are all equal."""
    # The rounded mean of equal values can differ from them, which would leave a variance of
    # 1e-34 and an infinitely sure t test.
    return 0.0 if np.ptp(values) == 0 else float(np.var(values, ddof=1))
