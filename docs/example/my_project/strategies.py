"""A search strategy: an Optuna sampler.

Any sampler of Optuna's will do; one that is planned beforehand, such as this one, is a
`PlannedSampler`, whose trials follow from the seed and the trial's number.
"""

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpsuite.strategies import PlannedSampler
from hpsuite.strategies.unit_cube import Value, to_value


class LatinHypercubeSampler(PlannedSampler):
    """n trials with one value in each of n equal parts of every range (McKay and others 1979)."""

    def __init__(
        self, search_space: Mapping[str, BaseDistribution], n_trials: int, *, seed: int
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        generator = np.random.default_rng(seed)
        parts = np.stack([generator.permutation(n_trials) for _ in self.search_space], axis=1)
        self._units = (parts + generator.random(parts.shape)) / n_trials

    def n_askable(self, n_told: int) -> int | None:
        return None  # no trial needs the results of another

    def shaped_by_budget(self) -> dict[str, object]:
        return {"n_trials": self.n_planned}  # another number of trials is another plan

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        units = self._units[trial.number]
        return {
            name: to_value(distribution, float(unit), "own")
            for (name, distribution), unit in zip(self.search_space.items(), units, strict=True)
        }
