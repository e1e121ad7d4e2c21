"""Trials of one bucket, trained together but for those that have to be by themselves.

What is filled up with zeros must keep its bits (see padding.py). Where it would not, a trial trains
beside those of its own structure alone.
"""

from collections.abc import Hashable, Sequence

from hpsuite.training.fused import FusedBatch, scored_at_once
from hpsuite.training.fusing import build_all
from hpsuite.training.loop import DTYPES, minibatches
from hpsuite.training.mixed_precision import product_of
from hpsuite.training.padding import exact
from hpsuite.training.reading import Reading
from hpsuite.training.resident import Resident
from hpsuite.training.states import States
from hpsuite.trials import TrialResult, TrialSpec


def train_fused(
    specs: Sequence[TrialSpec], resident: Resident, states: States | None = None
) -> list[TrialResult]:
    """Train K trials of one bucket (see planner.py) at once.

    Args:
        specs: trials that may be mixed: of one data set, family of models, batch size and numerics.
        resident: their data.
        states: has those that days begin with, and takes those in which they end.

    Returns:
        Their results, in order.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    return train_built(build_all(specs, resident), specs, resident, states)


def train_built(
    readings: list[Reading],
    specs: Sequence[TrialSpec],
    resident: Resident,
    states: States | None = None,
) -> list[TrialResult]:
    """Train K trials whose models are built: together, but for what has to be by itself.

    The models are let go: the list is empty after.
    """
    signatures = [reading.signature for reading in readings]
    results: dict[int, TrialResult] = {}
    apart: dict[Hashable, list[int]] = {}
    narrow = inexact(readings, specs, resident)
    for i in sorted(narrow):
        apart.setdefault(signatures[i], []).append(i)
    together = [i for i in range(len(specs)) if i not in narrow]
    if together:
        own = [specs[i] for i in together]
        batch = FusedBatch(own, resident, [readings[i] for i in together], states)
        readings.clear()
        batch.train_all()
        for place, i in enumerate(together):
            if place in batch.results:
                results[i] = batch.results[place]
            else:
                apart.setdefault(signatures[i], []).append(i)
    for places in apart.values():
        again = [specs[i] for i in places]
        found = FusedBatch(again, resident, states=states).train()
        results.update(zip(places, found, strict=True))
    return [results[i] for i in range(len(specs))]


def inexact(
    readings: Sequence[Reading], specs: Sequence[TrialSpec], resident: Resident
) -> set[int]:
    """Places of trials whose products would be summed in another order if filled up with zeros.

    On a GPU, where a product's order depends on its mates as it is, nobody is kept apart.
    """
    if resident.device.type != "cpu" or len({reading.sizes for reading in readings}) == 1:
        return set()
    rows = {stop - start for start, stop in minibatches(len(resident.y_train), specs[0].batch_size)}
    at_once = scored_at_once(resident.device)
    for y in (resident.y_val, resident.y_test):
        rows |= {min(at_once, len(y) - start) for start in range(0, len(y), at_once)}
    numerics = specs[0].numerics
    like, multiply = resident.multiplier.to(DTYPES[numerics.dtype]), product_of(numerics)
    most = [
        (max(o for o, _, _ in sizes), max(i for _, i, _ in sizes))
        for sizes in zip(*(reading.sizes for reading in readings), strict=True)
    ]
    return {
        place
        for place, reading in enumerate(readings)
        if not all(
            exact((outputs, inputs), filled, [n * places for n in rows], like, multiply)
            for (outputs, inputs, places), filled in zip(reading.sizes, most, strict=True)
        )
    }
