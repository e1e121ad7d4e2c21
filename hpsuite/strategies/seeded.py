"""Any sampler of Optuna's, made to go on after an interruption as if there had been none.

Optuna's samplers keep their random state in memory: reopened with the same seed, they repeat their
first draws. And a sampler that uses results sees, in a batch that was interrupted, other results
than it would have seen. `PerTrialSeeded` takes care of both.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hpsuite.strategies.base import PlannedSampler
from hpsuite.strategies.unit_cube import Value
from hpsuite.strategies.view import AskTellStudy, StorageView


class SamplerFactory(Protocol):
    """Builds a sampler from a seed: `optuna.samplers.TPESampler` itself, or a `partial` of it."""

    def __call__(self, *, seed: int) -> BaseSampler:
        """A new sampler; `seed` is in [0, 2**32)."""


class PerTrialSeeded(PlannedSampler):
    """A sampler by its factory, as a function of seed, trial number and earlier results alone.

    For each trial the sampler is built anew, shown the study as it was when the trial's batch
    began, and asked for all declared hyperparameters at once: in one go those that it samples
    together, then the others in order of name. Trials of the same batch with lower numbers are
    shown as running, whether they are or not.

    What a sampler stores (the generations of NSGA-II, the place of a Sobol sequence) is kept with
    the trial for which it was stored, so that a trial asked for twice does not count twice. A
    sampler that keeps more than random numbers in memory cannot be wrapped (docs/samplers.md).

    Args:
        search_space: distribution by name.
        n_trials: number of trials, >= 1.
        factory: called as `factory(seed=...)`.
        seeding: `trial` gives the sampler of each trial a seed of its own; `study` gives them all
            the same, for samplers that find their place in what is stored (QMC, Optuna's grid) and
            that would only repeat themselves if they drew random numbers with it.
        asks_at_once: size of a batch, >= 1: the trials of a batch are asked for before any of their
            results is known to the sampler. 1 for samplers that learn from every result.
        relative_space: which hyperparameters the sampler samples together: those that it has
            `inferred` from earlier trials, as in Optuna, or all that are `declared`, which spares
            QMC the first trial that it would draw at random to learn the space from.
        seed: >= 0.

    Raises:
        ValueError: what PlannedSampler raises, `asks_at_once` < 1, and another `seeding` or
            `relative_space`.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        factory: SamplerFactory,
        seeding: Literal["trial", "study"] = "trial",
        asks_at_once: int = 1,
        relative_space: Literal["inferred", "declared"] = "inferred",
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        if seeding not in {"trial", "study"}:
            raise ValueError(f"seeding: found {seeding!r}; accepted: 'trial' or 'study'")
        if relative_space not in {"inferred", "declared"}:
            raise ValueError(
                f"relative_space: found {relative_space!r}; accepted: 'inferred' or 'declared'"
            )
        if asks_at_once < 1:
            raise ValueError(f"asks_at_once: found {asks_at_once}; accepted: at least 1")
        self.factory = factory
        self.seeding: Literal["trial", "study"] = seeding
        self.asks_at_once = asks_at_once
        self.relative_space: Literal["inferred", "declared"] = relative_space

    def n_askable(self, n_told: int) -> int | None:
        return min(self.asks_at_once * (n_told // self.asks_at_once + 1), self.n_planned)

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        batch_begin = trial.number - trial.number % self.asks_at_once
        view = StorageView(study, trial, batch_begin)
        sampler = self._sampler(trial.number)
        seen = AskTellStudy(study, view, sampler)
        own = view.own

        sampler.before_trial(seen, own)
        if self.relative_space == "declared":
            space = {name: d for name, d in self.search_space.items() if not d.single()}
        else:
            space = sampler.infer_relative_search_space(seen, own)
        for name, value in sampler.sample_relative(seen, own, space).items():
            if name in self.search_space:
                view.suggest(name, value, self.search_space[name])
        for name, distribution in self.search_space.items():
            # Optuna itself sets those that have one value only.
            if name not in own.params and not distribution.single():
                value = sampler.sample_independent(seen, own, name, distribution)
                view.suggest(name, value, distribution)
        return dict(own.params)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        sampler = self._sampler(trial.number)
        seen = AskTellStudy(study, study._storage, sampler)
        sampler.after_trial(seen, trial, state, values)

    def _sampler(self, number: int) -> BaseSampler:
        spawn_key = (number,) if self.seeding == "trial" else ()
        seed = np.random.SeedSequence(self.seed, spawn_key=spawn_key).generate_state(1, np.uint32)
        return self.factory(seed=int(seed[0]))
