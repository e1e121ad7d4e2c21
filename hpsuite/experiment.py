"""An experiment: check all of the matrix, train what is missing, analyse, report.

Nothing is written before everything was checked (docs/architecture.md, law 12).
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch
from optuna.storages import BaseStorage
from rich.console import Console
from rich.markup import escape

from hpsuite.alone import alone
from hpsuite.arms import ArmRun, PlannedArm, count_missing, open_studies, plan_arms
from hpsuite.checks import refuse
from hpsuite.claim_checks import routes
from hpsuite.config import Arm, ExecutorConfig, Settings
from hpsuite.executors import count_workers, make_executor
from hpsuite.findings import Findings, Replayed, find
from hpsuite.forecast import print_plan
from hpsuite.journal import rarely_synced
from hpsuite.judging import conditions, judge
from hpsuite.on_ray.cluster import check_ray, reached
from hpsuite.provenance import device_name
from hpsuite.record import beside, open_storage
from hpsuite.replays import BEST, CHOICES, DEFAULT, MOVED, plan_replays, replayed
from hpsuite.report.files import write_files
from hpsuite.report.progress import TrialProgress
from hpsuite.report.run_pages import run_pages
from hpsuite.report.runs import experiment_note, run_views
from hpsuite.report.tables import print_tables
from hpsuite.report.telling import tell
from hpsuite.running import about_run, print_title, print_written, show_in_mlflow, start
from hpsuite.scheduler import run_studies
from hpsuite.texts import without_password
from hpsuite.tracking import Synced, how_to_open
from hpsuite.training import Checkpoints, Planner
from hpsuite.training.reproducible import reproducible
from hpsuite.tuning import tune

# By purpose, and the arm that selected it; by the arm that selected it and the one it went to.
Again = Mapping[str, Mapping[str, Replayed]]
Moved = Mapping[tuple[str, str], Replayed]


def run_experiment(settings: Settings, arms: Sequence[Arm], command: str = "") -> None:
    """Run an experiment: train what the record is short of, print and write what was found.

    Args:
        settings: what to do.
        arms: the whole matrix, checked.
        command: what was typed, for the report.

    Raises:
        UserError: a mistake that shows only with the data or the record; nothing was trained.
    """
    started = time.monotonic()
    device = find_device(settings.device)
    check_ray(settings.executor, device)
    # Left before the analysis, as Ray would end this process if the cluster were gone then.
    with reached(settings.executor, device):
        reproducible()  # before anything here multiplies matrices
        console = start(settings.log_level)
        planned = plan_arms(arms)
        datasets = {p.data.fingerprint: p.data for p in planned}
        planner = Planner(datasets, device, count_workers(settings.executor, device))
        if settings.plan:
            print_heading(console, settings, planned, device)
            print_plan(console, settings, planned, planner, device)
            return
        runs, trained, again = _train(settings, planned, planner, console, device)
    if settings.analysis.bands == "tight":
        console.print("analysing: tight bands take minutes, once for each n ...", style="dim")
    findings = analysed(settings, runs, *again)
    conclude(settings, findings, console, device, started=started, command=command, trained=trained)


def _train(
    settings: Settings,
    planned: Sequence[PlannedArm],
    planner: Planner,
    console: Console,
    device: torch.device,
) -> tuple[list[ArmRun], int, tuple[Again, Moved]]:
    """Train what the record is short of: the arms, how many trials that were, and those again."""
    storage = open_storage(settings.storage)
    checkpoints = checkpoints_of(settings)
    with alone_if_short(settings, storage, planned):
        runs = open_studies(
            storage, planned, fresh=settings.fresh, device=device, checkpoints=checkpoints
        )
        print_heading(console, settings, planned, device)
        trained = train_missing(
            settings.executor, storage, runs, planner, console, checkpoints=checkpoints
        )
    return runs, trained, train_again(settings, storage, runs, planner, console)


def alone_if_short(
    settings: Settings, storage: BaseStorage, planned: Sequence[PlannedArm], *, wait: bool = False
) -> contextlib.AbstractContextManager[None]:
    """While this lasts, no other run trains these arms; nothing is locked where none is short.

    Raises:
        UserError: another run trains one of them, and this one is not to `wait`.
    """
    if not settings.fresh and not count_missing(storage, planned):
        return contextlib.nullcontext()
    labels = {p.identity: p.arm.label for p in planned}
    return alone(settings.storage, labels, wait=wait, storage=storage)


def checkpoints_of(settings: Settings) -> Checkpoints:
    """Where the states of days are kept: beside the record."""
    otherwise = Path(settings.output_dir)
    return Checkpoints(beside(settings.storage, ".checkpoints", otherwise=otherwise))


def train_missing(
    executor: ExecutorConfig,
    storage: BaseStorage,
    runs: Sequence[ArmRun],
    planner: Planner,
    console: Console,
    *,
    checkpoints: Checkpoints | None = None,
) -> int:
    """Train all that the arms are short of, and show how far it is; returns how many that were.

    The states of days are kept in `checkpoints`.
    """
    studies = [study for run in runs for study in run.studies]
    total = sum(study.n_planned for study in studies)
    missing = sum(study.n_planned - study.n_told for study in studies)
    if missing < total:
        console.print(f"{total - missing} of {total} trials are in the record already")
    if missing:
        tune(storage, runs, planner, console)
        progress = TrialProgress(total, total - missing, console)
        made = make_executor(executor, planner.datasets, planner.device, checkpoints)
        with rarely_synced(storage) as sync, made as workers, progress:

            def told(n: int) -> None:
                sync()
                progress.advance(n)

            run_studies(studies, planner, workers, on_told=told)
    return missing


def train_again(
    settings: Settings,
    storage: BaseStorage,
    runs: Sequence[ArmRun],
    planner: Planner,
    console: Console,
) -> tuple[Again, Moved]:
    """Train with fresh seeds what was selected, where it was, and where claims carry it over."""
    found: dict[str, dict[str, Replayed]] = {BEST: {}, DEFAULT: {}, CHOICES: {}}
    moved: dict[tuple[str, str], Replayed] = {}
    carried = routes(settings.claims, [run.planned.arm for run in runs])
    replays = plan_replays(runs, settings.analysis.fresh_seeds, carried)
    if not replays:
        return found, moved
    planned = list({replay.planned.identity: replay.planned for replay in replays}.values())
    seeds = settings.analysis.fresh_seeds
    # Other experiments may select the same: what they train is found in the record.
    with alone_if_short(settings, storage, planned, wait=True):
        opened = open_studies(storage, planned, fresh=settings.fresh, device=planner.device)
        console.print(
            f"with {seeds} fresh seeds: each setup's best and default, and each search's choices"
        )
        train_missing(settings.executor, storage, opened, planner, console)
    by_identity = {run.planned.identity: run for run in opened}
    for replay in replays:
        run = by_identity[replay.planned.identity]
        if replay.purpose == MOVED:
            moved[replay.source, replay.onto] = replayed(replay, run)
        else:
            found[replay.purpose][replay.source] = replayed(replay, run)
    return found, moved


def analysed(settings: Settings, runs: Sequence[ArmRun], again: Again, moved: Moved) -> Findings:
    """All figures of complete arms, and the verdicts on what was claimed of them."""
    found = find(
        [run.table() for run in runs],
        best_again=again[BEST],
        choices_again=again[CHOICES],
        defaults=again[DEFAULT],
        moved=moved,
        bands=settings.analysis.bands,
    )
    verdicts = judge(settings.claims, found.setups, found.arms, conditions(found))
    return replace(found, verdicts=verdicts)


def conclude(
    settings: Settings,
    findings: Findings,
    console: Console,
    device: torch.device,
    *,
    started: float,
    command: str,
    trained: int,
) -> None:
    """Print, write the files, and bring MLflow up to date; `trained` trials are of this run."""
    console.print()
    print_tables(findings, console)
    about = {
        **about_run(
            settings.name,
            settings.title,
            command=command,
            device=device_name(device),
            started=started,
        ),
        "tier": settings.tier,
        "left_out": list(settings.left_out),
        "trained": trained,
        "storage": without_password(settings.storage),
    }
    report = tell(findings, about) if settings.analysis.report else None
    folder = write_files(
        Path(settings.output_dir) / settings.name,
        findings,
        about,
        now=datetime.now(),
        report=report,
    )
    print_written(console, folder, report=report is not None)
    console.print(f"record   {without_password(settings.storage)}", highlight=False)
    if settings.tracking.enabled:
        best = settings.tracking.best_trials
        views = run_views(findings, best_trials=best, report=report, folder=folder)
        shown = show_in_mlflow(
            settings.name,
            views,
            settings.tracking,
            console,
            output_dir=settings.output_dir,
            note=experiment_note(settings.title, findings, report),
            pages=run_pages(views),
            again="the same command, or python -m hpsuite +experiment=sync,",
        )
        if shown is not None:
            print_addresses(findings, console, *shown)


def print_addresses(findings: Findings, console: Console, uri: str, synced: Synced) -> None:
    """Say how to open searches, and setups where there are figures of them, in MLflow."""
    console.print("\ncompare searches (first address) and setups (second) in MLflow:")
    lines = how_to_open(uri, synced.experiment_id, "arm")
    if any(setup.sensitivity for setup in findings.setups):
        lines += how_to_open(uri, synced.experiment_id, "setup")[-1:]
    for line in lines:
        console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)


def find_device(name: str) -> torch.device:
    """The device of a setting; `auto` takes CUDA where there is one.

    Raises:
        UserError: CUDA that is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise refuse("device", name, "auto or cpu, as torch finds no CUDA device here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def print_heading(
    console: Console, settings: Settings, planned: Sequence[PlannedArm], device: torch.device
) -> None:
    """Say what is about to happen."""
    total = sum(p.n_planned * p.arm.repeats for p in planned)
    workers = count_workers(settings.executor, device)
    where = f"{device.type}, {workers} worker{'s' if workers > 1 else ''}"
    arms = f"{len(planned)} arm{'s' if len(planned) > 1 else ''}"
    print_title(console, settings.name, settings.title)
    console.print(f"{arms}, {total} trials on {where}", highlight=False)
    for p in planned:
        if p.n_planned != p.arm.trials:
            console.print(
                f"{escape(p.arm.label)}: plans {p.n_planned} trials a repeat of a budget of "
                f"{p.arm.trials}",
                highlight=False,
            )
