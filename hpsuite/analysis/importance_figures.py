"""From an evaluator's draws to the figures of each hyperparameter: intervals, shares, ranks."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.intervals import Interval
from hpsuite.analysis.ranking import RankRange, holm

UNITS = {
    "ped_anova_top10": "share of the variance of being among the best 10%",
    "ped_anova_top10_of_top50": "share of the variance of being among the best 10%, "
    "within the best 50%",
    "fanova": "share of the variance of the scores",
    "tuning_risk": "loss in the score from leaving it at its default",
}
EVALUATORS = tuple(UNITS)


@dataclass(frozen=True, slots=True)
class HyperparameterImportance:
    """One evaluator's figures for one hyperparameter.

    Attributes:
        name: the hyperparameter's.
        value: in the evaluator's unit.
        share: its part of the sum over all hyperparameters, in [0, 1], values below 0 counting
            as 0; nan where the sum is 0, and an interval of [0, 1] where the sum is not above 0
            beyond chance.
        p_first: the probability, over resamples, that it matters most.
        rank: the ranks that the trials leave open, 1 the most important.
    """

    name: str
    value: Interval
    share: Interval
    p_first: float
    rank: RankRange

    @property
    def rank_text(self) -> str:
        """`1`, `1-3`, or `could not rank` where nothing is known."""
        if self.rank.arms == 1:
            return "only one"
        return "could not rank" if _knows_nothing(self.rank) else self.rank.text


@dataclass(frozen=True, slots=True)
class Importance:
    """What one evaluator says of all hyperparameters.

    Attributes:
        evaluator: its name, one of `EVALUATORS`.
        n: trials that it used.
        unit: what a value is, for a reader.
        by_name: for each hyperparameter its figures, in the order given.
        total: the sum of all values; for PED-ANOVA and fANOVA the share of the variance that
            main effects explain.
        pairs: for each pair of names its interaction, as a share of the variance; empty but for
            a fANOVA that was asked for them.
        total_with_pairs: what main effects and interactions of pairs explain together; None
            without `pairs`.
        order: `settled` where each has a rank of its own, `not settled`, `could not rank` where
            no two can be told apart, `only one`, or `not computable`.
        note: what a reader should know of this figure; why it could not be computed.
        draws: shape [B, k], what the values may be, in the order of `by_name`; empty where it could
            not be computed.
    """

    evaluator: str
    n: int
    unit: str
    by_name: Mapping[str, HyperparameterImportance]
    total: Interval
    pairs: Mapping[tuple[str, str], Interval]
    total_with_pairs: Interval | None
    order: str
    note: str
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)), compare=False, repr=False)

    def difference(self, a: str, b: str, level: float = 0.95) -> Interval:
        """The value of one hyperparameter minus that of another, by the draws of both.

        Args:
            a, b: names.
            level: confidence level, in (0, 1).

        Returns:
            The interval; nan where it cannot be computed.

        Raises:
            KeyError: a name that is none of the hyperparameters'.
        """
        estimate = self.by_name[a].value.estimate - self.by_name[b].value.estimate
        if not len(self.draws):
            return Interval(math.nan, math.nan, math.nan, level, self.by_name[a].value.method)
        names = list(self.by_name)
        apart = self.draws[:, names.index(a)] - self.draws[:, names.index(b)]
        bounds = (-math.inf, math.inf) if self.evaluator == "tuning_risk" else (-1.0, 1.0)
        return _interval(estimate, apart, level, bounds, self.by_name[a].value.method)

    @property
    def first(self) -> str | None:
        """The one that matters most, where that is settled."""
        firsts = [name for name, found in self.by_name.items() if found.rank.high == 1]
        return firsts[0] if firsts else None


@dataclass(frozen=True, slots=True)
class Found:
    """An evaluator's raw result.

    Attributes:
        columns: the k hyperparameters that it is for.
        values: shape [k].
        draws: shape [B, k], what the values may be; a row with nan is one that could not be drawn.
        method: of the intervals, for a reader.
        note: for a reader.
        pairs: for each pair of columns the value and the draws [B] of its interaction.
    """

    columns: tuple[int, ...]
    values: Floats
    draws: Floats
    method: str
    note: str
    pairs: Mapping[tuple[int, int], tuple[float, Floats]] = field(default_factory=dict)

    @property
    def drawn(self) -> npt.NDArray[np.bool_]:
        """Which rows of the draws could be drawn, shape [B]."""
        return np.asarray(~np.isnan(self.draws).any(axis=1))


def summarized(
    evaluator: str, n: int, names: Sequence[str], level: float, found: Found
) -> Importance:
    """The figures of what an evaluator found, at least one of its draws being drawn."""
    drawn = found.drawn
    draws = found.draws[drawn]
    bounds = (-math.inf, math.inf) if evaluator == "tuning_risk" else (0.0, 1.0)

    def interval(value: float, drawn_values: Floats) -> Interval:
        return _interval(value, drawn_values, level, bounds, found.method)

    shares = _shares(found.values, draws, level, found.method)
    first, ranks = _p_first(draws), _ranks(found.values, draws, level)
    by_name = {
        names[column]: HyperparameterImportance(
            name=names[column],
            value=interval(float(found.values[i]), draws[:, i]),
            share=shares[i],
            p_first=float(first[i]),
            rank=ranks[i],
        )
        for i, column in enumerate(found.columns)
    }
    total, total_draws = float(found.values.sum()), draws.sum(axis=1)
    pairs = {
        (names[i], names[j]): interval(value, pair_draws[drawn])
        for (i, j), (value, pair_draws) in found.pairs.items()
    }
    with_pairs = None
    if found.pairs:
        values, pair_draws = zip(*found.pairs.values(), strict=True)
        with_pairs = interval(total + sum(values), total_draws + sum(pair_draws)[drawn])
    return Importance(
        evaluator=evaluator,
        n=n,
        unit=UNITS[evaluator],
        by_name=by_name,
        total=interval(total, total_draws),
        pairs=pairs,
        total_with_pairs=with_pairs,
        order=_order(ranks) if len(ranks) > 1 else "only one",
        note=found.note,
        draws=draws,
    )


def uncomputed(
    evaluator: str, n: int, names: Sequence[str], level: float, reason: str
) -> Importance:
    """The figures of what could not be computed: nan everywhere, and why."""
    nothing = Interval(math.nan, math.nan, math.nan, level, f"not computable: {reason}")
    rank = RankRange(1, len(names), len(names))
    by_name = {
        name: HyperparameterImportance(name, nothing, nothing, math.nan, rank) for name in names
    }
    return Importance(
        evaluator, n, UNITS[evaluator], by_name, nothing, {}, None, "not computable", reason
    )


def _interval(
    estimate: float, draws: Floats, level: float, bounds: tuple[float, float], method: str
) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    clipped = [float(np.clip(v, *bounds)) for v in (estimate, low, high)]
    # The estimate need not lie between draws of it: both are clipped.
    return Interval(
        clipped[0], min(clipped[0], clipped[1]), max(clipped[0], clipped[2]), level, method
    )


def _shares(values: Floats, draws: Floats, level: float, method: str) -> list[Interval]:
    """Each one's part of the sum of positive parts."""
    positive = np.maximum(values, 0)
    total = float(positive.sum())
    estimates = positive / total if total > 0 else np.full(len(values), np.nan)
    if float(np.quantile(draws.sum(axis=1), (1 - level) / 2)) <= 0:
        method = f"{method}; the sum is not above 0 beyond chance"
        return [Interval(float(v), 0.0, 1.0, level, method) for v in estimates]
    parts = np.maximum(draws, 0)
    sums = parts.sum(axis=1, keepdims=True)
    parts = (parts / np.where(sums > 0, sums, 1))[sums[:, 0] > 0]
    return [
        _interval(float(v), part, level, (0.0, 1.0), method)
        for v, part in zip(estimates, parts.T, strict=True)
    ]


def _p_first(draws: Floats) -> Floats:
    """How often each is the largest, [B, k] to [k]; ties share."""
    largest = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((largest / largest.sum(axis=1, keepdims=True)).mean(axis=0))


def _ranks(values: Floats, draws: Floats, level: float) -> list[RankRange]:
    """Ranges of ranks: all pairs by the z test of their difference, corrected by Holm (1979)."""
    k = len(values)
    pairs = list(itertools.combinations(range(k), 2))
    p_values = []
    for i, j in pairs:
        error = float(np.std(draws[:, i] - draws[:, j], ddof=1))
        apart = abs(float(values[i] - values[j]))
        p_values.append(float(2 * stats.norm.sf(apart / error)) if error > 0 else 1.0)
    above, below = [0] * k, [0] * k
    for (i, j), different in zip(pairs, holm(p_values, 1 - level), strict=True):
        if different:
            more, less = (i, j) if values[i] > values[j] else (j, i)
            above[less] += 1
            below[more] += 1
    return [RankRange(1 + above[i], k - below[i], k) for i in range(k)]


def _order(ranks: Sequence[RankRange]) -> str:
    if all(_knows_nothing(rank) for rank in ranks):
        return "could not rank"
    return "settled" if all(rank.low == rank.high for rank in ranks) else "not settled"


def _knows_nothing(rank: RankRange) -> bool:
    return rank.arms > 1 and (rank.low, rank.high) == (1, rank.arms)
