"""Whether the optimum lies at the edge of a range, so that better may lie beyond it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Bools, Floats, checked_length, checked_level, checked_scores

Counts = npt.NDArray[np.intp]

# The best tenth of the trials, and ranges in fifths: so that 128 trials have 13 to place.
TOP = 0.1
PARTS = 5
# An optimum inside the outer fifth is told from one at its end by the same test of its two halves.
INSIDE = 0.05


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the best trials lie in one hyperparameter's range.

    Attributes:
        name: of the hyperparameter.
        side: the end of the range at which the optimum lies; None where it does not, or where
            that cannot be told.
        n_top: how many trials are the best tenth, ties included.
        low_share, high_share: shares of those in the lowest and the highest part of the range.
        p_low, p_high: p-values of the one-sided tests, uncorrected; nan where there is nothing to
            test.
        reason: why nothing was tested, for a reader; empty where it was.
    """

    name: str
    side: Literal["low", "high"] | None
    n_top: int
    low_share: float
    high_share: float
    p_low: float
    p_high: float
    reason: str


def edges(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    names: Sequence[str],
    levels: Sequence[int | None],
    *,
    ordered: Sequence[bool] | None = None,
    level: float = 0.95,
) -> tuple[Edge, ...]:
    """For each hyperparameter, whether the optimum lies at an end of its range.

    A range is cut into fifths, on its own scale, or into its values where it has fewer. The
    optimum lies at an end if the best tenth of the trials are a larger share of those in the part
    at that end than in any other, and significantly larger than in the part beside it: Fisher's
    exact test, one-sided, at (1 - level) / 2 over the number of hyperparameters tested, so that a
    flat space is called so with a chance of at most 1 - level in all (Bonferroni). It does not
    where they are clearly fewer in the outermost tenth than in the tenth beside it (p < .05).

    In simulation an optimum in the outer twentieth of the range of one of two hyperparameters was
    called so in nine of ten samples of 256 trials, and in one of five of 64; one a fifth of the
    range away from its end in 2% or less, unless it lay on a cliff within that fifth
    (docs/statistics-sensitivity.md). So None does not say that the range is wide enough.

    Args:
        units: shape [n, d], i.i.d. random configurations, each column in [0, 1] on its own scale.
        scores: shape [n], finite scores, higher is better; a failed trial's is its failure score.
        names: of the d columns.
        levels: number of values of each column, None where it is continuous.
        ordered: which columns have an order; all by default. A choice has none, and no edge.
        level: in (0, 1).

    Raises:
        ValueError: for arguments outside these ranges, or of lengths that do not fit.
    """
    points = np.asarray(units, dtype=np.float64)
    if points.ndim != 2 or points.size == 0 or not ((points >= 0) & (points <= 1)).all():
        raise ValueError(f"units must be [n, d] in [0, 1]; found shape {points.shape}")
    values = checked_scores("scores", scores)
    checked_length("units", len(points), len(values))
    checked_level(level)
    d = points.shape[1]
    has_order = [True] * d if ordered is None else list(ordered)
    for name, given in (("names", names), ("levels", levels), ("ordered", has_order)):
        if len(given) != d:
            raise ValueError(f"{name} must have one entry for each of {d}; found {len(given)}")
    n = len(values)
    top = values >= np.sort(values)[n - max(1, round(TOP * n))]
    reasons = [_why_not(top, points[:, j], levels[j], has_order[j]) for j in range(d)]
    alpha = (1 - level) / 2 / max(1, reasons.count(""))
    return tuple(
        _edge(names[j], *_cut(points[:, j], levels[j], top), alpha=alpha, reason=reasons[j])
        for j in range(d)
    )


def _why_not(top: Bools, column: Floats, levels: int | None, ordered: bool) -> str:
    """Why a column has no edge to test; empty where it has."""
    if not ordered:
        return "a choice has no order"
    if len(np.unique(column)) < 3 or (levels is not None and levels < 3):
        return "fewer than 3 values"
    if 2 * int(top.sum()) > len(top):
        return "more than half of the trials are as good as the best tenth"
    return ""


@dataclass(frozen=True, slots=True)
class _Parts:
    """How many trials there are in each part of a range, and how many of the best tenth."""

    count: Counts
    good: Counts

    @classmethod
    def of(cls, column: Floats, parts: int, top: Bools) -> Self:
        part = np.minimum((column * parts).astype(np.intp), parts - 1)
        return cls(np.bincount(part, minlength=parts), np.bincount(part[top], minlength=parts))

    def p_value(self, at: int, by: int) -> float:
        """Fisher's exact p-value for more of the best in one part than in another."""
        both = int(self.count[at] + self.count[by])
        best = int(self.good[at] + self.good[by])
        return float(stats.hypergeom.sf(self.good[at] - 1, both, int(self.count[at]), best))

    def leads(self, at: int) -> bool:
        """Whether no part has a larger share of its trials among the best."""
        rates = self.good / np.maximum(1, self.count)
        return bool(rates[at] >= rates.max())


def _cut(column: Floats, levels: int | None, top: Bools) -> tuple[_Parts, _Parts]:
    """A range in fifths and in tenths, or in its values where it has fewer."""
    fifths, tenths = (
        _Parts.of(column, most if levels is None else min(most, max(1, levels)), top)
        for most in (PARTS, 2 * PARTS)
    )
    return fifths, tenths


def _edge(name: str, fifths: _Parts, tenths: _Parts, *, alpha: float, reason: str) -> Edge:
    n_top = int(fifths.good.sum())
    low_share, high_share = (float(fifths.good[at]) / n_top for at in (0, -1))
    if reason:
        nan = float("nan")
        return Edge(name, None, n_top, low_share, high_share, nan, nan, reason)
    last, outermost = len(fifths.good) - 1, len(tenths.good) - 1
    p_low, p_high = fifths.p_value(0, 1), fifths.p_value(last, last - 1)
    side: Literal["low", "high"] | None = None
    if p_low < alpha and fifths.leads(0) and tenths.p_value(1, 0) >= INSIDE:
        side = "low"
    elif (
        p_high < alpha and fifths.leads(last) and tenths.p_value(outermost - 1, outermost) >= INSIDE
    ):
        side = "high"
    return Edge(name, side, n_top, low_share, high_share, p_low, p_high, reason)
