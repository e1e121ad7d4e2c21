"""What every run does, whatever it is of: messages, what stands beside figures, MLflow."""

import logging
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import optuna
from rich.console import Console
from rich.markup import escape

from hpsuite.config import TrackingConfig
from hpsuite.provenance import commit, versions
from hpsuite.report.console import make_console
from hpsuite.texts import LogLevel
from hpsuite.tracking import Page, RunView, Synced, TrackingError, resolve_uri, sync

# Of what MLflow refused.
MOST_LINES = 3


def start(log_level: LogLevel) -> Console:
    """Let messages of a level be heard on the standard error; returns the console."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    # Other packages have thousands of lines to say: matplotlib one for each font of the machine.
    logging.basicConfig(level=max(level, logging.INFO), format="%(levelname)s: %(message)s")
    # `debug` is of hpsuite alone.
    own = level if level < logging.INFO else logging.NOTSET
    logging.getLogger("hpsuite").setLevel(own)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return make_console()


def print_title(console: Console, name: str, title: str) -> None:
    """Say what is run."""
    asks = f": {escape(title)}" if title else ""
    console.print(f"[bold]{escape(name)}[/bold]{asks}", highlight=False, soft_wrap=True)


def about_run(
    name: str, title: str, *, command: str, device: str, started: float
) -> dict[str, object]:
    """What stands beside the figures of a run.

    Args:
        name: of the experiment.
        title: what it asks.
        command: what was typed.
        device: in words.
        started: by `time.monotonic`.
    """
    return {
        "experiment": name,
        "title": title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
        "versions": versions(),
        "device": device,
        "commit": commit(),
        "command": command,
    }


def print_written(console: Console, folder: Path, *, report: bool) -> None:
    """Say where the files are."""
    lines = [f"report   {folder / 'report.html'}"] if report else []
    lines.append(f"written  {folder / 'summary.json'} and trials.csv")
    console.print()
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def show_in_mlflow(
    name: str,
    views: Sequence[RunView],
    tracking: TrackingConfig,
    console: Console,
    *,
    output_dir: str,
    note: str,
    pages: Sequence[Page],
    again: str,
) -> tuple[str, Synced] | None:
    """Bring MLflow up to date. Its failure loses nothing.

    Args:
        name: of the experiment.
        views, note, pages: see `sync`.
        tracking: where MLflow is.
        console: to print to.
        output_dir: beside which a new experiment in an SQLite file keeps its files.
        again: what writes later what cannot be written now.

    Returns:
        The address, and what was done; None where it could not be done, which was said.
    """
    uri = resolve_uri(tracking.uri, Path.cwd())
    artifacts = Path(output_dir) / "mlflow"
    limit = tracking.time_limit
    try:
        synced = sync(
            name, views, uri=uri, artifacts=artifacts, note=note, pages=pages, time_limit=limit
        )
    except TrackingError as error:
        print_plainly(console, f"MLflow was not updated: {error}")
        print_plainly(console, f"Nothing is lost; {again} brings MLflow up to date.")
        return None
    print_lacking(console, synced)
    if synced.refused or synced.files_failed:
        print_plainly(console, f"Nothing is lost; {again} tries that again.")
    return uri, synced


def print_lacking(console: Console, synced: Synced) -> None:
    """Say what a sync could not write, a line each; of many, how many more."""
    lines = [f"MLflow refused {line}" for line in synced.refused[:MOST_LINES]]
    if (more := len(synced.refused) - MOST_LINES) > 0:
        lines.append(f"MLflow refused {more} more")
    lines += [f"MLflow lacks a file: {line}" for line in synced.files_failed]
    for line in lines:
        print_plainly(console, line)


def print_plainly(console: Console, line: str) -> None:
    """Print a line as it is: of one piece, and without colours or markup."""
    console.print(line, highlight=False, soft_wrap=True, markup=False)
