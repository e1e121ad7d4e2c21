"""A record on a PostgreSQL server: one run at a time trains an arm, and a restart is waited out.

All that is read and written goes over one connection, which holds the locks of the arms
(`Lasting`). What this process alone writes is not read back, and is written in few transactions:
each waits for the server's disk.
"""

import contextlib
import copy
import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from hpsuite import postgres
from hpsuite.checks import UserError
from hpsuite.lasting import Lasting

Write = Callable[[Session], None]


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
        options = {"pool_size": 1, "max_overflow": 0, "connect_args": postgres.connecting(url)}
        self._tables = RDBStorage(
            url, engine_kwargs=options, skip_compatibility_check=True, skip_table_creation=True
        )
        self._line = Lasting(self._tables.engine)
        self._storage = get_storage(self._tables)
        # The newest trial of each study that this process knows of, by its id.
        self._newest: dict[int, int] = {}
        # Trials that this process asked for and has not told yet, as they are on the server.
        self._open: dict[int, FrozenTrial] = {}
        self._held: list[tuple[int, Write]] | None = None

    def alone(
        self, labels: Mapping[str, str], *, wait: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        """While this lasts, no other run trains these arms; see `hpsuite.alone`."""
        return self._line.alone(labels, wait=wait)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write what belongs to trials at the end, in one transaction."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self._write(held)

    def _add(self, trial_id: int, write: Write) -> None:
        """Write something that belongs to a trial, now or with what else is held."""
        if self._held is None:
            self._write([(trial_id, write)])
        else:
            self._held.append((trial_id, write))

    def _write(self, writes: Sequence[tuple[int, Write]]) -> None:
        self._line.patiently(lambda: self._write_once(writes))

    def _write_once(self, writes: Sequence[tuple[int, Write]]) -> None:
        # A value that is there already, as after a connection that was lost, is the same.
        with _create_scoped_session(self._tables.scoped_session, True) as session:
            for trial_id in {trial_id for trial_id, _ in writes}:
                state: Any = models.TrialModel.find_or_raise_by_id(trial_id, session).state
                self.check_trial_is_updatable(trial_id, state)
            for _, write in writes:
                write(session)

    # What follows is Optuna's interface: first what belongs to trials.

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if study_id not in self._newest:
            self.get_all_trials(study_id, deepcopy=False)
        known, is_again = self._newest[study_id], False

        def create() -> FrozenTrial:
            nonlocal is_again
            if is_again:  # nobody else asks here, as we hold the lock
                trials = self._storage.get_all_trials(study_id, deepcopy=False)
                made = [trial for trial in trials if trial._trial_id > known]
                if made:
                    return copy.deepcopy(made[0])
            is_again = True
            return self._tables._create_new_trial(study_id, template_trial)

        trial = self._line.patiently(create)
        self._newest[study_id] = trial._trial_id
        if template_trial is None:
            self._open[trial._trial_id] = trial
        return trial._trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        def write(session: Session) -> None:
            session.add(
                models.TrialParamModel(
                    trial_id=trial_id,
                    param_name=param_name,
                    param_value=param_value_internal,
                    distribution_json=distribution_to_json(distribution),
                )
            )

        self._add(trial_id, write)
        if (trial := self._open.get(trial_id)) is not None:
            trial.params[param_name] = distribution.to_external_repr(param_value_internal)
            trial.distributions[param_name] = distribution

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        def write(session: Session) -> None:
            self._tables._set_trial_intermediate_value_without_commit(
                session, trial_id, step, intermediate_value
            )

        self._add(trial_id, write)
        if (trial := self._open.get(trial_id)) is not None:
            trial.intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._set_attribute(models.TrialUserAttributeModel, trial_id, key, value)
        if (trial := self._open.get(trial_id)) is not None:
            trial.user_attrs[key] = _as_read(value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._set_attribute(models.TrialSystemAttributeModel, trial_id, key, value)
        if (trial := self._open.get(trial_id)) is not None:
            trial.system_attrs[key] = _as_read(value)

    def _set_attribute(self, kind: Any, trial_id: int, key: str, value: object) -> None:
        def write(session: Session) -> None:
            self._tables._set_trial_attr_without_commit(session, kind, trial_id, key, value)

        self._add(trial_id, write)

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

        self._open.pop(trial_id, None)
        return self._line.patiently(end)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if trial_id in self._open:
            return copy.deepcopy(self._open[trial_id])
        return self._line.patiently(lambda: self._storage.get_trial(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        found = self._line.patiently(
            lambda: self._storage.get_all_trials(study_id, deepcopy, states)
        )
        newest = max((trial._trial_id for trial in found), default=0)
        self._newest[study_id] = max(newest, self._newest.get(study_id, 0))
        return found

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._line.patiently(
            lambda: self._storage.get_trial_id_from_study_id_trial_number(study_id, trial_number)
        )

    # What belongs to studies.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        # Where it was made before the connection was lost, its name is taken, as Optuna expects.
        return self._line.patiently(lambda: self._storage.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        self._line.patiently(lambda: self._storage.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._line.patiently(lambda: self._storage.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._line.patiently(lambda: self._storage.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._line.patiently(lambda: self._storage.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._line.patiently(lambda: self._storage.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._line.patiently(lambda: self._storage.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._line.patiently(lambda: self._storage.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._line.patiently(lambda: self._storage.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._line.patiently(self._storage.get_all_studies)

    def remove_session(self) -> None:
        self._storage.remove_session()


def _as_read(value: object) -> object:
    """An attribute as it comes back."""
    return json.loads(json.dumps(value))
