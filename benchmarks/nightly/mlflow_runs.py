"""The nights in MLflow: a run each, whose metrics are the figures over all nights up to it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from benchmarks.nightly.figures import Figure
from benchmarks.nightly.history import History
from benchmarks.nightly.nights import Night

EXPERIMENT, TAG = "hpsuite nightly", "hpsuite.night"
# MLflow takes so many metrics, and parameters, in one call.
_METRICS, _PARAMETERS = 1000, 100
# Nights in a run's metrics.
_POINTS = 100


def log_nights(history: History, address: str, accounts: dict[str, str]) -> int:
    """Log each night that MLflow lacks, with what was told of it; returns how many.

    Raises:
        Exception: whatever MLflow raises.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    there = _finished(client, experiment)
    missing = [night for night in history.nights if night.name not in there]
    for night in missing:
        _log(client, experiment, night, history, accounts.get(night.name, ""))
    return len(missing)


def _finished(client: Any, experiment: str) -> set[str]:
    """Names of the nights that are whole there; what was cut short is deleted."""
    found, token = set(), None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            if run.info.status == "FINISHED":
                found.add(run.data.tags.get(TAG, ""))
            elif TAG in run.data.tags:
                client.delete_run(run.info.run_id)
        token = page.token
        if not token:
            return found


def _log(client: Any, experiment: str, night: Night, history: History, account: str) -> None:
    from mlflow.entities import Metric, Param, RunTag

    started = _milliseconds(night.started)
    tags = {TAG: night.name, "mlflow.note.content": f"```\n{account}\n```" if account else ""}
    run = client.create_run(experiment, started, tags, run_name=night.name)
    parameters = {
        "commit": night.commit,
        "found": _found(night),
        "device": night.device,
        "matrix": night.matrix,
        **night.versions,
        **{f"seed of {part}": ", ".join(map(str, own)) for part, own in night.seeds.items()},
    }
    listed = [Param(name, str(value)[:500]) for name, value in parameters.items()][:_PARAMETERS]
    metrics = [Metric(*one) for one in _metrics(night, history)]
    marks = [RunTag("commit", night.commit), RunTag("found", _found(night))]
    client.log_batch(run.info.run_id, params=listed, tags=marks)
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + _METRICS])
    client.set_terminated(run.info.run_id, "FINISHED", _milliseconds(night.ended))


def _found(night: Night) -> str:
    if night.is_quiet:
        return "nothing moved"
    return f"{len(night.moved)} moved, {len(night.failed)} failed, {len(night.gone)} gone"


def _metrics(night: Night, history: History) -> Iterator[tuple[str, float, int, int]]:
    """Name, value, time and step: the number of the night, counted from the first."""
    names = [one.name for one in history.past]
    upto = history.past[: names.index(night.name) + 1]
    for step, past in list(enumerate(upto))[-_POINTS:]:
        if past.matrix == night.matrix:
            time = _milliseconds(past.started)
            for name, figure in past.figures.items():
                if name in night.figures:
                    yield name, _shown(figure), time, step


def _shown(figure: Figure) -> float:
    return 100 * figure.value if figure.unit == "points" else figure.value


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.fromisoformat(time).timestamp())
