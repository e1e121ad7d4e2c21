"""Strategies compared across setups: interquartile means with a stratified bootstrap.

After Agarwal et al. 2021 ("Deep reinforcement learning at the edge of the statistical precipice",
section 4), whose rliable pools the runs of all tasks, drops the lowest and the highest quarter and
means the rest. It is less moved by a failed setup than the mean, and wastes less than the median.

Scores of different setups must be put on one scale first. `normalised` sets 0 to a setup's `low`
and 1 to its `high`, both given; with low = chance and high = b, 1 - score is the share of what
could be gained that was not. The anchors are taken as known: their error is not in the intervals.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_finite, checked_level, checked_table
from hpsuite.analysis.contrasts import combined
from hpsuite.analysis.intervals import Interval, t_quantile
from hpsuite.analysis.probability_better import probability_better

RESAMPLES = 2000
METHOD = "t with the standard error of a stratified bootstrap"


def normalised(scores: npt.ArrayLike, low: float, high: float) -> Floats:
    """(scores - low) / (high - low), not clipped: a score above `high` exceeds 1.

    Args:
        scores: shape [R], one figure a repeat.
        low: what counts as 0, chance for an accuracy.
        high: what counts as 1, the setup's b.

    Raises:
        ValueError: for scores that are not finite, or anchors that are not finite and in order.
    """
    array = checked_table("scores", scores, 1)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low must be below high, both finite; found {low} and {high}")
    return np.asarray((array - low) / (high - low))


def interquartile_mean(
    scores: Mapping[str, npt.ArrayLike],
    *,
    generator: np.random.Generator,
    shared: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Mean of the middle half of the runs of all setups together.

    The interval is Student's t with R - 1 degrees of freedom around the estimate, with the
    standard error of a bootstrap that resamples repeats within each setup, times
    sqrt(R / (R - 1)). It says how sure the figure is for these setups, not for others. Agarwal et
    al. quote the bootstrap's percentiles, which cover as little as 85% at 8 repeats of 2 setups
    where this covers 93% (docs/statistics-verdicts.md).

    Args:
        scores: for each setup shape [R], one normalised figure a repeat; one R for all.
        generator: draws the resamples.
        shared: whether repeat i of all setups shares its seed, and so perhaps its luck; then
            repeats are resampled together in all of them, and the order of repeats matters.
        level: confidence level, in (0, 1).
        resamples: bootstrap resamples, >= 2.

    Returns:
        The interval; its ends are nan for one repeat.

    Raises:
        ValueError: for no setups, scores that are not finite, unequal numbers of repeats, or
            arguments out of range.
    """
    table = _stacked("scores", scores, keep=shared)
    _check(level, resamples)
    estimate = float(trimmed(table[None])[0])
    repeats = table.shape[1]
    if repeats == 1:
        return Interval(estimate, math.nan, math.nan, level, METHOD)
    drawn = trimmed(_resampled(table, _indices(table.shape, resamples, generator, shared)))
    return _around(estimate, drawn, repeats, level)


def interquartile_mean_difference(
    a: Mapping[str, npt.ArrayLike],
    b: Mapping[str, npt.ArrayLike],
    *,
    generator: np.random.Generator,
    paired: bool = False,
    shared: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interquartile mean of A minus that of B over the same setups.

    Args:
        a: as the scores of `interquartile_mean`.
        b: the same setups under B, normalised by the same anchors.
        generator: draws the resamples.
        paired: whether repeat i of A and of B share their seed; then they are resampled together,
            and the order of repeats matters.
        shared: see `interquartile_mean`.
        level: confidence level, in (0, 1).
        resamples: bootstrap resamples, >= 2.

    Raises:
        ValueError: as `interquartile_mean`, and for setups that differ or, where paired, unequal
            numbers of repeats.
    """
    if set(a) != set(b):
        raise ValueError(f"b must have the setups of a, {sorted(a)}; found {sorted(b)}")
    keep = paired or shared
    first, second = _stacked("a", a, keep=keep), _stacked("b", b, keep=keep)
    _check(level, resamples)
    estimate = float(trimmed(first[None])[0] - trimmed(second[None])[0])
    repeats = min(first.shape[1], second.shape[1])
    if paired and first.shape != second.shape:
        found = f"{first.shape[1]} and {second.shape[1]}"
        raise ValueError(f"a and b must have as many repeats where paired; found {found}")
    if repeats == 1:
        return Interval(estimate, math.nan, math.nan, level, METHOD)
    indices = _indices(first.shape, resamples, generator, shared)
    others = indices if paired else _indices(second.shape, resamples, generator, shared)
    drawn = trimmed(_resampled(first, indices)) - trimmed(_resampled(second, others))
    return _around(estimate, drawn, repeats, level)


def mean_probability_better(
    a: Mapping[str, npt.ArrayLike],
    b: Mapping[str, npt.ArrayLike],
    *,
    paired: bool = False,
    shared: bool = False,
    level: float = 0.95,
) -> Interval:
    """P(A better than B), averaged over setups (Agarwal et al. 2021, probability of improvement).

    Args:
        a: for each setup shape [R], one figure a repeat in any unit.
        b: the same setups under B.
        paired: see `probability_better`.
        shared: whether repeat i of all setups shares its seed; then the ends are the means of
            those of the setups, as if all had the same luck.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: as `probability_better`, and for no setups or setups that differ.
    """
    if not a or set(a) != set(b):
        raise ValueError(
            f"b must have the setups of a, one at least; found {sorted(a)}, {sorted(b)}"
        )
    found = [probability_better(a[s], b[s], paired=paired, level=level) for s in sorted(a)]
    mean = combined(found, [1 / len(found)] * len(found))
    if shared:
        low, high = (float(np.mean([getattr(f, end) for f in found])) for end in ("low", "high"))
        method = f"mean of the ends of setups, whose repeats share their seeds: {found[0].method}"
        return Interval(mean.estimate, low, high, level, method)
    return Interval(mean.estimate, max(0.0, mean.low), min(1.0, mean.high), level, mean.method)


def trimmed(tables: Floats) -> Floats:
    """Interquartile mean of all values of each table: [T, M, R] to [T].

    As scipy's trim_mean(.25), and so rliable, has it: floor(N / 4) values dropped at each end.
    """
    runs = tables.reshape(len(tables), -1)
    cut = runs.shape[1] // 4
    runs = np.partition(runs, (cut, runs.shape[1] - cut - 1), axis=1)
    return np.asarray(runs[:, cut : runs.shape[1] - cut].mean(axis=1))


def _stacked(name: str, scores: Mapping[str, npt.ArrayLike], keep: bool = False) -> Floats:
    """Setups by name, in order, to [M, R]; each setup's repeats sorted unless kept."""
    if not scores:
        raise ValueError(f"{name} must have one setup at least; found none")
    rows = [checked_finite(f"{name} of {setup}", scores[setup]) for setup in sorted(scores)]
    counts = {len(row) for row in rows}
    if len(counts) > 1:
        raise ValueError(f"{name} must have one number of repeats; found {sorted(counts)}")
    table = np.stack(rows)
    return table if keep else np.sort(table, axis=1)


def _check(level: float, resamples: int) -> None:
    checked_level(level)
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more; found {resamples}")


def _indices(
    shape: tuple[int, ...], resamples: int, generator: np.random.Generator, shared: bool
) -> npt.NDArray[np.int64]:
    """Repeats to draw, [T, M, R]: in each setup by themselves, or where shared in all alike."""
    setups, repeats = shape
    drawn = generator.integers(repeats, size=(resamples, 1 if shared else setups, repeats))
    return np.broadcast_to(drawn, (resamples, setups, repeats))


def _resampled(table: Floats, indices: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(np.take_along_axis(table[None], indices, axis=2))


def _around(estimate: float, drawn: Floats, repeats: int, level: float) -> Interval:
    error = float(drawn.std()) * math.sqrt(repeats / (repeats - 1))
    half = t_quantile(level, repeats - 1) * error
    return Interval(estimate, estimate - half, estimate + half, level, METHOD)
