"""Trials of an MLflow experiment: a run each, its parameters and last metrics as columns."""

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.foreign.request import MLFLOW, Request, parse_dimensions
from hpsuite.foreign.table import MOST_TRIALS, Table, check_columns, check_rows, wanted_columns
from hpsuite.tracking import TrackingError, read_runs


def read_experiment(request: Request, uri: str | None) -> Table:
    """The runs of an experiment that have ended; nothing is written.

    A run that has none of the columns of hyperparameters is no trial (a parent run, say).

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
    if not found:
        raise refuse("trials", request.trials, "an experiment with runs that have ended")
    check_rows(request, len(found))
    check_columns(request, list(dict.fromkeys(name for row in found for name in row)), columns)
    params = list(request.params or {})
    rows = [row for row in found if not params or any(name in row for name in params)]
    frame = pd.DataFrame([{column: row.get(column) for column in columns} for row in rows])
    # MLflow keeps parameters as text: numbers of them, but not what names a group or a choice.
    dimensions = parse_dimensions(request.params or {})
    names = {name for name, dimension in dimensions.items() if dimension.scale == "choice"}
    for column in frame.columns.difference([request.group or "", *names]):
        frame[column] = frame[column].replace({"None": None, "nan": None})
    left = len(found) - len(rows)
    notes = (f"{left} runs have none of the hyperparameters and are left out",) if left else ()
    return Table(frame, f"MLflow experiment {experiment}", notes=notes)
