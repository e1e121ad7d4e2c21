"""Reading runs of any MLflow experiment: parameters and metrics as rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsuite.texts import without_password
from hpsuite.tracking.address import (
    KIND,
    check_database,
    quiet,
    reason,
    resolve_uri,
)
from hpsuite.tracking.failures import TrackingError
from hpsuite.tracking.schema import REVISION, unfit

if TYPE_CHECKING:
    from mlflow.entities import Run

# The tables by which a database of MLflow's is known.
TABLES = (REVISION, "experiments", "runs", "params", "metrics", "latest_metrics", "tags")
# What hpsuite itself writes beside trials, by the tag `hpsuite.kind`.
FINDINGS = ("setup", "arm", "comparison")


@dataclass(frozen=True)
class Runs:
    """Runs of an experiment that have ended.

    Attributes:
        rows: of each by its ID: its parameters and last metrics. Where a metric and a parameter of
            any run share a name, the metric is `metrics.NAME` in all.
        findings: runs left out, as hpsuite wrote them to show what it found.
    """

    rows: dict[str, dict[str, object]]
    findings: int


def read_runs(experiment: str, *, at_most: int, uri: str | None = None) -> Runs:
    """The runs of an experiment that have ended, oldest first.

    Nothing is written, and a database that is not there, or not as this version of MLflow makes it,
    is not touched. A run that failed has whatever it logged.

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
            check_tables(address)
            runs, findings = _ended(address, experiment, at_most)
    except TrackingError:
        raise
    except Exception as error:  # as in `sync`
        text = f"MLflow at {address} cannot be read ({reason(error)})"
        raise TrackingError(without_password(text)) from error
    taken = {name for run in runs for name in run.data.params}
    return Runs({run.info.run_id: _row(run, taken) for run in runs}, findings)


def check_tables(address: str) -> None:
    """MLflow makes its tables in any database that it opens: none may be made or changed here.

    Raises:
        TrackingError: a database that has other tables, or another version's.
    """
    if "sql" not in address.partition(":")[0]:
        return
    import mlflow

    migrations = Path(str(mlflow.__file__)).parent / "store" / "db_migrations"
    instead = unfit(address, "MLflow", TABLES, "experiments", migrations)
    if instead:
        text = f"found {instead} at {without_password(address)}"
        if "another version" in instead:
            text += f", which MLflow {mlflow.__version__} cannot read as they are; to bring older "
            text += "ones up to date: on a copy, `mlflow db upgrade ADDRESS`"
        raise TrackingError(text.replace(", at ", " at "))


def _ended(address: str, name: str, at_most: int) -> tuple[list["Run"], int]:
    """Runs that have ended, and how many of hpsuite's own were left out."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        names = sorted(e.name for e in client.search_experiments(max_results=20))
        shown = ", ".join(names)
        raise TrackingError(f"found no MLflow experiment {name!r}, only {shown}")
    found: list[Run] = []
    findings, token = 0, None
    condition = "attributes.status != 'RUNNING' and attributes.status != 'SCHEDULED'"
    while len(found) < at_most:
        page = client.search_runs(
            [experiment.experiment_id],
            condition,
            max_results=min(at_most, 1000),
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        trials = [run for run in page if not _is_finding(run)]
        findings += len(page) - len(trials)
        found += trials
        token = page.token
        if not token:
            break
    return found[:at_most], findings


def _is_finding(run: "Run") -> bool:
    kind = run.data.tags.get(KIND, "")
    return kind in FINDINGS or kind.startswith("superseded-")


def _row(run: "Run", taken: set[str]) -> dict[str, object]:
    """A run's parameters and metrics by name, `taken` being names of parameters."""
    row: dict[str, object] = dict(run.data.params)
    for key, value in run.data.metrics.items():
        row[f"metrics.{key}" if key in taken else key] = value
    return row
