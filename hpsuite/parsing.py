"""From a composed configuration to the dataclasses of config.py: every check of user input.

What a data set, a model or a sampler accepts is read off the signature of its function (see
checks.py). Nothing past this file knows of Hydra or OmegaConf.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from optuna.samplers import BaseSampler

from hpsuite.checks import (
    UserError,
    build,
    check_home,
    checked,
    checked_arguments,
    defaults,
    refuse,
    resolve,
    under,
    without_defaults,
)
from hpsuite.config import (
    AnalysisConfig,
    Arm,
    Budget,
    Counts,
    DatasetConfig,
    ExecutorConfig,
    Group,
    MiniBatch,
    Settings,
    Setup,
    StrategyConfig,
    TrackingConfig,
)
from hpsuite.datasets import Data, prepare
from hpsuite.declared import parse_claims
from hpsuite.model_checks import check_single_rows, checked_model, examples
from hpsuite.parsing_days import check_days
from hpsuite.parsing_pruning import parse_pruning
from hpsuite.parsing_space import (
    TO_MODEL,
    check_space,
    parse_optimizer,
    parse_space,
)
from hpsuite.pruning import Pruning
from hpsuite.strategies import PerTrialSeeded, PlannedSampler
from hpsuite.strategies.hub import HubSampler, given_to
from hpsuite.texts import Packages
from hpsuite.training.probe import last_activation
from hpsuite.trials import ModelSpec, Numerics, frozen_arguments

T = TypeVar("T")

# Keys of the configuration that say what the arms are.
ARM_GROUPS = ("dataset", "model", "optimizer", "space", "strategy", "budget", "numerics")
_COUNTS = ("repeats", "seed", "split_seed")

# Settings of `prepare` that stand in a data set's group beside its own arguments.
_SPLIT_KEYS = (
    "validation_size",
    "test_size",
    "train_fraction",
    "input_normalization",
    "flip",
    "shift",
)
# Settings of `PerTrialSeeded` that stand in a strategy's group beside the sampler's own arguments.
_ASKING_KEYS = ("asks_at_once", "seeding", "relative_space")
# Where the functions and classes of a group live; others need a word of the user's (`packages`).
_HOMES = {
    "dataset": ("hpsuite.datasets",),
    "model": ("hpsuite.models",),
    "strategy": ("hpsuite.strategies", "optuna.samplers"),
    "strategy.pruner": ("optuna.pruners",),
}
# Keys of a strategy's group that say how its trials are stopped early.
_PRUNING_KEYS = ("pruner", "cohort")
# Keys of the executor that say what of a cluster to use.
_CLUSTER_KEYS = ("address", "cpus_per_task", "gpus_per_task")
# What hpsuite itself passes to samplers; `defaults` to those that have such an argument.
_TO_STRATEGY = ("search_space", "n_trials", "seed", "defaults")


def parse_settings(config: Group) -> Settings:
    """The settings of a run, checked.

    Args:
        config: the whole composed configuration.

    Raises:
        UserError: on the first mistake.
    """
    executor = _executor(config)
    tracking = build_group(TrackingConfig, config, "tracking")
    analysis = build_group(AnalysisConfig, config, "analysis") if "analysis" in config else None
    claims = parse_claims(config.get("claims", []))
    elsewhere = {*ARM_GROUPS, *_COUNTS, "executor", "tracking", "analysis", "claims"}
    elsewhere |= {"matrix", "blocks", "tiers"}
    plain = {key: value for key, value in config.items() if key not in elsewhere}
    unknown = set(plain).difference(f.name for f in fields(Settings))
    if unknown:
        accepted = ", ".join(sorted(elsewhere.union(f.name for f in fields(Settings))))
        raise UserError(f"{min(unknown)}: found no such key; accepted: one of {accepted}")
    return build(
        "",
        Settings,
        plain,
        executor=executor,
        tracking=tracking,
        analysis=analysis or AnalysisConfig(),
        claims=claims,
    )


def _executor(config: Group) -> ExecutorConfig:
    executor = build_group(ExecutorConfig, config, "executor")
    usual = ExecutorConfig(executor.kind)
    for key in _CLUSTER_KEYS:
        if executor.kind != "ray" and getattr(executor, key) != getattr(usual, key):
            raise UserError(
                f"executor.{key}: found it for {executor.kind}, which does not use it; accepted: "
                "executor=ray"
            )
    return executor


def parse_arm(
    config: Group,
    *,
    choices: Mapping[str, str],
    variant: tuple[tuple[str, str], ...],
) -> Arm:
    """One cell of the matrix, checked.

    Args:
        config: the whole composed configuration.
        choices: chosen option by config group.
        variant: what else tells this cell from others, as (key, value).

    Raises:
        UserError: on the first mistake.
    """
    counts = build("", Counts, {key: config[key] for key in _COUNTS if key in config})
    budget = build_group(Budget, config, "budget")
    if (budget.epochs is None) == (budget.steps is None):
        found = "both" if budget.epochs else "neither"
        raise UserError(
            f"budget: found {found} of epochs and steps; accepted: one of them, the other null"
        )
    optimizer = dict(_group(config, "optimizer"))
    size = {key: optimizer.pop(key) for key in ("batch_size",) if key in optimizer}
    space = parse_space(_group(config, "space"))
    setup = Setup(
        dataset=_dataset(config, _choice(config, choices, "dataset"), counts.split_seed),
        model_name=_choice(config, choices, "model"),
        model=_model(config),
        optimizer=parse_optimizer(optimizer, space),
        batch_size=build("optimizer", MiniBatch, size).batch_size,
        epochs=budget.epochs,
        steps=budget.steps,
        space=space,
        numerics=_numerics(config),
        variant=tuple(pair for pair in variant if not _of_strategy(pair[0])),
    )
    check_space(setup)
    strategy = _strategy(
        config,
        _choice(config, choices, "strategy"),
        tuple(pair for pair in variant if _of_strategy(pair[0])),
    )
    strategy = replace(strategy, pruning=_pruning(config, setup, strategy))
    check_days(setup, strategy)
    return Arm(setup, strategy, budget.trials, counts.repeats, counts.seed)


def _numerics(config: Group) -> Numerics:
    numerics = build_group(Numerics, config, "numerics")
    if numerics.autocast != "none" and numerics.dtype != "float32":
        raise UserError(
            f"numerics.autocast: found {numerics.autocast!r} with numerics.dtype="
            f"{numerics.dtype}; accepted: 'none', or numerics.dtype=float32"
        )
    return numerics


def _of_strategy(key: str) -> bool:
    """Whether a key of the matrix tells strategies apart, not setups."""
    return key.startswith("strategy.") or key == "budget.trials"


def _group(config: Group, key: str) -> Group:
    group = config.get(key)
    if not isinstance(group, Mapping):
        raise refuse(key, group, "the name of an option, or its keys and values")
    return group


def build_group(kind: Callable[..., T], config: Group, key: str) -> T:
    """What a class makes of a group of a configuration, checked against its signature.

    Raises:
        UserError: on the first mistake.
    """
    return build(key, kind, _group(config, key))


def _choice(config: Group, choices: Mapping[str, str], group: str) -> str:
    """The chosen option of a group; where it was written without one, the name of its target."""
    target = str(_group(config, group).get("_target_", "custom"))
    return choices.get(group, target.rpartition(".")[2])


def _callable(config: Group, path: str) -> tuple[str, Callable[..., object], dict[str, object]]:
    """A group's target by its canonical dotted name, the target, and the group's other keys.

    A path may lead to a group in a group: `strategy.pruner`.
    """
    *groups, last = path.split(".")
    arguments = dict(_group(functools.reduce(_group, groups, config), last))
    given = arguments.pop("_target_", None)
    key = f"{path}._target_"
    packages = checked("packages", Packages, config.get("packages", []))
    check_home(key, given, _HOMES[path], packages)
    if packages and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # as `python -m` does by itself, and the command `hpsuite` does not
    target = resolve(key, given)
    name = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    if str(given).partition(".")[0] not in packages:
        # What a module of ours imported from elsewhere stands in it under a name of ours.
        check_home(key, name, _HOMES[path], packages)
    try:
        if resolve(key, name) is target:
            return name, target, arguments
    except UserError:
        pass  # what has no other name than the one given
    return str(given), target, arguments


def _dataset(config: Group, name: str, split_seed: int) -> DatasetConfig:
    target, function, arguments = _callable(config, "dataset")
    split = {key: arguments.pop(key) for key in _SPLIT_KEYS if key in arguments}
    split = checked_arguments("dataset", prepare, split, provided=("source", "split_seed"))
    arguments = checked_arguments(
        "dataset", function, arguments, provided=("data_dir",), beside=_SPLIT_KEYS
    )
    if "data_dir" in inspect.signature(function).parameters:
        arguments["data_dir"] = config["data_dir"]
    return DatasetConfig(
        name, target, tuple(sorted(arguments.items())), tuple(sorted(split.items())), split_seed
    )


def _model(config: Group) -> ModelSpec:
    target, function, arguments = _callable(config, "model")
    arguments = checked_arguments("model", function, arguments, provided=TO_MODEL)
    return ModelSpec(target, frozen_arguments(_with_defaults(function, arguments, TO_MODEL)))


def _strategy(config: Group, name: str, variant: tuple[tuple[str, str], ...]) -> StrategyConfig:
    target, sampler, arguments = _callable(config, "strategy")
    for key in _PRUNING_KEYS:
        arguments.pop(key, None)
    loaded, named = None, ("strategy._target_", target)
    if sampler is HubSampler:
        loaded, target, arguments = _from_hub(arguments)
        sampler, named = loaded, ("strategy.sampler", loaded.__name__)
    asking: dict[str, object] = {}
    if isinstance(sampler, type) and issubclass(sampler, PlannedSampler):
        arguments = checked_arguments("strategy", sampler, arguments, provided=_TO_STRATEGY)
        arguments = _with_defaults(sampler, arguments, _TO_STRATEGY)
    elif isinstance(sampler, type) and issubclass(sampler, BaseSampler):
        if "seed" not in inspect.signature(sampler).parameters:
            raise refuse(*named, "a sampler that takes a seed")
        asking = {key: arguments.pop(key) for key in _ASKING_KEYS if key in arguments}
        provided = {*_TO_STRATEGY, "factory"}
        asking = checked_arguments("strategy", PerTrialSeeded, asking, provided=provided)
        asking = _with_defaults(PerTrialSeeded, asking, provided)
        if asking["relative_space"] == "inferred":
            del asking["relative_space"]  # as studies from before there was a choice do not name it
        arguments = checked_arguments(
            "strategy", sampler, arguments, provided=given_to(sampler), beside=_ASKING_KEYS
        )
        arguments = without_defaults(sampler, arguments)
        for key, value in arguments.items():
            if isinstance(value, Mapping):  # by the record's names and values, not by the user's
                raise refuse(f"strategy.{key}", value, "no mapping, for a sampler of Optuna's")
    else:
        raise refuse(*named, "a sampler of Optuna's or of hpsuite's")
    sorted_arguments, sorted_asking = (tuple(sorted(a.items())) for a in (arguments, asking))
    return StrategyConfig(name, target, sorted_arguments, sorted_asking, variant, loaded)


def _pruning(config: Group, setup: Setup, strategy: StrategyConfig) -> Pruning | None:
    group = _group(config, "strategy")
    cohort = group.get("cohort")
    pruner = group.get("pruner")
    if pruner is None:
        if cohort is not None:
            raise refuse("strategy.cohort", cohort, "null where there is no strategy.pruner")
        return None
    if not isinstance(pruner, Mapping):
        raise refuse("strategy.pruner", pruner, "null, or its keys and values, _target_ first")
    named = _callable(config, "strategy.pruner")
    return parse_pruning(*named, cohort=cohort, setup=setup, strategy=strategy)


def _from_hub(group: Group) -> tuple[type[BaseSampler], str, dict[str, object]]:
    """A sampler of OptunaHub, what identifies it, and the group's keys that are its own."""
    own = {f.name for f in fields(HubSampler)}
    where = build("strategy", HubSampler, {k: v for k, v in group.items() if k in own})
    try:
        sampler, identifier = where.load()
    except ValueError as error:
        raise under("strategy", error) from error
    return sampler, identifier, {k: v for k, v in group.items() if k not in own}


def _with_defaults(
    function: Callable[..., object], given: Mapping[str, object], provided: Collection[str]
) -> dict[str, object]:
    """Arguments with the defaults of those not given, so that both say the same thing."""
    return {**{k: v for k, v in defaults(function).items() if k not in provided}, **given}


def check_against_data(setup: Setup, data: Data) -> None:
    """Checks that need the data.

    Raises:
        UserError: a batch larger than the training set, or of one row where batch norm needs
            more; a model that cannot be built or trained, or that does not take these inputs.
    """
    n_rows = len(data.y_train)
    searched = {h.name: h for h in setup.space.hyperparameters}.get("batch_size")
    sizes = (setup.batch_size,) if searched is None else searched.ends()
    key = "optimizer.batch_size" if searched is None else "space.batch_size"
    for size in sizes:
        if isinstance(size, int) and size > n_rows:
            raise refuse(key, size, f"1 to {n_rows}, the rows of the training set")
    for spec in examples(setup, data):
        model = checked_model(spec.model, data)
        if setup.numerics.probe and last_activation(model) is None:
            raise refuse("numerics.probe", True, f"false, as {spec.model.target} has no activation")
        if 1 in sizes:
            check_single_rows(model, data, key)
