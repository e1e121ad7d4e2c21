"""What a nonlinearity sees over training: the distribution of the input of one hidden unit.

After Ioffe and Szegedy 2015, section 4.1 and figure 1: the 15th, 50th and 85th percentile of the
input of a typical sigmoid of the last hidden layer. Here that is the first unit: as all units of a
layer are drawn alike, it is as typical as any, and chosen before anything is seen. The percentiles
are over the validation rows, in evaluation: with batch norm by its running statistics.

Shapes: K trials, B rows of a part, N rows.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hpsuite.training.reading import ACTIVATIONS
from hpsuite.training.steps import Step

PERCENTILES = (15, 50, 85)
# Percentiles at each evaluation: before the first step, then after each epoch.
Course = tuple[tuple[float, ...], ...]


def watched_step(steps: Sequence[Step]) -> int | None:
    """The place of a fused model's last activation; None for one without."""
    places = [place for place, step in enumerate(steps) if isinstance(step.module, ACTIVATIONS)]
    return places[-1] if places else None


def last_activation(model: nn.Module) -> nn.Module | None:
    """A model's last activation; None for one without."""
    found = [module for module in model.modules() if isinstance(module, ACTIVATIONS)]
    return found[-1] if found else None


def first_unit(x: Tensor, *, rows: int) -> Tensor:
    """The values of a layer's first unit or channel, as a copy.

    Args:
        x: [B, F], [B, C, ...]; or of K trials [K, F, B], [K, C, ..., B].
        rows: the axis of rows, 0 or -1.

    Returns:
        [B], of images with all places of the channel; or [K, B] likewise.
    """
    return (x[:, 0] if rows == 0 else x[:, 0].flatten(1)).detach().clone()


def percentiles(values: Sequence[Tensor]) -> list[tuple[float, ...]]:
    """The percentiles of each trial's values, by linear interpolation, in float64.

    Args:
        values: parts of the rows, [K, B] each.
    """
    table = torch.cat(list(values), 1).to(torch.float64).cpu().numpy()
    return [tuple(row) for row in np.percentile(table, PERCENTILES, axis=1).T.tolist()]


class ProbeCourse:
    """The percentiles of one trial as they come; as far as they are finite."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, ...]] = []
        self._ended = False

    def add(self, found: tuple[float, ...]) -> None:
        """Take in those of an evaluation."""
        self._ended = self._ended or not all(map(math.isfinite, found))
        if not self._ended:
            self._seen.append(found)

    def course(self) -> Course:
        """All of them so far."""
        return tuple(self._seen)
