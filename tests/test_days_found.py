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
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.diary import Diary
from hpsuite.report.flat import setup_figures
from hpsuite.report.markdown import render_markdown
from hpsuite.report.runs import run_views
from hpsuite.report.telling import tell
from hpsuite.report.telling_days import median_repeat
from hpsuite.report.view import Picture, Table
from hpsuite.report.writing import write_report
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


def test_the_diary_is_in_the_report_and_in_mlflow(tmp_path: Path) -> None:
    """Picture and story of the median repeat, whose days are the record's."""
    found = found_of(*SETUP, "matrix.strategy=[log_random,panda]", "budget.trials=12")
    arm = found.arms[1]
    report = tell(found, {"experiment": "x"})
    section = next(s for s in report.sections if s.heading.startswith("Day by day"))
    picture = next(b for b in section.blocks if isinstance(b, Picture) and "diary" in b.name)
    story = next(b for b in section.blocks if isinstance(b, Table))
    bests = sorted(study.best.val_accuracy for study in arm.table.studies)
    study = median_repeat(arm)
    assert study.best.val_accuracy == bests[1]
    assert isinstance(picture.data, Diary)
    assert len(picture.data.days) == len(story.rows) == 12
    drawn = [line.scores[1:] / 100 for line in picture.data.days]
    for scores, result in zip(drawn, study.results, strict=True):
        np.testing.assert_allclose(scores, result.val_curve)
    for line, day in zip(picture.data.days, study.days, strict=True):
        assert day is not None
        assert (line.kept, bool(line.nudge)) == (day.kept, bool(day.nudge))
        if day.parent is not None:
            assert line.scores[0] == pytest.approx(100 * study.results[day.parent].val_accuracy)
    text = render_markdown(report)
    assert all(day.reason.split(":")[0] in text for day in study.days if day is not None)
    folder = tmp_path / "out"
    folder.mkdir()
    write_report(folder, report)
    (folder / "summary.json").write_text("{}")
    views = run_views(found, best_trials=1, report=report, folder=folder)
    (view,) = [v for v in views if v.kind == "arm" and "panda" in v.name]
    assert list(view.files) == [f"figures/{picture.name}.png"]
    assert "day 0: begins with random values" in view.note
    page = (folder / "report.html").read_text()
    assert "The story of panda" in page


def test_searches_by_epochs() -> None:
    """In the end each curve has the median of the bests, after all epochs."""
    found = found_of(*SETUP, "matrix.strategy=[log_random,panda]")
    report = tell(found, {"experiment": "x"})
    (picture,) = [p for p in report.pictures() if p.name == "best-by-epochs"]
    assert isinstance(picture.data, BestSoFar)
    (panel,) = picture.data.setups
    for curve, arm in zip(panel.curves, found.arms, strict=True):
        assert curve.y[-1] == pytest.approx(100 * np.median(arm.figures.best_by_repeat))
        assert curve.x[-1] == max(sum(r.epochs for r in s.results) for s in arm.table.studies)
