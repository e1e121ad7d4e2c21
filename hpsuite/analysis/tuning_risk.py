"""Tuning risk (Weerts, Mueller and Vanschoren 2020): what it costs not to tune a hyperparameter.

With f(x) the expected score of configuration x, b the mean of f over the best 4% of the space,
and b_j the same over the part of it where hyperparameter j has its default value, the risk of
leaving j at its default while the others are tuned is b - b_j, in the score's unit. The best 4%
stand for what tuning attains: about what the best of 25 random trials does. (The paper takes the
best of a search with a fixed budget instead, and averages over data sets.) A risk below 0 is
real: where the default is good, leaving it alone is worth more than searching its whole range.

A random sample has no trial at the default, so f is asked of a forest (`tuning_risk`); where
trials at the default were made, they are better evidence (`measured_risk`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.best import n_best
from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.fanova import standardized
from hpsuite.analysis.forest import FOLDS, Forest, grow
from hpsuite.analysis.good_fraction import RESAMPLES
from hpsuite.analysis.intervals import Interval
from hpsuite.analysis.sample import Sample, checked_sample

# A third of the trees of the forest, and of those of each half sample.
TREES, HALF_TREES = 10, 3
# Pairs of half samples.
HALVES = 10
# What the quadratic's coefficients shrink by, in trials' worth of evidence for 0 a trial.
RIDGE = 0.01
# Fewest trials for an interval of a measured risk: two of them are the best 4%.
FEWEST_MEASURED = 38


@dataclass(frozen=True, slots=True)
class TuningRisk:
    """Risks of leaving hyperparameters at their defaults, in the score's unit.

    Attributes:
        n: trials.
        columns: which hyperparameters have a default, k of them.
        best: b by the surrogate.
        values: shape [k], the risks.
        draws: shape [B, k], what they may be, given the sample's luck and the surrogate's.
        surrogate: what stood in for the scores, in words.
        r_squared: how much of the scores' variance it explains for trials that it never saw.
    """

    n: int
    columns: tuple[int, ...]
    best: float
    values: Floats
    draws: Floats
    surrogate: str
    r_squared: float


def tuning_risk(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    defaults: Sequence[float | None],
    *,
    generator: np.random.Generator,
    levels: Sequence[int | None] | None = None,
    resamples: int = RESAMPLES,
) -> TuningRisk:
    """Tuning risks from n trials, a uniform random sample of the space.

    Both b and b_j are the mean of the best 4% of predictions: for the trials as they are, and
    with hyperparameter j moved to its default; each trial is predicted by trees that never saw
    it. The surrogate is a forest, or a forest on what a quadratic of each hyperparameter leaves,
    whichever predicts good trials better: a forest alone flattens weak effects.

    The draws come from half samples: over random halves an estimate varies as much as it does
    over samples of the whole size (McCarthy 1969). What the whole sample says beyond its halves'
    mean is taken for the size of a bias that may be left, in either direction.

    Args:
        units: see `checked_sample`.
        scores: see `checked_sample`.
        defaults: length d, in [0, 1] on the same scale as units; None where there is none.
        generator: draws forests, halves and the draws.
        levels: see `checked_sample`.
        resamples: B.

    Raises:
        ValueError: for arguments outside these ranges, fewer than 6 configurations, or scores
            that are all the same.
    """
    sample = checked_sample(units, scores, levels)
    if len(defaults) != sample.d or not all(v is None or 0 <= v <= 1 for v in defaults):
        raise ValueError(
            f"defaults must be {sample.d} values in [0, 1] or None; found {list(defaults)}"
        )
    if sample.n_groups < 2 * FOLDS:
        raise ValueError(f"units must be of {2 * FOLDS} configurations; found {sample.n_groups}")
    if sample.scores[0] == sample.scores[-1]:
        raise ValueError(f"scores must differ; found {sample.n} of {sample.scores[0]}")
    return sample_risk(sample, defaults, generator=generator, resamples=resamples)


def sample_risk(
    sample: Sample,
    defaults: Sequence[float | None],
    *,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> TuningRisk:
    """`tuning_risk` of a checked sample."""
    y = standardized(sample.scores)
    columns = tuple(j for j, default in enumerate(defaults) if default is not None)
    at_default = {j: default for j, default in enumerate(defaults) if default is not None}
    surfaces, quadratic, r_squared = _better_surfaces(sample, y, at_default, generator)
    levels = _best_levels(surfaces)
    best, found = float(levels[0]), levels[0] - levels[1:]
    halves = []
    for _ in range(HALVES):
        side = generator.permutation(sample.n_groups)[sample.groups] % 2
        for half in (0, 1):
            rows = np.flatnonzero(side == half)
            surfaces = _surfaces(
                _rows(sample, rows),
                y[rows],
                at_default,
                generator=generator,
                repeats=HALF_TREES,
                quadratic=quadratic,
            )
            levels = _best_levels(surfaces)
            halves.append(levels[0] - levels[1:])
    draws = _draws(found, np.array(halves), generator, resamples)
    # Back to the score's own unit.
    unit = _unit(sample.scores)
    return TuningRisk(
        n=sample.n,
        columns=columns,
        best=float(sample.scores.mean() + unit * best),
        values=unit * found,
        draws=unit * draws,
        surrogate="a forest on what a quadratic leaves" if quadratic else "a forest",
        r_squared=r_squared,
    )


def measured_risk(
    scores: npt.ArrayLike,
    at_default: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """The tuning risk of one hyperparameter, from trials that were made at its default.

    The mean of the best 4% of one sample minus that of the other. Both bests are lucky, by about
    as much; the interval is a t interval with the bootstrap's standard error.

    Args:
        scores: shape [n], finite, of random trials of the whole space.
        at_default: shape [m], finite, of random trials with the hyperparameter at its default;
            m and n may differ. Of a choice, the trials of a sample that have the default will do.
        generator: draws the resamples.
        level: confidence level, in (0, 1).
        resamples: bootstrap resamples.

    Returns:
        In the score's unit; the ends are nan where either sample has fewer than 38 trials.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    checked_level(level)
    # Sorted, so that the order of the trials cannot matter.
    samples = [
        np.sort(checked_finite(name, values))
        for name, values in (("scores", scores), ("at_default", at_default))
    ]
    bests = [_mean_of_best(values) for values in samples]
    estimate = float(bests[0] - bests[1])
    fewest = min(len(values) for values in samples)
    if fewest < FEWEST_MEASURED:
        reason = f"not computable: needs {FEWEST_MEASURED} trials in both samples, found {fewest}"
        return Interval(estimate, math.nan, math.nan, level, reason)
    variance = sum(
        float(np.var(_mean_of_best(v[generator.integers(len(v), size=(resamples, len(v)))])))
        for v in samples
    )
    half = float(stats.t.isf((1 - level) / 2, n_best(fewest) - 1)) * math.sqrt(variance)
    method = "t with a bootstrap's standard error, difference of the best 4% of two samples"
    return Interval(estimate, estimate - half, estimate + half, level, method)


def _better_surfaces(
    sample: Sample, y: Floats, at_default: dict[int, float], generator: np.random.Generator
) -> tuple[Floats, bool, float]:
    """Surfaces of the better surrogate, whether it has a quadratic, and its R squared.

    Better is the one with the smaller error in the half of the trials that both together predict
    to be the best: what tells bad trials from worse ones is of no use here.
    """
    both = [
        _surfaces(sample, y, at_default, generator=generator, repeats=TREES, quadratic=quadratic)
        for quadratic in (False, True)
    ]
    together = both[0][0] + both[1][0]
    best = together >= np.median(together)
    errors = [float(np.mean((y - surfaces[0])[best] ** 2)) for surfaces in both]
    # The quadratic saw all trials, and is charged for its coefficients.
    left = max(1e-9, 1 - (2 * len(_smooth_columns(sample)) + 1) / sample.n)
    quadratic = errors[1] / left**2 < errors[0]
    surfaces = both[int(quadratic)]
    return surfaces, quadratic, 1 - float(np.mean((y - surfaces[0]) ** 2) / np.mean(y * y))


def _surfaces(
    sample: Sample,
    y: Floats,
    at_default: dict[int, float],
    *,
    generator: np.random.Generator,
    repeats: int,
    quadratic: bool,
) -> Floats:
    """Predictions [1 + k, n] for the trials as they are and with each default in turn.

    None lies beyond the scores that were seen.
    """
    moved = [sample.units]
    for column, default in at_default.items():
        units = sample.units.copy()
        units[:, column] = default
        moved.append(units)
    trends = _trends(sample, y, moved) if quadratic else [np.zeros(sample.n)] * len(moved)
    forest: Forest = grow(sample, y - trends[0], generator=generator, repeats=repeats)
    found = [trend + forest.predictions(units) for trend, units in zip(trends, moved, strict=True)]
    return np.clip(found, y.min(), y.max())


def _trends(sample: Sample, y: Floats, moved: Sequence[Floats]) -> list[Floats]:
    """A quadratic of each hyperparameter, fitted to y by ridge regression, at other places."""
    columns = _smooth_columns(sample)

    def terms(units: Floats) -> Floats:
        place = 2 * units[:, columns] - 1
        return np.concatenate([place, place * place], axis=1)

    mean = terms(sample.units).mean(axis=0)
    centred = terms(sample.units) - mean
    penalty = RIDGE * sample.n * np.eye(len(mean))
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ y)
    return [(terms(units) - mean) @ weights for units in moved]


def _smooth_columns(sample: Sample) -> list[int]:
    """Hyperparameters that a quadratic may make sense for."""
    varying = sample.varying()
    return [j for j, m in enumerate(sample.levels) if m is None and varying[j]]


def _rows(sample: Sample, rows: npt.NDArray[np.int64]) -> Sample:
    """Some trials of a sample."""
    groups = np.unique(sample.groups[rows], return_inverse=True)[1].reshape(-1)
    return Sample(sample.units[rows], sample.scores[rows], sample.levels, groups.astype(np.int64))


def _draws(found: Floats, halves: Floats, generator: np.random.Generator, resamples: int) -> Floats:
    """Draws [B, k] around the estimate [k], from those of half samples [2 HALVES, k]."""
    middle = halves.mean(axis=0)
    # The two halves of a pair deviate in opposite directions, so each pair is one of them.
    normal = generator.standard_normal((resamples, len(halves))) / math.sqrt(len(halves))
    spread = np.sqrt(generator.chisquare(HALVES, (resamples, 1)) / HALVES)
    # With twice the trials the estimate moved this much; how much farther it is from the truth,
    # and where, is not known.
    bias = generator.standard_normal((resamples, 1)) * (found - middle)
    return np.asarray(found + bias + normal @ (halves - middle) / spread)


def _best_levels(surfaces: Floats) -> Floats:
    """Mean of the best 4% of predictions, [k, n] to [k]."""
    return _mean_of_best(np.sort(surfaces, axis=-1))


def _mean_of_best(ordered: Floats) -> Floats:
    """Mean of the best 4% along the last axis, sorted or not."""
    best = n_best(ordered.shape[-1])
    return np.asarray(np.partition(ordered, -best, axis=-1)[..., -best:].mean(axis=-1))


def _unit(scores: Floats) -> float:
    """How many of the score's units one standard deviation is, as `standardized` has it."""
    largest = float(np.abs(scores - scores.mean()).max())
    return largest * float(((scores - scores.mean()) / largest).std())
