"""What of a model the planner goes by, without its weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hpsuite.training.reading import Reading


@dataclass(frozen=True)
class Structure:
    """What of a model decides whom it can be fused with, and what it costs.

    Attributes:
        signature: equal for models of the same kinds and shapes of layers; None where one cannot
            be fused.
        family: equal for models that can be one program; None where one cannot be fused.
        sizes: of its layers with weights (see `reading.Reading`).
        n_parameters: trainable numbers.
        n_activations: numbers that one row of input leaves in its layers.
        n_products: multiply-adds of one row of input.
    """

    signature: tuple[object, ...] | None
    family: tuple[object, ...] | None
    sizes: tuple[tuple[int, int, int], ...]
    n_parameters: int
    n_activations: int
    n_products: int


def n_activations(model: nn.Module, reading: Reading | None) -> int:
    """Numbers that one row of input leaves in a model's layers."""
    if reading is None or not reading.convolves:
        return sum(_width(layer) for layer in model.modules())
    # Of a convolution, also what lies under its kernel at each place.
    return sum(o * places + i * places * (places > 1) for o, i, places in reading.sizes) + sum(
        math.prod(step.shape) for step in reading.steps
    )


def _width(layer: nn.Module) -> int:
    """Numbers that a layer gives out for one row of input, where its attributes tell."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    if isinstance(layer, nn.BatchNorm1d):
        return layer.num_features
    return 0


def count_products(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-adds of one row: one for each parameter, a kernel's at each place of its outputs."""
    n = sum(p.numel() for p in model.parameters())
    kernels = [layer for layer in model.modules() if isinstance(layer, _ConvNd)]
    if not kernels:
        return n

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal n
        assert isinstance(layer, _ConvNd)
        n += layer.weight.numel() * (output[0, 0].numel() - 1)

    for kernel in kernels:
        kernel.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *input_shape))
    return n
