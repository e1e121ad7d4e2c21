"""Where the time of a study goes: asking, planning, training, telling, recording, MLflow, report.

    python -m benchmarks.overhead

A study of digits' perceptron by random search runs as `python -m hpsuite` runs it, in a process of
its own and in an empty folder, but that batches come back at once, with made-up results as long as
those of real trials (a validation accuracy and a loss for each epoch). So all that is not training
is done and timed, with nothing in between. It does not depend on the number of steps but through
the length of those curves. Training is timed beside it: batches as the planner makes them, from
specs to results, on one thread. Both are put together to a study of so many trials on so many
workers, in CPU time, as on a machine that does nothing else: what the main process does while
workers train (asking, telling, recording) takes its share of the cores, and its waiting for the
disk takes none; what it does before and after takes all of its time. A shorter study is run in
truth beside it.
"""

import argparse
import csv
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from benchmarks.measured import Clock, Quartiles, about, parser, say, table, write_results
from hpsuite import experiment, journal, scheduler
from hpsuite.arms import plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.datasets import Data
from hpsuite.executors import Executor, Work
from hpsuite.study import StudyRun
from hpsuite.training import Lockstep, Planner, Pool, Resident, train
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialResult, TrialSpec

# 65 epochs of 17 steps.
EPOCHS, STEPS = 65, 1105
OVERRIDES = ("name=overhead", "strategy=log_random", "repeats=1", f"budget.epochs={EPOCHS}")
# What is timed: where it is, its name, and what it is part of. Each counts without those inside it.
PARTS: Sequence[tuple[Any, str, str]] = (
    (experiment, "plan_arms", "checking, data"),
    (experiment, "open_studies", "opening the record"),
    (StudyRun, "ask", "asking"),
    (StudyRun, "tell", "telling"),
    (journal.Journal, "append_logs", "recording"),
    (Pool, "add", "planning"),
    (Pool, "take", "planning"),
    (Pool, "has_full_batch", "planning"),
    (experiment, "analysed", "analysis"),
    (experiment, "print_tables", "tables and files"),
    (experiment, "tell", "report"),
    (experiment, "write_files", "report"),
    (experiment, "run_views", "MLflow"),
    (experiment, "show_in_mlflow", "MLflow"),
    (scheduler.Turns, "fill", "the main loop"),
    (experiment, "run_studies", "the main loop"),
)
# What is done while workers train.
BESIDE = frozenset(
    ("asking", "telling", "recording", "planning", "to workers and back", "the main loop")
)
WORKERS = 2


class Instant:
    """An executor that makes results up at once, after both went through pickle as to a worker."""

    n_workers = WORKERS

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """Give the results."""
        assert not isinstance(batch, Lockstep)
        with self._clock("to workers and back"):
            sent = pickle.dumps(tuple(batch))
        results = [made_up(spec) for spec in pickle.loads(sent)]  # noqa: S301
        with self._clock("to workers and back"):
            back = pickle.loads(pickle.dumps(results))  # noqa: S301
        future: Future[list[TrialResult]] = Future()
        future.set_result(back)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def made_up(spec: TrialSpec) -> TrialResult:
    """A result with curves of full length."""
    draws = np.random.default_rng([spec.seed, spec.number]).random(2 * EPOCHS + 1).tolist()
    val, loss = tuple(draws[:EPOCHS]), tuple(draws[EPOCHS:-1])
    return TrialResult(
        spec.study, spec.number, "finite", val[-1], draws[-1], val, loss, STEPS, 0.1, 2.3, 0.1
    )


def run_one(n: int) -> dict[str, list[float]]:
    """CPU and wall seconds of each part of a study of n trials, in this process and folder."""
    clock = Clock()
    for owner, name, label in PARTS:
        setattr(owner, name, clock.timed(getattr(owner, name), label))

    def make_executor(*_: object) -> Executor:
        return Instant(clock)

    setattr(experiment, "make_executor", make_executor)  # noqa: B010 (mypy: of another type)
    with clock("all else"):
        settings, arms = _composed(n)
        experiment.run_experiment(settings, arms)
    return clock.seconds


def _composed(n: int) -> Any:
    from hydra import initialize_config_dir

    from hpsuite.overrides import config_dir

    own = [*OVERRIDES, f"budget.trials={n}", f"executor.workers={WORKERS}", "device=cpu"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose_experiment(own)


def apart(n: int) -> dict[str, list[float]]:
    """`run_one` in a process of its own, and what that takes besides, as starting."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.overhead", "--one", str(n)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        wall = time.perf_counter() - begun
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        size = Path(folder, "hpsuite.journal").stat().st_size
    inside: dict[str, list[float]] = found["seconds"]
    rest = [found["cpu"] - sum(s[0] for s in inside.values())]
    rest.append(wall - sum(s[1] for s in inside.values()))
    say(f"{n} trials: {wall:.1f} s, a journal of {size / 1e6:.1f} MB")
    return {"starting Python, imports": rest, **inside}


def training(rounds: int, steps: int) -> list[float]:
    """CPU seconds of each trial, all that a worker does from specs to results, in each round."""
    _, arms = _composed(64)
    planned = plan_arms(arms)[0]
    data: Data = planned.data
    resident = Resident.place(data, torch.device("cpu"))
    planner = Planner({data.fingerprint: data}, resident.device, n_workers=1)
    setup = planned.arm.setup
    values = [{"learning_rate": 0.02 * 2**-i, "momentum": 0.9} for i in range(8)]
    specs = [
        setup.spec(values[i % 8], study="", number=i, seed=0, dataset=data.fingerprint)
        for i in range(planner.most_at_once(_first(setup, values[0], data)))
    ]
    shortened = [replace(spec, epochs=None, steps=steps) for spec in specs]
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        train(shortened, resident)
        found.append((time.process_time() - begun) / len(shortened))
    return found


def _first(setup: Any, values: Mapping[str, float], data: Data) -> TrialSpec:
    made = setup.spec(dict(values), study="", number=0, seed=0, dataset=data.fingerprint)
    assert isinstance(made, TrialSpec)
    return made


def real(n: int) -> dict[str, float]:
    """Wall seconds of a real study of n trials, and those its workers trained, each on average."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        own = [*OVERRIDES, f"budget.trials={n}", f"executor.workers={WORKERS}", "device=cpu"]
        subprocess.run(
            [sys.executable, "-m", "hpsuite", *own],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        wall = time.perf_counter() - begun
        (path,) = Path(folder).glob("outputs/*/*/trials.csv")
        with path.open(newline="") as file:
            trained = sum(float(row["seconds"]) for row in csv.DictReader(file)) / WORKERS
    say(f"{n} trials in truth: {wall:.1f} s, of which {trained:.1f} s of training")
    return {"trials": n, "wall": wall, "training": trained}


class Study:
    """A study put together: seconds on so many workers.

    Attributes:
        training: of its workers.
        beside: CPU time of the main process while they train, as its share of the cores.
        apart: CPU time of the main process before and after.
        wall: of the main process before and after.
        all_wall: of the main process.
    """

    def __init__(self, n: int, parts: Mapping[str, Sequence[float]], trial: float) -> None:
        self.n, self.parts = n, parts
        self.training = trial * n / WORKERS
        self.beside = sum(s[0] for name, s in parts.items() if name in BESIDE) / WORKERS
        self.apart = sum(s[0] for name, s in parts.items() if name not in BESIDE)
        self.wall = sum(s[1] for name, s in parts.items() if name not in BESIDE)
        self.all_wall = sum(s[1] for s in parts.values())

    @property
    def whole(self) -> float:
        """All of it."""
        return self.training + self.beside + self.apart

    def share(self, part: str) -> float:
        """A part's, in [0, 1]."""
        cpu = self.parts.get(part, (0.0, 0.0))[0]
        return cpu / (WORKERS if part in BESIDE else 1) / self.whole

    def shares(self) -> tuple[float, float, float]:
        """Of all that is not training: by CPU time; and in two ways by time on the wall.

        That is of what is done before and after workers train; or of all of the main process's, as
        if nothing were done side by side.
        """
        counted = (self.beside + self.apart, self.beside + self.wall, self.all_wall)
        by_cpu, by_wall, apart = (other / (other + self.training) for other in counted)
        return by_cpu, by_wall, apart


def tables(
    runs: Mapping[int, Mapping[str, Sequence[float]]],
    trial: Quartiles,
    truth: Mapping[str, float],
) -> str:
    """What was found, in Markdown."""
    studies = [Study(n, runs[n], trial.median) for n in sorted(runs)]
    parts = list(dict.fromkeys(name for study in reversed(studies) for name in study.parts))
    header, rows = ["part"], [[part] for part in parts]
    totals = [["**all that is not training**"], [f"training, {WORKERS} workers"]]
    for study in studies:
        header += [f"{study.n:,} trials: CPU s", "wall s", "share"]
        for row, part in zip(rows, parts, strict=True):
            cpu, wall = study.parts.get(part, (0.0, 0.0))
            row += [f"{cpu:.2f}", f"{wall:.2f}", f"{study.share(part):.2%}"]
        cpu = sum(s[0] for s in study.parts.values())
        totals[0] += [f"{cpu:.2f}", f"{study.all_wall:.2f}", f"**{study.shares()[0]:.1%}**"]
        share = study.training / study.whole
        totals[1] += [f"{trial.median * study.n:.0f}", f"{study.training:.0f}", f"{share:.1%}"]
    other = "; ".join(
        f"{study.n:,} trials: {study.shares()[1]:.1%} and {study.shares()[2]:.1%}"
        for study in studies
    )
    costs = {study.n: 1e3 * study.whole / study.n for study in studies}
    told = ", ".join(f"{cost:.0f} ms at {n:,}" for n, cost in costs.items())
    first, last = studies[0].n, studies[-1].n
    return "\n\n".join(
        [
            f"A study of digits' perceptron (64-128-128-10, SGD, batch size 64), {STEPS:,} steps "
            f"a trial, {WORKERS} workers: the main process, measured with results made up, and "
            f"training, measured beside it ({1e3 * trial.median:.0f} ms of CPU a trial, quartiles "
            f"{1e3 * trial.low:.0f} to {1e3 * trial.high:.0f}, n = {trial.n} batches). Shares are "
            "of CPU time, what is done while workers train being divided by their number. Time on "
            "the wall is longer, by waits for the disk and for cores that others used.",
            table(header, rows + totals),
            "Of all that is not training, with the time on the wall of what is done before and "
            "after the workers train; and with all time on the wall of the main process, as if "
            f"nothing were done side by side: {other}.",
            f"Cost per trial: {told}; at {last:,} {costs[last] / costs[first]:.2f} times that at "
            f"{first:,}.",
            f"A study of {truth['trials']:.0f} trials in truth, on the wall: {truth['wall']:.0f} s,"
            f" of which its workers trained {truth['training']:.0f} s.",
        ]
    )


def main() -> None:
    """Measure and write."""
    options = parser(__doc__, "studies of 20 and 100 trials")
    options.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 5000])
    options.add_argument("--rounds", type=int, default=5, help="of training (default: %(default)s)")
    options.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    reproducible()
    if given.one is not None:
        seconds = run_one(given.one)
        print(json.dumps({"seconds": seconds, "cpu": time.process_time()}))
        return
    started = time.monotonic()
    runs = {n: apart(n) for n in ([20, 100] if given.quick else given.trials)}
    # A trial of a tenth of the steps costs a tenth, but for building models.
    costs = training(1 if given.quick else given.rounds, STEPS // 13 if given.quick else STEPS)
    if given.quick:
        costs = [13 * cost for cost in costs]
    trial = Quartiles.of(costs)
    truth = real(10 if given.quick else 100)
    found = {
        "real": truth,
        "parts": {str(n): run for n, run in runs.items()},
        "training_cpu_s": costs,
    }
    text = tables(runs, trial, truth)
    print(text)
    write_results(given.output, "overhead", about(started, len(costs)), found, text)


if __name__ == "__main__":
    main()
