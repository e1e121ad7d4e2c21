"""The mean score along one hyperparameter, or over a pair, for drawing.

What a reader sees in such a curve is one number per cell: the mean of the score over the cell
and over all values of the other hyperparameters, failed trials included. It is the mean of the
cell's trials, or, steadier, that of their `adjusted` responses, from which a forest takes what
it knows of the other hyperparameters (see `fanova`); both have the same expectation where the
sample is uniform.

A cell's interval is Student's t over its trials, and approximate: beside a cliff nearly all trials
of a cell may have the same score, and those that fell down it be in none of a small sample. In
simulation cells cover 94% on average where the response is smooth, and where two fifths of the
space are beyond a cliff 82% (docs/statistics-importance.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_level
from hpsuite.analysis.fanova import standardized
from hpsuite.analysis.forest import FOLDS, grow
from hpsuite.analysis.sample import Ints, Sample, checked_sample

CELLS, GRID_CELLS = 16, 8
Method = Literal["adjusted", "plain"]
# Of 95% intervals, in simulation (docs/statistics-importance.md).
INTERVAL = (
    "t interval for each cell by itself; approximate, covers 93% on average, 82% beside a cliff"
)


@dataclass(frozen=True, slots=True)
class MarginalCurve:
    """The mean score in cells along one hyperparameter.

    Attributes:
        edges: shape [C + 1], the cells' edges in [0, 1].
        mean: shape [C], in the score's unit; nan in a cell without trials.
        low, high: shape [C], a t interval for each cell by itself; nan in a cell with fewer than
            two configurations.
        n: shape [C], trials.
        level: confidence level of each cell's interval.
        method: how it was found, for a reader.
    """

    edges: Floats
    mean: Floats
    low: Floats
    high: Floats
    n: Ints
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class MarginalGrid:
    """The mean score in cells of a pair of hyperparameters.

    Attributes:
        edges: for each of the two the cells' edges in [0, 1], shapes [A + 1] and [B + 1].
        mean: shape [A, B], in the score's unit; nan in a cell without trials.
        low, high: shape [A, B], as those of a curve.
        n: shape [A, B], trials.
        level: confidence level of each cell's interval.
        method: how it was found, for a reader.
    """

    edges: tuple[Floats, Floats]
    mean: Floats
    low: Floats
    high: Floats
    n: Ints
    level: float
    method: str


def marginal_curve(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    column: int,
    *,
    generator: np.random.Generator,
    levels: Sequence[int | None] | None = None,
    cells: int = CELLS,
    method: Method = "adjusted",
    level: float = 0.95,
) -> MarginalCurve:
    """The mean score along one hyperparameter.

    Args:
        units: see `checked_sample`.
        scores: see `checked_sample`.
        column: which hyperparameter.
        generator: draws the forest of `adjusted`.
        levels: see `checked_sample`; one that has few values has a cell for each.
        cells: equal cells of a continuous hyperparameter, >= 1.
        method: `plain`, the mean of a cell's trials, or `adjusted`.
        level: confidence level of each cell's interval, in (0, 1).

    Raises:
        ValueError: for arguments outside these ranges.
    """
    sample = checked_sample(units, scores, levels)
    _check(sample, (column,), cells, method, level)
    responses, words = _responses(sample, (column,), method, generator)
    cell, edges = _cells(sample, column, cells)
    mean, low, high, n = _cell_means(sample, cell, len(edges) - 1, responses, level)
    return MarginalCurve(edges, mean, low, high, n, level, words)


def marginal_grid(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    columns: tuple[int, int],
    *,
    generator: np.random.Generator,
    levels: Sequence[int | None] | None = None,
    cells: int = GRID_CELLS,
    method: Method = "adjusted",
    level: float = 0.95,
) -> MarginalGrid:
    """The mean score over a pair of hyperparameters; arguments as those of `marginal_curve`.

    Raises:
        ValueError: for arguments outside these ranges, or the same column twice.
    """
    sample = checked_sample(units, scores, levels)
    _check(sample, columns, cells, method, level)
    responses, words = _responses(sample, columns, method, generator)
    (first, edges), (second, other) = (_cells(sample, c, cells) for c in columns)
    shape = (len(edges) - 1, len(other) - 1)
    mean, low, high, n = _cell_means(
        sample, first * shape[1] + second, math.prod(shape), responses, level
    )
    return MarginalGrid(
        edges=(edges, other),
        mean=mean.reshape(shape),
        low=low.reshape(shape),
        high=high.reshape(shape),
        n=n.reshape(shape),
        level=level,
        method=words,
    )


def _check(sample: Sample, columns: tuple[int, ...], cells: int, method: str, level: float) -> None:
    if len(set(columns)) < len(columns) or not all(0 <= c < sample.d for c in columns):
        raise ValueError(f"column must be in 0..{sample.d - 1}, once each; found {columns}")
    if cells < 1:
        raise ValueError(f"cells must be at least 1; found {cells}")
    if method not in ("adjusted", "plain"):
        raise ValueError(f"method must be adjusted or plain; found {method}")
    checked_level(level)


def _responses(
    sample: Sample, columns: tuple[int, ...], method: Method, generator: np.random.Generator
) -> tuple[Floats, str]:
    """What is averaged in each cell, and how in words."""
    y = sample.scores
    if method == "plain":
        return y, f"mean of the cell's trials; {INTERVAL}"
    words = f"mean of forest-adjusted trials; {INTERVAL}"
    if sample.n_groups < FOLDS or y[0] == y[-1]:
        return y, f"{words}; too few trials to adjust"
    forest = grow(sample, standardized(y), generator=generator)
    beyond = forest.marginals(sample.units, *columns) - forest.predictions(sample.units)
    return y + float(y.std()) * beyond, words


def _cells(sample: Sample, column: int, cells: int) -> tuple[Ints, Floats]:
    """The cell of each trial, and the cells' edges."""
    count = sample.levels[column] or cells
    place = np.minimum((sample.units[:, column] * count).astype(np.int64), count - 1)
    return place, np.linspace(0, 1, count + 1)


def _cell_means(
    sample: Sample, cell: Ints, cells: int, responses: Floats, level: float
) -> tuple[Floats, Floats, Floats, Ints]:
    """Means, ends and numbers of trials; repeats of one configuration count as one."""
    n = np.bincount(cell, minlength=cells)
    trials = np.bincount(sample.groups)
    group_cell = np.empty(sample.n_groups, dtype=np.int64)
    group_cell[sample.groups] = cell
    values = np.bincount(sample.groups, responses) / trials
    m = np.bincount(group_cell, minlength=cells)
    mean = np.divide(
        np.bincount(group_cell, values, cells), m, out=np.full(cells, np.nan), where=m > 0
    )
    squares = np.bincount(group_cell, (values - mean[group_cell]) ** 2, cells)
    error = np.sqrt(np.divide(squares, m * (m - 1.0), out=np.full(cells, np.nan), where=m > 1))
    half = stats.t.isf((1 - level) / 2, np.maximum(m - 1, 1)) * error
    return mean, mean - half, mean + half, n
