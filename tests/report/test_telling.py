"""From findings to a report: every number shown is the figure, and nothing breaks it."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from hpsuite.analysis.claims import FAR, Cell, Claim
from hpsuite.analysis.intervals import Interval
from hpsuite.analysis.verdicts import verdict
from hpsuite.evidence import SetupEvidence, setup_evidence
from hpsuite.findings import ArmTable, Findings, Replayed, find
from hpsuite.report.figures import parallel_coordinates
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.comparisons import Differences
from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.figures.parallel_coordinates import ParallelCoordinates
from hpsuite.report.figures.points import SampledPoints
from hpsuite.report.figures.rate_response import RateResponse
from hpsuite.report.figures.transfer import Transfer
from hpsuite.report.figures.tuning_curve import TuningCurves
from hpsuite.report.markdown import render_markdown
from hpsuite.report.page import render_page
from hpsuite.report.pictures import note_of
from hpsuite.report.telling import duration, tell, tell_samples
from hpsuite.report.telling_scores import NONE, ends_of
from hpsuite.report.told import Compared
from hpsuite.report.view import Note, Report, Table
from hpsuite.report.writing import write_report
from hpsuite.samples import Sample
from hpsuite.scheduler import run_studies
from hpsuite.space import Hyperparameter
from hpsuite.training import Planner
from hpsuite.trials import TrialResult, TrialSpec
from tests.studies import CPU, MadeUp, open_runs, plan

ABOUT = {
    "experiment": "made-up",
    "title": "Which of two?",
    "created": "2026-11-25",
    "seconds": 3725.0,
    "trained": 0,
    "tier": "quick",
    "left_out": ["a sigmoid", "a *second* data set"],
    "versions": {"hpsuite": "0.2.0"},
    "device": "cpu",
    "commit": None,
    "command": "python -m hpsuite +experiment=made-up",
    "warnings": ["a quick run"],
}
TWO = ("matrix.model=[mlp,mlp_bn]",)
SEARCHES = ("matrix.strategy=[grid,random,log_random,coarse_to_fine]",)
SHARES = "+matrix.model.dropout=[0,0.01,0.02,0.03,0.04,0.05,0.06,0.07,0.08,0.09,0.1,0.11]"
Score = Callable[[TrialSpec], float | None]


def ridge(spec: TrialSpec) -> float | None:
    """An accuracy with a ridge in learning rate and momentum; None where it diverges."""
    optimizer = spec.optimizer
    step = math.log10(optimizer.learning_rate) - math.log10(1 - optimizer.momentum)
    wide = 1.2 if ("normalization", "before") in spec.model.arguments else 0.5
    if step > 1 + wide:
        return None
    noise = float(np.random.default_rng([spec.seed, spec.number]).normal(0, 0.004))
    return min(max(0.95 - 0.1 * max(abs(step) - wide, 0) ** 2 + noise, 0.1), 1)


class Scored(MadeUp):
    """Makes results up by a function of what is trained."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self.score = score

    def submit(self, batch: Any) -> Any:
        """Give the results at once."""
        future = super().submit(batch)
        future.result()[:] = [self._result(spec) for spec in batch]
        return future

    def _result(self, spec: TrialSpec) -> TrialResult:
        score = self.score(spec)
        outcome, val = ("nonfinite", 0.1) if score is None else ("finite", score)
        test = max(val - 0.01, 0.0)
        return TrialResult(spec.study, spec.number, outcome, val, test, (val,), (1.0,), 20, 0.1)


def tables(*overrides: str, score: Score = ridge) -> list[ArmTable]:
    """The arms of a command line, with made-up results."""
    runs, studies = open_runs(optuna.storages.InMemoryStorage(), *overrides)
    datasets = {p.data.fingerprint: p.data for p in plan(*overrides)}
    run_studies(studies, Planner(datasets, CPU, 2), Scored(score), on_told=lambda told: None)
    return [run.table() for run in runs]


def found(*overrides: str, score: Score = ridge) -> Findings:
    return find(tables(*overrides, score=score))


@pytest.fixture(scope="module")
def findings() -> Findings:
    """Two setups by four searches, six repeats of sixteen trials."""
    return found(*TWO, *SEARCHES, "repeats=6", "budget.trials=16")


@pytest.fixture(scope="module")
def report(findings: Findings) -> Report:
    return tell(findings, ABOUT)


def blocks(report: Report, kind: type[Any]) -> Iterator[Any]:
    for section in report.sections:
        yield from (block for block in section.blocks if isinstance(block, kind))


def table(report: Report, title: str) -> Table:
    (it,) = (block for block in blocks(report, Table) if block.title == title)
    return it


def column(it: Table, label: str) -> list[Any]:
    (i,) = (i for i, c in enumerate(it.columns) if c.label == label)
    return [row[i] for row in it.rows]


def data(report: Report, kind: type[Any]) -> list[Any]:
    return [picture.data for picture in report.pictures() if isinstance(picture.data, kind)]


def notes(report: Report) -> str:
    return " ".join(note.text for note in blocks(report, Note))


def check_whole(report: Report, folder: Path | None = None) -> str:
    """All of it can be written, and no figure is shown as `nan` or `inf`."""
    pictures = {picture.name: b"" for picture in report.pictures()}
    page, text = render_page(report, pictures), render_markdown(report)
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    words = re.sub(r"<[^>]*>", " ", body)
    for shown in (words, text, *(note_of(p.data) for p in report.pictures())):
        assert not re.search(r"(?<![\w-])-?(nan|inf|None)(?![\w-])", shown)
    if folder is not None:
        write_report(folder, report)
        assert (folder / "report.html").exists()
        drawn = {file.stem for file in (folder / "figures").glob("*.png")}
        assert drawn == set(pictures)
    return text


def test_sections_come_in_order(report: Report) -> None:
    assert [section.heading.partition(":")[0] for section in report.sections] == [
        "Setups",
        "Importance",
        "Searches",
        "Transfer",
    ]
    assert report.commit == "unknown"
    assert report.took.startswith("1 h 2 min, with 768 of 768 trials in the record before; all")
    assert tell(found(), {**ABOUT, "trained": 10**9}).took == "1 h 2 min"
    assert report.conditions["tier"] == "quick"
    assert report.conditions["left out"] == "a sigmoid; a *second* data set"
    assert report.warnings == ("a quick run",)
    assert report.conditions["data"].startswith("digits: ")
    assert report.conditions["searched: learning_rate"] == "log, 0.0001 to 10"
    assert report.conditions["searched: momentum"] == "log of 1 - x, 0 to 0.999"
    assert report.conditions["optimizer"] == "SGD, v = momentum v + g"
    assert "split_seed=0" in report.conditions["split"]
    assert report.conditions["repeats x trials"] == "6 x 16"
    assert "normalization before (digits mlp_bn)" in report.conditions["model"]


def test_conditions_say_how_numbers_are_computed(report: Report) -> None:
    assert report.conditions["numbers"] == "float32"
    overrides = ("repeats=1", "budget.trials=2", "numerics.tf32=true", "numerics.autocast=bfloat16")
    told = tell(found(*overrides), ABOUT)
    assert told.conditions["numbers"] == "float32, TF32 products, bfloat16 products"
    both = "matrix={numerics.autocast: [none, bfloat16]}"
    told = tell(found(both, "repeats=1", "budget.trials=2"), ABOUT)
    assert told.conditions["numbers"].startswith("float32 (")
    assert "; float32, bfloat16 products (" in told.conditions["numbers"]


def test_report_is_written_whole(report: Report, tmp_path: Path) -> None:
    check_whole(report, tmp_path)


def test_tables_of_setups_show_the_figures(report: Report, findings: Findings) -> None:
    good, best = (
        table(report, "How much of the space is good"),
        table(report, "The best, and what is lost untuned"),
    )
    for i, setup in enumerate(findings.setups):
        evidence = setup.evidence
        assert evidence is not None
        figures = evidence.sensitivity
        assert good.rows[i][0].text == f"digits {setup.setup.label}"
        assert column(good, "n")[i].text == "96"
        for e, label in ((1, "1 point"), (2, "2 points"), (5, "5 points")):
            share = figures.good_fractions[e]
            cell = column(good, f"good within {label}")[i]
            assert cell.value == pytest.approx(100 * share.estimate)
            ends = f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
            assert cell.text == f"{100 * share.estimate:.1f}% {ends}"
        assert column(good, "diverged")[i].value == 100 * figures.nonfinite_fraction.estimate
        assert column(good, "at chance")[i].value == 100 * figures.chance_fraction.estimate
        needed = evidence.trials_needed[2.0]
        assert column(good, "trials for a good one")[i].text.startswith(f"{needed.estimate:g} [")
        assert column(best, "b")[i].value == pytest.approx(100 * evidence.best.value)
        assert best.note.startswith(f"b: {evidence.best.rule}. ")
        assert column(best, "its test score")[i].value == 100 * figures.test_accuracy
        lost = column(best, "lost at the median (points)")[i]
        assert lost.value == pytest.approx(100 * evidence.regret.median.estimate)


def test_differences_show_the_figures(report: Report, findings: Findings) -> None:
    (pair,) = findings.differences
    shown = table(report, "Differences of good fractions")
    assert [row[0].text for row in shown.rows] == ["digits mlp_bn minus digits mlp"] * 3
    for i, e in enumerate((1.0, 2.0, 5.0)):
        own, common = pair.difference.own[e], pair.difference.common[e]
        assert column(shown, "own best")[i].value == pytest.approx(100 * own.estimate)
        ends = f"[{100 * own.low:+.1f}, {100 * own.high:+.1f}]"
        assert ends in column(shown, "own best")[i].text
        assert column(shown, "common best")[i].value == pytest.approx(100 * common.estimate)
    (picture,) = data(report, Differences)
    assert picture.rows[0].estimates[0].value == pytest.approx(
        100 * pair.difference.own[2].estimate
    )
    assert not picture.measures[0].has_zone


def test_tables_of_searches_show_the_figures(report: Report, findings: Findings) -> None:
    what, fast = table(report, "What the searches found"), table(report, "How fast they found it")
    assert len(what.rows) == len(fast.rows) == 8
    for i, arm in enumerate(findings.arms):
        assert what.rows[i][1].text == arm.table.arm.strategy.label
        assert column(what, "trials")[i].text == "6 x 16"
        assert column(what, "best val")[i].value == 100 * arm.figures.best_val_accuracy.estimate
        assert column(what, "test")[i].value == 100 * arm.figures.test_accuracy.estimate
        assert column(what, "rank")[i].text == arm.rank.text
        assert column(fast, "area")[i].value == 100 * arm.strategy.area.estimate
        assert arm.strategy.regret is not None
        assert arm.strategy.to_good is not None
        regret = column(fast, "regret (points)")[i]
        assert regret.value == pytest.approx(100 * arm.strategy.regret.estimate)
        assert column(fast, "trials to a good one")[i].value == arm.strategy.to_good.median.estimate


def test_tables_of_what_was_tried_show_the_figures(report: Report, findings: Findings) -> None:
    missed = table(report, "How often they tried nothing good")
    tried = table(report, "What they tried")
    assert len(missed.rows) == 8
    for i, arm in enumerate(findings.arms):
        assert arm.strategy.to_good is not None
        never, expected = column(missed, "tried none good")[i], column(missed, "expected")[i]
        assert never.value == pytest.approx(100 * (1 - arm.strategy.to_good.reached.estimate))
        assert (expected.text == NONE) == (arm.tried.oracle is None)
        assert (arm.tried.oracle is None) == (arm.table.arm.strategy.name != "log_random")
    # Both setups were tried alike by all but the search that looks at scores.
    assert {row[0].text: row[-1].text for row in tried.rows} | {"coarse_to_fine": ""} == {
        "grid": "2",
        "random": "2",
        "log_random": "2",
        "coarse_to_fine": "",
    }
    rows = {(row[0].text, row[2].text): row for row in tried.rows}
    assert rows["grid", "learning_rate"][3].text == "4"
    assert rows["log_random", "1 - momentum"][4].text.startswith("0.001 to 0.01: ")


def test_pictures_show_the_figures(report: Report, findings: Findings) -> None:
    evidence = findings.setups[0].evidence
    assert evidence is not None
    (tuning,) = data(report, TuningCurves)
    np.testing.assert_allclose(tuning.validation[0].y, 100 * np.array(evidence.curve.median))
    np.testing.assert_allclose(tuning.validation[0].low, 100 * np.array(evidence.curve.low))
    assert evidence.selected is not None
    np.testing.assert_allclose(tuning.test[0].y, 100 * np.array(evidence.selected.expected))
    (searches,) = data(report, BestSoFar)
    assert [c.name for c in searches.setups[0].curves] == [
        "grid", "random", "log_random", "coarse_to_fine"
    ]  # fmt: skip
    quantiles = findings.arms[0].strategy.curve.quantiles
    np.testing.assert_allclose(searches.setups[0].curves[0].y, 100 * np.array(quantiles[0.5]))
    np.testing.assert_allclose(searches.setups[0].curves[0].high, 100 * np.array(quantiles[0.75]))
    assert searches.setups[0].level.value == 100 * evidence.best.value
    (rates,) = data(report, RateResponse)
    sample = evidence.sample
    np.testing.assert_allclose(rates.series[0].scores, 100 * sample.scores)
    assert (rates.series[0].outcomes == 2).sum() == sample.failed.sum() > 0
    lines = data(report, ParallelCoordinates)
    assert len(lines) == 2
    assert lines[0].good_level == pytest.approx(100 * evidence.best.value - 2)


def test_sampled_points_have_the_rounds_of_coarse_to_fine(
    report: Report, findings: Findings
) -> None:
    first, _ = data(report, SampledPoints)
    by_name = {points.name: points for points in first.strategies}
    assert first.x.label == "learning_rate"
    np.testing.assert_array_equal(by_name["coarse_to_fine"].rounds, np.repeat([0, 1, 2], [6, 5, 5]))
    assert not by_name["grid"].rounds.any()
    study = findings.arms[0].table.studies[0]
    np.testing.assert_array_equal(by_name["grid"].x, [v["learning_rate"] for v in study.values])
    assert len(first.response.x) == 96


def test_transfer_shows_the_costs(report: Report, findings: Findings) -> None:
    (picture,) = data(report, Transfer)
    (transfer,) = findings.transfers
    for (tuned, used), cost in transfer.transfer.costs.items():
        at = picture.tuned_on.index(tuned), picture.used_on.index(used)
        assert picture.cost[at] == pytest.approx(100 * cost.estimate)
        assert picture.high[at] == pytest.approx(100 * cost.high)
    assert "upper bound" in notes(report)


def test_answers_claim_no_more_than_intervals_show(findings: Findings, report: Report) -> None:
    own = findings.differences[0].difference.own[2.0]
    first = report.answers[0]
    assert (own.low > 0) == first.startswith("digits mlp_bn is easier to tune than digits mlp")
    (pair,) = findings.differences

    def with_ends(low: float, high: float) -> str:
        changed = Interval((low + high) / 2, low, high, 0.95, "given")
        difference = dataclasses.replace(pair.difference, own=dict.fromkeys((1, 2, 5), changed))
        changed_pair = dataclasses.replace(pair, difference=difference)
        return tell(dataclasses.replace(findings, differences=[changed_pair]), ABOUT).answers[0]

    assert with_ends(0.01, 0.2).startswith("digits mlp_bn is easier to tune than digits mlp")
    assert with_ends(-0.2, -0.01).startswith("digits mlp is easier to tune than digits mlp_bn")
    for low, high in ((-0.01, 0.2), (0.0, 0.2), (-0.2, 0.0)):
        assert "cannot be told" in with_ends(low, high)
        assert "easier" not in with_ends(low, high)


def test_no_reference_sample() -> None:
    report = tell(found("strategy=tpe", "repeats=3", "budget.trials=8"), ABOUT)
    text = check_whole(report)
    assert "no reference sample" in text
    assert "not known" in report.answers[0]
    assert "fewer than 5 repeats" in notes(report)
    (points,) = data(report, SampledPoints)
    assert points.response is None
    assert not data(report, TuningCurves)


def test_one_repeat_of_few_trials() -> None:
    report = tell(found("repeats=1", "budget.trials=3"), ABOUT)
    check_whole(report)
    assert any("rough" in answer for answer in report.answers)
    (searches,) = data(report, BestSoFar)
    assert np.isnan(searches.setups[0].curves[0].low).all()


def test_a_single_trial() -> None:
    check_whole(tell(found("repeats=1", "budget.trials=1"), ABOUT))


def test_all_diverged(tmp_path: Path) -> None:
    report = tell(found(*TWO, "budget.trials=16", score=lambda spec: None), ABOUT)
    text = check_whole(report, tmp_path)
    assert "did not train" in text
    assert not any("easier" in answer for answer in report.answers)
    good = table(report, "How much of the space is good")
    assert all("(did not train)" in cell.text for cell in column(good, "good within 2 points"))
    assert column(good, "diverged")[0].text.startswith("100.0%")


def test_all_equally_good() -> None:
    report = tell(found("repeats=8", "budget.trials=32", score=lambda spec: 0.9), ABOUT)
    check_whole(report)
    assert "Tuning did not matter in digits mlp" in notes(report)


def test_a_sweep_of_the_learning_rate_is_drawn_as_one(tmp_path: Path) -> None:
    overrides = ("space=rate_only", "strategy=grid", "repeats=6", "budget.trials=26")
    findings = found(*overrides)
    sweep = findings.setups[0].sweep
    assert sweep is not None
    report = tell(findings, ABOUT)
    check_whole(report, tmp_path)
    (rates,) = data(report, RateResponse)
    (series,) = rates.series
    assert series.is_sweep
    width = sweep.widths[0.02]
    assert series.best_rate == sweep.best_rate
    assert series.stable_rate == sweep.largest_stable_rate.estimate
    assert series.good == ((width.lower_edge.estimate, width.upper_edge.estimate),)
    assert series.width == f"{Estimate(*ends_of(width.width)).text(decimals=1)} decades"
    assert not data(report, SampledPoints)


def test_one_hyperparameter_at_random() -> None:
    report = tell(found("space=rate_only", "budget.trials=32"), ABOUT)
    check_whole(report)
    assert [section.heading.partition(":")[0] for section in report.sections] == [
        "Setups",
        "Searches",
    ]
    assert len(data(report, RateResponse)) == 1


def test_choices_integers_and_powers_of_two(tmp_path: Path) -> None:
    overrides = ("space=all", "dataset.train_fraction=1", "repeats=2", "budget.trials=24")
    findings = found(*overrides)
    report = tell(findings, ABOUT)
    check_whole(report, tmp_path)
    (lines,) = data(report, ParallelCoordinates)
    by_name = {axis.label: axis for axis in lines.axes}
    assert by_name["nesterov"].choices == ("false", "true")
    column = list(by_name).index("nesterov")
    assert set(np.unique(lines.values[:, column])) <= {0.0, 1.0}


def test_twelve_setups() -> None:
    report = tell(found(SHARES, "repeats=1"), ABOUT)
    check_whole(report)
    assert len(table(report, "How much of the space is good").rows) == 12
    assert not data(report, ParallelCoordinates)
    assert report.answers[0].startswith("Of 11 differences")


def test_names_with_markup_characters(findings: Findings, tmp_path: Path) -> None:
    wild = "<b>|`x`_*[a](b)$&"

    def renamed(it: ArmTable) -> ArmTable:
        setup = dataclasses.replace(it.arm.setup, model_name=wild + it.arm.setup.model_name)
        strategy = dataclasses.replace(it.arm.strategy, name=wild + it.arm.strategy.name)
        return dataclasses.replace(
            it, arm=dataclasses.replace(it.arm, setup=setup, strategy=strategy)
        )

    some = [renamed(arm.table) for arm in findings.arms]
    report = tell(find(some), ABOUT)
    check_whole(report, tmp_path)
    assert "<b>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_setups_of_one_name_are_told_apart(findings: Findings) -> None:
    def same(it: ArmTable) -> ArmTable:
        setup = dataclasses.replace(it.arm.setup, model_name="same")
        return dataclasses.replace(it, arm=dataclasses.replace(it.arm, setup=setup))

    setups = [dataclasses.replace(s, arms=[same(t) for t in s.arms]) for s in findings.setups]
    told = tell(Findings(setups, [], []), ABOUT)
    shown = table(told, "How much of the space is good")
    assert [row[0].text for row in shown.rows] == ["digits same", "digits same (2)"]


def test_fresh_seeds_are_shown(findings: Findings) -> None:
    again = {
        arm.table.identity: Replayed(np.full((6, 3), 0.9), np.full((6, 3), 0.875))
        for arm in findings.arms
    }
    report = tell(find([arm.table for arm in findings.arms], choices_again=again), ABOUT)
    what = table(report, "What the searches found")
    assert column(what, "fresh seeds")[0].text.startswith("87.5%")
    assert column(what, "misses")[0].text.startswith("100.0%")
    check_whole(report)


def claimed(low: float, high: float, **others: Any) -> Any:
    claim = Claim(
        "Batch norm widens it",
        "share of the space within 2 points of its own best, mlp_bn against mlp",
        "greater",
        0.05,
        "digits",
        256,
        unit="points",
        factor=100.0,
    )
    middle = (low + high) / 2
    cells = {
        "digits": Cell(96, lambda level: Interval(middle, low, high, level, "given"), **others),
        "mnist": Cell(256, lambda level: Interval(-0.2, -0.3, -0.1, level, "given")),
    }
    return verdict(claim, cells, {"data": "digits"})


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.06, 0.2, "supported"),
        (-0.2, -0.06, "contradicted"),
        (-0.04, 0.04, "no difference"),
        (-0.04, 0.2, "inconclusive"),
        (-FAR, FAR, "inconclusive"),
    ],
)
def test_verdicts_become_cards(findings: Findings, low: float, high: float, word: str) -> None:
    judged = claimed(low, high)
    report = tell(dataclasses.replace(findings, verdicts=[judged]), ABOUT)
    (card,) = report.verdicts
    assert card.word == word
    assert card.estimate.value == pytest.approx(100 * judged.estimate)
    assert card.smallest_effect == pytest.approx(5)
    assert card.n == "96; 256 were planned"
    (exception,) = card.exceptions
    assert (exception.cell, exception.found) == ("mnist", "-20 [-30, -10] points")
    assert (card.settles != "") == (word == "inconclusive" and not judged.note)
    assert "1 contradicted" in card.sentence
    assert report.answers == (f"1 claim, declared before the run: 1 {word}.",)
    (picture,) = data(report, Differences)
    assert picture.measures[0].zone == pytest.approx((-5, 5))
    check_whole(report)


def test_claims_of_what_did_not_train(findings: Findings) -> None:
    report = tell(
        dataclasses.replace(findings, verdicts=[claimed(0.06, 0.2, trained=False)]), ABOUT
    )
    assert report.verdicts[0].word == "did not train"
    check_whole(report)


def sample(name: str, n: int = 80, *, higher: bool = False, random: bool = True) -> Sample:
    rng = np.random.default_rng(len(name))
    rate = 10 ** rng.uniform(-4, 0, n)
    depth = rng.integers(1, 5, n)
    kind = rng.integers(0, 2, n)
    loss = 2.0 + (np.log10(rate) + 2) ** 2 + 0.1 * kind + rng.normal(0, 0.05, n)
    return Sample(
        name=name,
        hyperparameters=(
            Hyperparameter("learning_rate", "log", 1e-4, 1.0),
            Hyperparameter("depth", "integer", 1, 4),
            Hyperparameter("kind", "choice", choices=("a", "b")),
        ),
        values=[
            {"learning_rate": float(r), "depth": int(d), "kind": "ab"[k]}
            for r, d, k in zip(rate, depth, kind, strict=True)
        ],
        scores=loss if higher else -loss,
        failed=np.zeros(n, bool),
        tests=None,
        higher_is_better=higher,
        unit=0.1,
        points=(1.0,),
        random=random,
        notes=("3 of 80 trials have no finite score: the worst score of the others",),
    )


def evidence_of(*samples: Sample) -> dict[str, SetupEvidence]:
    return {s.name: setup_evidence(s) for s in samples}


def test_losses_keep_their_sign_and_are_no_accuracies(tmp_path: Path) -> None:
    evidence = evidence_of(sample("one"), sample("another"))
    found = Interval(0.1, -0.05, 0.25, 0.95, "given")
    compared = [Compared("one minus another", None, {1.0: found})]
    report = tell_samples(evidence, compared, ABOUT | {"score": "loss"})
    text = check_whole(report, tmp_path)
    assert "accuracy" not in text
    assert "point of" not in text
    best = table(report, "The best, and what is lost untuned")
    value = evidence["one"].best.value
    assert column(best, "b")[0].value == pytest.approx(-value)
    assert column(best, "b")[0].text == f"{-value:.4g}"
    assert "%" not in "".join(cell.text for row in best.rows for cell in row[3:])
    good = table(report, "How much of the space is good")
    assert column(good, "good within 0.1")[0].value == pytest.approx(
        100 * evidence["one"].sensitivity.good_fractions[1.0].estimate
    )
    (tuning,) = data(report, TuningCurves)
    assert tuning.score.negated
    assert tuning.score.title == "loss (lower is better)"
    ticks = tuning.score.ticks(*tuning.score.limits(tuning.validation[0].y))
    assert all(not tick.text.startswith("-") for tick in ticks if tick.position < 0)
    (first, _) = data(report, ParallelCoordinates)
    assert "at most" in parallel_coordinates.note_of(first, still=True)
    assert "no finite score" in notes(report)
    assert "includes" not in report.answers[0]
    assert "one minus another" in report.answers[0]


def test_trials_that_were_not_random_are_marked() -> None:
    report = tell_samples(evidence_of(sample("tpe", random=False, higher=True)), [], ABOUT)
    check_whole(report)
    assert "Nothing says that the trials of tpe were drawn at random" in notes(report)
    assert report.conditions["drawn"] == "unknown"


def test_no_samples_and_nothing_known() -> None:
    report = tell_samples({}, [], {})
    check_whole(report)
    assert report.sections == ()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7322, "2 h 2 min"), (12, "12 s")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
