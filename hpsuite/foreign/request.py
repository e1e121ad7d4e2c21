"""What is asked of trials that hpsuite did not make: where they lie, what their columns mean."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from hpsuite.checks import UserError, build, refuse, show
from hpsuite.space import SCALES, Hyperparameter, Scale

Direction = Literal["maximize", "minimize"]
Positive = Annotated[float, Gt(0)]

# No larger number is taken: the figures square their differences.
LARGEST = 1e150
# How `trials` begins where it names an MLflow experiment.
MLFLOW = "mlflow:"


@dataclass(frozen=True)
class Request:
    """What to read, and how.

    Attributes:
        trials: a CSV, Parquet or JSON-lines file; an Optuna storage (a journal file, or an address
            such as sqlite:///study.db); or `mlflow:EXPERIMENT`.
        points: what counts as close to the best, in the score's unit, > 0; or several, ascending.
        study: name of the Optuna study; None takes the only one.
        score: the column of the score; None takes an Optuna study's own value.
        direction: whether a higher or a lower score is better; None takes an Optuna study's own,
            else maximize.
        params: column -> scale, or column -> {scale, low, high}; None takes those of an Optuna
            study. Without low and high the range is that of the study, or of the values seen.
        group: the column by whose values trials are compared; None for one group.
        test_score: the column of the score on test data; None for none.
        failure_score: what a trial without a finite score counts as, in the score's unit; None
            takes the worst score of the others.
        noise: standard deviation over seeds of a good configuration's score, in the score's unit,
            >= 0; None where it is not known: then it is measured where configurations have several
            seeds, and else nothing is allowed for the luck of the best.
        sampled: `random` where configurations were drawn at random, each hyperparameter on the
            scale given; `unknown` puts a warning beside the figures that need it.
    """

    trials: str
    points: Positive | tuple[Positive, ...]
    study: str | None = None
    score: str | None = None
    direction: Direction | None = None
    params: Mapping[str, object] | None = None
    group: str | None = None
    test_score: str | None = None
    failure_score: float | None = None
    noise: Annotated[float, Ge(0)] | None = None
    sampled: Literal["random", "unknown"] = "unknown"

    @property
    def margins(self) -> tuple[float, ...]:
        """What counts as close, ascending, in the score's unit."""
        return self.points if isinstance(self.points, tuple) else (self.points,)

    @property
    def dimensions(self) -> "dict[str, Dimension]":
        """What `params` says, by column; empty where it says nothing."""
        return parse_dimensions(self.params or {})


KEYS = tuple(f.name for f in fields(Request))


@dataclass(frozen=True)
class Dimension:
    """What is said of one hyperparameter.

    Attributes:
        scale: as in a search space.
        low, high: its range, both or neither; None takes the values seen.
    """

    scale: Scale
    low: float | None = None
    high: float | None = None


def parse_request(given: Mapping[str, object]) -> Request:
    """A request, checked as far as it can be without the trials.

    Args:
        given: the keys of `Request`.

    Raises:
        UserError: on the first mistake.
    """
    if given.get("trials") in (None, ""):
        accepted = "a file, the address of an Optuna storage, or mlflow:EXPERIMENT"
        raise UserError(f"trials: found nothing; accepted: {accepted}")
    if given.get("points") is None:
        accepted = "what counts as close to the best, in the score's unit, as in points=0.02"
        raise UserError(f"points: found nothing; accepted: {accepted}")
    request = build("", Request, given)
    margins = request.margins
    if not margins or list(margins) != sorted(set(margins)):
        raise refuse("points", given["points"], "one number above 0, or several, ascending")
    if max(margins) > LARGEST or min(margins) < 1 / LARGEST:
        raise refuse("points", given["points"], f"{1 / LARGEST:g} to {LARGEST:g}")
    written = [(f"{margin:g}", f"{margin / margins[0]:.6g}") for margin in margins]
    for texts in zip(*written, strict=True):
        if len(set(texts)) < len(texts):
            raise refuse("points", given["points"], "numbers that differ in their first 6 digits")
    if request.failure_score is not None and abs(request.failure_score) > LARGEST:
        raise refuse("failure_score", request.failure_score, f"-{LARGEST:g} to {LARGEST:g}")
    parse_dimensions(request.params or {})  # raises what is wrong with it
    _check_columns_differ(request)
    if request.params is None or request.group not in request.params:
        return request
    # Within a group all have the same of it.
    others = {column: said for column, said in request.params.items() if column != request.group}
    if not others:
        accepted = "another column, or more of params"
        raise UserError(
            f"group: found {request.group!r}, the only one of params; accepted: {accepted}"
        )
    return replace(request, params=others)


def _check_columns_differ(request: Request) -> None:
    """Check that no column is two things; the group's may be a hyperparameter, which it replaces.

    Raises:
        UserError: naming the key of the second thing, and the first.
    """
    named = {"score": request.score, "group": request.group, "test_score": request.test_score}
    owners: dict[str, str] = {}
    for key, column in named.items():
        if column is None:
            continue
        other = owners.get(column)
        if key != "group" and column in (request.params or {}):
            other = "params"
        if other is not None:
            found = f"{column!r}, which {other} has too"
            raise UserError(f"{key}: found {found}; accepted: each column for one thing")
        owners[column] = key


def parse_dimensions(params: Mapping[str, object]) -> dict[str, Dimension]:
    """The columns of hyperparameters, with their scales.

    Raises:
        UserError: a scale that there is not, or a range that is none.
    """
    dimensions = {}
    for column, said in params.items():
        key = f"params.{column}"
        if isinstance(said, str) and said not in SCALES:
            raise refuse(key, said, ", ".join(SCALES))
        entry = {"scale": said} if isinstance(said, str) else said
        if not isinstance(entry, Mapping):
            raise refuse(key, said, f"a scale ({', '.join(SCALES)}), or scale, low and high")
        if "scale" not in entry and not set(entry) <= {"low", "high"}:
            dotted = ", ".join(
                f"{typed(name)}: {show(inner)}" for name, inner in _dotted(column, entry)
            )
            accepted = "scale, low and high; of columns with dots in their names: "
            raise refuse(key, entry, f"{accepted}params={{{dotted.replace(chr(39), '')}}}")
        dimension = build(key, Dimension, {str(name): value for name, value in entry.items()})
        if (dimension.low is None) != (dimension.high is None):
            raise UserError(f"{key}: found one of low and high; accepted: both or neither")
        if dimension.low is not None and dimension.scale == "choice":
            raise refuse(key, entry, "a choice without low and high")
        if dimension.low is not None and dimension.high is not None:
            ends = (dimension.low, dimension.high)
            for end, value in zip(("low", "high"), ends, strict=True):
                if abs(value) > LARGEST:
                    raise refuse(f"{key}.{end}", value, f"-{LARGEST:g} to {LARGEST:g}")
            hyperparameter(column, dimension.scale, *ends)
        dimensions[column] = dimension
    return dimensions


def hyperparameter(column: str, scale: Scale, low: float, high: float) -> Hyperparameter:
    """A hyperparameter with a range.

    Raises:
        UserError: a range that is none, or none of the scale.
    """
    try:
        return Hyperparameter(column, scale, low, high)
    except ValueError as error:
        raise UserError(str(error).replace("space.", "params.", 1)) from error


def typed(column: str) -> str:
    """A column's name as a key on the command line, where spaces and signs have a backslash."""
    return re.sub(r"([\\\s()\[\]{}:=,])", r"\\\1", column)


def _dotted(column: str, said: object) -> Iterator[tuple[str, object]]:
    """Names with dots, which the command line takes for keys within keys, and what is said."""
    if isinstance(said, Mapping) and "scale" not in said:
        for name, inner in said.items():
            yield from _dotted(f"{column}.{name}", inner)
    else:
        yield column, said
