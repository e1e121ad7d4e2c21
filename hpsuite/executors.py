"""Where batches run. Workers are pure functions from specs to results.

The main process alone asks, tells and writes; what it needs back comes as futures.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

import torch

from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.devices import count_cores, visible_gpus
from hpsuite.equipment import Equipment
from hpsuite.losses import Limits
from hpsuite.on_ray.cluster import count_tasks
from hpsuite.on_ray.executor import RayExecutor
from hpsuite.scratch import Scratch
from hpsuite.serving import Work, dataset_of, save, train_batch, train_here
from hpsuite.training import Checkpoints, Lockstep, Resident
from hpsuite.training.allocation import keep_memory
from hpsuite.training.memory import free_memory, out_of_memory
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialResult
from hpsuite.workers import Crew, kill_server

TRAINING = "while training a batch"


class Executor(Protocol):
    """Trains batches. A context manager: what it started ends with it."""

    n_workers: int

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """Train a batch that the planner made, or cohorts side by side."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class InlineExecutor:
    """Trains in this process, on any device."""

    n_workers = 1

    def __init__(
        self,
        datasets: Mapping[str, Data],
        device: torch.device,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Datasets by fingerprint, and where the states of days are kept."""
        reproducible()
        keep_memory()
        self._checkpoints = checkpoints
        self.datasets = datasets
        self.device = device
        self._residents: dict[str, Resident] = {}

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """Train a batch now; its future raises what memory does not hold."""
        fingerprint = dataset_of(batch)
        if fingerprint not in self._residents:
            self._residents[fingerprint] = Resident.place(self.datasets[fingerprint], self.device)
        future: Future[list[TrialResult]] = Future()
        try:
            future.set_result(train_batch(batch, self._residents[fingerprint], self._checkpoints))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                error.add_note(TRAINING)
                raise
            # Without its traceback, which holds on to all that the batch had allocated.
            future.set_exception(error.with_traceback(None))
        except Exception as error:
            error.add_note(TRAINING)
            raise
        except SystemExit as error:
            raise RuntimeError(f"a model ended the process, with status {error.code}") from error
        if future.exception() is not None:
            free_memory(self.device)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._residents.clear()


class ProcessExecutor:
    """Trains in processes of one thread each, which share the pages of the data.

    On the CPU there are as many as are asked for, on GPUs one for each of them. A script that makes
    one needs the usual `if __name__ == "__main__":`, as the workers import it.
    """

    def __init__(
        self,
        datasets: Mapping[str, Data],
        n_workers: int,
        checkpoints: Checkpoints | None = None,
        limits: ExecutorConfig | None = None,
        gpus: Sequence[str] = (),
    ) -> None:
        """Start nothing yet but the server that workers fork from.

        Args:
            datasets: by fingerprint.
            n_workers: how many processes.
            checkpoints: where the states of days are kept.
            limits: when a worker hangs.
            gpus: one for each worker, as CUDA_VISIBLE_DEVICES names it; none where they train on
                the CPU.
        """
        self.n_workers = n_workers
        self._scratch = Scratch()
        try:
            for fingerprint, data in datasets.items():
                save(data, self._scratch.folder / fingerprint)
        except BaseException:  # no room for it, say
            self._scratch.remove()
            raise
        cpu = Equipment(str(self._scratch.folder), checkpoints)
        given = [replace(cpu, gpu=gpu) for gpu in gpus] or [cpu] * n_workers
        assert len(given) == n_workers, (gpus, n_workers)
        asked = ExecutorConfig("processes") if limits is None else limits
        self._crew = Crew(given, Limits(asked.idle_limit, asked.time_limit))

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """Let a worker train a batch; its future raises BatchLost where the worker ended first."""
        return self.call(train_here, batch if isinstance(batch, Lockstep) else tuple(batch))

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Let a worker call a function that it can import."""
        return self._crew.call(function, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and not issubclass(kind, Exception):  # an interrupt, at any place
                kill_server()  # first, as it may be about to fork a worker
            self._crew.end(at_once=kind is not None)
        finally:
            self._scratch.remove()


def make_executor(
    config: ExecutorConfig,
    datasets: Mapping[str, Data],
    device: torch.device,
    checkpoints: Checkpoints | None = None,
) -> Executor:
    """The executor of a configuration. On one GPU this process trains all that fits at once."""
    if config.kind == "ray":
        return RayExecutor(datasets, device, checkpoints, config)
    n_workers = count_workers(config, device)
    if config.kind == "inline" or (device.type == "cuda" and n_workers == 1):
        return InlineExecutor(datasets, device, checkpoints)
    gpus = visible_gpus(n_workers) if device.type == "cuda" else ()
    return ProcessExecutor(datasets, n_workers, checkpoints, config, gpus)


def count_workers(config: ExecutorConfig, device: torch.device) -> int:
    """How many batches run at a time; on a cluster, to be at hand (see `reached`), in tasks."""
    if config.kind == "ray":
        return count_tasks(config, device)
    if config.kind == "inline":
        return 1
    if device.type == "cuda":
        n_gpus = torch.cuda.device_count()
        return min(config.workers or n_gpus, n_gpus)
    return config.workers or count_cores()
