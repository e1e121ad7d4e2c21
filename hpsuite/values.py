"""Setting hyperparameters: a trial with other values, each wherever its name belongs.

A model may take an argument as one value or one per layer, as in `units: int | tuple[int, ...]`.
Each layer's own is then a hyperparameter by itself: `units_2` is the second entry of `units`. How
many layers there are is what `layers` says, or the length of a list that was given.
"""

import functools
import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from hpsuite.checks import annotations, resolve
from hpsuite.space import Space
from hpsuite.trials import ModelSpec, OptimizerSpec, Scalar, TrialSpec, Value, frozen_arguments


def with_values(spec: TrialSpec, values: Mapping[str, Scalar]) -> TrialSpec:
    """A trial with other hyperparameters; layers whose own are not given keep what they have."""
    optimizer_names = {f.name for f in fields(OptimizerSpec)}
    optimizer = {k: v for k, v in values.items() if k in optimizer_names}
    own = {k: v for k, v in values.items() if k in ("batch_size", "epochs", "steps")}
    model = {k: v for k, v in values.items() if k not in optimizer_names and k not in own}
    if "epochs" in own:
        own["steps"] = None
    elif "steps" in own:
        own["epochs"] = None
    layered = {name: place for name in model if (place := layer_of(spec.model.target, name))}
    arguments: dict[str, Value] = dict(spec.model.arguments)
    arguments |= {k: v for k, v in model.items() if k not in layered}
    for argument in {place.argument for place in layered.values()}:
        given = {p.layer: model[name] for name, p in layered.items() if p.argument == argument}
        n = n_layers(arguments, argument)
        assert n is not None, (argument, arguments)
        arguments[argument] = tuple(
            given[i] if i in given else entry(arguments[argument], i) for i in range(1, n + 1)
        )
    return replace(
        spec,
        optimizer=replace(spec.optimizer, **optimizer),  # type: ignore[arg-type]
        model=replace(spec.model, arguments=frozen_arguments(arguments)),
        **own,  # type: ignore[arg-type]
    )


def value_of(spec: TrialSpec, name: str) -> Value:
    """What a trial has of a hyperparameter; None where nothing says it."""
    is_optimizers = name in {f.name for f in fields(OptimizerSpec)}
    if is_optimizers or name in ("batch_size", "epochs", "steps"):
        value: Value = getattr(spec.optimizer if is_optimizers else spec, name)
        return value
    arguments = dict(spec.model.arguments)
    if (place := layer_of(spec.model.target, name)) is None:
        return arguments.get(name)
    entries = arguments.get(place.argument)
    is_short = isinstance(entries, tuple) and len(entries) < place.layer
    return None if is_short else entry(entries, place.layer)


@dataclass(frozen=True)
class Place:
    """Where a layer's own hyperparameter goes: the entry for a layer, from 1, of an argument."""

    argument: str
    layer: int


def layer_of(target: str, name: str) -> Place | None:
    """The place of `units_2` and its like in a model's arguments; None for other names."""
    match = re.fullmatch(r"(\w+)_([1-9]\d*)", name)
    if match is None or match[1] not in per_layer(target) or name in _parameters(target):
        return None
    return Place(match[1], int(match[2]))


@functools.cache
def per_layer(target: str) -> Mapping[str, Any]:
    """A model's arguments that are one value or one per layer, with what one value must be."""
    hints = annotations(resolve("model._target_", target))
    entries = {name: _entry(hints[name]) for name in _parameters(target) if name in hints}
    return {name: annotation for name, annotation in entries.items() if annotation is not None}


@functools.cache
def _parameters(target: str) -> tuple[str, ...]:
    return tuple(inspect.signature(resolve("model._target_", target)).parameters)


def _entry(annotation: Any) -> Any:
    """What an entry must be, of an annotation like `X | tuple[X, ...]`; None for others."""
    if typing.get_origin(annotation) is Annotated:
        return _entry(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return None
    members = typing.get_args(annotation)
    lists = [typing.get_args(m) for m in members if typing.get_origin(m) in (tuple, list)]
    return next((m for m in members if any(m in entries for entries in lists)), None)


def n_layers(arguments: Mapping[str, Value], argument: str) -> int | None:
    """The number of layers that a model's arguments say; None where they do not."""
    layers, entries = arguments.get("layers"), arguments.get(argument)
    if isinstance(layers, int):
        return layers
    return len(entries) if isinstance(entries, tuple) else None


def most_layers(model: ModelSpec, space: Space, argument: str) -> int | None:
    """The most layers that a trial may have; None where some trials would not say how many."""
    arguments = {k: v for k, v in model.arguments if k not in space.names}
    searched = {h.name: h.ends() for h in space.hyperparameters}
    depths = searched.get("layers", (arguments.get("layers"),))
    counts = [n_layers({**arguments, "layers": depth}, argument) for depth in depths]
    return None if None in counts else max(n for n in counts if n is not None)


def entry(entries: Value, layer: int) -> Scalar:
    """A layer's own of what is one value or one per layer."""
    return entries[layer - 1] if isinstance(entries, tuple) else entries


def unsearched(model: ModelSpec, space: Space) -> dict[str, Value]:
    """A model's arguments without those that the space searches; None for layers that it does."""
    arguments = {k: v for k, v in model.arguments if k not in space.names}
    searched: dict[str, set[int]] = {}
    for name in space.names:
        if place := layer_of(model.target, name):
            searched.setdefault(place.argument, set()).add(place.layer)
    for argument in searched.keys() & arguments.keys():
        layers = range(1, (most_layers(model, space, argument) or 0) + 1)
        entries = arguments.pop(argument)
        if not searched[argument].issuperset(layers):
            arguments[argument] = tuple(
                None if i in searched[argument] else entry(entries, i) for i in layers
            )
    return arguments
