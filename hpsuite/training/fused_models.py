"""K models put together step by step.

Shapes: K trials, F features, B rows.
"""

import operator
from collections.abc import Sequence
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
    Product,
)
from hpsuite.training.norms import GroupNormEnsemble
from hpsuite.training.padding import Blank, Filled
from hpsuite.training.probe import first_unit
from hpsuite.training.reading import ACTIVATIONS, PADS, POOLS, Reading, out_of_place
from hpsuite.training.steps import Shape, Step


class FusedModels:
    """K models of one family.

    Shape: [K, F, B] to [K, C, B].

    Attributes:
        layers: in order.
        signatures: of each model.
        watched: the place of a step whose input's first unit is kept; None for none.
        seen: that of the last evaluation, [K, B].
    """

    def __init__(
        self,
        readings: Sequence[Reading],
        input_shape: Shape,
        dropout_keys: Tensor,
        first_steps: Tensor | None = None,
        *,
        multiply: Product | None = None,
        grouped: bool = False,
    ) -> None:
        """Put K models together.

        Args:
            readings: of models in the type and on the device to train in.
            input_shape: the shape of one input.
            dropout_keys: int32 [K].
            first_steps: gradient steps that each took before, int64 [K]; None where none did.
            multiply: how linear layers and convolutions do it; None for `layers.product`.
            grouped: whether convolutions are one of groups in place of products.
        """
        assert len({reading.family for reading in readings}) == 1
        self.signatures = [reading.signature for reading in readings]
        self._input_shape = input_shape
        self._keys, self._first_steps = dropout_keys, first_steps
        self._multiply, self._grouped = multiply, grouped
        self._steps = readings[0].steps
        columns = zip(*(reading.steps for reading in readings), strict=True)
        self._filled: list[Filled] = []
        self._by_step = [self._put_together(column) for column in columns]
        self.layers = [layer for layer in self._by_step if layer is not None]
        self.watched: int | None = None
        self.seen: Tensor | None = None
        # The last step that needs a value, after which it is let go.
        self._last_use = {
            value: place for place, step in enumerate(self._steps) for value in step.inputs
        }

    def parameters(self) -> list[Tensor]:
        """All trainable tensors, [K, ...] each."""
        return [p for layer in self.layers for p in layer.parameters() if p.requires_grad]

    def statistics(self) -> list[Tensor]:
        """Running means and variances of batch norm, [K, F] each, in order of the layers."""
        norms = [layer for layer in self.layers if isinstance(layer, BatchNormEnsemble)]
        return [t for norm in norms for t in (norm.running_mean, norm.running_var)]

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor = 0) -> Tensor:
        """Outputs of the models; masks of dropout are those of the step."""
        if len(self._input_shape) > 1:
            x = x.unflatten(1, self._input_shape)
        values: dict[int, Tensor] = {0: x}
        for place, (own, layer) in enumerate(zip(self._steps, self._by_step, strict=True)):
            inputs = [values[value] for value in own.inputs]
            if place == self.watched and not training:
                self.seen = first_unit(inputs[0], rows=-1)
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
        layers: list[Any] = [step.module for step in column]
        first = layers[0]
        shapes = {(*step.input_shapes, step.shape) for step in column}
        differs = len(shapes) > 1
        if first is None or isinstance(first, nn.Flatten | nn.Identity):
            return None
        if isinstance(first, nn.Linear):
            sizes = _sizes(layers, "out_features", "in_features")
            most = _most(sizes, differs)
            return self._fill(
                LinearEnsemble.from_linear(layers, most, multiply=self._multiply), sizes
            )
        if isinstance(first, nn.Conv1d | nn.Conv2d):
            sizes = _sizes(layers, "out_channels", "in_channels")
            most = _most(sizes, differs)
            conv = ConvEnsemble.from_conv(
                layers, most, multiply=self._multiply, grouped=self._grouped
            )
            return self._fill(conv, sizes)
        if isinstance(first, nn.BatchNorm1d | nn.BatchNorm2d):
            sizes = _sizes(layers, "num_features", "num_features")
            most = _most(sizes, differs)
            norm = BatchNormEnsemble.from_batch_norm(layers, None if most is None else most[0])
            return self._fill(norm, sizes)
        if isinstance(first, ACTIVATIONS):
            return self._activation(layers, column, differs=differs)
        return self._put_others_together(layers, column[0])

    def _put_others_together(self, layers: Sequence[Any], step: Step) -> FusedLayer:
        first, (shape,) = layers[0], step.input_shapes
        if isinstance(first, nn.Dropout):
            rates = torch.tensor(
                [layer.p for layer in layers], dtype=torch.float64, device=self._keys.device
            )
            return DropoutEnsemble(rates, self._keys, step.place, self._first_steps)
        if isinstance(first, nn.LayerNorm):
            return GroupNormEnsemble.from_layer_norm(layers)
        if isinstance(first, nn.GroupNorm):
            return GroupNormEnsemble.from_group_norm(layers, shape)
        if isinstance(first, PADS):
            return PadEnsemble(first.padding)
        assert isinstance(first, POOLS), first
        return PoolEnsemble.from_pool(first, shape)

    def _activation(
        self, layers: Sequence[nn.Module], column: Sequence[Step], *, differs: bool
    ) -> FusedLayer:
        activation = MixedElementwise([out_of_place(layer) for layer in layers])
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


def _at_zero(function: nn.Module) -> float:
    return float(function(torch.zeros(())))
