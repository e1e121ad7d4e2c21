"""Convolutions on a CPU: in which layout they run fastest, and in how large batches.

oneDNN's convolutions are faster where an image's channels lie beside each other than where its
places do: torch's `channels_last`, which changes strides and no shape. On a GPU in float32 they
stay as they are.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.loop import EVALUATION_ROWS

# Rows of images scored at once on a CPU: with 1024, activations fall out of its caches (two to
# three times slower for 28 x 28 and 32 x 32 images). A constant, as EVALUATION_ROWS is.
CPU_IMAGE_ROWS = 128


def convolves(model: nn.Module) -> bool:
    """Whether a model has convolutions of images."""
    return any(isinstance(layer, nn.Conv2d) for layer in model.modules())


def evaluation_rows(model: nn.Module, device: torch.device) -> int:
    """How many rows the plain trainer scores at once."""
    return CPU_IMAGE_ROWS if device.type == "cpu" and convolves(model) else EVALUATION_ROWS


def wants_channels_last(model: nn.Module, x: Tensor, n_classes: int) -> bool:
    """Whether a model is to be trained in channels_last.

    A user's model may ask for the usual strides, by `x.view(len(x), -1)` say: a step is tried on
    a copy. The answer is a function of the model and the data alone.

    Args:
        model: on the device to train on.
        x: two inputs [2, ...] as they enter it.
        n_classes: number of classes.
    """
    if x.device.type != "cpu" or x.dim() != 4 or not convolves(model):
        return False
    with torch.random.fork_rng(devices=[]):
        try:
            tried = copy.deepcopy(model).to(memory_format=torch.channels_last).train()
            outputs = tried(x.contiguous(memory_format=torch.channels_last))
            F.cross_entropy(outputs, torch.arange(2) % n_classes).backward()
        except (RuntimeError, TypeError, ValueError, copy.Error):
            return False
    return True
