"""Where batches run. Workers are pure functions from specs to results.

The main process alone asks, tells and writes; what it needs back comes as futures.
"""

import os
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self

import torch

from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.serving import Work, dataset_of, train_batch
from hpsuite.training import Checkpoints, Resident
from hpsuite.training.allocation import keep_memory
from hpsuite.training.memory import free_memory, out_of_memory
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialResult
from hpsuite.workers import ProcessExecutor

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


def make_executor(
    config: ExecutorConfig,
    datasets: Mapping[str, Data],
    device: torch.device,
    checkpoints: Checkpoints | None = None,
) -> Executor:
    """The executor of a configuration. On a GPU one process trains all that fits at once."""
    if config.kind == "inline" or device.type == "cuda":
        return InlineExecutor(datasets, device, checkpoints)
    return ProcessExecutor(datasets, count_workers(config, device), checkpoints, config)


def count_workers(config: ExecutorConfig, device: torch.device) -> int:
    """How many batches run at a time."""
    if config.kind == "inline" or device.type == "cuda":
        return 1
    return config.workers or count_cores()


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
