"""How the cost of a trial scales: with the number of trials, K, width, depth, data and processes.

    python -m benchmarks.scaling

Number of trials, and of processes: whole studies as `python -m hpsuite` runs them, in a process of
its own and an empty folder, from its start to its end, with a few steps a trial; time on the wall,
and CPU time of the main process. All else: the trainer from specs to results, batches as the
planner makes them, on one thread; CPU time, the values of an axis in turns in each round.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.measured import Quartiles, about, parser, ratios, say, table, write_results
from hpsuite.datasets import prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Planner, Resident, train, train_fused, train_plain
from hpsuite.training.loop import count_steps
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import ModelSpec, OptimizerSpec, TrialSpec, Value, frozen_arguments

CPU = torch.device("cpu")
# Of whole studies: epochs of 17 steps.
EPOCHS = 1
PLAIN = "one by one"


@dataclass(frozen=True)
class Axis:
    """What is varied around 64-128-128-10 on all 1,078 training rows, and over which values."""

    title: str
    values: Sequence[int | str]


AXES = {
    "k": Axis("trials per batch (K)", (PLAIN, 1, 2, 4, 8, 12, 16, 32, 64, 128)),
    "width": Axis("units of each of two hidden layers", (16, 32, 64, 128, 256, 512)),
    "depth": Axis("hidden layers of 128 units", (1, 2, 4, 8)),
    "rows": Axis("training rows", (128, 256, 512, 1024)),
}


def study(n: int, workers: int) -> dict[str, float]:
    """Wall seconds of a study of n trials, and CPU seconds of its main process, start to end."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "hpsuite", "name=scaling", "strategy=log_random"),
                *("repeats=1", "device=cpu", f"budget.trials={n}", f"budget.epochs={EPOCHS}"),
                *(f"executor.workers={workers}",),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"trials": n, "workers": workers, "wall": wall, "cpu": cpu}


def studies(sizes: Sequence[int], compared: int, cores: int) -> list[dict[str, float]]:
    """Studies of several sizes on all cores, and one of `compared` trials on one."""
    found = []
    for n, workers in [*((n, cores) for n in sizes), (compared, 1)]:
        found.append(study(n, workers))
        say(f"{n} trials on {workers}: {found[-1]['wall']:.1f} s")
    return found


class Trainer:
    """Batches of one axis of the trainer's."""

    def __init__(self, steps: int) -> None:
        self._data = prepare(
            digits(),
            split_seed=0,
            validation_size=359,
            test_size=360,
            input_normalization="feature",
        )
        self._steps = steps

    def cost(self, axis: str, value: int | str) -> float:
        """CPU milliseconds of a step of a trial."""
        data, arguments, k = self._data, {}, 0
        if axis == "rows":
            assert isinstance(value, int)
            data = replace(data, x_train=data.x_train[:value], y_train=data.y_train[:value])
        elif axis == "width":
            arguments = {"units": value}
        elif axis == "depth":
            arguments = {"layers": value}
        else:
            k = value if isinstance(value, int) else 1
        resident = Resident.place(data, CPU)
        (first,) = self._trials(1, arguments, data.fingerprint)
        planner = Planner({data.fingerprint: data}, CPU, n_workers=1)
        specs = self._trials(k or planner.most_at_once(first), arguments, data.fingerprint)
        begun = time.process_time()
        if value == PLAIN:
            train_plain(specs[0], resident)
        elif axis == "k":
            train_fused(specs, resident)
        else:
            train(specs, resident)
        seconds = time.process_time() - begun
        steps, _ = count_steps(first, len(data.y_train))
        return 1e3 * seconds / steps / len(specs)

    def _trials(self, k: int, arguments: Mapping[str, Value], fingerprint: str) -> list[TrialSpec]:
        return [
            TrialSpec(
                study="",
                number=i,
                seed=1,
                dataset=fingerprint,
                model=ModelSpec("hpsuite.models.mlp", frozen_arguments(arguments)),
                optimizer=OptimizerSpec(learning_rate=0.01 / (1 + i % 4)),
                batch_size=64,
                steps=self._steps,
            )
            for i in range(k)
        ]


def measure(rounds: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """CPU milliseconds of a step of a trial, by axis, value and round."""
    trainer = Trainer(steps)
    found: dict[str, dict[str, list[float]]] = {}
    for name, axis in AXES.items():
        of_one = found.setdefault(name, {str(value): [] for value in axis.values})
        for turn in range(-1, rounds):
            for value in axis.values:
                cost = trainer.cost(name, value)
                if turn >= 0:  # the first round warms up
                    of_one[str(value)].append(cost)
        say(f"{axis.title}: done")
    return found


def tables(whole: Sequence[Mapping[str, float]], axes: Mapping[str, Any], steps: int) -> str:
    """What was found, in Markdown."""
    rows = [
        [
            f"{run['trials']:,.0f}",
            f"{run['workers']:.0f}",
            f"{run['wall']:.1f}",
            f"{1e3 * run['wall'] / run['trials']:,.1f}",
            f"{1e3 * run['cpu'] / run['trials']:,.1f}",
        ]
        for run in whole
    ]
    parts = [
        f"Whole studies: digits, 64-128-128-10, SGD, random search, {EPOCHS} epoch of 17 steps, "
        "with MLflow and the report",
        table(
            ["trials", "processes", "wall s", "wall ms a trial", "main process: CPU ms a trial"],
            rows,
        ),
        f"The trainer: CPU ms of a step of a trial, of {steps} steps with scoring before, after "
        "each epoch and at the end; median (quartiles)",
    ]
    for name, of_one in axes.items():
        first = next(iter(of_one.values()))
        lines = [
            [value, Quartiles.of(costs).text(3), ratios(costs, first).text()]
            for value, costs in of_one.items()
        ]
        parts.append(table([AXES[name].title, "ms", "times the first"], lines))
    return "\n\n".join(parts)


def main() -> None:
    """Measure and write."""
    options = parser(__doc__, "studies of 1 and 20 trials, one round of few steps")
    options.add_argument("--trials", type=int, nargs="+", default=[1, 10, 100, 1000, 5000])
    options.add_argument("--rounds", type=int, default=5, help="of the trainer (%(default)s)")
    options.add_argument("--steps", type=int, default=34, help="of the trainer (%(default)s)")
    given = options.parse_args()
    reproducible()
    started, cores = time.monotonic(), os.cpu_count() or 1
    rounds, steps = (1, 5) if given.quick else (given.rounds, given.steps)
    axes = measure(rounds, steps)
    sizes, compared = ([1, 20], 20) if given.quick else (given.trials, 1000)
    whole = studies(sizes, compared, cores)
    found = {"studies": whole, "trainer_ms": axes, "steps": steps}
    text = tables(whole, axes, steps)
    print(text)
    write_results(given.output, "scaling", about(started, rounds), found, text)


if __name__ == "__main__":
    main()
