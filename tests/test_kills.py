"""Studies that are killed again and again; benchmarks/kills.py says how, and what is checked."""

import json
from pathlib import Path

import pytest

from benchmarks import kills
from benchmarks.kills import PLACES, Found
from tests.studies import MadeUp, run


def check(tmp_path: Path, phases: dict[str, int]) -> None:
    found = kills.run(tmp_path, phases, seed=0)
    assert dict(found.kills) == phases
    assert all(each == Found(lost=0, doubled=0, changed=0) for each in found.found.values())


def test_what_is_lost_or_changed_is_seen(tmp_path: Path) -> None:
    journal = tmp_path / "hpsuite.journal"
    told = run(journal, "strategy=log_random", "budget.trials=4", "repeats=1", executor=MadeUp())
    (name,) = told
    (tmp_path / kills.LOG).write_text(json.dumps({"told": name, "n": 4}) + "\n")
    expected = kills.record(tmp_path)
    assert kills.check_killed(tmp_path, expected) == Found(lost=0, doubled=0, changed=0)

    lines = journal.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[-1])["op_code"] == 6  # that the last trial is told
    journal.write_bytes(b"".join(lines[:-1]))
    assert kills.check_killed(tmp_path, expected) == Found(lost=1, doubled=0, changed=0)

    other = json.loads(lines[-1])
    other["values"] = [other["values"][0] + 2**-20]
    journal.write_bytes(b"".join(lines[:-1]) + json.dumps(other).encode() + b"\n")
    assert kills.check_killed(tmp_path, expected) == Found(lost=0, doubled=0, changed=1)


@pytest.mark.slow
def test_killed_while_it_tells(tmp_path: Path) -> None:
    check(tmp_path, {"telling": 1})


@pytest.mark.slow
def test_killed_in_every_phase(tmp_path: Path) -> None:
    check(tmp_path, dict.fromkeys(PLACES, 2))
