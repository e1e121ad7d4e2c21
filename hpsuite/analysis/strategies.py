"""How fast a search strategy finds a good configuration, over its independent repeats.

Scores are of any unit, higher is better. What a repeat has found after k trials is its best so
far: the highest score that the search itself saw. Selection makes that optimistic as an estimate
of the selected configuration's true score; `misses.py` takes the truth from fresh seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_level, checked_number, checked_table
from hpsuite.analysis.intervals import Interval, mean_t, variance
from hpsuite.analysis.order_statistics import (
    percentile_of_repeats,
    quantile,
    quantile_ranks,
    sample_quantile,
)
from hpsuite.analysis.trials_to_good import TrialsToGood, trials_to_good

QUARTILES = (0.25, 0.5, 0.75)
UNBOUNDED = (-math.inf, math.inf)
# The 10th percentile's interval needs 36 repeats to exist, and 100 to be of use.
PERCENTILE_REPEATS = 100


@dataclass(frozen=True, slots=True)
class Curve:
    """Best so far after k = 1..n trials, over R repeats; entry i is k = i + 1.

    All intervals are pointwise: each k by itself is covered with probability `level`, the whole
    curve with less.

    Attributes:
        repeats: R.
        mean, mean_low, mean_high: mean over repeats, Student's t; ends nan for one repeat.
            Approximate: it knows nothing of failures too rare to be among R repeats, which is
            where most of the mean may be decided (docs/statistics-verdicts.md).
        median_low, median_high: ends of the median by order statistics; nan for fewer than 6
            repeats at 95%.
        quantiles: for each share, the quantile over repeats (no interval; the median is at .5).
        level: confidence level, in (0, 1).
        method: how the ends were found, for a reader.
    """

    repeats: int
    mean: tuple[float, ...]
    mean_low: tuple[float, ...]
    mean_high: tuple[float, ...]
    median_low: tuple[float, ...]
    median_high: tuple[float, ...]
    quantiles: Mapping[float, tuple[float, ...]]
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class StrategyFigures:
    """What R repeats of n trials of one strategy on one setup show, in the scores' unit.

    Attributes:
        repeats, n: R and n.
        curve: best so far.
        best: mean over repeats of the best of all n trials; Student's t.
        median_best: its median over repeats, by order statistics; nan ends for fewer than 6.
        area: mean over repeats of the mean over k of the best so far (see `areas`).
        regret: mean over repeats of b - best; None where no b is given. Below 0 where selection
            flatters by more than the search misses.
        tenth_percentile: of the best over repeats; nan, with the reason in its method, for fewer
            than 100 repeats.
        to_good: trials until b - margin is reached; None where no b is given.
        b: the best that the setup can do; None where it is not given.
    """

    repeats: int
    n: int
    curve: Curve
    best: Interval
    median_best: Interval
    area: Interval
    regret: Interval | None
    tenth_percentile: Interval
    to_good: TrialsToGood | None
    b: float | None = None


def strategy_figures(
    scores: npt.ArrayLike,
    *,
    b: float | None = None,
    b_error: float = 0.0,
    margin: float = 0.02,
    level: float = 0.95,
    bounds: tuple[float, float] = UNBOUNDED,
) -> StrategyFigures:
    """The figures of a strategy.

    Args:
        scores: shape [R, n], final scores of R repeats of n trials, in order of trial number.
        b: the best that the setup can do, in the scores' unit.
        b_error: standard error of b, >= 0.
        margin: a score of at least b - margin is good; in the scores' unit, >= 0.
        level: confidence level, in (0, 1).
        bounds: what a score can be at all, (0, 1) for accuracies; means are clipped to it.

    Raises:
        ValueError: for scores that are not finite or not [R, n], or arguments out of range.
    """
    table = checked_table("scores", scores, 2)
    best_so_far = np.maximum.accumulate(table, axis=1)
    # Sorted, so that the order of the repeats cannot matter.
    best = np.sort(best_so_far[:, -1])
    return StrategyFigures(
        repeats=len(table),
        n=table.shape[1],
        curve=best_so_far_curve(table, level=level, bounds=bounds),
        best=mean_t(best, level, bounds),
        median_best=quantile(best, 0.5, level),
        area=mean_t(np.sort(areas(table)), level, bounds),
        regret=None if b is None else mean_regret(best, b, b_error=b_error, level=level),
        tenth_percentile=percentile_of_repeats(best, 0.1, PERCENTILE_REPEATS, level),
        to_good=None if b is None else trials_to_good(table, b, margin=margin, level=level),
        b=b,
    )


def best_so_far_curve(
    scores: npt.ArrayLike,
    *,
    shares: Sequence[float] = QUARTILES,
    level: float = 0.95,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Curve:
    """Best so far over repeats, pointwise.

    Args:
        scores: see `strategy_figures`.
        shares: which quantiles over repeats, each in (0, 1).
        level: see `strategy_figures`.
        bounds: see `strategy_figures`.

    Raises:
        ValueError: see `strategy_figures`.
    """
    table = checked_table("scores", scores, 2)
    checked_level(level)
    if not (shares and all(0 < share < 1 for share in shares)):
        raise ValueError(f"shares must be in (0, 1), one at least; found {shares}")
    # Sorted by repeat at each k, so that the order of the repeats cannot matter.
    curves = np.sort(np.maximum.accumulate(table, axis=1), axis=0)
    repeats, n = curves.shape
    mean = curves.mean(axis=0)
    half = np.full(n, np.nan)
    if repeats > 1:
        # Exactly 0 where all repeats agree, as in `variance`.
        spread = np.where(np.ptp(curves, axis=0) == 0, 0.0, curves.var(axis=0, ddof=1))
        half = stats.t.isf((1 - level) / 2, repeats - 1) * np.sqrt(spread / repeats)
    nowhere = np.full(n, np.nan)
    low, high = quantile_ranks(repeats, 0.5, level)
    return Curve(
        repeats=repeats,
        mean=_tuple(mean),
        mean_low=_tuple(np.maximum(bounds[0], mean - half)),
        mean_high=_tuple(np.minimum(bounds[1], mean + half)),
        median_low=_tuple(nowhere if low is None else curves[low]),
        median_high=_tuple(nowhere if high is None else curves[high]),
        quantiles={share: _tuple(sample_quantile(curves, share)) for share in shares},
        level=level,
        method="pointwise: Student t for the mean, approximate; order statistics for the median",
    )


def areas(scores: npt.ArrayLike) -> Floats:
    """Area under each repeat's best-so-far curve, over its budget: [R, n] to [R].

    (1/n) sum over k = 1..n of the best of the first k trials, in the scores' unit: what somebody
    who stops at a time drawn uniformly from the budget expects to have.

    Raises:
        ValueError: see `strategy_figures`.
    """
    table = checked_table("scores", scores, 2)
    return np.asarray(np.maximum.accumulate(table, axis=1).mean(axis=1))


def mean_regret(
    found: npt.ArrayLike, b: float, *, b_error: float = 0.0, level: float = 0.95
) -> Interval:
    """Mean over repeats of b minus what each found, Student's t with Satterthwaite's df.

    Args:
        found: shape [R], what each repeat found: the best score that it saw, or (without the
            flattery of selection) the selected configuration's score with fresh seeds.
        b: the best that the setup can do, found independently of these repeats.
        b_error: standard error of b, >= 0; 0 takes b as known.
        level: confidence level, in (0, 1).

    Returns:
        The interval; its ends are nan for one repeat.

    Raises:
        ValueError: for values that are not finite or arguments out of range.
    """
    values = checked_table("found", found, 1)
    checked_level(level)
    checked_number("b", b)
    checked_number("b_error", b_error, at_least=0)
    estimate, repeats = b - float(np.sort(values).mean()), len(values)
    method = "Student t over repeats" + (", with the error of b" if b_error else ", b as given")
    if repeats == 1:
        return Interval(estimate, math.nan, math.nan, level, method)
    own = variance(values) / repeats
    total = own + b_error**2
    df = (repeats - 1) * (total / own) ** 2 if own > 0 else math.inf
    half = float(stats.t.isf((1 - level) / 2, df)) * math.sqrt(total) if total > 0 else 0.0
    return Interval(estimate, estimate - half, estimate + half, level, method)


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())
