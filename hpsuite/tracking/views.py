"""The MLflow view: what the record holds, written so that MLflow's UI can chart it.

The Optuna storage is the record (docs/architecture.md, law 11); MLflow only shows it. `sync` brings
an MLflow experiment up to date with the views that it is given, at any time and as often as wanted:

- A view that is already shown, word for word, is left alone: writing twice changes nothing.
- A view that has changed is written as a new run. The old one stays, with whatever notes its reader
  made, but loses its place: its tag `hpsuite.kind` becomes `superseded-arm` or the like.
- A run that a kill left half written is superseded in the same way and written anew.

A run is complete when MLflow says FINISHED, which is the last thing written to it, after its
children. Files follow (`files.py`). Runs of views that are not given are not touched, and nothing
is ever deleted.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsuite.texts import without_password
from hpsuite.tracking.address import KIND, check_database, quiet, reason
from hpsuite.tracking.files import FILES, Attached, attach, plain, table_json
from hpsuite.tracking.pages import PREFIX, Page, is_edited, tag_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

KEY, CONTENT = "hpsuite.key", "hpsuite.content"
SUPERSEDED_BY, NOTE_WRITTEN = "hpsuite.superseded_by", "hpsuite.note"
PARENT, NOTE, LOGGED_ARTIFACTS = (
    "mlflow.parentRunId",
    "mlflow.note.content",
    "mlflow.loggedArtifacts",
)
TABLE_FILE = "trials.json"

# Counted into every content hash: raise it when the same view is to be written differently.
LAYOUT = 1


class TrackingError(Exception):
    """MLflow could not be brought up to date; the message is one line and names the address."""


@dataclass(frozen=True)
class RunView:
    """One MLflow run, as it should be shown.

    Attributes:
        key: lasting identity of what the run shows, such as `arm:<hash>:g1`; unique in a sync.
        kind: `setup`, `arm` or `trial`; the tag `hpsuite.kind`, by which the UI is filtered.
        name: the run's name; charts cut long ones, so the distinguishing word comes first.
        metrics: single values. Values that are not finite are left out: MLflow stores infinity as
            1.8e308, and either spoils the scale of its charts.
        series: stepped metrics, the values of steps 1..n; steps that are not finite are left out,
            the others keep their number.
        params, tags: as in MLflow.
        note: Markdown, shown at the top of the run's page.
        table: columns of equal length, shown as a table under the run's artifacts.
        children: runs nested under this one; they are written and superseded with it.
        files: under the run's artifacts, by their path there. They are no part of the content:
            other files replace those that a run has.
    """

    key: str
    kind: str
    name: str
    metrics: Mapping[str, float]
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    table: Mapping[str, Sequence[object]] | None = None
    children: Sequence["RunView"] = ()
    files: Mapping[str, Attached] = field(default_factory=dict)


@dataclass(frozen=True)
class Synced:
    """What a sync did, in top-level runs.

    Attributes:
        experiment_id: MLflow's id of the experiment.
        created: runs written.
        unchanged: runs that showed their view already.
        superseded: older or half-written runs that gave way.
        files_failed: why files are missing, a line each; the next sync tries again.
    """

    experiment_id: str
    created: int
    unchanged: int
    superseded: int
    files_failed: tuple[str, ...] = ()


def sync(
    experiment: str,
    runs: Sequence[RunView],
    *,
    uri: str,
    artifacts: Path | None,
    note: str = "",
    pages: Sequence[Page] = (),
) -> Synced:
    """Bring an MLflow experiment up to date with `runs`; writing twice changes nothing.

    Args:
        experiment: its name; created where there is none, restored where it was deleted.
        runs: what to show, in the order in which the UI's table lists them (it puts the newest
            start first, so each run starts a millisecond before the one above it).
        uri: the tracking address: a database's or a server's.
        artifacts: where a newly created experiment in an SQLite file keeps its files; elsewhere
            MLflow's own choice holds.
        note: Markdown for the experiment's page; it does not replace a note edited in the UI.
        pages: saved views for the UI's menu; none replaces one edited in the UI.

    Raises:
        TrackingError: MLflow could not be reached, read or written. What was written so far stays,
            and the next sync goes on from there.
    """
    keys = [run.key for run in runs]
    assert len(set(keys)) == len(keys), f"keys must be unique: {keys}"
    wanted = {run.key: (run, _digest(run)) for run in runs}
    try:
        with quiet():
            check_database(uri)
            # Here, and not at the top: importing MLflow takes about a second.
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=uri)
            location = artifacts if uri.startswith("sqlite:") else None
            opened = _open_experiment(client, experiment, location, note)
            _save_pages(client, opened, pages)
            return _sync(client, opened.experiment_id, wanted)
    except Exception as error:
        # Drivers, HTTP and MLflow raise dozens of unrelated types, and a view must not end a run.
        raise TrackingError(without_password(f"MLflow at {uri}: {reason(error)}")) from error


def _sync(
    client: "MlflowClient", experiment_id: str, wanted: Mapping[str, tuple[RunView, str]]
) -> Synced:
    # One search for all: only top-level runs carry the content tag.
    current: dict[str, str] = {}
    has_files: dict[str, str] = {}
    stale: list[Run] = []
    for run in _search(client, experiment_id, f"tags.`{CONTENT}` LIKE '%'"):
        tags = run.data.tags
        key = tags.get(KEY, "")
        if key not in wanted or SUPERSEDED_BY in tags:
            continue
        complete = run.info.status == "FINISHED" and tags[CONTENT] == wanted[key][1]
        if complete and key not in current:
            current[key] = run.info.run_id
            has_files[key] = tags.get(FILES, "")
        else:
            stale.append(run)
    unchanged = len(current)
    now = int(time.time() * 1000)
    for i, (key, (view, content)) in enumerate(wanted.items()):
        if key not in current:
            current[key] = _write(client, experiment_id, view, now - i, {CONTENT: content})
    for run in stale:
        _supersede(client, run, current[run.data.tags[KEY]])
    # Last, and whatever becomes of them: a store of files may be full, or closed to us, while the
    # figures are written.
    failed = attach(
        client,
        {current[key]: _files(view) for key, (view, _) in wanted.items()},
        {current[key]: there for key, there in has_files.items()},
    )
    told = tuple(without_password(line) for line in failed)
    return Synced(experiment_id, len(wanted) - unchanged, unchanged, len(stale), told)


def _files(view: RunView) -> Mapping[str, Attached]:
    """All that a run has under its artifacts."""
    if view.table is None:
        return view.files
    return {TABLE_FILE: Attached.of(table_json(view.table)), **view.files}


def _open_experiment(
    client: "MlflowClient", name: str, artifacts: Path | None, note: str
) -> "Experiment":
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if artifacts is None else artifacts.resolve().as_uri()
        created = client.create_experiment(name, artifact_location=location)
        experiment = client.get_experiment(created)
    elif experiment.lifecycle_stage == "deleted":
        # MLflow keeps deleted experiments under their name, and refuses a new one of that name.
        client.restore_experiment(experiment.experiment_id)
    there, ours = experiment.tags.get(NOTE, ""), experiment.tags.get(NOTE_WRITTEN)
    if note and note != there and (not there or _sha256(there) == ours):
        client.set_experiment_tag(experiment.experiment_id, NOTE_WRITTEN, _sha256(note))
        client.set_experiment_tag(experiment.experiment_id, NOTE, note)
    return experiment


def _save_pages(client: "MlflowClient", experiment: "Experiment", pages: Sequence[Page]) -> None:
    for page in pages:
        key = f"{PREFIX}{page.key}"
        there, wanted = experiment.tags.get(key), tag_of(page, experiment.creation_time or 0)
        if there is None or (there != wanted and not is_edited(there)):
            client.set_experiment_tag(experiment.experiment_id, key, wanted)


def _search(client: "MlflowClient", experiment_id: str, condition: str) -> Iterator["Run"]:
    """All runs that meet a condition, newest first, page after page."""
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _write(
    client: "MlflowClient", experiment_id: str, view: RunView, start: int, links: Mapping[str, str]
) -> str:
    """Write a run and its children; returns its id. `start` is in ms since 1970."""
    from mlflow.entities import Metric, Param, RunTag

    tags = {KEY: view.key, KIND: view.kind, "mlflow.source.name": "hpsuite", **links}
    # With these from its first moment, a run is recognised even if the next line is never reached.
    run_id: str = client.create_run(experiment_id, start, tags, run_name=view.name).info.run_id

    more = dict(view.tags)
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
        _write(client, experiment_id, child, start - i, {PARENT: run_id})
    client.set_terminated(run_id, "FINISHED", end_time=start)
    return run_id


def _supersede(client: "MlflowClient", run: "Run", by: str) -> None:
    """Take a run and its children out of the UI's filter; what is marked last is the run itself."""
    from mlflow.entities import RunTag

    children = _search(client, run.info.experiment_id, f"tags.`{PARENT}` = '{run.info.run_id}'")
    for each in [*children, run]:
        tags, run_id = each.data.tags, each.info.run_id
        if KIND not in tags or SUPERSEDED_BY in tags:  # a reader's own child run, or done already
            continue
        status = "KILLED" if each.info.status == "RUNNING" else None
        name = each.info.run_name.removeprefix("superseded · ")  # a kill may have come in between
        client.update_run(run_id, status, name=f"superseded · {name}")
        marks = [RunTag(KIND, f"superseded-{tags[KIND]}"), RunTag(SUPERSEDED_BY, by)]
        client.log_batch(run_id, tags=marks, synchronous=True)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(view: RunView) -> str:
    """SHA-256 of everything that a view shows, its children included."""
    return _sha256(json.dumps([LAYOUT, _canonical(view)], sort_keys=True))


def _canonical(view: RunView) -> dict[str, object]:
    """A view as JSON of one spelling; NaN is written `NaN`, and so equals itself."""
    return {name: value for name, value in vars(view).items() if name != "files"} | {
        "metrics": {name: float(value) for name, value in view.metrics.items()},
        "series": {name: [float(value) for value in v] for name, v in view.series.items()},
        "params": dict(view.params),
        "tags": dict(view.tags),
        # As pairs: the order of the columns is part of what is shown.
        "table": [
            (name, [plain(v) for v in column]) for name, column in (view.table or {}).items()
        ],
        "children": [_canonical(child) for child in view.children],
    }
