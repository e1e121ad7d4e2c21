"""From a composed configuration to a search space, and the optimizer that it searches."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from hpsuite.checks import UserError, build, checked, checked_arguments, refuse, resolve, show
from hpsuite.config import Budget, Group, MiniBatch, Setup
from hpsuite.space import Hyperparameter, Space
from hpsuite.trials import OptimizerSpec, Scalar
from hpsuite.values import Place, layer_of, most_layers, per_layer, value_of

# What hpsuite itself passes to a model.
TO_MODEL = ("input_shape", "n_classes", "generator")

# What only some kinds of optimizer use, and only some schedules.
_USED_BY = {
    "momentum": ("sgd", "sgd_ema"),
    "nesterov": ("sgd", "sgd_ema"),
    "beta1": ("adam", "adamw"),
    "beta2": ("adam", "adamw"),
    "epsilon": ("adam", "adamw"),
}
_USED_BY_SCHEDULE = {
    "decay_rate": ("step", "exponential", "inverse_time"),
    "decay_epochs": ("step",),
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
    choices = {h.name: h.choices for h in space.hyperparameters}
    kinds = choices.get("kind") or (optimizer.kind,)
    for path, names in (("optimizer", group), ("space", space.names)):
        for name in names:
            _check_used(path, name, _USED_BY.get(name), kinds, "an optimizer")
    # The options of optimizers all have a decay, whatever their schedule.
    schedules = choices.get("schedule") or (optimizer.schedule,)
    for name in space.names:
        _check_used("space", name, _USED_BY_SCHEDULE.get(name), schedules, "a schedule")
    return optimizer


def _check_used(
    path: str, name: str, used_by: Sequence[str] | None, found: Sequence[Scalar], what: str
) -> None:
    """What is given or searched must be of use to some trial."""
    if used_by is not None and not set(used_by).intersection(found):
        raise UserError(
            f"{path}.{name}: found it for {' and '.join(map(str, found))}, which does not use it; "
            f"accepted: {what} that does ({', '.join(used_by)}), or {path} without it"
        )


def space_defaults(setup: Setup) -> tuple[dict[str, Scalar], dict[str, UserError]]:
    """What each searched hyperparameter is in a trial that does not search it.

    Returns:
        By name in the record, the values there of those that lie in the space; and the errors for
        those that do not. What the setup's optimizer or schedule does not use is in neither.
    """
    spec = setup.spec({}, study="", number=0, seed=0, dataset="")
    values: dict[str, Scalar] = {}
    errors = {}
    for hyperparameter in setup.space.hyperparameters:
        name = hyperparameter.name
        value = value_of(spec, name)
        unused = spec.optimizer.kind not in _USED_BY.get(name, (spec.optimizer.kind,)) or (
            spec.optimizer.schedule not in _USED_BY_SCHEDULE.get(name, (spec.optimizer.schedule,))
        )
        if hyperparameter.holds(value):
            assert not isinstance(value, tuple), value
            values[hyperparameter.stored_name] = hyperparameter.stored(value)
        elif not unused:
            errors[hyperparameter.stored_name] = UserError(
                f"space.{name}: found the default {show(value)} outside of "
                f"{hyperparameter.described()}; accepted: {_key_of(setup, name)} within, as this "
                "strategy sets out from it"
            )
    return values, errors


def _key_of(setup: Setup, name: str) -> str:
    """The configuration's key for what a hyperparameter is where it is not searched."""
    if name in ("epochs", "steps"):
        return f"budget.{name}"
    if name == "batch_size" or name in {f.name for f in fields(OptimizerSpec)}:
        return f"optimizer.{name}"
    place = layer_of(setup.model.target, name)
    return f"model.{place.argument if place else name}"


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
        elif place := layer_of(setup.model.target, name):
            _check_layer(setup, hyperparameter, place)
            continue
        else:
            owner = model
            _check_model_takes(setup, name)
        # What the owner has besides is not the space's to give.
        others = set(inspect.signature(owner).parameters) - {name}
        for value in hyperparameter.ends():
            checked_arguments("space", owner, {name: value}, provided=others)


def _check_layer(setup: Setup, hyperparameter: Hyperparameter, place: Place) -> None:
    """A layer's own: of a layer that some trial has, beside others that all know their own."""
    name, argument = hyperparameter.name, place.argument
    annotation = per_layer(setup.model.target)[argument]
    for value in hyperparameter.ends():
        checked(f"space.{name}", annotation, value)
    most = most_layers(setup.model, setup.space, argument)
    if most is None:
        raise UserError(
            f"space.{name}: found it for a model that says nowhere how many layers it has; "
            f"accepted: model.layers=N, or model.{argument} as a list, one entry a layer"
        )
    if place.layer > most:
        having = "no layers" if most == 0 else f"at most {most} layer{'s' if most > 1 else ''}"
        among = f"{argument}_1 to {argument}_{most}" if most > 1 else f"{argument}_1"
        raise UserError(
            f"space.{name}: found it for {having}; accepted: {among if most else 'more layers'}"
        )
    fixed = {k: v for k, v in setup.model.arguments if k not in setup.space.names}
    given, is_cut = fixed.get(argument), "layers" in setup.space.names
    if isinstance(given, tuple) and (len(given) < most or (len(given) > most and not is_cut)):
        up_to = "up to " if is_cut else ""
        raise refuse(
            f"model.{argument}",
            given,
            f"one value, or one for each of {up_to}{most} layers, beside space.{name}",
        )


def _check_model_takes(setup: Setup, name: str) -> None:
    parameters = inspect.signature(resolve("model._target_", setup.model.target)).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if name in TO_MODEL or (name not in parameters and not takes_any):
        names = [f.name for f in fields(OptimizerSpec)] + ["batch_size", "epochs", "steps"]
        names += [other for other in parameters if other not in TO_MODEL]
        names += [f"{other}_1 and so on" for other in per_layer(setup.model.target)]
        raise UserError(
            f"space.{name}: found nothing that has such a hyperparameter; "
            f"accepted: one of {', '.join(names)}"
        )
