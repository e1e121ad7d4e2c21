"""A record on a PostgreSQL server: one run at a time trains an arm, and a restart is waited out.

All that is read and written goes over one connection, and that connection holds the locks of the
arms: whoever lost it can write nothing before another one has the locks again.
"""

import contextlib
import logging
import time
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import NullPool

from hpsuite import postgres
from hpsuite.checks import UserError
from hpsuite.troubles import ServerLost

T = TypeVar("T")

# Seconds for which a server that is gone is waited for, and between two looks.
PATIENCE, PAUSE = 300.0, 1.0

_log = logging.getLogger(__name__)


class _NotYetOurs(Exception):
    """The server still takes a lost connection of this process's for a living one."""


def open_served(address: str, *, writing: bool = True) -> "ServedRecord":
    """Open a record on a server; its tables are made where it has none.

    Args:
        address: of a PostgreSQL database.
        writing: False for a record that exists and is only to be read.

    Raises:
        UserError: an address that is none, a database that is another program's.
    """
    url = postgres.with_driver("storage", address)
    if writing:
        # Optuna's tables, made by two processes at once, would be an error in one of them.
        with postgres.one_at_a_time(url, "tables") as connection:
            _check_owner(address, postgres.tables(connection))
            apart = {"poolclass": NullPool, "connect_args": postgres.connecting(url)}
            RDBStorage(url, engine_kwargs=apart)
    return ServedRecord(url)


def is_served(address: str) -> bool:
    """Whether there is a record in a database; nothing is made.

    Raises:
        UserError: an address that is none, a database that is another program's.
    """
    with postgres.connected(postgres.with_driver("storage", address)) as connection:
        there = postgres.tables(connection)
        _check_owner(address, there)
        return "studies" in there


def _check_owner(address: str, there: set[str]) -> None:
    # Alembic keeps one version in a schema, under one name, whose ever it is.
    if "alembic_version" in there and "studies" not in there:
        whose = "MLflow's" if "experiments" in there else "another program's"
        raise UserError(
            f"storage: the database at {address} is {whose}; accepted: one of its own for the "
            "record, empty or with Optuna's tables"
        )


class ServedRecord(BaseStorage):
    """Optuna's storage on a server, asked again after a connection was lost.

    Doing something twice must not do it double: what was lost is the connection, perhaps after the
    server had done what it was asked. Values and attributes are the same when they are written
    again; a new trial, and the end of one, are looked for first.
    """

    def __init__(self, url: str) -> None:
        """Of a database that has its tables."""
        options = {
            "pool_size": 1,
            "max_overflow": 0,
            "connect_args": postgres.connecting(url),
        }
        storage = RDBStorage(
            url, engine_kwargs=options, skip_compatibility_check=True, skip_table_creation=True
        )
        self._engine: sqlalchemy.Engine = storage.engine
        self._engine.dispose()  # what follows is of each connection
        self._storage = get_storage(storage)
        self._held: dict[int, str] = {}
        self._pid = 0
        # The newest trial of each study that this process knows of, by its id.
        self._newest: dict[int, int] = {}
        sqlalchemy.event.listen(self._engine, "engine_connect", _by(weakref.ref(self)))
        # Which nothing there refers to, so that the connection goes when the record does.
        weakref.finalize(self, self._engine.dispose)
        sqlalchemy.event.listen(self._engine, "handle_error", _on_error)
        with self._engine.connect() as connection:
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
        while not self._patiently(lambda: self._take(key, label)):
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
                    raise _NotYetOurs(label)
                raise _taken(label, name)
        connection.commit()
        own["hpsuite"] = True

    def _patiently(self, do: Callable[[], T]) -> T:
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

    # What follows is Optuna's interface.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        return self._patiently(lambda: self._storage.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        self._patiently(lambda: self._storage.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._patiently(lambda: self._storage.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._patiently(lambda: self._storage.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._patiently(lambda: self._storage.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._patiently(lambda: self._storage.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._patiently(lambda: self._storage.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._patiently(lambda: self._storage.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._patiently(lambda: self._storage.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._patiently(self._storage.get_all_studies)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if study_id not in self._newest:
            self.get_all_trials(study_id, deepcopy=False)
        known, is_again = self._newest[study_id], False

        def create() -> int:
            nonlocal is_again
            if is_again:  # nobody else asks here, as we hold the lock
                trials = self._storage.get_all_trials(study_id, deepcopy=False)
                made = [trial._trial_id for trial in trials if trial._trial_id > known]
                if made:
                    return made[0]
            is_again = True
            return self._storage.create_new_trial(study_id, template_trial)

        trial_id = self._patiently(create)
        self._newest[study_id] = trial_id
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self._patiently(
            lambda: self._storage.set_trial_param(
                trial_id, param_name, param_value_internal, distribution
            )
        )

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._patiently(
            lambda: self._storage.get_trial_id_from_study_id_trial_number(study_id, trial_number)
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        is_again = False

        def end() -> bool:
            nonlocal is_again
            try:
                return self._storage.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if not is_again:
                    raise
                trial = self._storage.get_trial(trial_id)
                wanted = None if values is None else list(values)
                if (trial.state, trial.values) != (state, wanted):
                    raise
                return True
            finally:
                is_again = True

        return self._patiently(end)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._patiently(
            lambda: self._storage.set_trial_intermediate_value(trial_id, step, intermediate_value)
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._patiently(lambda: self._storage.set_trial_user_attr(trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._patiently(lambda: self._storage.set_trial_system_attr(trial_id, key, value))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._patiently(lambda: self._storage.get_trial(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        found = self._patiently(lambda: self._storage.get_all_trials(study_id, deepcopy, states))
        newest = max((trial._trial_id for trial in found), default=0)
        self._newest[study_id] = max(newest, self._newest.get(study_id, 0))
        return found

    def remove_session(self) -> None:
        self._storage.remove_session()


def _taken(label: str, name: str) -> UserError:
    by = f" ({name})" if name else ""
    return UserError(
        f"storage: another run{by} is training {label!r}; accepted: to wait until it has ended, as "
        "the same command then goes on from what it found, or another storage="
    )


def _by(owner: "weakref.ref[ServedRecord]") -> Callable[[sqlalchemy.Connection], None]:
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
