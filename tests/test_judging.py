"""Declared claims: what they compare, in which cells, and that mistakes show before training."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist

import numpy as np
import optuna
import pytest
from hydra import initialize_config_dir

from hpsuite.analysis import Interval, paired_difference
from hpsuite.analysis.claims import Cell
from hpsuite.analysis.unpaired import unpaired_difference
from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.evidence import generator
from hpsuite.findings import Findings, find
from hpsuite.judging import _bounds, conditions, judge
from hpsuite.measuring import at_level
from hpsuite.overrides import config_dir
from tests.studies import TINY, MadeUp, claim_override, open_runs, run

ASKED = (
    "matrix.model=[mlp,mlp_bn]",
    "matrix.strategy=[log_random,random]",
    "matrix.optimizer.batch_size=[32,64]",
    "budget.trials=12",
    "repeats=6",
)
CLAIM = {
    "claim": "'Batch norm widens the good range.'",
    "statistic": "good_fraction_2pt",
    "a": "{model: mlp_bn}",
    "b": "{model: mlp}",
    "direction": "greater",
    "smallest_effect": "0.05",
    "n": "72",
    "primary": "{optimizer.batch_size: 64}",
}

Compose = Callable[..., object]


def claims(**changes: str | None) -> str:
    """One claim, as an override."""
    return claim_override(CLAIM, **changes)


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compose]:
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield lambda *overrides: compose_experiment([*TINY, *ASKED, *overrides])


@pytest.fixture(scope="module")
def findings() -> Findings:
    storage = optuna.storages.InMemoryStorage()
    run(storage, *ASKED, executor=MadeUp())
    return find([arm.table() for arm in open_runs(storage, *ASKED)[0]])


def test_a_claim_of_setups(composed: Compose, findings: Findings) -> None:
    settings, _ = composed(claims())  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, conditions(findings))
    assert list(verdict.cells) == ["optimizer.batch_size 32", "optimizer.batch_size 64"]
    assert verdict.primary == "optimizer.batch_size 64"
    by_name = {setup.setup.label: setup for setup in findings.setups}
    samples = [
        by_name[f"{model} optimizer.batch_size=64"].evidence.sample.scores  # type: ignore[union-attr]
        for model in ("mlp_bn", "mlp")
    ]
    expected = paired_difference(*samples, generator=generator()).own[2]
    assert (verdict.estimate, verdict.low, verdict.high) == (
        expected.estimate,
        expected.low,
        expected.high,
    )
    assert (verdict.n, verdict.planned_n) == (72, 72)
    assert verdict.conditions["dataset"] == "digits"
    assert verdict.conditions["optimizer"] == "sgd"
    assert verdict.conditions["learning_rate"] == "0.0001 to 10 (log)"
    assert "batch size" not in verdict.conditions  # which differs


@pytest.mark.parametrize(
    "statistic",
    ["best_val_accuracy", "test_accuracy", "area", "probability_better"],
)
def test_claims_of_arms(composed: Compose, findings: Findings, statistic: str) -> None:
    override = claims(
        statistic=statistic,
        a="{strategy: log_random}",
        b="{strategy: random}",
        primary="{model: mlp, optimizer.batch_size: 32}",
        n="6",
    )
    settings, _ = composed(override)  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    assert len(verdict.cells) == 4
    arms = {arm.table.arm.label: arm for arm in findings.arms}
    a, b = (
        arms[f"digits mlp optimizer.batch_size=32 {strategy}"]
        for strategy in ("log_random", "random")
    )
    best = [np.array(arm.figures.best_by_repeat) for arm in (a, b)]
    expected = {
        "best_val_accuracy": best[0].mean() - best[1].mean(),
        "test_accuracy": np.mean(a.figures.test_by_repeat) - np.mean(b.figures.test_by_repeat),
        "area": np.mean(a.figures.best_so_far) - np.mean(b.figures.best_so_far),
        "probability_better": (
            np.mean(best[0][:, None] > best[1]) + np.mean(best[0][:, None] == best[1]) / 2
        ),
    }[statistic]
    assert verdict.estimate == pytest.approx(expected)
    assert verdict.low <= verdict.estimate <= verdict.high
    assert verdict.n == 6


def test_a_difference_of_differences(composed: Compose, findings: Findings) -> None:
    override = claims(
        statistic="best_val_accuracy",
        a="{strategy: log_random, model: mlp}",
        b="{strategy: random, model: mlp}",
        a_other="{strategy: log_random, model: mlp_bn}",
        b_other="{strategy: random, model: mlp_bn}",
        n="6",
    )
    settings, _ = composed(override)  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    means = {arm.table.arm.label: np.mean(arm.figures.best_by_repeat) for arm in findings.arms}
    name = "digits {} optimizer.batch_size=64 {}"
    expected = (
        means[name.format("mlp", "log_random")]
        - means[name.format("mlp", "random")]
        - means[name.format("mlp_bn", "log_random")]
        + means[name.format("mlp_bn", "random")]
    )
    assert verdict.estimate == pytest.approx(expected)
    assert verdict.low < verdict.estimate < verdict.high
    assert verdict.statistic.endswith(
        "log_random mlp against random mlp less that of log_random mlp_bn against random mlp_bn"
    )


def test_what_both_sides_choose_alike_is_where_and_not_what(
    composed: Compose, findings: Findings
) -> None:
    override = claims(
        a="{model: mlp_bn, optimizer.batch_size: 64}",
        b="{model: mlp, optimizer.batch_size: 64}",
        primary=None,
    )
    settings, _ = composed(override)  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    (whole,) = judge(composed(claims())[0].claims, findings.setups, findings.arms, {})  # type: ignore[index]
    assert len(verdict.cells) == 1
    assert (verdict.estimate, verdict.low, verdict.high) == (whole.estimate, whole.low, whole.high)
    assert verdict.statistic.endswith(", mlp_bn against mlp")
    assert verdict.conditions["optimizer.batch_size"] == "64"


def test_what_was_not_measured_is_no_verdict(composed: Compose, findings: Findings) -> None:
    settings, _ = composed(claims(statistic="rate_width_2pt"))  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    assert verdict.verdict in ("inconclusive", "did not train")
    assert np.isfinite([verdict.estimate, verdict.low, verdict.high]).all()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"statistic": "fun"}, "claims[0].statistic: found 'fun'; accepted: good_fraction_1pt, "),
        (
            {"direction": "more"},
            "claims[0].direction: found 'more'; accepted: 'greater', 'less', 'eq",
        ),
        ({"smallest_effect": "0"}, "claims[0].smallest_effect: found 0; accepted: greater than 0"),
        ({"n": "0"}, "claims[0].n: found 0; accepted: greater than or equal to 1"),
        ({"n": None}, "claims[0].n: found nothing; accepted: "),
        (
            {"why": "x"},
            "claims[0].why: found no such key; accepted: one of claim, statistic, a, b,",
        ),
        ({"a": "{model: cnn}"}, "claims[0].a: found none of {model: 'cnn'}; accepted: digits mlp"),
        (
            {"b": "{model: mlp_bn}"},
            "claims[0].b: found {model: 'mlp_bn'}; accepted: another choice",
        ),
        ({"primary": "{}"}, "claims[0].primary: found {}, 2 cells; accepted: what names one of "),
        (
            {"primary": "{model.activation: elu}"},
            "claims[0].primary: found {model.activation: 'elu'",
        ),
        (
            {"a": "{model: mlp_bn, strategy: random}", "statistic": "area"},
            "claims[0].b: found several for {model: 'mlp'}; accepted: what chooses one in each",
        ),
        (
            {"a_other": "{model: mlp}"},
            "claims[0]: found one of a_other and b_other; accepted: both",
        ),
        (
            {"a": "{model: mlp, optimizer.batch_size: 32}", "b": "{model: mlp_bn, dataset: x}"},
            "claims[0].b: found none of ",
        ),
    ],
    ids=str,
)
def test_mistakes_show_before_anything_is_trained(
    composed: Compose, changes: dict[str, str | None], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        composed(claims(**changes))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["claims=3", "claims=[3]", "claims={a: 1}"])
def test_claims_are_a_list(composed: Compose, override: str) -> None:
    with pytest.raises(UserError, match=r"^claims(\[0\])?: found .*; accepted: "):
        composed(override)


@pytest.mark.parametrize("statistic", ["mean_val_accuracy", "chance_fraction"])
def test_more_claims_of_setups(composed: Compose, findings: Findings, statistic: str) -> None:
    settings, _ = composed(claims(statistic=statistic))  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    found = {setup.setup.label: setup.evidence for setup in findings.setups}
    values = []
    for model in ("mlp_bn", "mlp"):
        evidence = found[f"{model} optimizer.batch_size=64"]
        assert evidence is not None
        shares = evidence.sensitivity.chance_fraction.estimate
        values.append(shares if "chance" in statistic else evidence.sample.scores.mean())
    assert verdict.estimate == pytest.approx(values[0] - values[1])
    assert verdict.low <= verdict.estimate <= verdict.high


def test_a_claim_of_hyperparameters(composed: Compose, findings: Findings) -> None:
    override = claims(
        statistic="importance_fanova",
        a="{hyperparameter: learning_rate}",
        b="{hyperparameter: momentum}",
        primary="{model: mlp, optimizer.batch_size: 32}",
    )
    settings, _ = composed(override)  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    assert len(verdict.cells) == 4
    setups = {setup.setup.label: setup for setup in findings.setups}
    evidence = setups["mlp optimizer.batch_size=32"].evidence
    assert evidence is not None
    by_name = evidence.importance["fanova"].by_name
    expected = by_name["learning_rate"].value.estimate - by_name["momentum"].value.estimate
    assert verdict.estimate == pytest.approx(expected)
    assert verdict.low <= verdict.estimate <= verdict.high
    assert verdict.n == 72


def test_trials_to_a_good_one(composed: Compose, findings: Findings) -> None:
    override = claims(
        statistic="trials_to_good",
        a="{strategy: log_random}",
        b="{strategy: random}",
        primary="{model: mlp, optimizer.batch_size: 32}",
        direction="less",
        smallest_effect="1",
        n="6",
    )
    settings, _ = composed(override)  # type: ignore[misc]
    (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
    arms = {arm.table.arm.label: arm for arm in findings.arms}
    means = []
    for strategy in ("log_random", "random"):
        arm = arms[f"digits mlp optimizer.batch_size=32 {strategy}"]
        assert arm.strategy.b is not None
        good = arm.table.scores() >= arm.strategy.b - 0.02 - 1e-9
        first = np.where(good.any(axis=1), good.argmax(axis=1) + 1, 12)
        means.append(first.mean())
    assert verdict.estimate == pytest.approx(means[0] - means[1])


def test_claims_of_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (
        *("matrix.model=[mlp,mlp_bn]", "space=rate_only", "strategy=grid", "budget.trials=31"),
        *("repeats=5", "matrix.optimizer.batch_size=[32]"),
    )
    storage = optuna.storages.InMemoryStorage()
    run(storage, *asked, executor=MadeUp())
    found = find([arm.table() for arm in open_runs(storage, *asked)[0]])
    sweeps = [setup.sweep for setup in reversed(found.setups)]
    assert all(sweep is not None for sweep in sweeps)
    for statistic in ("rate_sensitivity", "largest_stable_rate"):
        override = claims(statistic=statistic, primary=None, n="5")
        monkeypatch.chdir(tmp_path)
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            settings, _ = compose_experiment([*TINY, *asked, override])
        (verdict,) = judge(settings.claims, found.setups, found.arms, {})
        one, two = (
            sweep.sensitivity.estimate
            if statistic == "rate_sensitivity"
            else np.log10(np.clip(sweep.largest_stable_rate.estimate, 1e-4, 10))
            for sweep in sweeps
            if sweep is not None
        )
        assert verdict.estimate == pytest.approx(one - two), statistic
        assert verdict.low <= verdict.estimate <= verdict.high
        assert verdict.verdict != "did not train"


def test_a_hyperparameter_that_is_not_searched(composed: Compose) -> None:
    override = claims(
        statistic="importance_fanova",
        a="{hyperparameter: learning_rate}",
        b="{hyperparameter: beta1}",
    )
    with pytest.raises(UserError, match=r"^claims\[0\].b: found none of {hyperparameter: 'beta1'}"):
        composed(override)  # type: ignore[misc]


def test_arms_after_numbers_of_trials_of_their_own(composed: Compose, findings: Findings) -> None:
    asked = {
        "a": "{strategy: log_random}",
        "b": "{strategy: random}",
        "primary": "{model: mlp, optimizer.batch_size: 32}",
        "n": "6",
        "trials_a": "4",
    }
    arms = {arm.table.arm.label: arm for arm in findings.arms}
    a, b = (
        arms[f"digits mlp optimizer.batch_size=32 {strategy}"].table
        for strategy in ("log_random", "random")
    )
    best = [a.scores(4).max(axis=1), b.scores().max(axis=1)]
    tests = [
        np.array([[r.test_accuracy for r in study.results] for study in table.studies])
        for table in (a, b)
    ]
    rows = np.arange(6)
    chosen = [
        tests[0][rows, a.scores(4).argmax(axis=1)],
        tests[1][rows, b.scores().argmax(axis=1)],
    ]
    expected = {
        "best_val_accuracy": best[0].mean() - best[1].mean(),
        "test_accuracy": chosen[0].mean() - chosen[1].mean(),
        "probability_better": (
            np.mean(best[0][:, None] > best[1]) + np.mean(best[0][:, None] == best[1]) / 2
        ),
    }
    for statistic, value in expected.items():
        override = claims(statistic=statistic, **asked)  # type: ignore[arg-type]
        settings, _ = composed(override)  # type: ignore[misc]
        (verdict,) = judge(settings.claims, findings.setups, findings.arms, {})
        assert verdict.estimate == pytest.approx(value), statistic
        assert "after 4 trials" in verdict.statistic
    with pytest.raises(
        UserError, match=r"^claims\[0\].statistic: found 'area'; accepted: best_val"
    ):
        composed(claims(statistic="area", **asked))  # type: ignore[arg-type]


def test_conditions_say_over_what_was_searched(tmp_path: Path) -> None:
    asked = (
        *("strategy=log_random", "model.initialization=gaussian", "budget.trials=4", "repeats=1"),
        "+space.sigma={scale: log, low: 0.01, high: 0.5}",
    )
    storage = optuna.storages.InMemoryStorage()
    run(storage, *asked, executor=MadeUp())
    found = conditions(find([arm.table() for arm in open_runs(storage, *asked)[0]]))
    assert found["sigma"] == "0.01 to 0.5 (log)"


def test_what_is_not_paired_is_compared_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("matrix.space=[rate_only,rate_momentum]", "strategy=log_random", "budget.trials=16")
    storage = optuna.storages.InMemoryStorage()
    run(storage, *asked, executor=MadeUp())
    found = find([arm.table() for arm in open_runs(storage, *asked)[0]])
    samples = [s.evidence.sample.scores for s in found.setups if s.evidence is not None]
    expected = unpaired_difference(*samples, generator=generator())
    monkeypatch.chdir(tmp_path)
    for statistic, interval in (
        ("good_fraction_2pt", expected.own[2]),
        ("good_fraction_2pt_common", expected.common[2]),
    ):
        override = claims(
            statistic=statistic,
            a="{space: rate_only}",
            b="{space: rate_momentum}",
            primary=None,
            n="32",
        )
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            settings, _ = compose_experiment([*TINY, *asked, override])
        (verdict,) = judge(settings.claims, found.setups, found.arms, {})
        ends = (interval.estimate, interval.low, interval.high)
        assert (verdict.estimate, verdict.low, verdict.high) == pytest.approx(ends)


@pytest.mark.parametrize(
    ("statistic", "bounds"),
    [("best_val_accuracy", (-2.0, 2.0)), ("trials_to_good", (-22.0, 22.0))],
)
def test_one_repeat_gives_no_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statistic: str, bounds: tuple[float, float]
) -> None:
    asked = (
        *("matrix.model=[mlp,mlp_bn]", "matrix.strategy=[log_random,random]"),
        *("budget.trials=12", "repeats=1"),
    )
    storage = optuna.storages.InMemoryStorage()
    run(storage, *asked, executor=MadeUp())
    found = find([arm.table() for arm in open_runs(storage, *asked)[0]])
    monkeypatch.chdir(tmp_path)
    override = claims(
        statistic=statistic,
        a="{strategy: log_random, model: mlp}",
        b="{strategy: random, model: mlp}",
        a_other="{strategy: log_random, model: mlp_bn}",
        b_other="{strategy: random, model: mlp_bn}",
        primary=None,
        n="1",
    )
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        settings, _ = compose_experiment([*TINY, *asked, override])
    (verdict,) = judge(settings.claims, found.setups, found.arms, {})
    assert verdict.verdict == "inconclusive"
    assert bounds[0] <= verdict.low <= verdict.estimate <= verdict.high <= bounds[1]
    if statistic == "best_val_accuracy":
        assert (verdict.low, verdict.high) == bounds
        assert "no interval" in verdict.note


def test_bounds_are_those_of_the_statistic() -> None:
    def cell(bounds: tuple[float, float]) -> Cell:
        return Cell(1, lambda level: Interval(0.5, math.nan, math.nan, level, ""), bounds=bounds)

    assert _bounds([cell((0.0, 1.0))]) == (0.0, 1.0)
    assert _bounds([cell((-20.0, 20.0))]) == (-20.0, 20.0)
    assert _bounds([cell((-11.0, 11.0)), cell((-3.0, 3.0))]) == (-14.0, 14.0)


def test_an_interval_at_another_level_is_that_of_normal_errors() -> None:
    sd, at = 0.1, NormalDist()
    ends = [at.inv_cdf((1 + level) / 2) * sd for level in (0.95, 0.99)]
    found = at_level(Interval(0.3, 0.3 - ends[0], 0.3 + 2 * ends[0], 0.95, "normal"), 0.99)
    assert (found.low, found.high, found.level) == pytest.approx(
        (0.3 - ends[1], 0.3 + 2 * ends[1], 0.99)
    )
