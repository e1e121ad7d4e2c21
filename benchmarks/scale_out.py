"""What more workers are worth: hpsuite's main loop simulated, 1 to 1,000 workers, to 10^6 trials.

    python -m benchmarks.scale_out

Measured here: what a trial costs the main process and its record (`record_costs.py`), alone and
beside others, and how long batches of a small study train. Simulated (`simulated.py`): how busy
workers are, how long a study takes, and how much of the main process's time it takes, for trials
of the measured length and of longer ones of the same spread. The simulation is checked against
closed forms and against runs in tests/test_simulated.py.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import torch

from benchmarks import record_costs
from benchmarks.measured import Quartiles, about, parser, say, table, write_results
from benchmarks.postgres_server import missing, running
from benchmarks.record_costs import JOURNAL, POSTGRES, SQLITE, Measured, Shared, Size
from benchmarks.simulated import Costs, Finished, most_workers, simulate
from hpsuite.arms import open_studies
from hpsuite.executors import InlineExecutor
from hpsuite.record import open_storage
from hpsuite.scheduler import run_studies
from hpsuite.serving import Work
from hpsuite.training import Planner
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialResult

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
TRIALS = (1_000, 10_000, 100_000, 1_000_000)
# Mean seconds of a trial, beside the measured one.
LONGER = (1.0, 10.0, 60.0, 600.0)
# Trials after which no share changes any more, with which the tables over workers are made.
ENOUGH_ROUNDS, MOST = 50, 200_000
# A worker counts as busy from here on.
BUSY = 0.9


class Timed(InlineExecutor):
    """Trains here, and notes how long each batch takes."""

    def __init__(self, *given: object) -> None:
        """As its own."""
        super().__init__(*given)  # type: ignore[arg-type]
        self.batches: list[tuple[int, float]] = []

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """See `InlineExecutor`."""
        begun = time.perf_counter()
        done = super().submit(batch)
        self.batches.append((len(done.result()), time.perf_counter() - begun))
        return done


def train_small(n: int, folder: Path) -> list[tuple[int, float]]:
    """Sizes and seconds of the batches of a small study on one core."""
    device = torch.device("cpu")
    arms = record_costs.planned(0, n)
    storage = open_storage(str(folder / "small.journal"))
    runs = open_studies(storage, arms, fresh=False, device=device)
    datasets = {arm.data.fingerprint: arm.data for arm in arms}
    executor = Timed(datasets, device)
    run_studies(
        [study for run in runs for study in run.studies],
        Planner(datasets, device, 1),
        executor,
        on_told=lambda told: None,
    )
    return executor.batches


def draws(batches: Sequence[tuple[int, float]], mean: float, seed: int) -> Callable[[], float]:
    """Seconds of trials one by one, of this mean and of the spread that was measured."""
    each = np.array([seconds / size for size, seconds in batches])
    each *= mean / each.mean()
    generator = np.random.default_rng(seed)
    block: list[float] = []

    def draw() -> float:
        if not block:
            block.extend(generator.choice(each, 4096))
        return block.pop()

    return draw


def over_workers(
    costs: Costs, batches: Sequence[tuple[int, float]], mean: float, workers: Sequence[int]
) -> list[Finished]:
    """A long random search, by number of workers."""
    found = []
    for i, n_workers in enumerate(workers):
        n = min(MOST, max(2_000, ENOUGH_ROUNDS * n_workers))
        found.append(simulate(n, n_workers, costs, draws(batches, mean, i)))
    return found


def hours(seconds: float) -> str:
    """A time in words."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def measured_table(costs: Mapping[str, Measured]) -> str:
    """Of the records."""
    rows = [
        [
            name,
            _spread(each.costs.ask, each.ask),
            _spread(each.costs.tell, each.tell),
            f"{1 / each.costs.both:,.0f}",
            f"{each.kilobytes:.1f}",
            f"{each.kilobytes:,.1f}",
            str(each.n),
        ]
        for name, each in costs.items()
    ]
    header = ["record", "ask, ms", "tell, ms", "trials a second, at most", "kB a trial"]
    return table([*header, "GB for a million", "n"], rows)


def busy_table(
    costs: Mapping[str, Measured], batches: Sequence[tuple[int, float]], means: Sequence[float]
) -> tuple[str, dict[str, object]]:
    """How many workers each record keeps busy."""
    rows, found = [], {}
    for name, each in costs.items():
        for mean in means:
            runs = over_workers(each.costs, batches, mean, WORKERS)
            shares = [run.utilisation for run in runs]
            limit = most_workers(each.costs, mean)
            rows.append(
                [name, _length(mean), f"{limit:,.0f}", *(f"{share:.0%}" for share in shares)]
            )
            found[f"{name}, {mean:.4g} s"] = shares
    header = ["record", "a trial trains", "limit", *(f"{n:,}" for n in WORKERS)]
    return table(header, rows), found


def times_table(
    costs: Costs, batches: Sequence[tuple[int, float]], mean: float, sizes: Sequence[int]
) -> str:
    """How long studies take, by trials and workers."""
    workers = (1, 10, 100, 1000)
    rows = []
    for n in sizes:
        runs = [simulate(n, each, costs, draws(batches, mean, n)) for each in workers]
        cells = [f"{hours(run.seconds)} ({run.utilisation:.0%}; {run.load:.0%})" for run in runs]
        rows.append([f"{n:,}", *cells])
    return table(["trials", *(f"{n:,} worker{'s' * (n > 1)}" for n in workers)], rows)


def sharded_table(
    costs: Costs, server_ms: float, batches: Sequence[tuple[int, float]], mean: float
) -> str:
    """1,000 workers, shared by several runs on one server."""
    rows = []
    for shards in (1, 2, 5, 10, 20, 50, 100):
        run = over_workers(costs, batches, mean, [1000 // shards])[0]
        rate = shards * run.rate
        cores = rate * server_ms / 1e3
        rows.append([str(shards), f"{run.utilisation:.0%}", f"{rate:,.0f}", f"{cores:.1f}"])
    return table(["runs", "workers busy", "trials a second", "the server's cores, busy"], rows)


def _spread(mean: float, quartiles: Quartiles) -> str:
    low, high = 1e3 * quartiles.low, 1e3 * quartiles.high
    return f"{1e3 * mean:.2f} ({low:.2f} to {high:.2f})"


def _length(mean: float) -> str:
    return f"{1e3 * mean:.0f} ms" if mean < 1 else hours(mean)


def measure(
    n: int, processes: Sequence[int], late: tuple[int, ...]
) -> tuple[dict[str, Measured], list[Shared], dict[int, float], list[tuple[int, float]]]:
    """All that is measured."""
    with tempfile.TemporaryDirectory() as scratch, running("fsync=on") as server:
        record_costs.use_password(server)
        folder = Path(scratch)
        addresses = {
            JOURNAL: (str(folder / "x.journal"), Size(folder / "x.journal")),
            SQLITE: (f"sqlite:///{folder / 'x.db'}", Size(folder / "x.db")),
            POSTGRES: (server.create("alone", over_tcp=True), Size((server, "alone"))),
        }
        costs = {}
        for name, (address, size) in addresses.items():
            costs[name] = record_costs.measure(address, n, size)
            say(f"{name}: {costs[name]}")
        shared = [record_costs.shared(server, each, n // 2) for each in processes]
        say(f"at once: {shared}")
        found_late = record_costs.asked_late(server, late)
        batches = train_small(min(n, 200), folder)
    return costs, shared, found_late, batches


def main() -> None:
    """Measure, simulate, and write."""
    made = parser(__doc__, "few trials, few processes")
    made.add_argument("--trials", type=int, default=200, help="measured (%(default)s)")
    options = made.parse_args()
    if why := missing():
        raise SystemExit(why)
    reproducible()
    begun, quick = time.monotonic(), options.quick
    n = 40 if quick else options.trials
    late = (1_000,) if quick else (1_000, 10_000, 100_000, 1_000_000)
    costs, shared, found_late, batches = measure(n, (1, 2) if quick else (1, 2, 4, 8), late)

    each = [seconds / size for size, seconds in batches]
    mean = statistics.fmean(each)
    means = (mean, *LONGER)
    busy, shares = busy_table(costs, batches, means)
    server_ms = statistics.median(one.server_ms for one in shared)
    sizes = TRIALS[:2] if quick else TRIALS
    said = [
        "What a trial costs the main process and its record: random search over nine "
        "hyperparameters, results of 20 epochs; means, with quartiles. The journal waits for the "
        "disk once a batch of results, the databases with each transaction.",
        measured_table(costs),
        "Processes that write to one PostgreSQL at once, each its own study: trials a second of "
        "all of them, and the server's processor time for a trial. All of them and the server "
        "share this machine's cores.",
        table(
            ["processes", "trials a second", "server's CPU ms a trial"],
            [[str(s.processes), f"{s.rate:.0f}", f"{s.server_ms:.1f}"] for s in shared],
        ),
        "Milliseconds to make a trial in a study that has so many already, medians of 20 "
        "(PostgreSQL; Optuna counts them to number it).",
        table([f"{size:,}" for size in found_late], [[f"{ms:.1f}" for ms in found_late.values()]]),
        f"The small study: {sum(size for size, _ in batches)} trials in {len(batches)} batches, "
        f"{1e3 * mean:.0f} ms of a core each on average, standard deviation "
        f"{1e3 * statistics.pstdev(each):.0f} ms.",
        "Simulated: the share of the workers' time in which they train, by number of workers, for "
        "random search, one trial a batch; and the limit, the number of workers at which the main "
        "process has no time left.",
        busy,
        "Simulated: how long a study takes, with the share of time that workers train, and that "
        "the main process asks and tells. The record is a journal, a trial trains 10 s.",
        times_table(costs[JOURNAL].costs, batches, 10.0, sizes),
        "The same on PostgreSQL.",
        times_table(costs[POSTGRES].costs, batches, 10.0, sizes),
        "Simulated: 1,000 workers shared by several runs on one PostgreSQL, trials of 10 s.",
        sharded_table(costs[POSTGRES].costs, server_ms, batches, 10.0),
    ]
    found = {
        "costs": {name: dataclasses.asdict(each) for name, each in costs.items()},
        "shared": [[s.processes, s.rate, s.server_ms] for s in shared],
        "late_ms": found_late,
        "batches": batches,
        "utilisation": shares,
    }
    text = "\n\n".join(said)
    print(text)
    write_results(options.output, "scale_out", about(begun, n), found, text)


if __name__ == "__main__":
    main()
