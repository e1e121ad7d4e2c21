"""What every strategy must keep, on every kind of space.

All options of conf/strategy/ are here by themselves; STRATEGIES has a row for each further way to
build one.
"""

import copy
import itertools
import math
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from hpsuite.strategies import (
    CoarseToFineSampler,
    GridSampler,
    PerTrialSeeded,
    PlannedSampler,
    ScaledRandomSampler,
    StagedSampler,
)
from tests.strategies.conf import from_conf, options

Space = Mapping[str, BaseDistribution]
Build = Callable[..., PlannedSampler]

N_TRIALS = 9
FAILS = 3  # number of a trial that is told as failed

SPACES: dict[str, Space] = {
    "log": {"learning_rate": FloatDistribution(1e-4, 10, log=True)},
    "steps": {
        "layers": IntDistribution(1, 30),
        "units": IntDistribution(32, 512, step=32),
        "dropout": FloatDistribution(0.0, 0.8, step=0.1),
    },
    "log_ints": {"batch_size": IntDistribution(1, 1024, log=True)},
    "choices": {
        "activation": CategoricalDistribution(["relu", "tanh", None]),
        "nesterov": CategoricalDistribution([True, False]),
    },
    "mix": {
        "one_minus_momentum": FloatDistribution(1e-3, 1, log=True),
        "learning_rate": FloatDistribution(1e-4, 10, log=True),
        "fixed": FloatDistribution(0.5, 0.5),
        "activation": CategoricalDistribution(["relu", "tanh"]),
    },
}

TPE = partial(optuna.samplers.TPESampler, n_startup_trials=3)
QMC = partial(optuna.samplers.QMCSampler, scramble=True)
STRATEGIES: dict[str, Build] = {
    "log_random": ScaledRandomSampler,
    "random": partial(ScaledRandomSampler, scale="linear"),
    "grid": GridSampler,
    "grid_linear_offset": partial(GridSampler, scale="linear", offset=True),
    "coarse_to_fine": partial(CoarseToFineSampler, top_fraction=0.5),
    "coarse_to_fine_linear": partial(CoarseToFineSampler, rounds=4, scale="linear"),
    "staged": partial(
        StagedSampler,
        groups=(("learning_rate", "layers", "batch_size", "activation"), ("units", "fixed")),
        shares="dimensions",
    ),
    "staged_without_the_rest": partial(
        StagedSampler,
        groups=(("dropout",), ("activation", "batch_size"), ("layers", "learning_rate")),
        rest="default",
        shares=(1, 2.5, 1),
    ),
    "tpe": partial(PerTrialSeeded, factory=TPE),
    "tpe_in_fours": partial(PerTrialSeeded, factory=TPE, asks_at_once=4),
    "tpe_univariate": partial(PerTrialSeeded, factory=partial(TPE, multivariate=False)),
    "optuna_random": partial(
        PerTrialSeeded, factory=optuna.samplers.RandomSampler, asks_at_once=100
    ),
    "qmc": partial(PerTrialSeeded, factory=QMC, seeding="study"),
    "qmc_in_fours": partial(PerTrialSeeded, factory=QMC, seeding="study", asks_at_once=4),
    "halton": partial(
        PerTrialSeeded,
        factory=partial(QMC, qmc_type="halton"),
        seeding="study",
        relative_space="declared",
    ),
    "nsga2": partial(
        PerTrialSeeded, factory=partial(optuna.samplers.NSGAIISampler, population_size=4)
    ),
}


# A model has its say within N_TRIALS; a Gaussian process, which is slow, in the last of them.
STARTUP = {"gp": 7}
SLOW = {"gp"}
CONF = {
    name: pytest.param(
        from_conf(name, n_startup_trials=STARTUP.get(name, 3)),
        marks=[pytest.mark.slow] if name in SLOW else [],
    )
    for name in options()
}
each_strategy = pytest.mark.parametrize(
    "build", [*STRATEGIES.values(), *CONF.values()], ids=[*STRATEGIES, *(f"conf_{n}" for n in CONF)]
)
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


class Killed(Exception):
    """Stands for the end of the process."""


class Snapshots(InMemoryStorage):
    """Keeps what a process would leave behind that is killed right after any of its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[InMemoryStorage] = []

    def take(self) -> None:
        snapshot = InMemoryStorage()
        state = {k: v for k, v in self.__getstate__().items() if k != "taken"}
        snapshot.__setstate__(copy.deepcopy(state))
        self.taken.append(snapshot)

    def create_new_trial(self, *args: Any, **kwargs: Any) -> int:
        trial_id = super().create_new_trial(*args, **kwargs)
        self.take()
        return trial_id

    def set_trial_param(self, *args: Any) -> None:
        super().set_trial_param(*args)
        self.take()

    def set_trial_system_attr(self, *args: Any) -> None:
        super().set_trial_system_attr(*args)
        self.take()

    def set_study_system_attr(self, *args: Any) -> None:
        super().set_study_system_attr(*args)
        self.take()

    def set_trial_state_values(self, *args: Any, **kwargs: Any) -> bool:
        done = super().set_trial_state_values(*args, **kwargs)
        self.take()
        return done


def never() -> None:
    """A step after which the process lives on."""


def kill_after(n_steps: int) -> Callable[[], None]:
    steps = itertools.count(1)

    def step() -> None:
        if next(steps) > n_steps:
            raise Killed

    return step


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        d = distribution
        return trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
    assert isinstance(distribution, FloatDistribution)
    d = distribution
    return trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)


def score(params: Mapping[str, object]) -> float:
    """A smooth function with a best point inside, numbers going by their logarithm."""
    numbers = [float(x) if isinstance(x, int | float) else len(str(x)) for x in params.values()]
    return -sum((math.log(abs(x) + 1e-3) + 1) ** 2 for x in numbers)


def create(storage: BaseStorage, direction: str = "maximize") -> optuna.Study:
    return optuna.create_study(
        study_name="s", storage=storage, direction=direction, load_if_exists=True
    )


def run(
    study: optuna.Study,
    sampler: PlannedSampler,
    step: Callable[[], None] = never,
    *,
    late: bool = False,
) -> None:
    """Go on with a study to the end of the plan, by ask and tell in order of number.

    `late` tells what can be told before asking for more, where the usual way is to ask first.
    """
    study.sampler = sampler
    trials = study.get_trials(deepcopy=False)
    running = [t for t in trials if t.state == TrialState.RUNNING]
    n_asked, n_told = len(trials), len(trials) - len(running)
    # Optuna has no other way to go on with a trial that is running than this constructor.
    pending = [Trial(study, t._trial_id) for t in running]
    for trial in pending:
        complete(trial, sampler, step)
    while n_told < sampler.n_planned:
        askable = sampler.n_askable(n_told)
        limit = sampler.n_planned if askable is None else askable
        assert n_told < limit <= sampler.n_planned
        if n_asked < limit and not (late and pending):
            step()
            pending.append(study.ask())
            n_asked += 1
            complete(pending[-1], sampler, step)
        else:
            step()
            trial = pending.pop(0)
            assert trial.number == n_told
            if trial.number == FAILS:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, score(trial.params))
            n_told += 1
    assert sampler.n_askable(n_told) in {None, sampler.n_planned}


def complete(trial: Trial, sampler: PlannedSampler, step: Callable[[], None]) -> None:
    for name, distribution in sampler.search_space.items():
        step()
        suggest(trial, name, distribution)


def outcome(study: optuna.Study) -> list[tuple[object, ...]]:
    return [(t.number, t.params, t.values, t.state) for t in study.get_trials(deepcopy=False)]


def reference(build: Build, space: Space, seed: int = 7) -> list[tuple[object, ...]]:
    study = create(InMemoryStorage())
    run(study, build(space, N_TRIALS, seed=seed))
    return outcome(study)


@each_strategy
class TestContract:
    @each_space
    def test_values_in_range_and_of_the_right_type_and_as_many_as_planned(self, build, space):
        sampler = build(space, N_TRIALS, seed=7)
        study = create(InMemoryStorage())
        run(study, sampler)
        assert 1 <= sampler.n_planned <= N_TRIALS
        assert len(study.trials) == sampler.n_planned
        for trial in study.trials:
            assert trial.params.keys() == space.keys()
            for name, distribution in space.items():
                value = trial.params[name]
                if isinstance(distribution, CategoricalDistribution):
                    assert any(value is choice for choice in distribution.choices)
                    continue
                expected = int if isinstance(distribution, IntDistribution) else float
                assert isinstance(value, expected)
                assert distribution.low <= value <= distribution.high
                if distribution.step:
                    steps = (value - distribution.low) / distribution.step
                    assert steps == pytest.approx(round(steps), abs=1e-9)

    @each_space
    def test_repeats_under_its_seed_and_differs_under_another(self, build, space):
        assert reference(build, space) == reference(build, space)
        assert reference(build, space) != reference(build, space, seed=8)

    @each_space
    def test_order_of_the_space_changes_nothing(self, build, space):
        backwards = dict(reversed(space.items()))
        assert reference(build, space) == reference(build, backwards)

    @each_space
    def test_resumes_at_every_point_to_the_same_trials(self, build, space):
        expected = reference(build, space)
        storage = Snapshots()
        study = create(storage)
        storage.taken.clear()
        run(study, build(space, N_TRIALS, seed=7))
        assert outcome(study) == expected
        # At least: the trial made, its values stored one by one, the trial told.
        assert len(storage.taken) >= len(expected) * (len(space) + 2)
        for i, snapshot in enumerate(storage.taken):
            study = create(snapshot)
            run(study, build(space, N_TRIALS, seed=7), late=i % 2 == 1)
            assert outcome(study) == expected

    def test_resumes_twice_within_one_trial(self, build):
        space = SPACES["mix"]
        expected = reference(build, space)
        for n_steps in (5 * (len(space) + 2), 5 * (len(space) + 2) + 2):
            storage = InMemoryStorage()
            for n in (n_steps, 0, 1, 1, 2, 0):
                with pytest.raises(Killed):
                    run(create(storage), build(space, N_TRIALS, seed=7), kill_after(n))
            run(create(storage), build(space, N_TRIALS, seed=7))
            assert outcome(create(storage)) == expected

    def test_resumes_in_a_journal_file(self, build, tmp_path: Path):
        space = SPACES["mix"]
        expected = reference(build, space)

        def reopened() -> optuna.Study:
            return create(JournalStorage(JournalFileBackend(str(tmp_path / "journal.log"))))

        for n_steps in (4, 17, 19):
            with pytest.raises(Killed):
                run(reopened(), build(space, N_TRIALS, seed=7), kill_after(n_steps))
        run(reopened(), build(space, N_TRIALS, seed=7))
        assert outcome(reopened()) == expected

    def test_survives_pickling(self, build, request):
        if "hub" in request.node.callspec.id:
            pytest.skip("a class of OptunaHub's is found by its package, not by a name of Python's")
        space = SPACES["mix"]
        study = create(InMemoryStorage())
        pickled = pickle.dumps(build(space, N_TRIALS, seed=7))
        run(study, pickle.loads(pickled))  # noqa: S301 - our own
        assert outcome(study) == reference(build, space)

    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_optimize_ends_by_itself(self, build, direction):
        space = SPACES["mix"]
        sampler = build(space, N_TRIALS, seed=7)
        study = optuna.create_study(sampler=sampler, direction=direction)

        def objective(trial: Trial) -> float:
            return score({name: suggest(trial, name, d) for name, d in space.items()})

        study.optimize(objective)
        assert len(study.trials) == sampler.n_planned
        with pytest.raises(ValueError, match=f"planned {sampler.n_planned} trials"):
            study.optimize(objective, n_trials=1)

    def test_optimize_in_threads(self, build):
        sampler = build(SPACES["mix"], N_TRIALS, seed=7)
        study = optuna.create_study(sampler=sampler)

        def objective(trial: Trial) -> float:
            return score({n: suggest(trial, n, d) for n, d in sampler.search_space.items()})

        study.optimize(objective, n_trials=sampler.n_planned, n_jobs=2)
        assert sorted(t.number for t in study.trials) == list(range(sampler.n_planned))
        assert all(t.state == TrialState.COMPLETE for t in study.trials)

    def test_what_was_not_declared_is_refused(self, build):
        sampler = build(SPACES["mix"], N_TRIALS, seed=7)
        trial = optuna.create_study(sampler=sampler).ask()
        with pytest.raises(ValueError, match=r"'lr' is not in .* declared are: activation"):
            trial.suggest_float("lr", 1e-4, 1, log=True)
        with pytest.raises(ValueError, match=r"'learning_rate' was declared .* the two must be"):
            trial.suggest_float("learning_rate", 20.0, 30.0, log=True)

    def test_an_enqueued_trial_is_used(self, build):
        study = optuna.create_study(sampler=build(SPACES["log"], N_TRIALS, seed=7))
        study.enqueue_trial({"learning_rate": 0.125})
        for _ in range(3):
            trial = study.ask(dict(SPACES["log"]))
            study.tell(trial, score(trial.params))
        assert study.trials[0].params == {"learning_rate": 0.125}

    @pytest.mark.parametrize(
        ("space", "n_trials", "seed", "message"),
        [
            ({}, 4, 0, "at least one hyperparameter"),
            ({"x": [1, 2]}, 4, 0, r"search_space\['x'\] must be a FloatDistribution.* \[1, 2\]"),
            (SPACES["log"], 0, 0, "n_trials must be at least 1, but found 0"),
            (SPACES["log"], 4, -1, "seed must be at least 0, but found -1"),
        ],
    )
    def test_bad_arguments(self, build, space, n_trials, seed, message):
        with pytest.raises(ValueError, match=message):
            build(space, n_trials, seed=seed)


def test_optunas_own_sampler_does_not_keep_the_contract():
    """The tests above can fail: reopened with its seed, Optuna's sampler repeats its draws."""
    storage = InMemoryStorage()
    for _ in range(2):
        study = optuna.create_study(
            study_name="s",
            storage=storage,
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(seed=1),
        )
        study.ask(dict(SPACES["log"]))
    first, second = (t.params for t in study.trials)
    assert first == second


def test_strategies_with_one_seed_are_paired_by_trial():
    """Law of seeds: trial n draws the same point of the unit cube in all arms that draw one."""
    space = {"x": FloatDistribution(0, 1)}
    random, coarse = (
        [t[1] for t in reference(build, space)]
        for build in (ScaledRandomSampler, partial(CoarseToFineSampler, rounds=2))
    )
    assert random[:5] == coarse[:5]
    assert not np.allclose(random[5]["x"], coarse[5]["x"])  # type: ignore[index]
