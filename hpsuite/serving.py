"""What a worker process does: map the data, train, answer."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpsuite.datasets import Data
from hpsuite.training import Checkpoints, Lockstep, Resident, train, train_lockstep
from hpsuite.training.allocation import keep_memory
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialResult, TrialSpec

Work = Sequence[TrialSpec] | Lockstep

_NUMBERS = ("n_classes", "flip", "shift")
ARRAYS = tuple(f.name for f in fields(Data) if f.name not in (*_NUMBERS, "fingerprint"))

# What a worker process holds: the folder of the data, those that it has opened, and the states.
_folder = Path()
_checkpoints: Checkpoints | None = None
_residents: dict[str, Resident] = {}


def save(data: Data, folder: Path) -> None:
    """Write a data set for workers to map."""
    folder.mkdir()
    for name in (*ARRAYS, *_NUMBERS):
        np.save(folder / f"{name}.npy", np.asarray(getattr(data, name)), allow_pickle=False)


def load(folder: Path) -> Data:
    """A data set whose arrays are mapped from files: all workers share their pages."""
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS
    }
    numbers = {
        name: np.load(folder / f"{name}.npy", allow_pickle=False).item() for name in _NUMBERS
    }
    return Data(**arrays, **numbers, fingerprint=folder.name)


def serve(connection: Connection, folder: str, checkpoints: Checkpoints | None) -> None:
    """What a worker process does: answer calls, one after the other, for as long as any come."""
    global _folder, _checkpoints
    _folder, _checkpoints = Path(folder), checkpoints
    reproducible()
    keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        connection.send("ready")
        while (call := connection.recv()) is not None:
            connection.send("begins")
            connection.send(_answer(*call))
    except (EOFError, ConnectionError):
        _leave()


def _answer(function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[bool, object]:
    try:
        return True, function(*arguments)
    except Exception as error:  # noqa: BLE001 (it is raised again by the main process)
        told = _sendable(error)
        told.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return False, told


def _sendable(error: Exception) -> Exception:
    """An error that comes out at the other end: of a user's own class there is only its text."""
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    if type(error).__module__.partition(".")[0] in ("builtins", "torch", "hpsuite"):
        with contextlib.suppress(Exception):
            ForkingPickler.dumps(error)
            return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """Leave when the main process is gone, even if it was killed: nobody waits for results."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    _leave()


def _leave() -> None:
    """End, with the data that the main process did not live to remove."""
    shutil.rmtree(_folder, ignore_errors=True)
    os._exit(1)


def train_here(batch: Work) -> list[TrialResult]:
    """Train a batch in this worker process."""
    fingerprint = dataset_of(batch)
    if fingerprint not in _residents:
        data = load(_folder / fingerprint)
        # Not `Resident.place`, which copies.
        tensors = {name: torch.from_numpy(getattr(data, name)) for name in ARRAYS}
        _residents[fingerprint] = Resident(data, **tensors)
    return train_batch(batch, _residents[fingerprint], _checkpoints)


def dataset_of(batch: Work) -> str:
    """Fingerprint of the data that a batch trains on."""
    return batch.dataset if isinstance(batch, Lockstep) else batch[0].dataset


def train_batch(
    batch: Work, resident: Resident, checkpoints: Checkpoints | None
) -> list[TrialResult]:
    """Train a batch that the planner made, or cohorts side by side."""
    if isinstance(batch, Lockstep):
        return train_lockstep(batch, resident)
    return train(batch, resident, checkpoints)
