"""K models as one: what they must share, and their layers put together step by step.

Shapes: K trials, F features, B rows.
"""

import copy
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hpsuite.training.image_layers import ConvEnsemble, PadEnsemble, PoolEnsemble, mean_of
from hpsuite.training.layers import (
    BatchNormEnsemble,
    DropoutEnsemble,
    FusedLayer,
    LinearEnsemble,
    MixedElementwise,
    NotFusable,
)
from hpsuite.training.norms import GroupNormEnsemble
from hpsuite.training.padding import Blank, Filled
from hpsuite.training.steps import Shape, Step, named
from hpsuite.training.tracing import is_chain, trace

_ACTIVATIONS = (
    *(nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU),
    *(nn.SELU, nn.Mish, nn.Hardswish, nn.ReLU6),
)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
_PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)


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


def read(model: nn.Module, input_shape: Shape) -> Reading:
    """Take a model apart.

    Args:
        model: as its builder gives it.
        input_shape: the shape of one input.

    Raises:
        NotFusable: naming the layer, or the way of joining layers, that only the plain trainer
            knows.
    """
    steps = trace(model, input_shape)
    exact = tuple((step.inputs, _describe(step)) for step in steps)
    _refuse_sharing(steps)
    family: tuple[object, ...] = exact
    if all(_takes_widths(step) for step in steps):
        family = tuple((step.inputs, _describe_family(step)) for step in steps)
    reading = Reading(
        tuple(steps),
        exact,
        family,
        tuple(size for step in steps for size in _size(step)),
        any(isinstance(step.module, _CONVOLUTIONS) for step in steps),
    )
    if not is_chain(model):
        _check(model, reading, input_shape)
    return reading


def pays(reading: Reading, device: torch.device) -> bool:
    """Whether models are faster fused than one by one: a function of the model and the device.

    On a CPU, convolutions one by one in channels_last are faster than any fused form that was
    tried (docs/fused-training.md).
    """
    return device.type != "cpu" or not reading.convolves


def signature(model: nn.Module, input_shape: Shape) -> tuple[object, ...]:
    """What K models share whose layers have the same kinds and shapes.

    Dropout rates and initial weights may differ.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    return read(model, input_shape).signature


def _refuse_sharing(steps: Sequence[Step]) -> None:
    modules = [step.module for step in steps if step.module is not None]
    owned = [id(p) for m in modules for p in m.parameters(recurse=False)]
    # Each has its own masks, or running statistics.
    single = (nn.Dropout, *_BATCH_NORMS)
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
    if kind in _CONVOLUTIONS:
        ConvEnsemble.from_conv([layer])  # type: ignore[list-item]
        return (kind.__name__, layer.extra_repr(), shape, trained)
    if kind in _BATCH_NORMS:
        BatchNormEnsemble.from_batch_norm([layer])  # type: ignore[list-item]
        return (kind.__name__, layer.extra_repr(), shape, trained)
    if kind in (nn.LayerNorm, nn.GroupNorm):
        return (kind.__name__, layer.extra_repr(), shape, trained)
    return _describe_weightless(layer, step)


def _describe_weightless(layer: nn.Module, step: Step) -> tuple[object, ...]:
    kind, (shape,) = type(layer), step.input_shapes
    if kind in _POOLS:
        PoolEnsemble.from_pool(layer, shape)
        return (kind.__name__, layer.extra_repr(), shape)
    if isinstance(layer, _PADS) and kind in _PADS:
        if len(layer.padding) > 2 * len(shape):
            raise NotFusable(named(layer))
        return (kind.__name__, layer.padding, shape)
    if kind is nn.Dropout:
        return ("Dropout", step.place)
    if kind is nn.Flatten:
        return ("Flatten", step.shape)
    if kind in (nn.Identity, *_ACTIVATIONS):
        return (repr(_out_of_place(layer)),)
    raise NotFusable(kind.__name__)


def _takes_widths(step: Step) -> bool:
    """Whether a step may have more features or channels, with zeros in all but its own."""
    if step.module is None:
        flattens = step.kind == "reshape" and len(step.shape) == 1
        numbers = [n for n in step.arguments if n is not None]
        adds = step.kind in ("add", "sub") and not numbers
        scales = step.kind == "mul" or (step.kind == "truediv" and step.arguments[0] is None)
        divides = step.kind == "truediv" and not numbers
        return flattens or adds or (scales and not divides) or step.kind == "mean"
    layer = step.module
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1
    if isinstance(layer, nn.Flatten):
        return len(step.shape) == 1
    # Not from the layer and group norms, whose means are of a number of values.
    kinds = (nn.Linear, *_BATCH_NORMS, *_POOLS, nn.Dropout, nn.Identity, *_ACTIVATIONS)
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
    if isinstance(layer, _ACTIVATIONS):
        return ("activation",)
    if isinstance(layer, _POOLS):
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


class FusedModels:
    """K models of one family.

    Shape: [K, F, B] to [K, C, B].

    Attributes:
        layers: in order.
        signatures: of each model.
    """

    def __init__(
        self, readings: Sequence[Reading], input_shape: Shape, dropout_keys: Tensor
    ) -> None:
        """Put K models together.

        Args:
            readings: of models in the type and on the device to train in.
            input_shape: the shape of one input.
            dropout_keys: int32 [K].
        """
        assert len({reading.family for reading in readings}) == 1
        self.signatures = [reading.signature for reading in readings]
        self._input_shape = input_shape
        self._keys = dropout_keys
        self._steps = readings[0].steps
        columns = zip(*(reading.steps for reading in readings), strict=True)
        self._filled: list[Filled] = []
        self._by_step = [self._put_together(column) for column in columns]
        self.layers = [layer for layer in self._by_step if layer is not None]
        # The last step that needs a value, after which it is let go.
        self._last_use = {
            value: place for place, step in enumerate(self._steps) for value in step.inputs
        }

    def parameters(self) -> list[Tensor]:
        """All trainable tensors, [K, ...] each."""
        return [p for layer in self.layers for p in layer.parameters() if p.requires_grad]

    def forward(self, x: Tensor, *, training: bool, step: int = 0) -> Tensor:
        """Outputs of the models; masks of dropout are those of the step."""
        if len(self._input_shape) > 1:
            x = x.unflatten(1, self._input_shape)
        values: dict[int, Tensor] = {0: x}
        for place, (own, layer) in enumerate(zip(self._steps, self._by_step, strict=True)):
            inputs = [values[value] for value in own.inputs]
            if layer is not None:
                y = layer.forward(inputs[0], training=training, step=step)
            else:
                y = self._join(own, inputs)
            for value in own.inputs:
                if self._last_use[value] == place:
                    values.pop(value, None)
            values[place + 1] = y
        return y

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""
        for layer in self.layers:
            layer.keep(kept)
        for filled in self._filled:
            filled.keep(kept)
        self.signatures = [self.signatures[place] for place in kept.tolist()]

    def intact(self) -> list[bool]:
        """Whether all that was filled in is still 0, of each model."""
        if not self._filled:
            return [True] * len(self.signatures)
        found: list[bool] = torch.stack([part.intact() for part in self._filled]).all(0).tolist()
        return found

    def _put_together(self, column: Sequence[Step]) -> FusedLayer | None:
        """One step of K models as a layer; None where it has nothing but shapes to it."""
        modules = [step.module for step in column]
        first, layers = modules[0], _as_any(modules)
        shapes = {(*step.input_shapes, step.shape) for step in column}
        differs = len(shapes) > 1
        if first is None or isinstance(first, nn.Flatten | nn.Identity):
            return None
        if isinstance(first, nn.Linear):
            sizes = _sizes(layers, "out_features", "in_features")
            return self._fill(LinearEnsemble.from_linear(layers, _most(sizes, differs)), sizes)
        if isinstance(first, nn.Conv1d | nn.Conv2d):
            sizes = _sizes(layers, "out_channels", "in_channels")
            return self._fill(ConvEnsemble.from_conv(layers, _most(sizes, differs)), sizes)
        if isinstance(first, nn.BatchNorm1d | nn.BatchNorm2d):
            sizes = _sizes(layers, "num_features", "num_features")
            most = _most(sizes, differs)
            norm = BatchNormEnsemble.from_batch_norm(layers, None if most is None else most[0])
            return self._fill(norm, sizes)
        if isinstance(first, _ACTIVATIONS):
            return self._activation(layers, column, differs=differs)
        return self._put_others_together(layers, column[0])

    def _put_others_together(self, layers: Sequence[Any], step: Step) -> FusedLayer:
        first, (shape,) = layers[0], step.input_shapes
        if isinstance(first, nn.Dropout):
            rates = torch.tensor(
                [layer.p for layer in layers], dtype=torch.float64, device=self._keys.device
            )
            return DropoutEnsemble(rates, self._keys, step.place)
        if isinstance(first, nn.LayerNorm):
            return GroupNormEnsemble.from_layer_norm(layers)
        if isinstance(first, nn.GroupNorm):
            return GroupNormEnsemble.from_group_norm(layers, shape)
        if isinstance(first, _PADS):
            return PadEnsemble(first.padding)
        assert isinstance(first, _POOLS), first
        return PoolEnsemble.from_pool(first, shape)

    def _activation(
        self, layers: Sequence[nn.Module], column: Sequence[Step], *, differs: bool
    ) -> FusedLayer:
        activation = MixedElementwise([_out_of_place(layer) for layer in layers])
        if differs and any(_at_zero(function) != 0 for function in activation.functions):
            widths = torch.tensor([step.shape[0] for step in column], device=self._keys.device)
            return Blank(activation, widths)
        return activation

    def _fill(self, layer: FusedLayer, sizes: Sequence[tuple[int, int]]) -> FusedLayer:
        """Remember what of a layer was filled up with zeros, where anything was."""
        if len(set(sizes)) > 1:
            own = [torch.tensor(n, device=self._keys.device) for n in zip(*sizes, strict=True)]
            is_norm = isinstance(layer, BatchNormEnsemble)
            of_each = [own[: 2 if p.dim() > 2 and not is_norm else 1] for p in layer.parameters()]
            if of_each:
                self._filled.append(Filled(layer, of_each))
        return layer

    def _join(self, step: Step, inputs: Sequence[Tensor]) -> Tensor:
        """What has no weights and is no layer, of K models at once."""
        x = inputs[0]
        if isinstance(step.module, nn.Identity):
            return x
        if step.module is not None or step.kind == "reshape":
            # Of another width than the first model's, perhaps, where it makes features of images.
            shape = (-1,) if len(step.shape) == 1 else step.shape
            return x.reshape(x.shape[0], *shape, x.shape[-1])
        if step.kind == "mean":
            y = mean_of(x.flatten(2, -2), 2)
            return y.view(*y.shape[:2], *(1,) * (len(step.shape) - 1), y.shape[2])
        if step.kind == "cat":
            return torch.cat(list(inputs), 1)
        if step.kind == "chunk":
            n, which = step.arguments
            assert isinstance(n, int)
            assert isinstance(which, int)
            # Contiguous for any number of trials, as a product's (see `product`).
            return x.chunk(n, 1)[which].contiguous()
        given = iter(inputs)
        operands = [next(given) if n is None else n for n in step.arguments]
        y = getattr(operator, step.kind)(*operands)
        assert isinstance(y, Tensor)
        return y


def _sizes(layers: Sequence[Any], outputs: str, inputs: str) -> list[tuple[int, int]]:
    return [(getattr(layer, outputs), getattr(layer, inputs)) for layer in layers]


def _most(sizes: Sequence[tuple[int, int]], differs: bool) -> tuple[int, int] | None:
    """The widest of each; None where all are equal."""
    if not differs:
        return None
    outputs, inputs = zip(*sizes, strict=True)
    return max(outputs), max(inputs)


def _as_any(modules: Sequence[nn.Module | None]) -> list[Any]:
    return list(modules)


def _out_of_place(layer: nn.Module) -> nn.Module:
    """An activation that leaves its inputs as they are."""
    if not getattr(layer, "inplace", False):
        return layer
    changed = copy.copy(layer)
    changed.inplace = False  # type: ignore[assignment]
    return changed


def _at_zero(function: nn.Module) -> float:
    return float(function(torch.zeros(())))


_checked: set[tuple[type, tuple[object, ...]]] = set()


def _check(model: nn.Module, reading: Reading, input_shape: Shape) -> None:
    """Whether the steps that were found add up to what a user's module computes.

    A forward may do what symbols do not show, such as choosing by a number of axes. So each kind
    of module is tried once on random rows, in training and in evaluation.

    Raises:
        NotFusable: one whose steps give something else.
    """
    key = (type(model), reading.signature)
    if key in _checked:
        return
    refused = NotFusable(f"{type(model).__name__}, whose layers do not tell all that it does")
    try:
        copied = copy.deepcopy(model).double().cpu()
    except Exception as error:
        raise refused from error
    for layer in copied.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    steps = trace(copied, input_shape)
    again = Reading(tuple(steps), reading.signature, reading.family, reading.sizes, False)
    fused = FusedModels([again], input_shape, torch.zeros(1, dtype=torch.int32))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, *input_shape, generator=generator, dtype=torch.float64)
    for training in (False, True):
        with torch.no_grad():
            expected = copied.train(training)(x.clone())
            found = fused.forward(x.flatten(1).T[None], training=training)[0]
        same = expected.shape == found.T.shape and torch.allclose(
            found.T, expected, rtol=1e-9, atol=1e-9
        )
        if not same:
            raise refused
    _checked.add(key)
