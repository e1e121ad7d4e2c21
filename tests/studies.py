"""Small arms, opened and run: what the tests of records, studies and resuming share."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
import torch
from hydra import initialize_config_dir
from optuna.storages import BaseStorage

from hpsuite.arms import ArmRun, PlannedArm, open_studies, plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.executors import Executor, InlineExecutor
from hpsuite.overrides import config_dir
from hpsuite.record import open_storage
from hpsuite.scheduler import run_studies
from hpsuite.study import StudyRun
from hpsuite.training import Checkpoints, Planner
from hpsuite.trials import Scalar, TrialResult, TrialSpec

CPU = torch.device("cpu")
STRATEGIES = ("grid", "random", "log_random", "coarse_to_fine", "staged", "tpe", "qmc", "cmaes")
# These think for a tenth of a second a trial.
SLOW_STRATEGIES = ("gp",)
TINY = (
    "name=tiny",
    "model.layers=1",
    "model.units=4",
    "dataset.train_fraction=0.1",
    "budget.epochs=2",
    "repeats=2",
    "device=cpu",
)

# By the study's name: hyperparameters and results, in order of number.
Trials = dict[str, tuple[list[dict[str, Scalar]], list[TrialResult]]]


@functools.lru_cache(maxsize=64)
def plan(*overrides: str) -> list[PlannedArm]:
    """The arms of a command line over TINY."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        _, arms = compose_experiment([*TINY, *overrides])
    return plan_arms(arms)


def open_runs(
    storage: BaseStorage | Path,
    *overrides: str,
    fresh: bool = False,
    checkpoints: Checkpoints | None = None,
) -> tuple[list[ArmRun], list[StudyRun]]:
    """The arms of a command line, open in a record; and all their studies."""
    opened = open_storage(str(storage)) if isinstance(storage, Path) else storage
    planned = plan(*overrides)
    runs = open_studies(opened, planned, fresh=fresh, device=CPU, checkpoints=checkpoints)
    return runs, [study for run in runs for study in run.studies]


def run(
    storage: BaseStorage | Path,
    *overrides: str,
    fresh: bool = False,
    executor: Executor | None = None,
    on_told: Callable[[int], None] = lambda told: None,
    checkpoints: Checkpoints | None = None,
) -> Trials:
    """Train all that a record is short of; returns what it then has."""
    _, studies = open_runs(storage, *overrides, fresh=fresh, checkpoints=checkpoints)
    datasets = {p.data.fingerprint: p.data for p in plan(*overrides)}
    executor = executor or InlineExecutor(datasets, CPU, checkpoints)
    planner = Planner(datasets, CPU, executor.n_workers)
    run_studies(studies, planner, executor, on_told=on_told)
    assert all(study.is_complete for study in studies)
    return trials_of(studies)


def trials_of(studies: Sequence[StudyRun]) -> Trials:
    """What studies have been told."""
    return {study.name: (study.values[: study.n_told], study.results) for study in studies}


def assert_same(found: Trials, expected: Trials) -> None:
    """The same studies, trials and hyperparameters, and the same results to the bit."""
    assert found.keys() == expected.keys()
    for name, (values, results) in expected.items():
        assert found[name][0] == values
        assert len(found[name][1]) == len(results)
        for number, (mine, other) in enumerate(zip(found[name][1], results, strict=True)):
            assert mine.number == number
            assert mine.same_outcome(other), (name, number)


def made_up(spec: TrialSpec) -> TrialResult:
    """A result by number and seed, where nothing needs to be trained."""
    draw = np.random.default_rng([spec.seed, spec.number]).random(3)
    curve = (float(draw[0]), float(draw[1]))
    return TrialResult(
        spec.study, spec.number, "finite", float(draw[1]), float(draw[2]), curve, curve, 20, 0.1
    )


class MadeUp:
    """An executor that makes results up at once, and keeps the batches."""

    n_workers = 2

    def __init__(self) -> None:
        self.batches: list[tuple[TrialSpec, ...]] = []

    def submit(self, batch: Sequence[TrialSpec]) -> Future[list[TrialResult]]:
        """Give the results at once."""
        self.batches.append(tuple(batch))
        future: Future[list[TrialResult]] = Future()
        future.set_result([made_up(spec) for spec in batch])
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Shuffled(MadeUp):
    """Gives batches back from threads, in an order of its own."""

    def __init__(self, n_workers: int, seed: int) -> None:
        super().__init__()
        self.n_workers = n_workers
        self._pool = ThreadPoolExecutor(n_workers)
        self._generator = np.random.default_rng(seed)

    def submit(self, batch: Sequence[TrialSpec]) -> Future[list[TrialResult]]:
        """Give the results after a while."""
        self.batches.append(tuple(batch))
        seconds = float(self._generator.exponential(0.003))
        return self._pool.submit(self._later, seconds, tuple(batch))

    @staticmethod
    def _later(seconds: float, batch: Sequence[TrialSpec]) -> list[TrialResult]:
        time.sleep(seconds)
        return [made_up(spec) for spec in reversed(batch)]


def claim_override(claim: Mapping[str, str], **changes: str | None) -> str:
    """One claim as an override; changes go over it, and None takes a key away."""
    said = {k: v for k, v in {**claim, **changes}.items() if v is not None}
    return "claims=[{" + ", ".join(f"{k}: {v}" for k, v in said.items()) + "}]"
