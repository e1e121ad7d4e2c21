"""The fused trainer: K trials of one structure as one program.

Every trial has its own weights, data order, dropout masks, hyperparameters and, with batch norm,
running statistics. What one trial computes never depends on its mates: no operation mixes trials,
and a trial that diverges is retired at the end of the epoch without touching its neighbours.

Shapes: K trials, B rows of a mini-batch, N rows, F features, C classes.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hpsuite.training.layers import FusedLayer, fuse
from hpsuite.training.loop import (
    DTYPES,
    EVALUATION_ROWS,
    build_model,
    count_steps,
    minibatches,
    nonfinite_result,
    set_numerics,
)
from hpsuite.training.optimizers import fused_optimizer
from hpsuite.training.resident import Resident
from hpsuite.training.schedules import learning_rates
from hpsuite.training.streams import dropout_key, order_generator
from hpsuite.trials import TrialResult, TrialSpec


class FusedModels:
    """K models of one structure.

    Shape: [K, F, B] to [K, C, B].
    """

    def __init__(self, layers: list[FusedLayer]) -> None:
        self.layers = layers

    def parameters(self) -> list[Tensor]:
        """All trainable tensors, [K, ...] each."""
        return [p for layer in self.layers for p in layer.parameters() if p.requires_grad]

    def forward(self, x: Tensor, *, training: bool, step: int = 0) -> Tensor:
        """Activations of the last layer."""
        for layer in self.layers:
            x = layer.forward(x, training=training, step=step)
        return x

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""
        for layer in self.layers:
            layer.keep(kept)


def train_fused(specs: Sequence[TrialSpec], resident: Resident) -> list[TrialResult]:
    """Train K trials of one bucket (see planner.py) at once.

    Args:
        specs: trials that may be mixed: of one data set, model structure, kind of optimizer,
            batch size, budget and numerics.
        resident: their data.

    Returns:
        Their results, in order.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    clock = time.perf_counter()
    first, data, device = specs[0], resident.data, resident.device
    set_numerics(first.numerics)
    dtype = DTYPES[first.numerics.dtype]
    models = build_fused(specs, resident)
    optimizer = fused_optimizer([spec.optimizer for spec in specs], models.parameters())
    n_rows = len(resident.y_train)
    total_steps, steps_per_epoch = count_steps(first, n_rows)
    tables = [
        learning_rates(spec.optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        for spec in specs
    ]
    rates = torch.from_numpy(np.stack(tables, axis=1)).to(device)  # float64 [steps, K]
    orders = [order_generator(spec.seed, spec.number) for spec in specs]

    alive = list(range(len(specs)))
    val_curves: list[list[float]] = [[] for _ in specs]
    loss_curves: list[list[float]] = [[] for _ in specs]
    seconds = [0.0] * len(specs)
    results: dict[int, TrialResult] = {}
    step = 0
    while step < total_steps and alive:
        # One permutation of the rows per trial and epoch, as the plain trainer draws it.
        rows = torch.from_numpy(np.stack([orders[i].permutation(n_rows) for i in alive]))
        rows = rows.to(device)  # [K, N]
        losses = torch.zeros(len(alive), dtype=dtype, device=device)
        parts = minibatches(n_rows, first.batch_size)[: total_steps - step]
        parameters = models.parameters()
        for start, stop in parts:
            part = rows[:, start:stop]
            outputs = models.forward(
                gather(resident, part, dtype), training=True, step=step
            )  # [K, C, B]
            loss = F.cross_entropy(outputs, resident.y_train[part], reduction="none").mean(1)
            grads = torch.autograd.grad(loss.sum(), parameters)
            optimizer.step(parameters, grads, rates[step])
            losses += loss.detach()
            step += 1

        accuracies, val_losses = score(models, resident, resident.x_val, resident.y_val, dtype)
        finite = torch.isfinite(losses).logical_and(torch.isfinite(val_losses)).tolist()
        mean_losses = (losses.to(torch.float64) / len(parts)).tolist()
        now = time.perf_counter()
        share, clock = (now - clock) / len(alive), now
        for place, i in enumerate(alive):
            seconds[i] += share
            loss_curves[i].append(mean_losses[place])
            if finite[place]:
                val_curves[i].append(accuracies[place])
            else:
                results[i] = nonfinite_result(
                    specs[i],
                    data,
                    val_curve=val_curves[i],
                    loss_curve=loss_curves[i],
                    steps=step,
                    seconds=seconds[i],
                )
        if not all(finite):
            places = [place for place, is_finite in enumerate(finite) if is_finite]
            kept = torch.tensor(places, dtype=torch.int64, device=device)
            models.keep(kept)
            optimizer.keep(kept)
            rates = rates[:, kept]
            alive = [alive[place] for place in places]

    if alive:
        accuracies, _ = score(models, resident, resident.x_test, resident.y_test, dtype)
        share = (time.perf_counter() - clock) / len(alive)
        for place, i in enumerate(alive):
            results[i] = TrialResult(
                study=specs[i].study,
                number=specs[i].number,
                outcome="finite",
                val_accuracy=val_curves[i][-1],
                test_accuracy=accuracies[place],
                val_curve=tuple(val_curves[i]),
                loss_curve=tuple(loss_curves[i]),
                steps=step,
                seconds=seconds[i] + share,
            )
    return [results[i] for i in range(len(specs))]


def build_fused(specs: Sequence[TrialSpec], resident: Resident) -> FusedModels:
    """The models of K trials with their initial weights, taken apart by layer."""
    dtype = DTYPES[specs[0].numerics.dtype]
    models = [
        build_model(spec.model, resident.data, seed=spec.seed, number=spec.number).to(
            resident.device, dtype
        )
        for spec in specs
    ]
    keys = [dropout_key(spec.seed, spec.number) for spec in specs]
    return FusedModels(fuse(models, torch.tensor(keys, dtype=torch.int32, device=resident.device)))


def gather(resident: Resident, rows: Tensor, dtype: torch.dtype) -> Tensor:
    """The training inputs of each trial's rows: int64 [K, B] to [K, F, B]."""
    k, b = rows.shape
    x = resident.x_train.index_select(0, rows.reshape(-1))
    return resident.inputs(x, dtype).view(k, b, -1).transpose(1, 2)


def score(
    models: FusedModels, resident: Resident, x: Tensor, y: Tensor, dtype: torch.dtype
) -> tuple[list[float], Tensor]:
    """Accuracies in [0, 1], and summed losses [K] in nats, on inputs x [N, ...], classes y [N]."""
    k = models.parameters()[0].shape[0]
    hits = torch.zeros(k, dtype=torch.int64, device=y.device)
    losses = torch.zeros(k, dtype=dtype, device=y.device)
    with torch.no_grad():
        for start in range(0, len(y), EVALUATION_ROWS):
            part = slice(start, start + EVALUATION_ROWS)
            inputs = resident.inputs(x[part], dtype).flatten(1).T  # [F, B]
            outputs = models.forward(inputs.expand(k, *inputs.shape), training=False)
            labels = y[part].expand(k, -1)
            hits += (outputs.argmax(1) == labels).sum(1)
            losses += F.cross_entropy(outputs, labels, reduction="none").sum(1)
    return [count / len(y) for count in hits.tolist()], losses
