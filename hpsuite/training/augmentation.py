"""Flips and shifts of training images, on the device, by a stream of their own.

They are of raw pixels, before these are normalised. Validation and test images stay as they are.

Shapes: K trials, B rows of a mini-batch, N images, C channels, H x W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hpsuite.training.resident import Resident
from hpsuite.training.streams import row_draws

_FLIP, _DOWN, _RIGHT = range(3)  # which draw of a row is for what


def training_inputs(
    resident: Resident, rows: Tensor, keys: Tensor, *, epoch: int | Tensor
) -> Tensor:
    """Raw training inputs of each trial's rows, as the data set has them augmented.

    Args:
        resident: the data.
        rows: int64 [K, B].
        keys: int32 [K], each trial's `augmentation_key`.
        epoch: from 0, of all trials or of each, int64 [K]; in each one a row is flipped and
            shifted anew.

    Returns:
        [K, B, ...], in the type of their source.
    """
    flip, shift = resident.data.flip, resident.data.shift
    x = resident.x_train.index_select(0, rows.reshape(-1))
    if flip:
        x = flipped(x, row_draws(keys, rows, epoch=epoch, draw=_FLIP, n=2).flatten() == 1)
    if shift:
        down, right = (
            row_draws(keys, rows, epoch=epoch, draw=draw, n=2 * shift + 1).flatten() - shift
            for draw in (_DOWN, _RIGHT)
        )
        x = shifted(x, down, right, most=shift)
    return x.view(*rows.shape, *x.shape[1:])


def flipped(x: Tensor, chosen: Tensor) -> Tensor:
    """Some of the images [N, C, H, W], chosen by bool [N], with left for right."""
    return torch.where(chosen[:, None, None, None], x.flip(3), x)


def shifted(x: Tensor, down: Tensor, right: Tensor, *, most: int) -> Tensor:
    """Images [N, C, H, W] moved by numbers of pixels, with 0 where nothing was.

    Args:
        x: images.
        down, right: int64 [N], from -most to most; up and left where negative.
        most: the largest of them.
    """
    height, width = x.shape[2:]
    padded = F.pad(x, (most, most, most, most))
    # All crops of the padded images, as a view; of each image the one that is wanted is copied.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)  # [N, C, 2 most + 1, 2 most + 1, H, W]
    images = torch.arange(len(x), device=x.device)
    return crops[images, :, most - down, most - right]
