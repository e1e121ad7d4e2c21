"""Reading runs of any MLflow experiment: parameters and metrics as rows."""

from collections.abc import Iterator
from pathlib import Path

from hpsuite.tracking.address import check_database, quiet, reason, resolve_uri, without_password
from hpsuite.tracking.views import TrackingError


def read_runs(experiment: str, *, at_most: int, uri: str | None = None) -> list[dict[str, object]]:
    """The runs of an experiment that have ended, a row each: its parameters and last metrics.

    Nothing is written, and a database that is not there is not made. A run that failed has
    whatever it logged. Where a metric and a parameter share a name, the metric is `metrics.NAME`.

    Args:
        experiment: its name.
        at_most: rows.
        uri: the tracking address; None takes MLFLOW_TRACKING_URI, or mlflow.db in this folder.

    Raises:
        TrackingError: MLflow cannot be reached or read, or has no such experiment.
    """
    address = resolve_uri(uri, Path.cwd())
    if address.startswith("sqlite:///") and not Path(address.removeprefix("sqlite:///")).is_file():
        raise TrackingError(f"found no database at {without_password(address)}")
    try:
        with quiet():
            check_database(address)
            _check_tables(address)
            return list(_rows(address, experiment, at_most))
    except TrackingError:
        raise
    except Exception as error:  # as in `sync`
        text = f"MLflow at {address} cannot be read ({reason(error)})"
        raise TrackingError(without_password(text)) from error


def _check_tables(address: str) -> None:
    """MLflow makes its tables in any database that it opens: none may be made here."""
    if "sql" not in address.partition(":")[0]:
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(address)
    try:
        if not sqlalchemy.inspect(engine).has_table("experiments"):
            raise TrackingError(f"found no tables of MLflow's at {without_password(address)}")
    finally:
        engine.dispose()


def _rows(address: str, name: str, at_most: int) -> Iterator[dict[str, object]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        names = sorted(e.name for e in client.search_experiments(max_results=20))
        shown = ", ".join(names)
        raise TrackingError(f"found no MLflow experiment {name!r}, only {shown}")
    token, left = None, at_most
    condition = "attributes.status != 'RUNNING' and attributes.status != 'SCHEDULED'"
    while left > 0:
        page = client.search_runs(
            [experiment.experiment_id],
            condition,
            max_results=min(left, 1000),
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        for run in page:
            row: dict[str, object] = dict(run.data.params)
            for key, value in run.data.metrics.items():
                row[f"metrics.{key}" if key in row else key] = value
            yield row
        left -= len(page)
        token = page.token
        if not token:
            return
