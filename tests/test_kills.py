"""Studies that are killed again and again; benchmarks/kills.py says how, and what is checked."""

from pathlib import Path

import pytest

from benchmarks import kills
from benchmarks.kills import PLACES, Found


def check(tmp_path: Path, phases: dict[str, int]) -> None:
    found = kills.run(tmp_path, phases, seed=0)
    assert dict(found.kills) == phases
    assert all(each == Found(lost=0, doubled=0, changed=0) for each in found.found.values())


def test_killed_while_it_tells(tmp_path: Path) -> None:
    check(tmp_path, {"telling": 2})


@pytest.mark.slow
def test_killed_in_every_phase(tmp_path: Path) -> None:
    check(tmp_path, dict.fromkeys(PLACES, 2))
