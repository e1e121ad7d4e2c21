"""The journal: what is written is seen at once, and waited for on the disk as often as needed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import hpsuite
from hpsuite.journal import Lock, rarely_synced, together
from hpsuite.record import open_storage

UNIFORM = optuna.distributions.FloatDistribution(0, 1)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that the disk was waited for, which still happens."""
    sizes: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return sizes


def test_each_line_is_waited_for(tmp_path: Path, syncs: list[int]) -> None:
    path = tmp_path / "x.journal"
    study = optuna.create_study(storage=open_storage(str(path)))
    study.ask({"x": UNIFORM})
    assert len(syncs) == len(path.read_bytes().splitlines()) == 3
    assert syncs[-1] == path.stat().st_size


def test_lines_are_seen_at_once_and_waited_for_when_asked(tmp_path: Path, syncs: list[int]) -> None:
    path = tmp_path / "x.journal"
    storage = open_storage(str(path))
    study = optuna.create_study(storage=storage, study_name="x")
    syncs.clear()
    with rarely_synced(storage) as sync:
        study.tell(study.ask({"x": UNIFORM}), 1.0)
        other = optuna.load_study(study_name="x", storage=open_storage(str(path)))
        assert [trial.value for trial in other.trials] == [1.0]
        assert syncs == []
        sync()
        assert syncs == [path.stat().st_size]
        sync()
        assert len(syncs) == 1  # nothing new
        study.ask()
    assert syncs[1:] == [path.stat().st_size]
    study.ask()
    assert len(syncs) == 3


def test_an_error_on_the_way_leaves_nothing_unsynced(tmp_path: Path, syncs: list[int]) -> None:
    path = tmp_path / "x.journal"
    storage = open_storage(str(path))
    study = optuna.create_study(storage=storage, study_name="x")
    with pytest.raises(ValueError, match="100"), rarely_synced(storage):
        study.tell(study.ask().number + 100, 1.0)
    assert syncs[-1] == path.stat().st_size


def test_values_of_a_trial_are_one_write(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    storage = open_storage(str(path))
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    before = path.stat().st_size
    with together(storage):
        trial.suggest_float("x", 0, 1)
        trial.suggest_float("y", 0, 1)
        assert path.stat().st_size == before
    (seen,) = study.trials
    assert seen.params.keys() == {"x", "y"}


def test_a_run_waits_for_the_disk_once_a_batch(tmp_path: Path, syncs: list[int]) -> None:
    path = tmp_path / "x.journal"
    hpsuite.fit(trials=60, epochs=1, repeats=2, workers=None, storage=str(path), progress=False)
    told = [line for line in path.read_bytes().splitlines() if json.loads(line)["op_code"] == 6]
    assert len(told) == 120
    assert path.stat().st_size in syncs
    assert len(syncs) < 60


def test_a_kill_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    code = f"""
        import optuna, os, signal
        from hpsuite.journal import rarely_synced
        from hpsuite.record import open_storage
        storage = open_storage({str(path)!r})
        study = optuna.create_study(storage=storage, study_name="x")
        with rarely_synced(storage):
            for i in range(50):
                study.tell(study.ask(), i)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    study = optuna.load_study(study_name="x", storage=open_storage(str(path)))
    assert [trial.value for trial in study.trials] == list(range(50))
    assert all(trial.state is TrialState.COMPLETE for trial in study.trials)


def test_an_interrupt_while_it_waits_leaves_the_lock_of_another(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    path.touch()
    other = Lock(path, 60)
    other.acquire()
    code = f"""
        from pathlib import Path
        from hpsuite.journal import Lock
        print("waits", flush=True)
        try:
            Lock(Path({str(path)!r}), 60).acquire()
        except KeyboardInterrupt:
            print("interrupted")
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
    assert path.with_name("x.journal.lock").exists()
    other.release()
    with pytest.raises(RuntimeError, match="removed by somebody else"):
        other.release()


def test_processes_that_take_turns(tmp_path: Path) -> None:
    """Optuna's own lock among them: all lines are there, and whole."""
    path = tmp_path / "x.journal"
    code = f"""
        import sys
        from pathlib import Path
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
        from hpsuite.journal import Journal, Lock
        path = {str(path)!r}
        own = Journal(Path(path), Lock(Path(path), 30))
        optunas = JournalFileBackend(path, JournalFileOpenLock(path))
        for i in range(100):
            (own if sys.argv[1] == "own" else optunas).append_logs([dict(i=i, text="x" * 5000)])
    """
    kinds = ("own", "own", "optunas")
    command = [sys.executable, "-c", textwrap.dedent(code)]
    started = [subprocess.Popen([*command, kind]) for kind in kinds]
    assert [process.wait() for process in started] == [0] * 3
    lines = [json.loads(line)["i"] for line in path.read_bytes().splitlines()]
    assert sorted(lines) == sorted(3 * list(range(100)))


def test_a_torn_line_does_not_harm_what_a_living_writer_adds(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    study = optuna.create_study(storage=open_storage(str(path)), study_name="x")
    study.tell(study.ask({"x": UNIFORM}), 1.0)
    for torn in (b"{", b'{"op_code":5,"trial_id":0,"user_a'):
        with path.open("ab") as file:
            file.write(torn)
        study.tell(study.ask({"x": UNIFORM}), 2.0)
    again = optuna.load_study(study_name="x", storage=open_storage(str(path)))
    assert [trial.value for trial in again.trials] == [1.0, 2.0, 2.0]
    assert sorted(kept.read_bytes() for kept in tmp_path.glob("x.journal.torn-*")) == [
        b"{",
        b'{"op_code":5,"trial_id":0,"user_a',
    ]


def test_a_journal_that_was_cut_is_not_written_on(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    study = optuna.create_study(storage=open_storage(str(path)), study_name="x")
    study.tell(study.ask(), 1.0)
    kept = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(kept)
    with pytest.raises(OSError, match="shorter than it was"):
        study._storage.set_study_user_attr(study._study_id, "a", 1)
    assert path.read_bytes() == kept


def test_a_journal_that_is_gone_is_not_begun_in_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    study = optuna.create_study(storage=open_storage(str(path)), study_name="x")
    aside = path.rename(tmp_path / "aside")
    with pytest.raises(FileNotFoundError):
        study.ask()
    assert not path.exists()
    assert not path.with_name("x.journal.lock").exists()
    aside.rename(path)
    study.tell(study.ask(), 1.0)
    again = optuna.load_study(study_name="x", storage=open_storage(str(path)))
    assert [trial.value for trial in again.trials] == [1.0]
