"""Sensitivity to hyperparameters across a set of environments, after Adkins et al. 2024.

Adkins, Bowling and White, "A method for evaluating hyperparameter sensitivity in reinforcement
learning" (NeurIPS 2024). An environment is here whatever the hyperparameters are to be carried
across: data sets, depths, a setup's variants. An algorithm is what is compared: batch norm, none.

With p(a, e, h) the expected score of algorithm a in environment e under hyperparameters h, and
P5(e), P95(e) the 5th and 95th percentile of p(., e, .) over all algorithms and hyperparameters,

    G(a, e, h) = (p(a, e, h) - P5(e)) / (P95(e) - P5(e))          normalised score, not clipped
    tuned(a) = mean over e of max over h of G(a, e, h)            tuned for each environment
    cross(a) = max over h of mean over e of G(a, e, h)            one h for all of them
    sensitivity(a) = tuned(a) - cross(a) >= 0.

Expected scores are not seen, and the maximum over h of noisy means is too high: tuned(a) more so
than cross(a), whose noise averages over environments. Adkins et al. train 200 seeds. With few, the
interval here reaches from what seeds say that had no part in the choice (too low, since noise
chooses worse) to the plain figure (too high), each with its noise.

Shapes: E environments, n hyperparameter settings, s seeds.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_level, checked_table
from hpsuite.analysis.contrasts import contrast_of_means
from hpsuite.analysis.intervals import Interval, t_quantile

PERCENTILES = (5.0, 95.0)
# What counts as nearly all of the tuned score (Adkins et al. 2024).
NEARLY = 0.95


@dataclass(frozen=True, slots=True)
class EnvironmentSensitivity:
    """Adkins' figures of one algorithm, in normalised scores.

    Attributes:
        tuned: tuned for each environment; the estimate is midway between the plain figure and
            that by seeds that did not choose; ends nan for one seed.
        cross: with one setting for all environments, likewise.
        sensitivity: tuned - cross, likewise.
        plain_sensitivity: by the definition, from means over seeds; too high by their noise.
        best_settings: for each environment, the index of its best setting.
        cross_setting: the index of the best one for all.
    """

    tuned: Interval
    cross: Interval
    sensitivity: Interval
    plain_sensitivity: float
    best_settings: tuple[int, ...]
    cross_setting: int


@dataclass(frozen=True, slots=True)
class EffectiveDimension:
    """How many hyperparameters must be tuned for each environment (Adkins et al. 2024).

    The others stay at the values of the setting that is best across environments.

    Attributes:
        scores: entry m is the best score, averaged over environments, with m hyperparameters
            tuned for each: cross(a) for m = 0, tuned(a) for all.
        tuned: entry m names them, the best choice of m.
        dimension: the smallest m whose score is at least 95% of that with all tuned; None where
            the latter is not above 0, so that a share of it means nothing.
        interpolated: the same with a straight line between whole numbers, as the paper draws it.
        shares: how often each dimension came out when seeds were resampled, a rough measure of
            how sure it is (approximate; few seeds say little of their own spread). Empty for one
            seed.
    """

    scores: tuple[float, ...]
    tuned: tuple[tuple[str, ...], ...]
    dimension: int | None
    interpolated: float
    shares: Mapping[int, float]


def percentile_normalised(
    scores: Mapping[str, npt.ArrayLike],
) -> dict[str, Floats]:
    """Normalised scores G of each algorithm.

    Args:
        scores: for each algorithm shape [E, n, s]; E and s the same for all, n not necessarily.
            Any unit, higher is better; a failure has its failure score.

    Returns:
        The same shapes. Percentiles are of means over seeds, with numpy's linear interpolation,
        and are taken as known by all intervals.

    Raises:
        ValueError: for no algorithms, scores that are not finite, unequal E or s, or an
            environment whose 5th and 95th percentiles are equal.
    """
    if not scores:
        raise ValueError("scores must have one algorithm at least; found none")
    tables = {name: checked_table(f"scores of {name}", scores[name], 3) for name in sorted(scores)}
    shapes = {(table.shape[0], table.shape[2]) for table in tables.values()}
    if len(shapes) > 1:
        raise ValueError(f"scores must have one (E, s) for all algorithms; found {sorted(shapes)}")
    means = np.concatenate([table.mean(axis=2) for table in tables.values()], axis=1)
    low, high = np.percentile(means, PERCENTILES, axis=1)
    if not (low < high).all():
        flat = int(np.argmin(high - low))
        raise ValueError(
            f"scores must differ in each environment; found equal 5th and 95th percentiles, "
            f"{low[flat]:g}, in environment {flat}"
        )
    scale = (high - low)[:, None, None]
    return {name: (table - low[:, None, None]) / scale for name, table in tables.items()}


def environment_sensitivity(
    normalised: npt.ArrayLike, level: float = 0.95
) -> EnvironmentSensitivity:
    """Adkins' figures from normalised scores of one algorithm.

    Each seed judges what the mean of the others chose. The interval reaches from the lower of
    that and the plain figure to the higher, each moved outwards by Student's t with the noise of
    the chosen settings, 2 E (s - 1) degrees of freedom. It covers 96% or more in simulation from
    2 seeds on (docs/statistics-verdicts.md).

    Args:
        normalised: shape [E, n, s], from `percentile_normalised`; seeds are independent.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for scores that are not finite or not [E, n, s], or a level outside its range.
    """
    table = checked_table("normalised", normalised, 3)
    checked_level(level)
    environments, _, seeds = table.shape
    mean = table.mean(axis=2)
    best, cross = mean.argmax(axis=1), int(mean.mean(axis=0).argmax())
    rows = np.arange(environments)
    plain = np.array([mean[rows, best].mean(), mean[:, cross].mean()])
    if seeds == 1:
        held_out, halves = plain, np.full(3, math.nan)
        method = "no interval: one seed does not show its noise; too high by it"
    else:
        held_out = np.mean([_judged(table, seed) for seed in range(seeds)], axis=0)
        noise = table.var(axis=2, ddof=1)
        variances = np.array([noise[rows, best].sum(), noise[:, cross].sum()])
        errors = np.sqrt(np.append(variances, variances.sum()) / seeds) / environments
        degrees = np.array([1, 1, 2]) * environments * (seeds - 1)
        halves = errors * [t_quantile(level, float(df)) for df in degrees]
        method = "t with seed noise, from seeds that did not choose to the plain figure"

    def interval(a: float, b: float, half: float) -> Interval:
        return Interval((a + b) / 2, min(a, b) - half, max(a, b) + half, level, method)

    plain_sensitivity = float(plain[0] - plain[1])
    return EnvironmentSensitivity(
        tuned=interval(float(held_out[0]), float(plain[0]), float(halves[0])),
        cross=interval(float(held_out[1]), float(plain[1]), float(halves[1])),
        sensitivity=interval(float(held_out[0] - held_out[1]), plain_sensitivity, float(halves[2])),
        plain_sensitivity=plain_sensitivity,
        best_settings=tuple(best.tolist()),
        cross_setting=cross,
    )


def sensitivity_of_picks(
    tuned: Sequence[npt.ArrayLike], cross: Sequence[npt.ArrayLike], level: float = 0.95
) -> Interval:
    """Adkins' sensitivity of chosen settings, from scores with fresh seeds: no choice flatters.

    Args:
        tuned: for each environment shape [m], normalised scores there of its best setting.
        cross: for each environment shape [m], normalised scores there of the one for all.
        level: confidence level, in (0, 1).

    Returns:
        Satterthwaite's t; its ends are nan where a setting has one seed.

    Raises:
        ValueError: for no environments, unequal numbers of them, or scores that are not finite.
    """
    count = len(tuned)
    if not count or len(cross) != count:
        raise ValueError(f"cross must have the environments of tuned; found {len(cross)}, {count}")
    weights = [1 / count] * count + [-1 / count] * count
    return contrast_of_means([*tuned, *cross], weights, level)


def effective_dimension(
    normalised: npt.ArrayLike,
    settings: npt.ArrayLike,
    names: Sequence[str],
    *,
    generator: np.random.Generator,
    resamples: int = 200,
) -> EffectiveDimension:
    """Adkins' effective hyperparameter dimensionality, by the definition.

    Args:
        normalised: shape [E, n, s], from `percentile_normalised`.
        settings: shape [n, d], the value of each hyperparameter in each setting: a full grid, each
            combination once. (Of random settings, no two agree in what is not tuned.)
        names: d names.
        generator: draws the seeds' resamples.
        resamples: of seeds, >= 0.

    Raises:
        ValueError: for scores or settings that are not finite, of unequal number, or no full grid;
            names that are not d; negative resamples.
    """
    table = checked_table("normalised", normalised, 3)
    grid = checked_table("settings", settings, 2)
    if len(grid) != table.shape[1] or len(names) != grid.shape[1]:
        found = f"{grid.shape}, {table.shape[1]} settings and {len(names)} names"
        raise ValueError(f"settings must be [n, d] with d names; found {found}")
    size = math.prod(len(np.unique(column)) for column in grid.T)
    if not len(grid) == len(np.unique(grid, axis=0)) == size:
        found = f"{len(np.unique(grid, axis=0))} of {size} combinations in {len(grid)}"
        raise ValueError(f"settings must be a full grid, each combination once; found {found}")
    if resamples < 0:
        raise ValueError(f"resamples must be 0 or more; found {resamples}")

    scores, tuned = _best_by_number(table.mean(axis=2), grid)
    seeds = table.shape[2]
    counts: dict[int, int] = {}
    for drawn in generator.integers(seeds, size=(resamples if seeds > 1 else 0, seeds)):
        found_one, _ = _dimension(_best_by_number(table[:, :, drawn].mean(axis=2), grid)[0])
        if found_one is not None:
            counts[found_one] = counts.get(found_one, 0) + 1
    dimension, interpolated = _dimension(scores)
    return EffectiveDimension(
        scores=tuple(scores),
        tuned=tuple(tuple(names[i] for i in chosen) for chosen in tuned),
        dimension=dimension,
        interpolated=interpolated,
        shares={m: counts[m] / resamples for m in sorted(counts)},
    )


def _judged(table: Floats, seed: int) -> tuple[float, float]:
    """Tuned and cross scores by one seed, chosen by the mean of the others."""
    others = np.delete(table, seed, axis=2).mean(axis=2)
    own = table[:, :, seed]
    tuned = own[np.arange(len(own)), others.argmax(axis=1)].mean()
    return float(tuned), float(own[:, others.mean(axis=0).argmax()].mean())


def _best_by_number(mean: Floats, grid: Floats) -> tuple[list[float], list[tuple[int, ...]]]:
    """For m = 0..d, the best score with m hyperparameters tuned, and which."""
    kept = grid == grid[int(mean.mean(axis=0).argmax())]
    d = grid.shape[1]
    scores, tuned = [], []
    for m in range(d + 1):
        ranked = []
        for chosen in itertools.combinations(range(d), m):
            fixed = [i for i in range(d) if i not in chosen]
            usable = kept[:, fixed].all(axis=1)
            ranked.append((float(mean[:, usable].max(axis=1).mean()), chosen))
        # The first in order of names' positions among ties.
        score, which = max(ranked, key=lambda pair: pair[0])
        scores.append(score)
        tuned.append(which)
    return scores, tuned


def _dimension(scores: Sequence[float]) -> tuple[int | None, float]:
    """The smallest number that reaches 95% of the last score, and where a line reaches it."""
    if scores[-1] <= 0:
        return None, math.nan
    target = NEARLY * scores[-1]
    m = next(i for i, score in enumerate(scores) if score >= target)
    if m == 0:
        return 0, 0.0
    return m, m - 1 + (target - scores[m - 1]) / (scores[m] - scores[m - 1])
