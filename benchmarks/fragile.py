"""A model that a worker process does not survive, at some of its widths."""

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import torch
from torch import nn

from hpsuite.models import mlp

# Bytes that it takes at once, and at most.
BLOCK, MOST_BYTES = 64 << 20, 8 << 30


def fragile(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    generator: torch.Generator,
    units: int = 8,
    ends: str = "killed",
    at: int = 5,
    **others: Any,
) -> nn.Module:
    """A perceptron that ends its process, or never ends, in a worker, at a width (0: any)."""
    if at in (0, units) and multiprocessing.parent_process() is not None:
        _end(ends)
    return mlp(input_shape, n_classes, generator=generator, units=units, **others)


def _end(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits":
        os._exit(3)
    if how == "memory":
        raise MemoryError
    held = []
    while how == "fills":
        held.append(b"1" * BLOCK)  # each page is written to
        if len(held) * BLOCK > MOST_BYTES:
            os._exit(4)  # should nothing end it before
        time.sleep(0.02)
    if how == "waits":
        threading.Event().wait()
    while how == "runs":
        time.perf_counter()
