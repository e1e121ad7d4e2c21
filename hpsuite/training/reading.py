"""What a model is made of, and what K models must share to be one program."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from hpsuite.training.image_layers import ConvEnsemble, PoolEnsemble
from hpsuite.training.layers import BatchNormEnsemble, NotFusable
from hpsuite.training.steps import Shape, Step, named
from hpsuite.training.tracing import trace

ACTIVATIONS = (
    *(nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU),
    *(nn.SELU, nn.Mish, nn.Hardswish, nn.ReLU6),
)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)


@dataclass(frozen=True)
class Reading:
    """What a model is made of.

    Attributes:
        steps: in order.
        signature: equal for models whose layers have the same kinds and shapes.
        family: equal for models that can be one program, with widths and activations of their own.
        sizes: of each layer with weights, its outputs, its inputs times the places of its kernel,
            and the places that it computes: products of one row are those of all three.
        convolves: whether it has convolutions.
    """

    steps: tuple[Step, ...]
    signature: tuple[object, ...]
    family: tuple[object, ...]
    sizes: tuple[tuple[int, int, int], ...]
    convolves: bool


def describe(model: nn.Module, input_shape: Shape) -> Reading:
    """Take a model apart, and trust what it seems to do (see `fusing.read`).

    Raises:
        NotFusable: naming the layer, or the way of joining layers, that only the plain trainer
            knows.
    """
    steps = trace(model, input_shape)
    exact = tuple((step.inputs, _describe(step)) for step in steps)
    _refuse_sharing(steps)
    trained = [p for s in steps if s.module is not None for p in s.module.parameters()]
    if not any(p.requires_grad for p in trained):
        raise NotFusable(f"{type(model).__name__}, whose layers have nothing to train")
    family: tuple[object, ...] = exact
    if all(_takes_widths(step) for step in steps):
        family = tuple((step.inputs, _describe_family(step)) for step in steps)
    return Reading(
        tuple(steps),
        exact,
        family,
        tuple(size for step in steps for size in _size(step)),
        any(isinstance(step.module, CONVOLUTIONS) for step in steps),
    )


def _refuse_sharing(steps: Sequence[Step]) -> None:
    modules = [step.module for step in steps if step.module is not None]
    owned = [id(p) for m in modules for p in m.parameters(recurse=False)]
    # Each has its own masks, or running statistics.
    single = (nn.Dropout, *BATCH_NORMS)
    owned += [id(m) for m in modules if type(m) in single]
    if len(set(owned)) < len(owned):
        raise NotFusable("weights or a Dropout that stand in two places")


def _describe(step: Step) -> tuple[object, ...]:
    """A step's kind and all of it that models of one signature share."""
    layer = step.module
    if layer is None:
        return (step.kind, step.arguments, step.input_shapes, step.shape)
    kind, (shape,) = type(layer), step.input_shapes
    trained = tuple(p.requires_grad for p in layer.parameters(recurse=False))
    if kind is nn.Linear:
        assert isinstance(layer, nn.Linear)
        if len(shape) != 1:
            raise NotFusable(f"Linear of inputs of shape {shape} without a Flatten before")
        return ("Linear", tuple(layer.weight.shape), layer.bias is not None, trained)
    if kind in CONVOLUTIONS:
        ConvEnsemble.from_conv([layer])  # type: ignore[list-item]
        return (kind.__name__, layer.extra_repr(), shape, trained)
    if kind in BATCH_NORMS:
        BatchNormEnsemble.from_batch_norm([layer])  # type: ignore[list-item]
        return (kind.__name__, layer.extra_repr(), shape, trained)
    if kind in (nn.LayerNorm, nn.GroupNorm):
        return (kind.__name__, layer.extra_repr(), shape, trained)
    return _describe_weightless(layer, step)


def _describe_weightless(layer: nn.Module, step: Step) -> tuple[object, ...]:
    kind, (shape,) = type(layer), step.input_shapes
    if kind in POOLS:
        PoolEnsemble.from_pool(layer, shape)
        return (kind.__name__, layer.extra_repr(), shape)
    if isinstance(layer, PADS) and kind in PADS:
        if len(layer.padding) > 2 * len(shape):
            raise NotFusable(named(layer))
        return (kind.__name__, layer.padding, shape)
    if kind is nn.Dropout:
        return ("Dropout", step.place)
    if kind is nn.Flatten:
        return ("Flatten", step.shape)
    if kind in (nn.Identity, *ACTIVATIONS):
        return (repr(out_of_place(layer)),)
    raise NotFusable(kind.__name__)


def _takes_widths(step: Step) -> bool:
    """Whether a step may have more features or channels, with zeros in all but its own."""
    if step.module is None:
        flattens = step.kind == "reshape" and len(step.shape) == 1
        numbers = [n for n in step.arguments if n is not None]
        adds = step.kind in ("add", "sub") and not numbers
        divides = step.kind == "truediv" and numbers and step.arguments[0] is None
        return flattens or adds or bool(divides) or step.kind in ("mul", "mean")
    layer = step.module
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1
    if isinstance(layer, nn.Flatten):
        return len(step.shape) == 1
    # Not from the layer and group norms, whose means are of a number of values.
    kinds = (nn.Linear, *BATCH_NORMS, *POOLS, nn.Dropout, nn.Identity, *ACTIVATIONS)
    return isinstance(layer, kinds)


def _describe_family(step: Step) -> tuple[object, ...]:
    """A step's kind without its widths and its activation."""
    places = step.shape[1:]
    layer = step.module
    if layer is None:
        return (step.kind, step.arguments, places)
    trained = tuple(p.requires_grad for p in layer.parameters(recurse=False))
    if isinstance(layer, nn.Linear):
        return ("Linear", layer.bias is not None, trained)
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        ensemble = ConvEnsemble.from_conv([layer])
        geometry = (layer.kernel_size, ensemble.stride, ensemble.padding, ensemble.dilation)
        return (type(layer).__name__, geometry, layer.bias is not None, trained, places)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        options = (layer.eps, layer.momentum, layer.affine)
        return (type(layer).__name__, options, trained, places)
    if isinstance(layer, ACTIVATIONS):
        return ("activation",)
    if isinstance(layer, POOLS):
        return (type(layer).__name__, layer.extra_repr(), places)
    if isinstance(layer, nn.Dropout):
        return ("Dropout", step.place)
    return (type(layer).__name__,)


def _size(step: Step) -> list[tuple[int, int, int]]:
    layer = step.module
    if isinstance(layer, nn.Linear):
        return [(layer.out_features, layer.in_features, 1)]
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return [(layer.out_channels, layer.weight[0].numel(), math.prod(step.shape[1:]))]
    return []


def out_of_place(layer: nn.Module) -> nn.Module:
    """An activation that leaves its inputs as they are."""
    if not getattr(layer, "inplace", False):
        return layer
    changed = copy.copy(layer)
    changed.inplace = False  # type: ignore[assignment]
    return changed
