"""PED-ANOVA (Watanabe, Bansal and Hutter 2023): what decides whether a trial is among the best.

Their theorem: the main effect of a hyperparameter on "is among the best g' of the trials", within
the best g of them, is (g'/g)^2 times the Pearson divergence D = integral of (p/q - 1)^2 q, with p
and q its densities among the one and the other. Global importance has g = 1, local importance
g < 1: what still matters once the worst are out of the way.

Their estimate (and Optuna's) puts kernel densities into D, and so finds a divergence where there
is none, and too little where there is much. Here the main effect is estimated directly, without
that bias (`main_effect`), on the scale of ranks, which a divergence does not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.main_effect import (
    Counts,
    Smoother,
    blocks,
    fitted_smoother,
    group_sums,
    resample_counts,
)
from hpsuite.analysis.sample import Sample, checked_sample

TOP = 0.1


@dataclass(frozen=True, slots=True)
class PedAnova:
    """Importances of d hyperparameters for being among the best.

    Attributes:
        n: trials.
        top: g', the share of the trials that counts as the best.
        region: g, the share within which the best are told from the rest.
        values: shape [d], the share of the variance of "is among the best" that each
            hyperparameter explains by itself; almost unbiased, so below 0 by chance.
        draws: shape [B, d], the same in bootstrap resamples.
    """

    n: int
    top: float
    region: float
    values: Floats
    draws: Floats

    @property
    def divergences(self) -> Floats:
        """The Pearson divergences D, shape [d]."""
        share = self.top / self.region
        return np.asarray(self.values * (1 - share) / share)


def ped_anova(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    levels: Sequence[int | None] | None = None,
    top: float = TOP,
    region: float = 1.0,
    generator: np.random.Generator | None = None,
    resamples: int = 0,
) -> PedAnova:
    """PED-ANOVA of n trials.

    Where trials tie at a cut, each of them counts in part, so that the best are exactly a share
    `top` of the trials: the mean over all ways to break the tie.

    Args:
        units: see `checked_sample`.
        scores: see `checked_sample`.
        levels: see `checked_sample`.
        top: g', in (0, region).
        region: g, in (top, 1].
        generator: draws the resamples; needed where there are any.
        resamples: bootstrap resamples of configurations.

    Raises:
        ValueError: for arguments outside these ranges, or fewer than 2 trials.
    """
    if not 0 < top < region <= 1:
        raise ValueError(f"top and region must be 0 < top < region <= 1; found {top} and {region}")
    sample = checked_sample(units, scores, levels)
    if sample.n < 2:
        raise ValueError(f"scores must be of at least 2 trials; found {sample.n}")
    if generator is None:
        if resamples:
            raise ValueError("generator must be given for resamples; found None")
        generator = np.random.default_rng(0)
    counts = resample_counts(sample.n_groups, resamples, generator)
    found = ped_anova_draws(sample, counts, top, region)
    return PedAnova(sample.n, top, region, found[0], found[1:])


def ped_anova_draws(sample: Sample, counts: Counts, top: float, region: float) -> Floats:
    """`PedAnova.values` of weighted samples, [B, n_groups] counts to [B, d].

    nan where all of the region ties, so that nothing tells the best from the rest.
    """
    smoothers: list[Smoother] = []
    cells: list[list[Floats]] = [[] for _ in range(sample.d)]
    scales = []
    for block in blocks(counts, sample.n):
        weights = block[:, sample.groups]
        best = _best(sample.scores, weights, top)
        inside = _best(sample.scores, weights, region) if region < 1 else weights
        share = best.sum(axis=1, keepdims=True) / inside.sum(axis=1, keepdims=True)
        weighted = group_sums(inside, sample.groups, sample.n_groups)
        sums = group_sums(best - inside * share, sample.groups, sample.n_groups)
        if not smoothers:
            # Of the sample itself; the scale of ranks is that within its region.
            smoothers = [
                fitted_smoother(column, m, weighted[0], sums[0])
                for column, m in zip(sample.group_units.T, sample.levels, strict=True)
            ]
        scale = (share * (1 - share))[:, 0]
        scales.append(np.where(_ties_at_the_top(best, inside), np.nan, scale))
        for smoother, own in zip(smoothers, cells, strict=True):
            own.append(smoother.cell_sums(weighted, sums))
    effects = np.stack(
        [
            smoother.explained_in_cells(np.concatenate(own, axis=1))
            for smoother, own in zip(smoothers, cells, strict=True)
        ],
        axis=1,
    )
    effects[:, ~sample.varying()] = 0
    return np.asarray(effects / np.concatenate(scales)[:, None])


def _best(scores: Floats, weights: Floats, share: float) -> Floats:
    """What of each trial's weight is among the best `share` of all weight.

    Args:
        scores: shape [n], descending.
        weights: shape [B, n].
        share: in (0, 1).
    """
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores) != 0]))
    tied = np.add.reduceat(weights, starts, axis=1)
    reached = np.cumsum(tied, axis=1)
    room = np.clip(share * reached[:, -1:] - (reached - tied), 0, tied)
    part = np.divide(room, tied, out=np.zeros_like(tied), where=tied > 0)
    return np.asarray(np.repeat(part, np.diff([*starts, len(scores)]), axis=1) * weights)


def _ties_at_the_top(best: Floats, inside: Floats) -> npt.NDArray[np.bool_]:
    """Whether all trials of the region are the best to the same part, [B, n] to [B]."""
    part = np.divide(best, inside, out=np.full_like(best, np.nan), where=inside > 1e-12)
    return np.asarray(np.nanmax(part, axis=1) - np.nanmin(part, axis=1) < 1e-9)
