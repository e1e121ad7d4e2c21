"""How stable the input of a nonlinearity is over training.

Shapes: m evaluations, and the 15th, 50th and 85th percentile at each.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Movement:
    """How far the distribution moves, in units of its own width; all >= 0, nan for fewer than two.

    The width is half the distance from the 15th to the 85th percentile, which is about a standard
    deviation, averaged over the evaluations.

    Attributes:
        step: mean distance of the median from one evaluation to the next.
        range: from the lowest median to the highest.
    """

    step: float
    range: float


def movement(course: npt.ArrayLike) -> Movement:
    """How far a distribution moves over training.

    Args:
        course: [m, 3], percentiles at each evaluation, ascending in each.

    Raises:
        ValueError: for another shape, or values that are not finite.
    """
    table = np.asarray(course, np.float64)
    if table.ndim != 2 or table.shape[1] != 3 or not np.isfinite(table).all():
        raise ValueError(f"course must be [m, 3] and finite; found {table.shape}")
    low, middle, high = table.T
    if len(table) < 2 or not (high - low).any():
        return Movement(float("nan"), float("nan"))
    width = float((high - low).mean()) / 2
    return Movement(float(np.abs(np.diff(middle)).mean()) / width, float(np.ptp(middle)) / width)
