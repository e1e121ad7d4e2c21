"""Runs of the command that are disturbed: forked, waited for, and read back.

What benchmarks/kills.py and benchmarks/faults.py share.
"""

import csv
import importlib
import json
import os
import runpy
import signal
import sqlite3
import sys
import time
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NoReturn

from optuna.trial import TrialState

OUTPUT = "output.txt"
# What a child needs, and takes seconds to import.
IMPORTED = ("hpsuite.experiment", "hpsuite.report.figures", "mlflow", "mlflow.tracking.client")
# No run here takes so long.
MOST_SECONDS = 600.0


def run_hpsuite(overrides: Sequence[str]) -> None:
    """What `python -m hpsuite` does, in this process."""
    sys.argv = ["hpsuite", *overrides]
    # Workers import what is the main module, and need nothing of a harness.
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.modules.pop("hpsuite.__main__", None)  # which Python warns of
    runpy.run_module("hpsuite", run_name="__main__", alter_sys=False)


class Child:
    """A process that runs something in a folder.

    It is a fork of this process, which has imported all that takes seconds to import, and nothing
    else: no thread runs here, and no record is open. It leads a session of its own.
    """

    def __init__(self, folder: Path, what: Callable[[], None], output: str = OUTPUT) -> None:
        """Start it; what it says goes to a file of the folder."""
        for name in IMPORTED:
            importlib.import_module(name)
        self._output = folder / output
        self._status: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _run(folder, self._output, what)

    def poll(self) -> int | None:
        """Its exit status, or minus the signal that killed it; None while it runs."""
        if self._status is None:
            pid, ended = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(ended)
        return self._status

    def wait(self, seconds: float = MOST_SECONDS) -> int:
        """Its exit status, when it has ended."""
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                raise RuntimeError(f"still running after {seconds:g} s:\n{self.said}")
            time.sleep(0.01)
        return status

    def signal(self, number: signal.Signals, *, alone: bool = False) -> None:
        """Send a signal to it, and unless it is meant `alone` to all that it started."""
        with suppress(ProcessLookupError):
            if not alone:
                os.killpg(self.pid, number)
            elif self.poll() is None:
                os.kill(self.pid, number)

    @property
    def said(self) -> str:
        """What it said so far."""
        return self._output.read_text() if self._output.exists() else ""


def _run(folder: Path, output: Path, what: Callable[[], None]) -> NoReturn:
    status = 70
    try:
        os.setsid()
        os.chdir(folder)
        _forget_server()
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        # What stood there may be something of the parent's, as under pytest.
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        what()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 (nothing may go on to what the parent does)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _forget_server() -> None:
    """A server of worker processes that the parent had started is no child of this process."""
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None


Record = dict[str, list[tuple[object, ...]]]


def record(folder: Path, address: str | None = None) -> Record:
    """All told trials of each study, as Optuna reads them; number, value, parameters, curves.

    Args:
        folder: of the run.
        address: of its record; None takes the journal, or the SQLite database, of the folder.
    """
    from hpsuite.record import open_storage, storage_exists

    path = folder / "hpsuite.journal"
    if address is None:
        address = str(path) if path.exists() else f"sqlite:///{folder / 'record.db'}"
    if not storage_exists(address):
        return {}
    storage = open_storage(address, writing=False)
    found: Record = {}
    for study in storage.get_all_studies():
        trials = storage.get_all_trials(study._study_id)
        told = [t for t in trials if t.state is TrialState.COMPLETE]
        found[study.study_name] = [
            (t.number, t.value, tuple(sorted(t.params.items())), _result(t.user_attrs["hpsuite"]))
            for t in told
        ]
    return found


def _result(attribute: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in attribute.items() if k != "seconds"}, sort_keys=True)


@dataclass(frozen=True)
class Outcome:
    """What a study leaves."""

    record: Record
    trials: list[dict[str, str]]
    files: set[str]
    mlflow: list[tuple[object, ...]]


def outcome(folder: Path, name: str) -> Outcome:
    """Read all that a study left; folders that are not whole are an error."""
    places = sorted((folder / "outputs" / name).iterdir())
    whole = [place for place in places if not place.name.startswith(".writing-")]
    kinds = {tuple(sorted(path.name for path in place.iterdir())) for place in whole}
    if len(kinds) != 1:
        raise RuntimeError(f"folders differ in their files: {kinds}")
    newest = max(whole, key=lambda place: place.stat().st_mtime)
    with (newest / "trials.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    if (folder / "hpsuite.journal.checkpoints").exists():
        raise RuntimeError("checkpoints are left")
    return Outcome(record(folder), rows, set(next(iter(kinds))), _active_runs(folder / "mlflow.db"))


def _active_runs(path: Path) -> list[tuple[object, ...]]:
    """Name, status and metrics of each run that MLflow shows."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database:
        runs = database.execute(
            "select r.run_uuid, r.name, r.status from runs r where r.lifecycle_stage = 'active' "
            "and r.run_uuid not in (select run_uuid from tags where key = 'hpsuite.superseded_by')"
        ).fetchall()
        figures = [(name, status, *_metrics(database, run)) for run, name, status in sorted(runs)]
    return sorted(figures, key=str)


def _metrics(database: sqlite3.Connection, run: str) -> list[tuple[object, ...]]:
    return database.execute(
        "select key, value from latest_metrics where run_uuid = ? and key not like '%second%' "
        "order by key",
        (run,),
    ).fetchall()
