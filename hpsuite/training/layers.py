"""Layers of K models in one, each taken from K ordinary torch.nn layers.

Shapes: K trials, B rows, I and O inputs and outputs, F features. The trial axis is always the
first, rows are the last: activations are [K, F, B], so that nn.Linear's own weights [O, I] stack
to [K, O, I] and batch norm runs on a free view (1, K F, B). Of images they are [K, C, H, W, B],
with all places of a channel beside each other.

Layers that differ in width are filled up with zeros to the widest (see padding.py).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.streams import dropout_mask

# A multiple of the values that any processor's vector loop takes at a time (32 with AVX-512).
VECTOR_VALUES = 64

# K matrix products, [K, O, I] by [K, I, B].
Product = Callable[[Tensor, Tensor], Tensor]


class NotFusable(Exception):
    """A layer, or a way of joining layers, that only the plain trainer knows."""


class FusedLayer(Protocol):
    """One layer of K models."""

    def parameters(self) -> list[Tensor]:
        """Its trainable tensors, [K, ...] each."""

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        """Map activations [K, F, B] to [K, F', B]."""

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""


class LinearEnsemble:
    """K linear layers.

    Shape: [K, I, B] to [K, O, B].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, multiply: Product) -> None:
        self.weight = weight  # [K, O, I]
        self.bias = bias  # [K, O]
        self.multiply = multiply

    @classmethod
    def from_linear(
        cls,
        layers: Sequence[nn.Linear],
        sizes: tuple[int, int] | None = None,
        *,
        multiply: Product | None = None,
    ) -> "LinearEnsemble":
        """Stack K layers.

        Args:
            layers: all with biases or all without.
            sizes: (O, I) to fill up to with zeros, where the layers differ in them.
            multiply: `product`, or what is used in its place.
        """
        biases = [layer.bias for layer in layers]
        return cls(
            stack([layer.weight for layer in layers], sizes),
            stack_or_none(biases, None if sizes is None else sizes[:1]),
            multiply or product,
        )

    def parameters(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        y = self.multiply(self.weight, x)
        # In place: backward needs the inputs and weights of a product alone.
        return y if self.bias is None else y.add_(self.bias[:, :, None])

    def keep(self, kept: Tensor) -> None:
        self.weight = keep_leaf(self.weight, kept)
        self.bias = None if self.bias is None else keep_leaf(self.bias, kept)


class BatchNormEnsemble:
    """K batch norm layers, each with its own statistics, running averages, gamma and beta.

    Shape: [K, F, B] to [K, F, B]; of images [K, F, H, W, B], over all places too.
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
    def from_batch_norm(
        cls, layers: Sequence[nn.BatchNorm1d | nn.BatchNorm2d], size: int | None = None
    ) -> "BatchNormEnsemble":
        """Stack K layers.

        Args:
            layers: of one momentum and epsilon.
            size: F to fill up to with zeros, where the layers differ in it.

        Raises:
            NotFusable: without running statistics, or with a cumulative average of them; or of
                one feature, which alone in a batch torch sums in another order than among others.
        """
        first, sizes = layers[0], None if size is None else (size,)
        if any(layer.num_features == 1 for layer in layers):
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
            stack_or_none([layer.weight for layer in layers], sizes),
            stack_or_none([layer.bias for layer in layers], sizes),
            stack(means, sizes),
            stack(variances, sizes),
            momentum=first.momentum,
            eps=first.eps,
        )

    def parameters(self) -> list[Tensor]:
        return [p for p in (self.weight, self.bias) if p is not None]

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        # Contiguous for any number of trials, as a product's (see `product`).
        y = F.batch_norm(
            x.reshape(1, x.shape[0] * x.shape[1], -1).contiguous(),
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
        self.weight = None if self.weight is None else keep_leaf(self.weight, kept)
        self.bias = None if self.bias is None else keep_leaf(self.bias, kept)
        self.running_mean, self.running_var = self.running_mean[kept], self.running_var[kept]


class DropoutEnsemble:
    """K dropout layers, each with its own rate and its own masks.

    Shape: [K, F, B] to [K, F, B]; of images, each place of a channel is a unit.
    """

    def __init__(
        self, rates: Tensor, keys: Tensor, layer: int, first_steps: Tensor | None = None
    ) -> None:
        self.rates = rates  # float64 [K]
        self.keys = keys  # int32 [K]
        self.layer = layer
        self.first_steps = first_steps  # int64 [K], taken before; None where none was

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        if not training:
            return x
        rows = x.shape[-1]
        return x * dropout_mask(
            self.keys,
            self.rates,
            step=step if self.first_steps is None else self.first_steps + step,
            layer=self.layer,
            units=x[0].numel() // rows,
            rows=rows,
            dtype=x.dtype,
        ).view(x.shape)

    def keep(self, kept: Tensor) -> None:
        self.rates, self.keys = self.rates[kept], self.keys[kept]
        self.first_steps = None if self.first_steps is None else self.first_steps[kept]


class Elementwise:
    """An activation function, the same for all K models.

    Shape: [K, ..., B] to [K, ..., B].
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        k, values = x.shape[0], x[0].numel()
        rest = -values % VECTOR_VALUES
        if rest == 0:
            return self.function(x)
        # torch computes the last values of a tensor one by one, with another exp than the rest:
        # each trial gets room of its own, so that none of its values is ever among the last.
        padded = F.pad(x.reshape(k, values), (0, rest))
        return self.function(padded)[:, :values].view_as(x)

    def keep(self, kept: Tensor) -> None:
        pass


class MixedElementwise:
    """Activation functions of K models that differ in them.

    Shape: [K, ..., B] to [K, ..., B].
    """

    def __init__(self, functions: Sequence[nn.Module]) -> None:
        """One function a trial; those that are written alike are one."""
        self.functions = list(functions)
        self._sort()

    def _sort(self) -> None:
        """Find the trials of each function."""
        places: dict[str, list[int]] = {}
        for place, function in enumerate(self.functions):
            places.setdefault(repr(function), []).append(place)
        self._parts = [(Elementwise(self.functions[part[0]]), part) for part in places.values()]
        order = [place for _, part in self._parts for place in part]
        self._back = sorted(range(len(order)), key=order.__getitem__)
        self._indices: dict[torch.device, list[Tensor]] = {}

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        if len(self._parts) == 1:
            return self._parts[0][0].forward(x, training=training, step=step)
        if x.device not in self._indices:
            of_all = [*(part for _, part in self._parts), self._back]
            self._indices[x.device] = [torch.tensor(part, device=x.device) for part in of_all]
        *chosen, back = self._indices[x.device]
        found = [
            function.forward(x.index_select(0, part), training=training, step=step)
            for (function, _), part in zip(self._parts, chosen, strict=True)
        ]
        return torch.cat(found).index_select(0, back)

    def keep(self, kept: Tensor) -> None:
        self.functions = [self.functions[place] for place in kept.tolist()]
        self._sort()


def product(weight: Tensor, x: Tensor) -> Tensor:
    """K matrix products, [K, O, I] by [K, I, B], of which each has the same bits in any batch."""
    (_, n_outputs, n_inputs), rows = weight.shape, x.shape[2]
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
    return y


def stack(tensors: Sequence[Tensor], sizes: tuple[int, ...] | None = None) -> Tensor:
    """K tensors as one leaf of the gradient's graph.

    Args:
        tensors: of one shape, or to be filled up.
        sizes: of the first axes, or of all, to fill up to with zeros; None where all are equal.
    """
    requires_grad = tensors[0].requires_grad
    if sizes is None:
        return torch.stack([t.detach() for t in tensors]).requires_grad_(requires_grad)
    stacked = tensors[0].detach().new_zeros(len(tensors), *sizes)
    for place, tensor in enumerate(tensors):
        part = stacked[place]
        for axis, n in enumerate(tensor.shape):
            part = part.narrow(axis, 0, n)
        part.copy_(tensor.detach())
    return stacked.requires_grad_(requires_grad)


def stack_or_none(
    tensors: Sequence[Tensor | None], sizes: tuple[int, ...] | None = None
) -> Tensor | None:
    """`stack`, of layers that have such a tensor."""
    given = [t for t in tensors if t is not None]
    return stack(given, sizes) if given else None


def keep_leaf(tensor: Tensor, kept: Tensor) -> Tensor:
    """Some of the trials of a leaf, as a leaf."""
    return tensor.detach()[kept].requires_grad_(tensor.requires_grad)
