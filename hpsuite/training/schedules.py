"""How the learning rate rises and decays. Rates are computed in float64 on the host, cast last."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpsuite.trials import OptimizerSpec, TrialSpec

# What can be gone on with while nobody knows how many steps there will be.
ENDLESS = ("none", "step", "exponential", "inverse_time")


def learning_rates(
    optimizer: OptimizerSpec, *, total_steps: int, steps_per_epoch: int, first_epoch: int = 0
) -> NDArray[np.float64]:
    """The learning rate of every step, float64 [total_steps].

    Where training goes on at `first_epoch`, whole epochs were trained before, and the schedule is
    one of ENDLESS without a warm-up.

    The warm-up takes w steps, the whole number nearest to `warmup_fraction` of all. Its step i,
    counted from 0, goes at rate (i + 1) / w (Goyal et al. 2017, section 2.2). The decay begins
    after it. With s the steps and t the whole epochs since the warm-up, n the steps that there are
    after it, and r the `decay_rate`:

    - `none`: rate
    - `step`: rate r^floor(t / decay_epochs)
    - `exponential`: rate r^t
    - `inverse_time`: rate / (1 + r t)
    - `cosine`: rate (1 + cos(pi s / n)) / 2 (Loshchilov, Hutter 2016, equation 5, without
      restarts, by step)
    """
    warmup = round(optimizer.warmup_fraction * total_steps)
    rising = np.arange(1, warmup + 1, dtype=np.float64) / max(warmup, 1)
    remaining = total_steps - warmup
    assert first_epoch == 0 or (warmup == 0 and optimizer.schedule in ENDLESS), optimizer
    step = np.arange(remaining, dtype=np.float64) + first_epoch * steps_per_epoch
    epoch = np.floor(step / steps_per_epoch)
    decay = optimizer.decay_rate
    if optimizer.schedule == "step":
        factor = decay ** np.floor(epoch / optimizer.decay_epochs)
    elif optimizer.schedule == "exponential":
        factor = decay**epoch
    elif optimizer.schedule == "inverse_time":
        factor = 1 / (1 + decay * epoch)
    elif optimizer.schedule == "cosine":
        factor = (1 + np.cos(np.pi * step / max(remaining, 1))) / 2
    else:
        factor = np.ones_like(step)
    return optimizer.learning_rate * np.concatenate([rising, factor])


def rate_table(specs: Sequence[TrialSpec], totals: Sequence[int], steps_per_epoch: int) -> Tensor:
    """Learning rates of K trials, float64 [steps of the longest, K]; 0 for those that are done.

    Args:
        specs: of the trials.
        totals: each one's gradient steps.
        steps_per_epoch: of all.
    """
    table = torch.zeros(max(totals), len(specs), dtype=torch.float64)
    for place, (spec, total) in enumerate(zip(specs, totals, strict=True)):
        rates = learning_rates(
            spec.optimizer,
            total_steps=total,
            steps_per_epoch=steps_per_epoch,
            first_epoch=spec.first_epoch,
        )
        table[:total, place] = torch.from_numpy(rates)
    return table
