"""What a configuration tuned on one setup costs on another.

cost(A to B) is the score on B of what is best on B minus the score on B of what is best on A, in
the scores' unit: 0 where tuning again gains nothing. "Best" is the mean over the best 4% of a
reference sample, as b is: the one best of a noisy sample is luck, and its bootstrap is unsound.

Selection flatters. The scores on B of what those same scores chose are too high, which makes every
cost too large; the scores on B of what A's scores chose are not touched by it. So one of three is
needed, in this order of worth: scores with fresh seeds of what was chosen (`costs_of_picks`);
several seeds for each shared configuration, where each seed judges what the others chose; or, with
one seed, b of each setup from fresh seeds. With one seed alone a cost is an upper bound, and its
lower end 0. In all of them the noise of two setups must be independent: seeds that favour a
configuration on A and on B alike hide some of the cost.

Shapes: S setups, s seeds, n configurations, B resamples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.best import TOP_SHARE
from hpsuite.analysis.checks import Floats, checked_level, checked_number
from hpsuite.analysis.fractions import fieller
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
    top_share: float = TOP_SHARE,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Transfer:
    """Costs from configurations that all setups share, such as paired reference samples.

    The interval is Student's t around the estimate with the standard error of a bootstrap that
    resamples configurations, their seeds with them, and chooses anew; with 2 (k - 1) degrees of
    freedom for k chosen on either side, k - 1 where `best` is given. That of a relative staleness
    is Fieller's (1954). Approximate: where what is best on A lies beside a cliff of B, the noise
    of the choice itself costs as much as the transfer (docs/statistics-verdicts.md).

    Args:
        scores: for each setup shape [n, s], s seeds of n i.i.d. random configurations, the same
            ones in the same order everywhere; or [n], one seed. Any unit, higher is better.
        generator: draws the resamples.
        best: for each setup (b, its standard error), b from fresh seeds of what its scores here
            chose; stands for the setup's own best.
        top_share: how many are chosen, as a share of n, in (0, 1]; one at least.
        level: confidence level, in (0, 1).
        resamples: bootstrap resamples, >= 2.

    Returns:
        Costs, whose ends are nan where a single configuration is chosen.

    Raises:
        ValueError: for fewer than two setups, scores that are not finite or of unequal shape, or
            arguments out of range.
    """
    names, table = _stacked(scores)
    _check(level, top_share, resamples)
    given = _checked_best(names, best)
    n = table.shape[2]
    chosen = max(1, round(top_share * n))

    found = _Levels.of(table, chosen, given)
    parts = []
    for start in range(0, resamples, CHUNK):
        indices = generator.integers(n, size=(min(CHUNK, resamples - start), n))
        parts.append(_Levels.of(table[:, :, indices], chosen, given))
    drawn = _Levels(
        np.concatenate([part.on for part in parts], axis=-1),
        np.concatenate([part.own for part in parts], axis=-1),
        np.concatenate([part.median for part in parts], axis=-1),
    )

    method = f"t with a bootstrap over configurations, best {chosen} of {n}"
    flattered = table.shape[1] == 1 and given is None
    if given is not None:
        method += ", own best as given"
    elif flattered:
        method += "; one seed: biased upwards, lower end 0 by definition"
    else:
        method += ", each seed judges what the others chose"
    t = math.nan
    if chosen == 1:
        method += "; no interval: one configuration does not show its spread"
    else:
        t = t_quantile(level, (chosen - 1) * (2 if given is None else 1))

    def interval(cost: float, variance: float) -> Interval:
        half = t * math.sqrt(variance)
        low = min(0.0, cost) if flattered and not math.isnan(half) else cost - half
        return Interval(cost, low, cost + half, level, method)

    costs, stale, relative = {}, {}, {}
    for i, name in enumerate(names):
        error = 0.0 if given is None else float(given[i, 1])
        others = [j for j in range(len(names)) if j != i]
        for j in others:
            spread = float(np.var(drawn.own[i] - drawn.on[j, i])) + error**2
            costs[names[j], name] = interval(float(found.own[i] - found.on[j, i]), spread)
        cost = float(found.own[i] - found.on[others, i].mean())
        gain = float(found.own[i] - found.median[i])
        both = np.stack(
            [drawn.own[i] - drawn.on[others, i].mean(axis=0), drawn.own[i] - drawn.median[i]]
        )
        covariance = np.cov(both, bias=True) + error**2
        stale[name] = interval(cost, float(covariance[0, 0]))
        low, high = fieller(cost, gain, covariance, t)
        if math.isnan(high):
            reason = method
            if chosen > 1:
                reason += f"; not computable: the gain of tuning, {gain:.3g}, may be 0"
            relative[name] = Interval(math.nan, math.nan, math.nan, level, reason)
        else:
            low = min(0.0, cost / gain) if flattered else low
            relative[name] = Interval(cost / gain, low, high, level, f"{method}; Fieller")
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

    @classmethod
    def of(cls, table: Floats, chosen: int, given: Floats | None) -> "_Levels":
        """From scores [S, s, ..., n] and, where given, (b, its standard error) [S, 2]."""
        seeds = table.shape[1]
        total, folds = table.sum(axis=1), []
        for seed in range(seeds):
            judged = table[:, seed]
            weights = _chosen((total - judged) / (seeds - 1) if seeds > 1 else judged, chosen)
            folds.append(np.einsum("a...n,b...n->ab...", weights, judged))
        on = np.mean(folds, axis=0)
        own = np.einsum("aa...->a...", on)
        if given is not None:
            own = np.broadcast_to(given[:, 0].reshape(-1, *[1] * (own.ndim - 1)), own.shape)
        return cls(on, own, np.median(total / seeds, axis=-1))


def _chosen(scores: Floats, k: int) -> Floats:
    """Weights [..., n] of the k best of scores [..., n], 1/k each; ties for the last share it."""
    n = scores.shape[-1]
    last = np.partition(scores, n - k, axis=-1)[..., n - k, None]
    above, tied = scores > last, scores == last
    places = k - above.sum(axis=-1, keepdims=True)
    return np.asarray((above + tied * (places / tied.sum(axis=-1, keepdims=True))) / k)


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


def _check(level: float, top_share: float, resamples: int) -> None:
    checked_level(level)
    if not 0 < top_share <= 1:
        raise ValueError(f"top_share must be in (0, 1]; found {top_share}")
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more; found {resamples}")


def _checked_best(
    names: tuple[str, ...], best: Mapping[str, tuple[float, float]] | None
) -> Floats | None:
    """(b, its standard error) of each setup, [S, 2]."""
    if best is None:
        return None
    if set(best) != set(names):
        raise ValueError(f"best must have the setups {list(names)}; found {sorted(best)}")
    for name, (b, error) in best.items():
        checked_number(f"best of {name}", b)
        checked_number(f"standard error of the best of {name}", error, at_least=0)
    return np.array([best[name] for name in names])
