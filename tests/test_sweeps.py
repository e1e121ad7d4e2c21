"""Sweeps of the learning rate: losses in nats, from records with and without them."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import optuna
import pytest

from hpsuite.arms import open_studies
from hpsuite.findings import ArmTable, find, ladder
from hpsuite.record import ATTRIBUTE
from hpsuite.report.flat import setup_figures
from hpsuite.report.telling import tell
from hpsuite.scheduler import run_studies
from hpsuite.training import Planner
from hpsuite.trials import TrialResult, TrialSpec
from tests.report.test_telling import ABOUT, check_whole, column, notes, table
from tests.studies import CPU, MadeUp, open_runs, plan, run

SWEEP = ("space=rate_only", "strategy=grid", "repeats=5", "budget.trials=26")


def valley(spec: TrialSpec) -> TrialResult:
    """A loss that is a valley of the log of the rate; it diverges beyond 1."""
    x = math.log10(spec.optimizer.learning_rate)
    draw = np.random.default_rng([spec.seed, spec.number])
    first = 2.3 + 0.1 * float(draw.random())
    good = x <= 0.01
    loss = 0.5 + 0.8 * abs(x + 1)
    score = max(0.1, 0.95 - 0.2 * abs(x + 1)) if good else 0.1
    return TrialResult(
        spec.study,
        spec.number,
        "finite" if good else "nonfinite",
        score,
        score,
        (score,),
        (loss,),
        20,
        0.1,
        initial_loss=first,
        val_loss=loss if good else None,
    )


class Valley(MadeUp):
    def submit(self, batch):  # type: ignore[no-untyped-def]
        future = super().submit(batch)
        future.result()[:] = [valley(spec) for spec in batch]
        return future


def swept(storage: optuna.storages.BaseStorage) -> ArmTable:
    runs, studies = open_runs(storage, *SWEEP)
    datasets = {p.data.fingerprint: p.data for p in plan(*SWEEP)}
    run_studies(studies, Planner(datasets, CPU, 2), Valley(), on_told=lambda told: None)
    return runs[0].table()


def test_nats_by_the_trapezoid() -> None:
    """Mean over the log range of min(loss, loss at initialisation) - the best loss."""
    arm = swept(optuna.storages.InMemoryStorage())
    tried = ladder(arm)
    assert tried is not None
    assert tried.losses is not None
    assert tried.initial_losses is not None
    assert tried.losses.shape == tried.initial_losses.shape == tried.scores.shape == (26, 5)
    assert np.isnan(tried.losses[-1]).all()
    # Every trial has weights, and so a first loss, of its own.
    assert len(np.unique(tried.initial_losses)) == 130
    capped = np.fmin(tried.losses, tried.initial_losses)
    x = np.log10(tried.rates)
    curve = capped.mean(axis=1)
    truth = np.trapezoid(curve, x) / (x[-1] - x[0]) - curve.min()
    findings = find([arm])
    sweep = findings.setups[0].sweep
    assert sweep is not None
    assert sweep.sensitivity_nats.estimate == pytest.approx(truth)
    assert sweep.sensitivity_nats.low < truth < sweep.sensitivity_nats.high
    assert setup_figures(findings.setups[0])["rate_sensitivity_nats"] == pytest.approx(truth)
    report = tell(findings, ABOUT)
    check_whole(report)
    (cell,) = column(table(report, "Sweeps of the learning rate"), "sensitivity (nats)")
    assert cell.value == pytest.approx(truth)


def test_records_without_losses_stay_readable_and_say_so() -> None:
    """Trials as they were recorded before losses were."""
    storage = optuna.storages.InMemoryStorage()
    swept(storage)
    for study in storage.get_all_studies():
        for trial in storage.get_all_trials(study._study_id):
            attribute = dict(trial.user_attrs[ATTRIBUTE])
            del attribute["initial_loss"], attribute["val_loss"]
            # As a record of that time: nobody may change a trial that was told.
            storage._get_trial(trial._trial_id).user_attrs[ATTRIBUTE] = attribute  # type: ignore[attr-defined]
    (arm,) = open_studies(storage, plan(*SWEEP), fresh=False, device=CPU)
    results = arm.table().results
    assert len(results) == 130
    assert {(r.initial_loss, r.val_loss) for r in results} == {(None, None)}
    findings = find([arm.table()])
    figures = setup_figures(findings.setups[0])
    assert math.isnan(figures["rate_sensitivity_nats"])  # type: ignore[arg-type]
    reason = "trials were recorded before validation losses were"
    assert isinstance(figures["sweep_not_computable"], Mapping)
    assert figures["sweep_not_computable"]["rate_sensitivity_nats"] == reason
    assert math.isfinite(figures["rate_sensitivity"])  # type: ignore[arg-type]
    report = tell(findings, ABOUT)
    check_whole(report)
    assert f"Sensitivity in nats is not computable for digits mlp: {reason}." in notes(report)


def test_a_trial_of_no_finite_first_loss_is_another_reason() -> None:
    arm = swept(optuna.storages.InMemoryStorage())
    (first, *others) = arm.studies
    bad = [
        dataclasses.replace(r, initial_loss=None) if r.outcome == "nonfinite" else r
        for r in first.results
    ]
    changed = dataclasses.replace(arm, studies=[dataclasses.replace(first, results=bad), *others])
    tried = ladder(changed)
    assert tried is not None
    assert tried.without_losses == "a trial has no finite loss before its first step"


def test_real_trials_have_both() -> None:
    found = run(optuna.storages.InMemoryStorage(), "budget.trials=3", "repeats=1")
    ((_, results),) = found.values()
    for result in results:
        assert result.initial_loss is not None
        assert 1 < result.initial_loss < 10
        assert (result.val_loss is None) == (result.outcome == "nonfinite")
