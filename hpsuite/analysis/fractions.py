"""Ratios of means, by Fieller's method."""

import math

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.intervals import Interval, t_quantile


def fieller(cost: float, gain: float, covariance: Floats, t: float) -> tuple[float, float]:
    """Ends of cost / gain (Fieller 1954): where cost - r gain is within t standard errors of 0.

    nan where the gain is not t standard errors above 0, as then no ratio can be ruled out.

    Args:
        cost, gain: the estimates.
        covariance: theirs, [2, 2].
        t: the quantile.
    """
    square = gain**2 - t * t * float(covariance[1, 1])
    if not (gain > 0 and square > 0):
        return math.nan, math.nan
    middle = cost * gain - t * t * float(covariance[0, 1])
    rest = cost**2 - t * t * float(covariance[0, 0])
    root = math.sqrt(max(0.0, middle**2 - square * rest))
    return (middle - root) / square, (middle + root) / square


def ratio_of_means(costs: npt.ArrayLike, gains: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Mean of costs divided by the mean of gains, both of the same independent repeats.

    Args:
        costs, gains: [R] each.
        level: confidence level, in (0, 1).

    Returns:
        nan, with the reason, where the mean gain cannot be told from 0, or for one repeat.

    Raises:
        ValueError: for values that are not finite, or of unequal number.
    """
    one, two = checked_finite("costs", costs), checked_finite("gains", gains)
    checked_level(level)
    if one.shape != two.shape:
        raise ValueError(f"costs and gains must be as many; found {len(one)} and {len(two)}")
    nan, n = math.nan, len(one)
    if n < 2:
        return Interval(nan, nan, nan, level, "not computable: one repeat")
    covariance = np.cov(np.stack([one, two])) / n
    low, high = fieller(float(one.mean()), float(two.mean()), covariance, t_quantile(level, n - 1))
    if math.isnan(low):
        reason = f"not computable: the gain, {float(two.mean()):.3g}, may be 0"
        return Interval(nan, nan, nan, level, reason)
    return Interval(float(one.mean() / two.mean()), low, high, level, "Fieller")
