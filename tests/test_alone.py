"""Two runs of one study: the second is refused, and the first never knows."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from hpsuite.alone import alone
from hpsuite.checks import UserError
from tests.studies import plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")

A, B = "0123456789abcdef", "fedcba9876543210"
HOLDER = """
    import sys, time
    from hpsuite.alone import alone
    with alone(sys.argv[1], {sys.argv[2]: "an arm"}):
        print("holds", flush=True)
        time.sleep(60)
"""


def hold(address: str, identity: str) -> subprocess.Popen[str]:
    """Another process that trains an arm."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), address, identity],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


@pytest.mark.parametrize("address", ["{tmp}/x.journal", "sqlite:///{tmp}/x.db"])
def test_an_arm_is_trained_by_one_run_at_a_time(address: str, tmp_path: Path) -> None:
    address = address.format(tmp=tmp_path)
    with hold(address, A) as process:
        taken = {A: "mine", B: "other"}
        with (
            pytest.raises(UserError, match="another run is training 'mine'") as caught,
            alone(address, taken),
        ):
            pass
        assert "\n" not in str(caught.value)
        # Other arms of the record, and the same arm in another record.
        with alone(address, {B: "other"}):
            pass
        with alone(str(tmp_path / "y.journal"), {A: "mine"}):
            pass
        os.kill(process.pid, signal.SIGKILL)
    # However it ended.
    with alone(address, {A: "mine"}):
        pass


def test_one_that_may_wait_does(tmp_path: Path) -> None:
    address = str(tmp_path / "x.journal")
    with hold(address, A) as process:
        threading.Timer(0.5, process.kill).start()
        started = time.monotonic()
        with alone(address, {A: "mine"}, wait=True):
            assert time.monotonic() - started > 0.4
    assert not list(tmp_path.iterdir())


def test_records_elsewhere_have_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("postgresql://user@127.0.0.1/x", "sqlite:///:memory:", "no/such/x.journal"):
        with alone(address, {A: "mine"}), alone(address, {A: "mine"}):
            pass
    assert not list(tmp_path.iterdir())


def test_the_command_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    asked = ("name=two", "budget.trials=2", "repeats=1", "budget.epochs=1", "tracking=none")
    (arm,) = plan(*asked, "strategy=log_random", "model.layers=1", "model.units=4")
    command = [
        *(sys.executable, "-m", "hpsuite", *asked, "model.layers=1", "model.units=4"),
        *("dataset.train_fraction=0.1", "device=cpu", "executor=inline"),
    ]
    with hold(str(tmp_path / "hpsuite.journal"), arm.identity) as process:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("hpsuite: storage: another run is training 'digits mlp log_random'")
        process.kill()
    assert not (tmp_path / "outputs").exists()
