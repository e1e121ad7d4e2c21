"""A record on PostgreSQL, against a real server: the same trials, one run at a time, restarts."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hpsuite import lasting, postgres
from hpsuite.alone import alone
from hpsuite.checks import UserError
from hpsuite.record import open_storage, storage_exists
from hpsuite.served import ServedRecord
from hpsuite.troubles import ServerLost, trouble
from tests.commands import Command, check_refused
from tests.studies import MadeUp, Shuffled, assert_same, open_runs, run

if TYPE_CHECKING:
    from benchmarks.postgres_server import Server

A, B = "0123456789abcdef", "fedcba9876543210"
OVERRIDES = ("strategy=log_random", "budget.trials=5")


@pytest.fixture(scope="module")
def server() -> Iterator["Server"]:
    """A server that was just made."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("needs psycopg (pip install 'hpsuite[postgres]')")
    from benchmarks import postgres_server

    if missing := postgres_server.missing():
        pytest.skip(missing)
    with postgres_server.running() as made:
        yield made


@pytest.fixture
def address(server: "Server", request: pytest.FixtureRequest) -> str:
    """An empty database, named after the test."""
    return server.create(f"db{abs(hash(request.node.nodeid)) % 10**8}")


@pytest.fixture
def restarted(server: "Server", monkeypatch: pytest.MonkeyPatch) -> Iterator["Server"]:
    """The server, which runs again afterwards; nobody waits long for it."""
    monkeypatch.setattr(lasting, "PAUSE", 0.05)
    yield server
    server.stop(signal.SIGQUIT)
    server.start()


# --- addresses


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgres://me@host/db", "found postgres:; accepted: postgresql://USER@HOST/DATABASE"),
        ("postgresql+psycopg2://me@host/db", "found postgresql+psycopg2:; accepted: postgresql"),
        ("postgresql:me", "found postgresql:me:; accepted"),
        ("postgresql://me:it's secret@host/db", "found an address with spaces or quotes"),
        ("postgresql://me:secret@host:port/db", "found no address; accepted"),
        (
            "postgresql://me:se@cret:secret@host/db",
            "found an @ or a / in a user's name or password",
        ),
        ("postgresql://me:se/secret@host/db", "found an @ or a / in a user's name"),
    ],
)
def test_an_address_that_is_none(command: Command, address: str, words: str) -> None:
    with pytest.raises(UserError, match=r"^storage: ") as caught:
        open_storage(address)
    assert words in str(caught.value)
    escaped = address.replace("'", "\\'")
    # Another driver of MLflow's is MLflow's own affair.
    for key in ("storage",) if "psycopg2" in address else ("storage", "tracking.uri"):
        check_refused(ended := command("name=x", f"{key}='{escaped}'"), f"{key}: {words}")
        assert "secret" not in ended.err


def test_without_the_driver_its_extra_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = "psycopg is not installed; accepted: pip install 'hpsuite[postgres]'"
    for key in ("storage", "tracking.uri"):
        check_refused(command("name=x", f"{key}=postgresql://me@h/db"), f"{key}: {words}")


def test_the_driver_is_psycopg_3() -> None:
    pytest.importorskip("psycopg")
    for given in ("postgresql://me@h/db?x=1", "postgresql+psycopg://me@h/db?x=1"):
        assert postgres.with_driver("storage", given) == "postgresql+psycopg://me@h/db?x=1"
    said = postgres.connecting("postgresql+psycopg://h/d?connect_timeout=3")
    assert "connect_timeout" not in said


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("postgresql+psycopg://you:pw@h:5432/d?x=1", True),
        ("postgresql://me@/d?host=h", True),
        ("postgresql://me@h/e", False),
        ("postgresql://me@h:5433/d", False),
        ("postgresql:///d?host=/run", False),
        ("postgresql://me@h:port/d", False),
        ("sqlite:///d", False),
    ],
)
def test_addresses_of_one_database(other: str, is_same: bool) -> None:
    assert postgres.same_database("postgresql://me@h/d", other) == is_same


def test_a_server_that_is_not_there(command: Command) -> None:
    pytest.importorskip("psycopg")
    address = "postgresql://me:secret@127.0.0.1:1/x"
    ended = command("name=x", f"storage={address}", "tracking=none")
    check_refused(ended, "storage: cannot open postgresql://me:***@127.0.0.1:1/x (")
    assert "connection refused" in ended.err.lower()
    assert "secret" not in ended.err
    planned = command("name=x", f"storage={address}", "plan=true")
    assert planned.status == 2
    assert planned.err.startswith("hpsuite: storage: cannot open")


# --- the record


def test_a_study_is_the_same_as_in_a_journal(address: str, tmp_path: Path) -> None:
    assert not storage_exists(address)
    strategies = ("log_random", "tpe", "qmc")
    for strategy in strategies:
        own = (f"strategy={strategy}", "budget.trials=6", "space=sgd", "dataset.train_fraction=1.0")
        found = run(open_storage(address), *own)
        assert_same(found, run(tmp_path / "x.journal", *own))
        # As it was written, not as it is remembered.
        _, studies = open_runs(open_storage(address, writing=False), *own)
        assert {study.name: study.results for study in studies} == {
            name: results for name, (_, results) in found.items()
        }
    assert storage_exists(address)


def test_its_studies_are_analysed_as_those_of_others(address: str, command: Command) -> None:
    given = f"trials='{address}'"
    check_refused(command("+experiment=analyze", given, "points=0.02"), "trials: ")
    run(open_storage(address), "strategy=log_random", "budget.trials=12", executor=MadeUp())
    (study, _) = open_storage(address).get_all_studies()
    asked = ("+experiment=analyze", f"study='{study.study_name}'", "points=0.02", "tracking=none")
    ended = command(given, *asked, "sampled=random", "analysis.report=false")
    assert ended.status == 0, ended.err


def test_a_database_of_others_stays_theirs(address: str, server: "Server") -> None:
    name = address.partition("?")[0].rpartition("/")[2]
    server.execute("CREATE TABLE alembic_version (version_num text)", name)
    server.execute("CREATE TABLE experiments (name text)", name)
    for opening in (open_storage, storage_exists):
        with pytest.raises(UserError, match="is MLflow's; accepted: one of its own"):
            opening(address)
    found = server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name)
    assert found == [(2,)]


def test_one_run_at_a_time_trains_an_arm(address: str) -> None:
    storages = [open_storage(address) for _ in range(3)]
    first, second, third = storages
    with alone(address, {A: "mine"}, storage=first):
        with (
            pytest.raises(UserError, match=r"another run \(hpsuite \d+ on .*\) is .* 'mine'"),
            alone(address, {A: "mine", B: "other"}, storage=second),
        ):
            pass
        with alone(address, {B: "other"}, storage=third):  # which the refused one gave back
            pass
    with alone(address, {A: "mine"}, storage=second):
        pass


def test_one_that_may_wait_does(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "PAUSE", 0.05)
    first, second = open_storage(address), open_storage(address)
    begun, done = threading.Event(), []

    def hold() -> None:
        with alone(address, {A: "mine"}, storage=first):
            begun.set()
            time.sleep(0.5)
            done.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(10)
    with alone(address, {A: "mine"}, wait=True, storage=second):
        assert done == ["first"]
    thread.join()


HOLDER = """
import sys, time
from hpsuite.alone import alone
from hpsuite.record import open_storage
storage = open_storage(sys.argv[1])
with alone(sys.argv[1], {sys.argv[2]: "an arm"}, storage=storage):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_holds_nothing(address: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, address, A], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        storage = open_storage(address)
        with (
            pytest.raises(UserError, match="another run"),
            alone(address, {A: "x"}, storage=storage),
        ):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with alone(address, {A: "x"}, wait=True, storage=storage):
        pass


# --- a server that goes away


class Cutting(MadeUp):
    """Lets something happen while it trains."""

    def __init__(self, happens: dict[int, object]) -> None:
        super().__init__()
        self.happens = happens

    def submit(self, batch):  # type: ignore[no-untyped-def]
        """See `MadeUp`."""
        happens = self.happens.get(len(self.batches))
        if callable(happens):
            happens()
        return super().submit(batch)


def test_a_restart_is_waited_out(
    address: str, restarted: "Server", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = ("strategy=tpe", "budget.trials=8", "repeats=1")
    expected = run(tmp_path / "x.journal", *own, executor=MadeUp())

    def restart() -> None:
        restarted.stop(signal.SIGQUIT)
        threading.Timer(0.5, restarted.start).start()

    storage = open_storage(address)
    with alone(address, {A: "mine"}, storage=storage):
        found = run(storage, *own, executor=Cutting({2: restart, 5: restart}))
        assert_same(found, expected)
        with pytest.raises(UserError, match="another run"):  # it has its locks again
            alone(address, {A: "mine"}, storage=open_storage(address)).__enter__()
    assert_same(run(open_storage(address), *own), expected)
    told = [line for line in caplog.messages if "waiting for it" in line]
    assert len(told) == 2


def test_a_server_that_stays_away_is_told_in_a_line(
    address: str, restarted: "Server", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "PATIENCE", 0.3)
    with pytest.raises(ServerLost) as caught:
        run(open_storage(address), *OVERRIDES, executor=Cutting({1: restarted.stop}))
    line = trouble(caught.value)
    assert line.startswith("the record's server is gone (")
    assert line.endswith("the same command continues it")
    assert "\n" not in line
    restarted.start()
    expected = run(tmp_path / "x.journal", *OVERRIDES, executor=MadeUp())
    assert_same(run(open_storage(address), *OVERRIDES, executor=MadeUp()), expected)


def test_an_arm_that_another_run_took_meanwhile_is_given_up(
    address: str, restarted: "Server"
) -> None:
    first, second = open_storage(address), open_storage(address)
    with alone(address, {A: "mine"}, storage=first):
        restarted.stop()
        restarted.start()
        refused = pytest.raises(UserError, match=r"another run .* is training 'mine'")
        with alone(address, {A: "mine"}, storage=second), refused:
            first.get_all_studies()
        first.get_all_studies()


def test_a_lost_connection_that_the_server_keeps_is_waited_for(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a network that was cut: the server learns of it later than we do."""
    monkeypatch.setattr(lasting, "PAUSE", 0.05)
    storage = open_storage(address)
    assert isinstance(storage, ServedRecord)
    with alone(address, {A: "mine"}, storage=storage):
        lost = storage._tables.engine.raw_connection()
        lost.detach()  # it stays open, but nobody here uses it
        threading.Timer(0.5, lost.close).start()
        begun = time.monotonic()
        storage.get_all_studies()
        assert time.monotonic() - begun > 0.4


# What writes once: owner within the record, method.
WRITES = {
    "new_trial": ("_tables", "_create_new_trial"),
    "values_and_attributes": ("", "_write_once"),
    "end": ("_storage", "set_trial_state_values"),
}


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("write", WRITES)
def test_what_may_have_been_done_is_not_done_twice(
    server: "Server", write: str, done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost just before, or just after the server has done what it was asked."""
    address = server.create(f"{write}_{done}")
    monkeypatch.setattr(lasting, "PAUSE", 0.01)
    storage = open_storage(address)
    assert isinstance(storage, ServedRecord)
    calls, cuts = 0, (1, 3, 6)
    owner, name = WRITES[write]
    inner = getattr(storage, owner) if owner else storage
    real = getattr(inner, name)

    def cut(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls not in cuts:
            return real(*arguments)
        if done:
            real(*arguments)
        (pid,) = (row[0] for row in pids(server, address))
        server.execute(f"SELECT pg_terminate_backend({pid})")
        if not done:
            return real(*arguments)
        storage._storage.get_all_studies()  # meets the connection that is gone
        raise AssertionError

    monkeypatch.setattr(inner, name, cut)
    found = run(storage, *OVERRIDES, executor=MadeUp())
    assert calls > 4
    expected = run(tmp_path / "x.journal", *OVERRIDES, executor=MadeUp())
    assert_same(found, expected)
    assert_same(run(open_storage(address), *OVERRIDES), expected)


def pids(server: "Server", address: str) -> list[tuple[object, ...]]:
    """Of the server's processes for a database."""
    name = address.partition("?")[0].rpartition("/")[2]
    return server.execute(
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = "
        "'client backend'"
    )


def test_shuffled_results_are_told_in_order(address: str, tmp_path: Path) -> None:
    own = ("strategy=log_random", "budget.trials=12")
    found = run(open_storage(address), *own, executor=Shuffled(3, seed=1))
    assert_same(found, run(tmp_path / "x.journal", *own, executor=MadeUp()))
