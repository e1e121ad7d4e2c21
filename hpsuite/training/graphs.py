"""Gradient steps recorded once and replayed.

On a GPU, small kernels take less time than launching them one by one: a step is recorded as a CUDA
graph. On a CPU what surrounds the kernels takes as long as they do: a step is taped (tape.py).
Either has fixed addresses. So all that differs from step to step lies in tensors that stay where
they are, and that a step itself moves on: which rows are next, the learning rates, the step and
the epoch, of which masks of dropout and flips are hashes. No step reads a number of Python's.

The first steps of each size of a mini-batch are made without a recording; then one is made, and
its first replay is compared with the same step made without it, to the bit. Where they differ, or
where nothing can be recorded, the batch goes on without, and a line of the log says so, once in a
process for each reason.

Shapes: K trials, B rows of a mini-batch, N rows.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hpsuite.training.tape import NotWorthIt, tape

log = logging.getLogger(__name__)

Replay = Callable[[], None]
# rows int64 [K, B], rates float64 [K], step int64 [1], epochs int64 [1] or [K]: losses [K].
OneStep = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recorder:
    """Records what a function does with tensors that stay where they are.

    Attributes:
        record: from a function, and the tensors whose values change from one replay to the next,
            to what does the same again; raises RuntimeError where it cannot be recorded.
        runs: whether the function is run once by that, or not at all.
        warm_up: steps of a size before it is recorded, in which libraries choose their kernels.
        worth_it: steps that must be left for a recording to be worth its making.
    """

    record: Callable[[Callable[[], None], Sequence[Tensor]], Replay]
    runs: bool
    warm_up: int
    worth_it: int = 16


def cuda_graph(body: Callable[[], None], _varying: Sequence[Tensor]) -> Replay:
    """A CUDA graph of a function, which is not run."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


CUDA_GRAPH = Recorder(cuda_graph, runs=False, warm_up=3)
TAPE = Recorder(tape, runs=True, warm_up=1)
NEVER = Recorder(tape, runs=True, warm_up=0, worth_it=sys.maxsize)


def recorder_of(device: torch.device) -> Recorder:
    """What records steps on a device."""
    return CUDA_GRAPH if device.type == "cuda" else TAPE


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
        recorder: Recorder,
    ) -> None:
        """Of trials that stay together.

        Args:
            one_step: one step down the gradient; returns the trials' losses.
            changing: tensors that a step changes in place.
            rates: float64 [steps, K].
            rows: int64 [K, N], whose shape those of all epochs have.
            losses: [K], whose type those of all steps have.
            recorder: that of the device.
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
        self._refused = False

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
            left: steps with so many rows that are left, this one among them.
        """
        replay = self._replays.get(n_rows)
        if replay is not None:
            replay()
            return True
        made = self._made.get(n_rows, 0)
        own = self._recorder
        if self._refused or n_rows in self._replays or made < own.warm_up or left < own.worth_it:
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
        before = self._state()
        assert self._epochs is not None
        varying = [*self._changing, self._rows, self._epochs]
        ran = False
        try:
            replay = self._recorder.record(lambda: self._body(n_rows), varying)
            if not self._recorder.runs:
                self._put_back(before)
                self._body(n_rows)
            wanted, ran = self._state(), True
            self._put_back(before)
            replay()
            if all(map(_alike, wanted, self._changing)):
                return replay
            self._refuse("a replay differed from the step itself")
        except torch.OutOfMemoryError:  # batches are halved for it
            raise
        except NotWorthIt as error:
            log.debug("steps are not recorded: %s", error)
        except (RuntimeError, TypeError, ValueError) as error:
            self._refuse((str(error).splitlines() or [""])[0])
        if ran:
            self._put_back(wanted)
        else:
            self._put_back(before)
            self._body(n_rows)
        return None

    def _refuse(self, reason: str) -> None:
        """Record nothing any more of these trials."""
        self._refused = True
        if reason not in _said:
            _said.add(reason)
            log.warning("steps are not recorded: %s", reason)

    def _state(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._changing]

    def _put_back(self, before: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._changing, before, strict=True):
                tensor.copy_(value)


# Why batches of this process were not recorded.
_said: set[str] = set()


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same bits, whatever is no number among them."""
    if not a.is_floating_point():
        return torch.equal(a, b)
    whole = _INTEGERS[a.element_size()]
    same = a.contiguous().view(whole) == b.contiguous().view(whole)
    return bool((same | (a.isnan() & b.isnan())).all())


# By the size of a floating-point number, in bytes.
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
