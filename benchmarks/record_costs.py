"""What a record costs for each trial: seconds to ask and to tell, bytes, and the server's time.

Trials are asked for and told as a study does it (`StudyRun`), random search over the nine
hyperparameters of conf/space/sgd.yaml, with made-up results of 20 epochs, so that all that is
measured is the main process's own work and its record.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import psutil
import torch
from hydra import initialize_config_dir

from benchmarks.measured import Quartiles
from benchmarks.postgres_server import Server
from benchmarks.simulated import Costs
from hpsuite.arms import PlannedArm, open_studies, plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.journal import rarely_synced
from hpsuite.overrides import config_dir
from hpsuite.record import open_storage
from hpsuite.study import StudyRun
from hpsuite.trials import TrialResult, TrialSpec

EPOCHS = 20
JOURNAL, SQLITE, POSTGRES = "journal", "SQLite", "PostgreSQL"
# Trials before the clock starts.
WARM = 10


@dataclass(frozen=True)
class Measured:
    """What a record costs.

    Attributes:
        costs: mean seconds of a trial, which is what many trials take.
        ask, tell: quartiles of the same, in seconds.
        kilobytes: that a trial takes.
        n: trials that were measured.
    """

    costs: Costs
    ask: Quartiles
    tell: Quartiles
    kilobytes: float
    n: int


def planned(seed: int, trials: int) -> list[PlannedArm]:
    """An arm of random search."""
    overrides = [
        *("name=costs", "strategy=log_random", "space=sgd", "repeats=1", f"seed={seed}"),
        *(f"budget.trials={trials}", f"budget.epochs={EPOCHS}", "device=cpu"),
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return plan_arms(compose_experiment(overrides)[1])


def made_up(spec: TrialSpec) -> TrialResult:
    """A result as long as a real one."""
    curve = tuple(0.1 + 0.7 * spec.number / (1 + spec.number + i) for i in range(EPOCHS + 1))
    return TrialResult(
        spec.study, spec.number, "finite", curve[-1], curve[-1], curve, curve, 20 * EPOCHS, 0.1
    )


def ask_and_tell(study: StudyRun) -> tuple[float, float]:
    """Seconds of each."""
    begun = time.perf_counter()
    spec = study.ask()
    between = time.perf_counter()
    study.tell(made_up(spec))
    return between - begun, time.perf_counter() - between


@contextmanager
def opened(address: str, seed: int, trials: int) -> Iterator[StudyRun]:
    """A study of a record."""
    storage = open_storage(address)
    (run,) = open_studies(storage, planned(seed, trials), fresh=False, device=torch.device("cpu"))
    with rarely_synced(storage):
        yield run.studies[0]


def measure(address: str, n: int, size: "Size") -> Measured:
    """Costs of one process alone.

    Args:
        address: of an empty record.
        n: trials to measure.
        size: bytes of the record, when it is called.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with opened(address, 0, WARM + n) as study:
        for _ in range(WARM):
            ask_and_tell(study)
        before = size()
        times = [ask_and_tell(study) for _ in range(n)]
        grown = size() - before
    asks, tells = zip(*times, strict=True)
    costs = Costs(statistics.fmean(asks), statistics.fmean(tells))
    return Measured(costs, Quartiles.of(asks), Quartiles.of(tells), grown / n / 1e3, n)


class Size:
    """How large a record is."""

    def __init__(self, where: Path | tuple[Server, str]) -> None:
        """A file, or a database of a server."""
        self._where = where

    def __call__(self) -> int:
        """In bytes."""
        if isinstance(self._where, Path):
            files = self._where.parent.glob(f"{self._where.name}*")
            return sum(path.stat().st_size for path in files if path.is_file())
        server, name = self._where
        ((n,),) = server.execute(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
            name,
        )
        assert isinstance(n, int)
        return n


@dataclass(frozen=True)
class Shared:
    """Several processes that write to one record at once, each its own study.

    Attributes:
        rate: trials a second, of all of them.
        server_ms: processor milliseconds of the server's for a trial.
    """

    processes: int
    rate: float
    server_ms: float


def shared(server: Server, processes: int, n: int) -> Shared:
    """Let so many processes tell n trials each."""
    address = server.create(f"shared{processes}", over_tcp=True)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_tell, args=(address, seed, n, barrier)) for seed in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait(300)  # all have opened their studies
    begun, before = time.perf_counter(), _server_seconds(server)
    barrier.wait(300)
    seconds = time.perf_counter() - begun
    used = _server_seconds(server) - before
    barrier.wait(300)  # whose connections are still open
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, worker.exitcode
    told = server.execute(
        "SELECT count(*) FROM trials WHERE state = 'COMPLETE'", f"shared{processes}"
    )
    assert told == [(processes * (n + WARM),)], told
    return Shared(processes, processes * n / seconds, 1e3 * used / processes / n)


def _tell(address: str, seed: int, n: int, barrier: Barrier) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with opened(address, seed, WARM + n) as study:
        for _ in range(WARM):
            ask_and_tell(study)
        barrier.wait(300)
        for _ in range(n):
            ask_and_tell(study)
        barrier.wait(300)
        barrier.wait(300)


def _server_seconds(server: Server) -> float:
    """Processor time of all of a server's processes."""
    parent = psutil.Process(server.pid)
    times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def asked_late(server: Server, sizes: tuple[int, ...], n: int = 20) -> dict[int, float]:
    """Milliseconds to make a trial in a study that has so many already, on PostgreSQL.

    Optuna counts a study's trials to number the next one.
    """
    address = server.create("late", over_tcp=True)
    storage = open_storage(address)
    study = optuna.create_study(storage=storage, study_name="late")._study_id
    found, there = {}, 0
    for size in sizes:
        server.execute(
            "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
            f"SELECT i, {study}, 'COMPLETE', now(), now() FROM "
            f"generate_series({there}, {size - 1}) i",
            "late",
        )
        server.execute("ANALYZE trials", "late")
        there = size + n
        own = open_storage(address)
        # What is read at a study's opening is not what a trial costs.
        own._newest[study] = 0  # type: ignore[attr-defined]
        times = []
        for _ in range(n):
            begun = time.perf_counter()
            own.create_new_trial(study)
            times.append(time.perf_counter() - begun)
        found[size] = 1e3 * statistics.median(times)
    return found


def use_password(server: Server) -> None:
    """Let all processes from here on log in."""
    os.environ["PGPASSWORD"] = server.password
