"""A model: an ordinary torch.nn.Module, built for the shape of an input and a number of classes."""

import math
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn


class GatedNet(nn.Module):
    """One hidden layer whose units are gated: tanh(a) * sigmoid(b)."""

    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, *, width: Annotated[int, Ge(1)] = 32
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(math.prod(input_shape), 2 * width)
        self.out = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [rows, ...] to one output a class, [rows, classes]."""
        a, b = self.hidden(x.flatten(1)).chunk(2, dim=1)
        return self.out(torch.tanh(a) * torch.sigmoid(b))
