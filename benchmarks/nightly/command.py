"""The nightly job.

    python -m benchmarks.nightly

Runs a fixed matrix: each claim at tier=quick, controls of what a change of the code would move,
speed against plain loops, overhead. It compares each figure with the nights before it, and exits
with status 1 where one moved or something failed. A night that was interrupted is continued by the
same command. docs/nightly.md says what is measured, and how often it alarms for nothing.
"""

import argparse
import fcntl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measured import say
from benchmarks.nightly.account import tell
from benchmarks.nightly.html_page import page
from benchmarks.nightly.job import CodeChanged, Job
from benchmarks.nightly.mlflow_runs import log_nights
from benchmarks.nightly.nights import History, Progress, write_text
from benchmarks.nightly.pages import readme
from benchmarks.nightly.parts import MATRICES, ROOT, VERSION, code_commit
from hpsuite.tracking.address import quiet
from hpsuite.tracking.database import make_database

QUIET, ALARM, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a night, or accept what moved in the last one; returns the exit status."""
    given = _options().parse_args(arguments)
    try:
        with _alone(given.work):
            if given.accept is not None:
                return _accept(given)
            return _night(given)
    except BlockingIOError:
        print(f"nightly: another night is being run in {given.work}", file=sys.stderr)
        return USAGE
    except CodeChanged as error:
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


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """While this lasts, no other night is run in a folder."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".running").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _night(given: argparse.Namespace) -> int:
    parts = MATRICES[given.matrix]()
    if unknown := sorted(set(given.parts or ()) - set(parts)):
        print(f"nightly: --parts: found {unknown}; accepted: {list(parts)}", file=sys.stderr)
        return USAGE
    if given.parts:
        parts = {name: part for name, part in parts.items() if name in given.parts}
    code = code_commit()
    history = History(given.results)
    matrix = f"{given.matrix} {VERSION}"
    # What runs a part of the matrix is continued by the same part of it.
    asked = matrix if not given.parts else f"{matrix}: {' '.join(parts)}"
    written = {night.name for night in history.nights}
    progress = Progress.unfinished(given.work, asked, code, written)
    if progress is None:
        name = history.new_name(code, given.work)
        progress = Progress.begin(given.work, name, asked, code)
        say(f"night {name}: {len(parts)} parts, {len(history.past)} nights before it")
    else:
        say(f"night {progress.name} is continued")
    night = Job(progress, parts, history, matrix, code).run()
    thinned = History(given.results).thin(datetime.now(UTC).date())
    if thinned:
        say(f"{len(thinned)} old nights went into older.jsonl")
    history = History(given.results)
    write_pages(history)
    account = tell(night, history)
    print(account)
    print(f"  {given.results / night.name / 'summary.json'}")
    _to_mlflow(given.mlflow, history, {night.name: account})
    return QUIET if night.is_quiet else ALARM


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
        night = history.accept(given.accept.strip())
    except LookupError as error:
        print(f"nightly: --accept: {error.args[0]}", file=sys.stderr)
        return USAGE
    write_pages(history)
    print(f"{len(night.moved)} figures of {night.name} are the new normal: {given.accept.strip()}")
    return QUIET
