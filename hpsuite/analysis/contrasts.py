"""Sums and differences of several figures: differences of differences, means over setups.

"Batch norm matters less with Adam" is a claim on a difference of differences: the effect of batch
norm with SGD minus its effect with Adam. It is a statistic of its own, with an interval of its own;
that one effect is significant and the other is not says nothing of it (Gelman and Stern 2006).
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import checked_finite, checked_level
from hpsuite.analysis.intervals import Interval, mean_t, t_quantile, variance, welch

Pairing = Literal["none", "within", "all"]
EVERYWHERE = (-math.inf, math.inf)


def contrast_of_means(
    groups: Sequence[npt.ArrayLike], weights: Sequence[float], level: float = 0.95
) -> Interval:
    """Weighted sum of the means of independent groups, variances allowed to differ.

    Student's t with the degrees of freedom of Satterthwaite (1946); with weights 1 and -1 it is
    Welch's interval.

    Args:
        groups: arrays of shape [R_i], independent repeats of each group.
        weights: one finite number a group, such as (1, -1, -1, 1).
        level: confidence level, in (0, 1).

    Returns:
        The interval; its ends are nan where a group of weight other than 0 has one repeat.

    Raises:
        ValueError: for no groups, unequal numbers, values or weights that are not finite, or a
            level outside its range.
    """
    arrays = [np.sort(checked_finite(f"groups[{i}]", group)) for i, group in enumerate(groups)]
    factors = checked_finite("weights", weights)
    checked_level(level)
    if len(arrays) != len(factors):
        raise ValueError(f"weights must be one a group ({len(arrays)}); found {len(factors)}")
    used = [(array, float(w)) for array, w in zip(arrays, factors, strict=True) if w != 0]
    estimate = float(sum(w * array.mean() for array, w in used))
    method = "Satterthwaite t"
    if any(len(array) == 1 for array, _ in used):
        return Interval(estimate, math.nan, math.nan, level, method)
    parts = [w * w * variance(array) / len(array) for array, w in used]
    total = sum(parts)
    if total == 0:
        return Interval(estimate, estimate, estimate, level, method)
    # As shares of the sum, so that squares of tiny variances do not underflow.
    shares = [part / total for part in parts]
    df = 1 / sum(
        share**2 / (len(array) - 1) for share, (array, _) in zip(shares, used, strict=True)
    )
    half = t_quantile(level, df) * math.sqrt(total)
    return Interval(estimate, estimate - half, estimate + half, level, method)


def difference_of_differences(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    a_other: npt.ArrayLike,
    b_other: npt.ArrayLike,
    *,
    paired: Pairing,
    level: float = 0.95,
) -> Interval:
    """(mean(a) - mean(b)) - (mean(a_other) - mean(b_other)): how much less the effect is there.

    Args:
        a, b: shapes [R_a], [R_b], one figure a repeat with and without what is studied.
        a_other, b_other: the same under the other condition.
        paired: which repeats share their seeds, and so have one length. `none`: none do. `within`:
            a with b, and a_other with b_other. `all`: all four.
        level: confidence level, in (0, 1).

    Returns:
        Satterthwaite's t, Welch's t of two samples of differences, or Student's t of one sample
        of double differences. Its ends are nan where a sample has one repeat.

    Raises:
        ValueError: for values that are not finite, pairs of unequal number, another pairing, or a
            level outside its range.
    """
    named = {"a": a, "b": b, "a_other": a_other, "b_other": b_other}
    groups = {name: checked_finite(name, group) for name, group in named.items()}
    lengths = {name: len(group) for name, group in groups.items()}
    one, two, three, four = groups.values()
    if paired == "none":
        return contrast_of_means([one, two, three, four], [1, -1, -1, 1], level)
    if paired not in ("within", "all"):
        raise ValueError(f"paired must be 'none', 'within' or 'all'; found {paired!r}")
    if len(one) != len(two) or len(three) != len(four):
        raise ValueError(f"a and b must have as many repeats, and so must the others: {lengths}")
    if paired == "within":
        return welch(np.sort(one - two), np.sort(three - four), level)
    if len(one) != len(three):
        raise ValueError(f"all four must have as many repeats where paired is 'all': {lengths}")
    return mean_t(np.sort((one - two) - (three - four)), level, EVERYWHERE)


def combined(intervals: Sequence[Interval], weights: Sequence[float]) -> Interval:
    """Weighted sum of independent figures, each with an interval of its own, of any method.

    The method of variance estimates recovery (Zou and Donner 2008; Newcombe 1998 for the
    difference of two shares): each end is as far from the sum as the root of the sum of squares of
    the distances, times weights, of the ends on that side. Intervals may be skewed. For figures
    that are positively correlated and differenced (all on the same configurations, say) it is too
    wide; then a paired statistic says more.

    Args:
        intervals: of one level, with finite ends; at least one.
        weights: one finite number an interval: (1, -1) for a difference, 1/M each for a mean.

    Raises:
        ValueError: for no intervals, unequal numbers, levels that differ, or figures that are not
            finite.
    """
    factors = checked_finite("weights", weights)
    if len(intervals) != len(factors):
        raise ValueError(
            f"weights must be one an interval ({len(intervals)}); found {len(factors)}"
        )
    levels = {interval.level for interval in intervals}
    if len(levels) > 1:
        raise ValueError(f"intervals must have one level; found {sorted(levels)}")
    ends = np.array([(i.estimate, i.low, i.high) for i in intervals])
    if not np.isfinite(ends).all():
        raise ValueError(f"intervals must have finite estimates and ends; found {ends.tolist()}")
    estimate, low, high = ends.T * factors
    # A negative weight turns an interval round.
    below, above = estimate - np.minimum(low, high), np.maximum(low, high) - estimate
    centre = math.fsum(estimate)
    return Interval(
        centre,
        centre - math.sqrt(math.fsum(below**2)),
        centre + math.sqrt(math.fsum(above**2)),
        levels.pop(),
        "variance estimates recovered from " + ", ".join(sorted({i.method for i in intervals})),
    )
