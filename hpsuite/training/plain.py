"""The plain trainer: one model at a time, torch.nn and torch.optim. The oracle of the fused one.

Shapes: B rows of a mini-batch, N rows, C classes.
"""

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.augmentation import training_inputs
from hpsuite.training.layout import evaluation_rows, wants_channels_last
from hpsuite.training.loop import (
    DTYPES,
    build_model,
    count_steps,
    finite_result,
    minibatches,
    nonfinite_result,
    pruned_result,
    set_numerics,
)
from hpsuite.training.mixed_precision import autocast
from hpsuite.training.optimizers import PlainOptimizer
from hpsuite.training.probe import ProbeCourse, first_unit, last_activation, percentiles
from hpsuite.training.resident import Resident
from hpsuite.training.schedules import learning_rates
from hpsuite.training.states import (
    State,
    States,
    plain_state,
    restore_plain,
    restore_streams,
    start_of,
)
from hpsuite.training.streams import (
    augmentation_key,
    dropout_key,
    dropout_mask,
    order_generator,
)
from hpsuite.trials import TrialResult, TrialSpec


class KeyedDropout(nn.Module):
    """nn.Dropout with the masks of `streams.dropout_mask` in place of torch's global stream."""

    def __init__(self, rate: float, *, key: int, layer: int, device: torch.device) -> None:
        super().__init__()
        self.rates = torch.tensor([rate], dtype=torch.float64, device=device)
        self.keys = torch.tensor([key], dtype=torch.int32, device=device)
        self.layer = layer
        self.step = 0

    def forward(self, x: Tensor) -> Tensor:
        """Drop units of x [B, ...] in training; return it as it is in evaluation."""
        if not self.training:
            return x
        rows, units = len(x), x[0].numel()
        # Not in bfloat16, which would change what 1 / (1 - rate) is.
        dtype = torch.promote_types(x.dtype, torch.float32)
        mask = dropout_mask(
            self.keys,
            self.rates,
            step=self.step,
            layer=self.layer,
            units=units,
            rows=rows,
            dtype=dtype,
        )
        self.step += 1
        return x * mask[0].T.reshape(x.shape)


def train_plain(spec: TrialSpec, resident: Resident, states: States | None = None) -> TrialResult:
    """Train one trial and score it on the validation and test sets.

    Args:
        spec: the trial.
        resident: its data.
        states: has the one that a day begins with, and takes the one in which it ends.
    """
    trial = PlainTrial(spec, resident, start_of(spec, states))
    result = trial.train()
    if states is not None and trial.end is not None:
        states.save(spec, trial.end)
    return result


class PlainTrial:
    """A trial in training.

    Attributes:
        spec: what it is to do.
        model: with its dropout layers keyed.
        channels_last: whether it and its inputs are in that layout.
        step: gradient steps taken.
        per_epoch: steps of an epoch.
        end: the state in which a day ended; None before.
    """

    def __init__(self, spec: TrialSpec, resident: Resident, start: State | None = None) -> None:
        """Build the model and its optimizer, in the state that a day begins with."""
        self._started = time.perf_counter()
        set_numerics(spec.numerics)
        self.spec = spec
        self.resident = resident
        self.dtype = DTYPES[spec.numerics.dtype]
        device = resident.device
        model = build_model(spec.model, resident.data, seed=spec.seed, number=spec.stream)
        model = model.to(device, self.dtype)
        two = resident.inputs(resident.x_train[:2], self.dtype)
        self.channels_last = wants_channels_last(model, two, resident.data.n_classes)
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self._evaluation_rows = evaluation_rows(model, device)
        self.model = key_dropouts(model, dropout_key(spec.seed, spec.stream), device)
        self.optimizer = PlainOptimizer(spec.optimizer, self.model.parameters())
        self._start = start
        self.end: State | None = None
        if start is not None:
            steps = restore_plain(self.model, self.optimizer, start)
            for dropout, step in zip(self._dropouts(), steps, strict=True):
                dropout.step = step
        n_rows = len(resident.y_train)
        self.total_steps, self.per_epoch = count_steps(spec, n_rows)
        self._rates = learning_rates(
            spec.optimizer,
            total_steps=self.total_steps,
            steps_per_epoch=self.per_epoch,
            first_epoch=spec.first_epoch,
        ).tolist()
        self._order = order_generator(
            spec.seed, spec.stream, n_rows=n_rows, first_epoch=spec.first_epoch
        )
        key = augmentation_key(spec.seed, spec.stream)
        self._augmentation_key = torch.tensor([key], dtype=torch.int32, device=device)
        self.step = 0
        self._val_curve: list[float] = []
        self._loss_curve: list[float] = []
        self._val_loss = math.nan
        self._probe = ProbeCourse() if spec.numerics.probe else None

    def train(self) -> TrialResult:
        """Train and score it; returns its result.

        A model that draws from torch's global stream while it trains (alpha dropout, say) gets
        that stream set from the trial's own, and put back after.
        """
        device = self.resident.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(dropout_key(self.spec.seed, self.spec.stream) % 2**32)
            return self._train()

    def _train(self) -> TrialResult:
        self.begin()
        while not self.is_done():
            if not self.train_epoch():
                return self.diverged()
        return self.done()

    def begin(self) -> None:
        """Score it before its first step."""
        self._initial = self._initial_loss()
        if self._start is not None:
            restore_streams(self._start, self.resident.device)

    def _dropouts(self) -> list[KeyedDropout]:
        return [layer for layer in self.model.modules() if isinstance(layer, KeyedDropout)]

    def is_done(self) -> bool:
        """Whether it is short of no steps."""
        return self.step >= self.total_steps

    def done(self) -> TrialResult:
        """Its result after the last step, and the state in which a day ends."""
        if self.spec.lineage is not None:
            # Before it is scored on test data, which is not a part of training.
            steps = [dropout.step for dropout in self._dropouts()]
            self.end = plain_state(
                self.model, self.optimizer, dropout_steps=steps, device=self.resident.device
            )
        test_accuracy, _ = self.score(self.resident.x_test, self.resident.y_test)
        return finite_result(
            self.spec,
            test_accuracy=test_accuracy,
            val_curve=self._val_curve,
            loss_curve=self._loss_curve,
            steps=self.step,
            seconds=time.perf_counter() - self._started,
            initial_loss=self._initial,
            val_loss=self._val_loss,
            probe=None if self._probe is None else self._probe.course(),
        )

    def diverged(self) -> TrialResult:
        """Its result where its loss is no finite number any more."""
        return self._stopped(nonfinite_result)

    def pruned(self) -> TrialResult:
        """Its result where it is stopped after an epoch."""
        return self._stopped(pruned_result)

    def _stopped(self, result: Callable[..., TrialResult]) -> TrialResult:
        return result(
            self.spec,
            self.resident.data,
            val_curve=self._val_curve,
            loss_curve=self._loss_curve,
            steps=self.step,
            seconds=time.perf_counter() - self._started,
            initial_loss=self._initial,
            probe=None if self._probe is None else self._probe.course(),
        )

    def accuracy(self) -> float:
        """Validation accuracy in [0, 1] after the last epoch."""
        return self._val_curve[-1]

    def _initial_loss(self) -> float:
        """The mean validation loss of the weights that training begins with, in nats.

        A twin is scored, and torch's global stream put back: a model may change at its first
        input, or draw, in evaluation too.
        """
        resident = self.resident
        devices = [resident.device] if resident.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            twin = PlainTrial(self.spec, resident, self._start)
            _, loss = twin.validate(self._probe)
        return loss / len(resident.y_val)

    def train_epoch(self) -> bool:
        """Train an epoch, or what is left of the budget; validate; returns whether it is finite."""
        resident = self.resident
        self.model.train()
        rows_N = torch.from_numpy(self._order.permutation(len(resident.y_train)))
        rows_N = rows_N.to(resident.device)
        losses = torch.zeros((), dtype=self.dtype, device=resident.device)
        parts = minibatches(len(rows_N), self.spec.batch_size)[: self.total_steps - self.step]
        epoch = self.spec.first_epoch + self.step // self.per_epoch
        for start, stop in parts:
            rows_B = rows_N[start:stop]
            (raw_B,) = training_inputs(resident, rows_B[None], self._augmentation_key, epoch=epoch)
            outputs_BC = self._outputs(self._inputs(raw_B))
            loss = F.cross_entropy(
                outputs_BC,
                resident.y_train[rows_B],
                label_smoothing=self.spec.optimizer.label_smoothing,
            )
            self.optimizer.step(loss, self._rates[self.step])
            losses += loss.detach()
            self.step += 1
        accuracy, val_loss = self.validate(self._probe)
        self._val_loss = val_loss / len(resident.y_val)
        self._loss_curve.append(losses.item() / len(parts))
        finite = math.isfinite(self._loss_curve[-1]) and math.isfinite(val_loss)
        if finite:
            self._val_curve.append(accuracy)
        return finite

    def validate(self, probe: ProbeCourse | None) -> tuple[float, float]:
        """Score on the validation set; a probe takes in what the last nonlinearity sees there."""
        x, y = self.resident.x_val, self.resident.y_val
        watched = last_activation(self.model) if probe is not None else None
        if probe is None or watched is None:
            return self.score(x, y)
        seen: list[Tensor] = []

        def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.append(first_unit(inputs[0], rows=0).flatten()[None])

        handle = watched.register_forward_pre_hook(see)
        try:
            found = self.score(x, y)
        finally:
            handle.remove()
        probe.add(percentiles(seen)[0])
        return found

    def score(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        """Accuracy in [0, 1] and summed loss in nats, of inputs x [N, ...] and classes y [N]."""
        hits, loss = 0, 0.0
        for start in range(0, len(y), self._evaluation_rows):
            part = slice(start, start + self._evaluation_rows)
            outputs_BC = self.predict(x[part])
            hits += int((outputs_BC.argmax(1) == y[part]).sum())
            loss += float(F.cross_entropy(outputs_BC, y[part], reduction="sum"))
        return hits / len(y), loss

    def predict(self, x: Tensor) -> Tensor:
        """Outputs [B, C] in evaluation, of inputs [B, ...] in the type of their source."""
        self.model.eval()
        with torch.no_grad():
            return self._outputs(self._inputs(x))

    def _outputs(self, x: Tensor) -> Tensor:
        """Outputs [B, C] of the model, not in bfloat16."""
        numerics = self.spec.numerics
        with autocast(numerics, x.device):
            outputs: Tensor = self.model(x)
        return outputs if numerics.autocast == "none" else outputs.float()

    def _inputs(self, x: Tensor) -> Tensor:
        """Raw rows [B, ...] as they enter the model, in its layout."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.resident.inputs(x, self.dtype)


def key_dropouts(model: nn.Module, key: int, device: torch.device) -> nn.Module:
    """Exchange a model's nn.Dropout layers for keyed ones, numbered in order of their places."""
    layer = 0
    for parent in list(model.modules()):
        # Not named_children, which names a layer that stands in two places only once.
        for name, child in parent._modules.items():
            if type(child) is nn.Dropout:
                keyed = KeyedDropout(child.p, key=key, layer=layer, device=device)
                setattr(parent, name, keyed)
                layer += 1
    return model
