"""How accuracy grows with the steps, of arms whose repeats are seeds of one configuration."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpsuite.analysis.intervals import Interval, mean_t
from hpsuite.analysis.learning_curves import mean_band, mean_steps, steps_to
from hpsuite.analysis.probes import movement
from hpsuite.findings.courses import courses, is_single
from hpsuite.findings.found import ArmFinding, Learned, Seen

Floats = NDArray[np.float64]


def find_learned(arms: Sequence[ArmFinding]) -> list[Learned]:
    """The learning curves of arms of one configuration with several seeds.

    The target of an arm is the accuracy that the first such arm of as many steps on the same data
    reaches in the end, on average over its seeds.
    """
    found: list[Learned] = []
    firsts: dict[tuple[str, float], Learned] = {}
    for arm in arms:
        if not is_single(arm.table):
            continue
        each = [own[0] for own in courses(arm.table)]
        steps, scores = each[0].steps, np.stack([course.accuracy for course in each])
        mean, low, high = mean_band(scores)
        key = (arm.table.data.fingerprint, float(steps[-1]))
        first = firsts.get(key)
        target = float(mean[-1]) if first is None else first.target
        spent = np.array([steps_to(steps, own, target) for own in scores])
        reached = int((scores.max(axis=1) >= target).sum())
        own = Learned(
            arm=arm,
            steps=steps,
            mean=mean,
            low=low,
            high=high,
            lowest=scores.min(axis=0),
            highest=scores.max(axis=0),
            first=arm if first is None else first.arm,
            target=target,
            reached=reached,
            to_target=mean_steps(spent, (0.0, float(steps[-1]))),
            seen=_seen(arm, steps),
        )
        firsts.setdefault(key, own)
        found.append(own)
    return found


def _seen(arm: ArmFinding, steps: Floats) -> Seen | None:
    """What the probe saw of an arm; None where it was off, or a seed has nothing to compare."""
    seen = [result.probe for result in arm.table.results]
    known = [np.array(course) for course in seen if course is not None and len(course) > 1]
    if len(known) < len(seen):
        return None
    at = np.append(0.0, steps)
    moved = [movement(course) for course in known]

    def mean(values: list[float]) -> Interval:
        return mean_t(np.sort(values), bounds=(0.0, np.inf))

    if not all(np.isfinite([m.step, m.range]).all() for m in moved):
        return None
    first = known[0]
    return Seen(
        at[: len(first)], first, mean([m.step for m in moved]), mean([m.range for m in moved])
    )
