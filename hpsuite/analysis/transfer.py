"""What a configuration tuned on one setup costs on another.

cost(A to B) is the score on B of what is best on B minus the score on B of what is best on A, in
the scores' unit: 0 where tuning again gains nothing. "Best" is the mean over the best 4% of a
reference sample, as b is: the one best of a noisy sample is luck, and its bootstrap is unsound.

Selection flatters. The scores on B of what those same scores chose are too high, which makes every
cost too large; the scores on B of what A's scores chose are not touched by it. So one of three is
needed, in this order of worth: scores with fresh seeds of what was chosen (`costs_of_picks`);
several seeds for each shared configuration, where each seed judges what the others chose
(`transfer_costs`); or, with one seed, b of each setup from elsewhere. With one seed and an assumed
noise alone, the lower end is what allows for the flattery. In all of them the noise of two setups
must be independent: seeds that favour a configuration on A and on B alike hide some of the cost.

Shapes: S setups, s seeds, n configurations, B resamples.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_level, checked_number
from hpsuite.analysis.good_fraction import TOP_SHARE
from hpsuite.analysis.intervals import Interval, t_quantile

RESAMPLES = 1000
# Resamples that are held at once: with 5 setups of 256 configurations and 3 seeds, 3 MB.
CHUNK = 100
Route = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Costs of using on one setup what was tuned on another.

    Attributes:
        costs: for each (tuned on, used on), two different setups, the cost in the scores' unit.
            The truth is >= 0 for the best of the whole space; an estimate can be below 0.
        staleness: for each setup, the mean cost there of what was tuned on each of the others.
        relative_staleness: that divided by what tuning gains there at all, its best minus its
            median: 0 where old hyperparameters serve as well as new ones, 1 where they are no
            better than the median configuration. nan, with the reason in its method, where the
            sample cannot tell that gain from 0. Empty where no median is known.
    """

    costs: Mapping[Route, Interval]
    staleness: Mapping[str, Interval]
    relative_staleness: Mapping[str, Interval]


def transfer_costs(
    scores: Mapping[str, npt.ArrayLike],
    *,
    generator: np.random.Generator,
    best: Mapping[str, tuple[float, float]] | None = None,
    noise_sd: float | None = None,
    top_share: float = TOP_SHARE,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Transfer:
    """Costs from configurations that all setups share, such as paired reference samples.

    The interval is Student's t around the estimate with the standard error of a bootstrap that
    resamples configurations, their seeds with them, and chooses anew; with 2 (k - 1) degrees of
    freedom for k chosen on either side, k - 1 where `best` is given. Approximate: where what is
    best on A lies beside a cliff of B, the noise of the choice itself costs as much as the
    transfer (docs/statistics-verdicts.md has the coverage).

    Args:
        scores: for each setup shape [n, s], s seeds of n i.i.d. random configurations, the same
            ones in the same order everywhere; or [n], one seed. Any unit, higher is better.
        generator: draws the resamples.
        best: for each setup (b, its standard error), from scores that did not choose it; stands
            for the setup's own best.
        noise_sd: standard deviation of a score over seeds, in the scores' unit, >= 0; for one
            seed without `best`, where it is needed.
        top_share: how many are chosen, as a share of n, in (0, 1]; one at least.
        level: confidence level, in (0, 1).
        resamples: bootstrap resamples, >= 2.

    Returns:
        Costs, whose ends are nan where a single configuration is chosen.

    Raises:
        ValueError: for fewer than two setups, scores that are not finite or of unequal shape,
            arguments out of range, or one seed with neither `best` nor `noise_sd`.
    """
    names, table = _stacked(scores)
    _check(
        names,
        table.shape[1],
        best=best,
        noise_sd=noise_sd,
        top_share=top_share,
        level=level,
        resamples=resamples,
    )
    n = table.shape[2]
    chosen = max(1, round(top_share * n))

    found = _Levels.of(table, chosen, names, best)
    parts = []
    for start in range(0, resamples, CHUNK):
        indices = generator.integers(n, size=(min(CHUNK, resamples - start), n))
        parts.append(_Levels.of(table[:, :, indices], chosen, names, best))
    drawn = _Levels(*(np.concatenate(field, axis=-1) for field in zip(*parts, strict=True)))

    one_seed = table.shape[1] == 1 and best is None
    flattery = np.zeros(len(names))
    method = f"t with a bootstrap over configurations, best {chosen} of {n}"
    if best is not None:
        method += ", own best as given"
    elif one_seed:
        assert noise_sd is not None
        flattery = np.array([_flattery(row[0], noise_sd, chosen, generator) for row in table])
        method += f"; estimate biased upwards, lower end allows for seed noise of {noise_sd:g}"
    else:
        method += ", each seed judges what the others chose"
    df = (chosen - 1) if best is not None else 2 * (chosen - 1)

    def interval(estimate: float, spread: Floats, error: float, bias: float) -> Interval:
        half = math.nan
        if chosen > 1:
            half = t_quantile(level, df) * math.sqrt(float(spread.var()) + error**2)
        return Interval(estimate, estimate - bias - half, estimate + half, level, method)

    errors = [0.0 if best is None else best[name][1] for name in names]
    costs, stale, relative = {}, {}, {}
    for i, name in enumerate(names):
        others = [j for j in range(len(names)) if j != i]
        for j in others:
            cost, spread = found.own[i] - found.on[j, i], drawn.own[i] - drawn.on[j, i]
            costs[names[j], name] = interval(float(cost), spread, errors[i], float(flattery[i]))
        cost = found.own[i] - found.on[others, i].mean()
        spread = drawn.own[i] - drawn.on[others, i].mean(axis=0)
        stale[name] = interval(float(cost), spread, errors[i], float(flattery[i]))
        gain, gains = float(found.own[i] - found.median[i]), drawn.own[i] - drawn.median[i]
        known = interval(gain, gains, errors[i], float(flattery[i]))
        if not known.low > 0:
            reason = f"{method}; not computable: the gain of tuning, {gain:.3g}, may be 0"
            relative[name] = Interval(math.nan, math.nan, math.nan, level, reason)
            continue
        ratio = float(cost) / gain
        # To first order, which does not ask that every resample has a gain.
        relative[name] = interval(
            ratio,
            (spread - ratio * gains) / gain,
            errors[i] * abs(1 - ratio) / gain,
            float(flattery[i]) * max(0.0, 1 - ratio) / gain,
        )
    return Transfer(costs, stale, relative)


@dataclass(frozen=True, slots=True)
class _Levels:
    """What configurations chosen on one setup score on another; [...] is empty or [B].

    Attributes:
        on: [S, S, ...], chosen on the first, scored on the second.
        own: [S, ...], each setup's own best.
        median: [S, ...], each setup's median over configurations of the mean over seeds.
    """

    on: Floats
    own: Floats
    median: Floats

    def __iter__(self) -> "itertools.chain[Floats]":
        return itertools.chain([self.on, self.own, self.median])

    @classmethod
    def of(
        cls,
        table: Floats,
        chosen: int,
        names: tuple[str, ...],
        best: Mapping[str, tuple[float, float]] | None,
    ) -> "_Levels":
        """From scores [S, s, ..., n]."""
        seeds = table.shape[1]
        total, folds = table.sum(axis=1), []
        for seed in range(seeds):
            judged = table[:, seed]
            weights = _chosen((total - judged) / (seeds - 1) if seeds > 1 else judged, chosen)
            folds.append(np.einsum("a...n,b...n->ab...", weights, judged))
        on = np.mean(folds, axis=0)
        own = np.einsum("aa...->a...", on)
        if best is not None:
            given = np.array([best[name][0] for name in names])
            own = np.broadcast_to(given.reshape(-1, *[1] * (own.ndim - 1)), own.shape)
        return cls(on, own, np.median(total / seeds, axis=-1))


def _chosen(scores: Floats, k: int) -> Floats:
    """Weights [..., n] of the k best of scores [..., n], 1/k each; ties for the last share it."""
    n = scores.shape[-1]
    last = np.partition(scores, n - k, axis=-1)[..., n - k, None]
    above, tied = scores > last, scores == last
    places = k - above.sum(axis=-1, keepdims=True)
    return np.asarray((above + tied * (places / tied.sum(axis=-1, keepdims=True))) / k)


def _flattery(scores: Floats, noise_sd: float, k: int, generator: np.random.Generator) -> float:
    """What the mean of the k best gains when seed noise is added to every score once more."""
    half = generator.normal(0.0, noise_sd, (100, len(scores)))
    noisy = np.sort(scores + np.concatenate([half, -half]), axis=1)
    return max(0.0, float(noisy[:, -k:].mean() - np.sort(scores)[-k:].mean()))


def _stacked(scores: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], Floats]:
    """Setups in order of name to (names, [S, s, n])."""
    if len(scores) < 2:
        raise ValueError(f"scores must have two setups or more; found {len(scores)}")
    names = tuple(sorted(scores))
    arrays = [np.asarray(scores[name], dtype=np.float64) for name in names]
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 2 or arrays[0].size == 0:
        raise ValueError(f"scores must all be [n, s] of one shape, not empty; found {shapes}")
    table = np.stack(arrays).transpose(0, 2, 1)
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite (a failed trial's is its failure score)")
    # Sorted together, so that the order of the configurations cannot matter.
    order = np.lexsort(table.reshape(-1, table.shape[2])[::-1])
    return names, table[:, :, order]


def _check(
    names: tuple[str, ...],
    seeds: int,
    *,
    best: Mapping[str, tuple[float, float]] | None,
    noise_sd: float | None,
    top_share: float,
    level: float,
    resamples: int,
) -> None:
    checked_level(level)
    if not 0 < top_share <= 1:
        raise ValueError(f"top_share must be in (0, 1]; found {top_share}")
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more; found {resamples}")
    if best is not None:
        if set(best) != set(names):
            raise ValueError(f"best must have the setups {list(names)}; found {sorted(best)}")
        for name, (b, error) in best.items():
            checked_number(f"best of {name}", b)
            checked_number(f"standard error of the best of {name}", error, at_least=0)
    elif seeds == 1 and noise_sd is None:
        raise ValueError("scores must have 2 seeds or more, or best or noise_sd; found 1 seed")
    if noise_sd is not None:
        checked_number("noise_sd", noise_sd, at_least=0)
