"""Coarse to fine: random search in a box that closes in on what was best so far."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpsuite.strategies.base import (
    PlannedSampler,
    best_first,
    check_one_objective,
    trial_generator,
)
from hpsuite.strategies.unit_cube import Scale, Value, check_scale, level, to_unit, to_value


class CoarseToFineSampler(PlannedSampler):
    """Rounds of uniform random search, each in a smaller box around the best trials so far.

    The first round is uniform over the whole space. Every later round is uniform in a box whose
    side is `zoom` times that of the round before along each hyperparameter (so `zoom` ** r of the
    range in round r, counted from 0), centred on the mean of the best trials of all rounds before,
    and shifted where needed to stay in the range. Of a choice, a later round takes the values that
    occur among these best trials, each equally likely.

    Trials are ranked by value in the study's direction, ties by lower number. A trial that failed,
    was pruned, has no finite value or lacks a hyperparameter ranks below all others and is never
    among the best; where no trial of the rounds before is usable, the round covers the whole space.

    A round is meant to begin when the rounds before are finished (`n_askable`). If it is asked for
    earlier, as `study.optimize` with several jobs does, it goes by the trials finished by then: it
    works, but is no longer repeatable. Single-objective studies only.

    Args:
        search_space: distribution by name.
        n_trials: number of trials, >= `rounds`; split evenly, the earlier rounds one larger where
            it does not divide.
        rounds: >= 1.
        zoom: in (0, 1].
        top_fraction: share of the trials of earlier rounds to close in on, in (0, 1]; rounded to
            the nearest number of trials, at least 1.
        scale: on which all of this happens: the `own` of each distribution, or `linear` in the raw
            value.
        seed: >= 0.

    Attributes:
        round_sizes: number of trials of each round.

    Raises:
        ValueError: what PlannedSampler raises, and an argument outside of the range given above.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        rounds: int = 3,
        zoom: float = 0.5,
        top_fraction: float = 0.25,
        scale: Scale = "own",
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        check_scale(scale)
        if not 1 <= rounds <= n_trials:
            accepted = f"1 to {n_trials}, the number of trials"
            raise ValueError(f"rounds: found {rounds}; accepted: {accepted}")
        for name, share in (("zoom", zoom), ("top_fraction", top_fraction)):
            if not 0 < share <= 1:
                raise ValueError(f"{name}: found {share}; accepted: more than 0, at most 1")
        self.zoom = zoom
        self.top_fraction = top_fraction
        self.scale: Scale = scale
        each, extra = divmod(n_trials, rounds)
        self.round_sizes = tuple(each + (r < extra) for r in range(rounds))

    def shaped_by_budget(self) -> dict[str, object]:
        return {"round_sizes": list(self.round_sizes)}

    def n_askable(self, n_told: int) -> int | None:
        ends = accumulate(self.round_sizes)
        return next((end for end in ends if end > n_told), self.n_planned)

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        check_one_objective(self, study)
        ends = list(accumulate(self.round_sizes))
        r = sum(end <= trial.number for end in ends)
        n_before = ends[r - 1] if r else 0
        best = self._best(study, n_before)
        units = trial_generator(self.seed, trial.number).random(len(self.search_space))
        side = self.zoom**r
        return {
            name: self._in_box(name, float(unit), side, [t.params[name] for t in best])
            for name, unit in zip(self.search_space, units, strict=True)
        }

    def _best(self, study: Study, n_before: int) -> list[FrozenTrial]:
        """The best of the first `n_before` trials, best first; empty where none is usable."""
        n_best = max(1, round(self.top_fraction * n_before))
        return best_first(study, n_before, self.search_space)[:n_best]

    def _in_box(self, name: str, unit: float, side: float, best: Sequence[Value]) -> Value:
        """The value at `unit` of the box around the best values of one hyperparameter."""
        distribution = self.search_space[name]
        if not best:
            return to_value(distribution, unit, self.scale)
        if isinstance(distribution, CategoricalDistribution):
            present = sorted({int(distribution.to_internal_repr(value)) for value in best})
            return level(distribution, present[int(unit * len(present))])
        centre = float(np.mean([to_unit(distribution, value, self.scale) for value in best]))
        low = min(max(centre - side / 2, 0.0), 1.0 - side)
        return to_value(distribution, min(low + unit * side, 1.0), self.scale)
