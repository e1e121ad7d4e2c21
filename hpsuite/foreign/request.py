"""What is asked of a foreign table: where it lies, and what its columns mean."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from annotated_types import Gt, Le

from hpsuite.checks import UserError, build, checked, refuse
from hpsuite.space import SCALES, Scale

Points = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class Request:
    """What to read, and how.

    Attributes:
        trials: a CSV, Parquet or JSON-lines file; the address of an Optuna storage (with `study`);
            or `mlflow:EXPERIMENT`.
        study: name of the Optuna study; None takes the only one.
        score: the column of the score; None takes an Optuna study's own value.
        direction: whether a higher or a lower score is better; None takes an Optuna study's own,
            else maximize.
        params: column -> scale, or column -> {scale, low, high}; empty takes an Optuna study's own.
            Without low and high the range is that of the values seen.
        points: what counts as close to the best, in the score's unit, > 0.
        group: the column by which trials are compared; None for none.
        test_score: the column of the score on test data; None for none.
        failure_score: what a trial without a finite score counts as; None takes the worst score of
            the others.
        sampled: `random` where configurations were drawn at random, each hyperparameter on the
            scale given; `unknown` puts a warning beside every figure that needs it.
        rows: most rows that are read.
    """

    trials: str
    study: str | None = None
    score: str | None = None
    direction: Literal["maximize", "minimize"] | None = None
    params: Mapping[str, object] | None = None
    points: Points | None = None
    group: str | None = None
    test_score: str | None = None
    failure_score: float | None = None
    sampled: Literal["random", "unknown"] = "unknown"
    rows: Annotated[int, Gt(0), Le(10_000_000)] = 1_000_000


KEYS = tuple(f.name for f in fields(Request))


@dataclass(frozen=True)
class Dimension:
    """What the user says of one column.

    Attributes:
        scale: as in a search space.
        low, high: its range; None takes the values seen.
    """

    scale: Scale
    low: float | None = None
    high: float | None = None


def parse_request(given: Mapping[str, object]) -> Request:
    """A request, checked as far as it can be without the table.

    Args:
        given: the keys of `Request`.

    Raises:
        UserError: on the first mistake.
    """
    request = build("", Request, given)
    if request.points is None:
        raise refuse("points", None, "what counts as close, in the score's unit, as in points=0.02")
    parse_dimensions(request.params or {})
    return request


def parse_dimensions(params: Mapping[str, object]) -> dict[str, Dimension]:
    """The columns of hyperparameters, with their scales.

    Raises:
        UserError: a scale that there is not, or a range without one of its ends.
    """
    dimensions = {}
    for column, said in params.items():
        key = f"params.{column}"
        if isinstance(said, str) and said not in SCALES:
            raise refuse(key, said, ", ".join(SCALES))
        entry = {"scale": said} if isinstance(said, str) else said
        if not isinstance(entry, Mapping):
            raise refuse(key, entry, f"a scale ({', '.join(SCALES)}), or scale, low and high")
        dimension = build(key, Dimension, entry)
        if (dimension.low is None) != (dimension.high is None):
            raise UserError(f"{key}: found one of low and high; accepted: both or neither")
        if dimension.low is not None and dimension.scale == "choice":
            raise refuse(key, dict(entry), "a choice without low and high")
        dimensions[column] = dimension
    return dimensions


def checked_text(key: str, value: object) -> str:
    """A value that must be text."""
    text: str = checked(key, str, value)
    return text
