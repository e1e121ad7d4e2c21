"""From a composed configuration to the dataclasses of config.py: every check of user input.

What a data set, a model or a sampler accepts is read off the signature of its function (see
checks.py). Nothing past this file knows of Hydra or OmegaConf.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any

from annotated_types import Ge, Lt
from optuna.samplers import BaseSampler
from torch import nn

from hpsuite.checks import UserError, checked, checked_arguments, refuse, resolve
from hpsuite.config import (
    Arm,
    AtLeastOne,
    Budget,
    DatasetConfig,
    ExecutorConfig,
    Group,
    NotNegative,
    Settings,
    Setup,
    StrategyConfig,
    TrackingConfig,
)
from hpsuite.datasets import Data, prepare
from hpsuite.space import Hyperparameter, Space
from hpsuite.strategies import PerTrialSeeded, PlannedSampler
from hpsuite.training.loop import build_model
from hpsuite.trials import ModelSpec, Numerics, OptimizerSpec, frozen_arguments

# Settings of `prepare` that stand in a data set's group beside its own arguments.
_SPLIT_KEYS = ("validation_size", "test_size", "train_fraction", "input_normalization")
# Settings of `PerTrialSeeded` that stand in a strategy's group beside the sampler's own arguments.
_ASKING_KEYS = ("asks_at_once", "seeding")


def parse_settings(config: Group) -> Settings:
    """The settings of a run, checked.

    Args:
        config: the whole composed configuration.

    Raises:
        UserError: on the first mistake.
    """
    groups = {
        "executor": ExecutorConfig(**_checked(ExecutorConfig, config, "executor")),
        "tracking": TrackingConfig(**_checked(TrackingConfig, config, "tracking")),
    }
    plain = {k: v for k, v in config.items() if k not in (*_ARM_KEYS, *groups, "matrix")}
    accepted = checked_arguments("", Settings, plain, provided=groups)
    return Settings(**accepted, **groups)


def parse_arm(
    config: Group, *, choices: Mapping[str, str], variant: tuple[tuple[str, str], ...]
) -> Arm:
    """One cell of the matrix, checked.

    Args:
        config: the whole composed configuration.
        choices: chosen option by config group.
        variant: what else tells this cell's setup from others, as (key, value).

    Raises:
        UserError: on the first mistake.
    """
    dataset = _dataset(config, choices["dataset"])
    budget = Budget(**_checked(Budget, config, "budget"))
    if (budget.epochs is None) == (budget.steps is None):
        found = "both" if budget.epochs else "neither"
        raise UserError(f"budget: found {found} epochs and steps; accepted: one of the two")
    optimizer_group = dict(_group(config, "optimizer"))
    batch_size = checked("optimizer.batch_size", AtLeastOne, optimizer_group.pop("batch_size", 64))
    assert isinstance(batch_size, int)
    setup = Setup(
        dataset=dataset,
        model_name=choices["model"],
        model=_model(_group(config, "model")),
        optimizer=OptimizerSpec(**checked_arguments("optimizer", OptimizerSpec, optimizer_group)),
        batch_size=batch_size,
        epochs=budget.epochs,
        steps=budget.steps,
        space=_space(_group(config, "space")),
        numerics=Numerics(**_checked(Numerics, config, "numerics")),
        variant=variant,
    )
    _check_space(setup)
    repeats = checked("repeats", AtLeastOne, config["repeats"])
    seed = checked("seed", NotNegative, config["seed"])
    assert isinstance(repeats, int)
    assert isinstance(seed, int)
    strategy = _strategy(_group(config, "strategy"), choices["strategy"])
    return Arm(setup, strategy, budget.trials, repeats, seed)


# Keys of the configuration that say what the arms are.
_ARM_KEYS = (
    "dataset",
    "model",
    "optimizer",
    "space",
    "strategy",
    "budget",
    "numerics",
    "repeats",
    "seed",
    "split_seed",
)


def _group(config: Group, key: str) -> Group:
    group = config[key]
    if not isinstance(group, Mapping):
        raise refuse(key, group, "the name of an option, or its keys and values")
    return group


def _checked(kind: type, config: Group, key: str) -> dict[str, Any]:
    return checked_arguments(key, kind, _group(config, key))


def _callable(group: Group, path: str) -> tuple[str, dict[str, object]]:
    """The canonical dotted name of a group's target, and the group's other keys."""
    arguments = dict(group)
    target = resolve(f"{path}._target_", arguments.pop("_target_", None))
    return f"{target.__module__}.{target.__qualname__}", arguments


def _dataset(config: Group, name: str) -> DatasetConfig:
    target, arguments = _callable(_group(config, "dataset"), "dataset")
    split = {key: arguments.pop(key) for key in _SPLIT_KEYS if key in arguments}
    split = checked_arguments("dataset", prepare, split, provided=("source", "split_seed"))
    function = resolve("dataset._target_", target)
    if "data_dir" in inspect.signature(function).parameters:
        arguments.setdefault("data_dir", config["data_dir"])
    arguments = checked_arguments("dataset", function, arguments)
    split_seed = checked("split_seed", Annotated[int, Ge(0), Lt(1 << 32)], config["split_seed"])
    assert isinstance(split_seed, int)
    return DatasetConfig(
        name, target, tuple(sorted(arguments.items())), tuple(sorted(split.items())), split_seed
    )


def _model(group: Group) -> ModelSpec:
    target, arguments = _callable(group, "model")
    function = resolve("model._target_", target)
    arguments = checked_arguments("model", function, arguments, provided=_MODEL_PROVIDED)
    return ModelSpec(target, frozen_arguments(_with_defaults(function, arguments, _MODEL_PROVIDED)))


_MODEL_PROVIDED = ("input_shape", "n_classes", "generator")


def _space(group: Group) -> Space:
    """The search space of a group: name -> {scale, low, high} or {scale: choice, choices}."""
    hyperparameters = []
    for name, entry in sorted(group.items()):
        if not isinstance(entry, Mapping):
            raise refuse(f"space.{name}", entry, "scale, low and high, or scale and choices")
        arguments = checked_arguments(f"space.{name}", Hyperparameter, entry, provided=("name",))
        try:
            hyperparameters.append(Hyperparameter(name, **arguments))
        except ValueError as error:
            raise UserError(str(error)) from error
    if not hyperparameters:
        raise UserError("space: found nothing to search; accepted: at least one hyperparameter")
    return Space(tuple(hyperparameters))


def _check_space(setup: Setup) -> None:
    """Both ends of each range, and each choice, must be what the trial would accept as it is."""
    function = resolve("model._target_", setup.model.target)
    for hyperparameter in setup.space.hyperparameters:
        name = hyperparameter.name
        owner, key = (
            (OptimizerSpec, "optimizer")
            if name in {f.name for f in fields(OptimizerSpec)}
            else (Setup, "budget")
            if name in ("batch_size", "epochs", "steps")
            else (function, "model")
        )
        for value in hyperparameter.ends():
            try:
                if owner is Setup:
                    checked(key, AtLeastOne, value)
                else:
                    provided = _MODEL_PROVIDED if owner is function else ()
                    checked_arguments(key, owner, {name: value}, provided=provided)
            except UserError as error:
                _, _, rest = str(error).partition(": ")
                names = _searchable(setup) if "one of" in rest else ""
                accepted = f"found {name}; accepted: {names}" if names else rest
                raise UserError(f"space.{name}: {accepted}") from error


def _searchable(setup: Setup) -> str:
    names = [f.name for f in fields(OptimizerSpec)] + ["batch_size", "epochs", "steps"]
    return ", ".join(names + [name for name, _ in setup.model.arguments])


def _strategy(group: Group, name: str) -> StrategyConfig:
    target, arguments = _callable(group, "strategy")
    asking = {key: arguments.pop(key) for key in _ASKING_KEYS if key in arguments}
    sampler = resolve("strategy._target_", target)
    if inspect.isclass(sampler) and issubclass(sampler, PlannedSampler):
        provided: tuple[str, ...] = ("search_space", "n_trials", "seed")
        if asking:
            key, value = asking.popitem()
            raise refuse(f"strategy.{key}", value, "none: this sampler knows by itself")
        arguments = _with_defaults(sampler, arguments, provided)
    elif inspect.isclass(sampler) and issubclass(sampler, BaseSampler):
        provided = ("seed",)
        asking = checked_arguments("strategy", PerTrialSeeded, asking, provided=_WRAPPER_PROVIDED)
    else:
        raise refuse("strategy._target_", target, "a sampler of Optuna's or of hpsuite's")
    arguments = checked_arguments("strategy", sampler, arguments, provided=provided)
    return StrategyConfig(
        name, target, tuple(sorted(arguments.items())), tuple(sorted(asking.items()))
    )


_WRAPPER_PROVIDED = ("search_space", "n_trials", "factory", "seed")


def _with_defaults(
    function: Callable[..., object], given: Mapping[str, object], provided: tuple[str, ...]
) -> dict[str, object]:
    """Arguments with the defaults of those not given, so that both say the same thing."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty and name not in provided
    }
    return {**defaults, **given}


def build_sampler(arm: Arm, seed: int) -> PlannedSampler:
    """The sampler of one of an arm's studies.

    Args:
        arm: what to search, how, and in how many trials.
        seed: the study's seed.

    Raises:
        UserError: a plan that does not fit the budget or the space.
    """
    space = arm.setup.space
    sampler = resolve("strategy._target_", arm.strategy.target)
    stored_names = {h.name: h.stored_name for h in space.hyperparameters}
    arguments: dict[str, object] = {}
    for key, value in arm.strategy.arguments:
        if isinstance(value, Mapping):  # by hyperparameter: the record's names for the user's
            for name in value:
                if name not in stored_names:
                    raise refuse(f"strategy.{key}", name, f"names of {', '.join(stored_names)}")
            value = {stored_names[name]: entry for name, entry in value.items()}
        arguments[key] = value
    asking = dict(arm.strategy.asking)
    try:
        if issubclass(sampler, PlannedSampler):
            built = sampler(space.distributions(), arm.trials, seed=seed, **arguments)
        else:
            factory = functools.partial(sampler, **arguments)
            factory(seed=0)
            built = PerTrialSeeded(
                space.distributions(),
                arm.trials,
                factory=factory,
                seed=seed,
                **asking,
            )
    except (ValueError, TypeError, ImportError) as error:
        raise UserError(f"strategy.{error}") from error
    assert isinstance(built, PlannedSampler)
    return built


def check_against_data(setup: Setup, data: Data) -> None:
    """Checks that need the data.

    Raises:
        UserError: a batch larger than the training set, or of one row under batch norm; a model
            that cannot be built.
    """
    n_rows = len(data.y_train)
    searched = {h.name: h for h in setup.space.hyperparameters}.get("batch_size")
    sizes = (setup.batch_size,) if searched is None else searched.ends()
    key = "optimizer.batch_size" if searched is None else "space.batch_size"
    for size in sizes:
        if isinstance(size, int) and size > n_rows:
            raise refuse(key, size, f"1 to {n_rows}, the rows of the training set")
    try:
        model = build_model(setup.model, data, seed=0, number=0)
    except ValueError as error:
        raise UserError(f"model.{error}") from error
    normalised = any(
        isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()
    )
    if normalised and 1 in sizes:
        raise refuse(key, 1, "2 or more, as batch norm needs a variance")
