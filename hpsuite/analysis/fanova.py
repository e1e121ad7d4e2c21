"""fANOVA (Hutter, Hoos and Leyton-Brown 2014): what the score's variance comes from.

A random forest predicts the score; the variance of its marginal along one hyperparameter, over
the whole space, is that hyperparameter's main effect, and what two explain together beyond their
main effects is their interaction. `plain` has these of the forest itself, averaged over trees as
published (and as Optuna has them).

A forest flattens weak effects and takes noise for strong ones. So the main effects here are those
of the forest corrected by what it got wrong: with f the prediction of the trees that never saw
trial i, and f_j their marginal, the response f_j(x_ij) + y_i - f(x_i) has, given x_ij, the mean
of the score given x_ij, whatever the forest is worth: since it did not see trial i, and the
sample is uniform. The better the forest, the less noise is left in that response. Its main effect
is estimated without bias from noise (`main_effect`), and divided by the variance of the scores.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.forest import FOLDS, REPEATS, Forest, grow
from hpsuite.analysis.main_effect import (
    Counts,
    blocks,
    fitted_smoother,
    group_sums,
    pair_cells,
    pair_smoother,
    resample_counts,
)
from hpsuite.analysis.sample import Sample, checked_sample

# Cells along each side of a pair.
PAIR_CELLS = 8
# The draws keep the forest as it is, and so vary too little: without this factor, intervals that
# should cover 95% covered 86% to 97% in simulation (docs/statistics-importance.md).
SPREAD = 1.2


@dataclass(frozen=True, slots=True)
class Fanova:
    """Shares of the variance of the scores, of d hyperparameters.

    Attributes:
        n: trials.
        trees: of the forest.
        trials_per_tree: how many trials the largest tree was grown on.
        values: shape [d], the main effects, corrected; almost unbiased, so below 0 by chance.
        draws: shape [B, d], the same in bootstrap resamples, with the forest as it is, and
            `SPREAD` times as far from `values`.
        plain: shape [d], the main effects of the forest alone, as published: the mean over trees
            of the variance of a tree's marginal over the variance of its predictions.
        r_squared: how much of the variance of the scores the trees explain for trials that they
            never saw; near 0 or below for a useless forest.
        pairs: for each pair of columns (i, j), i < j, its interaction, corrected; empty where
            none were asked for.
        pair_draws: the same in bootstrap resamples, each shape [B].
    """

    n: int
    trees: int
    trials_per_tree: int
    values: Floats
    draws: Floats
    plain: Floats
    r_squared: float
    pairs: Mapping[tuple[int, int], float]
    pair_draws: Mapping[tuple[int, int], Floats]


def fanova(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    generator: np.random.Generator,
    levels: Sequence[int | None] | None = None,
    resamples: int = 0,
    repeats: int = REPEATS,
    pairs: bool = False,
    floor: float | None = None,
) -> Fanova:
    """The fANOVA of n trials, a uniform random sample of the space.

    Args:
        units: see `checked_sample`.
        scores: see `checked_sample`.
        generator: draws the forest and the resamples.
        levels: see `checked_sample`.
        resamples: bootstrap resamples of configurations.
        repeats: a third of the number of trees.
        pairs: whether to find the interactions of all pairs too.
        floor: scores below it count as this much (section 3.3 of the paper): with a floor, what
            tells bad trials from worse ones does not count. None for no floor.

    Raises:
        ValueError: for arguments outside their ranges, fewer than 3 configurations, or scores
            that are all the same.
    """
    values = np.asarray(scores, dtype=np.float64)
    sample = checked_sample(units, values if floor is None else np.maximum(values, floor), levels)
    if sample.n_groups < FOLDS:
        raise ValueError(f"units must be of {FOLDS} configurations; found {sample.n_groups}")
    if sample.scores[0] == sample.scores[-1]:
        raise ValueError(f"scores must differ; found {sample.n} of {sample.scores[0]}")
    counts = resample_counts(sample.n_groups, resamples, generator)
    return fanova_draws(sample, counts, generator=generator, repeats=repeats, pairs=pairs)


def fanova_draws(
    sample: Sample,
    counts: Counts,
    *,
    generator: np.random.Generator,
    repeats: int = REPEATS,
    pairs: bool = False,
) -> Fanova:
    """`fanova` of a checked sample, in the weighted samples of `counts` [1 + B, n_groups]."""
    y = standardized(sample.scores)
    forest = grow(sample, y, generator=generator, repeats=repeats)
    predictions = forest.predictions(sample.units)
    marginals = np.stack([forest.marginals(sample.units, j) for j in range(sample.d)])
    responses = marginals + (y - predictions)
    variance = _variance(sample, counts, y, _chance(predictions, marginals))
    effects = np.stack([_effect(sample, counts, j, responses[j]) for j in range(sample.d)], axis=1)
    effects[:, ~sample.varying()] = 0
    effects /= variance[:, None]
    found = {}
    for i, j in itertools.combinations(range(sample.d), 2) if pairs else ():
        joint = forest.marginals(sample.units, i, j)
        response = joint - marginals[i] - marginals[j] + (y - predictions)
        found[i, j] = _interaction(sample, counts, i, j, response) / variance
    return Fanova(
        n=sample.n,
        trees=len(forest.trees),
        trials_per_tree=forest.trials_per_tree,
        values=effects[0],
        draws=_spread(effects),
        plain=plain_effects(forest, sample.d),
        r_squared=1 - float(np.mean((y - predictions) ** 2) / np.mean(y * y)),
        pairs={pair: float(draws[0]) for pair, draws in found.items()},
        pair_draws={pair: _spread(draws) for pair, draws in found.items()},
    )


def plain_effects(forest: Forest, d: int) -> Floats:
    """Main effects of a forest's trees, as shares of each tree's variance, averaged; [d]."""
    fractions = [
        [tree.marginal(j).variance() / variance for j in range(d)]
        for tree in forest.trees
        if (variance := tree.variance()) > 0
    ]
    return np.mean(fractions, axis=0) if fractions else np.full(d, np.nan)


def standardized(scores: Floats) -> Floats:
    """Scores with mean 0 and variance 1; scikit-learn's trees take tiny spreads for none."""
    centred = scores - scores.mean()
    # Twice, so that spreads far from 1 cannot overflow or vanish when they are squared.
    centred = centred / np.abs(centred).max()
    return np.asarray(centred / centred.std())


def _spread(effects: Floats) -> Floats:
    """The draws [B, ...] of effects [1 + B, ...], those of the sample itself being the first."""
    return np.asarray(effects[0] + SPREAD * (effects[1:] - effects[0]))


def _chance(predictions: Floats, marginals: Floats) -> Floats:
    """What the luck of the draw alone adds to the square of each score, [d, n] to [n].

    The marginal along j and what the forest predicts beyond it are uncorrelated over the space,
    but not in a sample: their products add to the variance of its scores, and not to the main
    effects. Taking them out (their expectation is 0) makes shares of a variance steadier.
    """
    beyond = predictions - predictions.mean()
    along = marginals - marginals.mean(axis=1, keepdims=True)
    return np.asarray((along * (beyond - along)).sum(axis=0))


def _variance(sample: Sample, counts: Counts, y: Floats, chance: Floats) -> Floats:
    """Variance of the scores in each weighted sample, [B, n_groups] to [B]; nan where it is 0."""
    found = []
    for block in blocks(counts, sample.n):
        weights = block[:, sample.groups]
        n = weights.sum(axis=1)
        variance = weights @ (y * y) / n - (weights @ y / n) ** 2
        # A small sample may have more luck than variance.
        steady = np.maximum(variance - weights @ chance / n, variance / 4)
        found.append(np.where(variance > 1e-12, steady * n / (n - 1), np.nan))
    return np.concatenate(found)


def _effect(sample: Sample, counts: Counts, column: int, response: Floats) -> Floats:
    """Variance of the mean response along one hyperparameter, [B, n_groups] to [B]."""
    smoother, cells = None, []
    for weights, sums in _weighted(sample, counts, response):
        if smoother is None:
            values = sample.group_units[:, column]
            smoother = fitted_smoother(values, sample.levels[column], weights[0], sums[0])
        cells.append(smoother.cell_sums(weights, sums))
    assert smoother is not None  # there is a first block
    return smoother.explained_in_cells(np.concatenate(cells, axis=1))


def _interaction(sample: Sample, counts: Counts, i: int, j: int, response: Floats) -> Floats:
    """What a pair explains beyond what each of the two does, [B, n_groups] to [B]."""
    units = sample.group_units
    cells = [pair_cells(units[:, c], sample.levels[c], PAIR_CELLS) for c in (i, j)]
    both = pair_smoother(*cells)
    alone = [pair_smoother(side, (np.zeros_like(side[0]), 1)) for side in cells]
    return np.concatenate(
        [
            both.explained(weights, sums) - sum(s.explained(weights, sums) for s in alone)
            for weights, sums in _weighted(sample, counts, response)
        ]
    )


def _weighted(sample: Sample, counts: Counts, response: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Weights and centred sums of the configurations, block by block, each [b, n_groups]."""
    for block in blocks(counts, sample.n):
        weights = block[:, sample.groups]
        mean = weights @ response / weights.sum(axis=1)
        yield (
            group_sums(weights, sample.groups, sample.n_groups),
            group_sums(weights * (response - mean[:, None]), sample.groups, sample.n_groups),
        )
