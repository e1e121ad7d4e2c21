"""Configurations that were tried before, tried again with fresh seeds."""

from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpsuite.strategies.base import PlannedSampler
from hpsuite.strategies.unit_cube import Value


class ReplaySampler(PlannedSampler):
    """Each of some configurations in turn, round after round.

    Trial t takes configuration t modulo their number, so that after any whole round each was tried
    equally often. What a selected configuration is worth shows in trials that did not select it.

    Args:
        search_space: distribution by name.
        n_trials: number of trials, >= 1; a multiple of the number of configurations gives each the
            same number of seeds.
        points: the configurations, at least one: of each its values in order of the sorted names.
        seed: >= 0; it decides nothing here, but the trials' own streams.

    Raises:
        ValueError: what PlannedSampler raises; no points, one of another length than the space, or
            a value outside of its distribution.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        points: Sequence[Sequence[Value]],
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        if not points:
            raise ValueError("points must hold at least one configuration, but is empty")
        for point in points:
            if len(point) != len(self.search_space):
                raise ValueError(
                    f"points must have a value for each of {', '.join(self.search_space)}, but "
                    f"found {list(point)}"
                )
            for (name, distribution), value in zip(self.search_space.items(), point, strict=True):
                if not distribution._contains(distribution.to_internal_repr(value)):
                    raise ValueError(f"points must lie in {distribution}, but found {name}={value}")
        self.points = tuple(tuple(point) for point in points)

    def n_askable(self, n_told: int) -> int | None:
        return None

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        point = self.points[trial.number % len(self.points)]
        return dict(zip(self.search_space, point, strict=True))
