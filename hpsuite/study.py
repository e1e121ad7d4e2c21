"""One study: ask, tell, and go on after an interruption as if there had been none."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hpsuite.checks import UserError
from hpsuite.config import Setup
from hpsuite.journal import together
from hpsuite.pruning import Pruning, state_of
from hpsuite.record import ATTRIBUTE, attribute_of, result_of
from hpsuite.strategies import PlannedSampler
from hpsuite.training import Checkpoints, Cohort
from hpsuite.trials import (
    AT_CHANCE,
    DIVERGED,
    FAILED,
    LOST,
    Block,
    Day,
    Judged,
    Lineage,
    Numerics,
    Scalar,
    TrialResult,
    TrialSpec,
)


class StudyRun:
    """One repeat of an arm, live.

    Every trial is asked of Optuna and told to it in order of its number: results that come early
    wait in a buffer.

    Attributes:
        name: the study's name in the record.
        repeat: which repeat of its arm.
        n_planned: trials that it is to have in all.
        n_asked, n_told: trials so far.
        values: hyperparameters of each trial that was asked for, in order of number.
        results: of each trial that was told, in order of number.
        days: of each trial that was asked for, what day of a model it is; None where it is none.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        sampler: PlannedSampler,
        *,
        setup: Setup,
        dataset: str,
        seed: int,
        repeat: int,
        pruning: Pruning | None = None,
        checkpoints: Checkpoints | None = None,
        chance: float = 0.0,
    ) -> None:
        """Open a study that the record holds.

        Args:
            storage: the record.
            name: of the study.
            sampler: built with this study's seed.
            setup: what is trained.
            dataset: fingerprint of its data.
            seed: the study's seed.
            repeat: which repeat of its arm it is.
            pruning: how trials are stopped early; None where all train to their end.
            checkpoints: where states of days are, which are removed when no day can need them.
            chance: the largest validation accuracy that counts as chance.

        Raises:
            UserError: a study that somebody else changed.
        """
        self.name = name
        self.repeat = repeat
        self.n_planned = sampler.n_planned
        self._setup, self._dataset, self._seed, self._sampler = setup, dataset, seed, sampler
        self._pruning, self._checkpoints, self._chance = pruning, checkpoints, chance
        self._study: Study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
        self._open: dict[int, Trial] = {}
        self._early: dict[int, TrialResult] = {}
        self.values: list[dict[str, Scalar]] = []
        self.results: list[TrialResult] = []
        self.days: list[Day | None] = []
        self._blocks: dict[int, Block] = {}
        self._left: list[FrozenTrial] = []
        for trial in self._study.get_trials(deepcopy=False)[: self.n_planned]:
            result = result_of(trial, name)
            if result is not None and not self._left:
                try:
                    self.values.append(setup.space.values(trial.params))
                except KeyError as error:
                    raise self._changed(f"trial {trial.number} lacks {error}") from error
                self.results.append(result)
                self.days.append(Day.of(trial.user_attrs))
            elif trial.state is TrialState.RUNNING:
                self._left.append(trial)
            else:
                raise self._changed(f"trial {trial.number} is {trial.state.name}")

    def settle(self, settled: Callable[[Numerics], Numerics]) -> None:
        """Let trials be trained with what was measured of the setup's numerics."""
        self._setup = replace(self._setup, numerics=settled(self._setup.numerics))

    def point(self, number: int) -> tuple[Scalar, ...]:
        """A told trial's values as the record has them, in order of their stored names."""
        params = self._study.get_trials(deepcopy=False)[number].params
        return tuple(params[name] for name in self._sampler.search_space)

    @property
    def days_of_models(self) -> bool:
        """Whether its trials go on from each other, so that none is what its values make alone."""
        return self._sampler.continues

    @property
    def n_asked(self) -> int:
        """Trials asked for so far, told ones included."""
        return len(self.values)

    @property
    def n_told(self) -> int:
        """Trials told so far."""
        return len(self.results)

    @property
    def n_waiting(self) -> int:
        """How many of its trials may wait to be trained at once."""
        left = self.n_planned - self.n_told
        limit = self._sampler.n_askable(self.n_told)
        return left if limit is None else max(1, min(left, limit - self.n_told))

    @property
    def is_complete(self) -> bool:
        """Whether it has all its trials."""
        return self.n_told == self.n_planned

    @property
    def can_ask(self) -> bool:
        """Whether the sampler may be asked for another trial before it is told more results."""
        if self.n_asked >= self.n_planned:
            return False
        if self.in_cohorts:
            return self.n_asked == self.n_told
        limit = self._sampler.n_askable(self.n_told)
        return limit is None or self.n_asked < limit

    @property
    def in_cohorts(self) -> bool:
        """Whether its trials are asked for by `ask_cohort`."""
        return self._pruning is not None

    def ask_cohort(self) -> Cohort:
        """The next cohort to train, or what an interrupted run left of one.

        A cohort ends early where the sampler or the budget ends.

        Raises:
            UserError: see `ask`.
        """
        assert self._pruning is not None
        first = end = 0
        while end <= self.n_told:
            first = end
            limit = self._sampler.n_askable(first) or self.n_planned
            end = min(first + self._pruning.cohort, limit, self.n_planned)
        specs = [self.ask() for _ in range(self.n_told, end)]
        lengths = [self._spec(number).epochs or 0 for number in range(first, end)]
        return self._pruning.cohort_of(specs, told=self.results, lengths=lengths, first=first)

    def ask(self) -> TrialSpec:
        """The next trial to train; one that an interrupted run left comes before any new one.

        Raises:
            UserError: a study that another process changes at the same time, or a trial that
                somebody else left.
        """
        try:
            trial = self._go_on(self._left.pop(0)) if self._left else self._ask_anew()
            if trial.number != self.n_asked:
                raise self._changed(f"trial {self.n_asked} was asked for by another process")
            stored = self._values(trial)
        except UpdateFinishedTrialError as error:
            raise self._changed(f"trial {self.n_asked} was told by another process") from error
        self.values.append(self._setup.space.values(stored))
        self.days.append(self._day(trial.number))
        self._open[trial.number] = trial
        return self._spec(trial.number)

    def _values(self, trial: Trial) -> dict[str, Scalar]:
        """Draw and record a trial's values."""
        space = self._sampler.search_space
        # What is drawn one by one may depend on the values that the trial has got so far.
        is_drawn = space.keys() <= trial.relative_params.keys()
        with together(self._study._storage) if is_drawn else nullcontext():
            return {name: _suggest(trial, name, space[name]) for name in space}

    def _ask_anew(self) -> Trial:
        # What `Study.ask` does, but for its search through all trials for one that somebody put
        # in a queue: that makes long studies quadratic, and a queued one is an error here.
        self._study._thread_local.cached_all_trials = None
        storage = self._study._storage
        return Trial(self._study, storage.create_new_trial(self._study._study_id))

    def _day(self, number: int) -> Day | None:
        """What the record says of a trial as a day."""
        if not self._sampler.continues:
            return None
        # Not `Trial.user_attrs`, which does not see what a sampler wrote.
        day = Day.of(self._study.get_trials(deepcopy=False)[number].user_attrs)
        assert day is not None, number
        return day

    def _spec(self, number: int) -> TrialSpec:
        spec = self._setup.spec(
            self.values[number],
            study=self.name,
            number=number,
            seed=self._seed,
            dataset=self._dataset,
        )
        day = self.days[number]
        return spec if day is None else replace(spec, lineage=self._lineage(day))

    def _lineage(self, day: Day) -> Lineage:
        """What a day goes on from."""
        before: list[Block] = []
        parent = day.parent
        while parent is not None:
            if parent not in self._blocks:
                spec = self._setup.spec(self.values[parent], study="", number=0, seed=0, dataset="")
                self._blocks[parent] = Block(spec.optimizer, spec.epochs or 0)
            before.append(self._blocks[parent])
            own = self.days[parent]
            assert own is not None, parent
            day, parent = own, own.parent
        # The first day of a member has the member's number.
        return Lineage(day.member, tuple(reversed(before)))

    def _go_on(self, left: FrozenTrial) -> Trial:
        """A trial that was left running, perhaps with some of its values; it keeps them."""
        # Optuna has no public way back to a running trial: this is what its `ask` does.
        trial = Trial(self._study, left._trial_id)
        drawn, space = trial.relative_params, self._sampler.search_space
        for name, value in left.params.items():
            if left.distributions[name] != space.get(name) or drawn.get(name, value) != value:
                raise self._changed(f"trial {left.number} has {name} = {value}")
        return trial

    def _changed(self, found: str) -> UserError:
        return UserError(
            f"storage: in study {self.name!r} {found}, which is not of this run's making; "
            "accepted: studies that hpsuite alone writes, one run at a time; fresh=true starts "
            "new ones beside them"
        )

    def tell(self, result: TrialResult) -> int:
        """Take a result in, and tell Optuna all that are now in order; returns how many.

        Raises:
            UserError: a trial that another process told.
        """
        self._early[result.number] = result
        n_before = self.n_told
        while self.n_told in self._early:
            ready = self._early.pop(self.n_told)
            trial = self._open.pop(ready.number)
            try:
                if ready.judged is not None:
                    self._report(trial, ready.judged)
                trial.set_user_attr(ATTRIBUTE, attribute_of(ready))
                if self._sampler.continues and (lost := self._lost(ready)):
                    trial.set_user_attr(LOST, lost)
            except UpdateFinishedTrialError as error:
                raise self._changed(f"trial {ready.number} was told by another process") from error
            state = state_of(ready)
            if state is not TrialState.COMPLETE:
                self._study.tell(trial, state=state)
            else:
                self._study.tell(trial, ready.val_accuracy)
            self.results.append(ready)
            if self._sampler.continues:
                self.days[ready.number] = self._day(ready.number)
        if self._sampler.continues and self.n_told == self.n_asked:
            self._tidy()
        return self.n_told - n_before

    def _lost(self, result: TrialResult) -> str:
        """Whether a day's model came to nothing, in a word; empty where it did not."""
        if result.came_to_nothing:
            return DIVERGED if result.outcome == "nonfinite" else FAILED
        day = self.days[result.number]
        is_first = day is not None and day.parent is None
        return AT_CHANCE if is_first and result.val_accuracy <= self._chance else ""

    def _tidy(self) -> None:
        """Remove the states that no later day can need."""
        if self._checkpoints is None:
            return
        if self.is_complete:
            self._checkpoints.remove(self.name)
        else:
            needed = self._sampler.needed(self._study)
            self._checkpoints.keep(self.name, [self._spec(number) for number in needed])

    def _report(self, trial: Trial, judged: Judged) -> None:
        """Tell Optuna what a pruner was told of a trial, and noted.

        Written to the storage, as `Trial.report` warns of what a killed run has reported already.
        """
        storage, trial_id = self._study._storage, trial._trial_id
        with together(storage):
            for epoch, score in enumerate(judged.reports, start=1):
                storage.set_trial_intermediate_value(trial_id, epoch, score)
            for key, mark in judged.marks:
                storage.set_trial_system_attr(trial_id, key, mark)


def _suggest(trial: Trial, name: str, distribution: object) -> Scalar:
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, CategoricalDistribution), distribution
    value: Scalar = trial.suggest_categorical(name, distribution.choices)
    return value
