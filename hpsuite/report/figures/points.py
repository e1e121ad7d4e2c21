"""What is shown of a search in two hyperparameters: its points, over what to expect there."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.report.axes import Axis, Floats


@dataclass(frozen=True, eq=False)
class Points:
    """The points that one strategy tried in one repeat.

    Attributes:
        name: the strategy's.
        x, y: shape [n], values of the two hyperparameters in order of trial.
        scores: shape [n], shown where the pointer is; empty where unknown.
        rounds: shape [n], the round of each point, from 0; all 0 for a strategy without rounds.
    """

    name: str
    x: Floats
    y: Floats
    scores: Floats
    rounds: npt.NDArray[np.int_]

    def __post_init__(self) -> None:
        assert self.x.shape == self.y.shape == self.rounds.shape, self.name
        assert self.scores.shape in (self.x.shape, (0,)), self.name


@dataclass(frozen=True, eq=False)
class Response:
    """What scores to expect: on a grid, or of the trials of a reference sample.

    Attributes:
        x, y: shapes [a] and [b], a grid's values in ascending order; or both [n].
        scores: shape [b, a], or [n].
    """

    x: Floats
    y: Floats
    scores: Floats

    def __post_init__(self) -> None:
        grid = self.scores.shape == (len(self.y), len(self.x))
        assert grid or self.scores.shape == self.x.shape == self.y.shape

    @property
    def is_grid(self) -> bool:
        """Whether it is a grid."""
        return self.scores.ndim == 2


@dataclass(frozen=True, eq=False)
class SampledPoints:
    """Where each strategy looked.

    Attributes:
        title, note: above and below the picture.
        x, y: the axes of the two hyperparameters.
        score: what the response is in; its low and high are the ends of the colours.
        response: what scores to expect; None for none.
        good_level: scores of at least this are good, and outlined; nan for none.
        strategies: one panel each.
        good: what counts as good ("within 2 points of the best").
    """

    title: str
    x: Axis
    y: Axis
    score: Axis
    strategies: tuple[Points, ...]
    response: Response | None = None
    good_level: float = math.nan
    good: str = ""
    note: str = ""


def distinct_values(values: Floats) -> Floats:
    """The values that differ by more than rounding."""
    found = np.unique(values[np.isfinite(values)])
    if len(found) < 2:
        return found
    far = np.diff(found) > 1e-9 * np.maximum(np.abs(found[1:]), np.abs(found[:-1]))
    apart: Floats = found[np.concatenate([[True], far])]
    return apart


def counted(points: Points) -> str:
    """How many points, and how many distinct values of each hyperparameter."""
    across, up = distinct_values(points.x), distinct_values(points.y)
    return f"{len(points.x)} points, {len(across)} x {len(up)} values"
