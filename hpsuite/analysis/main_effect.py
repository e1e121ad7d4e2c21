"""How much of a response's variance one hyperparameter explains by itself.

With r(z) the mean response of trials whose hyperparameter is z, the main effect is Var r(z), the
first term of the functional analysis of variance. Both PED-ANOVA (the response is 1 among the
best, else 0) and fANOVA (it is the score) ask for it.

Smoothing the responses and taking the variance of the curve finds too much: it counts the noise
of the curve as well. Here a trial's own response is left out of the smooth at its place, a
U-statistic: averaged over trials, response times the smooth of the others' responses has the
expectation of r(z)^2, whatever the noise. What smoothing itself takes away is made a matter of
second order by twicing, 2 S - S^2 instead of a smoother S (Newey, Hsieh and Robins 2004).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import ndtr

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.sample import Ints

# How often each configuration is drawn in each resample, shape [1 + B, n_groups].
Counts = npt.NDArray[np.int16]

# Cells of equal numbers of trials that a continuous hyperparameter is cut into: the fewest with
# which the kernel is no narrower than half a cell.
CELLS = (50, 100, 200)
# Standard deviation of the smoothing kernel, in shares of the trials: .05 at 128 trials, falling
# with the cube root. In simulation its bias stays well under the sampling error at every n
# (docs/statistics-importance.md).
WIDTH, WIDTH_N = 0.05, 128
# Where there is little noise it is narrower, but never under .01 up to 128 trials, falling with
# the square root from there, or half of the narrowest cell. With .01 at every n, the edges of a
# narrow peak cost more than the sampling error; with a trial's width, resamples leave gaps, and
# say too little.
LEAST_WIDTH, NARROWEST = 0.01, 0.5 / CELLS[-1]
# What two cells have in common of a kernel's mass that is taken for nothing.
NEGLIGIBLE = 1e-12
# Numbers held at once, resamples times trials.
BLOCK = 200_000


@dataclass(frozen=True, slots=True)
class Smoother:
    """How responses are averaged along one hyperparameter, or along a pair.

    Attributes:
        cell: shape [m], the cell of each configuration, in 0..C-1.
        kernel: shape [C, C], column a says how a response in cell a is spread; None where each
            cell is averaged by itself.
        cells: C.
    """

    cell: Ints
    kernel: Floats | None
    cells: int

    def explained(self, weights: Floats, sums: Floats) -> Floats:
        """The main effect in each of B weighted samples.

        Args:
            weights: shape [B, m], the weight of each configuration, >= 0.
            sums: shape [B, m], weight times response, the response measured from its weighted
                mean.

        Returns:
            Shape [B], an almost unbiased estimate of Var r(z): below 0 by chance where there is
            no effect.
        """
        return self.explained_in_cells(self.cell_sums(weights, sums))

    def cell_sums(self, weights: Floats, sums: Floats) -> Floats:
        """What `explained` needs of its arguments [B, m]: sums over cells, shape [4, B, C].

        So that many samples can be summed a few at a time, and then explained at once.
        """
        m = len(self.cell)
        place = sparse.csr_matrix((np.ones(m), (np.arange(m), self.cell)), shape=(m, self.cells))
        added = (weights, sums, weights * weights, sums * sums)
        return np.stack([values @ place for values in added])

    def explained_in_cells(self, cell_sums: Floats) -> Floats:
        """`explained`, shape [B], from `cell_sums` [4, B, C]."""
        counts, totals, own_counts, own_totals = cell_sums
        squares, own = self._quadratic(counts, totals)
        n = counts.sum(axis=1)
        # Pairs of different configurations alone: the numerator and its weights lose the rest.
        between = squares - (own_totals * own).sum(axis=1)
        pairs = n - (own_counts * own).sum(axis=1)
        # The mean was estimated from the same responses.
        mean = -own_totals.sum(axis=1) / _positive(n * n - own_counts.sum(axis=1))
        return np.asarray(between / _positive(pairs) - mean)

    def _quadratic(self, counts: Floats, totals: Floats) -> tuple[Floats, Floats]:
        """Totals times their smooth [B], and what a response weighs in its own smooth [B, C]."""
        if self.kernel is None:
            inverse = _inverse(counts)
            return (totals * totals * inverse).sum(axis=1), inverse
        # S between cells: spread, divide by what arrives, gather.
        received = _inverse(counts @ self.kernel.T)
        smoothed = (totals @ self.kernel.T * received) @ self.kernel
        squares = 2 * (totals * smoothed).sum(axis=1) - (smoothed * smoothed * counts).sum(axis=1)
        # Diagonal by diagonal of S, which is symmetric, as far as the kernel reaches.
        own = 2 * (received @ (self.kernel * self.kernel))
        for apart in range(self.cells):
            low, high = slice(0, self.cells - apart), slice(apart, None)
            both = self.kernel[:, low] * self.kernel[:, high]
            if both.max() < NEGLIGIBLE:
                break
            squared = (received @ both) ** 2
            own[:, low] -= squared * counts[:, high]
            if apart:
                own[:, high] -= squared * counts[:, low]
        return squares, own


def fitted_smoother(column: Floats, levels: int | None, weights: Floats, sums: Floats) -> Smoother:
    """The smoother for a hyperparameter, as fine as the responses allow.

    The values of a hyperparameter that has few are averaged each by itself. A continuous one is
    smoothed on the scale of its ranks: there the trials are uniform, whatever they were drawn
    from. A response that is almost a function of it can be followed closely, since there is
    little noise to average: the kernel's width shrinks with the square of the share of the
    response's variance that is left.

    Args:
        column: shape [m], the hyperparameter's values.
        levels: their number, None for a continuous one.
        weights: shape [m], >= 0, not all 0.
        sums: shape [m], weight times response, the response measured from its weighted mean.
    """
    if levels is not None:
        return Smoother(level_cells(column, levels), None, levels)
    n = float(weights.sum())
    # Trials of one configuration count as one.
    configurations = n * n / float(weights @ weights)
    least = max(NARROWEST, LEAST_WIDTH * min(1, math.sqrt(WIDTH_N / configurations)))
    widest = max(least, WIDTH * math.cbrt(WIDTH_N / configurations))
    smoother = _smoother(column, weights, widest)
    responses = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    variance = float(sums @ responses) / n
    if variance <= 0:
        return smoother
    for _ in range(2):
        found = float(smoother.explained(weights[None], sums[None])[0])
        left = 1 - min(1.0, max(0.0, found / variance))
        smoother = _smoother(column, weights, max(least, widest * left * left))
    return smoother


def _smoother(column: Floats, weights: Floats, width: float) -> Smoother:
    """With a kernel of that width, and the fewest cells that it allows."""
    cells = next((cells for cells in CELLS if width >= 0.5 / cells), CELLS[-1])
    return Smoother(rank_cells(column, weights, cells), _kernel(width, cells), cells)


def rank_cells(column: Floats, weights: Floats, cells: int) -> Ints:
    """Cells 0..cells-1 by rank among weighted trials; ties share the middle of their ranks."""
    order = np.argsort(column, kind="stable")
    ordered = column[order]
    reached = np.concatenate([[0.0], np.cumsum(weights[order])])
    low = reached[np.searchsorted(ordered, column, "left")]
    high = reached[np.searchsorted(ordered, column, "right")]
    share: Floats = (low + high) / (2 * reached[-1])
    return np.minimum((share * cells).astype(np.int64), cells - 1)


def level_cells(column: Floats, levels: int) -> Ints:
    """The index of each of `levels` values, (i + .5) / levels, in `column`."""
    return np.minimum((column * levels).astype(np.int64), levels - 1)


def pair_cells(column: Floats, levels: int | None, cells: int) -> tuple[Ints, int]:
    """Cells for one side of a pair, and their number."""
    if levels is not None:
        return level_cells(column, levels), levels
    return rank_cells(column, np.ones(len(column)), cells), cells


def pair_smoother(first: tuple[Ints, int], second: tuple[Ints, int]) -> Smoother:
    """The mean response of each pair of cells; each argument cells [m] and their number."""
    return Smoother(first[0] * second[1] + second[0], None, first[1] * second[1])


def resample_counts(n_groups: int, resamples: int, generator: np.random.Generator) -> Counts:
    """How often each configuration is drawn: the sample itself, then bootstrap resamples.

    Returns:
        Shape [1 + resamples, n_groups]; the first row is all ones.
    """
    drawn = np.ones((1 + resamples, n_groups), dtype=np.int16)
    for i in range(1, 1 + resamples):
        drawn[i] = np.bincount(generator.integers(n_groups, size=n_groups), minlength=n_groups)
    return drawn


def blocks(counts: Counts, n: int) -> Iterator[Floats]:
    """Rows of `counts` as floats, a few at a time, for work on [rows, n] numbers."""
    rows = max(1, BLOCK // n)
    for start in range(0, len(counts), rows):
        yield counts[start : start + rows].astype(np.float64)


def group_sums(values: Floats, groups: Ints, n_groups: int) -> Floats:
    """Sums over the trials of each configuration: [B, n] to [B, n_groups]."""
    n = values.shape[1]
    if n == n_groups and (groups == np.arange(n)).all():
        return values
    member = sparse.csr_matrix((np.ones(n), (np.arange(n), groups)), shape=(n, n_groups))
    return np.asarray(values @ member)


def _kernel(width: float, cells: int) -> Floats:
    """Column a: the mass of a normal around the middle of cell a in each of the cells of [0, 1]."""
    edges = np.linspace(0, 1, cells + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    mass = np.diff(ndtr((edges[:, None] - middles) / width), axis=0)
    return np.asarray(mass / mass.sum(axis=0))


def _inverse(values: Floats) -> Floats:
    """1 / values, and 0 where there is nothing."""
    return np.divide(1, values, out=np.zeros_like(values), where=values > 1e-9)


def _positive(values: Floats) -> Floats:
    """Values that are divided by, nan where they are 0 or less."""
    return np.where(values > 1e-9, values, np.nan)
