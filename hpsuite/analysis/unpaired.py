"""Good fractions of two setups whose configurations are not the same: A minus B."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.best import (
    best_levels,
    checked_in,
    checked_noise,
    noise_allowance,
    point_of,
    tie_of,
)
from hpsuite.analysis.checks import Floats, checked_level
from hpsuite.analysis.contrasts import combined
from hpsuite.analysis.good_fraction import POINTS, RESAMPLES, good_fractions
from hpsuite.analysis.intervals import Interval


@dataclass(frozen=True)
class UnpairedDifference:
    """A minus B, of samples of their own.

    Attributes:
        n: configurations of A and of B.
        own: by e, each against its own best.
        common: by e, both against the higher of their bests.
    """

    n: tuple[int, int]
    own: dict[float, Interval]
    common: dict[float, Interval]


def unpaired_difference(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    unit: float | None = None,
    noise_sd: float | None = None,
) -> UnpairedDifference:
    """Differences of good fractions of two samples that were drawn apart.

    Against each one's own best the interval is recovered from those of the two shares (Zou and
    Donner 2008; `contrasts.combined`). Against the common best it is Student's t with the standard
    error of a bootstrap that resamples both and recomputes both bests, or that of two independent
    proportions with one success and one failure added to each (Agresti and Caffo 2000) where it is
    larger; it is computed without and with the allowance for the luck of the selected (see
    `good_fractions`), and reaches from the lower to the higher of the ends. Approximate;
    docs/statistics.md has the coverage.

    Args:
        scores_a: shape [n], scores of i.i.d. random configurations under A; see `good_fractions`.
        scores_b: shape [m], of others under B.
        generator, points, level, resamples, unit, noise_sd: see `good_fractions`.

    Raises:
        ValueError: for arguments outside their ranges.
    """
    checked_level(level)
    # Sorted, so that the order of the configurations cannot matter.
    samples = [
        np.sort(checked_in(unit, name, scores))
        for name, scores in (("scores_a", scores_a), ("scores_b", scores_b))
    ]
    shares = [
        good_fractions(
            s, generator=generator, points=points, level=level, unit=unit, noise_sd=noise_sd
        )
        for s in samples
    ]
    own = {e: combined([share[e] for share in shares], (1, -1)) for e in points}
    point, tie = point_of(unit), tie_of(unit, np.concatenate(samples))
    resampled = [s[generator.integers(len(s), size=(resamples, len(s)))] for s in samples]
    bests = [float(best_levels(s)) for s in samples]
    leader = int(np.argmax(bests))
    best = bests[leader]
    moved = np.max([best_levels(rows) for rows in resampled], axis=0)
    # The allowance of a common best is that of the sample which sets it.
    allowance = noise_allowance(samples[leader], checked_noise(noise_sd, unit), generator)
    t = float(stats.t.isf((1 - level) / 2, max(1, min(map(len, samples)) - 1)))

    def difference(threshold: float) -> float:
        one, two = (float((s >= threshold - tie).mean()) for s in samples)
        return one - two

    def interval(e: float) -> Interval:
        ends = []
        for margin in (e * point, e * point + allowance):
            thresholds = (moved - margin - tie)[:, None]
            one, two = ((rows >= thresholds).mean(axis=1) for rows in resampled)
            spread = max(float(np.var(one - two)), _caffo_variance(samples, best - margin - tie))
            centre, half = difference(best - margin), t * math.sqrt(spread)
            ends += [centre - half, centre + half]
        method = "t with the standard error of a bootstrap that recomputes both b; approximate"
        estimate = difference(best - e * point)
        return Interval(estimate, max(-1.0, min(ends)), min(1.0, max(ends)), level, method)

    sizes = (len(samples[0]), len(samples[1]))
    return UnpairedDifference(sizes, own, {e: interval(e) for e in points})


def _caffo_variance(samples: Sequence[Floats], threshold: float) -> float:
    """Variance of a difference of two proportions, a success and a failure added to each."""
    total = 0.0
    for sample in samples:
        n = len(sample) + 2
        p = (int((sample >= threshold).sum()) + 1) / n
        total += p * (1 - p) / n
    return total
