"""Which arms of a setup are better than which, as far as their repeats can tell."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.intervals import welch_error

# Below this the t test leans on the shape of the distribution more than on the data.
MIN_REPEATS = 5


@dataclass(frozen=True, slots=True)
class RankRange:
    """The ranks that an arm can have, 1 the best.

    Attributes:
        low: 1 + the number of arms that are significantly better.
        high: the number of arms - the number that are significantly worse.
        arms: the number of arms compared.
    """

    low: int
    high: int
    arms: int

    @property
    def text(self) -> str:
        """`1`, `1-3`, or `too few to rank` where nothing is known."""
        if self.arms == 1:
            return "only arm"
        if (self.low, self.high) == (1, self.arms):
            return "too few to rank"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def ranking(best_by_arm: Mapping[str, npt.ArrayLike], level: float = 0.95) -> dict[str, RankRange]:
    """Ranges of ranks of the arms of one setup.

    All pairs of arms are compared by Welch's t test, corrected by Holm (1979): if no two arms
    differ, the chance that any pair is called different is at most 1 - level, and the chance of
    any false call is too when some do. The tests are unpaired: pairing by seed would help only
    where the repeats of two arms share their luck. An arm with fewer than 5 repeats is compared
    with none, so its range is all ranks.

    Args:
        best_by_arm: for each arm its repeats' best validation accuracies, shape [R]; R may
            differ between arms.
        level: family-wise confidence level, in (0, 1).

    Raises:
        ValueError: for an arm without values, values that are not finite, or a level outside
            its range.
    """
    checked_level(level)
    arrays = {arm: checked_finite(f"best of {arm}", best) for arm, best in best_by_arm.items()}
    able = [arm for arm, best in arrays.items() if len(best) >= MIN_REPEATS]
    pairs = list(itertools.combinations(able, 2))
    p_values = [_welch_p(arrays[a], arrays[b]) for a, b in pairs]

    better = dict.fromkeys(arrays, 0)
    worse = dict.fromkeys(arrays, 0)
    for (a, b), different in zip(pairs, holm(p_values, 1 - level), strict=True):
        if different:
            winner, loser = (a, b) if arrays[a].mean() > arrays[b].mean() else (b, a)
            better[loser] += 1
            worse[winner] += 1
    count = len(arrays)
    return {arm: RankRange(1 + better[arm], count - worse[arm], count) for arm in arrays}


def _welch_p(a: Floats, b: Floats) -> float:
    """Two-sided p-value of Welch's t test."""
    error, df = welch_error(a, b)
    if error == 0:
        # Two arms without spread: as they are coarse counts, not exact ones, the evidence is that
        # of complete separation under random relabelling, and none where they agree.
        return 1.0 if a[0] == b[0] else 2 / math.comb(len(a) + len(b), len(a))
    return float(2 * stats.t.sf(abs(a.mean() - b.mean()) / error, df))


def holm(p_values: list[float], alpha: float) -> list[bool]:
    """Which hypotheses Holm's step-down procedure (1979) rejects, family-wise at `alpha`."""
    rejected = [False] * len(p_values)
    for step, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected
