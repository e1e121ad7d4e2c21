"""A connection that lasts: one that is lost is made again, and has the locks that it had.

Whoever lost it can write nothing before another one has the locks again.
"""

import contextlib
import logging
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import sqlalchemy
from sqlalchemy.engine import ExceptionContext

from hpsuite import postgres
from hpsuite.checks import UserError
from hpsuite.troubles import ServerLost

T = TypeVar("T")

# Seconds for which a server that is gone is waited for, and between two looks.
PATIENCE, PAUSE = 300.0, 1.0

_log = logging.getLogger(__name__)


class _NotYetOurs(Exception):
    """The server still takes a lost connection of this process's for a living one."""


class Lasting:
    """The one connection of an engine, with the locks of the arms that it trains."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        """Of an engine that makes one connection at a time."""
        self._engine = engine
        engine.dispose()  # what follows is of each connection
        self._held: dict[int, str] = {}
        self._pid = 0
        sqlalchemy.event.listens_for(engine, "engine_connect")(_by(weakref.ref(self)))
        sqlalchemy.event.listens_for(engine, "handle_error")(_on_error)
        # Which nothing there refers to, so that the connection goes when its owner does.
        weakref.finalize(self, engine.dispose)
        with engine.connect() as connection:
            found = connection.execute(sqlalchemy.text("SELECT current_schema()"))
            self._schema = str(found.scalar_one())

    @contextlib.contextmanager
    def alone(self, labels: Mapping[str, str], *, wait: bool = False) -> Iterator[None]:
        """While this lasts, no other run trains these arms; see `hpsuite.alone`."""
        assert not self._held, "locks are not taken twice"
        try:
            for key, label in postgres.labels_by_key(self._schema, labels).items():
                self._lock(key, label, wait=wait)
            yield
        finally:
            self._held.clear()
            self._engine.dispose()  # and with the connection goes each lock

    def _lock(self, key: int, label: str, *, wait: bool) -> None:
        said = False
        while not self.patiently(lambda: self._take(key, label)):
            if not wait:
                raise self._taken(key, label)
            if not said:
                _log.warning("another run is training %r: waiting until it has", label)
            said = True
            time.sleep(PAUSE / 2)

    def _take(self, key: int, label: str) -> bool:
        with self._engine.connect() as connection:
            if not postgres.try_lock(connection, key):
                return False
            # Before anything can lose the connection.
            self._held[key] = label
            return True

    def _taken(self, key: int, label: str) -> UserError:
        with self._engine.connect() as connection:
            _, name = postgres.holder(connection, key)
        return _taken(label, name)

    def _on_connect(self, connection: sqlalchemy.Connection) -> None:
        """Where this is a new connection, let it have the locks."""
        own = connection.connection.info
        if "hpsuite" in own:
            return
        before, self._pid = self._pid, postgres.prepare(connection)
        for key, label in self._held.items():
            if not postgres.try_lock(connection, key):
                pid, name = postgres.holder(connection, key)
                self._pid = before
                connection.invalidate()
                if pid in (0, before):
                    raise _NotYetOurs("it still has this run's lost connection")
                raise _taken(label, name)
        connection.commit()
        own["hpsuite"] = True

    def patiently(self, do: Callable[[], T]) -> T:
        """Do something, again and again where the server is gone for a while."""
        lost: float | None = None
        while True:
            try:
                done = do()
            except (ServerLost, _NotYetOurs) as error:
                now = time.monotonic()
                if lost is None:
                    lost = now
                    _log.warning(
                        "the record's server is gone (%s); waiting for it, %g s at most",
                        error,
                        PATIENCE,
                    )
                if now - lost > PATIENCE:
                    raise ServerLost(str(error)) from error
                time.sleep(PAUSE)
            else:
                if lost is not None:
                    _log.info("the record's server is back, after %.0f s", time.monotonic() - lost)
                return done


def _taken(label: str, name: str) -> UserError:
    by = f" ({name})" if name else ""
    return UserError(
        f"storage: another run{by} is training {label!r}; accepted: to wait until it has ended, as "
        "the same command then goes on from what it found, or another storage="
    )


def _by(owner: "weakref.ref[Lasting]") -> Callable[[sqlalchemy.Connection], None]:
    def on_connect(connection: sqlalchemy.Connection) -> None:
        if (record := owner()) is not None:
            record._on_connect(connection)

    return on_connect


def _on_error(context: ExceptionContext) -> None:
    """Tell a connection that is lost, or cannot be made, from all that may be wrong on one.

    It must not look to Optuna like what its own attempts at new trials are meant for: a connection
    that is lost after a trial was made would make another one.
    """
    if context.is_disconnect or context.connection is None:
        raise ServerLost(postgres.reason(context.original_exception))
