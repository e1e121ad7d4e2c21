"""Runs in MLflow, written and superseded one at a time."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hpsuite.tracking.address import KIND
from hpsuite.tracking.views import RunView

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY, CONTENT = "hpsuite.key", "hpsuite.content"
SUPERSEDED_BY = "hpsuite.superseded_by"
PARENT, NOTE, LOGGED_ARTIFACTS = (
    "mlflow.parentRunId",
    "mlflow.note.content",
    "mlflow.loggedArtifacts",
)
# Read by the charts (tried with MLflow 3.17).
COLOR = "mlflow.runColor"
TABLE_FILE = "trials.json"


def search(client: "MlflowClient", experiment_id: str, condition: str) -> Iterator["Run"]:
    """All runs that meet a condition, newest first, page after page."""
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def write_run(
    client: "MlflowClient", experiment_id: str, view: RunView, start: int, links: Mapping[str, str]
) -> str:
    """Write a run and its children; returns its id. `start` is in ms since 1970."""
    from mlflow.entities import Metric, Param, RunTag

    tags = {KEY: view.key, KIND: view.kind, "mlflow.source.name": "hpsuite", **links}
    # With these from its first moment, a run is recognised even if the next line is never reached.
    run_id: str = client.create_run(experiment_id, start, tags, run_name=view.name).info.run_id

    more = dict(view.tags)
    if view.color:
        more[COLOR] = view.color
    if view.note:
        more[NOTE] = view.note
    if view.table is not None:
        more[LOGGED_ARTIFACTS] = json.dumps([{"path": TABLE_FILE, "type": "table"}])
    points = [(name, 0, value) for name, value in view.metrics.items()]
    for name, values in view.series.items():
        points += [(name, step, value) for step, value in enumerate(values, start=1)]
    # Every point bears the run's start time: charts over steps do not use it.
    metrics = [Metric(name, float(v), start, step) for name, step, v in points if math.isfinite(v)]
    params = [Param(name, value) for name, value in view.params.items()]
    run_tags = [RunTag(name, value) for name, value in more.items()]
    while metrics or params or run_tags:
        # MLflow takes 1000 metrics, 100 parameters and 100 tags at a time, 1000 items in all.
        client.log_batch(run_id, metrics[:800], params[:100], run_tags[:100], synchronous=True)
        del metrics[:800], params[:100], run_tags[:100]
    for i, child in enumerate(view.children):
        write_run(client, experiment_id, child, start - i, {PARENT: run_id})
    client.set_terminated(run_id, "FINISHED", end_time=start)
    return run_id


def supersede(client: "MlflowClient", run: "Run", by: str) -> str:
    """Take a run and its children out of the UI's filter; returns its id.

    What is marked last is the run itself.
    """
    from mlflow.entities import RunTag

    children = search(client, run.info.experiment_id, f"tags.`{PARENT}` = '{run.info.run_id}'")
    for each in [*children, run]:
        tags, run_id = each.data.tags, each.info.run_id
        if KIND not in tags or SUPERSEDED_BY in tags:  # a reader's own child run, or done already
            continue
        status = "KILLED" if each.info.status == "RUNNING" else None
        name = each.info.run_name.removeprefix("superseded · ")  # a kill may have come in between
        client.update_run(run_id, status, name=f"superseded · {name}")
        marks = [RunTag(KIND, f"superseded-{tags[KIND]}"), RunTag(SUPERSEDED_BY, by)]
        client.log_batch(run_id, tags=marks, synchronous=True)
    return str(run.info.run_id)
