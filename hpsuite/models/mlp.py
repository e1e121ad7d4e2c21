"""Multilayer perceptrons, with and without batch normalisation."""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from torch.nn.utils import skip_init

from hpsuite.models.initialization import Initialization, initialize_

Activation = Literal["relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu"]
Normalization = Literal["none", "before", "after"]
Units = Annotated[int, Ge(1), Le(1 << 20)]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def mlp(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    generator: torch.Generator,
    layers: Annotated[int, Ge(0), Le(100)] | None = None,
    units: Units | tuple[Units, ...] = 128,
    activation: Activation = "relu",
    normalization: Normalization = "none",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    initialization: Initialization = "he",
    sigma: Annotated[float, Gt(0)] = 0.01,
) -> nn.Sequential:
    """A multilayer perceptron for classification.

    Each hidden layer is Linear, [BatchNorm1d,] activation [, BatchNorm1d] [, Dropout]. A linear
    layer right before batch norm has no bias: the mean that is subtracted cancels it (Ioffe and
    Szegedy 2015, section 3.2). Twins with and without batch norm draw the same initial weights.

    Args:
        input_shape: shape of one input; it is flattened.
        n_classes: number of outputs.
        generator: draws the initial weights; on the CPU.
        layers: number of hidden layers; None takes it from `units`.
        units: hidden units, one number for all layers or one per layer.
        activation: of the hidden layers.
        normalization: batch norm `before` the activation (of z), `after` it (of a), or `none`.
        dropout: share of hidden activations dropped in training, in [0, 1).
        initialization: `he`, `xavier`, torch's `default`, or `gaussian` of deviation `sigma`.
        sigma: see above, > 0.

    Raises:
        ValueError: `layers` and the number of `units` differ.
    """
    if isinstance(units, int):
        widths = (units,) * (2 if layers is None else layers)
    else:
        widths = tuple(units)
    if layers is not None and len(widths) != layers:
        raise ValueError(
            f"units: found {list(widths)} for layers={layers}; "
            f"accepted: one number, or one for each of the {layers} layers"
        )
    modules: list[nn.Module] = [nn.Flatten()]
    n_inputs = math.prod(input_shape)
    for n_outputs in widths:
        linear = _linear(n_inputs, n_outputs, initialization, sigma, generator)
        modules.append(linear)
        if normalization == "before":
            # Left in, its gradient is rounding noise, which Adam blows up to steps of full size.
            linear.register_parameter("bias", None)  # after the draws, which are a twin's too
            modules.append(nn.BatchNorm1d(n_outputs))
        modules.append(_ACTIVATIONS[activation]())
        if normalization == "after":
            modules.append(nn.BatchNorm1d(n_outputs))
        if dropout > 0:
            modules.append(nn.Dropout(dropout))
        n_inputs = n_outputs
    modules.append(_linear(n_inputs, n_classes, initialization, sigma, generator))
    return nn.Sequential(*modules)


def _linear(
    n_inputs: int,
    n_outputs: int,
    initialization: Initialization,
    sigma: float,
    generator: torch.Generator,
) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, n_inputs, n_outputs)
    initialize_(layer, initialization, sigma=sigma, generator=generator)
    return layer
