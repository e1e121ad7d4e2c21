"""Layer and group norm of K models in one.

Both take each row by itself: a row's values, in groups of M, are brought beside each other, and
torch normalises them group by group, so that neither rows nor trials can change each other's bits.
"""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.layers import keep_leaf, stack_or_none


class GroupNormEnsemble:
    """K group norms: groups of neighbouring channels with all their places.

    A layer norm over all of a row is one group; one over its last axes is a group for each place
    of the others.

    Shape: [K, C, ..., B] to [K, C, ..., B].
    """

    def __init__(
        self, weight: Tensor | None, bias: Tensor | None, *, size: int, eps: float, leading: bool
    ) -> None:
        """Norms of groups.

        Args:
            weight, bias: gamma and beta [K, C] of each channel, or [K, ...] of each value of a
                group.
            size: values of a group.
            eps: added to the variance.
            leading: whether gamma and beta go by channel.
        """
        self.weight, self.bias = weight, bias
        self.size, self.eps, self.leading = size, eps, leading

    @classmethod
    def from_group_norm(
        cls, layers: Sequence[nn.GroupNorm], shape: tuple[int, ...]
    ) -> "GroupNormEnsemble":
        """Stack K layers of one shape; `shape` is that of a row."""
        first = layers[0]
        size = math.prod(shape) // first.num_groups
        return cls(
            stack_or_none([layer.weight for layer in layers]),
            stack_or_none([layer.bias for layer in layers]),
            size=size,
            eps=first.eps,
            leading=True,
        )

    @classmethod
    def from_layer_norm(cls, layers: Sequence[nn.LayerNorm]) -> "GroupNormEnsemble":
        """Stack K layers of one shape."""
        first = layers[0]
        return cls(
            stack_or_none([layer.weight for layer in layers]),
            stack_or_none([layer.bias for layer in layers]),
            size=math.prod(first.normalized_shape),
            eps=first.eps,
            leading=False,
        )

    def parameters(self) -> list[Tensor]:
        return [p for p in (self.weight, self.bias) if p is not None]

    def forward(self, x: Tensor, *, training: bool, step: int | Tensor) -> Tensor:
        k, rows = x.shape[0], x.shape[-1]
        flat = x.reshape(k, -1, rows)
        groups = flat.transpose(1, 2).reshape(-1, self.size)
        y = F.layer_norm(groups, (self.size,), eps=self.eps)
        y = y.view(k, rows, -1).transpose(1, 2).contiguous().view(x.shape)
        # Two steps, never a fused multiply-add.
        if self.weight is not None:
            y = y * self._spread(self.weight, x)
        if self.bias is not None:
            y = y + self._spread(self.bias, x)
        return y

    def _spread(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Gamma or beta with axes to meet those of x."""
        if self.leading:
            return parameter.view(*parameter.shape, *(1,) * (x.dim() - 2))
        missing = x.dim() - 1 - parameter.dim()
        k, *own = parameter.shape
        return parameter.view(k, *(1,) * missing, *own, 1)

    def keep(self, kept: Tensor) -> None:
        self.weight = None if self.weight is None else keep_leaf(self.weight, kept)
        self.bias = None if self.bias is None else keep_leaf(self.bias, kept)
