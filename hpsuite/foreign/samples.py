"""From a foreign table to samples: one a group, with every value checked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsuite.checks import UserError, refuse
from hpsuite.foreign.request import Dimension, Request, parse_dimensions
from hpsuite.foreign.table import Table, read_table
from hpsuite.samples import Sample
from hpsuite.space import Hyperparameter
from hpsuite.trials import Scalar

if TYPE_CHECKING:
    import pandas as pd


def read_samples(request: Request) -> list[Sample]:
    """The trials that are asked for, a sample for each group, in order of the groups' names.

    Raises:
        UserError: on the first column or value that is not what it must be.
    """
    table = read_table(request)
    columns = list(table.frame.columns)
    score = request.score or table.score
    assert score is not None
    named = [score, *(c for c in (request.group, request.test_score) if c is not None)]
    for column in named:
        if column not in columns:
            raise UserError(f"{column}: found no such column; accepted: one of {_shown(columns)}")
    direction = request.direction or table.direction or "maximize"
    sign = 1.0 if direction == "maximize" else -1.0
    frame = table.frame
    scores = sign * _numbers(frame[score], score)
    failed = ~np.isfinite(scores)
    if failed.all():
        raise UserError(f"{score}: found no finite score in {len(scores)} trials; accepted: some")
    notes = []
    if failed.any():
        worst = float(scores[~failed].min())
        given = request.failure_score
        scores = np.where(failed, worst if given is None else sign * given, scores)
        rule = "the worst score of the others" if given is None else f"failure_score={given:g}"
        notes.append(f"{int(failed.sum())} of {len(scores)} trials have no finite score: {rule}")
    tests = None if request.test_score is None else _tests(frame[request.test_score], sign, request)
    dimensions = _dimensions(request, table, columns, named)
    hyperparameters, values = [], {}
    for column, dimension in dimensions.items():
        found = _column(frame[column], column, dimension)
        if found is None:
            notes.append(f"{column} is left out: not all trials have it, or all have the same")
            continue
        hyperparameters.append(found[0])
        values[column] = found[1]
    groups = _groups(frame, request.group)
    return [
        Sample(
            name=name,
            hyperparameters=tuple(hyperparameters),
            values=[{column: values[column][i] for column in values} for i in rows],
            scores=scores[rows],
            failed=failed[rows],
            tests=None if tests is None else tests[rows],
            higher_is_better=direction == "maximize",
            unit=request.points,
            points=(1.0,),
            random=request.sampled == "random",
            notes=tuple(notes),
        )
        for name, rows in groups.items()
    ]


def _shown(columns: Sequence[str]) -> str:
    return ", ".join(columns[:30]) + (", ..." if len(columns) > 30 else "")


def _numbers(series: "pd.Series[Any]", column: str) -> np.ndarray:
    """A column as float64 with nan for what is missing.

    Raises:
        UserError: naming the row of the first value that is no number.
    """
    import pandas as pd

    if series.dtype == bool:
        raise refuse(column, "true and false", "numbers")
    numbers = pd.to_numeric(series, errors="coerce").astype(np.float64)
    wrong = numbers.isna() & series.notna() & (series.astype(str).str.lower() != "nan")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise UserError(f"{column}: found {series.iloc[row]!r} in trial {row}; accepted: numbers")
    array: np.ndarray = numbers.to_numpy(copy=True)
    return array


def _tests(series: "pd.Series[Any]", sign: float, request: Request) -> np.ndarray | None:
    tests = sign * _numbers(series, str(request.test_score))
    # A trial without a score on test data cannot be what validation selects and reports.
    return tests if np.isfinite(tests).all() else None


def _dimensions(
    request: Request, table: Table, columns: Sequence[str], named: Sequence[str]
) -> dict[str, Dimension]:
    """The hyperparameters' columns: what the source declares, under what the user says of them."""
    asked = parse_dimensions(request.params or {})
    for column in asked:
        if column not in columns:
            raise UserError(
                f"params.{column}: found no such column; accepted: one of {_shown(columns)}"
            )
        if column in named:
            raise UserError(f"{column}: found it for two things; accepted: each column once")
    dimensions = asked or {c: d for c, d in table.dimensions.items() if c not in named}
    if not dimensions:
        raise refuse("params", None, "columns and their scales, as in params={lr: log}")
    for column, dimension in dimensions.items():
        declared = table.dimensions.get(column)
        # A user who names another scale keeps the range that the source declares.
        if dimension.low is None and declared is not None and dimension.scale != "choice":
            dimensions[column] = Dimension(dimension.scale, declared.low, declared.high)
    return dimensions


def _column(
    series: "pd.Series[Any]", column: str, dimension: Dimension
) -> tuple[Hyperparameter, list[Scalar]] | None:
    """A hyperparameter and its values; None where some trial lacks it, or it never varies."""
    if bool(series.isna().any()) or series.astype(str).nunique() < 2:
        return None
    if dimension.scale == "choice":
        raw = [v.item() if hasattr(v, "item") else v for v in series.tolist()]
        values = [v if isinstance(v, bool | int | float | str) else str(v) for v in raw]
        kinds = {type(v) for v in values}
        ordered = sorted(set(values), key=str if len(kinds) > 1 else None)
        return Hyperparameter(column, "choice", choices=tuple(ordered)), list(values)
    numbers = _numbers(series, column)
    low = float(numbers.min()) if dimension.low is None else dimension.low
    high = float(numbers.max()) if dimension.high is None else dimension.high
    outside = (numbers < low) | (numbers > high)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise UserError(
            f"params.{column}: found {numbers[row]:g} in trial {row}; accepted: {low:g} to {high:g}"
        )
    try:
        hyperparameter = Hyperparameter(column, dimension.scale, low, high)
    except ValueError as error:
        raise UserError(str(error).replace(f"space.{column}", f"params.{column}")) from error
    whole = dimension.scale in ("integer", "log_integer", "power_of_two")
    if whole and (numbers != np.round(numbers)).any():
        row = int(np.flatnonzero(numbers != np.round(numbers))[0])
        raise UserError(
            f"params.{column}: found {numbers[row]:g} in trial {row}; accepted: whole numbers"
        )
    return hyperparameter, [int(v) if whole else float(v) for v in numbers]


def _groups(frame: "pd.DataFrame", column: str | None) -> Mapping[str, np.ndarray]:
    """Rows by the name of their group."""
    if column is None:
        return {"trials": np.arange(len(frame))}
    names = frame[column].astype(str).where(frame[column].notna(), "(none)").to_numpy()
    return {str(name): np.flatnonzero(names == name) for name in sorted(set(names))}
