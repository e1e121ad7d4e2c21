"""Learning curves of one configuration over seeds: claims on them, tables and pictures."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from hydra import initialize_config_dir

from hpsuite.analysis.bounded import bounded_difference
from hpsuite.analysis.probes import movement
from hpsuite.compose import compose_experiment
from hpsuite.findings import ArmFinding, Findings, courses, find
from hpsuite.judging import judge
from hpsuite.overrides import config_dir
from hpsuite.report.files import summary
from hpsuite.report.telling import tell
from hpsuite.report.view import Picture, Table
from hpsuite.trials import TrialResult, TrialSpec
from tests.studies import TINY, MadeUp, open_runs, run

# 107 rows: an epoch has 2 steps, and 9 steps end within the fifth.
ASKED = (
    *("matrix.model=[mlp,mlp_bn]", "space=one_rate", "strategy=grid", "budget.trials=1"),
    *("budget.epochs=null", "budget.steps=9", "repeats=6", "numerics.probe=true"),
)
STEPS = [2.0, 4.0, 6.0, 8.0, 9.0]
CLAIM = {
    "claim": "Batch norm is ahead.",
    "a": "{model: mlp_bn}",
    "b": "{model: mlp}",
    "direction": "greater",
    "smallest_effect": "0.001",
    "n": "6",
}


class Curves(MadeUp):
    """Makes learning curves up: batch norm is ahead; the last seed without it diverges."""

    def submit(self, batch: object) -> Future[list[TrialResult]]:
        """Give the results at once."""
        future = super().submit(batch)  # type: ignore[arg-type]
        future.result()[:] = [
            self._with_curve(spec, result)
            for spec, result in zip(batch, future.result(), strict=True)  # type: ignore[call-overload]
        ]
        return future

    @staticmethod
    def _with_curve(spec: TrialSpec, result: TrialResult) -> TrialResult:
        generator = np.random.default_rng(spec.seed)
        ahead = 0.1 if ("normalization", "before") in spec.model.arguments else 0.0
        curve = tuple(np.linspace(0.4, 0.8, 5) + ahead + 0.01 * generator.random())
        probe = tuple((x - 1.0, x, x + 1.0) for x in (0.0, 2.0, 1.0, 1.0, 1.0, 1.0))
        if not ahead and spec.study.endswith("r5"):
            return replace(result, outcome="nonfinite", val_curve=curve[:2], probe=probe[:3])
        return replace(result, val_curve=curve, val_accuracy=curve[-1], probe=probe)


@pytest.fixture(scope="module")
def findings() -> Findings:
    storage = optuna.storages.InMemoryStorage()
    run(storage, *ASKED, executor=Curves())
    return find([r.table() for r in open_runs(storage, *ASKED)[0]])


Compose = Callable[..., object]


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compose]:
    monkeypatch.chdir(tmp_path)

    def compose(**said: str) -> object:
        text = "claims=[{" + ", ".join(f"{k}: {v}" for k, v in {**CLAIM, **said}.items()) + "}]"
        return compose_experiment([*TINY, *ASKED, text])

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield compose


def scores(arm: ArmFinding) -> np.ndarray:  # type: ignore[type-arg]
    return np.stack([own.accuracy for (own,) in courses(arm.table)])


def test_all_seeds_are_scored_as_often(findings: Findings) -> None:
    for arm in findings.arms:
        for (own,) in courses(arm.table):
            assert own.steps.tolist() == STEPS
    (without,) = (a for a in findings.arms if a.table.arm.setup.model_name == "mlp")
    diverged = [r.outcome == "nonfinite" for r in without.table.results]
    assert sum(diverged) <= 1
    chance = without.table.data.majority_share("val")
    assert (scores(without)[diverged, 2:] == chance).all()


def test_claims_on_a_point_of_the_curve(composed: Compose, findings: Findings) -> None:
    settings, _ = composed(statistic="val_accuracy_at", at_step="5")  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    one, two = (scores(arm)[:, 1] for arm in reversed(findings.arms))  # 4 and 6 are as near
    apart = one - two
    assert verdict.estimate == pytest.approx(apart.mean())
    half = 2.570582 * apart.std(ddof=1) / np.sqrt(6)
    assert verdict.low == pytest.approx(apart.mean() - half, abs=1e-6)
    assert verdict.statistic.startswith("validation accuracy after 5 steps")


def test_claims_on_steps_to_an_accuracy(composed: Compose, findings: Findings) -> None:
    settings, _ = composed(  # type: ignore[misc]
        statistic="steps_to_accuracy", target="0.6", direction="less", smallest_effect="1"
    )
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    spent = [
        [STEPS[int(np.argmax(own >= 0.6))] if (own >= 0.6).any() else 9.0 for own in scores(arm)]
        for arm in reversed(findings.arms)
    ]
    expected = bounded_difference(*spent, 0.0, 9.0)
    assert (verdict.estimate, verdict.low, verdict.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )
    assert verdict.unit == "steps"


def test_the_report_shows_them(findings: Findings) -> None:
    first, second = findings.learned
    assert first.target == second.target == pytest.approx(scores(first.arm)[:, -1].mean())
    assert second.reached == 6
    assert first.seen is not None
    expected = movement([(x - 1, x, x + 1) for x in (0.0, 2.0, 1.0, 1.0, 1.0, 1.0)])
    assert second.seen is not None
    assert second.seen.step.estimate == pytest.approx(expected.step)
    report = tell(findings, {})
    (section,) = (s for s in report.sections if s.heading.startswith("Learning curves"))
    names = [b.name if isinstance(b, Picture) else b.title for b in section.blocks if b]  # type: ignore[union-attr]
    assert names == [
        *("learning-curves", "Accuracy, and steps to a target"),
        *("hidden-inputs", "How stable a nonlinearity's input is"),
    ]
    assert all(len(b.rows) == 2 for b in section.blocks if isinstance(b, Table))
    told = summary(findings)["learning_curves"]
    assert isinstance(told, list)
    assert told[1]["steps"] == STEPS
    assert len(told[1]["probe_percentiles"]) == 6


def test_movement_of_known_courses() -> None:
    still = movement([(-1, 0, 1)] * 4)
    assert (still.step, still.range) == (0, 0)
    # Steps of 1 and 3, in units of half of the mean width of 4.
    moved = movement([(-2, 0, 2), (-1, 1, 3), (2, 4, 6)])
    assert (moved.step, moved.range) == (pytest.approx(2 / 2), pytest.approx(4 / 2))
    assert np.isnan(movement([(0, 1, 2)]).step)
    with pytest.raises(ValueError, match=r"course must be \[m, 3\]"):
        movement([1.0, 2.0])
