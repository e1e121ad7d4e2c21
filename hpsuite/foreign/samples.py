"""From a table of trials to samples: one a group, with every value checked."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsuite.checks import UserError, refuse
from hpsuite.foreign.files import read_file
from hpsuite.foreign.request import MLFLOW, Dimension, Request, parse_dimensions
from hpsuite.foreign.runs import read_experiment
from hpsuite.foreign.studies import is_storage, read_study
from hpsuite.foreign.table import Table, check_columns
from hpsuite.samples import Sample
from hpsuite.space import Hyperparameter
from hpsuite.trials import Scalar

if TYPE_CHECKING:
    import pandas as pd

# More groups than these are no comparison.
MOST_GROUPS = 50
# The name of the only group.
ALL = "trials"
# Of trials without a value in the group's column.
NO_GROUP = "(none)"


@dataclass(frozen=True)
class Foreign:
    """Trials that hpsuite did not make.

    Attributes:
        source: where they came from, in words.
        score: what their scores are called.
        samples: of each group, in order of their names; numbers count as numbers.
        group: the column of the groups; None for one group.
    """

    source: str
    score: str
    samples: tuple[Sample, ...]
    group: str | None


def read_samples(request: Request, uri: str | None = None) -> Foreign:
    """The trials that are asked for.

    Args:
        request: what is asked for.
        uri: of the MLflow server, where it is needed; None takes MLflow's own.

    Raises:
        UserError: on the first column or value that is not what it must be.
    """
    table = _read(request, uri)
    frame, columns = table.frame, [str(column) for column in table.frame.columns]
    score = request.score or table.score
    assert score is not None
    extra = [column for column in (request.group, request.test_score) if column is not None]
    check_columns(request, columns, [score, *extra, *(request.params or {})])
    direction = request.direction or table.direction or "maximize"
    sign = 1.0 if direction == "maximize" else -1.0
    scores = sign * _numbers(frame[score], "score")
    failed = ~np.isfinite(scores)
    if failed.all():
        found = f"no finite score in {len(scores)} trials"
        raise UserError(f"score: found {found}; accepted: a column with scores")
    worst = float(scores[~failed].min())
    given = request.failure_score
    scores = np.where(failed, worst if given is None else sign * given, scores)
    tests = None if request.test_score is None else sign * _numbers(frame[request.test_score], "")
    dimensions = _dimensions(request, table, {score, *extra})
    ranges = {c: _over_all(frame[c], c, dimension) for c, dimension in dimensions.items()}
    unit = request.margins[0]
    samples = []
    for name, rows in _groups(frame, request).items():
        part = frame.iloc[rows]
        notes = [*table.notes, *_failures(failed[rows], request)]
        hyperparameters: list[Hyperparameter] = []
        values: dict[str, list[Scalar]] = {}
        for column, dimension in ranges.items():
            reason = _unusable(part[column])
            if reason:
                notes.append(f"{column} is left out: {reason}")
                continue
            hyperparameter, values[column] = _column(part[column], column, dimension)
            hyperparameters.append(hyperparameter)
        own = None if tests is None else tests[rows]
        if own is not None and not np.isfinite(own[~failed[rows]]).all():
            own = None
            notes.append(f"{request.test_score} is left out: not all trials have one")
        if own is not None:
            # A failed trial is never the one that validation selects, but for samples of them.
            own = np.where(np.isfinite(own), own, scores[rows])
        samples.append(
            Sample(
                name=name,
                hyperparameters=tuple(hyperparameters),
                values=[{c: values[c][i] for c in values} for i in range(len(rows))],
                scores=scores[rows],
                failed=failed[rows],
                tests=own,
                higher_is_better=direction == "maximize",
                unit=unit,
                points=tuple(float(f"{margin / unit:.6g}") for margin in request.margins),
                random=request.sampled == "random",
                notes=tuple(notes),
                noise_sd=request.noise or 0.0,
            )
        )
    return Foreign(table.source, score, tuple(samples), request.group)


def _read(request: Request, uri: str | None) -> Table:
    """The table of whatever source is named."""
    if request.trials.startswith(MLFLOW):
        if request.study is not None:
            raise refuse("study", request.study, "null, as MLflow has no studies")
        return read_experiment(request, uri)
    if is_storage(request.trials):
        return read_study(request)
    if request.study is not None:
        raise refuse("study", request.study, "null for a file, which has no studies")
    return read_file(request)


def _failures(failed: NDArray[np.bool_], request: Request) -> list[str]:
    if not failed.any():
        return []
    given = request.failure_score
    rule = "the worst score of all others" if given is None else f"failure_score={given:g}"
    return [
        f"{int(failed.sum())} of {len(failed)} trials have no finite score: they count as {rule}"
    ]


def _numbers(series: "pd.Series[Any]", key: str) -> NDArray[np.float64]:
    """A column as float64 with nan for what is missing.

    Raises:
        UserError: naming the trial of the first value that is no number.
    """
    import pandas as pd

    named = f"{key}: " if key in ("score", "group") else f"{series.name}: "
    if series.dtype == bool:
        raise UserError(f"{named}found true and false; accepted: a column of numbers")
    numbers = pd.to_numeric(series, errors="coerce")
    wrong = numbers.isna() & series.notna() & (series.astype(str).str.lower() != "nan")
    wrong |= series.map(lambda value: isinstance(value, bool))
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        found = f"{series.iloc[row]!r} in trial {row}"
        raise UserError(f"{named}found {found}; accepted: numbers")
    return np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _dimensions(request: Request, table: Table, named: Collection[str]) -> dict[str, Dimension]:
    """The hyperparameters' columns: what the source declares, under what the user says of them."""
    asked = parse_dimensions(request.params or {})
    dimensions = asked or {c: d for c, d in table.dimensions.items() if c not in named}
    if not dimensions:
        accepted = "columns and their scales, as in params={lr: log, momentum: one_minus_log}"
        raise UserError(f"params: found nothing; accepted: {accepted}")
    for column, dimension in dimensions.items():
        declared = table.dimensions.get(column)
        # A user who names another scale keeps the range that the source declares.
        if dimension.low is None and declared is not None and dimension.scale != "choice":
            dimensions[column] = Dimension(dimension.scale, declared.low, declared.high)
    return dimensions


def _unusable(series: "pd.Series[Any]") -> str:
    """Why a group's column says nothing of its scores; empty where it does."""
    if bool(series.isna().all()):
        return "no trial has it"
    if bool(series.isna().any()):
        return "not all trials have it"
    if series.map(str).nunique() < 2:
        return "all trials have the same"
    return ""


def _over_all(series: "pd.Series[Any]", column: str, dimension: Dimension) -> Dimension:
    """A hyperparameter's range over all groups, so that each is measured by the same.

    Raises:
        UserError: a value that is no number, or none of the scale.
    """
    if dimension.scale == "choice":
        return dimension
    numbers = _numbers(series, column)
    there = numbers[~np.isnan(numbers)]
    if not len(there):
        return dimension
    low = float(there.min()) if dimension.low is None else dimension.low
    high = float(there.max()) if dimension.high is None else dimension.high
    checks = [(~np.isinf(numbers), "finite numbers")]
    if dimension.scale in ("log", "log_integer"):
        checks.append((~(numbers <= 0), f"more than 0 on a {dimension.scale} scale"))
    if dimension.scale == "one_minus_log":
        checks.append((~(numbers >= 1), "less than 1, as 1 - x is on a log scale"))
    if dimension.scale in ("integer", "log_integer", "power_of_two"):
        checks.append((np.isnan(numbers) | (numbers == np.round(numbers)), "whole numbers"))
    if dimension.scale == "power_of_two":
        powers = np.frexp(np.where(numbers > 0, numbers, np.nan))[0] == 0.5
        checks.append((np.isnan(numbers) | powers, "powers of two: 1, 2, 4, 8, ..."))
    inside = np.isnan(numbers) | ((numbers >= low) & (numbers <= high))
    checks.append((inside, f"{low:g} to {high:g}"))
    for fine, accepted in checks:
        if not fine.all():
            row = int(np.flatnonzero(~fine)[0])
            found = f"{numbers[row]:g} in trial {row}"
            raise UserError(f"params.{column}: found {found}; accepted: {accepted}")
    return Dimension(dimension.scale, low, high)


def _column(
    series: "pd.Series[Any]", column: str, dimension: Dimension
) -> tuple[Hyperparameter, list[Scalar]]:
    """A hyperparameter and its values."""
    if dimension.scale == "choice":
        raw = [v.item() if hasattr(v, "item") else v for v in series.tolist()]
        values: list[Scalar] = [
            v if isinstance(v, bool | int | float | str) else str(v) for v in raw
        ]
        if len({type(v) for v in values}) > 1:
            values = [str(v) for v in values]  # 1, True and 1.0 are one value in Python
        choices = tuple(sorted(set(values), key=_order))
        return Hyperparameter(column, "choice", choices=choices), values
    try:
        hyperparameter = Hyperparameter(column, dimension.scale, dimension.low, dimension.high)
    except ValueError as error:
        raise UserError(str(error).replace("space.", "params.", 1)) from error
    numbers = _numbers(series, column)
    whole = dimension.scale in ("integer", "log_integer", "power_of_two")
    return hyperparameter, [int(v) if whole else float(v) for v in numbers]


def _order(value: Scalar) -> tuple[float, str]:
    """A key that sorts numbers as numbers, and names by the alphabet."""
    return (0.0, value) if isinstance(value, str) else (float(value or 0), "")


def _groups(frame: "pd.DataFrame", request: Request) -> Mapping[str, NDArray[np.intp]]:
    """Rows by the name of their group, in order of the names."""
    if request.group is None:
        return {ALL: np.arange(len(frame))}
    column = frame[request.group]
    names = column.map(str).where(column.notna(), NO_GROUP).to_numpy()
    different = sorted(set(names), key=_natural)
    if len(different) > MOST_GROUPS:
        found = f"{len(different)} values of {request.group}"
        raise UserError(f"group: found {found}; accepted: a column of {MOST_GROUPS} or fewer")
    return {str(name): np.flatnonzero(names == name) for name in different}


def _natural(name: str) -> list[tuple[bool, float, str]]:
    """A key that sorts 8 before 16, and mlp2 before mlp10."""
    parts = re.findall(r"\d+(?:\.\d+)?|\D+", name)
    return [(not p[0].isdigit(), float(p) if p[0].isdigit() else 0.0, p) for p in parts]
