"""Random search: every trial drawn independently and uniformly."""

from collections.abc import Mapping

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpsuite.strategies.base import PlannedSampler, trial_generator
from hpsuite.strategies.unit_cube import Scale, Value, check_scale, to_value


class ScaledRandomSampler(PlannedSampler):
    """Uniform random search (Bergstra and Bengio 2012) on a scale of your choice.

    With one seed, both scales draw the same points of the unit cube and differ in nothing but what
    they make of them; and a longer plan begins with the trials of a shorter one.

    Args:
        search_space: distribution by name.
        n_trials: number of trials, >= 1.
        scale: `own` is uniform on the scale that each distribution declares (a learning rate with
            `log=True` has equally many trials in each decade); `linear` is uniform in the raw
            value, even where the distribution says `log=True`.
        seed: >= 0.

    Raises:
        ValueError: what PlannedSampler raises, and another scale.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        scale: Scale = "own",
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        check_scale(scale)
        self.scale: Scale = scale

    def n_askable(self, n_told: int) -> int | None:
        return None

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        units = trial_generator(self.seed, trial.number).random(len(self.search_space))
        return {
            name: to_value(distribution, float(unit), self.scale)
            for (name, distribution), unit in zip(self.search_space.items(), units, strict=True)
        }
