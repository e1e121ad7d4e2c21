"""Long runs: what a process holds after 5,000 trials, and after 200 studies.

    python -m benchmarks.long_runs

`trials`: one study of small networks; memory of the process while it asks, trains and tells, beside
the size of the record that it holds. `studies`: as many experiments, one after the other, in one
process, each with workers, a record, files and MLflow of its own run; memory, open files, threads
and child processes after each, and MLflow runs that were left open.
"""

import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.measured import about, parser, say, table, write_results
from hpsuite import __main__ as command
from hpsuite import scheduler

SMALL = (
    *("model.layers=1", "model.units=16", "dataset.train_fraction=0.2", "budget.epochs=1"),
    *("space=rate_momentum", "device=cpu", "analysis.report=false"),
)


@dataclass(frozen=True)
class Held:
    """What a process holds: resident memory in MB, open files, threads, child processes."""

    memory: float
    files: int
    threads: int
    children: int

    @classmethod
    def now(cls) -> "Held":
        """What this one holds."""
        own = psutil.Process()
        memory = own.memory_info().rss / 2**20
        return cls(memory, own.num_fds(), own.num_threads(), len(own.children(recursive=True)))


def one_study(n: int, points: int) -> list[list[str]]:
    """Rows: trials told, memory, size of the record."""
    rows: list[list[str]] = []
    told, record = 0, Path("hpsuite.journal")
    real: Callable[..., int] = scheduler.Turns.tell

    def tell(self: scheduler.Turns, results: Sequence[object]) -> int:
        nonlocal told
        found = real(self, results)
        told += found
        if told >= n * (len(rows) + 1) / points:
            size = record.stat().st_size / 2**20
            rows.append([f"{told:,}", f"{Held.now().memory:.0f}", f"{size:.1f}"])
        return found

    scheduler.Turns.tell = tell  # type: ignore[method-assign, assignment]
    try:
        asked = ["name=long", f"budget.trials={n}", "repeats=1", "tracking=none", *SMALL]
        _run([*asked, "strategy=log_random", "executor=inline"])
    finally:
        scheduler.Turns.tell = real  # type: ignore[method-assign]
    return rows


def many_studies(n: int) -> list[Held]:
    """What this process holds after each study."""
    found = []
    for seed in range(n):
        _run([f"name=study{seed % 20}", f"seed={seed}", "budget.trials=4", "repeats=1", *SMALL])
        found.append(Held.now())
        if (seed + 1) % 20 == 0:
            say(f"{seed + 1} studies: {found[-1]}")
    return found


def _run(overrides: list[str]) -> None:
    sys.argv = ["hpsuite", *overrides]
    try:
        command.main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"status {end.code} of {overrides}") from end


def left_open(database: Path) -> int:
    """Runs that MLflow shows as running."""
    with closing(sqlite3.connect(database)) as opened:
        (n,) = opened.execute("select count(*) from runs where status = 'RUNNING'").fetchone()
    return int(n)


def growth(values: Sequence[float]) -> float:
    """By how much a figure grows in each study: the slope of its second half, by least squares."""
    half = np.asarray(values[len(values) // 2 :], float)
    return float(np.polyfit(np.arange(len(half)), half, 1)[0])


def main() -> None:
    """Measure, and write what was found."""
    made = parser(__doc__ or "", quick="200 trials and 10 studies")
    options = made.parse_args()
    n_trials, n_studies = (200, 10) if options.quick else (5000, 200)
    begun, before, typed = time.monotonic(), Path.cwd(), sys.argv
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        try:
            # Warm: what is loaded once is no growth.
            many_studies(2)
            trials = one_study(n_trials, 5)
            held = many_studies(n_studies)
            running = left_open(Path("mlflow.db"))
        finally:
            os.chdir(before)
            sys.argv = typed
    picked = sorted({0, len(held) // 4, len(held) // 2, 3 * len(held) // 4, len(held) - 1})
    rows = [
        [str(i + 1), f"{h.memory:.0f}", str(h.files), str(h.threads), str(h.children)]
        for i, h in ((i, held[i]) for i in picked)
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    slope = growth([h.memory for h in held])
    said = [
        f"One study of {n_trials:,} trials in this process:",
        table(["trials", "memory, MB", "record, MB"], trials),
        f"{n_studies} experiments one after the other in one process, with two workers each, all "
        "in one record and one MLflow database:",
        table(["experiments", "memory, MB", "open files", "threads", "child processes"], rows),
        f"Memory grows by {slope:.2f} MB an experiment over the second half; {running} MLflow runs "
        f"were left open; the most memory at any time was {peak:.0f} MB.",
    ]
    found = {
        "trials": trials,
        "held": [asdict(h) for h in held],
        "growth_mb": slope,
        "left_open": running,
    }
    write_results(options.output, "long_runs", about(begun, 1), found, "\n\n".join(said))


if __name__ == "__main__":
    main()
