"""The views for MLflow: a top-level run per setup and per arm, child runs for the best trials."""

import re
from dataclasses import asdict

from hpsuite.findings import ArmFinding, ArmTable, Findings, SetupFinding, StudyTable
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
from hpsuite.report.tables import difference_lines, percent, with_ends
from hpsuite.tracking import RunView
from hpsuite.trials import TrialResult


def run_views(findings: Findings, *, best_trials: int) -> list[RunView]:
    """All runs of an experiment.

    Args:
        findings: what was found.
        best_trials: child runs for so many of each arm's best trials; -1 for all.
    """
    setups = [_setup_view(setup) for setup in findings.setups if setup.sensitivity]
    arms = [_arm_view(arm, best_trials) for arm in findings.arms]
    return [*setups, *arms, *_comparison_views(findings)]


def experiment_note(title: str, findings: Findings) -> str:
    """What was found, in Markdown, for the experiment's page."""
    parts = [title] if title else []
    parts += [f"**{verdict.claim}** {verdict.sentence}" for verdict in findings.verdicts]
    parts += [f"- {line}" for line in difference_lines(findings.differences)]
    return "\n\n".join(parts)


def _comparison_views(findings: Findings) -> list[RunView]:
    """One run with all contrasts of the experiment; none where nothing was compared."""
    found: dict[str, float] = {}
    for pair in findings.differences:
        a, b = (setup.setup.label for setup in (pair.a, pair.b))
        prefix = _metric(f"{a} minus {b}")
        figures = metrics(comparison_figures(pair))
        found |= {f"{prefix}/{name}": value for name, value in figures.items()}
    for prefix, named in strategy_sections(findings):
        found |= {f"{_metric(prefix)}/{name}": value for name, value in metrics(named).items()}
    for i, verdict in enumerate(findings.verdicts, start=1):
        figures = metrics(verdict_figures(verdict))
        found |= {f"claim {i}/{name}": value for name, value in figures.items()}
    if not found:
        return []
    identities = sorted({arm.table.identity for arm in findings.arms})
    return [
        RunView(
            key=f"comparison:{' '.join(identities)}",
            kind="comparison",
            name="comparison of setups",
            metrics=found,
            note=experiment_note("", findings),
        )
    ]


def _metric(text: str) -> str:
    """A name that MLflow takes for a metric."""
    return re.sub(r"[^\w .-]", "_", text)


def _setup_view(setup: SetupFinding) -> RunView:
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
        name=_name(table.arm.setup.model_name, table.arm.setup.dataset.name, table),
        metrics=metrics(setup_figures(setup)),
        params=_params(table),
        tags=_tags(table),
        note=note,
    )


def _arm_view(arm: ArmFinding, best_trials: int) -> RunView:
    table = arm.table
    setup = table.arm.setup
    figures = arm_figures(arm)
    header, *rows = trial_rows([table])
    note = (
        f"Best validation accuracy over {arm.figures.repeats} repeats: "
        f"{with_ends(arm.figures.best_val_accuracy)}; test accuracy of what validation selected: "
        f"{with_ends(arm.figures.test_accuracy)}. Rank among the setup's arms: {arm.rank.text}."
    )
    trials = [(study, result) for study in table.studies for result in study.results]
    trials.sort(key=lambda pair: (-pair[1].val_accuracy, pair[0].repeat, pair[1].number))
    shown = trials if best_trials < 0 else trials[:best_trials]
    return RunView(
        key=f"arm:{table.identity}:g{table.generation}",
        kind="arm",
        name=_name(table.arm.strategy.label, setup.model_name, setup.dataset.name, table),
        metrics=metrics(figures),
        series={"best_so_far": arm.figures.best_so_far},
        params=_params(table) | {"strategy": table.arm.strategy.label},
        tags=_tags(table),
        note=note,
        table={str(name): [row[i] for row in rows] for i, name in enumerate(header)},
        children=[_trial_view(table, study, result) for study, result in shown],
    )


def _trial_view(table: ArmTable, study: StudyTable, result: TrialResult) -> RunView:
    values = study.values[result.number]
    return RunView(
        key=f"trial:{table.identity}:g{table.generation}:r{study.repeat}:{result.number}",
        kind="trial",
        name=f"r{study.repeat} trial {result.number} {table.arm.label}",
        metrics={"val_accuracy": result.val_accuracy, "test_accuracy": result.test_accuracy},
        series={"val_curve": result.val_curve, "loss_curve": result.loss_curve},
        params={name: str(value) for name, value in values.items()},
        tags=_tags(table),
    )


def _name(*parts: object) -> str:
    """The distinguishing word first, as the UI cuts long names."""
    *words, table = parts
    assert isinstance(table, ArmTable)
    words += [f"{key}={value}" for key, value in table.arm.setup.variant]
    if table.generation > 1:
        words.append(f"g{table.generation}")
    return " · ".join(str(word) for word in words)


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
