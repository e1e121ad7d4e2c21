"""A sample of trials as importance wants it: checked, sorted, repeated configurations known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_finite, checked_length

Ints = npt.NDArray[np.int64]

# A hyperparameter of at most this many values is taken value by value; one of more is taken as
# continuous, for each of its values would have too few trials.
MAX_LEVELS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """n trials of d hyperparameters, the best first.

    Attributes:
        units: shape [n, d], in [0, 1].
        scores: shape [n], descending; higher is better.
        levels: length d; the number of values of a hyperparameter that is taken value by value,
            None for one that is taken as continuous.
        groups: shape [n], in 0..n_groups-1. Trials of one group are trials of one configuration,
            which tell less together than as many of different ones.
    """

    units: Floats
    scores: Floats
    levels: tuple[int | None, ...]
    groups: Ints

    @property
    def n(self) -> int:
        """Number of trials."""
        return len(self.units)

    @property
    def d(self) -> int:
        """Number of hyperparameters."""
        return len(self.levels)

    @property
    def n_groups(self) -> int:
        """Number of different configurations."""
        return int(self.groups.max()) + 1

    @property
    def group_units(self) -> Floats:
        """The configuration of each group, shape [n_groups, d]."""
        units = np.empty((self.n_groups, self.d))
        units[self.groups] = self.units
        return units

    def varying(self) -> npt.NDArray[np.bool_]:
        """Which hyperparameters have more than one value in the sample, shape [d]."""
        return np.asarray(np.ptp(self.units, axis=0) > 0)


def checked_sample(
    units: npt.ArrayLike, scores: npt.ArrayLike, levels: Sequence[int | None] | None = None
) -> Sample:
    """A table of trials, checked, in an order that does not depend on that of the trials.

    Where some hyperparameter is continuous, trials whose units are all the same are repeats of
    one configuration, and form a group. Where all have few values, equal trials are what a random
    sample of such a space looks like, and each is a group of its own.

    Args:
        units: shape [n, d], each hyperparameter on its proper scale mapped to [0, 1]; the value
            i of m values is (i + .5) / m.
        scores: shape [n], finite, higher is better.
        levels: length d, the number of values of each hyperparameter, None for a continuous one;
            by default all are continuous.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    table = checked_units(units)
    n, d = table.shape
    values = checked_finite("scores", scores)
    checked_length("units", n, len(values))
    known = _checked_levels(levels, d)
    # The last key counts first.
    order = np.lexsort((*table.T[::-1], -values))
    table, values = table[order], values[order]
    discrete = tuple(
        m if m is not None and m <= MAX_LEVELS and _on_levels(table[:, j], m) else None
        for j, m in enumerate(known)
    )
    groups = np.arange(n)
    if None in known:
        _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
        # Numbered in the order of their best trials.
        groups = np.argsort(np.argsort(first))[inverse.reshape(-1)]
    return Sample(table, values, discrete, groups.astype(np.int64))


def checked_units(units: npt.ArrayLike) -> Floats:
    """Configurations as a float64 array [n, d], n and d >= 1, in [0, 1].

    Raises:
        ValueError: for another shape, or values outside that range.
    """
    table = np.asarray(units, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"units must have 2 axes, none empty; found shape {table.shape}")
    wrong = table[~((table >= 0) & (table <= 1))]
    if wrong.size:
        raise ValueError(
            f"units must be in [0, 1]; found {wrong.size} others, the first {wrong[0]}"
        )
    return table


def checked_names(names: Sequence[str], d: int) -> tuple[str, ...]:
    """Names of d hyperparameters, or ValueError where they are not d different ones."""
    if isinstance(names, str) or len(names) != d or len(set(names)) != d:
        raise ValueError(f"names must be {d} different ones, one a column of units; found {names}")
    return tuple(names)


def _checked_levels(levels: Sequence[int | None] | None, d: int) -> tuple[int | None, ...]:
    if levels is None:
        return (None,) * d
    if len(levels) != d or not all(m is None or m >= 1 for m in levels):
        raise ValueError(
            f"levels must be {d} numbers of values, at least 1, or None; found {list(levels)}"
        )
    return tuple(levels)


def _on_levels(column: Floats, m: int) -> bool:
    """Whether all values are middles of m cells; those of a log scale of integers are not."""
    place = column * m - 0.5
    return bool(np.allclose(place, np.round(place), atol=1e-6))
