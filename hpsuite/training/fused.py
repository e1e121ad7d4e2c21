"""The fused trainer: K trials of one family as one program.

Every trial has its own weights, width, activation, optimizer, number of steps, data order, dropout
masks and, with batch norm, running statistics. What one trial computes never depends on its mates:
no operation mixes trials, and a trial that diverges, or that is done before the others, leaves
without touching its neighbours.

Shapes: K trials, B rows of a mini-batch, N rows, F features, C classes.
"""

import math
import time
from collections.abc import Sequence, Set

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hpsuite.training.descent import Descent
from hpsuite.training.fused_models import FusedModels
from hpsuite.training.fusing import build_all
from hpsuite.training.graphs import Recorder
from hpsuite.training.loop import (
    DTYPES,
    EVALUATION_ROWS,
    count_steps,
    finite_result,
    minibatches,
    nonfinite_result,
    pruned_result,
    set_numerics,
)
from hpsuite.training.optimizers import update_rule
from hpsuite.training.probe import Course, ProbeCourse, percentiles, watched_step
from hpsuite.training.reading import Reading
from hpsuite.training.resident import Resident
from hpsuite.training.states import (
    Shapes,
    States,
    fused_state,
    restore_reading,
    start_of,
)
from hpsuite.training.streams import order_generator
from hpsuite.trials import TrialResult, TrialSpec

# Rows scored at once on a CPU, where more would fall out of its caches (a third faster than all
# 359 of digits' validation rows). A constant, so that scores cannot depend on mates.
CPU_EVALUATION_ROWS = 128


def scored_at_once(device: torch.device) -> int:
    """How many rows the fused trainer scores at once."""
    return CPU_EVALUATION_ROWS if device.type == "cpu" else EVALUATION_ROWS


class FusedBatch:
    """K trials in training.

    Attributes:
        specs: of all trials, also of those that have ended.
        alive: the places in `specs` of those still training, in the models' order.
        total_steps: gradient steps of the longest trial.
        results: of those that have ended, by their place in `specs`.
    """

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        resident: Resident,
        readings: Sequence[Reading] | None = None,
        states: States | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """Build the models of trials that may be mixed, where they are not; see `train_fused`.

        `states` has those that days begin with, and takes those in which they end. Steps are
        recorded and replayed by a `recorder`, by default that of the device.
        """
        self._clock = time.perf_counter()
        first = specs[0]
        set_numerics(first.numerics)
        self.specs = tuple(specs)
        self.resident = resident
        self.dtype = DTYPES[first.numerics.dtype]
        if readings is None:
            readings = build_all(specs, resident)
        self._states = states
        starts = {i: start_of(spec, states) for i, spec in enumerate(specs) if spec.before}
        for i, start in starts.items():
            assert start is not None
            restore_reading(readings[i], start)
        self._shapes = {i: Shapes.of(readings[i]) for i, s in enumerate(specs) if s.lineage}
        # Those that are updated alike stand beside each other.
        rules = [repr(update_rule(spec.optimizer)) for spec in specs]
        self.alive = sorted(range(len(specs)), key=rules.__getitem__)
        self.n_rows = len(resident.y_train)
        counted = [count_steps(spec, self.n_rows) for spec in specs]
        self._steps = [total for total, _ in counted]
        self.total_steps = max(self._steps)
        self._descent = Descent(
            [specs[i] for i in self.alive],
            [readings[i] for i in self.alive],
            resident,
            totals=[self._steps[i] for i in self.alive],
            per_epoch=counted[0][1],
            starts=[starts.get(i) for i in self.alive],
            recorder=recorder,
        )
        self._orders = [
            order_generator(s.seed, s.stream, n_rows=self.n_rows, first_epoch=s.first_epoch)
            for s in specs
        ]
        self.results: dict[int, TrialResult] = {}
        self._val_curves: list[list[float]] = [[] for _ in specs]
        self._loss_curves: list[list[float]] = [[] for _ in specs]
        # Mean validation losses in nats, before the first step and after the last epoch.
        self._initial_losses = [math.nan] * len(specs)
        self._val_losses = [math.nan] * len(specs)
        self._seconds = [0.0] * len(specs)
        self._probes: list[ProbeCourse] | None = None
        if first.numerics.probe:
            self._probes = [ProbeCourse() for _ in specs]
            self.models.watched = watched_step(readings[0].steps)
        self._is_filled = len(set(self.models.signatures)) > 1

    @property
    def models(self) -> FusedModels:
        """Of those still training."""
        return self._descent.models

    @property
    def step(self) -> int:
        """Gradient steps taken."""
        return self._descent.step

    @property
    def replayed(self) -> int:
        """Steps that were replayed of a recording."""
        return self._descent.replayed

    def train(self) -> list[TrialResult]:
        """Train and score all trials; returns their results in order.

        Trials of unequal widths are for `train_fused`, which knows what to do with one that is to
        be trained by itself.
        """
        self.train_all()
        return [self.results[i] for i in range(len(self.specs))]

    def train_all(self) -> None:
        """Train and score all trials; those without a result are to be trained by themselves."""
        self.begin()
        while not self._is_done():
            self.train_epoch()

    def begin(self) -> None:
        """Score the trials before their first step."""
        n_val = len(self.resident.y_val)
        _, losses_K = self.score(self.resident.x_val, self.resident.y_val)
        for i, loss in zip(self.alive, (losses_K / n_val).tolist(), strict=True):
            self._initial_losses[i] = loss
        self._note_probes(set(self.alive))

    def train_epoch(self) -> None:
        """Train an epoch, or what is left of the budget; validate; retire what diverged."""
        device = self.resident.device
        # One permutation of the rows per trial and epoch, as the plain trainer draws it.
        orders = [self._orders[i].permutation(self.n_rows) for i in self.alive]
        self._rows_KN = torch.from_numpy(np.stack(orders)).to(device)
        self._losses_K = torch.zeros(len(self.alive), dtype=self.dtype, device=device)
        parts = minibatches(self.n_rows, self.specs[0].batch_size)
        done = 0
        while done < len(parts) and not self._is_done():
            # Up to the end of the epoch, or the step at which the next trial is done.
            ends = [self._steps[i] - self.step for i in self.alive]
            stop = min(len(parts), done + min(ends))
            self._descent.descend(self._rows_KN, parts[done:stop], self._losses_K)
            done = stop
            if self._is_done():
                self._descent.forget()
            of_all = done == len(parts)
            ending = {i for i in self.alive if self._steps[i] == self.step}
            self._validate(done, ending, of_all=of_all)

    def _is_done(self) -> bool:
        """Whether no trial is short of steps."""
        return all(self._steps[i] <= self.step for i in self.alive)

    def _validate(self, n_steps: int, ending: Set[int], *, of_all: bool) -> None:
        """Score trials; let those go that diverged, and those that are done.

        Args:
            n_steps: steps of this epoch so far.
            ending: places in `specs` of the trials that are done.
            of_all: whether the epoch is over; otherwise the scores of those alone count that are
                done.
        """
        resident = self.resident
        losses_K = self._losses_K.to(torch.float64) / n_steps
        accuracies, val_losses_K = self.score(resident.x_val, resident.y_val)
        self._note_probes(set(self.alive) if of_all else ending)
        finite = torch.isfinite(losses_K).logical_and(torch.isfinite(val_losses_K)).tolist()
        intact = self.models.intact()
        if self._is_filled:
            started = [math.isfinite(self._initial_losses[i]) for i in self.alive]
            intact = [a and b for a, b in zip(intact, started, strict=True)]
        self._share_time()
        val_losses = (val_losses_K / len(resident.y_val)).tolist()
        leaving: set[int] = set()
        scored = zip(
            self.alive, losses_K.tolist(), val_losses, accuracies, finite, intact, strict=True
        )
        for i, loss, val_loss, accuracy, is_finite, is_intact in scored:
            if not (of_all or i in ending):
                continue
            self._loss_curves[i].append(loss)
            self._val_losses[i] = val_loss
            if is_finite and is_intact:
                self._val_curves[i].append(accuracy)
                continue
            leaving.add(i)
            if not self._is_filled:  # else to be trained by itself
                self.results[i] = nonfinite_result(
                    self.specs[i],
                    resident.data,
                    val_curve=self._val_curves[i],
                    loss_curve=self._loss_curves[i],
                    steps=self.step,
                    seconds=self._seconds[i],
                    initial_loss=self._initial_losses[i],
                    probe=self._probe(i),
                )
        done = ending - leaving
        if done:
            self._finish(done)
        # The last ones stay, as whoever asks for their predictions finds them here.
        if done != set(self.alive) - leaving:
            leaving |= done
        if leaving:
            self._keep([place for place, i in enumerate(self.alive) if i not in leaving])

    def score(self, x: Tensor, y: Tensor) -> tuple[list[float], Tensor]:
        """Accuracies in [0, 1] and summed losses, float64 [K] in nats, of inputs x and classes y.

        Args:
            x: [N, ...].
            y: [N].
        """
        k = len(self.alive)
        hits_K = torch.zeros(k, dtype=torch.int64, device=y.device)
        losses_K = torch.zeros(k, dtype=torch.float64, device=y.device)
        rows = scored_at_once(y.device)
        self._seen = []
        for start in range(0, len(y), rows):
            part = slice(start, start + rows)
            outputs_KCB = self.predict(x[part])
            if self.models.seen is not None:
                self._seen.append(self.models.seen)
            labels_KB = y[part].expand(k, -1)
            hits_K += (outputs_KCB.max(1).indices == labels_KB).sum(1)
            losses_K += F.cross_entropy(outputs_KCB, labels_KB, reduction="none").sum(1)
        return [count / len(y) for count in hits_K.tolist()], losses_K

    def _note_probes(self, places: Set[int]) -> None:
        """Take in what the probe saw when rows were scored last, of these trials."""
        if self._probes is not None and self._seen:
            for i, found in zip(self.alive, percentiles(self._seen), strict=True):
                if i in places:
                    self._probes[i].add(found)

    def _probe(self, i: int) -> Course | None:
        """What the probe saw of a trial."""
        return None if self._probes is None else self._probes[i].course()

    def predict(self, x: Tensor) -> Tensor:
        """Outputs [K, C, B] in evaluation, of inputs [B, ...] in the type of their source."""
        with torch.no_grad():
            x_FB = self.resident.inputs(x, self.dtype).flatten(1).T
            return self.models.forward(x_FB.expand(len(self.alive), *x_FB.shape), training=False)

    def accuracy(self, i: int) -> float:
        """Validation accuracy in [0, 1] after the last epoch, of a trial by its place."""
        return self._val_curves[i][-1]

    def prune(self, places: Set[int]) -> None:
        """Stop some of the trials in training, after an epoch, by their places in `specs`."""
        for i in places:
            self.results[i] = pruned_result(
                self.specs[i],
                self.resident.data,
                val_curve=self._val_curves[i],
                loss_curve=self._loss_curves[i],
                steps=self.step,
                seconds=self._seconds[i],
                initial_loss=self._initial_losses[i],
                probe=self._probe(i),
            )
        if places:
            self._keep([place for place, i in enumerate(self.alive) if i not in places])

    def start_clock(self) -> None:
        """Charge the time since the last epoch to nobody."""
        self._clock = time.perf_counter()

    def _share_time(self) -> None:
        """Charge the time since the last call to the trials in training."""
        now = time.perf_counter()
        share, self._clock = (now - self._clock) / len(self.alive), now
        for i in self.alive:
            self._seconds[i] += share

    def _keep(self, places: Sequence[int]) -> None:
        """Go on with some of the trials in training alone."""
        kept = torch.tensor(places, dtype=torch.int64, device=self.resident.device)
        self._descent.keep(kept)
        self._rows_KN, self._losses_K = self._rows_KN[kept], self._losses_K[kept]
        self.alive = [self.alive[place] for place in places]

    def _finish(self, done: Set[int]) -> None:
        """Score on the test set those that trained to the end, and keep the states of days."""
        for place, i in enumerate(self.alive):
            if i in done and self._states is not None and self.specs[i].lineage:
                state = fused_state(self.models, self._descent.optimizer, place, self._shapes[i])
                self._states.save(self.specs[i], state)
        accuracies, _ = self.score(self.resident.x_test, self.resident.y_test)
        self._share_time()
        for i, accuracy in zip(self.alive, accuracies, strict=True):
            if i in done:
                self.results[i] = finite_result(
                    self.specs[i],
                    test_accuracy=accuracy,
                    val_curve=self._val_curves[i],
                    loss_curve=self._loss_curves[i],
                    steps=self.step,
                    seconds=self._seconds[i],
                    initial_loss=self._initial_losses[i],
                    probe=self._probe(i),
                    val_loss=self._val_losses[i],
                )
