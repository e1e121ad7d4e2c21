"""A data set resident on the device, in the type of its source.

Shapes: N rows, B rows of a mini-batch, ... the shape of one input.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpsuite.datasets import Data


@dataclass(frozen=True)
class Resident:
    """The splits of a data set as tensors on one device.

    Attributes:
        data: where it came from.
        x_train, x_val, x_test: inputs [N, ...], uint8 where the source is.
        y_train, y_val, y_test: classes [N], int64.
        multiplier, offset: float64, broadcast over one input.
    """

    data: Data
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    x_test: Tensor
    y_test: Tensor
    multiplier: Tensor
    offset: Tensor

    @classmethod
    def place(cls, data: Data, device: torch.device) -> "Resident":
        """Put a data set on a device."""

        def put(array: NDArray[np.generic]) -> Tensor:
            return torch.tensor(array, device=device)

        return cls(
            data,
            put(data.x_train),
            put(data.y_train),
            put(data.x_val),
            put(data.y_val),
            put(data.x_test),
            put(data.y_test),
            put(data.multiplier),
            put(data.offset),
        )

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.x_train.device

    def inputs(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Raw rows [B, ...] as they enter a network: x * multiplier + offset.

        Two roundings, never a fused multiply-add, which torch uses or not by a row's place.
        """
        return x.to(dtype) * self.multiplier.to(dtype) + self.offset.to(dtype)
