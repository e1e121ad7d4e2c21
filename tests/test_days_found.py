"""What is found of days: never a setup's figures, and compared at equal epochs."""

from pathlib import Path

import numpy as np
import pytest
from optuna.storages import InMemoryStorage

from hpsuite.checks import UserError
from hpsuite.declared import parse_claims
from hpsuite.findings import Findings, find
from hpsuite.foreign import parse_request
from hpsuite.foreign.studies import read_study
from hpsuite.judging import judge
from hpsuite.replays import plan_replays
from hpsuite.report.flat import setup_figures
from tests import studies
from tests.studies import TINY, open_runs, run

SETUP = ("model.units=8", "budget.epochs=2", "budget.trials=8", "repeats=3")


def found_of(*overrides: str) -> Findings:
    storage = InMemoryStorage()
    run(storage, *overrides)
    runs, _ = open_runs(storage, *overrides)
    return find([r.table() for r in runs])


def test_days_never_enter_a_setups_figures() -> None:
    """Beside a reference sample they change nothing, and alone they are none."""
    alone = found_of(*SETUP, "strategy=log_random")
    both = found_of(*SETUP, "matrix.strategy=[log_random,panda]")
    (a,), (b,) = alone.setups, both.setups
    assert len(b.arms) == 2
    assert b.reference is not None
    assert b.reference.arm.strategy.name == "log_random"
    assert a.evidence is not None
    assert b.evidence is not None
    assert len(b.evidence.sample) == 24
    assert a.evidence.sensitivity == b.evidence.sensitivity
    assert a.evidence.importance.keys() == b.evidence.importance.keys()
    for name, importance in a.evidence.importance.items():
        np.testing.assert_array_equal(importance.draws, b.evidence.importance[name].draws)
    for strategy in ("panda", "population"):
        (only,) = found_of(*SETUP, f"strategy={strategy}").setups
        assert only.evidence is None
        assert only.reference is None
        assert "log_random" in only.reason
        assert setup_figures(only)["good_fraction_2pt"] is None


def test_an_analysis_of_a_record_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    run(path, *SETUP, "strategy=panda", "repeats=1")
    with pytest.raises(UserError, match=r"^study: found .*, whose trials are days of models"):
        read_study(parse_request({"trials": str(path), "points": 0.02}))


def test_what_is_selected_of_days_is_what_is_kept_last() -> None:
    found = found_of(*SETUP, "strategy=panda", "optimizer.momentum=0.5", "budget.trials=12")
    (arm,) = found.arms
    for i, study in enumerate(arm.table.studies):
        kept = [n for n, day in enumerate(study.days) if day is not None and day.kept]
        assert study.best.number == kept[-1]
        assert arm.figures.best_by_repeat[i] == study.results[kept[-1]].val_accuracy
        assert arm.figures.test_by_repeat[i] == study.results[kept[-1]].test_accuracy
    assert "go on from each other" in arm.reasons["miss_probability"]


def test_days_are_not_trained_again() -> None:
    storage = InMemoryStorage()
    asked = (*SETUP, "matrix.strategy=[log_random,panda]")
    run(storage, *asked)
    runs, _ = open_runs(storage, *asked)
    replays = plan_replays(runs, 2)
    assert {r.source for r in replays} == {runs[0].planned.identity}


def test_claims_at_equal_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panda's days of 2 epochs against trials of 6, which some are stopped before."""
    # A budget that a command line sets leaves the matrix.
    monkeypatch.setattr(studies, "TINY", [o for o in TINY if not o.startswith("budget.epochs")])
    asked = (
        "model.units=8",
        "repeats=4",
        "blocks=[{strategy: [panda], budget.epochs: [2], budget.trials: [12]}, "
        "{strategy: [caviar, successive_halving], budget.epochs: [6], budget.trials: [6]}]",
        "dataset.train_fraction=0.2",
    )
    found = found_of(*asked)
    panda, caviar, halving = found.arms
    for b, epochs in (("caviar", 24), ("successive_halving", 13), ("caviar", 7)):
        claim = {
            "claim": "x",
            "statistic": "best_val_accuracy",
            "a": {"strategy": "panda", "budget.epochs": 2, "budget.trials": 12},
            "b": {"strategy": b, "budget.epochs": 6, "budget.trials": 6},
            "direction": "greater",
            "smallest_effect": 0.01,
            "n": 4,
            "epochs_a": epochs,
            "epochs_b": epochs,
        }
        (declared,) = parse_claims([claim])
        (verdict,) = judge([declared], found.setups, found.arms, {})
        sides = []
        for arm in (panda, caviar if b == "caviar" else halving):
            best = []
            for study in arm.table.studies:
                spent = np.cumsum([r.epochs for r in study.results])
                own = [r for r, s in zip(study.results, spent, strict=True) if s <= epochs]
                best.append(max(r.val_accuracy for r in own if r.outcome != "pruned"))
            sides.append(np.mean(best))
        assert verdict.estimate == pytest.approx(sides[0] - sides[1])
        assert f"after {epochs} epochs" in verdict.statistic
    (few,) = parse_claims([{**claim, "epochs_a": 25, "epochs_b": 24}])
    (verdict,) = judge([few], found.setups, found.arms, {})
    assert "fewer than 25 epochs" in verdict.sentence or verdict.verdict == "not computable"


def test_mistakes_in_claims() -> None:
    claim = {
        "claim": "x",
        "statistic": "area",
        "a": {"strategy": "panda"},
        "b": {"strategy": "caviar"},
        "direction": "greater",
        "smallest_effect": 0.01,
        "n": 4,
        "epochs_a": 4,
    }
    with pytest.raises(
        UserError, match=r"^claims\[0\].statistic: found 'area'; accepted: best_val"
    ):
        parse_claims([claim])
    both = {**claim, "statistic": "test_accuracy", "trials_a": 2}
    with pytest.raises(
        UserError, match=r"^claims\[0\].epochs_a: found trials_a too; accepted: one"
    ):
        parse_claims([both])
