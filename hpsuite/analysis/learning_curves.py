"""Learning curves compared: the score after a number of steps, and the steps to a score.

Shapes: R repeats, m evaluations.
"""

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.bounded import bounded_difference, bounded_mean
from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.contrasts import EVERYWHERE
from hpsuite.analysis.intervals import Interval, mean_t, welch


def nearest_evaluation(steps: npt.ArrayLike, at_step: int) -> int:
    """Which evaluation is nearest to a step; the earlier of two that are equally near.

    Args:
        steps: gradient steps before each evaluation, shape [m], ascending.
        at_step: the step asked for.

    Raises:
        ValueError: for no evaluations, or a step after the last one.
    """
    array = checked_finite("steps", steps)
    if at_step > array[-1]:
        raise ValueError(f"at_step must be at most {array[-1]:.0f}, the last; found {at_step}")
    return int(np.abs(array - at_step).argmin())


def difference_of_repeats(
    a: npt.ArrayLike, b: npt.ArrayLike, *, paired: bool, level: float = 0.95
) -> Interval:
    """Mean of A minus mean of B over repeats: Student's t of the pairs, or Welch's.

    Args:
        a, b: [R] each; Welch's takes unequal numbers.
        paired: whether repeat i of both has the same seed.
        level: confidence level, in (0, 1).
    """
    if not paired:
        return welch(a, b, level)
    apart = checked_finite("a", a) - checked_finite("b", b)
    return mean_t(np.sort(apart), level, EVERYWHERE)


def steps_to(steps: npt.ArrayLike, scores: npt.ArrayLike, target: float) -> float:
    """Steps until an evaluation first has the target score or more; the last step where none does.

    Args:
        steps: [m], ascending.
        scores: [m].
        target: in the scores' unit.
    """
    array, found = checked_finite("steps", steps), np.asarray(scores, np.float64)
    reached = np.flatnonzero(found >= target)
    return float(array[reached[0]] if len(reached) else array[-1])


def fewer_steps(
    a: npt.ArrayLike, b: npt.ArrayLike, ends: tuple[float, float], level: float = 0.95
) -> Interval:
    """Mean steps of A minus mean steps of B, of repeats that may be censored at the last step.

    Censored at different steps, a longer run would seem slower: both sides have the same budget,
    or are cut to the shorter one before. Bounded in [0, end], see `bounded.bounded_difference`,
    which does not use that repeats are paired; approximate with few of them
    (docs/statistics-verdicts.md).

    Args:
        a, b: [R], steps of each repeat (`steps_to`).
        ends: the first and the last step that can be: 0, or the first evaluation; the budget.
        level: confidence level, in (0, 1).
    """
    checked_level(level)
    return bounded_difference(a, b, *ends, level)


def mean_steps(values: npt.ArrayLike, ends: tuple[float, float], level: float = 0.95) -> Interval:
    """Mean steps of repeats that may be censored: see `fewer_steps`."""
    return bounded_mean(values, *ends, level)


def mean_band(scores: Floats, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Mean over repeats at each evaluation, with a pointwise t interval: [R, m] to [m] each."""
    found = [mean_t(np.sort(column), level, EVERYWHERE) for column in scores.T]
    mean, low, high = (
        np.array([getattr(i, end) for i in found]) for end in ("estimate", "low", "high")
    )
    return mean, low, high
