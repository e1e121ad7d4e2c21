"""The nightly job.

    python -m benchmarks.nightly

Runs a fixed matrix: each claim at tier=quick, controls of what a change of the code would move,
speed against plain loops, overhead. It compares each figure with the nights before it, and exits
with status 1 where one moved or something failed. A night that was interrupted is continued by the
same command. docs/nightly.md says what is measured, and how often it alarms for nothing.
"""

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measured import say
from benchmarks.nightly.account import tell
from benchmarks.nightly.history import History
from benchmarks.nightly.html_page import page
from benchmarks.nightly.job import CodeChanged, Job
from benchmarks.nightly.mlflow_runs import log_nights
from benchmarks.nightly.nights import Night, Unreadable, write_text
from benchmarks.nightly.pages import readme
from benchmarks.nightly.parts import MATRICES, ROOT, VERSION, code_commit
from benchmarks.nightly.progress import Progress
from hpsuite.tracking.address import quiet
from hpsuite.tracking.database import make_database

QUIET, ALARM, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a night, or accept what moved in the last one; returns the exit status."""
    given = _options().parse_args(arguments)
    try:
        with contextlib.ExitStack() as held:
            for folder in dict.fromkeys((given.work.resolve(), given.results.resolve())):
                held.enter_context(_alone(folder))
            if given.accept is not None:
                return _accept(given)
            return _night(given)
    except BlockingIOError as error:
        print(f"nightly: another night is being run in {error.filename}", file=sys.stderr)
        return USAGE
    except (CodeChanged, Unreadable) as error:
        print(f"nightly: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        say("nightly: interrupted; the same command continues the night")
        return INTERRUPTED


def _options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.nightly",
        description=(__doc__ or "").partition("\n\n    ")[2].partition("\n\n")[2],
    )
    made.add_argument(
        "--accept", metavar="REASON", help="take what moved in the last night as the new normal"
    )
    results, work = ROOT / "results" / "nightly", ROOT / "outputs" / "nightly"
    made.add_argument(
        "--results",
        type=Path,
        default=results,
        help="folder of nights that ended (results/nightly)",
    )
    made.add_argument(
        "--work", type=Path, default=work, help="folder of the one in progress (outputs/nightly)"
    )
    made.add_argument(
        "--matrix", choices=sorted(MATRICES), default="whole", help="small: for tests of the job"
    )
    made.add_argument("--parts", nargs="+", metavar="PART", help="only these of the matrix")
    made.add_argument(
        "--mlflow",
        metavar="ADDRESS",
        default=f"sqlite:///{ROOT / 'mlflow.db'}",
        help="of a tracking store, or none (mlflow.db of the checkout)",
    )
    return made


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While this lasts, and what it started, no other night uses a folder.

    Raises:
        BlockingIOError: one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Parts inherit it, so that one which outlives a job that was killed still keeps others out.
        os.set_inheritable(descriptor, True)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "in use", str(folder)) from error
        yield
    finally:
        os.close(descriptor)


def _night(given: argparse.Namespace) -> int:
    parts = MATRICES[given.matrix]()
    if unknown := sorted(set(given.parts or ()) - set(parts)):
        print(f"nightly: --parts: found {unknown}; accepted: {list(parts)}", file=sys.stderr)
        return USAGE
    if given.parts:
        parts = {name: part for name, part in parts.items() if name in given.parts}
    matrix, code, history = _matrix(given), code_commit(), History(given.results)
    # What runs a part of the matrix is continued by the same part of it.
    asked = matrix if not given.parts else f"{matrix}: {' '.join(parts)}"
    progress = Progress.unfinished(given.work, asked, code)
    if progress is None:
        name = history.new_name(code, given.work)
        progress = Progress.begin(given.work, name, asked, code)
        say(f"night {name}: {len(parts)} parts, {len(history.past)} nights before it")
    else:
        say(f"night {progress.name} is continued")
    # One that was killed before it was told has a summary, which is not written again.
    ended = [night for night in history.nights if night.name == progress.name]
    night = ended[0] if ended else Job(progress, parts, history, matrix, code).run()
    _tell(given, night)
    progress.end()
    return QUIET if night.is_quiet else ALARM


def _matrix(given: argparse.Namespace) -> str:
    return f"{given.matrix} {VERSION}"


def _tell(given: argparse.Namespace, night: Night) -> None:
    """What a night found, on paper, on the screen and in MLflow."""
    if thinned := History(given.results).thin(datetime.now(UTC).date()):
        say(f"{len(thinned)} old nights went into older.jsonl")
    history = History(given.results)
    write_pages(history)
    account = tell(night, history)
    print(account)
    print(f"  {given.results / night.name / 'summary.json'}")
    _to_mlflow(given.mlflow, history, {night.name: account})


def write_pages(history: History) -> None:
    """Write what people read, beside the nights."""
    for name, text in (("README.md", readme(history)), ("index.html", page(history))):
        write_text(history.folder / name, text)


def _to_mlflow(address: str, history: History, accounts: dict[str, str]) -> None:
    """MLflow is a view: what it lacks, the next night brings."""
    if address == "none":
        return
    try:
        with quiet():
            make_database(address)
            log_nights(history, address, accounts)
    except Exception as error:  # noqa: BLE001 (whatever it is, the night is in its summary)
        said = (str(error).splitlines() or [""])[0]
        say(
            f"nightly: MLflow could not be written ({type(error).__name__}: {said}); the next "
            "night tries again"
        )


def _accept(given: argparse.Namespace) -> int:
    if not given.accept.strip():
        print(
            "nightly: --accept: found no reason; accepted: why this is the new normal",
            file=sys.stderr,
        )
        return USAGE
    history = History(given.results)
    try:
        noted = history.accept(" ".join(given.accept.split()), _matrix(given))
    except LookupError as error:
        print(f"nightly: --accept: {error.args[0]}", file=sys.stderr)
        return USAGE
    write_pages(history)
    n = len(noted["figures"])
    print(f"{n} figure{'s' if n > 1 else ''} of {noted['night']}: new normal: {noted['reason']}")
    return QUIET
