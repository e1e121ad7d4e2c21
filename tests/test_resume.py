"""A run that was stopped and continued equals one that was not, wherever and however it stopped.

A journal only ever grows at its end, so that its first n lines are what a kill after the n-th
write leaves: the quick tests continue from every such place, and from torn lines between them. The
others kill real processes.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from hpsuite.journal import Journal
from hpsuite.training import planner
from tests.studies import SLOW_STRATEGIES, STRATEGIES, MadeUp, Trials, assert_same, run

# One of each kind here: rounds, stages, all at once, one at a time; the others are slow tests.
OFTEN = ("coarse_to_fine", "log_random", "staged", "tpe")
EACH = pytest.mark.parametrize(
    "strategy",
    [
        s if s in OFTEN else pytest.param(s, marks=pytest.mark.slow)
        for s in (*STRATEGIES, *SLOW_STRATEGIES)
    ],
)


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power in these tests; the disk is not waited for."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def check_record(path: Path, expected: Trials) -> None:
    """Optuna alone finds the exact totals, in order, without a trial that is left over."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    found = {study.study_name: study._study_id for study in storage.get_all_studies()}
    assert found.keys() == expected.keys()
    for name, (_, results) in expected.items():
        trials = storage.get_all_trials(found[name])
        assert [trial.number for trial in trials] == list(range(len(results)))
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        assert [trial.value for trial in trials] == [r.val_accuracy for r in results]


@pytest.mark.usefixtures("no_fsync")
@EACH
def test_stopped_after_any_write(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small batches, so that asks and tells of several take turns.
    monkeypatch.setattr(planner, "CPU_MOST", 3)
    monkeypatch.setattr(planner, "CPU_LEAST", 3)
    arm = (f"strategy={strategy}", "budget.trials=5")
    whole = tmp_path / "whole.journal"
    expected = run(whole, *arm)
    check_record(whole, expected)
    lines = whole.read_bytes().splitlines(keepends=True)
    for n, line in enumerate(lines):
        path = tmp_path / f"{n}.journal"
        torn = line[: (n * 37) % len(line)] if n % 2 else b""
        path.write_bytes(b"".join(lines[:n]) + torn)
        assert_same(run(path, *arm), expected)
        check_record(path, expected)


@pytest.mark.usefixtures("no_fsync")
@EACH
def test_stopped_again_and_again(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after each batch, and in the middle of its tells."""
    monkeypatch.setattr(planner, "CPU_MOST", 4)
    monkeypatch.setattr(planner, "CPU_LEAST", 4)
    arm = (f"strategy={strategy}", "budget.trials=9", "repeats=3", "budget.epochs=3")
    expected = run(tmp_path / "whole.journal", *arm)
    path = tmp_path / "x.journal"

    class Stop(Exception):
        pass

    def stop(told: int) -> None:
        if told:
            raise Stop

    append = Journal.append_logs
    writes = 0

    def failing(self: Journal, logs: list[dict[str, object]]) -> None:
        nonlocal writes
        writes += 1
        if writes > 13:
            writes = 0
            raise Stop
        append(self, logs)

    stops = 0
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append_logs", failing)
        while stops < 200:
            try:
                found = run(path, *arm, on_told=stop if stops % 2 else lambda told: None)
                break
            except Stop:
                stops += 1
    assert stops >= 6
    assert_same(found, expected)
    check_record(path, expected)


@pytest.mark.usefixtures("no_fsync")
def test_fresh_run_stopped_after_any_write(tmp_path: Path) -> None:
    arms = ("+matrix.strategy=[log_random, tpe]", "budget.trials=3")
    whole = tmp_path / "whole.journal"
    first = run(whole, *arms, executor=MadeUp())
    n_first = len(whole.read_bytes().splitlines())
    second = run(whole, *arms, fresh=True, executor=MadeUp())
    lines = whole.read_bytes().splitlines(keepends=True)
    assert {name[-2:] for name in second} == {"g2"}
    for n in range(n_first, len(lines)):
        path = tmp_path / f"{n}.journal"
        path.write_bytes(b"".join(lines[:n]))
        # From the first study on that was created as a whole, all arms are new; before, none is.
        expected = second if n >= n_first + 2 else first
        assert_same(run(path, *arms, executor=MadeUp()), expected)
        kept = path.read_bytes()
        assert kept.startswith(b"".join(lines[:n_first]))
        begun = kept[len(b"".join(lines[:n_first])) :]
        # Nothing was written to the first generation's studies, which are the first four.
        for line in begun.splitlines():
            assert json.loads(line).get("study_id", 4) >= 4


COMMAND = (
    *("name=stopped", "+matrix.strategy=[log_random, tpe]", "space=rate_momentum"),
    *("model.layers=1", "model.units=16", "budget.trials=24", "budget.epochs=4", "repeats=3"),
    *("tracking=none", "device=cpu"),
)
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, short_folder: Path) -> Iterator[Start]:
    """Starts the command in a folder, in a session of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: str, *overrides: str) -> subprocess.Popen[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "hpsuite", *COMMAND, *overrides],
            cwd=tmp_path / folder,
            env={**os.environ, "TMPDIR": str(short_folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        for pid in processes_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def processes_of(session: int) -> set[int]:
    """The living processes of a session; one that only waits to be reaped is not."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" (", 1)
        except (OSError, ValueError):
            continue
        state, _, _, its_session = rest.rpartition(") ")[2].split()[:4]
        if int(its_session) == session and state not in "ZX":
            found.add(int(pid))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def n_told(journal: Path) -> int:
    return journal.read_bytes().count(b'{"op_code":6') if journal.exists() else 0


def n_lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def trials_csv(folder: Path) -> list[dict[str, str]]:
    """The newest table of trials, without what depends on the time."""
    newest = max((folder / "outputs" / "stopped").iterdir(), key=lambda path: path.stat().st_ctime)
    with (newest / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


def finish(start: Start, folder: str, *overrides: str) -> None:
    process = start(folder, *overrides)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def check_ended(process: subprocess.Popen[str], status: int) -> None:
    """A process that was asked to end says how to go on, and leaves no other behind."""
    output, _ = process.communicate(timeout=20)
    assert process.returncode == status, output
    assert "Traceback" not in output
    assert "the same command continues it" in output.splitlines()[-1]
    wait_until(lambda: not processes_of(process.pid), seconds=10)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@needs_proc
def test_killed_commands_are_continued(start: Start, tmp_path: Path, short_folder: Path) -> None:
    finish(start, "whole", "executor=inline")
    expected = trials_csv(tmp_path / "whole")
    assert len(expected) == 2 * 3 * 24
    folder = "a folder with spaces"
    journal = tmp_path / folder / "hpsuite.journal"

    # The main process alone is killed; its workers notice.
    process = start(folder, "executor=processes", "executor.workers=2")
    wait_until(lambda: n_told(journal) >= 3)
    assert len(processes_of(process.pid)) >= 3
    process.kill()
    process.communicate()
    wait_until(lambda: not processes_of(process.pid), seconds=10)
    first = n_told(journal)
    assert first < len(expected)

    # Ctrl-C.
    process = start(folder, "executor=processes", "executor.workers=2")
    wait_until(lambda: n_told(journal) >= first + 2)
    os.killpg(process.pid, signal.SIGINT)
    check_ended(process, 130)
    assert n_told(journal) < len(expected)
    assert not list(short_folder.glob("hpsuite-*"))

    finish(start, folder, "executor=inline")
    assert trials_csv(tmp_path / folder) == expected


@needs_proc
@pytest.mark.parametrize(
    ("executor", "alone", "ending"),
    [
        ("processes", False, (signal.SIGTERM, 143)),
        pytest.param("processes", True, (signal.SIGTERM, 143), marks=pytest.mark.slow),
        pytest.param("inline", True, (signal.SIGTERM, 143), marks=pytest.mark.slow),
        pytest.param("inline", False, (signal.SIGTERM, 143), marks=pytest.mark.slow),
        pytest.param("processes", False, (signal.SIGHUP, 129), marks=pytest.mark.slow),
        pytest.param("inline", True, (signal.SIGHUP, 129), marks=pytest.mark.slow),
    ],
)
def test_terminated(
    executor: str, alone: bool, ending: tuple[signal.Signals, int], start: Start, tmp_path: Path
) -> None:
    """By itself, as by a service manager, or with all of its group, as by `timeout`."""
    number, status = ending
    journal = tmp_path / "x" / "hpsuite.journal"
    process = start("x", f"executor={executor}", "budget.trials=60")
    wait_until(lambda: n_told(journal) >= 3)
    if alone:
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)
    check_ended(process, status)
    assert 3 <= n_told(journal) < 2 * 3 * 60


@needs_proc
@pytest.mark.slow
def test_a_second_interrupt_stops_at_once(start: Start, tmp_path: Path) -> None:
    journal = tmp_path / "x" / "hpsuite.journal"
    process = start("x", "executor=processes", "budget.trials=60")
    wait_until(lambda: n_told(journal) >= 3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    # The first may have been enough.
    assert process.returncode in (130, -signal.SIGINT), output
    assert "Traceback" not in output
    wait_until(lambda: not processes_of(process.pid), seconds=10)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3_000, 60_000])
def test_no_room_for_the_record(size: int, tmp_path: Path) -> None:
    """At the first studies, or at some trial: the line is torn, and mended by the next run."""
    code = (
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        f"sys.argv = ['hpsuite', *{COMMAND}, 'executor=inline']\n"
        "runpy.run_module('hpsuite', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("hpsuite: no room for what is to be written (")
    assert "Traceback" not in done.stderr
    journal = tmp_path / "hpsuite.journal"
    assert journal.stat().st_size == size
    assert (n_told(journal) > 0) == (size > 3_000)
    done = subprocess.run(
        [sys.executable, "-m", "hpsuite", *COMMAND, "executor=inline"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ended in a torn line" in done.stderr
    assert n_told(journal) == len(trials_csv(tmp_path)) == 2 * 3 * 24


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_killed_at_random_again_and_again(executor: str, start: Start, tmp_path: Path) -> None:
    finish(start, "whole", "executor=inline")
    expected = trials_csv(tmp_path / "whole")
    journal = tmp_path / "killed" / "hpsuite.journal"
    generator = np.random.default_rng(7)
    total = n_lines(tmp_path / "whole" / "hpsuite.journal")
    kinds = [signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]
    kills = 0
    while kills < 8:
        lines = n_lines(journal) + int(generator.integers(1, total // 10))
        kind = kinds[kills % len(kinds)]
        process = start("killed", f"executor={executor}")
        wait_until(lambda lines=lines, p=process: n_lines(journal) >= lines or p.poll() is not None)
        if process.poll() is not None:
            break
        time.sleep(float(generator.exponential(0.02)))
        if generator.random() < 0.5 or kind == signal.SIGINT:
            os.killpg(process.pid, kind)
        else:
            process.send_signal(kind)
        output, _ = process.communicate(timeout=20)
        if kind == signal.SIGINT:
            assert process.returncode in (0, 130), output
            assert "Traceback" not in output
        wait_until(lambda p=process: not processes_of(p.pid), seconds=10)
        kills += 1
    assert kills >= 4
    finish(start, "killed", f"executor={executor}")
    assert trials_csv(tmp_path / "killed") == expected
    studies = optuna.get_all_study_summaries(JournalStorage(JournalFileBackend(str(journal))))
    assert [study.n_trials for study in studies] == [24] * 6
