"""Trials of an MLflow experiment: a run each, its parameters and last metrics as columns."""

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.foreign.request import MLFLOW, Request
from hpsuite.foreign.table import (
    MOST_TRIALS,
    Table,
    check_columns,
    check_rows,
    counted,
    wanted_columns,
)
from hpsuite.tracking import TrackingError, read_runs


def read_experiment(request: Request, uri: str | None) -> Table:
    """The runs of an experiment that have ended; nothing is written.

    A run that has none of the columns of hyperparameters is no trial (a parent run, say), nor is
    one in which hpsuite shows what it found.

    Args:
        request: what is asked for.
        uri: of the tracking server; None takes MLflow's own.

    Raises:
        UserError: an experiment that cannot be read, or without what is asked for.
    """
    import pandas as pd

    columns = wanted_columns(request)
    experiment = request.trials.removeprefix(MLFLOW)
    try:
        found = read_runs(experiment, at_most=MOST_TRIALS + 1, uri=uri)
    except TrackingError as error:
        raise UserError(f"trials: {one_line(error)}; accepted: mlflow:EXPERIMENT") from error
    if not found.rows:
        accepted = "an experiment with runs that have ended"
        if found.findings:
            accepted += f" (this has hpsuite's findings alone, {counted(found.findings, 'run')})"
        raise refuse("trials", request.trials, accepted)
    check_rows(request, len(found.rows))
    there = dict.fromkeys(name for row in found.rows.values() for name in row)
    check_columns(request, list(there), columns)
    params = list(request.params or {})
    rows = {
        run: row
        for run, row in found.rows.items()
        if not params or any(name in row for name in params)
    }
    frame = pd.DataFrame(
        [{column: row.get(column) for column in columns} for row in rows.values()],
        index=list(rows),
        columns=columns,
    )
    # MLflow keeps parameters as text: numbers of them, but not what names a group or a choice.
    names = {name for name, dimension in request.dimensions.items() if dimension.scale == "choice"}
    for column in frame.columns.difference([request.group or "", *names]):
        frame[column] = frame[column].replace({"None": None, "nan": None})
    notes = []
    left = len(found.rows) - len(rows)
    if left:
        has, are = ("has", "is") if left == 1 else ("have", "are")
        notes.append(f"{counted(left, 'run')} {has} none of the hyperparameters and {are} left out")
    if found.findings:
        n, are = found.findings, "is" if found.findings == 1 else "are"
        notes.append(f"{counted(n, 'run')} {are} left out, as hpsuite wrote them of other trials")
    return Table(frame, f"MLflow experiment {experiment}", "run", notes=tuple(notes))
