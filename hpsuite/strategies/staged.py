"""Staged search: the most important hyperparameters first, then the others, group by group."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Annotated, Literal

from annotated_types import Gt
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial
from pydantic import BeforeValidator

from hpsuite.checks import show
from hpsuite.strategies.base import (
    NAMES,
    PlannedSampler,
    best_first,
    check_one_objective,
    trial_generator,
)
from hpsuite.strategies.unit_cube import Value, level, to_value


def checked_groups(groups: object) -> tuple[tuple[str, ...], ...]:
    """Groups of names as tuples; ValueError, with what is accepted, for anything else."""
    accepted = "lists of names, each name once, such as [[learning_rate], [momentum, batch_size]]"
    if not isinstance(groups, list | tuple):
        raise ValueError(accepted)
    names: list[object] = []
    for group in groups:
        names.extend(group if isinstance(group, list | tuple) else [None])
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(accepted)
    return tuple(tuple(group) for group in groups)


Groups = Annotated[tuple[tuple[str, ...], ...], BeforeValidator(checked_groups), NAMES]
Shares = Literal["equal", "dimensions"] | tuple[Annotated[float, Gt(0)], ...]


class StagedSampler(PlannedSampler):
    """Random search of one group of hyperparameters after another, the others held where they are.

    Each stage draws the hyperparameters of one group, uniformly at random on the scale that each
    distribution declares. Those of earlier groups have the values of the best trial so far, those
    of later groups their defaults. So each stage begins at the best found, and goes on from the
    defaults of its own group where none of its trials was better: coordinate descent in blocks,
    once through. It finds the optimum where the best values of a group do not depend on those of
    the groups after it, and may miss it where they do.

    In each trial a hyperparameter that is drawn has the value that `ScaledRandomSampler` with the
    same seed gives it in the trial of that number.

    The best trial is that with the best value in the study's direction, ties by lower number, among
    those of all stages before. A trial that failed, was pruned, has no finite value or lacks a
    hyperparameter is never the best; where no trial before is usable, a stage draws the
    hyperparameters of all groups up to its own.

    A stage is meant to begin when the stages before are finished (`n_askable`). If it is asked for
    earlier, as `study.optimize` with several jobs does, it goes by the trials finished by then: it
    works, but is no longer repeatable. Single-objective studies only.

    Args:
        search_space: distribution by name.
        n_trials: number of trials, at least one for each stage.
        groups: names of hyperparameters, most important group first, each name once. Names that the
            space lacks are skipped, and so are those with a single value to take, and groups of
            nothing else; one name at least must remain.
        rest: what becomes of hyperparameters that no group names: `last` makes them a group after
            all others, `default` leaves them at their defaults in all trials.
        shares: how the trials are divided among the stages: `equal`, in proportion to the
            `dimensions` (hyperparameters) of each, or in proportion to one number for each of
            `groups`, skipped or not, and under `rest: last` one more for the rest. Whatever is not
            whole is rounded by the largest remainders (ties to the earlier stage), after each
            stage whose part is less than one trial got one.
        defaults: values by name; of those not given, the middle of the range on its scale, or the
            first choice.
        seed: >= 0.

    Attributes:
        stages: names of each stage, sorted.
        stage_sizes: number of trials of each stage.
        defaults: values of all that the first stage does not draw, by name.

    Raises:
        ValueError: what PlannedSampler raises; as `argument: found ...; accepted: ...`, on other
            arguments than the above.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        groups: Groups,
        rest: Literal["last", "default"] = "last",
        shares: Shares = "equal",
        defaults: Mapping[str, Value] | None = None,
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        if rest not in {"last", "default"}:
            raise _refuse("rest", rest, "'last' or 'default'")
        stages = self._by_group(groups, rest)
        weights = _weights(shares, stages, n_groups=len(groups), rest=rest)
        self.stages = tuple(stage for stage in stages if stage)
        if n_trials < len(self.stages):
            raise ValueError(
                f"groups: found {len(self.stages)} stages for {n_trials} "
                f"trial{'s' * (n_trials > 1)}; accepted: at least one trial for each stage"
            )
        self.stage_sizes = apportioned(n_trials, weights)
        self.defaults = self._resolved(defaults or {})

    def _by_group(self, groups: Groups, rest: str) -> list[tuple[str, ...]]:
        """The names of each group, and of the rest, that can be searched."""
        try:
            groups = checked_groups(groups)
        except ValueError as error:
            raise _refuse("groups", groups, str(error)) from error
        searched = {name for name, d in self.search_space.items() if not d.single()}
        named = [tuple(sorted(searched.intersection(group))) for group in groups]
        if not any(named):
            accepted = f"at least one of {', '.join(sorted(searched) or ['(nothing to search)'])}"
            raise _refuse("groups", groups, accepted)
        left = searched.difference(*groups) if rest == "last" else ()
        return [*named, tuple(sorted(left))]

    def _resolved(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The default of each hyperparameter that the first stage does not draw."""
        if unknown := sorted(given.keys() - self.search_space.keys()):
            raise _refuse("defaults", unknown[0], f"names of {', '.join(self.search_space)}")
        return {
            name: _default(name, distribution, given)
            for name, distribution in self.search_space.items()
            if name not in self.stages[0]
        }

    def defaults_used(self) -> Sequence[str]:
        return [name for name in self.defaults if not self.search_space[name].single()]

    def shaped_by_budget(self) -> dict[str, object]:
        return {
            "stages": [list(stage) for stage in self.stages],
            "stage_sizes": list(self.stage_sizes),
            "defaults": {name: self.defaults[name] for name in self.defaults_used()},
        }

    def n_askable(self, n_told: int) -> int | None:
        return next((end for end in accumulate(self.stage_sizes) if end > n_told), self.n_planned)

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        check_one_objective(self, study)
        ends = list(accumulate(self.stage_sizes))
        stage = sum(end <= trial.number for end in ends)
        n_before = ends[stage - 1] if stage else 0
        best = next(iter(best_first(study, n_before, self.search_space)), None)
        drawn = set(self.stages[stage]) if best else set().union(*self.stages[: stage + 1])
        settled = set().union(*self.stages[:stage]) if best else set()
        units = trial_generator(self.seed, trial.number).random(len(self.search_space))

        values: dict[str, Value] = {}
        for (name, distribution), unit in zip(self.search_space.items(), units, strict=True):
            if name in drawn:
                values[name] = to_value(distribution, float(unit), "own")
            elif best and name in settled:
                values[name] = best.params[name]
            else:
                values[name] = self.defaults[name]
        return values


def _weights(
    shares: Shares, stages: Sequence[Sequence[str]], *, n_groups: int, rest: str
) -> list[Fraction]:
    """The weight of each stage that has a hyperparameter; `stages` are the groups' and the rest."""
    n_shares = n_groups + (rest == "last")
    if not isinstance(shares, str):
        if len(shares) == n_shares and all(0 < share < math.inf for share in shares):
            of_stages = zip(shares, stages, strict=False)
            # By their decimals: .7 of 10 trials is 7, which it is not in binary.
            return [Fraction(str(share)) for share, stage in of_stages if stage]
    elif shares in ("equal", "dimensions"):
        return [Fraction(len(s) if shares == "dimensions" else 1) for s in stages if s]
    beside = " and one for the rest" if rest == "last" else ""
    accepted = f"equal, dimensions, or {n_shares} numbers above 0, one for each group{beside}"
    raise _refuse("shares", shares, accepted)


def apportioned(n: int, weights: Sequence[Fraction]) -> tuple[int, ...]:
    """Whole numbers with sum `n`, each at least 1, in proportion to weights as nearly as that goes.

    Those whose part would be less than 1 get 1; the others divide what is left by the method of
    largest remainders (Hamilton's), ties to the earlier.

    Args:
        n: at least the number of weights.
        weights: above 0, at least one.
    """
    assert n >= len(weights) > 0, (n, weights)
    assert min(weights) > 0, weights
    ones: set[int] = set()
    while True:
        total = sum(w for i, w in enumerate(weights) if i not in ones)
        left = n - len(ones)
        parts = {i: left * w / total for i, w in enumerate(weights) if i not in ones}
        small = {i for i, part in parts.items() if part < 1}
        if not small:
            break
        ones |= small
    sizes = [math.floor(parts.get(i, 1)) for i in range(len(weights))]
    by_remainder = sorted(parts, key=lambda i: (math.floor(parts[i]) - parts[i], i))
    for i in by_remainder[: n - sum(sizes)]:
        sizes[i] += 1
    return tuple(sizes)


def _default(name: str, distribution: BaseDistribution, given: Mapping[str, Value]) -> Value:
    """A hyperparameter's value while it is not drawn."""
    if distribution.single() or name not in given:
        is_choice = isinstance(distribution, CategoricalDistribution)
        return level(distribution, 0) if is_choice else to_value(distribution, 0.5, "own")
    try:
        internal = distribution.to_internal_repr(given[name])
    except ValueError:  # no number, or no such choice
        internal = math.nan
    if math.isnan(internal) or not distribution._contains(internal):
        raise _refuse("defaults", f"{name}={show(given[name])}", f"a value in {distribution}")
    value: Value = distribution.to_external_repr(internal)
    return value


def _refuse(argument: str, found: object, accepted: str) -> ValueError:
    text = found if argument == "defaults" else show(found)
    return ValueError(f"{argument}: found {text}; accepted: {accepted}")
