"""Which setups trained at all, and in which of them there was nothing to tune.

Both are needed before anything is said of robustness: a setup that never learns is as bad
everywhere, and so looks as robust as one that is good everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsuite.analysis.checks import checked_finite, checked_length
from hpsuite.analysis.intervals import Interval

# A setup whose best is further under the common best did not train.
GATE = 0.10
# Where more of the space than this is good, picking at random is as good as tuning.
WHOLE = 0.90


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a setup trained.

    Attributes:
        trained: where it did not, only its figures against a common best mean anything.
        reason: why it did not, for a reader; empty where it did.
    """

    trained: bool
    reason: str


def gate(
    bests: Sequence[float],
    above_chance: Sequence[bool],
    *,
    margin: float = GATE,
    point: float = 0.01,
) -> tuple[Gate, ...]:
    """The trainability gate, for setups that are compared on the same data.

    A setup trained if its own best is above chance and at most `margin` under the highest of the
    bests.

    Args:
        bests: each setup's b, in the score's unit, one or more.
        above_chance: for each, whether b is above the chance limit; true where none is known.
        margin: in the score's unit, >= 0; 10 points of accuracy by default.
        point: what a point is in the score's unit, for the reason's words.

    Raises:
        ValueError: for bests that are not finite, unequal lengths, or numbers out of range.
    """
    levels = checked_finite("bests", list(bests))
    checked_length("above_chance", len(above_chance), len(levels))
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin must be finite and >= 0; found {margin}")
    if not 0 < point < math.inf:
        raise ValueError(f"point must be finite and more than 0; found {point}")
    common = float(np.max(levels))

    def judged(best: float, above: bool) -> Gate:
        if not above:
            return Gate(False, "its best is no better than chance")
        if best < common - margin:
            under = (common - best) / point
            return Gate(False, f"its best is {under:.1f} points under the common best")
        return Gate(True, "")

    return tuple(judged(b, bool(a)) for b, a in zip(levels.tolist(), above_chance, strict=True))


def tuning_did_not_matter(
    good_fraction: Interval, *, trained: bool = True, whole: float = WHOLE
) -> bool:
    """Whether a setup is good throughout its space, so that there was nothing to tune.

    So where it trained, and even the lower end of G is above `whole`: nine random configurations
    in ten or more are then as good as the best but for e. False says only that this was not shown:
    the plain b, whose luck makes G too low, rarely shows it (docs/statistics-sensitivity.md).

    Args:
        good_fraction: G_e of the setup against its own best, e = 2 points unless another margin
            was declared; one without ends shows nothing.
        trained: what the gate says of the setup.
        whole: in (0, 1).

    Raises:
        ValueError: for a `whole` outside its range.
    """
    if not 0 < whole < 1:
        raise ValueError(f"whole must be in (0, 1); found {whole}")
    return trained and good_fraction.low > whole
