"""The plain trainer: one model at a time, torch.nn and torch.optim. The oracle of the fused one.

Shapes: B rows of a mini-batch, N rows, C classes.
"""

import math
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.loop import (
    DTYPES,
    EVALUATION_ROWS,
    build_model,
    count_steps,
    minibatches,
    nonfinite_result,
    set_numerics,
)
from hpsuite.training.optimizers import PlainOptimizer
from hpsuite.training.resident import Resident
from hpsuite.training.schedules import learning_rates
from hpsuite.training.streams import dropout_key, dropout_mask, order_generator
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
        mask = dropout_mask(
            self.keys,
            self.rates,
            step=self.step,
            layer=self.layer,
            units=units,
            rows=rows,
            dtype=x.dtype,
        )
        self.step += 1
        return x * mask[0].T.reshape(x.shape)


def train_plain(spec: TrialSpec, resident: Resident) -> TrialResult:
    """Train one trial and score it on the validation and test sets."""
    started = time.perf_counter()
    set_numerics(spec.numerics)
    dtype = DTYPES[spec.numerics.dtype]
    device = resident.device
    data = resident.data
    model = build_model(spec.model, data, seed=spec.seed, number=spec.number)
    model = key_dropouts(model.to(device, dtype), dropout_key(spec.seed, spec.number), device)
    optimizer = PlainOptimizer(spec.optimizer, model.parameters())
    total_steps, steps_per_epoch = count_steps(spec, len(resident.y_train))
    rates = learning_rates(
        spec.optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    ).tolist()
    order = order_generator(spec.seed, spec.number)

    step = 0
    val_curve: list[float] = []
    loss_curve: list[float] = []
    while step < total_steps:
        model.train()
        rows = torch.from_numpy(order.permutation(len(resident.y_train))).to(device)
        losses = torch.zeros((), dtype=dtype, device=device)
        parts = minibatches(len(rows), spec.batch_size)[: total_steps - step]
        for start, stop in parts:
            part = rows[start:stop]
            outputs = model(resident.inputs(resident.x_train[part], dtype))
            loss = F.cross_entropy(outputs, resident.y_train[part])
            optimizer.step(loss, rates[step])
            losses += loss.detach()
            step += 1

        accuracy, val_loss = evaluate(model, resident, resident.x_val, resident.y_val, dtype)
        loss_curve.append(losses.item() / len(parts))
        if not (math.isfinite(loss_curve[-1]) and math.isfinite(val_loss)):
            return nonfinite_result(
                spec,
                data,
                val_curve=val_curve,
                loss_curve=loss_curve,
                steps=step,
                seconds=time.perf_counter() - started,
            )
        val_curve.append(accuracy)

    test_accuracy, _ = evaluate(model, resident, resident.x_test, resident.y_test, dtype)
    return TrialResult(
        study=spec.study,
        number=spec.number,
        outcome="finite",
        val_accuracy=val_curve[-1],
        test_accuracy=test_accuracy,
        val_curve=tuple(val_curve),
        loss_curve=tuple(loss_curve),
        steps=step,
        seconds=time.perf_counter() - started,
    )


def key_dropouts(model: nn.Module, key: int, device: torch.device) -> nn.Module:
    """Exchange a model's nn.Dropout layers for keyed ones, numbered in order."""
    layer = 0
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                keyed = KeyedDropout(child.p, key=key, layer=layer, device=device)
                setattr(parent, name, keyed)
                layer += 1
    return model


def evaluate(
    model: nn.Module, resident: Resident, x: Tensor, y: Tensor, dtype: torch.dtype
) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean loss in nats of a model on inputs x [N, ...], classes y [N]."""
    model.eval()
    hits, loss = 0, 0.0
    with torch.no_grad():
        for start in range(0, len(y), EVALUATION_ROWS):
            part = slice(start, start + EVALUATION_ROWS)
            outputs = model(resident.inputs(x[part], dtype))
            hits += int((outputs.argmax(1) == y[part]).sum())
            loss += float(F.cross_entropy(outputs, y[part], reduction="sum"))
    return hits / len(y), loss / len(y)
