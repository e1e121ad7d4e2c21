"""Choosing on a GPU how trials are put together, by a short measurement.

How fast a GPU is with so many trials at once, with one form of convolution or another, or with an
update that is compiled, follows from its kernels, and nobody knows it beforehand. So a trial of a
setup is trained for some steps in each way, in copies, before the first one of the setup is asked
for. What was found is recorded with the setup's studies, as their last bits depend on it, and
holds when they go on (`hpsuite/tuning.py`).

On a CPU there is nothing to choose: caches give the number (see planner.py), convolutions train
one by one, and steps are taped.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, cast

from torch.nn.modules.conv import _ConvNd

from hpsuite.training.batches import train
from hpsuite.training.loop import build_model, count_steps
from hpsuite.training.memory import free_memory
from hpsuite.training.resident import Resident
from hpsuite.trials import Numerics, TrialSpec

log = logging.getLogger(__name__)

# Shares of a GPU's memory that a batch may fill.
SHARES = (1 / 4, 1 / 16, 1 / 64)
# Steps of one size until they are recorded (see graphs.py), and as many more to measure.
SETTLED_STEPS = 24
# Steps of an epoch below which those of the last, smaller mini-batch count too.
SHORT_EPOCH = 5
# A way is clearly faster than the first one that takes less than this share of its time.
CLEARLY = 0.95

# How many trials like one fit into a share of the memory.
AtOnce = Callable[[TrialSpec, float], int]


@dataclass(frozen=True)
class Tuned:
    """How trials of a setup are put together.

    Attributes:
        memory_share: the share of the GPU's memory that a batch may fill, in (0, 1].
        convolutions, compiled: what `auto` stands for in the setup's numerics.
    """

    memory_share: float = SHARES[0]
    convolutions: Literal["columns", "grouped"] = "columns"
    compiled: Literal["yes", "no"] = "no"

    def settled(self, numerics: Numerics) -> Numerics:
        """A setup's numerics, with what was left to be measured."""
        convolutions, compiled = numerics.convolutions, numerics.compiled
        return replace(
            numerics,
            convolutions=self.convolutions if convolutions == "auto" else convolutions,
            compiled=self.compiled if compiled == "auto" else compiled,
        )

    def as_plain(self) -> dict[str, object]:
        """As a record has it."""
        return asdict(self)

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> Self:
        """What `as_plain` gave."""
        return cls(**values)


def autotune(spec: TrialSpec, resident: Resident, at_once: AtOnce, *, most: int) -> Tuned:
    """Measure what is left open, one after the other: convolutions, the update, how many at once.

    What fails, as where memory does not suffice, is not chosen.

    Args:
        spec: a trial of the setup.
        resident: its data.
        at_once: how many trials fit into a share of the memory.
        most: trials that may wait at once.
    """
    found = Tuned()

    def pace(tuned: Tuned) -> float:
        n = max(1, min(at_once(spec, tuned.memory_share), most))
        own = replace(spec, numerics=tuned.settled(spec.numerics))
        try:
            return seconds_of_a_step([replace(own, number=i) for i in range(n)], resident)
        except (RuntimeError, MemoryError) as error:
            log.debug("autotune: %s: %s", tuned, error)
        free_memory(resident.device)
        return math.inf

    model = build_model(spec.model, resident.data, seed=0, number=0)
    convolves = any(isinstance(layer, _ConvNd) for layer in model.modules())
    if convolves and spec.numerics.convolutions == "auto":
        forms: list[Tuned] = [
            replace(found, convolutions=cast(Any, form)) for form in ("columns", "grouped")
        ]
        found = fastest(forms, pace)
    if spec.numerics.compiled == "auto":
        found = fastest([replace(found, compiled=cast(Any, way)) for way in ("no", "yes")], pace)
    shares: dict[int, Tuned] = {}
    for share in SHARES:
        n = max(1, min(at_once(spec, share), most))
        shares.setdefault(n, replace(found, memory_share=share))
    return fastest(list(shares.values()), pace)


def fastest(ways: Sequence[Tuned], pace: Callable[[Tuned], float]) -> Tuned:
    """The first way, or the one that takes least where that is clear; one alone is not measured.

    Each is measured twice, in turns, of which the shorter time counts.
    """
    if len(ways) == 1:
        return ways[0]
    seconds = dict.fromkeys(ways, math.inf)
    for _ in range(2):
        for way in ways:
            seconds[way] = min(seconds[way], pace(way))
    for way, taken in seconds.items():
        log.debug("autotune: %s: %.3g ms a step of a trial", way, 1e3 * taken)
    best = min(ways, key=seconds.__getitem__)
    return best if seconds[best] < CLEARLY * seconds[ways[0]] else ways[0]


def seconds_of_a_step(specs: Sequence[TrialSpec], resident: Resident) -> float:
    """Seconds of one step of one trial, where all of these train together."""

    def took(n_steps: int) -> float:
        begun = time.perf_counter()
        train([replace(spec, epochs=None, steps=n_steps) for spec in specs], resident)
        return time.perf_counter() - begun

    took(2)  # the first call warms up, and compiles
    n = steps_to_record(count_steps(specs[0], len(resident.y_train))[1])
    begun = took(n)
    taken = took(2 * n) - begun
    return taken / n / len(specs) if taken > 0 else math.inf


def steps_to_record(per_epoch: int) -> int:
    """Steps until all is recorded that matters (see graphs.py): of short epochs both sizes."""
    return SETTLED_STEPS * (per_epoch if per_epoch < SHORT_EPOCH else 1)
