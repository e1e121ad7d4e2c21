"""Choices carried over: what is trained, what is measured of it, and mistakes before training."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest
from hydra import initialize_config_dir

from hpsuite.arms import ArmRun
from hpsuite.checks import UserError
from hpsuite.claim_checks import routes
from hpsuite.compose import compose_experiment
from hpsuite.findings import Findings, Replayed, find
from hpsuite.judging import judge
from hpsuite.overrides import config_dir
from hpsuite.replays import MOVED, plan_replays
from hpsuite.report.telling import tell
from hpsuite.report.telling_carried import change_words
from hpsuite.report.view import Table
from tests.studies import TINY, MadeUp, claim_override, open_runs, run

ASKED = (
    *("matrix.model=[mlp,mlp_bn]", "matrix.optimizer.batch_size=[32,64]", "strategy=log_random"),
    *("budget.trials=6", "repeats=8", "analysis.fresh_seeds=2"),
)
CLAIM = {
    "claim": "Old choices cost a point.",
    "statistic": "staleness",
    "a": "{model: mlp_bn}",
    "b": "{model: mlp}",
    "direction": "greater",
    "smallest_effect": "0.01",
    "n": "8",
    "primary": "{optimizer.batch_size: 64}",
}

Compose = Callable[..., object]


def claims(**changes: str | None) -> str:
    return claim_override(CLAIM, **changes)


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compose]:
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield lambda *overrides: compose_experiment([*TINY, *overrides])


@pytest.fixture(scope="module")
def runs() -> list[ArmRun]:
    storage = optuna.storages.InMemoryStorage()
    run(storage, *ASKED, executor=MadeUp())
    return open_runs(storage, *ASKED)[0]


def found(runs: list[ArmRun], own: np.ndarray, old: np.ndarray) -> Findings:  # type: ignore[type-arg]
    """Today is mlp_bn; test scores [R, s] of its own choices and of mlp's there, in both cells."""
    arms = {(r.planned.arm.setup.model_name, r.planned.arm.setup.batch_size): r for r in runs}
    identities = {key: r.planned.identity for key, r in arms.items()}
    return find(
        [r.table() for r in runs],
        choices_again={identities["mlp_bn", size]: Replayed(own, own) for size in (32, 64)},
        moved={
            (identities["mlp", size], identities["mlp_bn", size]): Replayed(old, old)
            for size in (32, 64)
        },
    )


def test_claims_say_what_is_carried_over(composed: Compose, runs: list[ArmRun]) -> None:
    settings, arms = composed(*ASKED, claims())  # type: ignore[misc]
    carried = routes([*settings.claims, *settings.claims], arms)
    assert [
        (before.setup.model_name, today.setup.model_name, before.setup.batch_size)
        for before, today in carried
    ] == [("mlp", "mlp_bn", 32), ("mlp", "mlp_bn", 64)]
    own = [r.planned.arm for r in runs]
    replays = plan_replays(runs, 2, routes(settings.claims, own))
    moved = [replay for replay in replays if replay.purpose == MOVED]
    assert len(moved) == 2
    for replay in moved:
        by_identity = {r.planned.identity: r for r in runs}
        before, today = by_identity[replay.source], by_identity[replay.onto]
        assert replay.planned.arm.setup == today.planned.arm.setup
        assert dict(replay.planned.arm.strategy.arguments)["points"] == tuple(
            study.point(study.results.index(max(study.results, key=lambda r: r.merit)))
            for study in before.studies
        )
        assert (replay.n_points, replay.planned.n_planned) == (8, 16)
    # The same fresh seeds, in the same places, as today's own choices.
    assert len({replay.planned.arm.seed for replay in replays}) == 1
    assert [r for r in plan_replays(runs, 2) if r.purpose == MOVED] == []


def test_the_cost_is_the_paired_difference(composed: Compose, runs: list[ArmRun]) -> None:
    generator = np.random.default_rng(1)
    own = generator.uniform(0.8, 0.9, (8, 2))
    old = own - generator.uniform(0.0, 0.1, (8, 2))
    findings = found(runs, own, old)
    settings, _ = composed(*ASKED, claims())  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    costs = (own - old).mean(axis=1)
    half = 2.364624 * costs.std(ddof=1) / np.sqrt(8)
    assert verdict.estimate == pytest.approx(costs.mean())
    assert (verdict.low, verdict.high) == pytest.approx(
        (costs.mean() - half, costs.mean() + half), rel=1e-5
    )
    assert (verdict.n, verdict.unit) == (8, "points")
    assert len(findings.carried) == 2
    first = findings.carried[0]
    assert first.cost.estimate == pytest.approx(costs.mean())
    assert first.median.low <= np.median(costs) <= first.median.high
    report = tell(findings, {})
    (section,) = (s for s in report.sections if s.heading.startswith("Stale or not"))
    assert "worse than what is chosen today" in section.prose[1]
    assert change_words(first) == "model mlp → mlp_bn"
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert len(table.rows) == 2


def test_trials_saved_are_bounded_by_the_budget(composed: Compose, runs: list[ArmRun]) -> None:
    settings, _ = composed(  # type: ignore[misc]
        *ASKED, claims(statistic="trials_saved", smallest_effect="1")
    )
    for score, expected in ((0.0, 0.0), (1.0, 5.0)):
        fresh = np.full((8, 2), score)
        findings = found(runs, fresh, fresh)
        (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
        # Worse than all of the space saves nothing, better than all of it all but the first of 6.
        assert verdict.estimate == expected
        assert 0 <= verdict.low <= verdict.high <= 5


def test_without_fresh_seeds_nothing_is_measured(composed: Compose, runs: list[ArmRun]) -> None:
    settings, _ = composed(*ASKED, claims())  # type: ignore[misc]
    findings = find([r.table() for r in runs])
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    assert verdict.verdict == "inconclusive"
    assert "nothing was trained again" in verdict.note
    assert findings.carried == []


def test_mistakes_of_transfer_show_before_training(composed: Compose) -> None:
    with pytest.raises(UserError, match=r"^analysis.fresh_seeds: found 0; accepted: 1 or more"):
        composed(*ASKED, claims(), "analysis.fresh_seeds=0")  # type: ignore[misc]
    asked = (*ASKED[2:], "matrix.space=[rate_only,rate_momentum]")
    spaces = claims(a="{space: rate_only}", b="{space: rate_momentum}", primary=None)
    with pytest.raises(
        UserError, match=r"^claims\[0\].b: found a space of its own, learning_rate, momentum; acc"
    ):
        composed(*asked, spaces)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"statistic": "val_accuracy_at"},
            "at_step: found null; accepted: a number, which val_acc",
        ),
        ({"statistic": "steps_to_accuracy"}, "target: found null; accepted: a number, which steps"),
        ({"at_step": "3"}, "at_step: found 3; accepted: none but for val_accuracy_at"),
        ({"target": "0.5"}, r"target: found 0.5; accepted: none but for steps_to_accuracy"),
        ({"statistic": "val_accuracy_at", "at_step": "0"}, "at_step: found 0"),
        ({"statistic": "steps_to_accuracy", "target": "1.5"}, "target: found 1.5"),
    ],
)
def test_mistakes_of_curves_show_at_once(
    composed: Compose, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=rf"^claims\[0\].{message}") as raised:
        composed(*ASKED, claims(**changes))  # type: ignore[misc]
    assert "\n" not in str(raised.value)


def test_a_step_after_the_last_is_refused(composed: Compose) -> None:
    override = claims(statistic="val_accuracy_at", at_step="101")
    with pytest.raises(UserError, match=r"^claims\[0\].at_step: found 101; accepted: at most 100"):
        composed(*ASKED, "budget.steps=100", "budget.epochs=null", override)  # type: ignore[misc]
