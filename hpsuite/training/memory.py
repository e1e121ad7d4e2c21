"""Batches that do not fit into memory: halved, and trained again from their seeds.

No result depends on it (docs/architecture.md, law 3): nothing of what was begun is kept.
"""

import gc
import logging
from collections.abc import Sequence

import torch

from hpsuite.training.fusing import build_all
from hpsuite.training.reading import Reading
from hpsuite.training.resident import Resident
from hpsuite.training.states import States
from hpsuite.training.together import train_built
from hpsuite.trials import TrialResult, TrialSpec

_log = logging.getLogger(__name__)

# What torch says where the memory of a CPU does not suffice; it has no class of error for it.
_CPU_WORDS = ("not enough memory", "can't allocate memory", "std::bad_alloc")


def train_in_memory(
    specs: Sequence[TrialSpec],
    resident: Resident,
    readings: list[Reading] | None = None,
    states: States | None = None,
) -> list[TrialResult]:
    """Train a batch, in halves for as long as it does not fit into memory.

    Args:
        specs: trials of one bucket.
        resident: their data.
        readings: their models, where these are built.
        states: has those that days begin with, and takes those in which they end.

    Returns:
        Their results, in order.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
        MemoryError, RuntimeError: of a single trial that does not fit.
    """
    try:
        return train_built(readings or build_all(specs, resident), specs, resident, states)
    except (MemoryError, RuntimeError) as error:
        if len(specs) == 1 or not out_of_memory(error):
            raise
    # Outside of the except clause, whose error holds on to all that the batch had allocated.
    if readings is not None:
        readings.clear()
    free_memory(resident.device)
    half = (len(specs) + 1) // 2
    _log.warning(
        "%d trials of %s do not fit into memory: trained as %d and %d",
        len(specs),
        specs[0].model.target,
        half,
        len(specs) - half,
    )
    return [
        *train_in_memory(specs[:half], resident, states=states),
        *train_in_memory(specs[half:], resident, states=states),
    ]


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory does not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in _CPU_WORDS
    )


def free_memory(device: torch.device) -> None:
    """Give back what nothing holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
