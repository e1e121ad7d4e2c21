"""What the report says of strategies compared, of splits and of environments."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hpsuite.findings import Findings, against_baseline
from hpsuite.report.runs import run_views
from hpsuite.report.short_names import short_names, shortened, versus_words
from hpsuite.report.telling import tell
from hpsuite.report.telling_scores import Scores
from hpsuite.report.told import Told
from hpsuite.report.view import Report
from hpsuite.trials import TrialSpec
from tests.report.test_telling import (
    ABOUT,
    TWO,
    check_whole,
    column,
    found,
    notes,
    ridge,
    table,
)
from tests.studies import plan

SPLITS = ("+matrix.split_seed=[0,1,2]", "matrix.strategy=[log_random,random]", "repeats=6")


def by_split(spec: TrialSpec) -> float | None:
    """Scores that the split of the data moves."""
    score = ridge(spec)
    shift = int(spec.dataset[:4], 16) / 65536 * 0.02
    return None if score is None else score - shift


@pytest.fixture(scope="module")
def findings() -> Findings:
    return found(*TWO, *SPLITS, "budget.trials=8", score=by_split)


@pytest.fixture(scope="module")
def report(findings: Findings) -> Report:
    return tell(findings, ABOUT)


def test_searches_are_compared_with_random_search(findings: Findings, report: Report) -> None:
    check_whole(report)
    shown = table(report, "Searches compared")
    pairs = against_baseline(findings.pairs, findings.setups)
    assert len(shown.rows) == len(pairs) == 6
    assert {cell.text for cell in column(shown, "against")} == {"log_random"}
    for cell, pair in zip(column(shown, "P(better)"), pairs, strict=True):
        assert cell.value == pytest.approx(100 * pair.comparison.better.estimate)
    across = table(report, "Strategies across setups")
    (one,) = findings.across
    for cell, strategy in zip(
        column(across, "regret, interquartile mean"), one.strategies.values(), strict=True
    ):
        assert cell.value == pytest.approx(100 * strategy.regret.estimate)


def test_what_changes_with_the_split(findings: Findings, report: Report) -> None:
    shown = table(report, "How much changes with the split")
    assert [cell.text for cell in column(shown, "of")] == [
        *["digits mlp"] * 2,
        *["digits mlp log_random"] * 2,
        *["digits mlp random"] * 2,
        *["digits mlp_bn"] * 2,
        *["digits mlp_bn log_random"] * 2,
        *["digits mlp_bn random"] * 2,
        "digits mlp_bn minus digits mlp",
    ]
    fingerprints = {p.arm.setup.dataset.split_seed: p.data.fingerprint for p in plan(*SPLITS)}
    shifts = [int(f[:4], 16) / 65536 * 2 for f in fingerprints.values()]
    varies = column(shown, "varies by (points)")
    # b moves as the split moves all scores, but for failures, which stay at chance.
    assert varies[1].value == pytest.approx(np.std(shifts, ddof=1), rel=1e-6)
    assert "split_seed` 0, 1 and 2" in report.conditions["split"]
    assert "With 3 splits" in notes(report)
    assert "no interval of the mean" in notes(report)


def test_one_split_says_so(findings: Findings) -> None:
    single = tell(found(*TWO, "repeats=2"), ABOUT)
    assert "one split: others may say otherwise" in single.conditions["split"]
    assert not any(section.heading.startswith("Splits") for section in single.sections)
    assert "given one split of the data" in (table(single, "How much of the space is good").note)


def test_environments_stand_with_transfer(findings: Findings, report: Report) -> None:
    shown = table(report, "One configuration for all, or one for each")
    assert [cell.text for cell in column(shown, "model")] == ["mlp", "mlp_bn"]
    (transfer,) = findings.transfers
    for cell, one in zip(
        column(shown, "sensitivity"), transfer.environments.by_algorithm.values(), strict=True
    ):
        assert cell.value == pytest.approx(one.sensitivity.estimate)
    assert "With one seed of each configuration" in shown.note


def test_one_repeat_cannot_tell() -> None:
    report = tell(found(*TWO, "matrix.strategy=[log_random,random]", "repeats=1"), ABOUT)
    check_whole(report)
    assert "P(better) is not computable on digits mlp and digits mlp_bn" in notes(report)


def test_mlflow_has_the_same_figures(findings: Findings) -> None:
    (view,) = (v for v in run_views(findings, best_trials=0) if v.kind == "comparison")
    assert all(math.isfinite(value) for value in view.metrics.values())
    (one,) = findings.across
    found_there = view.metrics["across setups random/iqm_regret"]
    assert found_there == one.strategies["random"].regret.estimate
    pair = against_baseline(findings.pairs, findings.setups)[0]
    name = "digits mlp split_seed_0 random against log_random/probability_better"
    assert view.metrics[name] == pair.comparison.better.estimate
    split = findings.splits[0]
    spread = split.figures["good_fraction_2pt"].spread.estimate
    assert view.metrics["over splits digits mlp/good_fraction_2pt_split_sd"] == spread


def test_names_of_many_axes_are_cut_to_what_tells_them_apart() -> None:
    axes = [
        {"dataset": "digits", "model": model, "model.units": "[64, 64]", "budget.epochs": epochs}
        for model in ("mlp", "mlp_bn")
        for epochs in ("12", "64")
    ]
    told = [
        Told(" ".join(f"{k}={v}" for k, v in own.items()), i, None, Scores(), axes=own)
        for i, own in enumerate(axes)
    ]
    names = [t.name for t in shortened(told)]
    assert names == ["mlp epochs=12", "mlp epochs=64", "mlp_bn epochs=12", "mlp_bn epochs=64"]
    assert [t.name for t in shortened(told[:1])] == ["digits mlp"]
    # Of no axes, of short names, and of names that would be the same.
    for group in (
        [replace(t, axes={}) for t in told],
        [replace(t, name=f"{t.number}") for t in told],
        [told[0], replace(told[0], name=told[1].name)],
    ):
        assert shortened(group) == group
    assert versus_words({"model": "mlp_bn"}, {"model": "mlp"}) == "mlp_bn minus mlp"
    assert versus_words({"budget.epochs": "64"}, {"budget.epochs": "12"}) == "epochs 64 minus 12"
    steps = versus_words({"budget.steps": "9"}, {"budget.epochs": "12", "model": "mlp"})
    assert steps == "steps=9 minus epochs=12 mlp"


def test_setups_unlike_one_in_a_thing_each_are_named_by_it() -> None:
    usual = {
        "dataset": "digits",
        "model": "mlp",
        "budget.epochs": "12",
        "model.layers": "2",
        "optimizer.batch_size": "64",
    }
    changes = [
        {},
        {"model": "mlp_bn"},
        {"model.layers": "5"},
        {"budget.epochs": "64"},
        {"dataset": "mnist", "dataset.validation_size": "1000"},
    ]
    axes = {
        f"a name of setup {i} that is long enough": {**usual, **own}
        for i, own in enumerate(changes)
    }
    assert short_names(axes) == [
        *("digits mlp", "mlp_bn", "layers=5", "epochs=64", "mnist validation_size=1000")
    ]
    # Two that are alike in what is left have their whole names.
    twice = {**axes, "another name that is long enough": dict(usual)}
    assert short_names(twice) == list(twice)
    # Half of them with another model: nothing is usual.
    halved = [{**own, "model": ("mlp", "mlp_bn")[i % 2]} for i, own in enumerate(axes.values())]
    names = short_names(
        {f"a name of setup {i} that is long enough": own for i, own in enumerate(halved)}
    )
    assert names[2] == "digits mlp epochs=12 layers=5"
