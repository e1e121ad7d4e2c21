"""K trials on their way down the gradient: their models, optimizer and recorded steps.

Shapes: K trials, B rows of a mini-batch, N rows, F features, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hpsuite.training.augmentation import training_inputs
from hpsuite.training.compiling import CompiledUpdate, Update
from hpsuite.training.fused_models import FusedModels
from hpsuite.training.graphs import NEVER, RecordedSteps, Recorder, recorder_of
from hpsuite.training.loop import DTYPES, count_sizes
from hpsuite.training.losses import FusedLoss
from hpsuite.training.mixed_precision import product_of
from hpsuite.training.optimizers import fused_optimizer
from hpsuite.training.reading import Reading
from hpsuite.training.resident import Resident
from hpsuite.training.schedules import rate_table
from hpsuite.training.states import State, restore_memory
from hpsuite.training.streams import augmentation_key, dropout_key
from hpsuite.trials import TrialSpec


class Descent:
    """K trials in training, and what a gradient step is for them.

    Attributes:
        models, optimizer: of those that are left.
        step: gradient steps taken.
        replayed: those of them that were replayed of a recording.
        recorder: what records steps.
    """

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        readings: Sequence[Reading],
        resident: Resident,
        *,
        totals: Sequence[int],
        per_epoch: int,
        starts: Sequence[State | None],
        recorder: Recorder | None,
    ) -> None:
        """Put K trials together.

        Args:
            specs: those that are updated alike beside each other.
            readings: their models.
            resident: their data.
            totals: gradient steps of each.
            per_epoch: gradient steps of an epoch.
            starts: the states that days begin with; None for trials that begin anew.
            recorder: None for that of the device.
        """
        numerics, device = specs[0].numerics, resident.device
        self._resident, self._dtype = resident, DTYPES[numerics.dtype]
        self._per_epoch = per_epoch
        # Steps that are left, by rows of their mini-batch.
        n_rows = len(resident.y_train)
        self._left = count_sizes(max(totals), n_rows, specs[0].batch_size)
        # Epochs trained before, int64 [K]; None where no trial was.
        self._first_epochs: Tensor | None = None
        if any(start is not None for start in starts):
            self._first_epochs = torch.tensor([s.first_epoch for s in specs], device=device)
        self.models = FusedModels(
            readings,
            resident.data.input_shape,
            _keys([dropout_key(s.seed, s.stream) for s in specs], device),
            None if self._first_epochs is None else self._first_epochs * per_epoch,
            multiply=product_of(numerics),
            grouped=numerics.convolutions == "grouped",
        )
        self.optimizer = fused_optimizer([s.optimizer for s in specs], self.models.parameters())
        for place, start in enumerate(starts):
            if start is not None:
                restore_memory(self.optimizer, place, self.models, start)
        self._rates = rate_table(specs, totals, per_epoch).to(device)
        smoothing = [spec.optimizer.label_smoothing for spec in specs]
        self._loss = FusedLoss(torch.tensor(smoothing, dtype=torch.float64, device=device))
        keys = [augmentation_key(s.seed, s.stream) for s in specs]
        self._augmentation_keys = _keys(keys, device)
        self.step = self.replayed = 0
        self.recorder = recorder or recorder_of(device)
        self._update: Update = self.optimizer.step
        if numerics.compiled == "yes":
            self._update = CompiledUpdate(self.optimizer.step)
            if device.type == "cpu":  # a tape does not see what a compiler made
                self.recorder = NEVER
        self._recorded: RecordedSteps | None = None

    def descend(self, rows_KN: Tensor, parts: Sequence[tuple[int, int]], losses_K: Tensor) -> None:
        """Steps of one epoch.

        Args:
            rows_KN: the order of the rows in this epoch.
            parts: where each mini-batch starts and stops in it.
            losses_K: each trial's losses so far in this epoch; those of these steps are added.
        """
        epochs: int | Tensor = self.step // self._per_epoch
        if self._first_epochs is not None:
            epochs = self._first_epochs + epochs
        if self._recorded is None:
            changing = [*self.models.parameters(), *self.models.statistics()]
            self._recorded = RecordedSteps(
                self._one_step,
                [*changing, *self.optimizer.changing()],
                self._rates,
                rows_KN,
                losses_K,
                recorder=self.recorder,
            )
        recorded = self._recorded
        recorded.load(rows_KN, losses_K, epochs, step=self.step, start=parts[0][0])
        for start, stop in parts:
            n_rows = stop - start
            self.replayed += recorded.take(n_rows, self._left[n_rows])
            self._left[n_rows] -= 1
            self.step += 1
        losses_K.copy_(recorded.losses)

    def forget(self) -> None:
        """Let go of what was recorded: it holds on to this, and would until they are collected."""
        self._recorded = None

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""
        self.models.keep(kept)
        self.optimizer.keep(kept)
        self._rates = self._rates[:, kept]
        self._loss.keep(kept)
        self._augmentation_keys = self._augmentation_keys[kept]
        if self._first_epochs is not None:
            self._first_epochs = self._first_epochs[kept]
        self._recorded = None

    def _one_step(self, rows_KB: Tensor, rates_K: Tensor, step: Tensor, epochs: Tensor) -> Tensor:
        """One step down the gradient; returns the losses [K] before it."""
        resident, models = self._resident, self.models
        parameters = models.parameters()
        raw_KB = training_inputs(resident, rows_KB, self._augmentation_keys, epoch=epochs)
        x_KFB = resident.inputs(raw_KB, self._dtype).flatten(2).transpose(1, 2)
        outputs_KCB = models.forward(x_KFB, training=True, step=step)
        labels_KB = resident.y_train.index_select(0, rows_KB.reshape(-1)).view_as(rows_KB)
        loss_K = self._loss(outputs_KCB, labels_KB)
        grads = torch.autograd.grad(loss_K.sum(), parameters)
        self._update(parameters, grads, rates_K)
        return loss_K.detach()


def _keys(keys: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(keys, dtype=torch.int32, device=device)
