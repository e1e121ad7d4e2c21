"""Models of unequal width in one program: the narrower ones are filled up with zeros, exactly.

A unit that is filled in has weights 0 on both sides: it gives 0 (an activation with f(0) other than
0 is set to 0 there), and gets a gradient of 0, so that its weights stay 0 under every optimizer
here. What it adds to a sum is 0, and the sums themselves are taken in the same order, so that a
trial has the same bits as by itself. Two things could break that, and each is looked at:

- A matrix product may be summed in another order when it is larger. `exact` tries that with random
  numbers for each pair of shapes: the order does not depend on the numbers.
- Infinity times 0 is not 0. A trial that overflowed, or in which a weight that was filled in is not
  0 any more, is trained again by itself (`together.py`).
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from hpsuite.training.layers import FusedLayer, Product, product

_TRIALS = 2  # in a tried product; by the law their number changes nothing


class Blank:
    """Sets to 0, after a layer, what was filled in.

    Shape: [K, F, ...] to [K, F, ...].
    """

    def __init__(self, layer: FusedLayer, widths: Tensor) -> None:
        """A layer, and each trial's own F, int64 [K]."""
        self.layer, self.widths = layer, widths

    def parameters(self) -> list[Tensor]:
        return self.layer.parameters()

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        y = self.layer.forward(x, training=training, step=step)
        # A product, as it is several times as fast as a choice. Where an overflow makes it NaN,
        # the trial is trained again by itself.
        inside = (~beyond(self.widths, y.shape[1])).to(y.dtype)
        return y * inside.view(*inside.shape, *(1,) * (y.dim() - 2))

    def keep(self, kept: Tensor) -> None:
        self.layer.keep(kept)
        self.widths = self.widths[kept]


class Filled:
    """A layer's parameters that were filled up with zeros.

    Attributes:
        layer: the layer.
        sizes: of each of its parameters, each trial's own sizes of the first axes, int64 [K] each.
    """

    def __init__(self, layer: FusedLayer, sizes: Sequence[Sequence[Tensor]]) -> None:
        assert len(sizes) == len(layer.parameters()), (sizes, layer)
        self.layer, self.sizes = layer, [list(of_each) for of_each in sizes]

    def intact(self) -> Tensor:
        """Whether all that was filled in is still 0, bool [K]."""
        found = []
        for parameter, sizes in zip(self.layer.parameters(), self.sizes, strict=True):
            for axis, own in enumerate(sizes, start=1):
                outside = beyond(own, parameter.shape[axis])
                shape = [1] * parameter.dim()
                shape[0], shape[axis] = outside.shape
                wrong = (parameter.detach() != 0) & outside.view(shape)
                found.append(~wrong.flatten(1).any(1))
        return torch.stack(found).all(0)

    def keep(self, kept: Tensor) -> None:
        self.sizes = [[own[kept] for own in sizes] for sizes in self.sizes]


def beyond(widths: Tensor, most: int) -> Tensor:
    """Whether each of `most` places lies beyond a trial's own width, bool [K, most]."""
    return torch.arange(most, device=widths.device) >= widths[:, None]


def exact(
    own: tuple[int, int],
    filled: tuple[int, int],
    columns: Sequence[int],
    like: Tensor,
    multiply: Product = product,
) -> bool:
    """Whether a layer's products keep their bits when it is filled up with zeros.

    Args:
        own: (O, I) of its weights.
        filled: (O, I) to fill up to.
        columns: numbers of columns that it is multiplied with, in training and in scoring.
        like: a tensor of the type and on the device to train on.
        multiply: how the layer does it.
    """
    return own == filled or all(
        _exact(own, filled, n, like.dtype, like.device, multiply=multiply)
        for n in sorted(set(columns))
    )


@cache
def _exact(
    own: tuple[int, int],
    filled: tuple[int, int],
    n_columns: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    multiply: Product,
) -> bool:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        numbers = torch.randn(_TRIALS, *shape, generator=generator, dtype=torch.float64)
        return numbers.to(device, dtype)

    def grown(x: Tensor, n: int, axis: int) -> Tensor:
        shape = list(x.shape)
        shape[axis] = n - shape[axis]
        return torch.cat([x, x.new_zeros(shape)], axis)

    (n_outputs, n_inputs), (most_outputs, most_inputs) = own, filled
    weight, x, grad = (
        drawn(n_outputs, n_inputs),
        drawn(n_inputs, n_columns),
        drawn(n_outputs, n_columns),
    )
    if multiply is not product:
        weight, x, grad = _cancelling(weight, x, grad, generator)
    more_weight = grown(grown(weight, most_outputs, 1), most_inputs, 2)
    more_x, more_grad = grown(x, most_inputs, 1), grown(grad, most_outputs, 1)

    def products(weight: Tensor, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, x = weight.requires_grad_(), x.requires_grad_()
        y = multiply(weight, x)
        of_weight, of_x = torch.autograd.grad(y, [weight, x], grad)
        return y.detach(), of_weight, of_x

    y, of_weight, of_x = products(weight, x, grad)
    more_y, more_of_weight, more_of_x = products(more_weight, more_x, more_grad)
    return (
        torch.equal(y, more_y[:, :n_outputs])
        and torch.equal(of_weight, more_of_weight[:, :n_outputs, :n_inputs])
        and torch.equal(of_x, more_of_x[:, :n_inputs])
    )


def _cancelling(
    weight: Tensor, x: Tensor, grad: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers whose products sum up to about 0, so that what is left are roundings of the sums.

    A sum that is rounded to bfloat16 would mostly hide in which order it was taken. Here each term
    of a product has one of the same size and another sign somewhere among the others; where their
    number is odd, one is left, and made small.

    Args:
        weight, x, grad: [K, O, I], [K, I, B] and [K, O, B], the gradient that of the product.
        generator: of the order.
    """

    def pairs(n: int) -> tuple[Tensor, Tensor]:
        order = torch.randperm(n, generator=generator)
        first, second = order[: n // 2], order[n // 2 : n // 2 * 2]
        source, sign = torch.arange(n), torch.ones(n)
        source[second], sign[second] = first, -1.0
        sign[order[n // 2 * 2 :]] = 2.0**-12
        return source.to(x.device), sign.to(x.device, x.dtype)

    # Of sizes from 2^-6 to 2^6, so that sums are rounded on their way.
    for numbers in (weight, x, grad):
        exponents = torch.randint(-6, 7, numbers.shape, generator=generator)
        numbers.mul_(torch.exp2(exponents).to(x.device, x.dtype))
    _, n_outputs, n_inputs = weight.shape
    for n, alike, opposite, axes in (
        (n_inputs, weight, x, (2, 1)),
        (x.shape[2], grad, x, (2, 2)),
        (n_outputs, weight, grad, (1, 1)),
    ):
        source, sign = pairs(n)
        shape = [1, 1, 1]
        shape[axes[1]] = n
        alike.copy_(alike.index_select(axes[0], source))
        opposite.copy_(opposite.index_select(axes[1], source) * sign.view(shape))
    return weight, x, grad
