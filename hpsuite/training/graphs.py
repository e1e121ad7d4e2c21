"""Gradient steps recorded once and replayed.

On a GPU, small kernels take less time than launching them one by one. A recording has fixed
addresses. So all that differs from step to step lies in tensors that stay where they are, and that
a step itself moves on: which rows are next, the learning rates, the step and the epoch, of which
masks of dropout and flips are hashes. No step reads a number of Python's.

The first steps of each size of a mini-batch are made without a recording; then one is made, and
its first replay is compared with the same step made without it, to the bit. Where they differ, or
where nothing can be recorded, steps go on without, and a line of the log says so.

Shapes: K trials, B rows of a mini-batch, N rows.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# Steps of a size before it is recorded, in which libraries choose their kernels.
WARM_UP = 3
# Steps that must be left for a recording to be worth its making.
WORTH_IT = 16

Replay = Callable[[], None]
# rows int64 [K, B], rates float64 [K], step int64 [1], epochs int64 [1] or [K]: losses [K].
OneStep = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class Recorder(Protocol):
    """Records what a function does with tensors that stay where they are."""

    def __call__(self, body: Callable[[], None]) -> Replay:
        """What does it again; the function is run or not, and changes nothing that stays.

        Raises:
            RuntimeError: it cannot be recorded.
        """


def cuda_graph(body: Callable[[], None]) -> Replay:
    """A CUDA graph of a function, which is not run (a `Recorder`)."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


class RecordedSteps:
    """Gradient steps of K trials, replayed where that is possible.

    Attributes:
        losses: sums of each trial's losses in the epoch of `load`, [K].
    """

    def __init__(
        self,
        one_step: OneStep,
        changing: Sequence[Tensor],
        rates: Tensor,
        rows: Tensor,
        losses: Tensor,
        *,
        recorder: Recorder = cuda_graph,
    ) -> None:
        """Of trials that stay together.

        Args:
            one_step: one step down the gradient; returns the trials' losses.
            changing: tensors that a step changes in place.
            rates: float64 [steps, K].
            rows: int64 [K, N], whose shape those of all epochs have.
            losses: [K], whose type those of all steps have.
            recorder: `cuda_graph`, or what does the same elsewhere.
        """
        device = rows.device
        self._one_step, self._recorder = one_step, recorder
        self._rates, self._rows = rates, torch.empty_like(rows)
        self.losses = torch.zeros_like(losses)
        self._step = torch.zeros(1, dtype=torch.int64, device=device)
        self._start = torch.zeros(1, dtype=torch.int64, device=device)
        self._epochs: Tensor | None = None
        self._changing = [*changing, self.losses, self._step, self._start]
        # By rows of a mini-batch; None for what is not to be recorded.
        self._replays: dict[int, Replay | None] = {}
        self._made: dict[int, int] = {}

    def load(
        self, rows: Tensor, losses: Tensor, epochs: int | Tensor, *, step: int, start: int
    ) -> None:
        """Begin with an epoch, or go on with one.

        Args:
            rows: int64 [K, N], in the order in which they are taken.
            losses: sums so far in this epoch, [K].
            epochs: the epoch, of all trials or of each, int64 [K].
            step: gradient steps taken so far.
            start: the place in `rows` of the next mini-batch.
        """
        self._rows.copy_(rows)
        now = torch.as_tensor(epochs, dtype=torch.int64, device=rows.device).reshape(-1)
        if self._epochs is None:
            self._epochs = now.clone()
        self._epochs.copy_(now)
        self._step.fill_(step)
        self._start.fill_(start)
        self.losses.copy_(losses)

    def take(self, n_rows: int, left: int) -> bool:
        """One step on the next rows of each trial; returns whether it was replayed.

        Args:
            n_rows: of this mini-batch.
            left: steps that are left of the longest trial, this one among them.
        """
        replay = self._replays.get(n_rows)
        if replay is not None:
            replay()
            return True
        made = self._made.get(n_rows, 0)
        if _refused or n_rows in self._replays or made < WARM_UP or left < WORTH_IT:
            self._made[n_rows] = made + 1
            self._body(n_rows)
            return False
        self._replays[n_rows] = self._recorded(n_rows)
        return False

    def _body(self, n_rows: int) -> None:
        """One step, of nothing but tensors that stay where they are."""
        assert self._epochs is not None
        places = self._start + torch.arange(n_rows, device=self._rows.device)
        rows_KB = self._rows.index_select(1, places)
        rates_K = self._rates.index_select(0, self._step)[0]
        self.losses.add_(self._one_step(rows_KB, rates_K, self._step, self._epochs))
        self._step.add_(1)
        self._start.add_(n_rows)

    def _recorded(self, n_rows: int) -> Replay | None:
        """A recording of a step, which is made once without it; None where the two differ."""
        before = [tensor.detach().clone() for tensor in self._changing]
        found: list[Tensor] = []
        try:
            replay = self._recorder(lambda: self._body(n_rows))
            self._put_back(before)
            replay()
            found = [tensor.detach().clone() for tensor in self._changing]
        except torch.OutOfMemoryError:  # batches are halved for it
            raise
        except RuntimeError as error:
            _refuse((str(error).splitlines() or [""])[0])
        self._put_back(before)
        self._body(n_rows)
        if found and all(map(_alike, found, self._changing)):
            return replay
        if found:
            _refuse("a replay differed from the step itself")
        return None

    def _put_back(self, before: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._changing, before, strict=True):
                tensor.copy_(value)


# Why this process records nothing any more; said once.
_refused: list[str] = []


def _refuse(reason: str) -> None:
    _refused.append(reason)
    log.warning("steps are not recorded as graphs: %s", reason)


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same bits, whatever is no number among them."""
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())
