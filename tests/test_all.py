"""Studies over all hyperparameters at once: trained, stopped and continued, fused and alone."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
from optuna.storages import InMemoryStorage

from hpsuite import forecast
from hpsuite.checks import UserError
from hpsuite.findings import find
from hpsuite.report.runs import run_views
from hpsuite.scheduler import run_studies
from hpsuite.study import StudyRun
from hpsuite.training import Planner, Resident, train, train_fused, train_plain
from hpsuite.training import planner as planners
from hpsuite.trials import Scalar, TrialSpec
from hpsuite.values import with_values
from tests.studies import CPU, STRATEGIES, MadeUp, assert_same, open_runs, plan, run
from tests.training.cases import rounded

# All of it, over fewer rows, epochs and rows per mini-batch.
ALL = (
    *("space=all", "dataset.train_fraction=0.2", "budget.trials=10"),
    *("space.epochs.low=1", "space.epochs.high=4", "space.batch_size.high=128"),
)
# What decides with whom a trial can be fused.
SHARED = (
    *("kind", "nesterov", "batch_size", "epochs", "activation", "layers"),
    *("units_1", "units_2", "units_3"),
)


class Stop(Exception):
    pass


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_stopped_in_the_middle_and_continued(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = (*ALL, f"strategy={strategy}", "+matrix.model=[mlp, mlp_bn]", "budget.trials=6")
    expected = run(tmp_path / "whole.journal", *arm)
    assert [len(results) for _, results in expected.values()] == [6] * 4
    told = 0

    def stop(n: int) -> None:
        nonlocal told
        told += n
        if told in (5, 6, 7, 16, 17, 18):
            raise Stop

    stops = 0
    while stops < 9:
        try:
            found = run(tmp_path / "stopped.journal", *arm, on_told=stop)
            break
        except Stop:
            stops += 1
    assert stops >= 2
    assert_same(found, expected)
    kinds = {value["kind"] for values, _ in found.values() for value in values}
    assert len(kinds) >= 3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_values_are_the_users_and_the_record_has_exponents(strategy: str) -> None:
    """Of every strategy: powers of two among the values, small integers in the record."""
    storage = InMemoryStorage()
    # 4 x 4 x 2 x 5 choices; and a stage of 24.
    trials = {"grid": 160, "staged": 96}.get(strategy, 24)
    arm = (*ALL, f"strategy={strategy}", f"budget.trials={trials}", "repeats=1")
    if strategy == "staged":  # which sets out from what is not searched
        arm += ("optimizer.weight_decay=1e-5", "budget.epochs=4", "model.units=32")
    ((name, (values, _)),) = run(storage, *arm, executor=MadeUp()).items()
    stored = [trial.params for trial in optuna.load_study(study_name=name, storage=storage).trials]
    assert len(values) == len(stored) == trials
    for value, params in zip(values, stored, strict=True):
        for key in ("batch_size", "epochs", "units_1", "units_2", "units_3"):
            assert type(value[key]) is int
            assert value[key] == 2 ** params[f"log2_{key}"]
            assert key not in params
    # A grid of 160 has one point a dimension, beside the choices.
    sizes = {value["batch_size"] for value in values}
    assert sizes == ({64} if strategy == "grid" else {16, 32, 64, 128})


def drawn(n: int, *overrides: str) -> tuple[list[dict[str, Scalar]], StudyRun, Resident]:
    """Trials of a study over all hyperparameters, and their data."""
    (planned,) = plan(*ALL, "repeats=1", f"budget.trials={n}", *overrides)
    _, (study,) = open_runs(InMemoryStorage(), *ALL, "repeats=1", f"budget.trials={n}", *overrides)
    for _ in range(n):
        study.ask()
    return study.values, study, Resident.place(planned.data, torch.device("cpu"))


@pytest.mark.parametrize("model", ["mlp", "mlp_bn"])
def test_a_trial_is_the_same_fused_and_alone(model: str) -> None:
    values, _, resident = drawn(24, f"model={model}")
    (planned,) = plan(*ALL, "repeats=1", "budget.trials=24", f"model={model}")
    planner = Planner({planned.data.fingerprint: planned.data}, CPU, 1)
    base = planned.arm.setup.spec({}, study="s", number=0, seed=3, dataset=planned.data.fingerprint)
    for i in range(0, 24, 3):
        shared = {key: values[i][key] for key in SHARED}
        specs = [
            with_values(replace(base, number=j), {**values[j], **shared})
            for j in (i, (i + 5) % 24, (i + 11) % 24, (i + 18) % 24)
        ]
        assert len({planner.bucket(spec) for spec in specs}) == 1
        together = train_fused(specs, resident)
        for spec, result in zip(specs, together, strict=True):
            assert train([spec], resident)[0].same_outcome(result)


def test_and_the_plain_trainer_agrees() -> None:
    values, _, resident = drawn(12)
    (planned,) = plan(*ALL, "repeats=1", "budget.trials=12", "numerics.dtype=float64")
    for number, value in enumerate(values):
        spec = planned.arm.setup.spec(
            # A small epsilon divides rounding noise by itself.
            {**value, "learning_rate": 0.01, "epsilon": 1e-3},
            study="s",
            number=number,
            seed=3,
            dataset=planned.data.fingerprint,
        )
        (fused,), plain = train_fused([spec], resident), train_plain(spec, resident)
        assert fused.loss_curve == pytest.approx(plain.loss_curve, rel=0, abs=1e-10)
        assert fused.val_curve == plain.val_curve
        assert fused.test_accuracy == plain.test_accuracy


def test_what_a_kind_does_not_use_does_nothing_in_its_trials() -> None:
    values, study, resident = drawn(12)
    unused = {
        "sgd": {"beta1": 0.5, "beta2": 0.95, "epsilon": 1e-3},
        "adam": {"momentum": 0.3, "nesterov": True},
    }
    for value in values[:6]:
        for kind in ("sgd", "adam", "adamw", "sgd_ema"):
            first = {**value, "kind": kind, "schedule": "cosine", "layers": 1}
            other = {
                **first,
                **unused["sgd" if kind.startswith("sgd") else "adam"],
                "decay_rate": 0.77,
                "decay_epochs": 5,
                "units_2": 64,
                "units_3": 128,
            }
            a, b = (
                study._setup.spec(v, study="s", number=1, seed=3, dataset=study._dataset)
                for v in (first, other)
            )
            assert train_fused([a], resident)[0].same_outcome(train_fused([b], resident)[0])


def test_hundreds_of_buckets_are_trained_in_order_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing waits for a batch that never fills."""
    monkeypatch.setattr(planners, "CPU_MOST", 4)
    executor = MadeUp()
    arm = (*ALL, "strategy=log_random", "budget.trials=300", "repeats=2")
    found = run(InMemoryStorage(), *arm, executor=executor)
    assert [len(results) for _, results in found.values()] == [300, 300]
    trained = Counter((spec.study, spec.number) for batch in executor.batches for spec in batch)
    assert set(trained.values()) == {1}
    assert len(trained) == 600
    assert len(executor.batches) > 150


def test_forecast_is_of_trials_as_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own epochs, rows and widths, and with the mates that they would have."""
    overrides = (*ALL, "strategy=log_random", "budget.trials=40")
    (planned,) = plan(*overrides)
    planner = Planner({planned.data.fingerprint: planned.data}, CPU, 2)
    seen: list[list[TrialSpec]] = []

    def measured(batch: list[TrialSpec], resident: Resident, planner: Planner) -> float:
        seen.append(batch)
        return float(sum(spec.epochs or 0 for spec in batch))

    monkeypatch.setattr(forecast, "_seconds", measured)
    found = forecast.measure(planned, planner, CPU)
    specs = [spec for batch in seen for spec in batch]
    assert len({(spec.study, spec.number) for spec in specs}) == len(specs)
    assert {spec.epochs for spec in specs} == {1, 2, 4}
    assert {spec.optimizer.learning_rate for spec in specs} == {1e-4}
    assert found.seconds == pytest.approx(sum(spec.epochs or 0 for spec in specs) / len(specs))
    assert "programs of 1 to " in found.programs
    assert all(len({planner.bucket(spec) for spec in batch}) == 1 for batch in seen)
    # Where all are alike, batches are full.
    (planned,) = plan("strategy=log_random", "budget.trials=100", "budget.epochs=3")
    planner = Planner({planned.data.fingerprint: planned.data}, CPU, 2)
    seen.clear()
    assert forecast.measure(planned, planner, CPU).seconds == 3
    assert len(seen[0]) == planner.most_at_once(seen[0][0])
    assert len(planner) == 0


def test_a_study_over_all_is_its_oracles() -> None:
    """As it is planned: every trial beside a plain loop of torch in float64."""
    values, study, resident = drawn(40, "numerics.dtype=float64")
    planner = Planner({study._dataset: resident.data}, CPU, 1)
    for number, value in enumerate(values):
        spec = study._setup.spec(
            {**value, "learning_rate": 0.01, "epsilon": 1e-3},
            study="s",
            number=number,
            seed=3,
            dataset=study._dataset,
        )
        planner.add(spec)
    sizes = []
    while len(planner):
        batch = planner.take()
        sizes.append(len(batch))
        for spec, found in zip(batch, train(batch, resident), strict=True):
            plain = train_plain(spec, resident)
            assert found.loss_curve == pytest.approx(plain.loss_curve, rel=0, abs=1e-10)
            assert rounded(found) == rounded(plain)
    assert max(sizes) > 3


def test_mlflow_shows_one_length_of_training(tmp_path: Path) -> None:
    """The fixed epochs are not what a trial has whose epochs or steps are searched."""
    for overrides, shown in (
        ((), {"epochs": "2"}),
        (ALL, {"epochs": "power_of_two [1, 4]"}),
        (("+space.steps={scale: integer, low: 2, high: 9}",), {"steps": "integer [2, 9]"}),
    ):
        arm = (*overrides, "strategy=log_random", "budget.trials=2")
        runs, _ = open_runs(InMemoryStorage(), *arm)
        executor = MadeUp()
        run_studies(
            runs[0].studies,
            Planner({p.data.fingerprint: p.data for p in plan(*arm)}, CPU, 1),
            executor,
            on_told=lambda told: None,
        )
        views = run_views(find([runs[0].table()]), best_trials=0)
        for view in views:
            if view.kind == "comparison":
                continue
            assert {k: v for k, v in view.params.items() if k in ("epochs", "steps")} == shown


def test_grid_says_what_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"^strategy.points: found the grid of .* = 160 trials for"):
        plan(*ALL, "strategy=grid")


def test_an_identity_of_all_is_json() -> None:
    (planned,) = plan(*ALL, "strategy=tpe")
    said = json.loads(json.dumps(planned.decided_by))["setup"]
    # Nothing that is searched is said of the fixed parts.
    assert said["optimizer"] == {}
    assert said["budget"] == {}
    assert said["model"] == {}
