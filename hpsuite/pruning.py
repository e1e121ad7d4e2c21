"""Pruners: Optuna's, asked about cohorts as Optuna's own loop would ask them.

What a pruner says follows from the cohort's curves, the trials told before and the study's seed
alone: for each cohort it is built anew and shown a study in memory, named after the seed, in which
a step is an epoch, from 1. So a worker can ask it, and a cohort that was interrupted goes on to the
same answers.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

import optuna
from optuna.pruners import BasePruner
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsuite.checks import UserError, one_line, refuse, resolve
from hpsuite.training import Cohort
from hpsuite.trials import Judged, TrialResult, TrialSpec

KEY = "strategy.pruner"


@dataclass(frozen=True)
class Pruning:
    """How the trials of a study are stopped early.

    Attributes:
        target: dotted name of the pruner's class.
        arguments: the user's, sorted by name, without those at their defaults.
        cohort: trials that train side by side, >= 1.
    """

    target: str
    arguments: tuple[tuple[str, object], ...]
    cohort: int

    def build(self) -> BasePruner:
        """A pruner that was asked nothing yet."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            pruner = resolve(f"{KEY}._target_", self.target)(**dict(self.arguments))
        assert isinstance(pruner, BasePruner), pruner
        return pruner

    def decided_by(self) -> dict[str, object]:
        """What decides trials, as plain values."""
        return {"target": self.target, "arguments": dict(self.arguments), "cohort": self.cohort}

    def cohort_of(
        self,
        specs: Sequence[TrialSpec],
        *,
        told: Sequence[TrialResult],
        lengths: Sequence[int],
        first: int,
    ) -> Cohort:
        """A cohort, or what is left of one.

        Args:
            specs: of the trials that have no result yet, in order of number.
            told: results of all trials before them.
            lengths: epochs of each trial of the cohort.
            first: number of the cohort's first trial.
        """
        history, own = tuple(told[:first]), tuple(told[first:])
        return Cohort(tuple(specs), PrunerRules(self, specs[0].seed, history, own, tuple(lengths)))


@dataclass(frozen=True)
class PrunerRules:
    """All that decides a cohort's judgements but its curves; see `training.cohorts.Rules`.

    Attributes:
        pruning: the pruner.
        seed: of the study.
        history: results of the trials before the cohort, in order of number.
        own: those of the cohort's first trials that were told before an interruption.
        lengths: epochs of each trial of the cohort.
    """

    pruning: Pruning
    seed: int
    history: tuple[TrialResult, ...]
    own: tuple[TrialResult, ...]
    lengths: tuple[int, ...]

    def judge(self) -> "PrunerJudge":
        """A judge that was told nothing of the cohort yet."""
        return PrunerJudge(self)


class PrunerJudge:
    """Asks a pruner about a cohort; see `training.cohorts.Judge`.

    After each epoch the trials are reported in order of number, and each is asked about at once,
    unless it has reached its last epoch. One that diverged goes on with its chance score, for as
    long as it would not be stopped.
    """

    def __init__(self, rules: PrunerRules) -> None:
        """Show the pruner what was told before."""
        first = len(rules.history)
        self._told = {result.number: _judged(result) for result in rules.own}
        self._diverged = {r.number for r in rules.own if r.came_to_nothing}
        self._lengths = dict(enumerate(rules.lengths, start=first))
        self._storage = InMemoryStorage()
        name = str(rules.seed)
        with _quiet():
            self._id = self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
        self._study = optuna.load_study(
            study_name=name,
            storage=self._storage,
            sampler=optuna.samplers.RandomSampler(),
            pruner=rules.pruning.build(),
        )
        for result in rules.history:
            self._storage.create_new_trial(self._id, _frozen(result))
        self._trial_ids = {
            number: self._storage.create_new_trial(self._id) for number in self._lengths
        }

    def losers(self, epoch: int, scores: Mapping[int, float], diverged: Set[int]) -> Set[int]:
        """Those that are stopped after an epoch; see `training.cohorts.Judge`."""
        told = {n: j.reports[epoch - 1] for n, j in self._told.items() if len(j.reports) >= epoch}
        every, losers = {**scores, **told}, set()
        for number in sorted(every):
            trial_id, score = self._trial_ids[number], every[number]
            self._storage.set_trial_intermediate_value(trial_id, epoch, score)
            state = TrialState.COMPLETE
            if epoch < self._lengths[number]:
                if not self._study.pruner.prune(self._study, self._storage.get_trial(trial_id)):
                    continue
                losers.add(number)
                if number not in self._diverged | diverged:
                    state = TrialState.PRUNED
            self._storage.set_trial_state_values(trial_id, state, [score])
        return losers - told.keys()

    def judged(self, number: int) -> Judged:
        """What was told of a trial, and noted."""
        trial = self._storage.get_trial(self._trial_ids[number])
        reports = tuple(trial.intermediate_values[e] for e in sorted(trial.intermediate_values))
        return Judged(reports, tuple(sorted(trial.system_attrs.items())))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's word on each study that is created."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _judged(result: TrialResult) -> Judged:
    assert result.judged is not None, result
    return result.judged


def state_of(result: TrialResult) -> TrialState:
    """A result's state in a study of Optuna's."""
    states = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return states.get(result.outcome, TrialState.COMPLETE)


def _frozen(result: TrialResult) -> FrozenTrial:
    """A told trial as Optuna would have it, without its hyperparameters."""
    judged, now, state = _judged(result), datetime.now(), state_of(result)
    return FrozenTrial(
        number=result.number,
        trial_id=result.number,
        state=state,
        value=None if state is TrialState.FAIL else result.val_accuracy,
        datetime_start=now,
        datetime_complete=now,
        params={},
        distributions={},
        user_attrs={},
        system_attrs=dict(judged.marks),
        intermediate_values=dict(enumerate(judged.reports, start=1)),
    )


# Arguments of Optuna's pruners that are numbers of epochs, and the least of each.
_EPOCHS = {"min_resource": 1, "max_resource": 1, "n_warmup_steps": 0}
# One of so many trials goes on; more there cannot be.
MOST_FACTOR = 10**6


def told_epochs(
    pruner: type[BasePruner], given: Mapping[str, object], epochs: int
) -> dict[str, object]:
    """A pruner's arguments, with what Optuna would find out from finished trials.

    Args:
        pruner: its class.
        given: the user's arguments.
        epochs: of the longest trial.
    """
    known: dict[str, object] = {}
    if issubclass(pruner, optuna.pruners.HyperbandPruner):
        known = {"max_resource": epochs}
    elif issubclass(pruner, optuna.pruners.SuccessiveHalvingPruner):
        known = {"min_resource": max(epochs // 100, 1)}
    return {**known, **{k: v for k, v in given.items() if not (k in known and v == "auto")}}


def check_pruning(pruning: Pruning, epochs: int) -> None:
    """Try a pruner out.

    Args:
        pruning: what to check.
        epochs: of the longest trial.

    Raises:
        UserError: numbers of epochs that no trial has, or a pruner that cannot be built or asked.
    """
    arguments = dict(pruning.arguments)
    for name, least in _EPOCHS.items():
        value = arguments.get(name)
        if isinstance(value, int) and not least <= value <= epochs:
            accepted = f"{least} to {epochs}, the epochs of a trial"
            raise refuse(f"{KEY}.{name}", value, accepted)
    factor = arguments.get("reduction_factor")
    if isinstance(factor, int) and not 2 <= factor <= MOST_FACTOR:
        raise refuse(f"{KEY}.reduction_factor", factor, f"2 to {MOST_FACTOR:,}")
    judged = Judged((0.5,) * epochs)
    before = TrialResult("", 0, "finite", 0.5, 0.5, judged.reports, (), 1, 0.0, judged=judged)
    asked = {1, 2}
    try:
        judge = PrunerRules(pruning, 0, (before,), (), (epochs, epochs)).judge()
        for epoch in range(1, epochs + 1):
            asked -= judge.losers(epoch, dict.fromkeys(asked, 0.5), frozenset())
    except UserError:
        raise
    except Exception as error:
        name = pruning.target.rpartition(".")[2]
        raise UserError(
            f"{KEY}: {name} cannot be asked ({one_line(error)}); accepted: what it takes"
        ) from error
