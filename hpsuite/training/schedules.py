"""How the learning rate decays. Rates are computed in float64 on the host, cast last."""

import numpy as np
from numpy.typing import NDArray

from hpsuite.trials import OptimizerSpec


def learning_rates(
    optimizer: OptimizerSpec, *, total_steps: int, steps_per_epoch: int
) -> NDArray[np.float64]:
    """The learning rate of every step, float64 [total_steps].

    With t the number of whole epochs done, and r the `decay_rate`:

    - `none`: rate
    - `step`: rate r^floor(t / decay_epochs)
    - `exponential`: rate r^t
    - `inverse_time`: rate / (1 + r t)
    - `cosine`: rate (1 + cos(pi s / total_steps)) / 2 after s steps (Loshchilov, Hutter 2016,
      equation 5, without restarts, by step)
    """
    step = np.arange(total_steps, dtype=np.float64)
    epoch = np.floor(step / steps_per_epoch)
    decay = optimizer.decay_rate
    if optimizer.schedule == "step":
        factor = decay ** np.floor(epoch / optimizer.decay_epochs)
    elif optimizer.schedule == "exponential":
        factor = decay**epoch
    elif optimizer.schedule == "inverse_time":
        factor = 1 / (1 + decay * epoch)
    elif optimizer.schedule == "cosine":
        factor = (1 + np.cos(np.pi * step / total_steps)) / 2
    else:
        factor = np.ones_like(step)
    return optimizer.learning_rate * factor
