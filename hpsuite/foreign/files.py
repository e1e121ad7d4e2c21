"""Tables in files: CSV, Parquet, JSON lines. No more is read of a large one than is asked for."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.foreign.request import Request
from hpsuite.foreign.table import (
    MOST_TRIALS,
    Table,
    check_columns,
    check_rows,
    counted,
    wanted_columns,
)

if TYPE_CHECKING:
    import pandas as pd

# No line of a table of trials is longer, in characters.
LONGEST_LINE = 1 << 20


def read_file(request: Request) -> Table:
    """The table of a file.

    Raises:
        UserError: a file that is missing, cannot be read, or lacks what is asked for.
    """
    path = Path(request.trials).expanduser()
    try:
        is_file = path.is_file()
        if is_file:
            path.open("rb").close()
    except OSError as error:
        accepted = f"a file that can be read ({error.strerror})"
        raise refuse("trials", request.trials, accepted) from error
    if not is_file:
        accepted = "a file that is there, the address of an Optuna storage, or mlflow:EXPERIMENT"
        raise refuse("trials", request.trials, accepted)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        accepted = f"a file that ends in {', '.join(READERS)}"
        if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
            accepted += f"; or a database's address: trials=sqlite:///{request.trials}"
        raise refuse("trials", request.trials, accepted)
    columns = wanted_columns(request)
    try:
        frame, place = reader(path, columns, request)
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise refuse("trials", request.trials, f"text in UTF-8 ({one_line(error)})") from error
    except Exception as error:  # pandas, pyarrow, csv and json have a dozen kinds
        raise refuse("trials", request.trials, f"a whole table ({one_line(error)})") from error
    check_rows(request, len(frame))
    return Table(frame, path.name, place)


def _csv(path: Path, columns: Sequence[str], request: Request) -> "tuple[pd.DataFrame, str]":
    import pandas as pd

    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline(LONGEST_LINE)
        if len(first) == LONGEST_LINE:
            raise refuse("trials", request.trials, "a table whose first line names its columns")
        if "\0" in first:
            raise refuse("trials", request.trials, "text in UTF-8 (this has zeros in it)")
        header = next(csv.reader([first]), [])
        _check_commas(header, request)
        check_columns(request, header, columns)  # pandas would rename what stands twice
        lines: list[int] = []
        line = 2
        for row in (rows := csv.reader(file)):
            # pandas would leave out values, or take one for another.
            if row and len(row) != len(header):
                found = f"{counted(len(row), 'value')} for {len(header)} columns in line {line}"
                raise UserError(f"trials: found {found}; accepted: one for each")
            if row:
                lines.append(line)
            if len(lines) > MOST_TRIALS:
                break
            line = rows.line_num + 2
    # A word such as `None` is a value where values are names, and a missing one among numbers.
    names = {name for name, dimension in request.dimensions.items() if dimension.scale == "choice"}
    if request.group is not None:
        names.add(request.group)
    missing = {c: [""] if c in names else MISSING for c in columns}
    frame = pd.read_csv(
        path,
        usecols=list(columns),
        nrows=MOST_TRIALS + 1,
        encoding="utf-8-sig",
        low_memory=False,
        keep_default_na=False,
        na_values=missing,
        index_col=False,
    )
    if len(frame) != len(lines):
        found = f"{len(lines)} rows, or {len(frame)}, by how lines end"
        raise UserError(f"trials: found {found}; accepted: a row a line")
    return frame.set_index(pd.Index(lines)), "line"


def _check_commas(header: Sequence[str], request: Request) -> None:
    """Check that what separates the columns is not taken for a part of the only one's name.

    Raises:
        UserError: where it is.
    """
    (only,) = header if len(header) == 1 else ("",)
    for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if sign in only and only not in wanted_columns(request):
            found = f"columns separated by {name} in the first line"
            raise UserError(f"trials: found {found}; accepted: commas (and points in numbers)")


# How a missing number is written.
MISSING = ["", "NA", "N/A", "NaN", "nan", "None", "none", "null", "NULL", "<NA>", "#N/A"]


def _parquet(path: Path, columns: Sequence[str], request: Request) -> "tuple[pd.DataFrame, str]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        check_columns(request, list(file.schema_arrow.names), columns)
        check_rows(request, file.metadata.num_rows)
        table: pa.Table = file.read(columns=list(columns))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame, "row"


def _json_lines(path: Path, columns: Sequence[str], request: Request) -> "tuple[pd.DataFrame, str]":
    import pandas as pd

    kept: dict[int, dict[str, object]] = {}
    seen: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE:
                raise UserError(f"trials: found a line {number} without end; accepted: JSON lines")
            if not line.strip():
                continue
            try:
                entry = json.loads(line, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                found = f"line {number} torn or no JSON ({one_line(error)})"
                raise UserError(f"trials: found {found}; accepted: an object a line") from error
            if not isinstance(entry, dict):
                raise UserError(f"trials: found line {number} without keys; accepted: an object")
            seen |= dict.fromkeys(entry)
            kept[number] = {column: entry.get(column) for column in columns}
            if len(kept) > MOST_TRIALS:
                break
    if kept:
        check_columns(request, list(seen), columns)
    frame = pd.DataFrame(list(kept.values()), index=list(kept), columns=list(columns))
    return frame, "line"


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, in which no key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} twice in one object")
    return found


# The table, indexed by line or row, and which of them it is.
Reader = Callable[[Path, Sequence[str], Request], "tuple[pd.DataFrame, str]"]
READERS: Mapping[str, Reader] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
