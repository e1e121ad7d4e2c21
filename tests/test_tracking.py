"""The MLflow view, against real SQLite files and one real server."""

import base64
import inspect
import json
import logging
import math
import os
import resource
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pytest

from hpsuite.report import foreign
from hpsuite.report.run_pages import run_pages
from hpsuite.tracking import (
    Attached,
    Page,
    RunView,
    Synced,
    TrackingError,
    address,
    how_to_open,
    resolve_uri,
    sync,
)
from hpsuite.tracking.pages import tag_of
from hpsuite.tracking.views import digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ROOT = Path(__file__).resolve().parents[1]


def long_to_write(n_children: int) -> list[RunView]:
    """Views for the kill test, whose other process runs this function's source."""
    children = [
        RunView(f"trial:{i}", "trial", f"#{i}", {"val_accuracy": 0.9}, {"curve": [0.1] * 50})
        for i in range(n_children)
    ]
    return [
        RunView("arm:a", "arm", "a", {"n_trials": 3}),
        RunView("arm:b", "arm", "b", {"n_trials": 4}, children=children),
        RunView("arm:c", "arm", "c", {"n_trials": 5}),
    ]


def arm(key: str = "arm:a", best: float = 0.9, **more: Any) -> RunView:
    """A small view with something of everything."""
    view = RunView(
        key=key,
        kind="arm",
        name=f"grid · {key}",
        metrics={"best_val_accuracy": best, "n_trials": 3},
        series={"best_so_far": [0.1, 0.5, best]},
        params={"strategy": "grid"},
        tags={"hpsuite.strategy": "grid"},
        note="**found** by grid",
        table={"number": [0, 1, 2], "weight_decay": [1e-12, 0.1 + 0.2, 3.0]},
        children=[RunView(f"{key}:0", "trial", "#0", {"val_accuracy": best})],
    )
    return replace(view, **more)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes most of a second."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with address.quiet():
        client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))


def client(uri: str) -> "MlflowClient":
    with address.quiet():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


def write(
    database: Path, *views: RunView, experiment: str = "quickstart", note: str = ""
) -> Synced:
    uri, artifacts = f"sqlite:///{database}", database.parent / "artifacts"
    return sync(experiment, views, uri=uri, artifacts=artifacts, note=note)


def runs_of(uri: str) -> list["Run"]:
    """All runs, the latest start first, as the UI lists them."""
    mlflow = client(uri)
    experiment = mlflow.get_experiment_by_name("quickstart")
    assert experiment is not None
    return list(mlflow.search_runs([experiment.experiment_id], max_results=5000))


def current(uri: str, kind: str = "arm") -> list["Run"]:
    return [run for run in runs_of(uri) if run.data.tags["hpsuite.kind"] == kind]


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_importing_the_module_does_not_import_mlflow() -> None:
    check = "import sys, hpsuite.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_a_run_shows_all_that_its_view_says(database: Path) -> None:
    setup = RunView("setup:a", "setup", "mlp", {"good_fraction_2pt": 1 / 3})
    synced = write(database, setup, arm("arm:a"), arm("arm:b"), note="what this **is**")

    assert synced == Synced(synced.experiment_id, created=3, unchanged=0, superseded=0)
    uri = f"sqlite:///{database}"
    runs = {run.data.tags["hpsuite.key"]: run for run in runs_of(uri)}
    assert [key for key in runs if not key.endswith(":0")] == ["setup:a", "arm:a", "arm:b"]
    run, child = runs["arm:b"], runs["arm:b:0"]
    assert run.info.run_name == "grid · arm:b"
    assert run.info.status == child.info.status == "FINISHED"
    assert run.data.metrics == {"best_val_accuracy": 0.9, "n_trials": 3, "best_so_far": 0.9}
    assert runs["setup:a"].data.metrics["good_fraction_2pt"] == 1 / 3
    history = client(uri).get_metric_history(run.info.run_id, "best_so_far")
    assert [(point.step, point.value) for point in history] == [(1, 0.1), (2, 0.5), (3, 0.9)]
    assert run.data.params == {"strategy": "grid"}
    assert run.data.tags["hpsuite.kind"] == "arm"
    assert run.data.tags["hpsuite.strategy"] == "grid"
    assert run.data.tags["mlflow.note.content"] == "**found** by grid"
    assert child.data.tags["hpsuite.kind"] == "trial"
    assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    experiment = client(uri).get_experiment(synced.experiment_id)
    assert experiment.tags["mlflow.note.content"] == "what this **is**"
    # The table: in the folder that was given, marked as a table, and to the last digit.
    assert run.data.tags["mlflow.loggedArtifacts"] == '[{"path": "trials.json", "type": "table"}]'
    (file,) = (database.parent / "artifacts" / run.info.run_id).rglob("trials.json")
    assert json.loads(file.read_text()) == {
        "columns": ["number", "weight_decay"],
        "data": [[0, 1e-12], [1, 0.1 + 0.2], [2, 3.0]],
    }
    import mlflow

    assert mlflow.active_run() is None


def test_writing_twice_changes_nothing(database: Path) -> None:
    first = write(database, arm("arm:a"), arm("arm:b"), note="note")
    before = dump(database)
    # Equal content in other clothes: another order of names, NumPy's numbers, tuples.
    table = {"number": np.arange(3), "weight_decay": np.array([1e-12, 0.1 + 0.2, 3.0])}
    metrics = {"n_trials": np.int64(3), "best_val_accuracy": np.float64(0.9)}
    again = arm("arm:a", table=table, metrics=metrics, series={"best_so_far": (0.1, 0.5, 0.9)})
    for views in ([arm("arm:a"), arm("arm:b")], [arm("arm:b"), again], [again]):
        second = write(database, *views, note="note")
        assert second == Synced(first.experiment_id, 0, unchanged=len(views), superseded=0)
    assert dump(database) == before


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"kind": "setup"},
        {"metrics": {"best_val_accuracy": 0.9}},
        {"metrics": {"best_val_accuracy": math.nan, "n_trials": 3}},
        {"series": {"best_so_far": [0.1, 0.5, np.nextafter(0.9, 1)]}},
        {"params": {}},
        {"tags": {"hpsuite.strategy": "tpe"}},
        {"note": ""},
        {"table": None},
        {"table": {"weight_decay": [1e-12, 0.1 + 0.2, 3.0], "number": [0, 1, 2]}},
        {"children": []},
        {"children": [RunView("arm:a:0", "trial", "#0", {"val_accuracy": 0.8})]},
    ],
)
def test_every_part_of_a_view_counts_as_content(change: dict[str, Any]) -> None:
    assert digest(arm(**change)) != digest(arm())
    assert digest(arm(**change)) == digest(arm(**change))


def test_a_changed_view_supersedes_the_old_run_and_deletes_nothing(database: Path) -> None:
    uri = f"sqlite:///{database}"
    write(database, arm("arm:a", 0.8), arm("arm:b"))
    old = next(run for run in current(uri) if run.data.tags["hpsuite.key"] == "arm:a")
    client(uri).set_tag(old.info.run_id, "mlflow.note.content", "my own words")

    synced = write(database, arm("arm:a", 0.9), arm("arm:b"))

    assert (synced.created, synced.unchanged, synced.superseded) == (1, 1, 1)
    shown = {run.data.tags["hpsuite.key"]: run for run in current(uri)}
    assert shown["arm:a"].data.metrics["best_val_accuracy"] == 0.9
    assert len(current(uri)) == len(current(uri, "trial")) == 2
    gone = client(uri).get_run(old.info.run_id)
    assert gone.info.run_name == "superseded · grid · arm:a"
    assert gone.info.status == "FINISHED"
    assert gone.data.tags["hpsuite.kind"] == "superseded-arm"
    assert gone.data.tags["hpsuite.superseded_by"] == shown["arm:a"].info.run_id
    assert gone.data.tags["mlflow.note.content"] == "my own words"
    assert gone.data.metrics == old.data.metrics
    assert len(current(uri, "superseded-trial")) == 1

    # And back again: what was superseded stays so.
    synced = write(database, arm("arm:a", 0.8), arm("arm:b"))
    assert (synced.created, synced.unchanged, synced.superseded) == (1, 1, 1)
    assert len(current(uri)) == 2


def test_two_complete_runs_of_one_key_become_one(database: Path) -> None:
    """As a kill after writing the new run, or two processes at once, would leave it."""
    uri = f"sqlite:///{database}"
    write(database, arm("arm:a", 0.8))
    write(database, arm("arm:a", 0.9))
    (old,) = current(uri, "superseded-arm")
    mlflow = client(uri)
    mlflow.delete_tag(old.info.run_id, "hpsuite.superseded_by")
    mlflow.set_tag(old.info.run_id, "hpsuite.kind", "arm")
    assert len(current(uri)) == 2

    synced = write(database, arm("arm:a", 0.9))

    assert (synced.created, synced.unchanged, synced.superseded) == (0, 1, 1)
    (run,) = current(uri)
    assert run.data.metrics["best_val_accuracy"] == 0.9


def test_values_that_are_not_finite_are_left_out(database: Path) -> None:
    curve = [0.1, math.nan, 0.3, math.inf, 0.5]
    table: dict[str, list[object]] = {
        "loss": [0.5, math.nan, -math.inf],
        "state": [None, True, "nonfinite"],
    }
    metrics = {"a": math.nan, "b": math.inf, "c": 1.0}
    view = RunView("arm:a", "arm", "a", metrics, {"curve": curve}, table=table)
    assert write(database, view).created == 1
    assert write(database, view).unchanged == 1

    uri = f"sqlite:///{database}"
    (run,) = current(uri)
    assert run.data.metrics == {"c": 1.0, "curve": 0.5}
    history = client(uri).get_metric_history(run.info.run_id, "curve")
    assert [(point.step, point.value) for point in history] == [(1, 0.1), (3, 0.3), (5, 0.5)]
    (file,) = (database.parent / "artifacts").rglob("trials.json")
    assert json.loads(file.read_text())["data"] == [
        [0.5, None],
        ["nan", True],
        ["-inf", "nonfinite"],
    ]


def test_more_than_one_request_holds(database: Path) -> None:
    view = RunView(
        key="arm:a",
        kind="arm",
        name="a",
        metrics={f"m{i}": i for i in range(10)},
        series={"best_so_far": [i / 2000 for i in range(2000)]},
        params={f"p{i}": "x" * 500 for i in range(250)},
        tags={f"t{i}": "y" * 500 for i in range(250)},
        note="z" * 20_000,
    )
    assert write(database, view).created == 1
    assert write(database, view).unchanged == 1

    uri = f"sqlite:///{database}"
    (run,) = current(uri)
    assert len(run.data.metrics) == 11
    assert len(run.data.params) == 250
    assert sum(name.startswith("t") for name in run.data.tags) == 250
    history = client(uri).get_metric_history(run.info.run_id, "best_so_far")
    assert [point.step for point in history] == list(range(1, 2001))
    assert history[-1].value == 1999 / 2000


def test_a_sync_that_was_killed_is_made_good_by_the_next(database: Path, tmp_path: Path) -> None:
    n_children, uri = 80, f"sqlite:///{database}"
    script = tmp_path / "writer.py"
    script.write_text(
        "from pathlib import Path\nfrom hpsuite.tracking import RunView, sync\n\n"
        f"{inspect.getsource(long_to_write)}\n"
        f"views = long_to_write({n_children})\n"
        f"sync('quickstart', views, uri={uri!r}, artifacts=Path('artifacts'))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    writer = subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environment)
    with closing(sqlite3.connect(database)) as connection:
        while connection.execute("SELECT COUNT(*) FROM runs").fetchone()[0] < 15:
            assert writer.poll() is None
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    n_half_written = len(runs_of(uri)) - 3  # a and c, which are short, and b
    assert 0 < n_half_written < n_children

    synced = write(database, *long_to_write(n_children))

    assert (synced.created, synced.unchanged, synced.superseded) == (1, 2, 1)
    shown = current(uri)
    assert sorted(run.data.tags["hpsuite.key"] for run in shown) == ["arm:a", "arm:b", "arm:c"]
    assert {run.info.status for run in shown} == {"FINISHED"}
    trials = Counter(run.data.tags["mlflow.parentRunId"] for run in current(uri, "trial"))
    (b,) = (run.info.run_id for run in shown if run.data.tags["hpsuite.key"] == "arm:b")
    assert trials == {b: n_children}
    (half,) = current(uri, "superseded-arm")
    assert half.info.status == "KILLED"
    assert len(current(uri, "superseded-trial")) == n_half_written
    before = dump(database)
    assert write(database, *long_to_write(n_children)).unchanged == 3
    assert dump(database) == before


def test_what_was_deleted_in_the_ui_comes_back(database: Path) -> None:
    uri = f"sqlite:///{database}"
    first = write(database, arm("arm:a"), arm("arm:b"))
    client(uri).delete_run(current(uri)[0].info.run_id)
    assert write(database, arm("arm:a"), arm("arm:b")).created == 1

    client(uri).delete_experiment(first.experiment_id)
    synced = write(database, arm("arm:a"), arm("arm:b"))
    assert synced.experiment_id == first.experiment_id
    assert client(uri).get_experiment(first.experiment_id).lifecycle_stage == "active"
    assert len(current(uri)) == 2
    assert write(database, arm("arm:a"), arm("arm:b")).unchanged == 2


def test_a_note_edited_in_the_ui_stays(database: Path) -> None:
    uri = f"sqlite:///{database}"

    def shown() -> str:
        return str(client(uri).get_experiment(experiment_id).tags["mlflow.note.content"])

    experiment_id = write(database, note="ours").experiment_id
    write(database, note="ours, newer")
    assert shown() == "ours, newer"
    client(uri).set_experiment_tag(experiment_id, "mlflow.note.content", "mine")
    write(database, note="ours, newest")
    assert shown() == "mine"


def test_experiments_do_not_mix(database: Path) -> None:
    assert write(database, arm(), experiment="one").created == 1
    assert write(database, arm(), experiment="two").created == 1
    assert write(database, arm(), experiment="one").unchanged == 1


def test_paths_with_spaces_and_missing_folders(tmp_path: Path, empty_database: Path) -> None:
    folder = tmp_path / "my results" / "100%"
    folder.mkdir(parents=True)
    database = Path(shutil.copy(empty_database, folder / "mlflow.db"))
    write(database, arm())
    assert len(list((folder / "artifacts").rglob("trials.json"))) == 1
    assert write(folder / "new" / "mlflow.db", arm()).created == 1


def test_an_unreachable_server_is_reported_quickly_and_cleanly(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    environment, disabled = dict(os.environ), logging.root.manager.disable
    with socket.socket() as free:  # bound and not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        uri = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(TrackingError) as caught:
            sync("quickstart", [arm()], uri=uri, artifacts=None)
        assert time.monotonic() - start < 10
    message = str(caught.value)
    assert "Connection refused" in message
    assert "127.0.0.1" in message
    assert "secret" not in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert (dict(os.environ), logging.root.manager.disable) == (environment, disabled)


def test_addresses_that_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("not a database, " * 100)
    (tmp_path / "folder.db").mkdir()
    write(database, arm("arm:a"))
    for uri, reason in [
        ("nonsense://somewhere", "unsupported URI"),
        (f"sqlite:///{tmp_path}/text.db", "not a database"),
        (f"sqlite:///{tmp_path}/folder.db", "unable to open"),
        (f"sqlite:///{tmp_path}/text.db/mlflow.db", "text.db"),
        (f"sqlite:///file:{database}?mode=ro&uri=true", "readonly"),
        ("mysql+nonsense://user:secret@127.0.0.1/x", "nonsense"),
    ]:
        start = time.monotonic()
        with pytest.raises(TrackingError) as caught:
            sync("quickstart", [arm("arm:b")], uri=uri, artifacts=None)
        message = str(caught.value)
        assert message.startswith("MLflow at ")
        assert uri.replace("secret", "***") in message
        assert reason in message.replace(uri, "")
        assert "\n" not in message
        assert time.monotonic() - start < 10, uri
    assert len(current(f"sqlite:///{database}")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("uri", ["sqlite:///{}/mlflow.db", "nonsense://{}"])
def test_a_sync_prints_nothing(tmp_path: Path, uri: str) -> None:
    """Even where everything is logged, as under Hydra, and a database is made."""
    script = (
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        "from pathlib import Path\n"
        "from hpsuite.tracking import *\n"
        "view = RunView('arm:a', 'arm', 'a', {'m': 1.0}, table={'number': [1]})\n"
        "try:\n"
        f"    sync('quickstart', [view], uri={uri.format(tmp_path)!r}, artifacts=Path('art'))\n"
        "except TrackingError:\n"
        "    pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_address_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_uri("sqlite:///mine.db", tmp_path) == "sqlite:///mine.db"
    assert resolve_uri(None, tmp_path) == "http://server:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_how_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    command, page = how_to_open(uri, "7")
    assert command == "run   python -m hpsuite.tracking.ui"
    assert page.startswith("open  http://127.0.0.1:5000/#/experiments/7/runs?")
    assert "compareRunsMode=CHART" in page
    # The saved view has the filter; one in the address would keep its charts away.
    assert page.endswith("&viewStateShareKey=hpsuite-arm")
    # Where another environment's Python, or none, comes first: this one.
    monkeypatch.setenv("PATH", str(tmp_path))
    command, page = how_to_open(f"sqlite:///{tmp_path}/a b/mlflow.db", "7", "setup")
    assert command == f"run   {sys.executable} -m hpsuite.tracking.ui '{tmp_path}/a b/mlflow.db'"
    assert page.endswith("&viewStateShareKey=hpsuite-setup")
    # In a checkout with its own environment.
    (tmp_path / "hpsuite" / "tracking").mkdir(parents=True)
    for name in ("Makefile", "hpsuite/tracking/ui.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert how_to_open(uri, "7")[0] == "run   make ui"
    command = how_to_open(f"sqlite:///{tmp_path}/a b/mlflow.db", "7")[0]
    make, target, given = shlex.split(command.removeprefix("run   "))
    assert (make, target) == ("make", "ui")
    assert shlex.split(given.removeprefix("ARGS=")) == [f"{tmp_path}/a b/mlflow.db"]
    (page,) = how_to_open("https://user:secret@server/mlflow/", "7")
    assert page.startswith("open  https://user:***@server/mlflow/#/experiments/7/runs?")
    assert 'searchFilter=tags."hpsuite.kind" = "arm"' in unquote(page)
    assert "viewStateShareKey" not in page


def test_a_run_that_mlflow_refuses_costs_that_run_alone(database: Path) -> None:
    uri = f"sqlite:///{database}"
    old = write(database, arm("arm:b", 0.5))
    bad = arm("arm:b", metrics={"a name#": 1.0})  # which MLflow does not take
    for _ in range(2):
        synced = write(database, arm("arm:a"), bad, arm("arm:c"), note="note")
        (line,) = synced.refused
        assert line.startswith("arm grid · arm:b: MlflowException: ")
        assert "\n" not in line
        # What was refused leaves nothing half written to be seen, and the old run in its place.
        shown = {run.data.tags["hpsuite.key"]: run.info.status for run in current(uri)}
        assert len(current(uri)) == 3
        assert shown == dict.fromkeys(["arm:a", "arm:b", "arm:c"], "FINISHED")
    assert synced == replace(synced, created=0, unchanged=2, superseded=1)

    synced = write(database, arm("arm:a"), arm("arm:b", 0.7), arm("arm:c"), note="note")
    assert synced == Synced(old.experiment_id, created=1, unchanged=2, superseded=1)
    before = dump(database)
    assert write(database, arm("arm:a"), arm("arm:b", 0.7), arm("arm:c")).unchanged == 3
    assert dump(database) == before


def test_time_that_runs_out(database: Path) -> None:
    uri, children = f"sqlite:///{database}", long_to_write(400)[1].children
    views = [replace(arm("arm:long"), children=children), arm("arm:a"), arm("arm:b")]
    start = time.monotonic()
    with pytest.raises(TrackingError, match="out of time") as caught:
        sync("quickstart", views, uri=uri, artifacts=database.parent / "a", time_limit=1.5)
    assert time.monotonic() - start < 10
    assert caught.value.gone
    done = sum(run.info.status == "FINISHED" for run in current(uri))
    assert str(caught.value).endswith(
        f"out of time (tracking.time_limit=1.5, in seconds); {done} of 3 runs are up to date"
    )
    synced = write(database, *views[1:])
    assert synced.unchanged == done
    assert synced.created == 2 - done


def test_a_database_without_room_for_its_tables_is_not_left_behind(tmp_path: Path) -> None:
    database, before = tmp_path / "mlflow.db", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(TrackingError, match="disk") as caught:
            write(database, arm())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.gone
    assert list(tmp_path.iterdir()) == []
    assert write(database, arm()).created == 1
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "artifacts"}


def test_a_run_that_was_made_twice_is_shown_once(database: Path) -> None:
    """As where an answer is lost, and MLflow's client asks again; a child, and a run."""
    uri = f"sqlite:///{database}"
    experiment = write(database, arm("arm:a")).experiment_id
    (run,), (child,) = current(uri), current(uri, "trial")
    for tags in (run.data.tags, child.data.tags):
        client(uri).create_run(experiment, tags=dict(tags))
    mine = {"mlflow.parentRunId": run.info.run_id, "hpsuite.kind": "mine"}
    reader = client(uri).create_run(experiment, tags=mine)
    assert write(database, arm("arm:a")).superseded == 1
    assert [r.info.run_id for r in current(uri)] == [run.info.run_id]
    assert [r.info.run_id for r in current(uri, "trial")] == [child.info.run_id]
    assert client(uri).get_run(reader.info.run_id).info.status == "RUNNING"
    before = dump(database)
    assert write(database, arm("arm:a")).superseded == 0
    assert dump(database) == before


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Attached]:
    """A small report, a picture and a summary, as files on the disk and as text."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "report.html").write_bytes(b"<p>found</p>" * 100_000)
    (tmp_path / "made" / "a picture.png").write_bytes(bytes(range(256)))
    return {
        "figures/importance.png": Attached.of(tmp_path / "made" / "a picture.png"),
        "summary.json": Attached.of('{"schema": 2}'),
        "report.html": Attached(tmp_path / "made" / "report.html", "found"),
    }


def artifacts_of(uri: str, run: "Run", folder: Path) -> dict[str, bytes]:
    """All files of a run, fetched anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with address.quiet():
        there = Path(client(uri).download_artifacts(run.info.run_id, "", str(folder)))
    found = sorted(path for path in there.rglob("*") if path.is_file())
    return {path.relative_to(there).as_posix(): path.read_bytes() for path in found}


def test_files_are_attached_once_and_replaced_where_they_say_something_else(
    database: Path, tmp_path: Path, files: dict[str, Attached]
) -> None:
    uri, view = f"sqlite:///{database}", arm("arm:a", files=files)
    first = write(database, arm("arm:a"))  # as an older version left it: a table, no files
    assert write(database, view) == Synced(first.experiment_id, 0, unchanged=1, superseded=0)
    (run,) = current(uri)
    there = artifacts_of(uri, run, tmp_path / "fetched")
    assert list(there) == ["figures/importance.png", "report.html", "summary.json", "trials.json"]
    assert there["figures/importance.png"] == bytes(range(256))
    assert there["report.html"] == b"<p>found</p>" * 100_000

    # The same, written at another time: nothing happens.
    later = tmp_path / "made" / "later.html"
    later.write_bytes(b"<p>found, later</p>")
    before = dump(database)
    again = files | {"report.html": replace(files["report.html"], source=later)}
    assert write(database, replace(view, files=again)).unchanged == 1
    assert dump(database) == before
    assert artifacts_of(uri, run, tmp_path / "fetched") == there

    # Another finding: the files change, and the run stays.
    other = files | {"report.html": Attached(later, "something else")}
    synced = write(database, replace(view, files=other))
    assert (synced.created, synced.unchanged, synced.superseded) == (0, 1, 0)
    changed = artifacts_of(uri, run, tmp_path / "fetched")
    assert changed == there | {"report.html": b"<p>found, later</p>"}
    assert len(runs_of(uri)) == 2  # with its child


def test_files_that_cannot_be_written_cost_a_line_and_come_later(
    database: Path, tmp_path: Path, files: dict[str, Attached]
) -> None:
    uri = f"sqlite:///{database}"
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    views = [arm(f"arm:{i}", files=files) for i in range(3)]
    synced = write(database, *views, note="note")
    assert (synced.created, synced.superseded) == (3, 0)
    assert 1 <= len(synced.files_failed) <= 3
    for line in synced.files_failed:
        assert "\n" not in line
        assert "Error" in line
    assert {run.info.status for run in current(uri)} == {"FINISHED"}
    assert all(run.data.metrics["n_trials"] == 3 for run in current(uri))

    (tmp_path / "artifacts").unlink()
    synced = write(database, *views, note="note")
    assert synced == Synced(synced.experiment_id, 0, unchanged=3, superseded=0)
    for run in current(uri):
        assert len(artifacts_of(uri, run, tmp_path / "fetched")) == 4
    before = dump(database)
    assert write(database, *views, note="note").files_failed == ()
    assert dump(database) == before


def test_one_file_that_is_refused_does_not_keep_the_others_away(
    database: Path, tmp_path: Path, files: dict[str, Attached]
) -> None:
    files = {"gone.png": Attached(tmp_path / "gone.png", "nothing")} | files
    synced = write(database, arm("arm:a", files=files), arm("arm:b"))
    (line,) = synced.files_failed
    assert line.startswith("gone.png: FileNotFoundError")
    runs = {run.data.tags["hpsuite.key"]: run for run in current(f"sqlite:///{database}")}
    uri = f"sqlite:///{database}"
    assert len(artifacts_of(uri, runs["arm:a"], tmp_path / "fetched")) == 4
    assert len(artifacts_of(uri, runs["arm:b"], tmp_path / "fetched")) == 1


PAGE = Page("arm", "Searches", ("best_val_accuracy", "regret"), {"best_so_far": True, "b": False})


def saved_views(uri: str) -> dict[str, Any]:
    experiment = client(uri).get_experiment_by_name("quickstart")
    assert experiment is not None
    tags = {k: v for k, v in experiment.tags.items() if k.startswith("mlflow.sharedViewState.")}
    return {key: json.loads(value) for key, value in tags.items()}


def test_pages_are_saved_as_the_ui_saves_them(database: Path) -> None:
    uri, key = f"sqlite:///{database}", "mlflow.sharedViewState.hpsuite-arm"

    def up_to_date(page: Page) -> dict[str, Any]:
        sync("quickstart", [arm()], uri=uri, artifacts=database.parent / "artifacts", pages=[page])
        return dict(saved_views(uri)[key])

    made = up_to_date(PAGE)
    assert made["name"] == "Searches"
    packed = made["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert state["searchFilter"] == 'tags."hpsuite.kind" = "arm"'
    assert state["selectedColumns"] == ["metrics.`best_val_accuracy`", "metrics.`regret`"]
    charts = [(chart["type"], chart["metricKey"]) for chart in state["compareRunCharts"]]
    assert charts == [("LINE", "best_so_far"), ("BAR", "b")]
    experiment = client(uri).get_experiment_by_name("quickstart")
    assert experiment is not None

    before = dump(database)
    assert up_to_date(PAGE) == made
    assert dump(database) == before
    assert up_to_date(replace(PAGE, columns=("regret",)))["state"] != made["state"]
    # One that was changed in the UI is its reader's.
    mine = made | {"updatedAt": made["createdAt"] + 1, "name": "mine"}
    client(uri).set_experiment_tag(experiment.experiment_id, key, json.dumps(mine))
    assert up_to_date(PAGE) == mine


def test_the_pages_of_a_run_fit_into_their_tags() -> None:
    params = {f"hyperparameter {i} with a name of fair length": str(i) for i in range(30)}
    trial = RunView("trial:a", "trial", "#0", {"val_accuracy": 0.9}, params=params)
    views = [
        RunView(f"{kind}:{i}", kind, kind, {}, params=params | {"a": str(i)}, children=[trial])
        for kind in ("setup", "arm")
        for i in range(2)
    ]
    pages = run_pages(views)
    assert [page.kind for page in pages] == ["setup", "arm", "trial", "comparison"]
    for page in (*pages, *foreign.PAGES):
        assert len(tag_of(page, 1_800_000_000_000)) < 5000  # MLflow's limit


def test_pages_put_first_what_tells_runs_apart() -> None:
    def setup(name: str) -> RunView:
        params = {"epochs": "2", "normalization": name, "found: diverged": name}
        tried = {"learning_rate": "0.1", "momentum": "0.9", name: "1"}
        trials = [RunView(f"{name}:0", "trial", "#0", {"val_accuracy": 0.9}, params=tried)]
        return RunView(name, "setup", name, {}, params=params, children=trials)

    setups, arms, trials, comparison = run_pages([setup("none"), setup("before")])
    assert setups.params == ("normalization",)
    assert arms.params == comparison.params == ()
    assert trials.parallel == (("learning_rate", "momentum"), ("val_accuracy", "test_accuracy"))
    assert [page.kind for page in run_pages([])] == ["setup", "arm", "comparison"]
    packed = json.loads(tag_of(trials, 1))["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert state["orderByKey"] == "metrics.`val_accuracy`"
    assert state["selectedColumns"][:2] == ["params.`learning_rate`", "params.`momentum`"]
    first = state["compareRunCharts"][0]
    assert (first["type"], first["selectedParams"]) == ("PARALLEL", ["learning_rate", "momentum"])


def test_colours_are_a_runs_own_and_no_part_of_its_content(database: Path) -> None:
    uri = f"sqlite:///{database}"
    write(database, arm(color="#003a7d"))
    (run,) = current(uri)
    assert run.data.tags["mlflow.runColor"] == "#003a7d"
    client(uri).set_tag(run.info.run_id, "mlflow.runColor", "#ffffff")
    assert write(database, arm(color="#e66a0a")).unchanged == 1
    (run,) = current(uri)
    assert run.data.tags["mlflow.runColor"] == "#ffffff"


@pytest.fixture
def server(tmp_path: Path, database: Path) -> Iterator[str]:
    """A tracking server of our own; it starts helpers, so its whole process group is ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}"]
    command += ["--workers=1", f"--backend-store-uri=sqlite:///{database}"]
    command += [f"--artifacts-destination={tmp_path / 'served'}"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_real_server(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], files: dict[str, Attached]
) -> None:
    def up_to_date(*views: RunView) -> tuple[int, int, int]:
        synced = sync("quickstart", views, uri=server, artifacts=tmp_path / "unused", note="note")
        return synced.created, synced.unchanged, synced.superseded

    many = replace(
        arm("arm:b"),
        series={"best_so_far": [i / 2000 for i in range(2000)]},
        params={f"p{i}": "x" * 500 for i in range(250)},
        tags={f"t{i}": "y" * 500 for i in range(250)},
    )
    assert up_to_date(arm("arm:a", 0.8), many) == (2, 0, 0)
    assert up_to_date(arm("arm:a", 0.8), many) == (0, 2, 0)
    assert up_to_date(arm("arm:a", 0.9), many) == (1, 1, 1)
    assert capfd.readouterr() == ("", "")

    shown = {run.data.tags["hpsuite.key"]: run for run in current(server)}
    assert shown["arm:a"].data.metrics["best_val_accuracy"] == 0.9
    assert len(shown["arm:b"].data.params) == 250
    assert not (tmp_path / "unused").exists()
    assert up_to_date(arm("arm:a", 0.9, files=files), many) == (0, 2, 0)
    there = artifacts_of(server, shown["arm:a"], tmp_path / "fetched")
    assert list(there) == ["figures/importance.png", "report.html", "summary.json", "trials.json"]
    assert there["report.html"] == b"<p>found</p>" * 100_000
    table = client(server).download_artifacts(shown["arm:a"].info.run_id, "trials.json")
    assert json.loads(Path(table).read_text())["data"][0] == [0, 1e-12]
