"""Trials of any source as one table: what the readers return, and what they share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsuite.checks import UserError, refuse
from hpsuite.foreign.request import Dimension, Direction, Request

if TYPE_CHECKING:
    import pandas as pd

# The bootstraps of so many take a minute and 3 GB; of more, a random part says as much.
MOST_TRIALS = 100_000
# So many names are shown where one of them is to be chosen.
MOST_SHOWN = 20


@dataclass(frozen=True)
class Table:
    """Trials as a source gives them.

    Attributes:
        frame: a row a trial, with the columns that are asked for, or more; its index is how the
            source counts or names them, each once.
        source: where it came from, in words.
        place: what the index counts: lines or rows of a file, trials of a study, runs.
        score: the column of the score, where the source has one by nature.
        direction: of that score.
        dimensions: hyperparameters that the source declares, with their ranges.
        notes: what a reader should know of them.
        stepped: those of `dimensions` that take the values of a grid, whatever their scale.
    """

    frame: "pd.DataFrame"
    source: str
    place: str = "row"
    score: str | None = None
    direction: Direction | None = None
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stepped: frozenset[str] = frozenset()


def wanted_columns(request: Request) -> list[str]:
    """The columns that a request names, where the source has no score or space of its own.

    Raises:
        UserError: a request without a score.
    """
    if request.score is None:
        raise UserError("score: found nothing; accepted: a column's name, as in score=accuracy")
    named = [request.score, *(request.params or {})]
    return named + [c for c in (request.group, request.test_score) if c is not None]


def check_columns(request: Request, there: Sequence[str], columns: Iterable[str]) -> None:
    """Check that columns are there, and once.

    Raises:
        UserError: naming the key that asks for the first that is not.
    """
    for column in columns:
        if there.count(column) == 0:
            raise refuse(key_of(request, column), column, f"a column: {shown(there)}")
        if there.count(column) > 1:
            found = f"{there.count(column)} columns of the name {column!r}"
            raise UserError(f"{key_of(request, column)}: found {found}; accepted: one")


def check_rows(request: Request, n: int) -> None:
    """Check that there are trials, and not too many.

    Raises:
        UserError: none, or more than `MOST_TRIALS`.
    """
    if n == 0:
        raise refuse("trials", request.trials, "a source with at least one trial")
    if n > MOST_TRIALS:
        accepted = f"{MOST_TRIALS:,} or fewer; a random part of them says as much"
        raise UserError(f"trials: found more than {MOST_TRIALS:,} trials; accepted: {accepted}")


def key_of(request: Request, column: str) -> str:
    """The key by which a request names a column."""
    for key in ("score", "group", "test_score"):
        if getattr(request, key) == column:
            return key
    return "params"


def counted(n: int, noun: str) -> str:
    """So many of them, in words."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def shown(names: Sequence[str]) -> str:
    """Names to choose from."""
    text = ", ".join(str(name) for name in names[:MOST_SHOWN])
    left = len(names) - MOST_SHOWN
    return f"{text} and {left} more" if left > 0 else text or "none"
