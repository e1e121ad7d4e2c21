"""What all strategies share: an Optuna sampler with a declared space and a planned end.

Every strategy draws all hyperparameters of a trial at once, from the seed, the trial's number and
the results of earlier trials that it is entitled to see, and from nothing else. So a study that was
interrupted anywhere, even between two hyperparameters of one trial, goes on to the same trials:
open it with a sampler built from the same arguments, and complete a trial that was left running
with `optuna.trial.Trial(study, trial_id)` before asking for the next.
"""

import contextlib
import math
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Final, final

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsuite.strategies.unit_cube import Value

# In the annotation of a sampler's argument: lists of hyperparameters' names. Where a configuration
# has the user's names, the sampler is given those of its space.
NAMES: Final = "names of hyperparameters"


class PlannedSampler(BaseSampler):
    """An Optuna sampler that knows its space beforehand and how many trials it will make.

    The plan goes by the number of the trial, so a study needs a strategy to itself from its first
    trial on. `study.optimize(objective)` stops by itself at the end of the plan; asking for a trial
    past it raises ValueError.

    Attributes:
        search_space: distribution by name, sorted by name. The objective must suggest these with
            these ranges; what it suggests besides raises ValueError.
        n_planned: number of trials that it makes in all, > 0.
        seed: >= 0; every random number follows from it and the trial's number.

    Raises:
        ValueError: an empty space, a distribution that is none of Optuna's three, `n_planned` < 1,
            `seed` < 0.
    """

    def __init__(
        self, search_space: Mapping[str, BaseDistribution], n_planned: int, seed: int
    ) -> None:
        if not search_space:
            raise ValueError("search_space must hold at least one hyperparameter, but is empty")
        for name, distribution in search_space.items():
            if not isinstance(
                distribution, FloatDistribution | IntDistribution | CategoricalDistribution
            ):
                raise ValueError(
                    f"search_space[{name!r}] must be a FloatDistribution, IntDistribution or "
                    f"CategoricalDistribution of Optuna, but found {distribution!r}"
                )
        if n_planned < 1:
            raise ValueError(f"n_trials must be at least 1, but found {n_planned}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, but found {seed}")
        # Sorted, so that the order in which somebody wrote the space down changes no trial.
        self.search_space = dict(sorted(search_space.items()))
        self.n_planned = n_planned
        self.seed = seed

    @abstractmethod
    def n_askable(self, n_told: int) -> int | None:
        """How many trials may have been asked for once the first `n_told` have been told.

        Counted from the first trial of the study, told ones included; in (n_told, n_planned] until
        the end of the plan. None where trials need no results: all may be asked for at once.
        """

    def shaped_by_budget(self) -> dict[str, object]:
        """What of its plan depends on the number of trials, or on defaults, as plain values.

        Studies with equal plans make equal trials up to the shorter one's end, so that a strategy
        that says nothing here can have its budget raised. A grid names its points.
        """
        return {}

    def defaults_used(self) -> Collection[str]:
        """Names of the hyperparameters whose defaults decide its trials.

        A sampler with an argument `defaults` is given values by name: what trials of hpsuite have
        where they are not searched, as far as these lie in the space.
        """
        return ()

    @property
    def continues(self) -> bool:
        """Whether a trial may go on where another ended, as its user attribute `day` says."""
        return False

    def needed(self, study: Study) -> Collection[int]:
        """Numbers of told trials that later ones may go on from, when all that were asked are."""
        return ()

    @abstractmethod
    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        """All values of a trial, by name, as a function of seed, number and earlier results."""

    @final
    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self.search_space)

    @final
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Value]:
        if trial.number >= self.n_planned:
            raise ValueError(
                f"{self} planned {self.n_planned} trials (numbers 0 to {self.n_planned - 1}), but "
                f"was asked for number {trial.number}; build it with a larger n_trials, or use a "
                "study of its own"
            )
        return self.values(study, trial)

    @final
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Value:
        declared = self.search_space.get(param_name)
        # Optuna also comes here where a value lies outside the range that the objective suggests.
        if declared is not None:
            raise ValueError(
                f"{param_name!r} was declared to {self} as {declared}, but is suggested as "
                f"{param_distribution}; the two must be equal"
            )
        raise ValueError(
            f"{param_name!r} is not in the search space of {self}; declared are: "
            f"{', '.join(self.search_space)}"
        )

    @final
    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if trial.number >= self.n_planned - 1:
            stop_optimize(study)


def stop_optimize(study: Study) -> None:
    """End `study.optimize` after the running trials; nothing happens under ask and tell."""
    # Optuna raises RuntimeError outside of optimize, and has no public way to ask beforehand.
    with contextlib.suppress(RuntimeError):
        study.stop()


def check_one_objective(sampler: PlannedSampler, study: Study) -> None:
    """Raise ValueError for a study with several objectives."""
    if len(study.directions) > 1:
        raise ValueError(
            f"{sampler} needs a study with one objective, but found {len(study.directions)}"
        )


def best_first(study: Study, n_before: int, names: Collection[str]) -> list[FrozenTrial]:
    """The first `n_before` trials, the best first, ties by number.

    Those that failed, were pruned, have no finite value or lack one of the `names` are left out.
    """
    if n_before == 0:
        return []
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1

    ranked = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        value = trial.value
        assert value is not None, trial
        declared = set(names) <= trial.params.keys()
        if trial.number < n_before and math.isfinite(value) and declared:
            ranked.append((sign * value, trial.number, trial))
    return [trial for _, _, trial in sorted(ranked)]


def trial_generator(seed: int, number: int) -> np.random.Generator:
    """The random stream of one trial: the same whenever and wherever it is asked for."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
