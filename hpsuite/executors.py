"""Where batches run. Workers are pure functions from specs to results.

The main process alone asks, tells and writes; what it needs back comes as futures.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import fields
from multiprocessing.context import BaseContext
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import torch

from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.training import Checkpoints, Lockstep, Resident, train, train_lockstep
from hpsuite.training.allocation import keep_memory
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialResult, TrialSpec

Work = Sequence[TrialSpec] | Lockstep


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


class WorkerLost(BrokenExecutor):
    """A worker process, or the server that forks them, ended before its batch was done."""

    def __init__(self) -> None:
        super().__init__(
            "a worker process ended before its batch was done: it was killed, or memory ran out; "
            "what was told is in the record, and the same command continues it"
        )


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
        """Train a batch now."""
        fingerprint = _dataset(batch)
        if fingerprint not in self._residents:
            self._residents[fingerprint] = Resident.place(self.datasets[fingerprint], self.device)
        future: Future[list[TrialResult]] = Future()
        future.set_result(_train(batch, self._residents[fingerprint], self._checkpoints))
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
    """Trains in single-threaded processes on the CPU, which share the pages of the data.

    A script that makes one needs the usual `if __name__ == "__main__":`, as the workers import it.
    """

    def __init__(
        self,
        datasets: Mapping[str, Data],
        n_workers: int,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Datasets by fingerprint, and where the states of days are kept."""
        self.n_workers = n_workers
        self._folder = tempfile.TemporaryDirectory(prefix="hpsuite-")
        for fingerprint, data in datasets.items():
            _save(data, Path(self._folder.name) / fingerprint)
        self._pool = ProcessPoolExecutor(
            n_workers,
            mp_context=_start_server(),
            initializer=_start_worker,
            initargs=(self._folder.name, checkpoints),
        )

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """Let a worker train a batch.

        Raises:
            BrokenExecutor: a worker ended, now or before.
        """
        try:
            return self._pool.submit(
                _train_in_worker, batch if isinstance(batch, Lockstep) else tuple(batch)
            )
        except (EOFError, ConnectionError) as error:  # the server ended
            raise WorkerLost from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None:
                if not issubclass(kind, Exception):  # an interrupt, at any place
                    _kill_server()  # first, as it may be about to fork a worker
                for process in dict(self._pool._processes or {}).values():
                    process.terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)
        finally:
            self._folder.cleanup()


def _start_server() -> BaseContext:
    """How worker processes start; on POSIX, by forks of a server that imported torch once.

    A start then costs milliseconds, and nothing of this process, such as its threads or its open
    record, is inherited.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    # The main process decides what an interrupt means. The server inherits that it ignores them,
    # and the workers do from it; set later, one during the imports would end it.
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    try:
        forkserver.ensure_running()
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    return context


def _kill_server() -> None:
    """Let the server of worker processes fork no more; the next executor starts another one."""
    if os.name != "posix":
        return
    from multiprocessing import forkserver

    # There is no public way; without this, an interrupt during its imports leaves it to fork a
    # worker that finds its queues gone, and says so in a traceback.
    server = forkserver._forkserver
    pid: int | None = getattr(server, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        server._stop()  # type: ignore[attr-defined]


def make_executor(
    config: ExecutorConfig,
    datasets: Mapping[str, Data],
    device: torch.device,
    checkpoints: Checkpoints | None = None,
) -> Executor:
    """The executor of a configuration. On a GPU one process trains all that fits at once."""
    if config.kind == "inline" or device.type == "cuda":
        return InlineExecutor(datasets, device, checkpoints)
    return ProcessExecutor(datasets, count_workers(config, device), checkpoints)


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


_NUMBERS = ("n_classes", "flip", "shift")
_ARRAYS = tuple(f.name for f in fields(Data) if f.name not in (*_NUMBERS, "fingerprint"))

# What a worker process holds: the folder of the data, those that it has opened, and the states.
_folder = Path()
_checkpoints: Checkpoints | None = None
_residents: dict[str, Resident] = {}


def _save(data: Data, folder: Path) -> None:
    folder.mkdir()
    for name in (*_ARRAYS, *_NUMBERS):
        np.save(folder / f"{name}.npy", np.asarray(getattr(data, name)), allow_pickle=False)


def _load(folder: Path) -> Data:
    """A data set whose arrays are mapped from files: all workers share their pages."""
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in _ARRAYS
    }
    numbers = {
        name: np.load(folder / f"{name}.npy", allow_pickle=False).item() for name in _NUMBERS
    }
    return Data(**arrays, **numbers, fingerprint=folder.name)


def _start_worker(folder: str, checkpoints: Checkpoints | None) -> None:
    global _folder, _checkpoints
    _folder, _checkpoints = Path(folder), checkpoints
    reproducible()
    keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the main process is gone, even if it was killed: nobody waits for results."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    shutil.rmtree(_folder, ignore_errors=True)
    os._exit(1)


def _train_in_worker(batch: Work) -> list[TrialResult]:
    fingerprint = _dataset(batch)
    if fingerprint not in _residents:
        data = _load(_folder / fingerprint)
        # Not `Resident.place`, which copies.
        tensors = {name: torch.from_numpy(getattr(data, name)) for name in _ARRAYS}
        _residents[fingerprint] = Resident(data, **tensors)
    return _train(batch, _residents[fingerprint], _checkpoints)


def _dataset(batch: Work) -> str:
    """Fingerprint of the data that a batch trains on."""
    return batch.dataset if isinstance(batch, Lockstep) else batch[0].dataset


def _train(batch: Work, resident: Resident, checkpoints: Checkpoints | None) -> list[TrialResult]:
    if isinstance(batch, Lockstep):
        return train_lockstep(batch, resident)
    return train(batch, resident, checkpoints)
