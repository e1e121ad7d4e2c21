"""How many trials a search needs until it has found a good configuration.

T is the number of the first trial, counted from 1, whose score reaches b - e. A repeat that never
does is censored: its T exceeds n. All repeats are censored at the same n, so the Kaplan-Meier
estimate (1958) of P(T <= k) is the plain share of repeats that have reached it, and each figure
below is free of any assumption on the shape of T.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.best import TIE
from hpsuite.analysis.bounded import bounded_mean
from hpsuite.analysis.checks import Floats, checked_level, checked_number, checked_table
from hpsuite.analysis.intervals import Interval, wilson, wilson_ends
from hpsuite.analysis.order_statistics import quantile


@dataclass(frozen=True, slots=True)
class TrialsToGood:
    """Trials until the best so far reaches a threshold, over R repeats of n trials.

    Attributes:
        threshold: b - margin, in the scores' unit.
        repeats, n: R and n.
        reached: share of repeats that reach it within n trials; Wilson.
        restricted_mean: mean of min(T, n), in trials: trials spent by somebody who stops at the
            first good one or at the end of the budget (`bounded_mean`); all of [1, n] for one
            repeat.
        median: of T, in trials, by order statistics. inf where fewer than half of the repeats
            reach the threshold, an end inf where it lies beyond the budget; ends nan for fewer
            than 6 repeats at 95%.
        share, share_low, share_high: for k = 1..n, the share of repeats with T <= k, and its
            Wilson ends, pointwise.
    """

    threshold: float
    repeats: int
    n: int
    reached: Interval
    restricted_mean: Interval
    median: Interval
    share: tuple[float, ...]
    share_low: tuple[float, ...]
    share_high: tuple[float, ...]


def trials_to_good(
    scores: npt.ArrayLike, b: float, *, margin: float = 0.02, level: float = 0.95
) -> TrialsToGood:
    """Trials until b - margin is reached.

    Args:
        scores: shape [R, n], final scores of R repeats of n trials, in order of trial number;
            any unit, higher is better.
        b: the best that the setup can do, found independently of these repeats.
        margin: in the scores' unit, >= 0.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for scores that are not finite or not [R, n], or arguments out of range.
    """
    table = checked_table("scores", scores, 2)
    checked_level(level)
    repeats, n = table.shape
    first = first_good(table, b, margin)
    ends = [wilson_ends(float(np.mean(first <= k)), repeats, level) for k in range(1, n + 1)]
    return TrialsToGood(
        threshold=b - margin,
        repeats=repeats,
        n=n,
        reached=wilson(int(np.isfinite(first).sum()), repeats, level),
        restricted_mean=_restricted(np.minimum(first, n), n, level),
        median=quantile(first, 0.5, level),
        share=tuple(float(np.mean(first <= k)) for k in range(1, n + 1)),
        share_low=tuple(low for low, _ in ends),
        share_high=tuple(high for _, high in ends),
    )


def _restricted(times: Floats, n: int, level: float) -> Interval:
    if n == 1:
        return Interval(1.0, 1.0, 1.0, level, "a budget of one trial")
    return bounded_mean(times, 1.0, float(n), level)


def first_good(scores: Floats, b: float, margin: float) -> Floats:
    """T of each repeat, counted from 1; inf where it never comes: [R, n] to [R].

    Raises:
        ValueError: for a b or margin out of range.
    """
    checked_number("b", b)
    checked_number("margin", margin, at_least=0)
    good = scores >= b - margin - tie_width(b, margin)
    return np.where(good.any(axis=1), good.argmax(axis=1) + 1.0, math.inf)


def tie_width(b: float, margin: float) -> float:
    """How far below b - margin still counts as on it: rounding of float32 scores, in any unit."""
    return TIE * max(abs(b), abs(margin))
