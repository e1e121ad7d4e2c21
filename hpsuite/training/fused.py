"""The fused trainer: K trials of one structure as one program.

Every trial has its own weights, data order, dropout masks, hyperparameters and, with batch norm,
running statistics. What one trial computes never depends on its mates: no operation mixes trials,
and a trial that diverges is retired at the end of the epoch without touching its neighbours.

Shapes: K trials, B rows of a mini-batch, N rows, F features, C classes.
"""

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hpsuite.training.augmentation import training_inputs
from hpsuite.training.layers import FusedLayer, fuse
from hpsuite.training.loop import (
    DTYPES,
    EVALUATION_ROWS,
    build_model,
    count_steps,
    finite_result,
    minibatches,
    nonfinite_result,
    set_numerics,
)
from hpsuite.training.optimizers import fused_optimizer
from hpsuite.training.resident import Resident
from hpsuite.training.schedules import learning_rates
from hpsuite.training.streams import augmentation_key, dropout_key, order_generator
from hpsuite.trials import TrialResult, TrialSpec


def train_fused(specs: Sequence[TrialSpec], resident: Resident) -> list[TrialResult]:
    """Train K trials of one bucket (see planner.py) at once.

    Args:
        specs: trials that may be mixed: of one data set, model structure, update rule, batch
            size, budget and numerics, all with label smoothing or all without.
        resident: their data.

    Returns:
        Their results, in order.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    return FusedBatch(specs, resident).train()


class FusedModels:
    """K models of one structure.

    Shape: [K, F, B] to [K, C, B].
    """

    def __init__(self, layers: list[FusedLayer]) -> None:
        self.layers = layers

    @classmethod
    def build(cls, specs: Sequence[TrialSpec], resident: Resident) -> "FusedModels":
        """The models of K trials with their initial weights, taken apart by layer.

        Raises:
            NotFusable: naming the layer that only the plain trainer knows.
        """
        dtype = DTYPES[specs[0].numerics.dtype]
        models = [
            build_model(spec.model, resident.data, seed=spec.seed, number=spec.number).to(
                resident.device, dtype
            )
            for spec in specs
        ]
        keys = [dropout_key(spec.seed, spec.number) for spec in specs]
        keys_K = torch.tensor(keys, dtype=torch.int32, device=resident.device)
        return cls(fuse(models, resident.data.input_shape, keys_K))

    def parameters(self) -> list[Tensor]:
        """All trainable tensors, [K, ...] each."""
        return [p for layer in self.layers for p in layer.parameters() if p.requires_grad]

    def forward(self, x: Tensor, *, training: bool, step: int = 0) -> Tensor:
        """Activations of the last layer; masks of dropout are those of the step."""
        for layer in self.layers:
            x = layer.forward(x, training=training, step=step)
        return x

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""
        for layer in self.layers:
            layer.keep(kept)


# Rows scored at once on a CPU, where more would fall out of its caches (a third faster than all
# 359 of digits' validation rows). A constant, so that scores cannot depend on mates.
CPU_EVALUATION_ROWS = 128


class FusedBatch:
    """K trials in training.

    Attributes:
        specs: of all trials, also of those that have ended.
        alive: the places in `specs` of those still training, in the models' order.
        models: of those still training.
        step: gradient steps taken.
        per_epoch: steps of an epoch.
        results: of those that have ended, by their place in `specs`.
    """

    def __init__(self, specs: Sequence[TrialSpec], resident: Resident) -> None:
        """Build the models of trials that may be mixed; see `train_fused`."""
        self._clock = time.perf_counter()
        first = specs[0]
        set_numerics(first.numerics)
        self.specs = tuple(specs)
        self.resident = resident
        self.dtype = DTYPES[first.numerics.dtype]
        self.models = FusedModels.build(specs, resident)
        self.optimizer = fused_optimizer(
            [spec.optimizer for spec in specs], self.models.parameters()
        )
        self.n_rows = len(resident.y_train)
        self.total_steps, self.per_epoch = count_steps(first, self.n_rows)
        tables = [
            learning_rates(
                spec.optimizer, total_steps=self.total_steps, steps_per_epoch=self.per_epoch
            )
            for spec in specs
        ]
        # float64 [steps, K]
        self._rates = torch.from_numpy(np.stack(tables, axis=1)).to(resident.device)
        smoothing = [spec.optimizer.label_smoothing for spec in specs]
        assert len({share > 0 for share in smoothing}) == 1, smoothing
        # float64 [K], or None where no trial has any.
        self._smoothing = (
            torch.tensor(smoothing, dtype=torch.float64, device=resident.device)
            if smoothing[0] > 0
            else None
        )
        self._orders = [order_generator(spec.seed, spec.number) for spec in specs]
        keys = [augmentation_key(spec.seed, spec.number) for spec in specs]
        self._augmentation_keys = torch.tensor(keys, dtype=torch.int32, device=resident.device)
        self.alive = list(range(len(specs)))
        self.step = 0
        self.results: dict[int, TrialResult] = {}
        self._val_curves: list[list[float]] = [[] for _ in specs]
        self._loss_curves: list[list[float]] = [[] for _ in specs]
        # Mean validation losses in nats, before the first step and after the last epoch.
        self._initial_losses = [math.nan] * len(specs)
        self._val_losses = [math.nan] * len(specs)
        self._seconds = [0.0] * len(specs)

    def train(self) -> list[TrialResult]:
        """Train and score all trials; returns their results in order."""
        n_val = len(self.resident.y_val)
        _, losses_K = self.score(self.resident.x_val, self.resident.y_val)
        self._initial_losses = (losses_K / n_val).tolist()
        while self.step < self.total_steps and self.alive:
            self.train_epoch()
        if self.alive:
            self._finish()
        return [self.results[i] for i in range(len(self.specs))]

    def train_epoch(self) -> None:
        """Train an epoch, or what is left of the budget; validate; retire what diverged."""
        losses_K = self._descend()
        resident = self.resident
        accuracies, val_losses_K = self.score(resident.x_val, resident.y_val)
        finite = torch.isfinite(losses_K).logical_and(torch.isfinite(val_losses_K)).tolist()
        self._share_time()
        val_losses = (val_losses_K / len(resident.y_val)).tolist()
        for i, loss, val_loss, accuracy, is_finite in zip(
            self.alive, losses_K.tolist(), val_losses, accuracies, finite, strict=True
        ):
            self._loss_curves[i].append(loss)
            self._val_losses[i] = val_loss
            if is_finite:
                self._val_curves[i].append(accuracy)
            else:
                self.results[i] = nonfinite_result(
                    self.specs[i],
                    resident.data,
                    val_curve=self._val_curves[i],
                    loss_curve=self._loss_curves[i],
                    steps=self.step,
                    seconds=self._seconds[i],
                    initial_loss=self._initial_losses[i],
                )
        if not all(finite):
            self._keep([place for place, is_finite in enumerate(finite) if is_finite])

    def _descend(self) -> Tensor:
        """The steps of an epoch; returns each trial's mean loss, float64 [K], in nats."""
        resident, models, device = self.resident, self.models, self.resident.device
        # One permutation of the rows per trial and epoch, as the plain trainer draws it.
        orders = [self._orders[i].permutation(self.n_rows) for i in self.alive]
        rows_KN = torch.from_numpy(np.stack(orders)).to(device)
        losses_K = torch.zeros(len(self.alive), dtype=self.dtype, device=device)
        parameters = models.parameters()
        parts = minibatches(self.n_rows, self.specs[0].batch_size)
        parts = parts[: self.total_steps - self.step]
        epoch = self.step // self.per_epoch
        for start, stop in parts:
            rows_KB = rows_KN[:, start:stop]
            raw_KB = training_inputs(resident, rows_KB, self._augmentation_keys, epoch=epoch)
            x_KFB = resident.inputs(raw_KB, self.dtype).flatten(2).transpose(1, 2)
            outputs_KCB = models.forward(x_KFB, training=True, step=self.step)
            loss_K = cross_entropy(outputs_KCB, resident.y_train[rows_KB], self._smoothing)
            grads = torch.autograd.grad(loss_K.sum(), parameters)
            self.optimizer.step(parameters, grads, self._rates[self.step])
            losses_K += loss_K.detach()
            self.step += 1
        return losses_K.to(torch.float64) / len(parts)

    def score(self, x: Tensor, y: Tensor) -> tuple[list[float], Tensor]:
        """Accuracies in [0, 1] and summed losses, float64 [K] in nats, of inputs x and classes y.

        Args:
            x: [N, ...].
            y: [N].
        """
        k = len(self.alive)
        hits_K = torch.zeros(k, dtype=torch.int64, device=y.device)
        losses_K = torch.zeros(k, dtype=torch.float64, device=y.device)
        rows = CPU_EVALUATION_ROWS if y.device.type == "cpu" else EVALUATION_ROWS
        for start in range(0, len(y), rows):
            part = slice(start, start + rows)
            outputs_KCB = self.predict(x[part])
            labels_KB = y[part].expand(k, -1)
            hits_K += (outputs_KCB.argmax(1) == labels_KB).sum(1)
            losses_K += F.cross_entropy(outputs_KCB, labels_KB, reduction="none").sum(1)
        return [count / len(y) for count in hits_K.tolist()], losses_K

    def predict(self, x: Tensor) -> Tensor:
        """Outputs [K, C, B] in evaluation, of inputs [B, ...] in the type of their source."""
        with torch.no_grad():
            x_FB = self.resident.inputs(x, self.dtype).flatten(1).T
            return self.models.forward(x_FB.expand(len(self.alive), *x_FB.shape), training=False)

    def _share_time(self) -> None:
        """Charge the time since the last call to the trials in training."""
        now = time.perf_counter()
        share, self._clock = (now - self._clock) / len(self.alive), now
        for i in self.alive:
            self._seconds[i] += share

    def _keep(self, places: Sequence[int]) -> None:
        """Go on with some of the trials in training alone."""
        kept = torch.tensor(places, dtype=torch.int64, device=self.resident.device)
        self.models.keep(kept)
        self.optimizer.keep(kept)
        self._rates = self._rates[:, kept]
        if self._smoothing is not None:
            self._smoothing = self._smoothing[kept]
        self._augmentation_keys = self._augmentation_keys[kept]
        self.alive = [self.alive[place] for place in places]

    def _finish(self) -> None:
        """Score the trials that trained to the end on the test set."""
        accuracies, _ = self.score(self.resident.x_test, self.resident.y_test)
        self._share_time()
        for i, accuracy in zip(self.alive, accuracies, strict=True):
            self.results[i] = finite_result(
                self.specs[i],
                test_accuracy=accuracy,
                val_curve=self._val_curves[i],
                loss_curve=self._loss_curves[i],
                steps=self.step,
                seconds=self._seconds[i],
                initial_loss=self._initial_losses[i],
                val_loss=self._val_losses[i],
            )


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
