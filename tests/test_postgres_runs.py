"""Whole runs on PostgreSQL: record and MLflow there, a password that nothing tells, kills."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import Command, check_refused

if TYPE_CHECKING:
    from benchmarks.postgres_server import Server

ASKED = ("name=small", "strategy=log_random", "budget.trials=3", "budget.steps=2", "repeats=1")
RUN = (*ASKED, "model.layers=1", "model.units=4", "device=cpu", "executor=inline")


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


@pytest.mark.parametrize(
    "how",
    ["in the environment", "typed", pytest.param("interpolated", marks=pytest.mark.slow)],
)
def test_a_run_tells_its_password_to_nobody(
    server: "Server", command: Command, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Record and MLflow with a password, all files and databases searched for it."""
    secret = server.password
    names = [f"{kind}_{how.replace(' ', '_')}" for kind in ("record", "mlflow")]
    record, view = (server.create(name, over_tcp=True) for name in names)
    if how == "in the environment":
        monkeypatch.setenv("PGPASSWORD", secret)
    else:
        monkeypatch.setenv("MY_SECRET", secret)
        word = "${oc.env:MY_SECRET}" if how == "interpolated" else secret
        record, view = (each.replace("@", f":{word}@") for each in (record, view))
    ended = command(*RUN, f"storage={record}", f"tracking.uri={view}", "log_level=debug")
    assert ended.status == 0, ended.err
    assert "MLflow was not updated" not in ended.out
    assert f"/{names[0]}" in ended.out  # where the record is, is told

    texts = [path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()]
    assert len(texts) > 3
    dumps = [dump(server, name) for name in names]
    for told in (ended.out.encode(), ended.err.encode(), *texts, *dumps):
        assert secret.encode() not in told
    # MLflow shows the setup, the arm and the report.
    runs = server.execute("SELECT name FROM runs WHERE status = 'FINISHED'", names[1])
    assert len(runs) >= 3
    assert server.execute("SELECT count(*) FROM trials", names[0]) == [(3,)]

    if how == "in the environment":
        before = dump(server, names[1])
        again = command(*RUN, f"storage={record}", f"tracking.uri={view}")
        assert "3 of 3 trials are in the record already" in again.out
        synced = command("+experiment=sync")
        assert synced.status == 0, synced.out + synced.err
        assert len(server.execute("SELECT name FROM runs", names[1])) == len(runs)
        assert before


def dump(server: "Server", name: str) -> bytes:
    """All that a database holds."""
    tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
    rows = [server.execute(f'SELECT t::text FROM "{table}" t', name) for (table,) in tables]
    return repr(rows).encode()


def test_a_wrong_password_is_told_in_a_line(
    server: "Server", command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    address = server.create("closed", over_tcp=True)
    ended = command(*RUN, f"storage={address}", "tracking=none")
    check_refused(ended, "storage: cannot open ")
    assert "password authentication failed" in ended.err
    assert "wrong-secret" not in ended.err


def test_a_missing_right_is_told_in_a_line(
    server: "Server", command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", server.password)
    address = server.create("rights", over_tcp=True)
    assert command(*RUN, f"storage={address}", "tracking=none").status == 0
    server.execute(f"CREATE ROLE guest LOGIN PASSWORD '{server.password}'")
    ended = command(*RUN, f"storage={address.replace('tester', 'guest')}", "tracking=none")
    assert ended.status == 2
    assert ended.err.startswith("hpsuite: storage: cannot open ")
    assert "permission denied for " in ended.err
    assert ended.err.count("\n") == 1


def test_the_databases_of_record_and_view_are_two(
    server: "Server", command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", server.password)
    address = server.create("both", over_tcp=True)
    for uri in (address, address.replace("://", "+psycopg://me:secret@", 1).replace("tester@", "")):
        ended = command(*RUN, f"storage={address}", f"tracking.uri={uri}")
        check_refused(ended, "tracking.uri: found 'postgresql+psycopg://")
        assert "accepted: a database other than the record's" in ended.err
        assert "secret" not in ended.err
    # By another way than the address tells.
    socket = server.address("both", over_tcp=False)
    ended = command(*RUN, f"storage={address}", f"tracking.uri='{socket}'")
    assert ended.status == 0, ended.err
    assert "found Optuna's tables in the database; accepted: one of MLflow's own" in ended.out
    assert server.execute("SELECT count(*) FROM trials", "both") == [(3,)]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_each_fault_once(tmp_path: Path) -> None:
    """benchmarks/postgres_faults.py says how, and what is checked."""
    pytest.importorskip("psycopg")
    from benchmarks import postgres_faults, postgres_server

    if why := postgres_server.missing():
        pytest.skip(why)
    found = postgres_faults.run(tmp_path, list(postgres_faults.FAULTS), tries=1, seed=1)
    assert {sum(each.values()) for each in found.values()} == {1}
