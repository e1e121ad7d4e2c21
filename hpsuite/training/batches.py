"""One batch of the planner's: fused where that is possible, else one by one."""

from collections.abc import Sequence

from hpsuite.training.fusing import build_all
from hpsuite.training.layers import NotFusable
from hpsuite.training.memory import train_in_memory
from hpsuite.training.plain import train_plain
from hpsuite.training.resident import Resident
from hpsuite.trials import TrialResult, TrialSpec


def train(specs: Sequence[TrialSpec], resident: Resident) -> list[TrialResult]:
    """Train a batch that the planner made: fused where that is possible, else one by one.

    Args:
        specs: one trial, or several of one bucket; halved for as long as memory does not hold them.
        resident: their data.

    Returns:
        Their results, in order.
    """
    if specs[0].numerics.trainer == "auto":
        try:
            readings = build_all(specs, resident, where_it_pays=True)
            return train_in_memory(specs, resident, readings)
        except NotFusable:
            pass
    return [train_plain(spec, resident) for spec in specs]
