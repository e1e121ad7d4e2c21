"""The views for MLflow: a top-level run per setup and per arm, and one that compares them.

Child runs hold the best trials. The comparison's run bears the report, a setup's its own pictures.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from hpsuite.findings import ArmFinding, ArmTable, Difference, Findings, SetupFinding, StudyTable
from hpsuite.report.files import trial_rows
from hpsuite.report.flat import (
    arm_figures,
    arm_names,
    comparison_figures,
    metrics,
    setup_figures,
    verdict_figures,
)
from hpsuite.report.flat_strategies import strategy_sections
from hpsuite.report.markdown import FIGURES, escape, prose, render_markdown
from hpsuite.report.run_pages import run_colors
from hpsuite.report.short_names import axes_words
from hpsuite.report.style import PALETTE
from hpsuite.report.tables import difference_lines, percent, with_ends
from hpsuite.report.telling_days import diary_name, is_diary, median_repeat, story_lines
from hpsuite.report.view import SIGNS, Report
from hpsuite.tracking import Attached, RunView
from hpsuite.trials import TrialResult

# The run with the report; charts and tables show the beginnings of names.
COMPARISON = "report and comparisons"
HEADLINE = "good_fraction_2pt"
# Begins the names of a setup's findings among its parameters.
FOUND = "found: "
# Of a setup, so many comparisons with others are told there.
MOST_COMPARED = 10
# What of a summary says when and how it was made, and not what was found.
OF_A_RUN = ("created", "seconds", "trained")


def run_views(
    findings: Findings,
    *,
    best_trials: int,
    report: Report | None = None,
    folder: Path | None = None,
) -> list[RunView]:
    """All runs of an experiment.

    Args:
        findings: what was found.
        best_trials: child runs for so many of each arm's best trials; -1 for all.
        report: what the report says; None where none was written.
        folder: where summary and report were written; None attaches no files.
    """
    pictures = attached_pictures(report, folder)
    colors = run_colors(findings)
    setups = [
        replace(
            _setup_view(setup, findings.differences),
            files=pictures.get(number, {}),
            color=PALETTE[number % len(PALETTE)],
        )
        for number, setup in enumerate(findings.setups)
        if setup.sensitivity
    ]
    drawn = pictures.get(None, {})
    arms = [
        replace(
            _arm_view(arm, best_trials, color),
            files={p: drawn[p] for p in own if p in drawn},
            color=color,
        )
        for arm, color in zip(findings.arms, colors, strict=True)
        for own in [(f"{FIGURES}/{diary_name(arm)}.png",)]
    ]
    files = {} if folder is None else written_files(folder, report, pictures)
    return [*setups, *arms, replace(_comparison_view(findings, report), files=files)]


def attached_pictures(
    report: Report | None, folder: Path | None
) -> dict[int | None, dict[str, Attached]]:
    """A report's pictures as files, by the setup that they show alone; None for several."""
    pictures: dict[int | None, dict[str, Attached]] = {}
    if report is not None and folder is not None:
        for picture in report.pictures():
            path = f"{FIGURES}/{picture.name}.png"
            pictures.setdefault(picture.setup, {})[path] = Attached.of(folder / path)
    return pictures


def experiment_note(title: str, findings: Findings, report: Report | None = None) -> str:
    """What was found, in Markdown, for the experiment's page.

    MLflow shows its first line alone until it is opened: the finding, and not the question.
    """
    answers = [] if report is None else [prose(answer) for answer in report.answers]
    parts = [" ".join(answers)] if answers else []
    parts += [f"**{escape(title)}**"] if title else []
    parts += _found(findings, report)
    if report is not None:
        parts.append(f"The report is among the artifacts of the run *{COMPARISON}*.")
    return "\n\n".join(parts)


def _found(findings: Findings, report: Report | None) -> list[str]:
    """Verdicts and differences of setups, a block of Markdown each."""
    if report is None:
        parts = [f"**{escape(v.claim)}** {escape(v.sentence)}" for v in findings.verdicts]
    else:
        parts = [
            f"- {SIGNS[v.word]} **{v.word}**: {escape(v.claim)} {escape(v.interval)}; "
            f"{escape(v.statistic)}, n = {escape(v.n)}."
            for v in report.verdicts
        ]
        parts = ["\n".join(parts)] if parts else []
    lines = [f"- {escape(line)}" for line in difference_lines(findings.differences)]
    return [*parts, "Good fractions, setup by setup:\n\n" + "\n".join(lines)] if lines else parts


def written_files(
    folder: Path, report: Report | None, pictures: Mapping[int | None, Mapping[str, Attached]]
) -> dict[str, Attached]:
    """The files of a run's folder, the largest last, each with what it says but for the time."""
    files = {path: file for of_one in pictures.values() for path, file in of_one.items()}
    drawn = sorted((path, file.says) for path, file in files.items())
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    told = {name: value for name, value in summary.items() if name not in OF_A_RUN}
    files["summary.json"] = Attached(folder / "summary.json", _sha256(json.dumps(told)))
    if report is not None:
        timeless = render_markdown(replace(report, created="", took=""))
        says = _sha256(json.dumps([timeless, drawn]))
        for name in ("report.md", "report.html"):
            files[name] = Attached(folder / name, says)
    return files


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _comparison_view(findings: Findings, report: Report | None) -> RunView:
    """The run with all contrasts of the experiment, and with its report."""
    named = [
        (" minus ".join(setup.setup.label for setup in (pair.a, pair.b)), comparison_figures(pair))
        for pair in findings.differences
    ]
    named += strategy_sections(findings)
    found: dict[str, float] = {}
    prefixes = metric_prefixes([label for label, _ in named])
    for prefix, (_, figures) in zip(prefixes, named, strict=True):
        found |= {f"{prefix}/{name}": value for name, value in metrics(figures).items()}
    for i, verdict in enumerate(findings.verdicts, start=1):
        verdicts = metrics(verdict_figures(verdict))
        found |= {f"claim {i}/{name}": value for name, value in verdicts.items()}
    identities = sorted({arm.table.identity for arm in findings.arms})
    answers = [] if report is None else [prose(answer) for answer in report.answers]
    return RunView(
        key=f"comparison:{' '.join(identities)}",
        kind="comparison",
        name=COMPARISON,
        metrics=found,
        note="\n\n".join([*answers, *_found(findings, report)]),
    )


# MLflow takes 250 characters; a figure's own name follows after these.
LONGEST_PREFIX = 150


def metric_prefixes(labels: Sequence[str]) -> list[str]:
    """Names that MLflow takes for metrics, one for each label, and no two alike."""
    found: list[str] = []
    for label in labels:
        plain = name = re.sub(r"[^\w .-]", "_", label)[:LONGEST_PREFIX]
        n = 1
        while name in found:
            n += 1
            name = f"{plain} {n}"
        found.append(name)
    return found


def _setup_view(setup: SetupFinding, differences: Sequence[Difference]) -> RunView:
    assert setup.sensitivity is not None
    assert setup.reference is not None
    table = setup.reference
    found = setup.sensitivity
    note = (
        f"{with_ends(found.good_fractions[2])} of the search space is within 2 points of the "
        f"setup's best, from {found.n} trials sampled on each hyperparameter's proper scale. "
        f"{percent(found.nonfinite_fraction.estimate, 0)} of the trials diverged, "
        f"{percent(found.chance_fraction.estimate, 0)} stayed at chance.\n\n"
        f"The best is the {found.b_rule}."
    )
    return RunView(
        key=f"setup:{table.setup_identity}:{table.identity}:g{table.generation}",
        kind="setup",
        name=_name(table),
        metrics=_headline_first(metrics(setup_figures(setup))),
        params=_params(table) | _found_of(setup, differences),
        tags=_tags(table),
        note=note,
    )


def _headline_first(figures: Mapping[str, float]) -> dict[str, float]:
    """The page Compare draws the first metric."""
    return {HEADLINE: figures[HEADLINE], **figures} if HEADLINE in figures else dict(figures)


def _found_of(setup: SetupFinding, differences: Sequence[Difference]) -> dict[str, str]:
    """What was found, in words, among the parameters: the page Compare shows no notes."""
    assert setup.sensitivity is not None
    found = setup.sensitivity
    words = {
        f"{FOUND}good within 2 points": with_ends(found.good_fractions[2]),
        f"{FOUND}diverged": percent(found.nonfinite_fraction.estimate, 0),
        f"{FOUND}at chance": percent(found.chance_fraction.estimate, 0),
    }
    others: dict[str, str] = {}
    own = setup.arms[0]
    for pair, line in zip(differences, difference_lines(differences), strict=True):
        tables = [each.arms[0] for each in (pair.a, pair.b)]
        rest = [table for table in tables if table.setup_identity != own.setup_identity]
        if len(rest) == 1:
            others[_name(rest[0])] = line
    if not others:
        return words
    shown = {_name(own): "(this one)", **dict(list(others.items())[:MOST_COMPARED])}
    names = metric_prefixes([name.replace(" · ", " ") for name in shown])
    lines = zip(names, shown.values(), strict=True)
    # Behind the others in the alphabet: the page draws the first three parameters that differ.
    return words | {f"{FOUND}versus {name}": line for name, line in lines}


def _arm_view(arm: ArmFinding, best_trials: int, color: str) -> RunView:
    table = arm.table
    figures = arm_figures(arm)
    header, *rows = trial_rows([table])
    note = (
        f"Best validation accuracy over {arm.figures.repeats} repeats: "
        f"{with_ends(arm.figures.best_val_accuracy)}; test accuracy of what validation selected: "
        f"{with_ends(arm.figures.test_accuracy)}. Rank among the setup's arms: {arm.rank.text}."
    )
    if is_diary(arm):
        lines = [f"- {escape(line)}" for line in story_lines(arm)]
        first = f"The diary of repeat {median_repeat(arm).repeat}, whose result is the median one:"
        note = "\n\n".join([note, first, "\n".join(lines)])
    trials = [(study, result) for study in table.studies for result in study.results]
    trials.sort(key=lambda pair: (pair[1].merit[:2], -pair[0].repeat, -pair[1].number))
    trials.reverse()
    shown = trials if best_trials < 0 else trials[:best_trials]
    return RunView(
        key=f"arm:{table.identity}:g{table.generation}",
        kind="arm",
        name=_name(table, table.arm.strategy.label),
        metrics=metrics(figures),
        series={"best_so_far": arm.figures.best_so_far},
        params=_params(table) | {"strategy": table.arm.strategy.label},
        tags=_tags(table),
        note=note,
        table=_telling_first({str(n): [row[i] for row in rows] for i, n in enumerate(header)}),
        children=[
            replace(_trial_view(table, study, result), color=color) for study, result in shown
        ],
    )


def _telling_first(table: Mapping[str, list[object]]) -> dict[str, list[object]]:
    """A table of trials whose columns that say what the run's name says come last."""
    names = list(table)
    last = names[: names.index("repeat")]
    return {name: table[name] for name in [*names[len(last) :], *last]}


def _trial_view(table: ArmTable, study: StudyTable, result: TrialResult) -> RunView:
    values = study.values[result.number]
    return RunView(
        key=f"trial:{table.identity}:g{table.generation}:r{study.repeat}:{result.number}",
        kind="trial",
        name=_name(table, f"r{study.repeat} #{result.number}", then=table.arm.strategy.label),
        metrics={"val_accuracy": result.val_accuracy, "test_accuracy": result.test_accuracy},
        series={"val_curve": result.val_curve, "loss_curve": result.loss_curve},
        params={name: str(value) for name, value in values.items()},
        tags=_tags(table),
    )


def _name(table: ArmTable, *first: str, then: str = "") -> str:
    """The distinguishing word first, as the UI cuts long names; `then` stands behind the model."""
    setup = table.arm.setup
    words = [*first, setup.model_name, *([then] if then else [])]
    words += [axes_words({key: value}) for key, value in setup.variant]
    words.append(setup.dataset.name)
    if table.generation > 1:
        words.append(f"g{table.generation}")
    return " · ".join(words)


def _params(table: ArmTable) -> dict[str, str]:
    """The setup's own settings; a searched one shows its range."""
    setup = table.arm.setup
    own: dict[str, object] = {"batch_size": setup.batch_size}
    if not {"epochs", "steps"}.intersection(setup.space.names):  # which replace the fixed ones
        own |= {"epochs": setup.epochs, "steps": setup.steps}
    settings = {**own, **asdict(setup.optimizer), **dict(setup.model.arguments)}
    params = {name: str(value) for name, value in settings.items() if value is not None}
    for h in setup.space.hyperparameters:
        over = list(h.choices) if h.choices is not None else f"[{h.low:g}, {h.high:g}]"
        params[h.name] = f"{h.scale} {over}"
    return params | {"data_fingerprint": table.data.fingerprint[:16]}


def _tags(table: ArmTable) -> dict[str, str]:
    names = {f"hpsuite.{key}": str(value) for key, value in arm_names(table).items()}
    origin = {f"hpsuite.{key}": str(value) for key, value in table.provenance.items()}
    own = {"hpsuite.seed": str(table.arm.seed), "hpsuite.generation": str(table.generation)}
    return names | origin | own | {"hpsuite.split_seed": str(table.arm.setup.dataset.split_seed)}
