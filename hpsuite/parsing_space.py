"""From a composed configuration to a search space, and the optimizer that it searches."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields

from hpsuite.checks import UserError, build, checked_arguments, refuse, resolve
from hpsuite.config import Budget, Group, MiniBatch, Setup
from hpsuite.space import Hyperparameter, Space
from hpsuite.trials import OptimizerSpec

# What hpsuite itself passes to a model.
TO_MODEL = ("input_shape", "n_classes", "generator")

# What only some kinds of optimizer use.
_USED_BY = {
    "momentum": ("sgd", "sgd_ema"),
    "beta1": ("adam",),
    "beta2": ("adam",),
    "epsilon": ("adam",),
}


def parse_space(group: Group) -> Space:
    """The search space of a group: name -> {scale, low, high} or {scale: choice, choices}.

    Raises:
        UserError: on the first mistake.
    """
    hyperparameters = []
    for name, entry in sorted(group.items()):
        if not isinstance(entry, Mapping):
            raise refuse(f"space.{name}", entry, "scale, low and high, or scale and choices")
        try:
            hyperparameters.append(build(f"space.{name}", Hyperparameter, entry, name=name))
        except UserError:
            raise
        except ValueError as error:
            raise UserError(str(error)) from error
    if not hyperparameters:
        raise UserError("space: found nothing to search; accepted: at least one hyperparameter")
    space = Space(tuple(hyperparameters))
    if {"epochs", "steps"} <= set(space.names):
        raise UserError("space: found epochs and steps; accepted: one of them")
    return space


def parse_optimizer(group: Group, space: Space) -> OptimizerSpec:
    """An optimizer's group, checked; what it searches or sets must be of use to it.

    Raises:
        UserError: on the first mistake.
    """
    beside = [f.name for f in fields(MiniBatch)]
    optimizer = OptimizerSpec(**checked_arguments("optimizer", OptimizerSpec, group, beside=beside))
    kinds = {h.name: h.choices for h in space.hyperparameters}.get("kind") or (optimizer.kind,)
    for path, names in (("optimizer", group), ("space", space.names)):
        for name in names:
            used_by = _USED_BY.get(name)
            if used_by is not None and not set(used_by).intersection(kinds):
                raise UserError(
                    f"{path}.{name}: found it for {' and '.join(map(str, kinds))}, which does not "
                    f"use it; accepted: an optimizer that does ({', '.join(used_by)}), or "
                    f"{path} without it"
                )
    return optimizer


def check_space(setup: Setup) -> None:
    """Both ends of each range, and each choice, must be what the trial would accept as it is.

    Raises:
        UserError: on the first mistake.
    """
    model = resolve("model._target_", setup.model.target)
    for hyperparameter in setup.space.hyperparameters:
        name = hyperparameter.name
        if name in {f.name for f in fields(OptimizerSpec)}:
            owner: Callable[..., object] = OptimizerSpec
        elif name == "batch_size":
            owner = MiniBatch
        elif name in ("epochs", "steps"):
            owner = Budget
        else:
            owner = model
            _check_model_takes(setup, name)
        # What the owner has besides is not the space's to give.
        others = set(inspect.signature(owner).parameters) - {name}
        for value in hyperparameter.ends():
            checked_arguments("space", owner, {name: value}, provided=others)


def _check_model_takes(setup: Setup, name: str) -> None:
    parameters = inspect.signature(resolve("model._target_", setup.model.target)).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if name in TO_MODEL or (name not in parameters and not takes_any):
        names = [f.name for f in fields(OptimizerSpec)] + ["batch_size", "epochs", "steps"]
        names += [other for other in parameters if other not in TO_MODEL]
        raise UserError(
            f"space.{name}: found nothing that has such a hyperparameter; "
            f"accepted: one of {', '.join(names)}"
        )
