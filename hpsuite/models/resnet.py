"""Small residual networks for CIFAR-sized images, with and without normalisation."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from hpsuite.models.activation import ACTIVATIONS, Activation
from hpsuite.models.initialization import Draws, Initialization
from hpsuite.models.normalization import Groups, Norm, Normalization, Normalizer
from hpsuite.models.widths import Channels, image_shape

STAGES = 3


class Residual(nn.Module):
    """A branch beside a shortcut: branch(x) + shortcut(x)."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both."""
        branch: Tensor = self.branch(x)
        shortcut: Tensor = self.shortcut(x)
        return branch + shortcut


class Scale(nn.Module):
    """A fixed factor, the same for all inputs."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The inputs, scaled."""
        return x * self.factor

    def extra_repr(self) -> str:
        return str(self.factor)


def resnet(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    generator: torch.Generator,
    blocks: Annotated[int, Ge(1), Le(100)] = 1,
    channels: Channels = 16,
    activation: Activation = "relu",
    normalization: Normalization = "none",
    normalizer: Normalizer = "batch",
    groups: Groups = 8,
    affine: bool = True,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    initialization: Initialization = "he",
    sigma: Annotated[float, Gt(0)] = 0.01,
) -> nn.Sequential:
    """A residual network for classification of small images.

    The form for CIFAR (He, Zhang, Ren and Sun 2015, section 4.2): a convolution, three stages of
    `blocks` residual blocks, the mean over all places, and Linear, in all 6 blocks + 2 layers with
    weights. The second and third stage begin by halving the image and doubling the channels. A
    block adds Conv2d, [norm,] activation [, norm] [, Dropout], Conv2d [, norm] to its input, and is
    followed by an activation. Its shortcut has no parameters: where the shape changes, it takes
    every second place and adds channels of zeros (the paper's option A).

    A branch that does not end in a norm is scaled by 1 / sqrt(number of blocks), which keeps the
    activations and gradients of deep networks in bounds (Zhang, Yu, Yi, Chen and Liu 2019). The
    factor is fixed: one that is learned from the same start (SkipInit: De and Smith 2020) trained
    as well, and diverged at lower learning rates. Nor is a norm put after a block's own activation,
    which would stand in the way of all shortcuts: gradients would grow with every block.

    Twins with and without a norm draw the same initial weights. A convolution right before batch
    norm has no bias, which would be cancelled.

    Args:
        input_shape: [channels, height, width] of one input.
        n_classes: number of outputs.
        generator: draws the initial weights; on the CPU.
        blocks: residual blocks in each of the three stages; 3 makes the paper's ResNet-20.
        channels: of the first stage.
        activation: of the convolutions.
        normalization: `before` the activation (of z, and of each branch's outputs), `after` it
            (of a, but for a block's own), or `none`.
        normalizer: which norm that is: `batch`, `layer` (over channels and places) or `group`.
        groups: number of groups of channels, for `group`; it divides the channels.
        affine: whether the norm learns gamma and beta of each channel.
        dropout: share of the activations between a block's two convolutions that is dropped in
            training, in [0, 1) (Zagoruyko and Komodakis 2016, section 2.4).
        initialization: `he`, `xavier`, torch's `default`, or `gaussian` of deviation `sigma`.
        sigma: see above, > 0.

    Raises:
        ValueError: inputs that are no images, or channels that a norm cannot take.
    """
    n_inputs, height, width = image_shape(input_shape)
    norm = Norm(normalization, normalizer, groups, affine)
    draws = Draws(initialization, sigma, generator)
    act = ACTIVATIONS[activation]
    modules = norm.hidden(draws.conv(n_inputs, channels), act(), places=height * width)
    n_inputs = channels
    for stage in range(STAGES):
        n_outputs = channels << stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            height, width = -(-height // stride), -(-width // stride)
            places = height * width
            first = draws.conv(n_inputs, n_outputs, stride=stride)
            branch = norm.hidden(first, act(), places=places)
            if dropout > 0:
                branch.append(nn.Dropout(dropout))
            last = draws.conv(n_outputs, n_outputs)
            branch += norm.normalized(last, places=places)
            if normalization != "before":
                branch.append(Scale(1 / math.sqrt(STAGES * blocks)))
            shortcut = _shortcut(n_inputs, n_outputs, stride)
            modules += [Residual(nn.Sequential(*branch), shortcut), act()]
            n_inputs = n_outputs
    modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), draws.linear(n_inputs, n_classes)]
    return nn.Sequential(*modules)


def _shortcut(n_inputs: int, n_outputs: int, stride: int) -> nn.Module:
    """What brings a block's input to the shape of its output, without parameters."""
    if stride == 1 and n_inputs == n_outputs:
        return nn.Identity()
    every_second = nn.AvgPool2d(kernel_size=1, stride=stride)
    zeros = nn.ZeroPad3d((0, 0, 0, 0, 0, n_outputs - n_inputs))
    return nn.Sequential(every_second, zeros)
