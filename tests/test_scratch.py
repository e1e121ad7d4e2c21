"""Folders of workers' data: one that a killed run left goes with the next run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hpsuite.scratch import IN_USE, Scratch, SharedScratch, remove_unused, write_arrays

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")

HOLDER = """
import time
from hpsuite.scratch import Scratch
print(Scratch().folder, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def grow_old(folder: Path) -> None:
    """Let a folder be an hour old."""
    then = time.time() - 3600
    os.utime(folder, (then, then))


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        (left / "data.npy").write_bytes(b"1")
        grow_old(left)
        own = Scratch()
        assert left.exists()  # it lives
        process.send_signal(signal.SIGKILL)
    others = tmp_path / "hpsuite-of-others"
    others.mkdir()
    link = tmp_path / "hpsuite-link"
    target = tmp_path / "target"
    target.mkdir()
    (target / IN_USE).touch()
    link.symlink_to(target)
    for folder in (left, others, target):
        grow_old(folder)
    young = Scratch()
    assert not left.exists()
    assert others.exists()
    assert (target / IN_USE).exists()
    for scratch in (own, young):
        assert scratch.folder.exists()
        scratch.remove()
        assert not scratch.folder.exists()


def test_a_shared_folder_is_filled_once_and_goes_with_the_last(tmp_path: Path) -> None:
    first, second = SharedScratch("token"), SharedScratch("token")
    assert first.folder == second.folder == tmp_path / "hpsuite-token"
    written = []

    def write(folder: Path) -> None:
        folder.mkdir()
        written.append(folder)

    for shared in (first, second):
        shared.fill("data", write)
    assert len(written) == 1
    assert (first.folder / "data").is_dir()
    grow_old(first.folder)
    Scratch().remove()
    remove_unused(first.folder, patience=0.1)
    assert first.folder.exists()
    first.leave()
    assert second.folder.exists()
    second.leave()
    assert not second.folder.exists()
    assert SharedScratch("token").folder.exists()  # anew


def test_what_a_killed_process_left_half_is_written_again(tmp_path: Path) -> None:
    shared = SharedScratch("token")
    (shared.folder / ".data").mkdir()
    (shared.folder / ".data" / "old.npy").touch()
    shared.fill("data", lambda folder: write_arrays({"new": np.arange(3)}, folder))
    assert [path.name for path in (shared.folder / "data").iterdir()] == ["new.npy"]
    shared.leave()


def test_what_is_half_removed_is_removed_by_the_next(tmp_path: Path) -> None:
    code = """
import os, shutil, signal
from pathlib import Path
from hpsuite.scratch import SharedScratch
shared = SharedScratch("token")
for name in "ab":
    shared.fill(name, Path.mkdir)
own = shutil.rmtree
def remove(*arguments, **keywords):
    own(*arguments, **keywords)
    os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = remove
shared.leave()
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    left = tmp_path / "hpsuite-token"
    assert {path.name for path in left.iterdir()} >= {IN_USE}
    grow_old(left)
    other = SharedScratch("other")
    assert not left.exists()
    other.leave()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("n_users", [1, 2])
def test_a_folder_goes_with_processes_that_are_killed(n_users: int, tmp_path: Path) -> None:
    """With their children, and with all of their process groups."""
    code = """
import time
from hpsuite.scratch import SharedScratch, shared_folder
from hpsuite.sweeping import Sweeper
sweeper = Sweeper(shared_folder("token"))
shared = SharedScratch("token")
(shared.folder / "data").touch()
print(flush=True)
time.sleep(60)
"""
    users = []
    for _ in range(n_users):
        users.append(
            subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
            )
        )
        users[-1].stdout.readline()  # type: ignore[union-attr]
    folder = tmp_path / "hpsuite-token"
    for user in users:
        time.sleep(0.5)
        assert (folder / "data").exists()
        family = psutil.Process(user.pid).children(recursive=True)
        os.killpg(user.pid, signal.SIGKILL)
        for child in family:
            child.kill()
        user.communicate()
    deadline = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_folder_that_was_just_made_goes_too(tmp_path: Path) -> None:
    folder = tmp_path / "hpsuite-token"
    folder.mkdir()
    remove_unused(folder)
    assert not folder.exists()
