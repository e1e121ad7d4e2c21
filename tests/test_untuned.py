"""What a setup trains with where nothing is searched."""

import math
from collections.abc import Mapping

import numpy as np
import optuna
import pytest

from hpsuite.arms import open_studies
from hpsuite.config import Setup
from hpsuite.findings import Findings, find
from hpsuite.replays import BEST, DEFAULT, plan_replays, replayed
from hpsuite.report.flat import setup_figures
from hpsuite.report.telling import tell
from hpsuite.samples import unit_of
from hpsuite.scheduler import run_studies
from hpsuite.space import Hyperparameter
from hpsuite.study import StudyRun
from hpsuite.training import Planner
from hpsuite.untuned import _in_range, _Missing, untuned
from tests.report.test_telling import ABOUT, Scored, check_whole, column, notes, ridge, table
from tests.studies import CPU, open_runs, plan

WHOLE = "dataset.train_fraction=1.0"
BATCH = "+space.batch_size={scale: power_of_two, low: 16, high: 64}"


def setup(*overrides: str) -> Setup:
    return plan(*overrides)[0].arm.setup


def test_defaults_are_the_setups_own() -> None:
    found = untuned(setup())
    assert found.values == {"learning_rate": 0.1, "momentum": 0.9}
    assert found.reasons == {}
    # In order of the stored names: learning_rate, one_minus_momentum.
    assert found.point is not None
    assert found.point == (0.1, pytest.approx(0.1))
    assert found.units["learning_rate"] == pytest.approx(3 / 5)
    # Large momenta lie at the high end: 1 - .9 is a third of the way from .001 to 1.
    assert found.units["momentum"] == pytest.approx(1 / 3)


def test_defaults_of_models_batches_and_lengths() -> None:
    found = untuned(
        setup(
            "space=architecture",
            BATCH,
            "+space.epochs={scale: power_of_two, low: 1, high: 32}",
            "+space.affine={scale: choice, choices: [true, false]}",
            "model.layers=2",
            "model.units=[64,32,16]",
        )
    )
    assert found.values == {
        "layers": 2,
        "units_1": 64,
        "units_2": 32,
        "units_3": 16,
        "activation": "relu",
        "dropout": 0.0,
        "batch_size": 64,
        "epochs": 2,
        "affine": True,
    }
    assert found.reason == ""


@pytest.mark.parametrize(
    ("overrides", "name", "reason"),
    [
        (["optimizer.learning_rate=20"], "learning_rate", "20.0, is outside of its range, 0.0001"),
        (
            ["space=sgd", WHOLE],
            "weight_decay",
            "the default of weight_decay, 0.0, is outside of its ra",
        ),
        (
            ["space=sgd", WHOLE],
            "decay_rate",
            "the default of decay_rate, 0.0, is outside of its range",
        ),
        (
            ["+space.schedule={scale: choice, choices: [cosine, step]}"],
            "schedule",
            "the default of schedule, 'none', is none of 'cosine', 'step'",
        ),
        (
            [
                BATCH,
                "optimizer.batch_size=48",
            ],
            "batch_size",
            "the default of batch_size, 48, is no power of two",
        ),
        (
            ["+space.steps={scale: integer, low: 10, high: 100}"],
            "steps",
            "steps has no default: budget.steps is not set",
        ),
    ],
)
def test_what_is_no_default_says_why(overrides: list[str], name: str, reason: str) -> None:
    found = untuned(setup(*overrides))
    assert found.point is None
    assert reason in found.reasons[name]
    assert found.reasons[name] in found.reason
    assert name not in found.units


def test_a_default_at_the_end_of_its_range_is_inside_to_the_last_bit() -> None:
    found = untuned(
        setup("optimizer=adam", "space=adam", "optimizer.beta2=0.9999", "optimizer.epsilon=1e-10")
    )
    assert found.values["beta2"] == 0.9999
    (h,) = (
        h for h in setup("optimizer=adam", "space=adam").space.hyperparameters if h.name == "beta2"
    )
    stored = h.stored(0.9999)
    assert h.distribution()._contains(h.distribution().to_internal_repr(stored))
    assert unit_of(h, 0.9999) == 1.0


def test_true_is_not_one() -> None:
    found = _in_range(Hyperparameter("x", "choice", choices=(1, 2)), True)
    assert isinstance(found, _Missing)
    assert found.reason == "none of 1, 2"
    assert _in_range(Hyperparameter("x", "choice", choices=(False, True)), True) is True
    assert _in_range(Hyperparameter("x", "choice", choices=(0, 0.5)), 0.0) == 0


def with_seeds(*overrides: str, n_seeds: int) -> tuple[Findings, list[tuple[StudyRun, str]]]:
    """Made-up results, and what is trained with fresh seeds."""
    storage = optuna.storages.InMemoryStorage()
    runs, studies = open_runs(storage, *overrides)
    datasets = {p.data.fingerprint: p.data for p in plan(*overrides)}
    planner = Planner(datasets, CPU, 2)
    run_studies(studies, planner, Scored(ridge), on_told=lambda told: None)
    replays = plan_replays(runs, n_seeds)
    opened = open_studies(storage, [r.planned for r in replays], fresh=False, device=CPU)
    run_studies(
        [s for run in opened for s in run.studies],
        planner,
        Scored(ridge),
        on_told=lambda told: None,
    )
    found: dict[str, dict[str, object]] = {}
    for replay, run in zip(replays, opened, strict=True):
        found.setdefault(replay.purpose, {})[replay.source] = replayed(replay, run)
    findings = find(
        [run.table() for run in runs],
        best_again=found[BEST],  # type: ignore[arg-type]
        defaults=found.get(DEFAULT, {}),  # type: ignore[arg-type]
    )
    return findings, [
        (run.studies[0], replay.purpose) for replay, run in zip(replays, opened, strict=True)
    ]


def test_regret_against_the_default_by_fresh_seeds() -> None:
    findings, opened = with_seeds("repeats=4", "budget.trials=16", n_seeds=5)
    ((study, _),) = [pair for pair in opened if pair[1] == DEFAULT]
    assert [v["learning_rate"] for v in study.values] == [0.1] * 5
    assert [v["momentum"] for v in study.values] == [pytest.approx(0.9)] * 5
    scores = [r.val_accuracy for r in study.results]
    assert len(set(scores)) == 5
    (setup_finding,) = findings.setups
    evidence = setup_finding.evidence
    assert evidence is not None
    lost = evidence.regret.default
    assert lost.estimate == pytest.approx(evidence.best.value - np.mean(scores))
    assert lost.low < lost.estimate < lost.high
    figures = setup_figures(setup_finding)
    assert figures["regret_default"] == lost.estimate
    assert isinstance(figures["not_computable"], Mapping)
    assert "regret_default" not in figures["not_computable"]
    risk = evidence.importance["tuning_risk"]
    assert set(risk.by_name) == {"learning_rate", "momentum"}
    for name, one in risk.by_name.items():
        assert figures[f"importance_tuning_risk_{name}"] == one.value.estimate
        assert math.isfinite(one.value.low)
    report = tell(findings, ABOUT)
    check_whole(report)
    (cell,) = column(
        table(report, "The best, and what is lost untuned"), "lost by the default (points)"
    )
    assert cell.value == pytest.approx(100 * lost.estimate)
    importance = table(report, "Importance")
    shown = [
        c.value
        for c, e in zip(
            column(importance, "importance"), column(importance, "evaluator"), strict=True
        )
        if e.text == "tuning risk"
    ]
    assert shown == pytest.approx([100 * one.value.estimate for one in risk.by_name.values()])


def test_no_default_no_training_and_a_reason() -> None:
    overrides = ("+space.weight_decay={scale: log, low: 1e-6, high: 1e-2}", "repeats=4")
    findings, opened = with_seeds(*overrides, "budget.trials=16", n_seeds=3)
    assert DEFAULT not in [purpose for _, purpose in opened]
    figures = setup_figures(findings.setups[0])
    assert isinstance(figures["not_computable"], Mapping)
    reason = figures["not_computable"]["regret_default"]
    assert reason == "the default of weight_decay, 0.0, is outside of its range, 1e-06 to 0.01"
    # The others have defaults, and so a risk.
    evidence = findings.setups[0].evidence
    assert evidence is not None
    assert set(evidence.importance["tuning_risk"].by_name) == {"learning_rate", "momentum"}
    report = tell(findings, ABOUT)
    check_whole(report)
    assert f"What is lost by the default is not computable for digits mlp: {reason}." in notes(
        report
    )
    assert f"digits mlp: tuning risk of weight_decay not computable, {reason}." in notes(report)


def test_one_fresh_seed_does_not_show_its_noise() -> None:
    findings, _ = with_seeds("repeats=4", "budget.trials=16", n_seeds=1)
    evidence = findings.setups[0].evidence
    assert evidence is not None
    assert not evidence.best.retrained
    assert math.isfinite(evidence.regret.default.estimate)


def test_without_fresh_seeds_it_says_what_would_train_it() -> None:
    storage = optuna.storages.InMemoryStorage()
    runs, studies = open_runs(storage, "repeats=4")
    datasets = {p.data.fingerprint: p.data for p in plan("repeats=4")}
    run_studies(studies, Planner(datasets, CPU, 2), Scored(ridge), on_told=lambda told: None)
    findings = find([run.table() for run in runs])
    assert "analysis.fresh_seeds" in notes(tell(findings, ABOUT))
    assert {r.purpose for r in plan_replays(runs, 0)} == set()


def test_defaults_change_no_identity() -> None:
    a, b = plan(), plan("optimizer.learning_rate=0.01")
    assert a[0].identity == b[0].identity
    assert untuned(a[0].arm.setup).point != untuned(b[0].arm.setup).point
