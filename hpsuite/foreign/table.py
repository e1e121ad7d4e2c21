"""A foreign table as columns, and the readers that make it: files, Optuna storages, MLflow."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.foreign.request import Dimension, Request
from hpsuite.record import open_storage, storage_exists

if TYPE_CHECKING:
    import pandas as pd

Direction = Literal["maximize", "minimize"]

MLFLOW = "mlflow:"
# Columns that a table gets of what has no column of its own.
VALUE, STATE = "value", "state"


@dataclass(frozen=True)
class Table:
    """Trials as a source gives them.

    Attributes:
        frame: a row a trial.
        source: where it came from, in words.
        score: the column of the score, where the source has one by nature.
        direction: of that score.
        dimensions: hyperparameters that the source declares, with their ranges.
    """

    frame: "pd.DataFrame"
    source: str
    score: str | None = None
    direction: Direction | None = None
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)


def read_table(request: Request) -> Table:
    """The table that is asked for, with no more columns than are asked for.

    Raises:
        UserError: a source that is missing, cannot be read, or lacks what is asked for.
    """
    if request.trials.startswith(MLFLOW):
        return _read_mlflow(request)
    if "://" in request.trials or Path(request.trials).suffix in (".journal", ".log"):
        return _read_optuna(request)
    if request.study is not None:
        raise refuse("study", request.study, "null for a file, which has no studies")
    return _read_file(request)


def wanted_columns(request: Request) -> list[str]:
    """The columns of a file that a request names, each once.

    Raises:
        UserError: a request that names too little, or one column for two things.
    """
    if request.score is None:
        raise refuse("score", None, "the column of the score, as in score=accuracy")
    if not request.params:
        accepted = "columns and their scales, as in params={lr: log, momentum: one_minus_log}"
        raise refuse("params", request.params, accepted)
    named = [request.score, *request.params]
    named += [column for column in (request.group, request.test_score) if column is not None]
    for column in named:
        if named.count(column) > 1:
            raise UserError(f"{column}: found it for two things; accepted: each column once")
    return named


def _read_file(request: Request) -> Table:
    path = Path(request.trials).expanduser()
    if not path.is_file():
        raise refuse("trials", request.trials, "a file that is there, a storage, or mlflow:NAME")
    columns = wanted_columns(request)
    readers: Mapping[str, Callable[..., pd.DataFrame]] = {
        ".csv": _csv,
        ".parquet": _parquet,
        ".pq": _parquet,
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise refuse("trials", request.trials, f"a file that ends in {', '.join(readers)}")
    try:
        frame = reader(path, columns, request.rows)
    except UserError:
        raise
    except (ValueError, OSError, MemoryError) as error:  # all of pandas' and pyarrow's are these
        raise refuse("trials", request.trials, f"a whole file ({one_line(error)})") from error
    if frame.empty:
        raise refuse("trials", request.trials, "a table with at least one trial")
    if len(frame) > request.rows:
        raise refuse("trials", f"more than {request.rows} rows", "fewer, or a higher rows=")
    return Table(frame, path.name)


def _check_columns(there: Sequence[str], columns: Iterable[str]) -> None:
    for column in columns:
        if there.count(column) == 0:
            shown = ", ".join(there[:30]) + (", ..." if len(there) > 30 else "")
            raise UserError(f"{column}: found no such column; accepted: one of {shown}")
        if there.count(column) > 1:
            raise UserError(f"{column}: found {there.count(column)} such columns; accepted: one")


def _csv(path: Path, columns: Sequence[str], rows: int) -> "pd.DataFrame":
    import csv

    import pandas as pd

    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
    _check_columns(header, columns)  # pandas would rename what stands twice
    return pd.read_csv(
        path, usecols=list(columns), nrows=rows + 1, encoding="utf-8-sig", low_memory=False
    )


def _parquet(path: Path, columns: Sequence[str], rows: int) -> "pd.DataFrame":
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    _check_columns(list(file.schema_arrow.names), columns)
    batches, n = [], 0
    for batch in file.iter_batches(columns=list(columns)):
        batches.append(batch)
        n += batch.num_rows
        if n > rows:
            break
    import pyarrow as pa

    table = pa.Table.from_batches(batches, file.schema_arrow.empty_table().select(columns).schema)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _json_lines(path: Path, columns: Sequence[str], rows: int) -> "pd.DataFrame":
    import pandas as pd

    kept = []
    seen: dict[str, None] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            entry = json.loads(line, object_pairs_hook=_once)
            if not isinstance(entry, dict):
                raise UserError(f"trials: found line {number} without keys; accepted: an object")
            seen |= dict.fromkeys(entry)
            kept.append({column: entry.get(column) for column in columns})
            if len(kept) > rows:
                break
    _check_columns(list(seen), columns)
    return pd.DataFrame(kept, columns=list(columns))


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, in which no key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{twice}: found it twice in one object; accepted: once")
    return found


def _read_optuna(request: Request) -> Table:
    import pandas as pd

    if not storage_exists(request.trials):
        raise refuse("trials", request.trials, "a storage that is there")
    storage = open_storage(request.trials, writing=False)
    names = sorted(study.study_name for study in storage.get_all_studies())
    name = request.study
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise refuse("study", request.study, f"one of {shown}" if names else "a storage with one")
    study = optuna.load_study(study_name=name, storage=storage)
    if len(study.directions) != 1:
        raise refuse("study", name, f"a study with one objective, not {len(study.directions)}")
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            continue
        told = trial.value if trial.state == TrialState.COMPLETE else None
        row = {**trial.user_attrs, **trial.params, VALUE: told, STATE: trial.state.name}
        rows.append(row)
    if not rows:
        raise refuse("study", name, "a study with finished trials")
    declared: dict[str, Dimension] = {}
    for trial in study.get_trials(deepcopy=False):
        for column, distribution in trial.distributions.items():
            declared[column] = _dimension(distribution)
    direction: Direction = "maximize" if study.direction.name == "MAXIMIZE" else "minimize"
    return Table(pd.DataFrame(rows), f"Optuna study {name}", VALUE, direction, declared)


def _dimension(distribution: object) -> Dimension:
    if isinstance(distribution, FloatDistribution):
        scale: Literal["log", "linear"] = "log" if distribution.log else "linear"
        return Dimension(scale, distribution.low, distribution.high)
    if isinstance(distribution, IntDistribution):
        return Dimension(
            "log_integer" if distribution.log else "integer", distribution.low, distribution.high
        )
    assert isinstance(distribution, CategoricalDistribution), distribution
    return Dimension("choice")


def _read_mlflow(request: Request) -> Table:
    import pandas as pd

    from hpsuite.tracking import TrackingError, read_runs

    columns = wanted_columns(request)
    experiment = request.trials.removeprefix(MLFLOW)
    try:
        rows = read_runs(experiment, at_most=request.rows + 1)
    except TrackingError as error:
        raise UserError(f"trials: {one_line(error)}; accepted: mlflow:EXPERIMENT") from error
    if not rows:
        raise refuse("trials", request.trials, "an experiment with finished runs")
    there = list(dict.fromkeys(name for row in rows for name in row))
    _check_columns(there, columns)
    frame = pd.DataFrame([{column: row.get(column) for column in columns} for row in rows])
    # MLflow keeps parameters as text.
    for column in frame.columns.difference([request.group or ""]):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.notna().sum() == frame[column].notna().sum():
            frame[column] = numbers
    return Table(frame.replace({None: np.nan}), f"MLflow experiment {experiment}")
