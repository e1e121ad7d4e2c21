"""hpsuite's strategies in anybody's Optuna study: `study.optimize`, an objective, nothing else."""

import math
import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from hpsuite.strategies import (
    CoarseToFineSampler,
    GridSampler,
    PerTrialSeeded,
    PlannedSampler,
    ScaledRandomSampler,
    StagedSampler,
)

SPACE = {
    "rate": FloatDistribution(1e-5, 1, log=True),
    "width": IntDistribution(16, 256, step=16),
    "depth": IntDistribution(1, 4),
    "activation": CategoricalDistribution(["relu", "tanh"]),
}
N = 54
TPE = partial(PerTrialSeeded, factory=optuna.samplers.TPESampler)
SAMPLERS: dict[str, Callable[..., PlannedSampler]] = {
    "grid": GridSampler,
    "grid_offset": partial(GridSampler, offset=True),
    "random": ScaledRandomSampler,
    "coarse_to_fine": CoarseToFineSampler,
    "staged": partial(StagedSampler, groups=[["rate"], ["width", "depth"]]),
    "tpe": TPE,
    "cmaes": partial(PerTrialSeeded, factory=optuna.samplers.CmaEsSampler),
    "nsga2": partial(
        PerTrialSeeded, factory=partial(optuna.samplers.NSGAIISampler, population_size=8)
    ),
}
each_sampler = pytest.mark.parametrize("build", SAMPLERS.values(), ids=SAMPLERS)


def loss(trial: optuna.Trial) -> float:
    """Least at a rate of 0.003, 96 wide and 3 deep with tanh; about 6 on average."""
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    width = trial.suggest_int("width", 16, 256, step=16)
    depth = trial.suggest_int("depth", 1, 4)
    activation = trial.suggest_categorical("activation", ["relu", "tanh"])
    wrong = activation != "tanh"
    return abs(math.log10(rate / 0.003)) + abs(width - 96) / 40 + abs(depth - 3) + wrong


def gain(trial: optuna.Trial) -> float:
    return -loss(trial)


@pytest.mark.parametrize(("objective", "direction"), [(loss, "minimize"), (gain, "maximize")])
@each_sampler
def test_optimizes_and_ends_by_itself(
    build: Callable[..., PlannedSampler], objective: Callable[..., float], direction: str
) -> None:
    study = optuna.create_study(sampler=build(SPACE, N, seed=0), direction=direction)
    study.optimize(objective)
    assert len(study.trials) == study.sampler.n_planned <= N
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    values = np.abs([trial.value for trial in study.trials])
    assert abs(study.best_value) == values.min() < 0.7 * np.median(values)


@each_sampler
def test_both_directions_are_the_same_search(build: Callable[..., PlannedSampler]) -> None:
    asked = []
    for objective, direction in ((loss, "minimize"), (gain, "maximize")):
        study = optuna.create_study(sampler=build(SPACE, N, seed=3), direction=direction)
        study.optimize(objective)
        asked.append([trial.params for trial in study.trials])
    assert asked[0] == asked[1]


@pytest.mark.parametrize("stops", [(1, 2, 3), (9, 20, 34)])
@each_sampler
def test_a_study_that_is_opened_again_goes_on(
    build: Callable[..., PlannedSampler],
    stops: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody cuts the power

    def opened(name: str) -> optuna.Study:
        return optuna.create_study(
            study_name="mine",
            storage=JournalStorage(JournalFileBackend(str(tmp_path / name))),
            sampler=build(SPACE, N, seed=5),
            load_if_exists=True,
        )

    opened("whole").optimize(loss)
    for before, after in pairwise((0, *stops)):
        opened("stopped").optimize(loss, n_trials=after - before)
    opened("stopped").optimize(loss)
    expected, found = (
        [(trial.number, trial.params, trial.value) for trial in opened(name).trials]
        for name in ("whole", "stopped")
    )
    assert found == expected


@each_sampler
def test_failures_and_pruned_trials_are_lived_with(build: Callable[..., PlannedSampler]) -> None:
    def moody(trial: optuna.Trial) -> float:
        value = loss(trial)
        if trial.number % 5 == 1:
            raise optuna.TrialPruned
        if trial.number % 5 == 3:
            raise ZeroDivisionError
        return math.inf if trial.number % 5 == 4 else value

    study = optuna.create_study(sampler=build(SPACE, N, seed=1))
    study.optimize(moody, catch=(ZeroDivisionError,))
    assert len(study.trials) == study.sampler.n_planned
    assert study.best_value == min(t.value for t in study.trials if t.value is not None)
    assert all(trial.params.keys() == SPACE.keys() for trial in study.trials)
