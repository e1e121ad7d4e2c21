"""Whole experiments side by side, by Hydra's launchers, on one record."""

import contextlib
import copy
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.disturbed import record
from hpsuite.checks import UserError
from hpsuite.compose import unescaped
from hpsuite.multirun import _check_passwords
from hpsuite.texts import without_password
from hpsuite.troubles import JobEnded
from tests.commands import Command, check_refused
from tests.studies import plan
from tests.test_alone import hold

ROOT = Path(__file__).resolve().parents[1]
ASKED = ("name=tiny", "strategy=log_random", "budget.trials=3", "budget.epochs=1", "repeats=1")
TINY = ("model.layers=1", "model.units=4", "dataset.train_fraction=0.1", "device=cpu")
ARGUMENTS = (*ASKED, *TINY, "executor=inline", "tracking=none", "analysis.report=false")
LAUNCHERS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "on_ray": "hydra_ray_launcher",
}


def hpsuite(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a folder."""
    folder.mkdir(exist_ok=True)
    has_workers = "executor=processes" in arguments
    own = [text for text in ARGUMENTS if not (has_workers and text.startswith("executor"))]
    return subprocess.run(
        [sys.executable, "-m", "hpsuite", *arguments, *own],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def shared(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a record."""
    if kind == "journal":
        yield str(folder / "hpsuite.journal")
        return
    pytest.importorskip("psycopg")
    from benchmarks import postgres_server

    if why := postgres_server.missing():
        pytest.skip(why)
    with postgres_server.running() as server:
        monkeypatch.setenv("PGPASSWORD", server.password)
        yield server.create("shared", over_tcp=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "kind"),
    [
        ("joblib", "journal"),
        ("joblib", "PostgreSQL"),
        ("submitit_local", "PostgreSQL"),
        ("on_ray", "journal"),
    ],
)
def test_experiments_side_by_side_are_those_in_turn(
    launcher: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(f"hydra_plugins.{LAUNCHERS[launcher]}") is None:
        pytest.skip("needs pip install 'hpsuite[launchers]' (on_ray: hydra-ray-launcher)")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    turns, sides = tmp_path / "turns", tmp_path / "sides"
    assert hpsuite(turns, "-m", "seed=0,1").returncode == 0
    sides.mkdir()
    with shared(kind, sides, monkeypatch) as address:
        workers = ("executor=processes", "executor.workers=1")
        own = (f"storage='{address}'", f"hydra/launcher={launcher}", *workers)
        done = hpsuite(sides, "-m", "seed=0,1", *own)
        assert done.returncode == 0, done.stderr
        assert record(sides, address) == record(turns)
    # Both were at work at the same time.
    (a, b), (c, d) = sorted(map(span, sides.glob("outputs/tiny/*/summary.json")))
    assert max(a, c) <= min(b, d) + timedelta(seconds=1)


def span(path: Path) -> tuple[datetime, datetime]:
    """When a run began and ended; it is told to the second."""
    about = json.loads(path.read_text())
    end = datetime.fromisoformat(about["created"])
    return end - timedelta(seconds=about["seconds"]), end


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")
def test_one_that_fails_is_the_status_of_all(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    (arm,) = plan(*ASKED, "model.layers=1", "model.units=4", "seed=1")
    with hold(str(tmp_path / "hpsuite.journal"), arm.identity) as process:
        done = hpsuite(tmp_path, "-m", "seed=0,1", "hydra/launcher=joblib")
        process.kill()
    assert done.returncode == 2, done.stderr
    assert "another run is training" in done.stderr
    assert "an experiment of -m ended with status 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("outputs/tiny/*/summary.json"))) == 1


def test_a_status_comes_back_from_another_process() -> None:
    ended = copy.copy(JobEnded(2))  # as pickle makes it
    assert ended.status == 2
    assert "ended with status 2" in str(ended)


@pytest.mark.parametrize(
    "address",
    [
        "mysql://me:secret@host/db",
        "postgresql://me:secret@${oc.env:HOME}/db",
        "postgresql://${oc.env:HOME}:secret@host/db",
        "postgresql://me:${oc.env:HOME}secret@host/db",
    ],
)
def test_a_password_that_was_typed_is_refused(command: Command, address: str) -> None:
    ended = command("-m", *ARGUMENTS, "seed=0,1", f"storage='{address}'")
    check_refused(ended, "storage: found a password, which -m would write to a file")
    assert "${oc.env:NAME}" in ended.err


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me@host/db",
        "postgresql://me:${oc.env:SECRET}@host/db",
        "http://${oc.env:TOKEN}@host",
        "http://me:${oc.env:SECRET}@${oc.env:HOST}/x",
        "postgresql://host/db?password=${oc.env:SECRET}&sslmode=require",
    ],
)
@pytest.mark.parametrize("is_escaped", [False, True])
def test_one_from_the_environment_is_none_that_was_typed(address: str, is_escaped: bool) -> None:
    _check_passwords([f"storage={escaped(address) if is_escaped else address}"])


def escaped(address: str) -> str:
    """As Hydra's sweeper gives it to a job."""
    return re.sub(r"([:${}=])", r"\\\1", address)


@pytest.mark.parametrize(
    "address", ["http://secret@host", "postgresql://me:secret@host/db", "x://h/?password=secret"]
)
def test_what_was_typed_is_known_behind_backslashes(address: str) -> None:
    assert "secret" not in without_password(escaped(address))
    with pytest.raises(UserError, match="found a password, which -m would write to a file"):
        _check_passwords([f"storage={escaped(address)}"])


@pytest.mark.parametrize(
    ("override", "plain"),
    [
        (r"tracking.uri=http\://host\:5000", "tracking.uri=http://host:5000"),
        (r"storage=postgresql\://me@host/db", "storage=postgresql://me@host/db"),
        (r"name=a\,b", r"name=a\,b"),
        (r"seed=3", "seed=3"),
        (r"x='a\'b'", r"x='a\'b'"),
    ],
)
def test_commands_have_no_backslash_that_says_nothing(override: str, plain: str) -> None:
    assert unescaped(override) == plain


def test_a_launcher_that_is_not_installed_is_told_with_its_extra(command: Command) -> None:
    ended = command("-m", *ARGUMENTS, "seed=0,1", "hydra/launcher=mine")
    check_refused(ended, "hydra/launcher: found 'mine'; accepted: ")
    assert "side_by_side, slurm" in ended.err
    assert "pip install 'hpsuite[launchers]'" in ended.err
