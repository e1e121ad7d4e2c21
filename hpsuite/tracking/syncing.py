"""The MLflow view: what the record holds, written so that MLflow's UI can chart it.

The Optuna storage is the record (docs/architecture.md, law 11); MLflow only shows it. `sync` brings
an MLflow experiment up to date with the views that it is given, at any time and as often as wanted:

- A view that is already shown, word for word, is left alone: writing twice changes nothing.
- A view that has changed is written as a new run. The old one stays, with whatever notes its reader
  made, but loses its place: its tag `hpsuite.kind` becomes `superseded-arm` or the like.
- A run that a kill left half written is superseded in the same way and written anew.
- A run that MLflow refuses costs that run alone; whoever is gone, or out of time, ends the sync
  (`failures.py`). The next one goes on from there.

A run is complete when MLflow says FINISHED, which is the last thing written to it, after its
children. Files follow (`files.py`). Runs of views that are not given are not touched, and nothing
is ever deleted.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hpsuite.texts import without_password
from hpsuite.tracking.address import check_database, quiet, reason
from hpsuite.tracking.database import make_database
from hpsuite.tracking.failures import Attempts, Limited, TrackingError, kind_of
from hpsuite.tracking.files import FILES, Attached, attach, table_json
from hpsuite.tracking.pages import PREFIX, Page, is_edited, tag_of
from hpsuite.tracking.views import RunView, digest, sha256
from hpsuite.tracking.writing import (
    CONTENT,
    KEY,
    NOTE,
    PARENT,
    SUPERSEDED_BY,
    TABLE_FILE,
    search,
    supersede,
    write_run,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

NOTE_WRITTEN = "hpsuite.note"


@dataclass(frozen=True)
class Synced:
    """What a sync did, in top-level runs.

    Attributes:
        experiment_id: MLflow's id of the experiment.
        created: runs written.
        unchanged: runs that showed their view already.
        superseded: older or half-written runs that gave way.
        files_failed: why files are missing, a line each; the next sync tries again.
        refused: what MLflow did not take and why, a line each; the next sync tries again.
    """

    experiment_id: str
    created: int
    unchanged: int
    superseded: int
    files_failed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def sync(
    experiment: str,
    runs: Sequence[RunView],
    *,
    uri: str,
    artifacts: Path | None,
    note: str = "",
    pages: Sequence[Page] = (),
    time_limit: float | None = None,
) -> Synced:
    """Bring an MLflow experiment up to date with `runs`; writing twice changes nothing.

    Args:
        experiment: its name; created where there is none, restored where it was deleted.
        runs: what to show, in the order in which the UI's table lists them (it puts the newest
            start first, so each run starts a millisecond before the one above it).
        uri: the tracking address: a database's or a server's.
        artifacts: where a newly created experiment in a database, SQLite or PostgreSQL, keeps its
            files; elsewhere MLflow's own choice holds.
        note: Markdown for the experiment's page; it does not replace a note edited in the UI.
        pages: saved views for the UI's menu; none replaces one edited in the UI.
        time_limit: seconds after which MLflow is asked for nothing more; None for no limit. A call
            that it has not answered yet may take half a minute besides.

    Raises:
        TrackingError: MLflow could not be reached or read, stopped answering, or took too long.
            What was written so far stays, and the next sync goes on from there.
    """
    keys = [run.key for run in runs]
    assert len(set(keys)) == len(keys), f"keys must be unique: {keys}"
    syncing = _Syncing({run.key: (run, digest(run)) for run in runs})
    try:
        with quiet():
            make_database(uri)
            check_database(uri)
            # Here, and not at the top: importing MLflow takes about a second.
            from mlflow import MlflowClient

            limited = Limited(MlflowClient(tracking_uri=uri), time_limit)
            client = cast("MlflowClient", limited)
            location = artifacts if uri.startswith(("sqlite:", "postgresql")) else None
            opened = _open_experiment(client, experiment, location)
            attempts = Attempts()
            attempts("the experiment's note", partial(_save_note, client, opened, note))
            attempts("the saved views", partial(_save_pages, client, opened, pages))
            return syncing.run(client, opened.experiment_id, attempts)
    except Exception as error:
        # Drivers, HTTP and MLflow raise dozens of unrelated types, and a view must not end a run.
        text = without_password(f"MLflow at {uri}: {reason(error)}") + syncing.how_far
        raise TrackingError(text, gone=kind_of(error) != "refused") from error


class _Syncing:
    """A sync, and how far it is.

    Attributes:
        wanted: each view and what it says, by key.
        current: the complete run of each view, by key.
    """

    def __init__(self, wanted: Mapping[str, tuple[RunView, str]]) -> None:
        self.wanted = wanted
        self.current: dict[str, str] = {}
        self._has_looked = False

    @property
    def how_far(self) -> str:
        """How many runs are complete, to be said after an error; empty before that is known."""
        n, m = len(self.current), len(self.wanted)
        return f"; {n} of {m} runs are up to date" if self._has_looked else ""

    def run(self, client: "MlflowClient", experiment_id: str, attempts: Attempts) -> Synced:
        """Bring an experiment up to date."""
        has_files, stale = self._look(client, experiment_id)
        unchanged = len(self.current)
        self._write(client, experiment_id, attempts)
        n_superseded = 0
        for run in stale:
            by = self.current.get(run.data.tags[KEY])
            if by is not None:  # an older run keeps its place where the new one was refused
                done = attempts(run.info.run_name, partial(supersede, client, run, by))
                n_superseded += done is not None
        n_superseded += self._clear(client, experiment_id, attempts)
        # Last, and whatever becomes of them: a store of files may be full, or closed to us, while
        # the figures are written.
        failed = attach(
            client,
            {run_id: _files(self.wanted[key][0]) for key, run_id in self.current.items()},
            has_files,
        )
        return Synced(
            experiment_id,
            created=len(self.current) - unchanged,
            unchanged=unchanged,
            superseded=n_superseded,
            files_failed=tuple(map(without_password, failed)),
            refused=tuple(map(without_password, attempts.refused)),
        )

    def _look(
        self, client: "MlflowClient", experiment_id: str
    ) -> tuple[dict[str, str], list["Run"]]:
        """Find what is there: what files complete runs have, and runs to be superseded."""
        has_files: dict[str, str] = {}
        stale: list[Run] = []
        # One search for all: only top-level runs carry the content tag.
        for run in search(client, experiment_id, f"tags.`{CONTENT}` LIKE '%'"):
            tags = run.data.tags
            key = tags.get(KEY, "")
            if key not in self.wanted or SUPERSEDED_BY in tags:
                continue
            complete = run.info.status == "FINISHED" and tags[CONTENT] == self.wanted[key][1]
            if complete and key not in self.current:
                self.current[key] = run.info.run_id
                has_files[run.info.run_id] = tags.get(FILES, "")
            elif run.info.status == "FINISHED":  # others are half written: see `_clear`
                stale.append(run)
        self._has_looked = True
        return has_files, stale

    def _write(self, client: "MlflowClient", experiment_id: str, attempts: Attempts) -> None:
        now = int(time.time() * 1000)
        missing = [
            (now - i, key, *found)
            for i, (key, found) in enumerate(self.wanted.items())
            if key not in self.current
        ]
        # Those that take longest last: should time run out, most are there.
        for start, key, view, content in sorted(missing, key=lambda each: len(each[2].children)):
            links = {CONTENT: content}
            write = partial(write_run, client, experiment_id, view, start, links)
            run_id = attempts(f"{view.kind} {view.name}", write)
            if run_id is not None:
                self.current[key] = run_id

    def _clear(self, client: "MlflowClient", experiment_id: str, attempts: Attempts) -> int:
        """Supersede what is half written; returns how many top-level runs that were.

        Beside those of a sync that was cut off: a request whose answer was lost on the way is sent
        again, and makes another run, perhaps another child of a complete run.
        """
        condition = f"attributes.status != 'FINISHED' AND tags.`{KEY}` LIKE '%'"
        complete, n, clearing = set(self.current.values()), 0, Attempts()
        for run in list(search(client, experiment_id, condition)):
            tags, key = run.data.tags, run.data.tags[KEY]
            is_child = tags.get(PARENT) in complete
            if SUPERSEDED_BY in tags or not (is_child or (key in self.wanted and CONTENT in tags)):
                continue
            by = tags[PARENT] if is_child else self.current.get(key, "none yet")
            done = clearing(run.info.run_name, partial(supersede, client, run, by))
            n += done is not None and not is_child
        # The half of what was refused may be refused as well, which says nothing new.
        attempts.refused += clearing.refused if not attempts.refused else []
        return n


def _files(view: RunView) -> Mapping[str, Attached]:
    """All that a run has under its artifacts."""
    if view.table is None:
        return view.files
    return {TABLE_FILE: Attached.of(table_json(view.table)), **view.files}


def _open_experiment(client: "MlflowClient", name: str, artifacts: Path | None) -> "Experiment":
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if artifacts is None else artifacts.resolve().as_uri()
        created = client.create_experiment(name, artifact_location=location)
        experiment = client.get_experiment(created)
    elif experiment.lifecycle_stage == "deleted":
        # MLflow keeps deleted experiments under their name, and refuses a new one of that name.
        client.restore_experiment(experiment.experiment_id)
    return experiment


def _save_note(client: "MlflowClient", experiment: "Experiment", note: str) -> None:
    there, ours = experiment.tags.get(NOTE, ""), experiment.tags.get(NOTE_WRITTEN)
    if note and note != there and (not there or sha256(there) == ours):
        client.set_experiment_tag(experiment.experiment_id, NOTE_WRITTEN, sha256(note))
        client.set_experiment_tag(experiment.experiment_id, NOTE, note)


def _save_pages(client: "MlflowClient", experiment: "Experiment", pages: Sequence[Page]) -> None:
    for page in pages:
        key = f"{PREFIX}{page.key}"
        there, wanted = experiment.tags.get(key), tag_of(page, experiment.creation_time or 0)
        if there is None or (there != wanted and not is_edited(there)):
            client.set_experiment_tag(experiment.experiment_id, key, wanted)
