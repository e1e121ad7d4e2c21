"""How much of twice the cores is twice the speed: one process, processes, and tasks of Ray.

    python -m benchmarks.ray_efficiency --rounds 5

One study of random search on digits' perceptron is trained by each executor, one after the other in
each round, with one worker and with several. Workers are started, have the data and have trained a
batch before the time begins; it ends when the last result was told. So what is compared is handing
out work and taking it back, not starting up, whose seconds stand beside it. Efficiency is the time
of one worker over n times that of n workers, within a round.
"""

import sys
import time
from collections.abc import Sequence

import optuna
import torch
from hydra import initialize_config_dir
from optuna.storages import InMemoryStorage

from benchmarks.measured import Quartiles, about, parser, ratios, say, table, write_results
from hpsuite.arms import PlannedArm, open_studies, plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.config import ExecutorConfig
from hpsuite.devices import count_cores
from hpsuite.executors import Executor, count_workers, make_executor
from hpsuite.on_ray.cluster import check_ray, started
from hpsuite.overrides import config_dir
from hpsuite.scheduler import run_studies
from hpsuite.training import Planner
from hpsuite.training.reproducible import reproducible

CPU = torch.device("cpu")
OVERRIDES = ("name=efficiency", "strategy=log_random", "repeats=2", "device=cpu")
Times = tuple[float, float]


def planned(trials: int, epochs: int) -> list[PlannedArm]:
    """The study."""
    own = [*OVERRIDES, f"budget.trials={trials}", f"budget.epochs={epochs}"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        _, arms = compose_experiment(own)
    return plan_arms(arms)


def timed(config: ExecutorConfig, arms: Sequence[PlannedArm]) -> Times:
    """Seconds to begin, which is to have trained a batch, and to train the study after that."""
    datasets = {p.data.fingerprint: p.data for p in arms}
    n_workers = count_workers(config, CPU)
    begun = time.perf_counter()
    with make_executor(config, datasets, CPU) as executor:
        first = planned(trials=n_workers, epochs=1)
        _trained(executor, first, n_workers)
        ready = time.perf_counter()
        _trained(executor, arms, n_workers)
        return ready - begun, time.perf_counter() - ready


def _trained(executor: Executor, arms: Sequence[PlannedArm], n_workers: int) -> None:
    """Train a study in a record in memory."""
    datasets = {p.data.fingerprint: p.data for p in arms}
    runs = open_studies(InMemoryStorage(), arms, fresh=False, device=CPU)
    studies = [study for run in runs for study in run.studies]
    run_studies(studies, Planner(datasets, CPU, n_workers), executor, on_told=lambda told: None)


def measure(n: int, arms: Sequence[PlannedArm], rounds: int) -> dict[str, list[Times]]:
    """Times of each contender, round by round."""
    contenders = {"inline, 1": ExecutorConfig("inline")}
    for kind in ("processes", "ray"):
        for workers in (1, n):
            contenders[f"{kind}, {workers}"] = ExecutorConfig(kind, workers)  # type: ignore[arg-type]
    found: dict[str, list[Times]] = {name: [] for name in contenders}
    for i in range(rounds):
        for name, config in contenders.items():
            found[name].append(timed(config, arms))
        say(f"round {i + 1} of {rounds}: {found}")
    return found


def rows_of(found: dict[str, list[Times]], n: int) -> list[list[str]]:
    """A row for each contender: seconds to begin, seconds of the study, efficiency."""
    rows = []
    for name, times in found.items():
        starts, trains = ([pair[i] for pair in times] for i in range(2))
        kind, _, workers = name.partition(", ")
        efficiency = "-"
        if int(workers) > 1:
            alone = [train / n for _, train in found[f"{kind}, 1"]]
            efficiency = ratios(alone, trains).text()
        rows.append([name, Quartiles.of(starts).text(1), Quartiles.of(trains).text(2), efficiency])
    return rows


def main() -> None:
    """Measure, and write what was found."""
    made = parser(__doc__ or "", quick="one short round")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--workers", type=int, default=count_cores(), help="beside one; at least 2")
    made.add_argument("--trials", type=int, default=64, help="of each of two repeats")
    options = made.parse_args()
    rounds, trials, epochs = (1, 16, 2) if options.quick else (options.rounds, options.trials, 65)
    n = max(options.workers, 2)
    check_ray(ExecutorConfig("ray"), CPU)
    reproducible()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begun = time.monotonic()
    with started(ExecutorConfig("ray", n), CPU, 64 << 20):
        found = measure(n, planned(trials, epochs), rounds)
    said = [
        f"A study of 2 x {trials} trials of {epochs} epochs. Seconds to begin (workers start, and "
        "train a batch), seconds to train it, and efficiency: the time of one worker over "
        f"{n} times that of {n}, within a round. Medians, with quartiles.",
        table(["executor, workers", "to begin, s", "to train, s", "efficiency"], rows_of(found, n)),
    ]
    about_it = about(begun, rounds)
    write_results(options.output, "ray_efficiency", about_it, found, "\n\n".join(said))


if __name__ == "__main__":
    sys.exit(main())
