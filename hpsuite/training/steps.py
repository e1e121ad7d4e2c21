"""One step of a model, and how a model is tried on a few rows.

A row is one input. Shapes here are those of a row, without the axis of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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


def is_layer(module: nn.Module) -> bool:
    """Whether a module is torch's own, and is taken as it is."""
    return type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Sequential)


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
