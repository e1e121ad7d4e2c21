"""Small convolutional networks, with and without normalisation."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from hpsuite.models.activation import ACTIVATIONS, Activation
from hpsuite.models.initialization import Draws, Initialization
from hpsuite.models.normalization import Groups, Norm, Normalization, Normalizer
from hpsuite.models.widths import Channels, image_shape, per_layer


def convnet(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    generator: torch.Generator,
    layers: Annotated[int, Ge(1), Le(100)] | None = None,
    channels: Channels | tuple[Channels, ...] = 32,
    pool_every: Annotated[int, Ge(1)] = 1,
    global_pooling: bool = False,
    activation: Activation = "relu",
    normalization: Normalization = "none",
    normalizer: Normalizer = "batch",
    groups: Groups = 8,
    affine: bool = True,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    initialization: Initialization = "he",
    sigma: Annotated[float, Gt(0)] = 0.01,
) -> nn.Sequential:
    """A convolutional network for classification of images.

    Each layer is Conv2d (3 x 3, padded), [norm,] activation [, norm] [, MaxPool2d (2 x 2)]
    [, Dropout]; then come [the mean over all places,] Flatten and Linear. A convolution right
    before batch norm has no bias, which would be cancelled. Twins with and without a norm draw the
    same initial weights.

    Args:
        input_shape: [channels, height, width] of one input.
        n_classes: number of outputs.
        generator: draws the initial weights; on the CPU.
        layers: number of convolutions; None takes it from `channels`.
        channels: of the convolutions, one number for all or one per layer.
        pool_every: an image's height and width are halved after every so many layers.
        global_pooling: whether the last layer sees each channel's mean, or all of its places;
            with all of them it learns in fewer steps.
        activation: of the convolutions.
        normalization: `before` the activation (of z), `after` it (of a), or `none`.
        normalizer: which norm that is: `batch`, `layer` (over channels and places) or `group`.
        groups: number of groups of channels, for `group`; it divides the channels of every layer.
        affine: whether the norm learns gamma and beta of each channel.
        dropout: share of hidden activations dropped in training, in [0, 1).
        initialization: `he`, `xavier`, torch's `default`, or `gaussian` of deviation `sigma`.
        sigma: see above, > 0.

    Raises:
        ValueError: inputs that are no images, or images that are too small for so many halvings;
            `layers` and the number of `channels` differ; channels that a norm cannot take.
    """
    n_inputs, height, width = image_shape(input_shape)
    widths = per_layer("channels", channels, layers, otherwise=3)
    _check_pooling(height, width, len(widths), pool_every)
    norm = Norm(normalization, normalizer, groups, affine)
    draws = Draws(initialization, sigma, generator)
    modules: list[nn.Module] = []
    for i, n_outputs in enumerate(widths, start=1):
        conv = draws.conv(n_inputs, n_outputs)
        modules += norm.hidden(conv, ACTIVATIONS[activation](), places=height * width)
        if i % pool_every == 0:
            modules.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        if dropout > 0:
            modules.append(nn.Dropout(dropout))
        n_inputs = n_outputs
    if global_pooling:
        modules.append(nn.AdaptiveAvgPool2d(1))
        height = width = 1
    modules += [nn.Flatten(), draws.linear(n_inputs * height * width, n_classes)]
    return nn.Sequential(*modules)


def _check_pooling(height: int, width: int, layers: int, pool_every: int) -> None:
    """Refuse images that are gone before the last layer.

    Raises:
        ValueError: naming what would be accepted.
    """
    n_pools = layers // pool_every
    most = min(height, width).bit_length() - 1  # halvings, rounded down, that leave a place
    if n_pools > most:
        raise ValueError(
            f"layers, pool_every: found {layers} and {pool_every}, which halve images of "
            f"{height} x {width} {n_pools} times; accepted: at most {most} times"
        )
