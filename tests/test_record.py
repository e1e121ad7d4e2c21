"""The record against real journal files, real locks, real killed processes and real SQLite."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import (
    JournalFileBackend,
)
from optuna.trial import TrialState

from hpsuite import journal
from hpsuite.checks import UserError
from hpsuite.record import (
    ATTRIBUTE,
    SCHEMA,
    Provenance,
    attribute_of,
    create_study,
    generations,
    identity,
    newest_generation,
    open_storage,
    read_study,
    result_of,
    study_name,
)
from hpsuite.trials import TrialResult
from tests.studies import MadeUp, Trials, assert_same, open_runs, run

ARM = "0123456789abcdef"
OVERRIDES = ("strategy=log_random", "budget.trials=5")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    """A journal whose process was killed when 7 of 10 trials were told, and the number of lines."""
    path = tmp_path_factory.mktemp("stopped") / "x.journal"
    run(path, *OVERRIDES, executor=MadeUp())
    lines = path.read_bytes().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if json.loads(line)["op_code"] == 6]
    kept = lines[: ends[6] + 2]  # the last line belongs to a trial that is not told yet
    return b"".join(kept), len(kept)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """What a run that was never stopped finds."""
    return run(tmp_path_factory.mktemp("whole") / "x.journal", *OVERRIDES, executor=MadeUp())


def n_told(content: bytes) -> int:
    """Trials told in a journal's whole lines, counted without Optuna."""
    lines = content.splitlines(keepends=True)
    return sum(line.startswith(b'{"op_code":6,') and line.endswith(b"}\n") for line in lines)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one byte short": lambda journal: journal[:-1],
    "20 bytes short": lambda journal: journal[:-20],
    "one byte of the last line": lambda journal: journal[: journal.rindex(b"\n", 0, -1) + 2],
    "an end of an earlier write": lambda journal: journal + journal[-30:],
    "garbage": lambda journal: journal + b"\x8fgarb{age",
    "garbage with a newline": lambda journal: journal + b"{garbage\n",
    "lines of garbage": lambda journal: journal + b"{garb\n\n\nage\n[]\n17\n\xff\xfe",
    "zeros, as a file system leaves them": lambda journal: journal + bytes(5000),
    "zeros with a newline": lambda journal: journal + bytes(7) + b"\n",
    "nothing": lambda journal: journal,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_torn_journal_goes_on(
    damage: Callable[[bytes], bytes], stopped: tuple[bytes, int], whole: Trials, tmp_path: Path
) -> None:
    journal, _ = stopped
    torn = damage(journal)
    path = tmp_path / "x.journal"
    path.write_bytes(torn)
    expected = n_told(torn)

    _, studies = open_runs(path, *OVERRIDES)
    # Nothing is lost: the journal's whole lines stay, the rest lies beside it.
    kept = path.read_bytes()
    copies = list(tmp_path.glob("x.journal.torn-*"))
    assert kept + b"".join(copy.read_bytes() for copy in copies) == torn
    assert len(copies) == (torn != journal)
    assert sum(study.n_told for study in studies) == expected >= 6

    assert_same(run(path, *OVERRIDES, executor=MadeUp()), whole)
    # Optuna alone can open it, add to it, and open it again.
    for n in (0, 1):
        storage = JournalStorage(JournalFileBackend(str(path)))
        summaries = optuna.get_all_study_summaries(storage)
        assert sorted(s.n_trials for s in summaries) == [0] * n + [5, 5]
        for study in storage.get_all_studies()[:2]:
            trials = storage.get_all_trials(study._study_id)
            assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        optuna.create_study(storage=storage, study_name=f"another {n}")


def test_append_of_several_lines_torn_in_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    create_study(open_storage(str(path)), "a", {})
    before = path.read_bytes()
    log = {"op_code": 2, "worker_id": "w", "study_id": 0}
    several = [{**log, "user_attr": {key: "value"}} for key in ("one", "two", "three")]
    JournalFileBackend(str(path)).append_logs(several)  # type: ignore[arg-type]
    content = path.read_bytes()
    second = content.index(b"\n", len(before)) + 1
    third = content.index(b"\n", second) + 1
    for cut, there in ((second + 7, {"one"}), (third - 1, {"one"}), (third + 7, {"one", "two"})):
        path.write_bytes(content[:cut])
        (study,) = open_storage(str(path)).get_all_studies()
        assert study.user_attrs.keys() - {ATTRIBUTE} == there


def test_end_is_mended_once(stopped: tuple[bytes, int], tmp_path: Path, caplog) -> None:
    path = tmp_path / "x.journal"
    path.write_bytes(stopped[0][:-20])
    with caplog.at_level(logging.WARNING, "hpsuite.record"):
        open_storage(str(path))
        mended = path.read_bytes()
        open_storage(str(path))
    assert path.read_bytes() == mended
    (message,) = caplog.messages
    assert str(path) in message
    assert not path.with_name("x.journal.lock").exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"op_code":0,"worker_id":"5'])
def test_empty_or_barely_begun_journal(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    path.write_bytes(content)
    run(path, *OVERRIDES, executor=MadeUp())
    assert n_told(path.read_bytes()) == 10


def test_path_may_be_relative_and_its_folder_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("x.journal", "a b/c/x.journal", str(tmp_path / "d" / "x.journal")):
        storage = open_storage(address)
        create_study(storage, "before", {})
        monkeypatch.chdir("/")
        create_study(storage, "after", {})  # the path does not follow the working directory
        monkeypatch.chdir(tmp_path)
        path = Path(address)
        path.write_bytes(path.read_bytes()[:-3])
        names = [study.study_name for study in open_storage(address).get_all_studies()]
        assert names == ["before", "after"]
        assert not path.with_name("x.journal.lock").exists()


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"{}\n", b"[1]\n", b"SQLite format 3\0\x10\0\x01", bytes(64)]
)
def test_what_is_no_journal_stays_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match="no journal") as caught:
        open_storage(str(path))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


def test_torn_line_that_others_followed_is_named(
    stopped: tuple[bytes, int], tmp_path: Path
) -> None:
    path = tmp_path / "x.journal"
    lines = stopped[0].splitlines(keepends=True)
    for bad in (lines[9][:-20], b"\x00\x00\n", b"\xff\xfe\xfa\n"):
        content = b"".join([*lines[:9], bad, *lines[10:]])
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"line 10 of .*x\.journal is damaged") as caught:
            open_storage(str(path))
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == content
    # The way out that it names.
    path.write_bytes(b"".join([*lines[:9], *lines[10:]]))
    open_storage(str(path))


WRITER = """
import os, signal, sys, time
from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock
path, kind, then = sys.argv[1:]
lock = {"link": JournalFileSymlinkLock, "open": JournalFileOpenLock}[kind](path)
line = b'{"op_code":0,"worker_id":"w","study_name":"late","directions":[2]}\\n'
lock.acquire()
with open(path, "ab") as file:
    file.write(line[:30])
    file.flush()
    print("half", flush=True)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.5)
    file.write(line[30:])
lock.release()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Starts a process that writes half a line under the lock, and waits for that half."""
    started = []

    def start(kind: str, then: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "x.journal"), kind, then],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["link", "open"])
def test_line_of_a_living_writer_is_not_cut(kind: str, tmp_path: Path, writer) -> None:
    path = tmp_path / "x.journal"
    create_study(open_storage(str(path)), "early", {})
    process = writer(kind, "live")
    names = {study.study_name for study in open_storage(str(path)).get_all_studies()}
    assert process.wait() == 0
    assert names == {"early", "late"}
    assert not list(tmp_path.glob("*.torn-*"))


@pytest.mark.parametrize("kind", ["link", "open"])
def test_lock_of_a_killed_writer_is_taken_over(
    kind: str, tmp_path: Path, writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LOCK_GRACE_SECONDS", 3)
    path = tmp_path / "x.journal"
    create_study(open_storage(str(path)), "early", {})
    assert writer(kind, "die").wait() == -signal.SIGKILL
    assert os.path.lexists(f"{path}.lock")
    started = time.monotonic()
    storage = open_storage(str(path))
    assert 3 <= time.monotonic() - started < 6
    create_study(storage, "late", {})
    assert {study.study_name for study in storage.get_all_studies()} == {"early", "late"}
    assert len(list(tmp_path.glob("*.torn-*"))) == 1
    assert not os.path.lexists(f"{path}.lock")


def test_many_processes_append_while_others_open(tmp_path: Path) -> None:
    path = str(tmp_path / "x.journal")
    open_storage(path)
    code = (
        "import sys, optuna\n"
        "from optuna.storages import JournalStorage\n"
        "from optuna.storages.journal import JournalFileBackend\n"
        "storage = JournalStorage(JournalFileBackend(sys.argv[1]))\n"
        "for i in range(40):\n"
        "    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], f'{sys.argv[2]} {i}')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, path, str(i)]) for i in range(2)]
    while any(process.poll() is None for process in writers):
        open_storage(path)
    assert [process.returncode for process in writers] == [0, 0]
    assert len(open_storage(path).get_all_studies()) == 80
    assert not list(tmp_path.glob("*.torn-*"))


@pytest.mark.parametrize(
    "address", ["sqlite:////nowhere/at/all/x.db", "no-such-database://x", "{tmp}/file/x.journal"]
)
def test_address_that_cannot_be_opened(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^storage: .*accepted") as caught:
        open_storage(address.format(tmp=tmp_path))
    assert "\n" not in str(caught.value)


def test_identity_is_of_values_not_of_their_order() -> None:
    parts = {"a": 1, "b": {"c": [1, 2.5, None], "d": "x"}}
    turned = {"b": {"d": "x", "c": (1, 2.5, None)}, "a": 1}
    assert identity(parts) == identity(turned)
    # Fixed, as another hash would orphan every record that was ever written. By `sha256sum` of
    # {"a":1,"b":{"c":[1,2.5,null],"d":"x"}}.
    assert identity(parts) == "142439e2c0a77237"
    others = [
        {**parts, "a": 2},
        {**parts, "a": "1"},
        {**parts, "a": True},
        {**parts, "e": None},
        {"a": 1, "b": {"c": [2.5, 1, None], "d": "x"}},
    ]
    assert len({identity(other) for other in others} | {identity(parts)}) == 6


def test_generations_are_found_by_name_and_attribute(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "x.journal"))
    optuna.create_study(storage=storage, study_name="somebody's own")
    assert generations(storage) == {}
    names = [study_name("digits mlp r3 x", ARM, repeat, 1) for repeat in (0, 1)]
    for name in names:
        create_study(storage, name, {})
    # A kill between the name and the attributes.
    optuna.create_study(storage=storage, study_name=study_name("x", ARM, 0, 2))
    found = generations(storage)
    assert found == {(ARM, 1): dict(enumerate(names))}
    assert newest_generation(found, ARM) == 1
    assert newest_generation(found, "f" * 16) == 0
    other = "f" * 16
    create_study(storage, study_name("x", ARM, 0, 2), {}, begins={ARM: 2, other: 5})
    found = generations(storage)
    assert found[ARM, 2] == {0: study_name("x", ARM, 0, 2)}
    assert newest_generation(found, ARM) == 2
    assert newest_generation(found, other) == 5


def test_study_that_was_created_by_half_is_completed(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "x.journal"))
    name = study_name("x", ARM, 0, 1)
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    create_study(storage, name, {"provenance": {}})
    assert read_study(storage, name) == {"schema": SCHEMA, "provenance": {}}
    assert len(storage.get_all_studies()) == 1
    study.ask()
    with pytest.raises(UserError, match="not of hpsuite's making"):
        create_study(storage, name, {"provenance": {}})


def test_other_schema_is_refused(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "x.journal"))
    name = study_name("x", ARM, 0, 1)
    create_study(storage, name, {})
    optuna.load_study(study_name=name, storage=storage).set_user_attr(ATTRIBUTE, {"schema": 2})
    with pytest.raises(UserError, match="schema 2; accepted: 1"):
        read_study(storage, name)


@pytest.mark.parametrize("change", [{"colour": "red"}, {"val_curve": 7}, {"outcome": None}])
def test_result_of_another_version_is_named(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    (name,) = run(path, "strategy=log_random", "budget.trials=1", "repeats=1", executor=MadeUp())
    storage = open_storage(str(path))
    (trial,) = optuna.load_study(study_name=name, storage=storage).trials
    own = {**trial.user_attrs[ATTRIBUTE], **change}
    own = {key: value for key, value in own.items() if value is not None}
    trial.user_attrs[ATTRIBUTE] = own
    with pytest.raises(UserError, match=r"^storage: trial 0 of study .* cannot read") as caught:
        result_of(trial, name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["x.journal", "sqlite:///{tmp}/x.db"])
def test_result_comes_back_to_the_bit(address: str, tmp_path: Path) -> None:
    result = TrialResult(
        "s", 0, "nonfinite", 1 / 3, 0.1 + 0.2, (1 / 7, 5e-324, 1.0), (1e300, 2.3e-308), 12, 1 / 9
    )
    address = address.format(tmp=tmp_path) if "://" in address else str(tmp_path / address)
    study = optuna.create_study(storage=open_storage(address), study_name="s")
    trial = study.ask()
    trial.set_user_attr(ATTRIBUTE, attribute_of(result))
    study.tell(trial, result.val_accuracy)
    (read,) = optuna.load_study(study_name="s", storage=open_storage(address)).trials
    assert result_of(read, "s") == result


def test_provenance_names_what_differs() -> None:
    now = Provenance(results=1, torch="2.15.0", optuna="5.0.0", device="cpu")
    same = {"results": 1, "torch": "2.15.0", "optuna": "5.0.0", "device": "cpu", "commit": "abc"}
    assert now.difference(same) == ""
    assert now.difference({**same, "torch": "2.11.0"}) == "torch 2.11.0, now 2.15.0"
    assert now.difference({}).count("now") == 4
