"""A study as it was when a trial's batch began: what a wrapped sampler is shown of the storage.

Samplers read studies through the storage, and write to it. To make a sampler's answer a function
of earlier trials alone, both go through here. Samplers outside of Optuna do the same: the private
`_storage`, `_study_id` and `_trial_id` are the ways that Optuna's own samplers use.
"""

import copy
from collections.abc import Container, Sequence
from functools import cached_property
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsuite.strategies.base import stop_optimize
from hpsuite.strategies.unit_cube import Value

# What a sampler stored with the study while it was asked for a trial, kept with that trial.
STUDY_ATTRIBUTES = "hpsuite:study_attributes"


class StorageView(BaseStorage):
    """The storage as a sampler may see it while it is asked for one trial.

    Finished batches are as they are; trials of this batch with lower numbers are running, without
    values; later trials do not exist. The trial itself has no values yet, even where it was half
    asked for before an interruption. Attributes that the sampler sets for the study are written to
    the trial, and later trials see them as the study's. Everything else is read-only.

    Args:
        study: the real one.
        trial: the one that is asked for; never changed.
        batch_begin: number of the first trial of its batch.

    Attributes:
        own: the trial as the sampler sees it.
    """

    def __init__(self, study: Study, trial: FrozenTrial, batch_begin: int) -> None:
        self._study = study
        self._batch_begin = batch_begin
        self.own = FrozenTrial(
            number=trial.number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=trial.datetime_start,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs=dict(trial.user_attrs),
            # Of what else is there, a sampler that was asked before may have written anything.
            system_attrs={k: v for k, v in trial.system_attrs.items() if k == "fixed_params"},
            intermediate_values={},
            trial_id=trial._trial_id,
        )
        self._earlier = [t for t in study.get_trials(deepcopy=False) if t.number < trial.number]
        self._study_attributes = dict(study._storage.get_study_system_attrs(study._study_id))
        for t in self._earlier:
            self._study_attributes |= t.system_attrs.get(STUDY_ATTRIBUTES, {})
        self._set_by_sampler: dict[str, Any] = {}

    @cached_property
    def _trials(self) -> list[FrozenTrial]:
        """What the sampler sees, in order of number; many samplers never look."""
        seen = [t if t.number < self._batch_begin else _as_running(t) for t in self._earlier]
        return [*seen, self.own]

    def suggest(self, name: str, value: Value, distribution: BaseDistribution) -> None:
        """Let the sampler see a value of the trial that it has decided on."""
        self.own.params[name] = value
        self.own.distributions[name] = distribution

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = [t for t in self._trials if states is None or t.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        for trial in self._trials:
            if trial._trial_id == trial_id:
                return trial
        raise KeyError(f"no trial with id {trial_id} before number {self.own.number}")

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if trial_id != self.own._trial_id:
            _refuse()
        self.own.system_attrs[key] = value
        self._study._storage.set_trial_system_attr(trial_id, key, value)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return copy.deepcopy(self._study_attributes)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._study_attributes[key] = value
        self._set_by_sampler[key] = value
        self._study._storage.set_trial_system_attr(
            self.own._trial_id, STUDY_ATTRIBUTES, dict(self._set_by_sampler)
        )

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._study._study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._study.study_name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._study.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._study._storage.get_study_user_attrs(study_id)

    def get_all_studies(self) -> NoReturn:
        _refuse()

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> NoReturn:
        _refuse()

    def delete_study(self, study_id: int) -> NoReturn:
        _refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        _refuse()

    def create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> NoReturn:
        _refuse()

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> NoReturn:
        _refuse()

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> NoReturn:
        _refuse()

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> NoReturn:
        _refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        _refuse()


class AskTellStudy(Study):
    """A study over another storage, for a sampler; stopping it outside of `optimize` is no error.

    Optuna's grid and brute-force samplers stop the study when they are through, which under ask
    and tell raises RuntimeError from the last tell.
    """

    def __init__(self, study: Study, storage: BaseStorage, sampler: BaseSampler) -> None:
        super().__init__(study.study_name, storage, sampler, study.pruner)
        self._real_study = study

    def stop(self) -> None:
        stop_optimize(self._real_study)


def _as_running(trial: FrozenTrial) -> FrozenTrial:
    if not trial.state.is_finished():
        return trial
    running = copy.copy(trial)
    running.state = TrialState.RUNNING
    running.values = None
    running.datetime_complete = None
    running.intermediate_values = {}
    return running


def _refuse() -> NoReturn:
    raise RuntimeError(
        "while it is asked for a trial, a sampler may set system attributes of that trial and of "
        "the study, but nothing else in the storage"
    )
