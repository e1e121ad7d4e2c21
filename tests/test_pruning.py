"""Pruned studies: what Optuna's own loop would have told, whatever is fused, stopped or spread."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from hpsuite.arms import PlannedArm
from hpsuite.executors import InlineExecutor, ProcessExecutor
from hpsuite.findings import find
from hpsuite.record import count_told, open_storage, result_of
from hpsuite.replays import plan_replays
from hpsuite.report.files import trial_rows
from hpsuite.report.flat import arm_figures
from hpsuite.report.tables import arm_table
from hpsuite.samplers import build_sampler
from hpsuite.training import Resident, planner, train
from hpsuite.training.reproducible import reproducible
from hpsuite.training.streams import study_seed
from hpsuite.trials import TrialResult
from tests.studies import CPU, assert_same, open_runs, plan, run

reproducible()  # before anything multiplies matrices

HYPERBAND = ("strategy=hyperband", "strategy.pruner.reduction_factor=2")
HALVING = ("strategy=successive_halving", "strategy.pruner.reduction_factor=2")
MEDIAN = ("strategy=median_pruning", "strategy.pruner.n_startup_trials=2")
PERCENTILE = (
    "strategy=log_random",
    "+strategy.pruner={_target_: optuna.pruners.PercentilePruner, percentile: 40.0, "
    "n_startup_trials: 3, n_warmup_steps: 2, interval_steps: 2}",
    "+strategy.cohort=5",
)
TPE = (
    "strategy=tpe",
    "strategy.n_startup_trials=3",
    "+strategy.pruner={_target_: optuna.pruners.MedianPruner, n_startup_trials: 2}",
)
PRUNERS = {"hyperband": HYPERBAND, "halving": HALVING, "median": MEDIAN, "percentile": PERCENTILE}
# Some trials overflow, some share a program and some do not.
SOME_DIVERGE = (
    "+space.learning_rate={scale: log, low: 1e-3, high: 1e4}",
    "+space.batch_size={scale: integer, low: 20, high: 22}",
    "budget.epochs=6",
    "budget.trials=15",
)
LENGTHS = (*SOME_DIVERGE, "+space.epochs={scale: integer, low: 2, high: 6}")


def whole_result(p: PlannedArm, trial: Trial | FrozenTrial, seed: int) -> tuple[TrialResult, int]:
    """What a trial comes to, unpruned and alone; and its epochs."""
    setup = p.arm.setup
    spec = setup.spec(
        setup.space.values(trial.params),
        study="",
        number=trial.number,
        seed=seed,
        dataset=p.data.fingerprint,
    )
    (result,) = train([spec], Resident.place(p.data, CPU))
    assert spec.epochs is not None
    return result, spec.epochs


def value_at(result: TrialResult, epoch: int) -> float:
    """What is reported after an epoch: of a trial that diverged, its chance score."""
    curve = result.val_curve
    return curve[epoch - 1] if epoch <= len(curve) else result.val_accuracy


def reference(p: PlannedArm, repeat: int) -> optuna.Study:
    """The study as a plain loop over Optuna's ask, report, should_prune and tell makes it."""
    pruning = p.arm.strategy.pruning
    assert pruning is not None
    seed = study_seed(p.arm.seed, repeat)
    sampler = build_sampler(p.arm, seed)
    study = optuna.create_study(
        study_name=str(seed), sampler=sampler, pruner=pruning.build(), direction="maximize"
    )
    for first in range(0, p.n_planned, pruning.cohort):
        n = min(pruning.cohort, p.n_planned - first)
        trials = [study.ask(sampler.search_space) for _ in range(n)]
        going_on = [(trial, *whole_result(p, trial, seed)) for trial in trials]
        epoch = 0
        while going_on:
            epoch += 1
            for entry in list(going_on):
                trial, result, epochs = entry
                trial.report(value_at(result, epoch), epoch)
                if epoch == epochs:
                    study.tell(trial, result.val_accuracy)
                elif not trial.should_prune():
                    continue
                elif epoch > len(result.val_curve):
                    study.tell(trial, result.val_accuracy)
                else:
                    study.tell(trial, state=TrialState.PRUNED)
                going_on.remove(entry)
    return study


def facts(trial: FrozenTrial) -> tuple[object, ...]:
    """What of a trial Optuna knows, but for times and hpsuite's own attribute."""
    marks = {k: v for k, v in trial.system_attrs.items() if k.startswith("completed_rung")}
    return trial.number, trial.state, trial.value, trial.params, trial.intermediate_values, marks


def record_of(storage: BaseStorage, name: str) -> list[FrozenTrial]:
    """A study's trials as Optuna alone sees them."""
    return storage.get_all_trials(storage.get_study_id_from_name(name))


def check_against(storage: BaseStorage, p: PlannedArm, study: optuna.Study, name: str) -> None:
    """The record's study equals a reference, and each trial the same trial unpruned and alone."""
    trials = record_of(storage, name)
    assert [facts(trial) for trial in trials] == [facts(trial) for trial in study.trials]
    seed = study_seed(p.arm.seed, 0)
    for trial in trials:
        found, (whole, epochs) = result_of(trial, name), whole_result(p, trial, seed)
        assert found is not None
        if trial.state is TrialState.PRUNED:
            n = trial.last_step
            assert n is not None
            assert n < epochs
            assert (found.outcome, found.epochs) == ("pruned", n)
            assert (found.val_curve, found.loss_curve) == (
                whole.val_curve[:n],
                whole.loss_curve[:n],
            )
        else:
            assert replace(found, judged=None).same_outcome(whole)


def pruned_arm(*overrides: str) -> tuple[InMemoryStorage, PlannedArm, str]:
    """A trained study of one repeat."""
    storage = InMemoryStorage()
    (name,) = run(storage, *overrides, "repeats=1")
    (p,) = plan(*overrides, "repeats=1")
    return storage, p, name


@pytest.mark.parametrize("space", [SOME_DIVERGE, LENGTHS], ids=["diverging", "lengths"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_cohorts_are_those_of_a_plain_loop(pruner: str, space: tuple[str, ...]) -> None:
    overrides = (*PRUNERS[pruner], *space, "strategy.cohort=5")
    storage, p, name = pruned_arm(*overrides)
    study = reference(p, 0)
    check_against(storage, p, study, name)
    outcomes = [trial.user_attrs["hpsuite"]["outcome"] for trial in record_of(storage, name)]
    # Halving may stop whatever is about to diverge.
    assert {"finite", "pruned"} <= set(outcomes)
    assert "nonfinite" in outcomes or pruner == "halving"


def test_the_plain_trainer_too() -> None:
    overrides = (*HYPERBAND, *SOME_DIVERGE, "strategy.cohort=4", "numerics.trainer=plain")
    overrides = (*overrides, "budget.trials=8")
    storage, p, name = pruned_arm(*overrides)
    check_against(storage, p, reference(p, 0), name)


@pytest.mark.parametrize("arm", [HYPERBAND, HALVING, MEDIAN, TPE], ids=lambda arm: arm[0])
def test_cohorts_of_one_are_optunas_loop(arm: tuple[str, ...]) -> None:
    of_one = () if arm is TPE else ("strategy.cohort=1",)
    overrides = (*arm, *SOME_DIVERGE, *of_one)
    storage, p, name = pruned_arm(*overrides)
    pruning, seed = p.arm.strategy.pruning, study_seed(p.arm.seed, 0)
    assert pruning is not None
    sampler = build_sampler(p.arm, seed)

    def objective(trial: Trial) -> float:
        for key, distribution in sampler.search_space.items():
            trial._suggest(key, distribution)
        result, epochs = whole_result(p, trial, seed)
        for epoch in range(1, epochs + 1):
            trial.report(value_at(result, epoch), epoch)
            if epoch < epochs and trial.should_prune():
                if epoch > len(result.val_curve):
                    break
                raise optuna.TrialPruned
        return result.val_accuracy

    study = optuna.create_study(
        study_name=str(seed), sampler=sampler, pruner=pruning.build(), direction="maximize"
    )
    study.optimize(objective, n_trials=p.n_planned)
    check_against(storage, p, study, name)
    assert {trial.state for trial in study.trials} == {TrialState.PRUNED, TrialState.COMPLETE}


SMALL = (*HYPERBAND, "budget.trials=7", "strategy.cohort=3", "budget.epochs=4", "repeats=2")


@pytest.mark.parametrize("arm", [SMALL, (*TPE, *SMALL[2:3], "budget.epochs=3")], ids=["own", "tpe"])
def test_stopped_after_any_write(
    arm: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(planner, "CPU_MOST", 4)
    whole = tmp_path / "whole.journal"
    expected = run(whole, *arm)
    lines = whole.read_bytes().splitlines(keepends=True)
    for n in range(0, len(lines), 7):
        path = tmp_path / f"{n}.journal"
        torn = lines[n][: (n * 37) % len(lines[n])] if n % 2 else b""
        path.write_bytes(b"".join(lines[:n]) + torn)
        assert_same(run(path, *arm), expected)
        own, other = open_storage(str(path)), open_storage(str(whole))
        for name in expected:
            mine, theirs = (record_of(s, name) for s in (own, other))
            assert [facts(trial) for trial in mine] == [facts(trial) for trial in theirs]


def test_raised_budget() -> None:
    """Whole cohorts are the beginning of a longer search; one that was cut short is not."""
    storage = InMemoryStorage()
    first = run(storage, *SMALL, "budget.trials=3")
    longer = run(storage, *SMALL, "budget.trials=6")
    assert first.keys() == longer.keys()
    for name, (_, results) in first.items():
        assert longer[name][1][:3] == results
        assert count_told(storage, name) == 6
    assert_same(run(InMemoryStorage(), *SMALL, "budget.trials=6"), longer)
    assert run(storage, *SMALL).keys().isdisjoint(first)


def test_executors_and_mates_change_nothing() -> None:
    arm = ("strategy=hyperband", *SMALL[2:])
    datasets = {p.data.fingerprint: p.data for p in plan(*arm)}
    expected = run(InMemoryStorage(), *arm)
    makers: list[Callable[[], InlineExecutor | ProcessExecutor]] = [
        lambda: InlineExecutor(datasets, CPU),
        lambda: ProcessExecutor(datasets, 2),
    ]
    for make in makers:
        with make() as executor:
            assert_same(run(InMemoryStorage(), *arm, executor=executor), expected)
    beside = run(InMemoryStorage(), *arm, "matrix.model=[mlp_bn,mlp]")
    assert_same({name: beside[name] for name in beside if "mlp_bn" not in name}, expected)


def test_all_of_a_cohort_pruned() -> None:
    pruner = "{_target_: optuna.pruners.ThresholdPruner, lower: 0.99}"
    arm = ("strategy=log_random", f"+strategy.pruner={pruner}", "+strategy.cohort=4")
    runs, (study,) = open_runs(InMemoryStorage(), *arm, "budget.trials=8", "repeats=1")
    assert study.can_ask
    storage, _, name = pruned_arm(*arm, "budget.trials=8")
    trials = record_of(storage, name)
    assert [trial.state for trial in trials] == [TrialState.PRUNED] * 8
    assert {trial.last_step for trial in trials} == {1}
    assert runs[0].planned.n_planned == 8


def test_pruned_trials_found_nothing() -> None:
    storage = InMemoryStorage()
    overrides = ("strategy=successive_halving", "budget.trials=16", "budget.epochs=3", "repeats=2")
    run(storage, *overrides)
    (opened,), _ = open_runs(storage, *overrides)
    table = opened.table()
    assert not table.arm.strategy.is_reference
    chance = table.data.majority_share("val")
    pruned = np.array([[r.outcome == "pruned" for r in s.results] for s in table.studies])
    own = np.array([[r.val_accuracy for r in s.results] for s in table.studies])
    assert 2 <= pruned.sum() == table.n_pruned
    assert np.array_equal(table.scores(), np.where(pruned, chance, own))
    assert table.epochs == sum(len(r.val_curve) for s in table.studies for r in s.results) < 96
    for study in table.studies:
        whole = [r for r in study.results if r.outcome != "pruned"]
        assert study.best == max(whole, key=lambda r: r.val_accuracy)
    findings = find([table])
    figures = arm_figures(findings.arms[0])
    assert (figures["n_pruned"], figures["epochs"]) == (table.n_pruned, table.epochs)
    assert findings.setups[0].sensitivity is None
    header, *rows = trial_rows([table])
    state, test = header.index("state"), header.index("test_accuracy")
    assert [row[state] == "PRUNED" for row in rows] == pruned.ravel().tolist()
    assert all((row[test] == "") == (row[state] == "PRUNED") for row in rows)
    assert [c.header for c in arm_table(findings.arms).columns][4:6] == ["pruned", "epochs"]


def test_choices_are_of_whole_trials() -> None:
    storage = InMemoryStorage()
    overrides = (*SMALL, "budget.trials=9")
    run(storage, *overrides)
    (opened,), studies = open_runs(storage, *overrides)
    (choices,) = plan_replays([opened], 2)
    assert choices.planned.arm.strategy.pruning is None
    points = dict(choices.planned.arm.strategy.arguments)["points"]
    best = [
        study.point(s.best.number) for study, s in zip(studies, opened.table().studies, strict=True)
    ]
    assert points == tuple(best)
