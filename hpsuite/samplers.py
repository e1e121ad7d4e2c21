"""The samplers of arms: built for a study, and asked once before anything is written."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from functools import partial

import optuna

from hpsuite.checks import UserError, annotations, build, one_line, refuse, show, under
from hpsuite.config import Arm, Setup
from hpsuite.parsing_space import space_defaults
from hpsuite.strategies import PerTrialSeeded, PlannedSampler
from hpsuite.strategies.base import NAMES
from hpsuite.strategies.hub import given_to
from hpsuite.values import layer_of


def _by_stored_name(arm: Arm) -> dict[str, object]:
    """A strategy's arguments; of hyperparameters, the record's names for the user's."""
    stored_names = {h.name: h.stored_name for h in arm.setup.space.hyperparameters}
    hints = annotations(arm.strategy.sampler)
    arguments: dict[str, object] = {}
    for key, value in arm.strategy.arguments:
        if isinstance(value, tuple) and NAMES in getattr(hints.get(key), "__metadata__", ()):
            if all(isinstance(name, str) for name in value):  # one group, not several
                (arguments[key],) = _named([value], arm.setup)
            else:
                arguments[key] = _named(value, arm.setup)
        elif isinstance(value, Mapping):
            for name in value:
                if name not in stored_names:
                    raise refuse(f"strategy.{key}", name, f"names of {', '.join(stored_names)}")
            arguments[key] = {stored_names[name]: entry for name, entry in value.items()}
        else:
            arguments[key] = value
    return arguments


def _named(groups: Sequence[Sequence[str]], setup: Setup) -> tuple[tuple[str, ...], ...]:
    """Groups of hyperparameters by the record's names; names that the space lacks stay.

    A model's argument that is one value or one per layer stands for all layers that the space
    searches, but for those that are named themselves.
    """
    of_names = {h.name: [h.stored_name] for h in setup.space.hyperparameters}
    for h in setup.space.hyperparameters:
        place = layer_of(setup.model.target, h.name)
        if place and not any(h.name in group for group in groups):
            of_names.setdefault(place.argument, []).append(h.stored_name)
    return tuple(tuple(s for name in group for s in of_names.get(name, [name])) for group in groups)


def build_sampler(arm: Arm, seed: int) -> PlannedSampler:
    """The sampler of one of an arm's studies.

    Args:
        arm: what to search, how, and in how many trials.
        seed: the study's seed.

    Raises:
        UserError: a plan that does not fit the budget or the space.
    """
    space = arm.setup.space
    distributions = space.distributions()
    sampler = arm.strategy.sampler
    assert isinstance(sampler, type), sampler
    is_planned = issubclass(sampler, PlannedSampler)
    arguments = _by_stored_name(arm) if is_planned else dict(arm.strategy.arguments)
    if not is_planned and "search_space" in given_to(sampler):
        arguments["search_space"] = {n: d for n, d in distributions.items() if not d.single()}
    factory = partial(sampler, **arguments)
    try:
        if is_planned:
            outside: Mapping[str, UserError] = {}
            if "defaults" in inspect.signature(sampler).parameters:
                arguments["defaults"], outside = space_defaults(arm.setup)
            planned = sampler(distributions, n_trials=arm.trials, seed=seed, **arguments)
            assert isinstance(planned, PlannedSampler)
            for name in planned.defaults_used():
                if name in outside:
                    raise outside[name]
            return planned
        factory(seed=0)
        asking = dict(arm.strategy.asking)
        return build(
            "strategy",
            PerTrialSeeded,
            asking,
            search_space=distributions,
            n_trials=arm.trials,
            factory=factory,
            seed=seed,
        )
    except UserError:
        raise
    except _failures(arm) as error:
        text = one_line(error)
        for hyperparameter in space.hyperparameters:
            text = text.replace(hyperparameter.stored_name, hyperparameter.name)
        if not is_planned and text.partition(":")[0] not in dict(arm.strategy.asking):
            text = f"{arm.strategy.name} cannot be built ({text}); accepted: what it takes"
        raise under("strategy", ValueError(text)) from error


def _failures(arm: Arm) -> tuple[type[Exception], ...]:
    """What a sampler may raise where it does not fit; what others wrote may raise anything."""
    known = (ValueError, TypeError, ImportError, RuntimeError)
    return known if arm.strategy.loaded is None else (Exception,)


def check_sampler(arm: Arm) -> None:
    """Build the sampler of an arm, and ask it twice for the first trial of a study in memory.

    Raises:
        UserError: a sampler that does not fit the budget or the space, or whose answers do not
            follow from its seed.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            first, again = (
                optuna.create_study(sampler=build_sampler(arm, 0), direction="maximize")
                .ask(arm.setup.space.distributions())
                .params
                for _ in range(2)
            )
    except UserError:
        raise
    except _failures(arm) as error:
        raise UserError(
            f"strategy: {arm.strategy.name} cannot search this space ({one_line(error)}); "
            "accepted: another strategy or space"
        ) from error
    finally:
        optuna.logging.set_verbosity(verbosity)
    if first != again:
        raise UserError(
            f"strategy: {arm.strategy.name} drew {show(first)} and then {show(again)} under the "
            "same seed; accepted: a sampler that draws everything from its seed"
        )
