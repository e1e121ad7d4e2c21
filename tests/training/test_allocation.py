"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from hpsuite.training.allocation import keep_memory
if sys.argv[1] == "keep" and not keep_memory():
    sys.exit("cannot")
def step():
    return [torch.ones(1 << 20) for _ in range(8)]  # 4 MiB each
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int | None:
    """Page faults of ten steps, in a process of its own; None where its C library is another."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=False
    )
    return None if "cannot" in done.stderr else int(done.stdout)


def test_a_step_takes_the_memory_of_the_one_before() -> None:
    kept = faults("keep")
    if kept is None:
        pytest.skip("not glibc")
    assert kept < 100  # of 81,920 pages
