"""What a sweep of the learning rate shows: how wide the good range is, and where it ends.

A sweep trains every rate of a ladder with the same s seeds. What is estimated is a curve over the
swept range: a rate is good where the typical (median) seed's score is within e of the best. The
best is cross-fitted: for each seed, its score at the rate that is best for the other seeds on
average, so that no rate is credited with the luck that selected it. Figures are differences within
a seed, and intervals are Student's t over seeds: a percentile bootstrap over 5 seeds is far too
narrow. docs/statistics-sensitivity.md has the measured coverage.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.best import pooled_noise
from hpsuite.analysis.checks import Bools, Floats, checked_finite, checked_level, checked_scores
from hpsuite.analysis.intervals import Interval, mean_t, variance, wilson
from hpsuite.analysis.rate_width import RateWidth, rate_width

# A ladder with larger steps (in decades) is called coarse.
FINE_STEP = 0.2
_EVERYWHERE = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class RateSweep:
    """Figures of one sweep of m rates with s seeds.

    Attributes:
        rates, seeds: m and s.
        decades: length of the swept range.
        largest_step: of the ladder, in decades.
        best_rate: the rate with the highest mean score, the lowest among ties.
        best: the cross-fitted best score, in the score's unit.
        widths: for each margin the range of good rates.
        largest_stable_rate: the largest rate up to which, from the best rate on, fewer than half of
            the seeds fail. Its ends are the last rate up to which that is sure, 0 where none is,
            and the first rate at which at least half surely fail, inf where none is; nan where
            half fail at the best rate itself, or where failures were not given.
        sensitivity: mean over the swept log range of the best score - the score, in its unit; the
            curve of expected scores being straight between two rates, and the best one of them.
        sensitivity_nats: the same of min(loss, loss at initialisation) - the best loss, in nats
            (Wortsman et al. 2023, section 2.2, who take the mean over the rates themselves); nan
            without losses.
    """

    rates: int
    seeds: int
    decades: float
    largest_step: float
    best_rate: float
    best: Interval
    widths: Mapping[float, RateWidth]
    largest_stable_rate: Interval
    sensitivity: Interval
    sensitivity_nats: Interval

    @property
    def fine(self) -> bool:
        """Whether no step of the ladder is larger than .2 decade."""
        return self.largest_step <= FINE_STEP + 1e-9


def rate_sweep(
    rates: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    margins: Sequence[float] = (0.01, 0.02, 0.05),
    failed: npt.ArrayLike | None = None,
    losses: npt.ArrayLike | None = None,
    initial_loss: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> RateSweep:
    """The figures of a sweep of the learning rate.

    An edge is where the median over seeds, taken as straight between two rates on the log scale,
    crosses b - e; where it falls by more than e within one step, as at a cliff, it is the middle
    of the step. An edge's interval holds the places at which Student's t over seeds, of the score
    minus the seed's own best, leaves open on which side of -e the curve is; it takes in the whole
    of a step in which the curve falls by more than e, and the inner end allows for a peak between
    two rates as high as the slopes beside it would make it. The width's interval reaches from the
    distance of the inner ends to that of the outer ones. Edges are those within the swept range.

    Approximate. In simulation with 5 and 10 seeds, a step of .2 decade and noise of .3 and .5
    point, the 95% intervals of W_1, W_2 and W_5 cover 87% to 100% of the time, 98% on average, and
    those of an edge 86% or more; but a range narrower than a step is not placed at all. Those of
    the sensitivity cover 92% or more, of the largest stable rate 99%; see
    docs/statistics-sensitivity.md.
    With 1 seed there are no intervals.

    Args:
        rates: shape [m], learning rates > 0, ascending, m >= 2; in steps of .2 decade or finer.
        scores: shape [m, s], finite scores, higher is better; a diverged trial's is its failure
            score. Column j is the same seed at every rate; s >= 5.
        margins: the values of e, in the score's unit, >= 0.
        failed: shape [m, s], whether a trial failed.
        losses: shape [m, s], final losses in nats; one that is not finite counts as the loss at
            initialisation.
        initial_loss: the loss at initialisation: a number, one for each seed [s], or one for each
            trial [m, s]; given where `losses` are.
        level: nominal confidence level, in (0, 1).

    Raises:
        ValueError: for arguments outside these ranges, or of shapes that do not fit.
    """
    ladder = checked_finite("rates", rates)
    if len(ladder) < 2 or ladder[0] <= 0 or not (np.diff(ladder) > 0).all():
        raise ValueError(f"rates must be 2 or more, above 0 and ascending; found {ladder}")
    table = checked_scores("scores", scores, 2)
    if len(table) != len(ladder):
        raise ValueError(
            f"scores must have a row for each of {len(ladder)} rates; found {len(table)}"
        )
    if not len(margins) or not all(0 <= margin < math.inf for margin in margins):
        raise ValueError(f"margins must be finite and >= 0; found {margins}")
    checked_level(level)
    flags = None if failed is None else np.asarray(failed)
    if flags is not None and (flags.dtype != np.bool_ or flags.shape != table.shape):
        found = f"{flags.dtype} with shape {flags.shape}"
        raise ValueError(f"failed must be booleans of the shape of scores; found {found}")
    # Sorted, so that the order of the seeds cannot matter; each column stays one seed's.
    order = np.lexsort(table[::-1])
    x, table = np.log10(ladder), table[:, order]
    start = int(table.mean(axis=1).argmax())
    best = _cross_fitted(table)
    below = table - best
    return RateSweep(
        rates=len(ladder),
        seeds=table.shape[1],
        decades=float(x[-1] - x[0]),
        largest_step=float(np.diff(x).max()),
        best_rate=float(ladder[start]),
        best=mean_t(best, level, _EVERYWHERE),
        widths={
            margin: rate_width(x, table, below, start=start, margin=margin, level=level)
            for margin in sorted(set(margins))
        },
        largest_stable_rate=_largest_stable(ladder, flags, start, level),
        sensitivity=_sensitivity(x, table, level),
        sensitivity_nats=_in_nats(x, table.shape, losses, initial_loss, level),
    )


def sampled_width(good_fraction: Interval, decades: float) -> Interval:
    """Decades of good rates, all islands together, from i.i.d. rates rather than a sweep.

    Args:
        good_fraction: G_e of a sample in which the learning rate alone was drawn, log-uniformly.
        decades: length of the range it was drawn from, > 0.

    Raises:
        ValueError: for a length outside its range.
    """
    if not 0 < decades < math.inf:
        raise ValueError(f"decades must be finite and more than 0; found {decades}")
    g = good_fraction
    method = f"{decades:g} decades times the good fraction: {g.method}"
    return Interval(decades * g.estimate, decades * g.low, decades * g.high, g.level, method)


def _cross_fitted(table: Floats) -> Floats:
    """For each seed [s], its score at the rate that is best for the others; scores [m, s].

    Where the best is next to a cliff, a seed may diverge there. Such a score is raised to as far
    under the median of all seeds as the highest is above it.
    """
    seeds = table.shape[1]
    if seeds == 1:
        return np.asarray(table.max(axis=0))
    chosen = [int(np.delete(table, j, axis=1).mean(axis=1).argmax()) for j in range(seeds)]
    best = table[chosen, np.arange(seeds)]
    return np.asarray(np.maximum(best, 2 * np.median(best) - best.max()))


def _sensitivity(x: Floats, table: Floats, level: float) -> Interval:
    """Mean over the range of x of the best - the score, with scores [m, s].

    Three errors are added: the curves' means, which vary over seeds; the best, which the t over
    seeds of a cross-fitted best makes too small by about a half, as the seeds share their choices;
    and the rate at the cliff, where all of a few seeds may agree by chance: that of one failure in
    s + 2 there.
    """
    seeds = table.shape[1]
    weights = np.zeros(len(x))
    weights[:-1] += np.diff(x) / 2
    weights[1:] += np.diff(x) / 2
    weights /= x[-1] - x[0]
    means, curve = weights @ table, table.mean(axis=1)
    estimate = float((_cross_fitted(table) - means).mean())
    if seeds == 1:
        return Interval(estimate, math.nan, math.nan, level, "one seed: no interval")
    start = int(curve.argmax())
    noise = pooled_noise(table[max(0, start - 1) : start + 2])
    falls = np.abs(np.diff(curve))
    at = int(falls.argmax())
    cliff = float(falls[at] * max(weights[at], weights[at + 1]))
    failing = 1 / (seeds + 2)
    error = variance(means) + 1.5 * noise**2 + cliff**2 * failing * (1 - failing)
    half = float(stats.t.isf((1 - level) / 2, seeds - 1)) * math.sqrt(error / seeds)
    method = "t over seeds of the mean, with the errors of the best and of the cliff; approximate"
    return Interval(estimate, estimate - half, estimate + half, level, method)


def _largest_stable(ladder: Floats, failed: Bools | None, start: int, level: float) -> Interval:
    """The largest rate, from the best on, up to which fewer than half of the seeds fail."""
    nan = math.nan
    if failed is None:
        return Interval(nan, nan, nan, level, "failures were not given")
    m, seeds = failed.shape
    counts = failed.sum(axis=1)
    if 2 * counts[start] >= seeds:
        return Interval(nan, nan, nan, level, "half of the seeds or more fail at the best rate")
    shares = [wilson(int(count), seeds, level) for count in counts]
    stable, sure = start, start
    while stable + 1 < m and 2 * counts[stable + 1] < seeds:
        stable += 1
    low = 0.0
    if shares[start].high < 0.5:
        while sure + 1 < m and shares[sure + 1].high < 0.5:
            sure += 1
        low = float(ladder[sure])
    else:
        low = max((float(ladder[i]) for i in range(start) if shares[i].high < 0.5), default=0.0)
    high = next((float(ladder[i]) for i in range(stable + 1, m) if shares[i].low > 0.5), math.inf)
    method = "swept rates at which Wilson's interval of the failing share excludes a half"
    return Interval(float(ladder[stable]), low, high, level, method)


def _in_nats(
    x: Floats,
    shape: tuple[int, ...],
    losses: npt.ArrayLike | None,
    initial_loss: npt.ArrayLike | None,
    level: float,
) -> Interval:
    """Learning-rate sensitivity (Wortsman et al. 2023), with losses [m, s]."""
    if (losses is None) != (initial_loss is None):
        raise ValueError("losses and initial_loss must be given both or neither; found one")
    if losses is None or initial_loss is None:
        return Interval(math.nan, math.nan, math.nan, level, "losses were not given")
    table = np.asarray(losses, dtype=np.float64)
    if table.shape != shape:
        raise ValueError(f"losses must have the shape of scores, {shape}; found {table.shape}")
    first = np.asarray(initial_loss, dtype=np.float64)
    if first.shape not in ((), (shape[1],), shape) or not np.isfinite(first).all():
        raise ValueError(
            f"initial_loss must be a finite number, or one a seed or a trial; found {first}"
        )
    capped = np.where(np.isfinite(table), np.minimum(table, first), first)
    capped = capped[:, np.lexsort(capped[::-1])]
    return _sensitivity(x, -capped, level)
