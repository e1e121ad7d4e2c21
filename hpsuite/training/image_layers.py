"""Convolutions and pooling of K models in one.

Shapes: K trials, B rows, C and O channels in and out, H x W places, N places of a kernel. Rows are
the last axis, as everywhere: [K, C, H, W, B]. So the windows under a kernel are slices whose rows
lie beside each other, a convolution is one batched matrix product with no other layout, and batch
norm, Flatten and all that goes by element works as it does for features. A sequence [K, C, H, B]
is an image of width 1.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.layers import (
    NotFusable,
    Product,
    keep_leaf,
    product,
    stack,
    stack_or_none,
)
from hpsuite.training.mixed_precision import mixed_product

Pair = tuple[int, int]


class Windows(torch.autograd.Function):
    """What lies under each place of a kernel: [K, C, H, W, B] to [K, C, N, H', W', B].

    Gradients are added up in the order of the kernel's places, so that they are the same bits each
    time on any device.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Pair, stride: Pair, dilation: Pair) -> Tensor:
        ctx.shape, ctx.geometry = x.shape, (kernel, stride, dilation)
        return torch.stack(_slices(x, kernel, stride, dilation), dim=2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        into = grad.new_zeros(ctx.shape)
        for place, part in enumerate(_slices(into, *ctx.geometry)):
            part.add_(grad[:, :, place])
        return into, None, None, None


class Largest(torch.autograd.Function):
    """The largest value under a kernel; the first of equal ones takes the gradient, as in torch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Pair, stride: Pair, dilation: Pair) -> Tensor:
        first, *others = _slices(x, kernel, stride, dilation)
        best = first.clone()
        chosen = torch.zeros(best.shape, dtype=torch.int32, device=x.device)
        for place, part in enumerate(others, start=1):
            better = (part > best) | torch.isnan(part)
            best = torch.where(better, part, best)
            chosen.masked_fill_(better, place)
        ctx.save_for_backward(chosen)
        ctx.shape, ctx.geometry = x.shape, (kernel, stride, dilation)
        return best

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (chosen,) = ctx.saved_tensors
        into = grad.new_zeros(ctx.shape)
        for place, part in enumerate(_slices(into, *ctx.geometry)):
            part.add_(grad.masked_fill(chosen != place, 0))
        return into, None, None, None


def _slices(x: Tensor, kernel: Pair, stride: Pair, dilation: Pair) -> list[Tensor]:
    """Views [K, C, H', W', B] of x [K, C, H, W, B], one for each place of a kernel in order."""
    sizes = [
        (x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)
    ]

    def along(i: int, place: int) -> slice:
        start = place * dilation[i]
        return slice(start, start + (sizes[i] - 1) * stride[i] + 1, stride[i])

    return [
        x[:, :, along(0, row), along(1, column)]
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]


class ConvEnsemble:
    """K convolutions of images or sequences.

    Shape: [K, C, H, W, B] to [K, O, H', W', B], or without W.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        stride: Pair,
        padding: tuple[Pair, Pair],
        dilation: Pair,
        groups: int,
        multiply: Product,
        grouped: bool = False,
    ) -> None:
        self.weight = weight  # [K, O, C / groups, kernel's height, kernel's width]
        self.bias = bias  # [K, O]
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.multiply, self.grouped = groups, multiply, grouped

    @classmethod
    def from_conv(
        cls,
        layers: Sequence[nn.Conv1d | nn.Conv2d],
        channels: tuple[int, int] | None = None,
        *,
        multiply: Product | None = None,
        grouped: bool = False,
    ) -> "ConvEnsemble":
        """Stack K layers.

        Args:
            layers: of one kernel, stride, padding, dilation and groups.
            channels: (O, C) to fill up to with zeros, where the layers differ in them.
            multiply: `product`, or what is used in its place.
            grouped: whether to convolve as one convolution of K groups, in place of products.

        Raises:
            NotFusable: padding with anything but zeros.
        """
        first = layers[0]
        if first.padding_mode != "zeros":
            raise NotFusable(f"{type(first).__name__} with padding_mode={first.padding_mode!r}")
        sizes = None if channels is None else (*channels, *first.kernel_size)
        weight = stack([layer.weight for layer in layers], sizes)
        if weight.dim() == 4:
            weight = weight.detach().unsqueeze(-1).requires_grad_(weight.requires_grad)
        biases = [layer.bias for layer in layers]
        return cls(
            weight,
            stack_or_none(biases, None if channels is None else channels[:1]),
            stride=_pair(first, first.stride, 1),
            padding=_margins(first),
            dilation=_pair(first, first.dilation, 1),
            groups=first.groups,
            multiply=multiply or product,
            grouped=grouped,
        )

    def parameters(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        is_sequence = x.dim() == 4
        if is_sequence:
            x = x.unsqueeze(3)
        (top, bottom), (left, right) = self.padding
        if any((top, bottom, left, right)):
            x = F.pad(x, (0, 0, left, right, top, bottom))
        convolve = self._by_groups if self.grouped else self._by_columns
        y = convolve(x)
        if self.bias is not None:
            y = y.add_(self.bias[:, :, None, None, None])
        return y.squeeze(3) if is_sequence else y

    def _by_columns(self, x: Tensor) -> Tensor:
        """Products of the kernels with what lies under them (im2col)."""
        k, n_outputs, n_inputs, height, width = self.weight.shape
        windows = Windows.apply(x, (height, width), self.stride, self.dilation)
        places = windows.shape[3:]
        columns = windows.reshape(k * self.groups, n_inputs * height * width, -1)
        weight = self.weight.view(k * self.groups, n_outputs // self.groups, -1)
        return self.multiply(weight, columns).view(k, n_outputs, *places)

    def _by_groups(self, x: Tensor) -> Tensor:
        """One convolution, in which each trial's channels are groups of their own."""
        k, n_outputs = self.weight.shape[:2]
        images = x.permute(4, 0, 1, 2, 3).flatten(1, 2)
        weight = self.weight.flatten(0, 1)
        if self.multiply is mixed_product:
            images, weight = images.to(torch.bfloat16), weight.to(torch.bfloat16)
        y = F.conv2d(
            images, weight, None, self.stride, 0, self.dilation, groups=k * self.groups
        ).to(x.dtype)
        found: Tensor = y.unflatten(1, (k, n_outputs)).permute(1, 2, 3, 4, 0).contiguous()
        return found

    def keep(self, kept: Tensor) -> None:
        self.weight = keep_leaf(self.weight, kept)
        self.bias = None if self.bias is None else keep_leaf(self.bias, kept)


class PoolEnsemble:
    """The largest value under a kernel, or the mean of all; the same for all K models.

    Shape: [K, C, H, W, B] to [K, C, H', W', B], or without W.
    """

    def __init__(
        self, *, largest: bool, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> None:
        self.largest = largest
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation

    @classmethod
    def from_pool(cls, layer: nn.Module, shape: tuple[int, ...]) -> "PoolEnsemble":
        """As a pooling layer does it.

        Args:
            layer: nn.MaxPool, nn.AvgPool or nn.AdaptiveAvgPool of one or two dimensions.
            shape: of a row of its input.

        Raises:
            NotFusable: options that only the plain trainer knows.
        """
        name = type(layer).__name__
        if isinstance(layer, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
            sizes = (*shape[1:], 1)[:2]
            wanted = _wanted(layer.output_size, sizes)
            if any(size % n for size, n in zip(sizes, wanted, strict=True)):
                raise NotFusable(f"{name} of parts of unequal size")
            parts = (sizes[0] // wanted[0], sizes[1] // wanted[1])
            return cls(largest=False, kernel=parts, stride=parts, padding=(0, 0), dilation=(1, 1))
        assert isinstance(layer, nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d)
        if getattr(layer, "ceil_mode", False) or getattr(layer, "return_indices", False):
            raise NotFusable(f"{name} with ceil_mode or return_indices")
        largest = isinstance(layer, nn.MaxPool1d | nn.MaxPool2d)
        padding = _pair(layer, layer.padding, 0)
        if not largest and any(padding) and not getattr(layer, "count_include_pad", True):
            raise NotFusable(f"{name} with count_include_pad=False")
        if getattr(layer, "divisor_override", None) is not None:
            raise NotFusable(f"{name} with divisor_override")
        return cls(
            largest=largest,
            kernel=_pair(layer, layer.kernel_size, 1),
            stride=_pair(layer, layer.stride, 1),
            padding=padding,
            dilation=_pair(layer, getattr(layer, "dilation", 1), 1),
        )

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        is_sequence = x.dim() == 4
        if is_sequence:
            x = x.unsqueeze(3)
        if any(self.padding):
            high, wide = self.padding
            fill = float("-inf") if self.largest else 0.0
            x = F.pad(x, (0, 0, wide, wide, high, high), value=fill)
        if self.largest:
            y: Tensor = Largest.apply(x, self.kernel, self.stride, self.dilation)
        else:
            y = mean_of(Windows.apply(x, self.kernel, self.stride, self.dilation), 2)
        return y.squeeze(3) if is_sequence else y

    def keep(self, kept: Tensor) -> None:
        pass


class PadEnsemble:
    """Zeros around an image, or channels of zeros; the same for all K models.

    Shape: [K, C, H, W, B] to [K, C', H', W', B].
    """

    def __init__(self, margins: tuple[int, ...]) -> None:
        self.margins = margins  # as F.pad takes them, of a row

    def parameters(self) -> list[Tensor]:
        return []

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        return F.pad(x, (0, 0, *self.margins))

    def keep(self, kept: Tensor) -> None:
        pass


def mean_of(x: Tensor, axis: int) -> Tensor:
    """The mean along an axis, of which each value is summed by itself."""
    # Along the last axis each sum is one vector's: elsewhere, columns are summed together.
    return x.movedim(axis, -1).contiguous().mean(-1)


def _pair(layer: nn.Module, value: object, otherwise: int) -> Pair:
    """Numbers for height and width; for a sequence, `otherwise` for the width that it lacks."""
    is_sequence = type(layer).__name__.endswith("1d")
    numbers = value if isinstance(value, tuple | list) else (value, value)
    high, wide = numbers[0], otherwise if is_sequence else numbers[1]
    assert isinstance(high, int)
    assert isinstance(wide, int)
    return high, wide


def _margins(layer: nn.Conv1d | nn.Conv2d) -> tuple[Pair, Pair]:
    """Zeros before and after, of height and of width."""
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    if layer.padding == "same":
        totals = [d * (n - 1) for d, n in zip(layer.dilation, layer.kernel_size, strict=True)]
        (high, *wide) = [(total // 2, total - total // 2) for total in totals]
        return high, wide[0] if wide else (0, 0)
    high_, wide_ = _pair(layer, layer.padding, 0)
    return (high_, high_), (wide_, wide_)


def _wanted(size: object, sizes: tuple[int, ...]) -> Pair:
    numbers = size if isinstance(size, tuple) else (size, size)
    wanted = [n if isinstance(n, int) else own for n, own in zip(numbers, sizes, strict=False)]
    return wanted[0], wanted[1] if len(wanted) > 1 else 1
