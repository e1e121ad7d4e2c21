"""`+experiment=analyze`: the figures and the report of trials that hpsuite did not make."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from hpsuite.checks import UserError, build, refuse
from hpsuite.config import AnalysisConfig, TrackingConfig
from hpsuite.evidence import SetupEvidence, setup_evidence
from hpsuite.foreign import (
    KEYS,
    MLFLOW,
    Foreign,
    Request,
    counted,
    group_differences,
    parse_request,
    read_samples,
)
from hpsuite.parsing import build_group
from hpsuite.places import check_folder
from hpsuite.provenance import processor
from hpsuite.report.files import write_json, write_rows, write_whole
from hpsuite.report.foreign import PAGES, ForeignFindings, print_groups
from hpsuite.report.foreign_rows import trial_rows
from hpsuite.report.writing import write_report
from hpsuite.running import (
    about_run,
    print_title,
    print_written,
    show_in_mlflow,
    start,
)
from hpsuite.samples import Sample
from hpsuite.texts import LogLevel, Name, PathText
from hpsuite.tracking import how_to_open

# Keys of a configuration that say how to write, beside those of the request.
WRITING = ("name", "title", "output_dir", "log_level", "plan", "tracking", "analysis")
# From fewer configurations no share of a space follows.
LEAST_CONFIGURATIONS = 8
# From so many values on, the figures take more than a few seconds.
MANY_VALUES = 10_000


@dataclass(frozen=True)
class AnalyzeSettings:
    """How an analysis is written.

    Attributes:
        name: of the analysis: the MLflow experiment, and the folder of its reports.
        title: what it asks, in one line.
        output_dir: folder of the reports.
        log_level: of messages.
        plan: say what would be analysed, and stop.
        tracking, analysis: see the classes.
    """

    name: Name
    title: str
    output_dir: PathText
    log_level: LogLevel
    plan: bool = False
    tracking: TrackingConfig = field(default_factory=lambda: TrackingConfig(enabled=False))
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)


def asks_for_analysis(config: Mapping[str, object]) -> bool:
    """Whether a composed configuration asks for an analysis of trials, and not for any."""
    return "trials" in config


def parse_analysis(
    config: Mapping[str, object], overridden: Sequence[str] = ()
) -> tuple[AnalyzeSettings, Request]:
    """What an analysis is told to do, checked as far as it can be without the trials.

    Args:
        config: the whole composed configuration.
        overridden: the keys that the command line sets.

    Raises:
        UserError: on the first mistake.
    """
    accepted = (*KEYS, *WRITING)
    for key in overridden:
        if key.partition(".")[0] not in (*accepted, "experiment", "hydra"):
            others = ", ".join(accepted)
            raise UserError(
                f"{key}: found a key that trains, which analyze does not; accepted: {others}"
            )
        if key == "analysis.fresh_seeds":
            raise UserError(f"{key}: found it; accepted: none, as analyze trains nothing")
    tracking = build_group(TrackingConfig, config, "tracking")
    analysis = build_group(AnalysisConfig, config, "analysis")
    plain = {key: config[key] for key in WRITING[:5] if key in config}
    settings = build("", AnalyzeSettings, plain, tracking=tracking, analysis=analysis)
    request = parse_request({key: config[key] for key in KEYS if key in config})
    if settings.tracking.enabled and request.trials == f"{MLFLOW}{settings.name}":
        other = "another name: that of the experiment that is read would get our runs"
        raise refuse("name", settings.name, other)
    check_folder("output_dir", settings.output_dir, Path(settings.output_dir) / settings.name)
    return settings, request


def run_analysis(settings: AnalyzeSettings, request: Request, command: str = "") -> None:
    """Read trials, compute what they say, print and write it.

    Args:
        settings: how it is written.
        request: what is read.
        command: what was typed, for the report.

    Raises:
        UserError: trials that cannot be read or make no sense; nothing was written.
    """
    started = time.monotonic()
    console = start(settings.log_level)
    trials = read_samples(request, settings.tracking.uri)
    print_heading(console, settings, trials)
    if settings.plan:
        return
    findings = found_of(trials, settings.analysis)
    console.print()
    print_groups(findings, console)
    about = {
        **about_run(
            settings.name,
            settings.title,
            command=command,
            device=f"cpu ({processor()})",
            started=started,
        ),
        "source": trials.source,
        "score": trials.score,
    }
    findings = replace(findings, about=about)
    report = findings.report() if settings.analysis.report else None

    def write(folder: Path) -> None:
        write_json(folder / "summary.json", {**about, **findings.summary()})
        write_rows(folder / "trials.csv", trial_rows(findings.trials))
        if report is not None:
            write_report(folder, report)

    folder = write_whole(Path(settings.output_dir) / settings.name, write, now=datetime.now())
    print_written(console, folder, report=report is not None)
    if settings.tracking.enabled:
        shown = show_in_mlflow(
            settings.name,
            findings.views(settings.name, report, folder),
            settings.tracking,
            console,
            output_dir=settings.output_dir,
            note=findings.note(),
            pages=PAGES,
            again="the same command",
        )
        if shown is not None:
            uri, synced = shown
            console.print("\ncompare groups in MLflow:")
            for line in how_to_open(uri, synced.experiment_id, "setup"):
                console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)


def found_of(trials: Foreign, analysis: AnalysisConfig) -> ForeignFindings:
    """All figures of trials; a group that says nothing of a space has none."""
    evidence: dict[str, SetupEvidence] = {}
    reasons: dict[str, str] = {}
    for sample in trials.samples:
        reason = no_figures(sample, trials.n_trials[sample.name])
        if reason:
            reasons[sample.name] = f"not computable{reason}"
        else:
            evidence[sample.name] = setup_evidence(sample, bands=analysis.bands)
    differences = group_differences(list(evidence.values()))
    return ForeignFindings(trials, evidence, reasons, differences)


def no_figures(sample: Sample, n_trials: int) -> str:
    """Why a group has no figures, after "not computable"; empty where it has some.

    Args:
        sample: of the group.
        n_trials: how many trials it is of.
    """
    different = len({tuple(values.values()) for values in sample.values})
    needed = f"{LEAST_CONFIGURATIONS} or more are needed"
    if n_trials < LEAST_CONFIGURATIONS:
        return f" from {counted(n_trials, 'trial')} ({needed})"
    if different == 1:
        return ", as no hyperparameter varies"
    if different < LEAST_CONFIGURATIONS:
        return f" from {counted(different, 'configuration')} ({needed})"
    return ", as no trial has a finite score" if sample.failed.all() else ""


def print_heading(console: Console, settings: AnalyzeSettings, trials: Foreign) -> None:
    """Say what is about to be analysed."""
    print_title(console, settings.name, settings.title)
    samples = trials.samples
    n = sum(trials.n_trials.values())
    names = list(dict.fromkeys(name for sample in samples for name in sample.names))
    groups = f" in {counted(len(samples), 'group')} by {trials.group}" if trials.group else ""
    console.print(
        f"{counted(n, 'trial')}{groups} of {trials.source}, {counted(len(names), 'hyperparameter')}"
        + (f": {', '.join(names)}" if names else ""),
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if settings.analysis.bands == "tight":
        console.print("analysing: tight bands take minutes, once for each n ...", style="dim")
    elif max(len(sample) * max(1, len(sample.names)) for sample in samples) > MANY_VALUES:
        console.print("analysing ...", style="dim")
