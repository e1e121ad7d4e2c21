"""Columns of a table of trials as numbers and hyperparameters, with every value checked."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsuite.checks import UserError
from hpsuite.foreign.request import LARGEST, Dimension, hyperparameter, typed
from hpsuite.foreign.table import Table
from hpsuite.space import Hyperparameter
from hpsuite.trials import Scalar

if TYPE_CHECKING:
    import pandas as pd

# Of a value that is refused, so many characters are shown.
LONGEST_SHOWN = 40


def numbers_of(series: "pd.Series[Any]", key: str, place: str) -> NDArray[np.float64]:
    """A column as float64 with nan for what is missing.

    Args:
        series: the column, indexed as its source counts.
        key: by which the user names it.
        place: what the index counts.

    Raises:
        UserError: naming the first value that is no number.
    """
    import pandas as pd

    if series.dtype == bool:
        raise UserError(f"{key}: found true and false; accepted: a column of numbers")
    if series.dtype.kind in "mM":
        raise UserError(f"{key}: found dates or durations; accepted: a column of numbers")
    wrong = series.map(_is_no_number).to_numpy(dtype=bool)
    if not wrong.any():
        numbers = pd.to_numeric(series, errors="coerce")
        words = series.astype(str).str.strip().str.lower()
        wrong = (numbers.isna() & series.notna() & (words != "nan")).to_numpy(dtype=bool)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = repr(series.iloc[row])
        if len(found) > LONGEST_SHOWN:
            found = f"{found[:LONGEST_SHOWN]}... ({len(found)} characters)"
        large = isinstance(series.iloc[row], int) and not isinstance(series.iloc[row], bool)
        accepted = f"-{LARGEST:g} to {LARGEST:g}" if large else "numbers"
        raise UserError(
            f"{key}: found {found} in {place} {series.index[row]}; accepted: {accepted}"
        )
    found_numbers = np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
    beyond = np.isfinite(found_numbers) & (np.abs(found_numbers) > LARGEST)
    if beyond.any():
        row = int(np.flatnonzero(beyond)[0])
        found = f"{found_numbers[row]:g} in {place} {series.index[row]}"
        raise UserError(f"{key}: found {found}; accepted: -{LARGEST:g} to {LARGEST:g}")
    return found_numbers


def _is_no_number(value: object) -> bool:
    """Whether pandas would take for a number what is none, or fail at it."""
    if isinstance(value, bool | np.bool_ | date | timedelta | np.datetime64 | np.timedelta64):
        return str(value) != "NaT"  # which is a missing one
    return isinstance(value, int) and abs(value) > LARGEST


def unusable(values: Sequence[Scalar]) -> str:
    """Why a group's hyperparameter says nothing of its scores; empty where it does."""
    if all(value is None for value in values):
        return "no trial has it"
    if any(value is None for value in values):
        return "not all trials have it"
    if len(set(values)) < 2:
        return "all trials have the same"
    return ""


def over_all(
    series: "pd.Series[Any]", column: str, dimension: Dimension, table: Table
) -> Dimension:
    """A hyperparameter's range over all groups, so that each is measured by the same.

    Raises:
        UserError: a value that is no number, or none of the scale.
    """
    if dimension.scale == "choice":
        return dimension
    numbers = numbers_of(series, f"params.{column}", table.place)
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
    accepted = f"{low:g} to {high:g}"
    declared = table.dimensions.get(column)
    if declared is not None and (declared.low, declared.high) == (low, high):
        wide = f"low: {min(low, there.min()):g}, high: {max(high, there.max()):g}"
        accepted += (
            f", as the study has it; params={{{typed(column)}: {{scale: {dimension.scale}, {wide}}}"
        )
        accepted += ", ...}, with all others, widens it"
    checks.append((inside, accepted))
    for fine, accepted in checks:
        if not fine.all():
            row = int(np.flatnonzero(~fine)[0])
            found = f"{numbers[row]:g} in {table.place} {series.index[row]}"
            raise UserError(f"params.{column}: found {found}; accepted: {accepted}")
    return Dimension(dimension.scale, low, high)


def values_of(
    series: "pd.Series[Any]", column: str, dimension: Dimension, table: Table
) -> list[Scalar]:
    """A hyperparameter's values, None where one is missing."""
    if dimension.scale != "choice":
        numbers = numbers_of(series, f"params.{column}", table.place)
        whole = dimension.scale in ("integer", "log_integer", "power_of_two")
        return [None if math.isnan(v) else int(v) if whole else float(v) for v in numbers]
    raw = [v.item() if hasattr(v, "item") else v for v in series.tolist()]
    values: list[Scalar] = [
        None if missing else v if isinstance(v, bool | int | float | str) else str(v)
        for v, missing in zip(raw, series.isna(), strict=True)
    ]
    if len({type(v) for v in values if v is not None}) > 1:
        # 1, True and 1.0 are one value in Python.
        return [None if v is None else str(v) for v in values]
    return values


def hyperparameter_of(
    column: str, dimension: Dimension, values: Sequence[Scalar]
) -> Hyperparameter:
    """A hyperparameter of a group, which has these values."""
    if dimension.scale == "choice":
        return Hyperparameter(column, "choice", choices=tuple(sorted(set(values), key=_order)))
    assert dimension.low is not None
    assert dimension.high is not None
    return hyperparameter(column, dimension.scale, dimension.low, dimension.high)


def _order(value: Scalar) -> tuple[float, str]:
    """A key that sorts numbers as numbers, and names by the alphabet."""
    return (0.0, value) if isinstance(value, str) else (float(value or 0), "")
