"""Each trial's loss, with label smoothing where it has any.

Shapes: K trials, B rows of a mini-batch, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Places = Tensor | slice


class FusedLoss:
    """The losses of K trials, of which some smooth their labels."""

    def __init__(self, smoothing: Tensor) -> None:
        """Of shares in [0, 1), float64 [K]."""
        self._smoothing = smoothing
        self._parts = _parts(smoothing)

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Each trial's mean loss [K], of outputs [K, C, B] and classes [K, B]."""
        if len(self._parts) == 1:
            ((_, shares),) = self._parts
            return cross_entropy(outputs, y, shares)
        losses = [cross_entropy(outputs[places], y[places], s) for places, s in self._parts]
        order = torch.cat([places for places, _ in self._parts if isinstance(places, Tensor)])
        return torch.cat(losses)[order.argsort()]

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""
        self._smoothing = self._smoothing[kept]
        self._parts = _parts(self._smoothing)


def _parts(smoothing: Tensor) -> list[tuple[Places, Tensor | None]]:
    """Trials whose labels are not smoothed, and those whose are: places and shares of each part.

    Args:
        smoothing: shares in [0, 1), float64 [K].
    """
    is_smoothed = smoothing > 0
    if bool(is_smoothed.all()):
        return [(slice(None), smoothing)]
    if not bool(is_smoothed.any()):
        return [(slice(None), None)]
    without, those = (~is_smoothed).nonzero().flatten(), is_smoothed.nonzero().flatten()
    return [(without, None), (those, smoothing[those])]


def cross_entropy(outputs: Tensor, y: Tensor, smoothing: Tensor | None) -> Tensor:
    """Each trial's mean loss [K], in nats, as torch's cross_entropy with its `label_smoothing`.

    With a share e of label smoothing, the loss of a row is (1 - e) times that of its own class
    plus e times the mean of those of all C classes (Szegedy et al. 2016, section 7).

    Args:
        outputs: [K, C, B].
        y: classes [K, B].
        smoothing: shares e in (0, 1), float64 [K]; None for no smoothing.
    """
    if smoothing is None:
        return F.cross_entropy(outputs, y, reduction="none").mean(1)
    n_classes, dtype = outputs.shape[1], outputs.dtype
    logs_KCB = F.log_softmax(outputs, 1)
    own_KB = F.nll_loss(logs_KCB, y, reduction="none")
    kept = (1 - smoothing).to(dtype)[:, None]
    spread = (smoothing / n_classes).to(dtype)[:, None]
    return (kept * own_KB - spread * logs_KCB.sum(1)).mean(1)
