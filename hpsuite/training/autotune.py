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
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, cast

from torch.nn.modules.conv import _ConvNd

from hpsuite.training.batches import train
from hpsuite.training.loop import build_model
from hpsuite.training.resident import Resident
from hpsuite.trials import Numerics, TrialSpec

log = logging.getLogger(__name__)

# Shares of a GPU's memory that a batch may fill.
SHARES = (1 / 4, 1 / 16, 1 / 64)
# Steps until all is recorded that will be (see graphs.py), and as many more to measure.
MEASURED_STEPS = 24

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

    Args:
        spec: a trial of the setup.
        resident: its data.
        at_once: how many trials fit into a share of the memory.
        most: trials that there are to train.
    """
    found = Tuned()

    def pace(tuned: Tuned) -> float:
        n = max(1, min(at_once(spec, tuned.memory_share), most))
        own = replace(spec, numerics=tuned.settled(spec.numerics))
        return seconds_of_a_step([replace(own, number=i) for i in range(n)], resident)

    model = build_model(spec.model, resident.data, seed=0, number=0)
    if spec.numerics.convolutions == "auto" and any(
        isinstance(m, _ConvNd) for m in model.modules()
    ):
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
    """The first of those that take least; one alone is not measured."""
    if len(ways) == 1:
        return ways[0]
    seconds = {way: pace(way) for way in ways}
    for way, taken in seconds.items():
        log.debug("autotune: %s: %.3g ms a step of a trial", way, 1e3 * taken)
    return min(ways, key=seconds.__getitem__)


def seconds_of_a_step(specs: Sequence[TrialSpec], resident: Resident) -> float:
    """Seconds of one step of one trial, where all of these train together."""

    def took(n_steps: int) -> float:
        begun = time.perf_counter()
        train([replace(spec, epochs=None, steps=n_steps) for spec in specs], resident)
        return time.perf_counter() - begun

    took(2)  # the first call warms up, and compiles
    begun = took(MEASURED_STEPS)
    return max(took(2 * MEASURED_STEPS) - begun, 1e-9) / MEASURED_STEPS / len(specs)
