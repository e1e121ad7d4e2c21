"""Strategies compared, what changes with the split, and environments, against their truth."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hpsuite.config import DatasetConfig, Setup, StrategyConfig
from hpsuite.findings import (
    ArmTable,
    Environments,
    SetupFinding,
    StudyTable,
    against_baseline,
    find,
    unsplit,
)
from hpsuite.findings.transfers import find_environments
from hpsuite.report.flat_strategies import (
    across_figures,
    environment_figures,
    pair_figures,
    split_figures,
)
from hpsuite.space import Hyperparameter, Space
from hpsuite.trials import ModelSpec, Numerics, OptimizerSpec, TrialResult

RATE = Hyperparameter("learning_rate", "log", 0.01, 1.0)
REFERENCE = "hpsuite.strategies.random.ScaledRandomSampler"
CHANCE = 0.1


def strategy(name: str) -> StrategyConfig:
    if name == "log_random":
        return StrategyConfig(name, REFERENCE, (("scale", "own"),), ())
    return StrategyConfig(name, f"elsewhere.{name}", (), ())


def setup(model: str = "mlp", dataset: str = "digits", split: int | None = None) -> Setup:
    variant = () if split is None else (("split_seed", str(split)),)
    return Setup(
        DatasetConfig(dataset, f"somewhere.{dataset}", (), (), split or 0),
        model,
        ModelSpec(f"models.{model}"),
        OptimizerSpec(),
        64,
        1,
        None,
        Space((RATE,)),
        Numerics(),
        variant,
    )


def table(of: Setup, name: str, scores: Any, values: Any = None) -> ArmTable:
    """An arm whose repeats by trials have these scores; configurations follow from the place."""
    scores = np.asarray(scores)
    data: Any = SimpleNamespace(
        fingerprint=f"{of.dataset.name} {of.dataset.split_seed}",
        majority_share=lambda part: CHANCE,
        y_val=np.zeros(1000),
    )
    arm: Any = SimpleNamespace(
        setup=of, strategy=strategy(name), seed=0, label=f"{of.label} {name}"
    )
    studies = []
    for repeat, row in enumerate(scores):
        tried = [0.01 * 1.001 ** (len(row) * repeat + i) for i in range(len(row))]
        own = tried if values is None else values
        studies.append(
            StudyTable(
                f"{name} {repeat}",
                repeat,
                1000 + repeat,
                [{"learning_rate": rate} for rate in own],
                [
                    TrialResult(name, i, "finite", float(s), float(s) / 2, (s,), (1.0,), 1, 0.1)
                    for i, s in enumerate(row)
                ],
            )
        )
    identity = f"{of.dataset} {of.label}"
    return ArmTable(arm, data, f"{identity} {name}", identity, 1, {}, studies)


@pytest.fixture(scope="module")
def tables() -> list[ArmTable]:
    rng = np.random.default_rng(0)
    return [
        table(setup(model), name, base + 0.1 * rng.beta(2, 2, (8, 16 if name != "grid" else 9)))
        for model, base in (("mlp", 0.75), ("mlp_bn", 0.8))
        for name in ("grid", "log_random", "tpe")
    ]


def test_every_pair_of_searches_after_as_many_trials(tables: list[ArmTable]) -> None:
    findings = find(tables)
    named = [
        (p.a.table.arm.setup.label, p.a.table.arm.strategy.name, p.b.table.arm.strategy.name)
        for p in findings.pairs
    ]
    assert named[:3] == [
        ("mlp", "grid", "log_random"),
        ("mlp", "tpe", "log_random"),
        ("mlp", "tpe", "grid"),
    ]
    assert len(named) == 6
    assert len(against_baseline(findings.pairs, findings.setups)) == 4
    grid = findings.pairs[0]
    assert grid.comparison.n == 9
    # By counting: wins of A over B, ties half.
    a, b = (t.scores(9).max(axis=1) for t in tables[:2])
    wins = np.mean([(x > y) + (x == y) / 2 for x in a for y in b])
    figures = pair_figures(grid)
    assert figures["probability_better"] == pytest.approx(wins)
    assert figures["best_val_accuracy"] == pytest.approx(a.mean() - b.mean())
    low, high = figures["probability_better_low"], figures["probability_better_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 0 <= low < wins < high <= 1


def test_across_setups_by_scipys_trimmed_mean(tables: list[ArmTable]) -> None:
    findings = find(tables)
    (found,) = findings.across
    assert (found.trials, found.baseline) == (9, "log_random")
    assert list(found.setups) == ["digits mlp", "digits mlp_bn"]
    for label, which in (("grid", (0, 3)), ("log_random", (1, 4)), ("tpe", (2, 5))):
        shares = []
        for i, finding in zip(which, findings.setups, strict=True):
            assert finding.evidence is not None
            b = finding.evidence.best.value
            shares.append((b - tables[i].scores(9).max(axis=1)) / (b - CHANCE))
        truth = stats.trim_mean(np.concatenate(shares), 0.25)
        regret = found.strategies[label].regret
        assert regret.estimate == pytest.approx(truth)
        assert regret.low < truth < regret.high
    base = found.strategies["log_random"]
    assert (base.difference, base.better) == (None, None)
    grid = found.strategies["grid"]
    assert grid.difference is not None
    assert grid.difference.estimate == pytest.approx(grid.regret.estimate - base.regret.estimate)
    flat = across_figures(found)["strategies"]
    assert isinstance(flat, list)
    assert [row["strategy"] for row in flat] == ["grid", "log_random", "tpe"]
    assert flat[1]["probability_better"] is None
    assert flat[0]["iqm_regret_low"] == grid.regret.low


def test_setups_with_other_searches_budgets_or_no_sample_are_not_compared(
    tables: list[ArmTable],
) -> None:
    findings = find([*tables[:3], *tables[3:5]])
    assert findings.across == []
    assert "as many trials and repeats" in findings.across_reason
    fewer = replace(tables[5], studies=tables[5].studies[:5])
    assert find([*tables[:5], fewer]).across == []
    without = find([tables[0], tables[2], tables[3], tables[5]])
    assert without.across == []
    assert "reference sample" in without.across_reason
    # One setup, or one search each: nobody would expect anything.
    assert find(tables[:3]).across_reason == ""
    assert find([tables[1], tables[4]]).across_reason == ""


def splits_of(offsets: list[float], noise: float = 0.0) -> list[ArmTable]:
    """Two searches on the same data under several splits, which move all scores."""
    rng = np.random.default_rng(1)
    base = {name: rng.beta(2, 5, (6, 12)) for name in ("log_random", "tpe")}
    return [
        table(setup("mlp", split=seed), name, 0.6 + offset + 0.2 * base[name])
        for seed, offset in enumerate(offsets)
        for name in base
    ]


def test_setups_that_differ_by_their_split_alone() -> None:
    assert unsplit(setup(split=0)) == unsplit(setup(split=7))
    assert unsplit(setup(split=0)) != unsplit(setup("mlp_bn", split=0))
    findings = find(splits_of([0.0, 0.02, 0.1]))
    of_setup, *of_searches = findings.splits
    assert (of_setup.kind, of_setup.name, of_setup.seeds) == ("setup", "digits mlp", (0, 1, 2))
    assert [(s.kind, s.name) for s in of_searches] == [
        ("search", "digits mlp log_random"),
        ("search", "digits mlp tpe"),
    ]
    # All scores move by the offset: so does b, and the good fraction does not.
    offsets = np.array([0.0, 0.02, 0.1])
    b = of_setup.figures["b"]
    assert b.spread.estimate == pytest.approx(offsets.std(ddof=1))
    chi = [stats.chi2.isf(q, 2) for q in (0.025, 0.975)]
    assert (b.spread.low, b.spread.high) == pytest.approx(
        [offsets.std(ddof=1) * math.sqrt(2 / c) for c in chi]
    )
    assert math.isnan(b.mean.low)  # not trained again: no error within a split is known
    good = of_setup.figures["good_fraction_2pt"]
    assert good.spread.estimate == pytest.approx(0.0, abs=1e-12)
    evidence = findings.setups[0].evidence
    assert evidence is not None
    own = evidence.sensitivity.good_fractions[2.0]
    assert good.mean.estimate == pytest.approx(own.estimate)
    # No split removes the error of having drawn these configurations.
    assert good.mean.high - good.mean.low > 0.9 * (own.high - own.low)
    best = of_searches[0].figures["best_val_accuracy"]
    means = [arm.figures.best_val_accuracy.estimate for arm in findings.arms[::2]]
    assert best.mean.estimate == pytest.approx(np.mean(means))
    assert best.spread.estimate == pytest.approx(np.std(means, ddof=1))
    flat = split_figures(of_setup)
    assert flat["good_fraction_2pt_split_sd"] == good.spread.estimate
    assert flat["split_seeds"] == [0, 1, 2]


def test_differences_over_splits() -> None:
    rng = np.random.default_rng(2)
    draws = rng.beta(2, 5, (6, 16))
    tables = [
        table(setup(model, split=seed), "log_random", np.minimum(0.6 + 0.3 * draws**power, 1))
        for seed in range(3)
        for model, power in (("mlp", 1 + 0.3 * seed), ("mlp_bn", 0.5))
    ]
    findings = find(tables)
    assert len(findings.differences) == 3
    (found,) = (s for s in findings.splits if s.kind == "difference")
    assert found.name == "digits mlp_bn minus digits mlp"
    values = [pair.difference.own[2.0].estimate for pair in findings.differences]
    spread = found.figures["good_fraction_2pt"]
    assert spread.mean.estimate == pytest.approx(np.mean(values))
    assert spread.spread.estimate == pytest.approx(np.std(values, ddof=1))


def test_no_splits_where_nothing_else_is_equal(tables: list[ArmTable]) -> None:
    assert find(tables).splits == []
    both = [
        table(setup("mlp", split=0), "log_random", np.full((5, 8), 0.9)),
        table(setup("mlp_bn", split=1), "log_random", np.full((5, 8), 0.9)),
    ]
    assert find(both).splits == []


def test_a_split_that_did_not_train_says_why() -> None:
    tables = splits_of([0.0, 0.02, 0.1])
    tables[2] = table(setup("mlp", split=1), "log_random", np.full((6, 12), CHANCE))
    (of_setup, *_) = find(tables).splits
    assert "good_fraction_2pt" not in of_setup.figures
    assert of_setup.reasons["good_fraction_2pt"].startswith("split_seed 1: did not train")
    assert "b" in of_setup.figures


def environments(scores: dict[tuple[str, str], Any], repeated: bool = False) -> Environments:
    """Of (model, data set), scores [repeats, n] of a grid, beside a reference sample."""
    values = [0.01 * 1.5**i for i in range(next(iter(scores.values())).shape[1])]
    tables = [
        table(setup(model, dataset), name, rows, values if name == "grid" else None)
        for (model, dataset), rows in scores.items()
        for name in (("log_random", "grid") if repeated else ("log_random",))
    ]
    (found,) = find(tables).transfers
    return found.environments


def test_adkins_figures_by_hand() -> None:
    rng = np.random.default_rng(4)
    scores = {
        (model, data): 0.5 + 0.4 * rng.random((3, 10))
        for model in ("mlp", "mlp_bn")
        for data in ("digits", "mnist")
    }
    found = environments(scores)
    assert (list(found.environments), found.seeds, found.reason) == (["digits", "mnist"], 1, "")
    normal = {}
    for data in ("digits", "mnist"):
        both = np.concatenate([scores[model, data].ravel() for model in ("mlp", "mlp_bn")])
        low, high = np.percentile(both, [5, 95])
        for model in ("mlp", "mlp_bn"):
            normal[model, data] = (scores[model, data].ravel() - low) / (high - low)
    for model in ("mlp", "mlp_bn"):
        rows = np.array([normal[model, data] for data in ("digits", "mnist")])
        tuned, cross = rows.max(axis=1).mean(), rows.mean(axis=0).max()
        one = found.by_algorithm[model]
        assert one.plain_sensitivity == pytest.approx(tuned - cross)
        assert (one.tuned.estimate, one.cross.estimate) == pytest.approx((tuned, cross))
        assert math.isnan(one.sensitivity.low)
    flat = environment_figures(found)["algorithms"]
    assert isinstance(flat, list)
    assert [row["algorithm"] for row in flat] == ["mlp", "mlp_bn"]


def test_setups_on_one_data_set_are_the_environments() -> None:
    rng = np.random.default_rng(5)
    scores = {(m, "digits"): 0.5 + 0.4 * rng.random((2, 10)) for m in ("mlp", "mlp_bn")}
    found = environments(scores)
    assert list(found.environments) == ["digits mlp", "digits mlp_bn"]
    assert list(found.by_algorithm) == ["all"]


def test_repeats_of_one_grid_are_seeds_and_give_intervals() -> None:
    rng = np.random.default_rng(6)
    peak = np.linspace(0, 1, 10)
    scores = {
        (m, "digits"): 0.5 + 0.4 * (1 - abs(peak - at)) + 0.01 * rng.random((5, 10))
        for m, at in (("mlp", 0.2), ("mlp_bn", 0.8))
    }
    found = environments(scores, repeated=True)
    assert found.seeds == 5
    one = found.by_algorithm["all"].sensitivity
    assert 0 < one.low < one.estimate < one.high


def test_scores_that_are_all_equal_have_no_scale() -> None:
    rng = np.random.default_rng(7)
    named = {}
    for model, rows in (("mlp", np.full((2, 30), 0.9)), ("mlp_bn", rng.random((2, 30)))):
        each = table(setup(model), "log_random", rows)
        named[f"digits {model}"] = SetupFinding([each], each, None, "", gate=Any)  # type: ignore[arg-type]
    found = find_environments(named)
    assert found.by_algorithm == {}
    assert "are equal on digits mlp" in found.reason
