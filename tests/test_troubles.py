"""What the machine does is told in a line; what a program does wrong is not taken for it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from hpsuite.troubles import trouble
from tests.studies import TINY


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "no room for what is to be w",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x.journal"),
            "x.journal: Permission",
        ),
        (
            OperationalError("select 1", {}, Exception("disk I/O error")),
            "the record cannot",
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "Broken pipe; what was told"),
    ],
)
def test_the_machines(error: Exception, words: str) -> None:
    assert trouble(error).startswith(words)
    assert "the same command continues it" in trouble(error)
    outer = RuntimeError("cannot record")
    outer.__cause__ = error
    assert trouble(outer) == trouble(error)


def test_a_mistake_that_met_a_missing_file_is_a_mistake() -> None:
    error = KeyError("mine")
    error.__context__ = FileNotFoundError(errno.ENOENT, "No such file", "weights")
    assert trouble(error) == ""


def test_what_training_raised_is_the_models() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file", "weights")
    error.add_note("while training a batch")
    assert trouble(error) == ""
    assert trouble(ValueError("no")) == ""


def test_a_run_goes_on_where_nobody_reads(tmp_path: Path) -> None:
    arm = (*TINY, "strategy=log_random", "budget.trials=3", "tracking=none", "executor=inline")
    root = str(Path(__file__).resolve().parents[1])
    with subprocess.Popen(
        [sys.executable, "-m", "hpsuite", *arm],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "")
    assert len([*tmp_path.glob("outputs/*/*/summary.json")]) == 1
