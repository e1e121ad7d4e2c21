"""What is trained again with fresh seeds: which configurations, with which seeds, once."""

import numpy as np
import optuna
import pytest

from hpsuite.arms import ArmRun, open_studies
from hpsuite.replays import BEST, CHOICES, DEFAULT, plan_replays, replayed
from hpsuite.scheduler import run_studies
from hpsuite.training import Planner
from hpsuite.training.streams import fresh_seed, study_seed
from tests.studies import CPU, MadeUp, open_runs, plan, run

ASKED = ("matrix.strategy=[log_random,grid]", "budget.trials=25", "repeats=3")


@pytest.fixture
def runs() -> list[ArmRun]:
    storage = optuna.storages.InMemoryStorage()
    run(storage, *ASKED, executor=MadeUp())
    return open_runs(storage, *ASKED)[0]


def test_which_configurations(runs: list[ArmRun]) -> None:
    reference, grid = runs
    best, default, choices, grids = plan_replays(runs, 4)
    assert [(r.source, r.purpose) for r in (best, default, choices, grids)] == [
        (reference.planned.identity, BEST),
        (reference.planned.identity, DEFAULT),
        (reference.planned.identity, CHOICES),
        (grid.planned.identity, CHOICES),
    ]
    trials = [(s, r) for s in reference.studies for r in s.results]
    assert len(trials) == 75
    trials.sort(key=lambda pair: -pair[1].val_accuracy)
    # 4% of 75 are 3: twice as many, by 4 seeds each.
    points = dict(best.planned.arm.strategy.arguments)["points"]
    assert points == tuple(study.point(result.number) for study, result in trials[:6])
    assert (best.n_points, best.planned.n_planned) == (6, 24)
    selected = [max(s.results, key=lambda r: r.val_accuracy).number for s in grid.studies]
    assert dict(grids.planned.arm.strategy.arguments)["points"] == tuple(
        study.point(number) for study, number in zip(grid.studies, selected, strict=True)
    )
    assert plan_replays(runs, 0) == []


def test_fresh_seeds_are_nobodys(runs: list[ArmRun]) -> None:
    seed = runs[0].planned.arm.seed
    again = study_seed(fresh_seed(seed), 0)
    assert again not in {study_seed(seed, repeat) for repeat in range(1000)}
    assert {replay.planned.arm.seed for replay in plan_replays(runs, 2)} == {fresh_seed(seed)}


def test_the_same_hyperparameters_to_the_bit(runs: list[ArmRun]) -> None:
    storage = optuna.storages.InMemoryStorage()
    (best, *_) = plan_replays(runs, 2)
    (opened,) = open_studies(storage, [best.planned], fresh=False, device=CPU)
    datasets = {p.data.fingerprint: p.data for p in plan(*ASKED)}
    executor = MadeUp()
    run_studies(opened.studies, Planner(datasets, CPU, 2), executor, on_told=lambda told: None)
    found = {
        (spec.optimizer.learning_rate, spec.optimizer.momentum)
        for batch in executor.batches
        for spec in batch
    }
    tried = {(v["learning_rate"], v["momentum"]) for study in runs[0].studies for v in study.values}
    assert len(found) == 6
    assert found <= tried
    scores = replayed(best, opened)
    assert scores.val.shape == scores.test.shape == (6, 2)
    results = opened.studies[0].results
    assert scores.val[1].tolist() == [results[1].val_accuracy, results[7].val_accuracy]
    # Nothing is left to train when it is opened again.
    again = open_studies(storage, [best.planned], fresh=False, device=CPU)
    assert all(study.is_complete for run in again for study in run.studies)
    assert np.isfinite(scores.val).all()
