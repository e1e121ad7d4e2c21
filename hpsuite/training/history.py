"""What earlier versions trained otherwise: which results of theirs this one would not repeat.

Version 1 of the results fused chains of perceptrons' layers alone, and trained all else one by one.
What it fused has the same bits today. What is fused only since then has the same results up to
rounding, and is version 2.
"""

import torch
from torch import nn

from hpsuite.training.fusing import pays, read
from hpsuite.training.layers import NotFusable
from hpsuite.training.steps import Shape

_FUSED_BY_VERSION_1 = (
    *(nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.Flatten, nn.Identity, nn.Sequential),
    *(nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU),
)
FUSED_SINCE = 2


def results_version(
    model: nn.Module, input_shape: Shape, device: torch.device, *, before: int
) -> int:
    """The version of the results of a model's trials.

    Args:
        model: as its builder gives it.
        input_shape: the shape of one input.
        device: where it is trained.
        before: the version of what is trained as it always was.
    """
    if all(type(layer) in _FUSED_BY_VERSION_1 for layer in model.modules()):
        return before
    if not pays(model, device):
        return before
    try:
        read(model, input_shape)
    except NotFusable:
        return before
    return max(before, FUSED_SINCE)
