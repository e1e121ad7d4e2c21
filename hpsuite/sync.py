"""`+experiment=sync`: MLflow brought up to date from the record; nothing is trained or written.

Each experiment that left a summary is composed again from its command, read from the record,
analysed, and shown as its own run would have shown it. Of several commands of an experiment the
newest comes first, and what it shows no older one shows again: so it would be, had MLflow been
there all the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console

from hpsuite.analyze import asks_for_analysis
from hpsuite.arms import count_missing, open_studies, plan_arms
from hpsuite.checks import UserError, build, refuse
from hpsuite.claim_checks import routes
from hpsuite.compose import Composed, composed, crossed
from hpsuite.config import Arm, Settings, TrackingConfig
from hpsuite.earlier import Earlier, asked_again, earlier_runs, experiments_in
from hpsuite.experiment import analysed, find_device, train_again
from hpsuite.findings import Findings
from hpsuite.parsing import build_group
from hpsuite.record import open_storage, storage_exists
from hpsuite.replays import plan_replays
from hpsuite.report.console import make_console
from hpsuite.report.files import has_figures
from hpsuite.report.run_pages import run_pages
from hpsuite.report.runs import experiment_note, run_views
from hpsuite.report.telling import tell
from hpsuite.running import print_lacking, print_plainly, print_title, start
from hpsuite.texts import LogLevel, Name, Packages, PathText, without_password
from hpsuite.tracking import Synced, TrackingError, resolve_uri, sync
from hpsuite.training import Planner
from hpsuite.training.reproducible import reproducible

# Keys of the configuration that say what is synced.
KEYS = ("experiments", "name", "title", "output_dir", "log_level", "plan", "packages", "tracking")
# What goes over the commands in summaries, where it is given.
_OVER = ("storage", "data_dir", "tracking.uri", "tracking.time_limit")


@dataclass(frozen=True)
class SyncSettings:
    """What is synced.

    Attributes:
        name, title: of the sync.
        output_dir: folder of the experiments' summaries.
        log_level: of messages.
        experiments: names of some; None for all.
        plan: say what would be synced, and stop.
        packages: whose code may be run; see `Settings`.
        tracking: see the class.
        over: overrides that go over those in summaries.
    """

    name: Name
    title: str
    output_dir: PathText
    log_level: LogLevel
    experiments: tuple[Name, ...] | None = None
    plan: bool = False
    packages: Packages = ()
    tracking: TrackingConfig = field(default_factory=lambda: TrackingConfig(enabled=True))
    over: tuple[str, ...] = ()


def asks_for_sync(config: Mapping[str, object]) -> bool:
    """Whether a configuration asks for a sync, and not for a run."""
    return "experiments" in config


def parse_sync(asked: Composed) -> SyncSettings:
    """What a sync is told to do, checked.

    Raises:
        UserError: on the first mistake.
    """
    config = asked.config
    for key in asked.overridden:
        if key.partition(".")[0] not in (*KEYS, "storage", "data_dir", "experiment", "hydra"):
            accepted = ", ".join((*KEYS, "storage", "data_dir"))
            raise UserError(
                f"{key}: found a key that trains, which sync does not; accepted: {accepted}"
            )
    tracking = build_group(TrackingConfig, config, "tracking")
    if not tracking.enabled:
        raise refuse("tracking", "none", "mlflow, as that is what sync writes to")
    plain = {key: config[key] for key in KEYS[:-1] if key in config}
    if isinstance(plain["experiments"], str):
        plain["experiments"] = [plain["experiments"]]
    over = tuple(text for text in asked.overrides if text.lstrip("+").partition("=")[0] in _OVER)
    settings = build("", SyncSettings, plain, tracking=tracking, over=over)
    there = experiments_in(Path(settings.output_dir))
    if not there:
        wanted = "a folder in which experiments have left summaries"
        raise refuse("output_dir", settings.output_dir, wanted)
    for name in settings.experiments or ():
        if name not in there:
            raise refuse("experiments", name, ", ".join(there))
    return settings


def run_sync(settings: SyncSettings) -> bool:
    """Bring MLflow up to date, and say what was done; returns whether all of it is."""
    reproducible()  # before anything here multiplies matrices
    console = start(settings.log_level)
    print_title(console, settings.name, settings.title)
    syncing = _Syncing(settings, console)
    for name in settings.experiments or experiments_in(Path(settings.output_dir)):
        runs = earlier_runs(Path(settings.output_dir), name)
        if settings.plan:
            for run in runs:
                print_plainly(console, f"{name}: {run.command or run.folder}")
        else:
            syncing.bring_all(runs)
    return syncing.is_whole


class _Syncing:
    """A sync of several experiments.

    Attributes:
        is_whole: whether all that was to be synced is.
    """

    def __init__(self, settings: SyncSettings, console: Console) -> None:
        self.is_whole = True
        self._settings, self._console = settings, console
        self._gone: set[str] = set()

    def bring_all(self, runs: Sequence[Earlier]) -> None:
        """Bring all that an experiment's commands show up to date; the newest command is first."""
        shown: set[str] = set()
        for n, run in enumerate(runs, start=1):
            try:
                self._bring(run, shown)
            except (UserError, TrackingError) as error:
                self.is_whole = False
                text = f"{run.experiment}: not up to date: {without_password(str(error))}"
                if isinstance(error, UserError) and n < len(runs):
                    # They might replace what this one showed.
                    text += f"; nor is anything from {len(runs) - n} older commands tried"
                print_plainly(self._console, text)
                if isinstance(error, UserError):
                    return

    def _bring(self, run: Earlier, shown: set[str]) -> None:
        """Bring what a command shows up to date, but for runs that were `shown`, by key.

        Raises:
            UserError: it cannot be composed or read.
            TrackingError: MLflow was not updated.
        """
        again = asked_again(run, self._settings.over, self._settings.packages)
        asked = composed(again.overrides, again.config_name)
        if asks_for_analysis(asked.config):
            self._leave_out(run, "an analysis of trials from elsewhere; its own command shows it")
            return
        settings, arms = crossed(asked)
        if not settings.tracking.enabled:
            self._leave_out(run, "it was run with tracking=none")
            return
        uri = resolve_uri(settings.tracking.uri, Path.cwd())
        if uri in self._gone:
            raise TrackingError("not tried, as MLflow failed before")
        findings = read_findings(settings, arms, run.command)
        try:
            synced = self._sync(run, settings, findings, uri, shown)
        except TrackingError as error:
            if error.gone:
                self._gone.add(uri)
            raise
        if synced is None:
            return
        self.is_whole &= not (synced.refused or synced.files_failed)
        print_plainly(
            self._console,
            f"{run.experiment}: {synced.created} runs created, {synced.unchanged} unchanged, "
            f"{synced.superseded} superseded in MLflow at {without_password(uri)}",
        )
        print_lacking(self._console, synced)

    def _leave_out(self, run: Earlier, why: str) -> None:
        print_plainly(self._console, f"{run.experiment}: left out: {why} ({run.command})")

    def _sync(
        self, run: Earlier, settings: Settings, findings: Findings, uri: str, shown: set[str]
    ) -> Synced | None:
        report = tell(findings, run.summary) if settings.analysis.report else None
        # The files that were written then are attached where they say what is found now.
        files = run.folder if has_figures(run.folder / "summary.json", findings) else None
        best = settings.tracking.best_trials
        views = run_views(findings, best_trials=best, report=report, folder=files)
        older = bool(shown)  # a newer command of the experiment has written note and pages
        note = "" if older else experiment_note(settings.title, findings, report)
        new = [view for view in views if view.key not in shown]
        shown |= {view.key for view in views}
        if not new:
            return None
        return sync(
            settings.name,
            new,
            uri=uri,
            artifacts=Path(self._settings.output_dir) / "mlflow",
            note=note,
            pages=() if older else run_pages(views),
            time_limit=settings.tracking.time_limit,
        )


def read_findings(settings: Settings, arms: Sequence[Arm], command: str) -> Findings:
    """What the record says of complete arms; nothing is trained or written.

    Args:
        settings: of the experiment.
        arms: of its matrix.
        command: that trains what is missing, for the message.

    Raises:
        UserError: a record that is not there, or is short of trials.
    """
    if not storage_exists(settings.storage):
        raise refuse("storage", settings.storage, "the record of that run, which is not there")
    storage = open_storage(settings.storage, writing=False)
    planned = plan_arms(arms)
    device = _device(settings)
    _check_complete(count_missing(storage, planned), command)
    runs = open_studies(storage, planned, fresh=False, device=device)
    replays = plan_replays(
        runs,
        settings.analysis.fresh_seeds,
        routes(settings.claims, [run.planned.arm for run in runs]),
    )
    _check_complete(count_missing(storage, [replay.planned for replay in replays]), command)
    # As all of it is there, this reads it.
    silent = make_console()
    silent.quiet = True
    planner = Planner({p.data.fingerprint: p.data for p in planned}, device, 1)
    again = train_again(replace(settings, fresh=False), storage, runs, planner, silent)
    return analysed(settings, runs, *again)


def _check_complete(missing: int, command: str) -> None:
    if missing:
        verb = "trial is" if missing == 1 else "trials are"
        raise UserError(f"{missing} {verb} missing in the record; {command} trains them")


def _device(settings: Settings) -> torch.device:
    """The device that trials would be trained on; for reading it need not be there."""
    return find_device("auto" if settings.device == "cuda" else settings.device)
