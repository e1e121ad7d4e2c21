"""Layers of K models in one, each taken from K ordinary torch.nn layers.

Shapes: K trials, B rows, I and O inputs and outputs, F features. The trial axis is always the
first, rows are the last: activations are [K, F, B], so that nn.Linear's own weights [O, I] stack
to [K, O, I] and batch norm runs on a free view (1, K F, B).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.streams import dropout_mask

# A multiple of the values that any processor's vector loop takes at a time (32 with AVX-512).
VECTOR_VALUES = 64


class NotFusable(Exception):
    """A layer, or a way of joining layers, that only the plain trainer knows."""


class FusedLayer(Protocol):
    """One layer of K models."""

    def parameters(self) -> list[Tensor]:
        """Its trainable tensors, [K, ...] each."""

    def forward(self, x: Tensor, *, training: bool, step: int) -> Tensor:
        """Map activations [K, F, B] to [K, F', B]."""

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""


class LinearEnsemble:
    """K linear layers.

    Shape: [K, I, B] to [K, O, B].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight  # [K, O, I]
        self.bias = bias  # [K, O]

    @classmethod
    def from_linear(cls, layers: Sequence[nn.Linear]) -> "LinearEnsemble":
        """Stack K layers of one shape."""
        biases = [layer.bias for layer in layers]
        return cls(_stack([layer.weight for layer in layers]), _stack_or_none(biases))

    def parameters(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def forward(self, x: Tensor, *, training: bool, step: int) -> Tensor:
        weight, (_, n_outputs, n_inputs), rows = self.weight, self.weight.shape, x.shape[2]
        slim = 1 in (n_outputs, n_inputs, rows)
        if slim:
            # A side of length 1 goes to another routine, or not, by the number of trials: zeros
            # make it 2.
            weight = F.pad(weight, (0, int(n_inputs == 1), 0, int(n_outputs == 1)))
            x = F.pad(x, (0, int(rows == 1), 0, int(n_inputs == 1)))
        y = torch.bmm(weight, x)
        if slim:
            # Contiguous for any number of trials: gelu computes strided values otherwise.
            y = y[:, :n_outputs, :rows].contiguous()
        # In place: backward needs the inputs and weights of a product alone.
        return y if self.bias is None else y.add_(self.bias[:, :, None])

    def keep(self, kept: Tensor) -> None:
        self.weight = _keep(self.weight, kept)
        self.bias = None if self.bias is None else _keep(self.bias, kept)


class BatchNormEnsemble:
    """K batch norm layers, each with its own statistics, running averages, gamma and beta.

    Shape: [K, F, B] to [K, F, B].
    """

    def __init__(
        self,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor,
        running_var: Tensor,
        *,
        momentum: float,
        eps: float,
    ) -> None:
        self.weight, self.bias = weight, bias  # [K, F]
        self.running_mean, self.running_var = running_mean, running_var  # [K, F]
        self.momentum, self.eps = momentum, eps

    @classmethod
    def from_batch_norm(cls, layers: Sequence[nn.BatchNorm1d]) -> "BatchNormEnsemble":
        """Stack K layers of one shape.

        Raises:
            NotFusable: without running statistics, or with a cumulative average of them; or of
                one feature, which alone in a batch torch sums in another order than among others.
        """
        first = layers[0]
        if first.num_features == 1:
            raise NotFusable(f"{first} (only with two features or more)")
        if first.momentum is None or not first.track_running_stats:
            raise NotFusable(f"{first} (only with running statistics and a momentum)")
        means, variances = [], []
        for layer in layers:
            assert layer.running_mean is not None
            assert layer.running_var is not None
            means.append(layer.running_mean)
            variances.append(layer.running_var)
        return cls(
            _stack_or_none([layer.weight for layer in layers]),
            _stack_or_none([layer.bias for layer in layers]),
            torch.stack(means),
            torch.stack(variances),
            momentum=first.momentum,
            eps=first.eps,
        )

    def parameters(self) -> list[Tensor]:
        return [p for p in (self.weight, self.bias) if p is not None]

    def forward(self, x: Tensor, *, training: bool, step: int) -> Tensor:
        y = F.batch_norm(
            x.reshape(1, -1, x.shape[2]),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            None if self.weight is None else self.weight.view(-1),
            None if self.bias is None else self.bias.view(-1),
            training=training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return y.view_as(x)

    def keep(self, kept: Tensor) -> None:
        self.weight = None if self.weight is None else _keep(self.weight, kept)
        self.bias = None if self.bias is None else _keep(self.bias, kept)
        self.running_mean, self.running_var = self.running_mean[kept], self.running_var[kept]


class DropoutEnsemble:
    """K dropout layers, each with its own rate and its own masks.

    Shape: [K, F, B] to [K, F, B].
    """

    def __init__(self, rates: Tensor, keys: Tensor, layer: int) -> None:
        self.rates = rates  # float64 [K]
        self.keys = keys  # int32 [K]
        self.layer = layer

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int) -> Tensor:
        if not training:
            return x
        return x * dropout_mask(
            self.keys,
            self.rates,
            step=step,
            layer=self.layer,
            units=x.shape[1],
            rows=x.shape[2],
            dtype=x.dtype,
        )

    def keep(self, kept: Tensor) -> None:
        self.rates, self.keys = self.rates[kept], self.keys[kept]


class Elementwise:
    """An activation function, the same for all K models.

    Shape: [K, F, B] to [K, F, B].
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int) -> Tensor:
        k, values = x.shape[0], x.shape[1] * x.shape[2]
        rest = -values % VECTOR_VALUES
        if rest == 0:
            return self.function(x)
        # torch computes the last values of a tensor one by one, with another exp than the rest:
        # each trial gets room of its own, so that none of its values is ever among the last.
        padded = F.pad(x.reshape(k, values), (0, rest))
        return self.function(padded)[:, :values].view_as(x)

    def keep(self, kept: Tensor) -> None:
        pass


def signature(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[object, ...]:
    """What K models must share to be fused: the kinds and shapes of their layers.

    Dropout rates and initial weights may differ.

    Args:
        model: as its builder gives it.
        input_shape: the shape of one input.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    layers = _layers(model)
    described = tuple(_describe(layer) for layer in layers)
    if len(input_shape) > 1 and not (layers and type(layers[0]) is nn.Flatten):
        raise NotFusable(f"inputs of shape {input_shape} without a Flatten before all else")
    owned = [id(p) for layer in layers for p in layer.parameters(recurse=False)]
    owned += [id(layer) for layer in layers if type(layer) is nn.Dropout]  # each has its own masks
    if len(set(owned)) < len(owned):
        raise NotFusable("weights or a Dropout that stand in two places")
    return described


def fuse(
    models: Sequence[nn.Module], input_shape: tuple[int, ...], dropout_keys: Tensor
) -> list[FusedLayer]:
    """Take K models of one signature apart by layer.

    Args:
        models: K models, in the type and on the device to train in.
        input_shape: the shape of one input.
        dropout_keys: int32 [K].

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    signatures = {signature(model, input_shape) for model in models}
    assert len(signatures) == 1, signatures
    layers: list[FusedLayer] = []
    n_dropouts = 0
    for column in zip(*(_layers(model) for model in models), strict=True):
        first = column[0]
        if isinstance(first, nn.Linear):
            layers.append(LinearEnsemble.from_linear(column))
        elif isinstance(first, nn.BatchNorm1d):
            layers.append(BatchNormEnsemble.from_batch_norm(column))
        elif isinstance(first, nn.Dropout):
            rates = torch.tensor(
                [layer.p for layer in column], dtype=torch.float64, device=dropout_keys.device
            )
            layers.append(DropoutEnsemble(rates, dropout_keys, n_dropouts))
            n_dropouts += 1
        elif isinstance(first, _ACTIVATIONS):
            layers.append(Elementwise(first))
        else:
            assert isinstance(first, nn.Flatten | nn.Identity), first  # inputs come flattened
    return layers


_ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU)


def _layers(model: nn.Module) -> list[nn.Module]:
    """The layers of a sequential model, in order; one that stands in two places comes twice."""
    if type(model) is not nn.Sequential:
        raise NotFusable(f"{type(model).__name__} (only nn.Sequential)")
    layers: list[nn.Module] = []
    for child in model:
        layers.extend(_layers(child) if type(child) is nn.Sequential else [child])
    return layers


def _describe(layer: nn.Module) -> tuple[object, ...]:
    """A layer's kind and all of it that K models must share."""
    kind = type(layer)
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
        raise NotFusable(f"{kind.__name__} with hooks")
    trained = tuple(p.requires_grad for p in layer.parameters(recurse=False))
    if isinstance(layer, nn.Linear) and kind is nn.Linear:
        return ("Linear", tuple(layer.weight.shape), layer.bias is not None, trained)
    if isinstance(layer, nn.BatchNorm1d) and kind is nn.BatchNorm1d:
        BatchNormEnsemble.from_batch_norm([layer])
        return ("BatchNorm1d", layer.num_features, layer.eps, layer.momentum, layer.affine, trained)
    if kind is nn.Dropout:
        return ("Dropout",)
    if isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1):
        return ("Flatten",)
    if kind in (nn.Identity, *_ACTIVATIONS):
        return (repr(layer),)
    raise NotFusable(str(layer) if kind is nn.Flatten else kind.__name__)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """K tensors as one leaf of the gradient's graph."""
    requires_grad = tensors[0].requires_grad
    return torch.stack([t.detach() for t in tensors]).requires_grad_(requires_grad)


def _stack_or_none(tensors: Sequence[Tensor | None]) -> Tensor | None:
    given = [t for t in tensors if t is not None]
    return _stack(given) if given else None


def _keep(tensor: Tensor, kept: Tensor) -> Tensor:
    """Some of the trials of a leaf, as a leaf."""
    return tensor.detach()[kept].requires_grad_(tensor.requires_grad)
