"""`make ui`: a real server of MLflow's, started, told, and ended with all its helpers."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hpsuite.report.run_pages import run_pages
from hpsuite.tracking import Attached, RunView, TrackingError, sync, ui

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small mlflow.db."""
    folder = tmp_path_factory.mktemp("a b")
    trials = [RunView("trial:a", "trial", "#0", {"val_accuracy": 0.9}, params={"rate": "0.1"})]
    report = {"report.html": Attached.of("<p>found</p>")}
    views = [
        RunView("setup:a", "setup", "mlp", {"good_fraction_2pt": 0.2}),
        RunView("arm:a", "arm", "grid · mlp", {"best_val_accuracy": 0.9}, children=trials),
        RunView("comparison:a", "comparison", "report", {}, files=report),
    ]
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    sync("quickstart", views, uri=uri, artifacts=folder / "mlflow", pages=run_pages(views))
    return folder


class Served:
    """The command, running: what it printed so far."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "hpsuite.tracking.ui", *arguments]
        self.log = folder / "printed.txt"
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log
            )

    def wait_for(self, text: str, seconds: float = 120) -> str:
        end = time.monotonic() + seconds
        while text not in (printed := self.log.read_text()):
            assert self.process.poll() is None, printed
            assert time.monotonic() < end, printed
            time.sleep(0.1)
        return printed

    def everyone(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@pytest.fixture
def served(folder: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(folder, *getattr(request, "param", ()))
    yield served
    if served.process.poll() is None:
        for each in reversed(served.everyone()):
            each.kill()
    served.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_tells_the_pages_and_leaves_no_process(
    served: Served, folder: Path, how: signal.Signals
) -> None:
    printed = served.wait_for("report.html")
    (place,) = set(re.findall(r"http://127\.0\.0\.1:\d+", printed))
    assert "quickstart\n" in printed
    for name, key in (("setups", "setup"), ("searches", "arm"), ("trials", "trial")):
        assert re.search(rf"{name} +{place}/#/experiments/\d+/runs\?.*=hpsuite-{key}\n", printed)
    with urllib.request.urlopen(f"{place}/health", timeout=10) as answer:
        assert answer.status == 200
    everyone = served.everyone()
    assert len(everyone) > 1
    # Nobody but this machine is answered.
    port = int(place.rpartition(":")[2])
    hosts = {
        c.laddr.ip
        for each in everyone
        for c in each.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    }
    assert hosts == {"127.0.0.1"}

    served.process.send_signal(how)
    assert served.process.wait(60) == 0
    assert served.log.read_text().endswith("Stopped.\n")
    assert psutil.wait_procs(everyone, timeout=10)[1] == []
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_a_stop_while_it_starts(served: Served) -> None:
    served.wait_for("Starting")
    everyone = served.everyone()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    assert psutil.wait_procs(everyone, timeout=10)[1] == []


def refused(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "hpsuite.tracking.ui", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_no_database_is_one_line(tmp_path: Path) -> None:
    status, line = refused(tmp_path)
    assert status == 2
    assert line.startswith(f"hpsuite: found no mlflow.db in {tmp_path}; accepted: ")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database_of_mlflows(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="is a server already"):
        ui.database("http://user:secret@127.0.0.1:5000", tmp_path)
    (tmp_path / "other.db").touch()
    with pytest.raises(TrackingError, match="found no tables of MLflow's"):
        ui.database("other.db", tmp_path)
    assert (tmp_path / "other.db").stat().st_size == 0
    (tmp_path / "text.db").write_text("no database at all" * 100)
    with pytest.raises(TrackingError, match="cannot be read"):
        ui.database("text.db", tmp_path)


def test_a_port_that_is_taken_is_left_alone() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TrackingError, match=f"port {port} is taken"):
            ui.find_port(port)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ui, "PORT", port)
            assert ui.find_port(None) not in (port, 0)
    assert ui.find_port(port) == port


@pytest.mark.slow
def test_a_server_that_does_not_come_up_is_one_line(folder: Path, tmp_path: Path) -> None:
    """A setting of the reader's that MLflow refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_UVICORN_OPTS", "--no-such-option")
        status, line = refused(folder)
    assert status == 1
    assert line.startswith("hpsuite: MLflow did not start: it ended with status ")
