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

from hpsuite.training.layers import FusedLayer, product

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

    def forward(self, x: Tensor, *, training: bool, step: int) -> Tensor:
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
    own: tuple[int, int], filled: tuple[int, int], columns: Sequence[int], like: Tensor
) -> bool:
    """Whether a layer's products keep their bits when it is filled up with zeros.

    Args:
        own: (O, I) of its weights.
        filled: (O, I) to fill up to.
        columns: numbers of columns that it is multiplied with, in training and in scoring.
        like: a tensor of the type and on the device to train on.
    """
    return own == filled or all(
        _exact(own, filled, n, like.dtype, like.device) for n in sorted(set(columns))
    )


@cache
def _exact(
    own: tuple[int, int],
    filled: tuple[int, int],
    n_columns: int,
    dtype: torch.dtype,
    device: torch.device,
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
    more_weight = grown(grown(weight, most_outputs, 1), most_inputs, 2)
    more_x, more_grad = grown(x, most_inputs, 1), grown(grad, most_outputs, 1)

    def products(weight: Tensor, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, x = weight.requires_grad_(), x.requires_grad_()
        y = product(weight, x)
        of_weight, of_x = torch.autograd.grad(y, [weight, x], grad)
        return y.detach(), of_weight, of_x

    y, of_weight, of_x = products(weight, x, grad)
    more_y, more_of_weight, more_of_x = products(more_weight, more_x, more_grad)
    return (
        torch.equal(y, more_y[:, :n_outputs])
        and torch.equal(of_weight, more_of_weight[:, :n_outputs, :n_inputs])
        and torch.equal(of_x, more_of_x[:, :n_inputs])
    )
