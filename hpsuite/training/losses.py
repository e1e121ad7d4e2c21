"""Each trial's loss, with label smoothing where it has any.

Shapes: K trials, B rows of a mini-batch, C classes.
"""

import torch.nn.functional as F
from torch import Tensor

Places = Tensor | slice


def smoothing_parts(smoothing: Tensor) -> list[tuple[Places, Tensor | None]]:
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
