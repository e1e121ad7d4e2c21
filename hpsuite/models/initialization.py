"""Initial weights, drawn from a generator that is passed."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Initialization = Literal["he", "xavier", "default", "gaussian"]


class _EmptyLinear(nn.Linear):
    """A linear layer whose weights are whatever the memory held."""

    def reset_parameters(self) -> None:
        pass


class _EmptyConv(nn.Conv2d):
    """A convolution whose weights are whatever the memory held."""

    def reset_parameters(self) -> None:
        pass


@dataclass(frozen=True)
class Draws:
    """Makes layers, and draws the weights of each in turn.

    Attributes:
        scheme, sigma, generator: see `initialize_`.
    """

    scheme: Initialization
    sigma: float
    generator: torch.Generator

    def linear(self, n_inputs: int, n_outputs: int) -> nn.Linear:
        """A linear layer with biases."""
        # A tenth of what torch's skip_init takes, which makes the layer on the meta device first.
        layer: nn.Linear = _EmptyLinear(n_inputs, n_outputs)
        layer.__class__ = nn.Linear
        self._initialize_(layer)
        return layer

    def conv(self, n_inputs: int, n_outputs: int, *, stride: int = 1) -> nn.Conv2d:
        """A 3 x 3 convolution with biases that keeps an image's size, or divides it by `stride`."""
        layer: nn.Conv2d = _EmptyConv(n_inputs, n_outputs, kernel_size=3, stride=stride, padding=1)
        layer.__class__ = nn.Conv2d
        self._initialize_(layer)
        return layer

    def _initialize_(self, layer: nn.Linear | nn.Conv2d) -> None:
        initialize_(layer, self.scheme, sigma=self.sigma, generator=self.generator)


def initialize_(
    layer: nn.Linear | nn.Conv2d,
    scheme: Initialization,
    *,
    sigma: float,
    generator: torch.Generator,
) -> None:
    """Draw the weights and biases of a layer in place.

    Args:
        layer: weights [out, in] or [out channels, in channels, height, width]; biases [out].
            A convolution's `in` and `out` below are channels times the places of its kernel.
        scheme: `he` is normal with variance 2 / in (He 2015, section 2.2), `xavier` uniform with
            variance 2 / (in + out) (Glorot and Bengio 2010, equation 16), `gaussian` normal with
            deviation `sigma`; all three with biases 0. `default` is what nn.Linear and nn.Conv2d
            do by themselves: weights and biases uniform within 1 / sqrt(in).
        sigma: the deviation of `gaussian`, > 0.
        generator: on the CPU.
    """
    assert layer.bias is not None
    n_in = layer.weight[0].numel()
    n_out = layer.weight[:, 0].numel()
    with torch.no_grad():
        if scheme == "default":
            bound = 1 / math.sqrt(n_in)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
            return
        if scheme == "he":
            layer.weight.normal_(0.0, math.sqrt(2 / n_in), generator=generator)
        elif scheme == "xavier":
            bound = math.sqrt(6 / (n_in + n_out))
            layer.weight.uniform_(-bound, bound, generator=generator)
        else:
            layer.weight.normal_(0.0, sigma, generator=generator)
        layer.bias.zero_()
