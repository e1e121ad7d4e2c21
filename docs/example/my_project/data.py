"""A data set: a function that returns a `Source`. Its annotations say what it accepts."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from hpsuite.datasets import Source


def rings(
    *,
    rows: Annotated[int, Ge(100)] = 1500,
    noise: Annotated[float, Ge(0)] = 0.35,
    seed: Annotated[int, Ge(0)] = 0,
) -> Source:
    """Points [2] on three rings around the origin, a class each.

    Args:
        rows: how many points.
        noise: standard deviation of their distance from the ring, of which radii are 1 apart.
        seed: decides where they lie.
    """
    generator = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    radius = 1 + y + noise * generator.standard_normal(rows)
    angle = generator.uniform(0, 2 * np.pi, rows)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    return Source(x=x, y=y.astype(np.int64), n_classes=3, scale=1.0)
