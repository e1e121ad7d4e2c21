"""One batch of the planner's: fused where that is possible, else one by one."""

from collections.abc import Hashable, Sequence

from hpsuite.training.fusing import build_all
from hpsuite.training.layers import NotFusable
from hpsuite.training.memory import train_in_memory
from hpsuite.training.plain import train_plain
from hpsuite.training.resident import Resident
from hpsuite.training.states import Held, States, state_name
from hpsuite.trials import TrialResult, TrialSpec


def train(
    specs: Sequence[TrialSpec], resident: Resident, states: States | None = None
) -> list[TrialResult]:
    """Train a batch that the planner made: fused where that is possible, else one by one.

    A day begins in the state in which the day before it ended. One that is not there is found by
    training that day again, and what it needs in turn.

    Args:
        specs: one trial, or several of one bucket; halved for as long as memory does not hold them.
        resident: their data.
        states: has those that days begin with, and takes those in which they end.

    Returns:
        Their results, in order.
    """
    if any(spec.lineage is not None for spec in specs):
        states = Held(states)
        for lost in _lost(specs, states):
            again = [spec for spec in lost if states.load(spec) is None]
            if again:
                _train(again, resident, states)
    return _train(specs, resident, states)


def _train(
    specs: Sequence[TrialSpec], resident: Resident, states: States | None
) -> list[TrialResult]:
    if specs[0].numerics.trainer == "auto":
        try:
            readings = build_all(specs, resident, where_it_pays=True)
            return train_in_memory(specs, resident, readings, states)
        except NotFusable:
            pass
    return [train_plain(spec, resident, states) for spec in specs]


def _lost(specs: Sequence[TrialSpec], states: States) -> list[list[TrialSpec]]:
    """Days whose states are missed, in batches: those that others go on from come first."""
    generations: list[list[TrialSpec]] = []
    wanted = list(specs)
    while wanted:
        missing: dict[Hashable, TrialSpec] = {}
        for spec in wanted:
            if spec.before and states.load(spec.ancestor) is None:
                missing[state_name(spec.ancestor)] = spec.ancestor
        wanted = list(missing.values())
        generations.insert(0, wanted)
    return [generation for generation in generations if generation]
