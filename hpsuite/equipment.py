"""What a worker process begins with; imports nothing of size, for those that only watch one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsuite.training import Checkpoints


@dataclass(frozen=True)
class Equipment:
    """What a worker process begins with.

    Attributes:
        folder: where the data sets lie.
        checkpoints: where the states of days are kept.
        gpu: the one that it trains on, as CUDA_VISIBLE_DEVICES names it; None trains on the CPU.
    """

    folder: str
    checkpoints: "Checkpoints | None" = None
    gpu: str | None = None
