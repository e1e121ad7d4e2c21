"""Initial weights, drawn from a generator that is passed."""

import math
from typing import Literal

import torch
from torch import nn

Initialization = Literal["he", "xavier", "default", "gaussian"]


def initialize_(
    layer: nn.Linear, scheme: Initialization, *, sigma: float, generator: torch.Generator
) -> None:
    """Draw the weights and biases of a layer in place.

    Args:
        layer: weights [out, in], biases [out].
        scheme: `he` is normal with variance 2 / in (He 2015, section 2.2), `xavier` uniform with
            variance 2 / (in + out) (Glorot and Bengio 2010, equation 16), `gaussian` normal with
            deviation `sigma`; all three with biases 0. `default` is what nn.Linear does by
            itself: weights and biases uniform within 1 / sqrt(in).
        sigma: the deviation of `gaussian`, > 0.
        generator: on the CPU.
    """
    with torch.no_grad():
        if scheme == "default":
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
            return
        if scheme == "he":
            layer.weight.normal_(0.0, math.sqrt(2 / layer.in_features), generator=generator)
        elif scheme == "xavier":
            bound = math.sqrt(6 / (layer.in_features + layer.out_features))
            layer.weight.uniform_(-bound, bound, generator=generator)
        else:
            layer.weight.normal_(0.0, sigma, generator=generator)
        layer.bias.zero_()
