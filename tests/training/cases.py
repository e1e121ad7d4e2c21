"""Trials to train in tests, and what they computed to the bit."""

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from hpsuite.training import Resident
from hpsuite.training.fused import FusedBatch
from hpsuite.training.layers import BatchNormEnsemble
from hpsuite.trials import (
    ModelSpec,
    Numerics,
    OptimizerSpec,
    TrialResult,
    TrialSpec,
    frozen_arguments,
)

SEED = 20_261_123


def trial(
    resident: Resident,
    number: int = 0,
    *,
    target: str = "hpsuite.models.mlp",
    model: dict[str, object] | None = None,
    optimizer: OptimizerSpec | None = None,
    dtype: str = "float32",
    batch_size: int = 64,
    epochs: int | None = None,
    steps: int | None = None,
    study: str = "s",
    seed: int = SEED,
) -> TrialSpec:
    """A trial on a resident data set; one epoch where no budget is given."""
    if epochs is None and steps is None:
        epochs = 1
    return TrialSpec(
        study,
        number,
        seed,
        resident.data.fingerprint,
        ModelSpec(target, frozen_arguments(model or {})),
        optimizer or OptimizerSpec(learning_rate=0.05),
        batch_size,
        epochs,
        steps,
        Numerics(dtype=dtype),  # type: ignore[arg-type]
    )


def states(batch: FusedBatch) -> list[Tensor]:
    """All that a batch learned: parameters and running statistics, [K, ...] each."""
    tensors = [p.detach() for p in batch.models.parameters()]
    for layer in batch.models.layers:
        if isinstance(layer, BatchNormEnsemble):
            tensors += [layer.running_mean, layer.running_var]
    return tensors


def bits(batch: FusedBatch) -> dict[int, str]:
    """A digest of each trial's weights, running statistics and predictions, by its number."""
    predictions = batch.predict(batch.resident.x_val)
    digests = {}
    for place, i in enumerate(batch.alive):
        digest = hashlib.sha256()
        for tensor in (*states(batch), predictions):
            digest.update(tensor[place].contiguous().numpy().tobytes())
        digests[batch.specs[i].number] = digest.hexdigest()
    return digests


def largest_difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return float(torch.abs(a.detach() - b.detach()).max())


def rounded(result: TrialResult) -> TrialResult:
    """A result without its time, its losses in digits that two ways of computing share."""

    def short(loss: float | None) -> float | None:
        return None if loss is None else float(f"{loss:.9g}")

    return replace(
        result,
        seconds=0.0,
        loss_curve=tuple(float(f"{loss:.9g}") for loss in result.loss_curve),
        initial_loss=short(result.initial_loss),
        val_loss=short(result.val_loss),
    )
