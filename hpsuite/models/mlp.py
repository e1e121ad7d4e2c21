"""Multilayer perceptrons, with and without normalisation."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from hpsuite.models.activation import ACTIVATIONS, Activation
from hpsuite.models.initialization import Draws, Initialization
from hpsuite.models.normalization import Groups, Norm, Normalization, Normalizer
from hpsuite.models.widths import Units, per_layer


def mlp(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    generator: torch.Generator,
    layers: Annotated[int, Ge(0), Le(100)] | None = None,
    units: Units | tuple[Units, ...] = 128,
    activation: Activation = "relu",
    normalization: Normalization = "none",
    normalizer: Normalizer = "batch",
    groups: Groups = 8,
    affine: bool = True,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    initialization: Initialization = "he",
    sigma: Annotated[float, Gt(0)] = 0.01,
) -> nn.Sequential:
    """A multilayer perceptron for classification.

    Each hidden layer is Linear, [norm,] activation [, norm] [, Dropout]. A linear layer right
    before batch norm has no bias, which would be cancelled. Twins with and without a norm draw the
    same initial weights.

    Args:
        input_shape: shape of one input; it is flattened.
        n_classes: number of outputs.
        generator: draws the initial weights; on the CPU.
        layers: number of hidden layers; None takes it from `units`.
        units: hidden units, one number for all layers or one per layer.
        activation: of the hidden layers.
        normalization: `before` the activation (of z), `after` it (of a), or `none`.
        normalizer: which norm that is: `batch`, `layer` or `group`.
        groups: number of groups of units, for `group`; it divides the units of every layer.
        affine: whether the norm learns gamma and beta.
        dropout: share of hidden activations dropped in training, in [0, 1).
        initialization: `he`, `xavier`, torch's `default`, or `gaussian` of deviation `sigma`.
        sigma: see above, > 0.

    Raises:
        ValueError: `layers` and the number of `units` differ, or units that a norm cannot take.
    """
    widths = per_layer("units", units, layers, otherwise=2)
    norm = Norm(normalization, normalizer, groups, affine)
    draws = Draws(initialization, sigma, generator)
    modules: list[nn.Module] = [nn.Flatten()]
    n_inputs = math.prod(input_shape)
    for n_outputs in widths:
        linear = draws.linear(n_inputs, n_outputs)
        modules += norm.hidden(linear, ACTIVATIONS[activation]())
        if dropout > 0:
            modules.append(nn.Dropout(dropout))
        n_inputs = n_outputs
    modules.append(draws.linear(n_inputs, n_classes))
    return nn.Sequential(*modules)
