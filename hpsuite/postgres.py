"""PostgreSQL as the record's server: addresses, connections, and the locks that one of them holds.

Advisory locks are the session's that takes them: the server gives them back when the connection
ends, however the process, its machine or the network between does.
"""

import hashlib
import importlib.util
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy.pool import NullPool

from hpsuite.checks import UserError

DRIVER = "postgresql+psycopg"
EXTRA = "pip install 'hpsuite[postgres]'"
_ACCEPTED = f"postgresql://USER@HOST/DATABASE, which is read by psycopg 3 ({DRIVER}://)"
# Seconds until a server that does not answer counts as gone; until a silent connection is probed,
# between probes, and their number; milliseconds until what was sent has to have arrived: both sides
# give up a machine that is gone after a minute.
_CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_SERVER = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
    # Trials may train for hours.
    "idle_session_timeout": "0",
}
# Parts of an address that would be cut where texts are searched for passwords.
_CUTS = re.compile(r"[\s'\"]")


def is_postgres(address: str) -> bool:
    """Whether an address is of PostgreSQL, with whichever driver."""
    return re.match(r"postgres(ql)?(\+\w*)?:", address) is not None


def is_ours(address: str) -> bool:
    """Whether an address is of PostgreSQL, and names no other driver than psycopg 3."""
    scheme, _, _ = address.partition("://")
    return is_postgres(address) and ("+" not in scheme or scheme == DRIVER)


def same_database(one: str, other: str) -> bool:
    """Whether two addresses are of one database of PostgreSQL, as far as they tell."""
    if not (is_postgres(one) and is_postgres(other)):
        return False
    try:
        first, second = (sqlalchemy.make_url(address) for address in (one, other))
    except (sqlalchemy.exc.ArgumentError, ValueError):  # refused elsewhere, by its key
        return False
    return _place(first) == _place(second)


def _place(url: sqlalchemy.URL) -> tuple[object, ...]:
    host, port = url.host or url.query.get("host"), url.port or url.query.get("port")
    return host, str(port or 5432), url.database


def with_driver(key: str, address: str) -> str:
    """An address of PostgreSQL with the name of the driver that reads it.

    Args:
        key: the config key that holds it, for messages.
        address: as the user gave it.

    Raises:
        UserError: another driver, psycopg 3 that is not installed, an address that is none.
    """
    scheme, separator, rest = address.partition("://")
    if scheme not in ("postgresql", DRIVER) or not separator:
        raise UserError(f"{key}: found {scheme}:; accepted: {_ACCEPTED}")
    if _CUTS.search(rest):
        raise UserError(
            f"{key}: found an address with spaces or quotes; accepted: {_ACCEPTED}, with these "
            "percent-encoded (%20, %27, %22), and a password better in PGPASSWORD or ~/.pgpass"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise UserError(f"{key}: psycopg is not installed; accepted: {EXTRA}, then the same again")
    before = rest.partition("?")[0]
    if before.count("@") > 1 or "@" in before.partition("/")[2]:
        raise UserError(
            f"{key}: found an @ or a / in a user's name or password; accepted: {_ACCEPTED}, with "
            "these percent-encoded (%40, %2F), and a password better in PGPASSWORD or ~/.pgpass"
        )
    try:
        sqlalchemy.make_url(f"{DRIVER}://{rest}")
    except (ValueError, sqlalchemy.exc.ArgumentError) as error:
        # The error may hold a part of a password.
        raise UserError(f"{key}: found no address; accepted: {_ACCEPTED}") from error
    return f"{DRIVER}://{rest}"


def connecting(url: str) -> dict[str, object]:
    """How to connect: arguments of the driver's, but for those that the address or PG... say."""
    said = set(sqlalchemy.make_url(url).query)
    if "PGCONNECT_TIMEOUT" in os.environ:
        said.add("connect_timeout")
    # The server cuts names off at 63 bytes.
    name = f"hpsuite {os.getpid()} on {socket.gethostname()}"[:63]
    usual: dict[str, object] = {**_CLIENT, "application_name": name}
    return {key: value for key, value in usual.items() if key not in said}


@contextmanager
def connected(url: str) -> Iterator[sqlalchemy.Connection]:
    """A connection of its own; what is said on it holds at once."""
    engine = sqlalchemy.create_engine(
        url, poolclass=NullPool, connect_args=connecting(url), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        yield connection


@contextmanager
def one_at_a_time(url: str, what: str) -> Iterator[sqlalchemy.Connection]:
    """While this lasts, no other process does this in the database: it waits.

    Args:
        url: of the database.
        what: is done, in a word.
    """
    with connected(url) as connection:
        # One that hangs in there keeps the others out for so long, not for ever.
        connection.execute(_text("SET lock_timeout = '60s'"))
        connection.execute(_text("SELECT pg_advisory_lock(:key)"), {"key": key_of(what)})
        connection.execute(_text("RESET lock_timeout"))
        yield connection


def tables(connection: sqlalchemy.Connection) -> set[str]:
    """Names of the tables in the schema that a connection writes to."""
    return set(sqlalchemy.inspect(connection).get_table_names())


def key_of(*parts: str) -> int:
    """The number of an advisory lock: 64 bits, signed, of a hash."""
    digest = hashlib.sha256(" ".join(("hpsuite", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def prepare(connection: sqlalchemy.Connection) -> int:
    """Tell the server to notice a client that is gone, and not to mind one that is silent.

    Returns:
        The number of the server's process for this connection.
    """
    cases = " ".join(f"WHEN '{name}' THEN '{value}'" for name, value in _SERVER.items())
    names = ", ".join(f"'{name}'" for name in _SERVER)  # an older server lacks one of them
    connection.execute(
        _text(
            f"SELECT set_config(name, CASE name {cases} END, false) "
            f"FROM pg_settings WHERE name IN ({names})"
        )
    )
    return int(connection.execute(_text("SELECT pg_backend_pid()")).scalar_one())


def try_lock(connection: sqlalchemy.Connection, key: int) -> bool:
    """Take a lock, unless another connection has it."""
    found = connection.execute(_text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
    return bool(found.scalar_one())


def holder(connection: sqlalchemy.Connection, key: int) -> tuple[int, str]:
    """Who has a lock: the server's process, and what it calls itself; (0, "") where nobody has."""
    both = {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
    found = connection.execute(
        _text(
            "SELECT l.pid, coalesce(a.application_name, '') FROM pg_locks l "
            "LEFT JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
            "AND l.classid::bigint = :high AND l.objid::bigint = :low AND l.database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
        both,
    ).first()
    return (0, "") if found is None else (int(found[0]), str(found[1]))


def reason(error: BaseException) -> str:
    """An error of SQLAlchemy's or the driver's in a line, without a password."""
    # Optuna's own errors say less than what they come from.
    cause = error.__cause__
    if isinstance(cause, sqlalchemy.exc.SQLAlchemyError):
        error = cause
    own = getattr(error, "orig", None) or error
    lines = [line.strip(" \t-") for line in str(own).splitlines() if line.strip()]
    if not lines:
        return type(own).__name__
    # Several addresses of one name are told in a line each.
    return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]


def labels_by_key(schema: str, labels: Mapping[str, str]) -> dict[int, str]:
    """Arms' labels by their locks, from labels by identity; in an order that all processes keep."""
    found = {key_of(schema, identity): label for identity, label in labels.items()}
    return dict(sorted(found.items()))


def _text(statement: str) -> sqlalchemy.TextClause:
    return sqlalchemy.text(statement)
