"""What a worker process does: map the data, train, answer."""

import contextlib
import io
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpsuite.datasets import Data
from hpsuite.equipment import Equipment
from hpsuite.scratch import remove_unused, write_arrays
from hpsuite.training import Checkpoints, Lockstep, Resident, train, train_lockstep
from hpsuite.training.allocation import keep_memory
from hpsuite.training.memory import free_memory
from hpsuite.training.reproducible import reproducible
from hpsuite.training.states import State, States, state_name
from hpsuite.trials import TrialResult, TrialSpec

Work = Sequence[TrialSpec] | Lockstep

_NUMBERS = ("n_classes", "flip", "shift")
ARRAYS = tuple(f.name for f in fields(Data) if f.name not in (*_NUMBERS, "fingerprint"))

# What a worker process holds: the folder of the data, those that it has opened, the states, and
# where it trains.
_folder = Path()
_checkpoints: Checkpoints | None = None
_residents: dict[str, Resident] = {}
_device = torch.device("cpu")


def save(data: Data, folder: Path) -> None:
    """Write a data set for workers to map."""
    write_arrays(arrays_of(data), folder)


def arrays_of(data: Data) -> dict[str, NDArray[np.generic]]:
    """All of a data set but its fingerprint, as arrays by name."""
    return {name: np.asarray(getattr(data, name)) for name in (*ARRAYS, *_NUMBERS)}


def load(folder: Path) -> Data:
    """A data set whose arrays are mapped from files: all workers share their pages."""
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS
    }
    numbers = {
        name: np.load(folder / f"{name}.npy", allow_pickle=False).item() for name in _NUMBERS
    }
    return Data(**arrays, **numbers, fingerprint=folder.name)


def serve(connection: Connection, given: Equipment) -> None:
    """What a worker process does: answer calls, one after the other, for as long as any come."""
    global _folder, _checkpoints, _device
    device = torch.device("cpu" if given.gpu is None else "cuda")
    _folder, _checkpoints, _device = Path(given.folder), given.checkpoints, device
    if given.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = given.gpu  # read when CUDA is first used, here later
    reproducible()
    keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        connection.send("ready")
        while (call := connection.recv()) is not None:
            connection.send("begins")
            connection.send(answer := _answer(*call))
            if not answer[0]:
                del answer, call
                free_memory(_device)
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
    remove_unused(_folder)
    os._exit(1)


def train_here(batch: Work) -> list[TrialResult]:
    """Train a batch in this worker process."""
    return train_batch(batch, _resident(dataset_of(batch)), _checkpoints)


def train_carried(sent: bytes) -> bytes:
    """Train a batch in this worker process, which reaches no checkpoints.

    Args:
        sent: by `pickle`, the batch and the states that its days begin with, by `packed`; None
            where it has no days. What only carries it need not import what is in it.

    Returns:
        By `pickle`, the results and all states in which days ended, likewise.
    """
    batch, begun = pickle.loads(sent)  # noqa: S301 (of the main process)
    carried = None if begun is None else Carried(unpacked(begun))
    results = train_batch(batch, _resident(dataset_of(batch)), carried)
    return pickle.dumps((results, None if carried is None else packed(carried.saved)))


def _resident(fingerprint: str) -> Resident:
    if fingerprint not in _residents:
        data = load(_folder / fingerprint)
        if _device.type == "cpu":
            # Not `Resident.place`, which copies.
            tensors = {name: torch.from_numpy(getattr(data, name)) for name in ARRAYS}
            _residents[fingerprint] = Resident(data, **tensors)
        else:
            _residents[fingerprint] = Resident.place(data, _device)
    return _residents[fingerprint]


class Carried:
    """States that came with a batch, and those that go back with its results; see `States`.

    Attributes:
        saved: by name, those in which days ended.
    """

    def __init__(self, given: Mapping[str, State]) -> None:
        """States by name."""
        self._given = given
        self.saved: dict[str, State] = {}

    def load(self, spec: TrialSpec) -> State | None:
        """The state in which a day ended; None where it did not come along."""
        return self._given.get(state_name(spec))

    def save(self, spec: TrialSpec, state: State) -> None:
        """Let it go back with the results."""
        self.saved[state_name(spec)] = state


def packed(states: Mapping[str, State]) -> bytes:
    """States by name, as bytes that can be sent."""
    buffer = io.BytesIO()
    torch.save({name: dict(state) for name, state in states.items()}, buffer)
    return buffer.getvalue()


def unpacked(sent: bytes) -> dict[str, State]:
    """What `packed` made bytes of; reading it runs no code."""
    found: dict[str, State] = torch.load(io.BytesIO(sent), map_location="cpu", weights_only=True)
    return found


def dataset_of(batch: Work) -> str:
    """Fingerprint of the data that a batch trains on."""
    return batch.dataset if isinstance(batch, Lockstep) else batch[0].dataset


def train_batch(batch: Work, resident: Resident, states: States | None) -> list[TrialResult]:
    """Train a batch that the planner made, or cohorts side by side."""
    if isinstance(batch, Lockstep):
        return train_lockstep(batch, resident)
    return train(batch, resident, states)
