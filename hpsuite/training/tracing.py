"""What an ordinary torch.nn.Module does to its inputs, as a list of steps.

A plain nn.Sequential is read layer by layer. Any other module is run once with symbols in place of
tensors (torch.fx), which shows its layers and what joins them: additions, Flatten, views,
functional activations. All this is of one model; `fusing.py` puts the steps of K models together.

A row is one input. Shapes here are those of a row, without the axis of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hpsuite.training.layers import NotFusable

Shape = tuple[int, ...]

# Numbers of rows that a module is tried on: what it makes of them shows which axis is that of rows.
TRIED_ROWS = (3, 2)


@dataclass(frozen=True)
class Step:
    """One step of a model.

    Attributes:
        kind: `module`, or what joins values: `add`, `sub`, `mul`, `truediv`, `reshape`, `cat`,
            `chunk`, `mean`.
        inputs: which values it takes; 0 is the model's input, i the output of step i - 1.
        shape: of a row of its output.
        input_shapes: of a row of each of its inputs.
        module: the layer of a `module`.
        place: of a Dropout, its number among those of the model, in order of their places in it.
        arguments: constants of the others.
    """

    kind: str
    inputs: tuple[int, ...]
    shape: Shape
    input_shapes: tuple[Shape, ...]
    module: nn.Module | None = None
    place: int = 0
    arguments: tuple[object, ...] = ()


def trace(model: nn.Module, input_shape: Shape) -> list[Step]:
    """The steps of a model, of which the last one gives its outputs.

    Args:
        model: as its builder gives it, in any type and on any device; left as it was.
        input_shape: the shape of one input.

    Raises:
        NotFusable: naming what stands in the way.
    """
    _refuse_hooks(model)
    chain = _chain(model)
    if chain is not None:
        return _steps_of_chain(model, chain, input_shape)
    from hpsuite.training.symbolic import Traced  # which imports torch.fx and this file

    return Traced(model, input_shape).steps()


def is_chain(model: nn.Module) -> bool:
    """Whether a model is its layers, one after the other."""
    return _chain(model) is not None


def _refuse_hooks(model: nn.Module) -> None:
    for layer in model.modules():
        if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
            raise NotFusable(f"{type(layer).__name__} with hooks")
    if any(p._backward_hooks for p in model.parameters()):
        raise NotFusable(f"{type(model).__name__} with hooks of its parameters")


def _chain(model: nn.Module) -> list[nn.Module] | None:
    """The layers of a sequential model, in order; None where there is more than layers to it."""
    if type(model) is not nn.Sequential:
        return None
    layers: list[nn.Module] = []
    for child in model:
        if type(child) is nn.Sequential:
            layers.extend(_chain(child) or [])
        elif is_layer(child):
            layers.append(child)
        else:
            return None
    # A Sequential inside may have been given up.
    n = sum(1 for m in model.modules() if not isinstance(m, nn.Sequential))
    return layers if len({id(layer) for layer in layers}) == n else None


def is_layer(module: nn.Module) -> bool:
    """Whether a module is torch's own, and is taken as it is."""
    return type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Sequential)


def _steps_of_chain(model: nn.Module, layers: list[nn.Module], input_shape: Shape) -> list[Step]:
    places = dropout_places(model)
    steps: list[Step] = []
    shapes = [input_shape]
    with Trying(model) as rows:
        x = rows(input_shape)
        for layer in layers:
            x = _tried(layer, x)
            shapes.append(tuple(x.shape[1:]))
            steps.append(
                Step(
                    "module",
                    (len(steps),),
                    shapes[-1],
                    (shapes[-2],),
                    layer,
                    places.get(id(layer), 0),
                )
            )
    return steps


def _tried(layer: nn.Module, x: Tensor) -> Tensor:
    try:
        y: object = layer(x)
    except Exception as error:
        raise NotFusable(f"{named(layer)} of inputs of shape {tuple(x.shape[1:])}") from error
    if not isinstance(y, Tensor) or y.shape[:1] != x.shape[:1]:
        raise NotFusable(named(layer))
    return y


class Trying:
    """Runs a model in evaluation, and puts it back as it was."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modes = [(m, m.training) for m in model.modules()]
        self._grad = torch.no_grad()

    def __enter__(self) -> Callable[..., Tensor]:
        self._grad.__enter__()
        self._model.eval()
        like = next(iter(self._model.parameters()), torch.zeros(()))

        def rows(shape: Shape, n: int = TRIED_ROWS[0]) -> Tensor:
            return torch.zeros(n, *shape, dtype=like.dtype, device=like.device)

        return rows

    def __exit__(self, *error: object) -> None:
        self._grad.__exit__(None, None, None)
        for module, training in self._modes:
            module.training = training


def named(layer: nn.Module) -> str:
    """A layer in one line, by its kind and what it was given, without what it holds."""
    extra = layer.extra_repr()
    return f"{type(layer).__name__}({extra})" if "\n" not in extra else type(layer).__name__


def dropout_places(model: nn.Module) -> dict[int, int]:
    """Numbers of a model's nn.Dropout layers, as the plain trainer counts them."""
    places: dict[int, int] = {}
    n = 0
    for parent in model.modules():
        for child in parent._modules.values():
            if type(child) is nn.Dropout:
                places[id(child)] = n
                n += 1
    return places
