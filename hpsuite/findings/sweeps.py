"""Sweeps of the learning rate: what an arm tried of it, and what that shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsuite.analysis.rate_sweep import RateSweep, rate_sweep
from hpsuite.findings.tables import ArmTable

# A sweep needs so many seeds, and steps of at most so many decades.
SWEEP_SEEDS, SWEEP_STEP = 5, 0.2


@dataclass(frozen=True)
class Ladder:
    """What an arm tried that swept the learning rate.

    Attributes:
        rates: [m], ascending.
        scores, failed: [m, s] for s seeds.
    """

    rates: NDArray[np.float64]
    scores: NDArray[np.float64]
    failed: NDArray[np.bool_]


def ladder(table: ArmTable) -> Ladder | None:
    """The sweep of an arm that tries the same rates, close enough, with enough seeds."""
    names = table.arm.setup.space.names
    if names != ("learning_rate",) or len(table.studies) < SWEEP_SEEDS:
        return None
    by_study = [
        sorted(
            (float(v["learning_rate"] or 0.0), r.val_accuracy, r.outcome == "nonfinite")
            for v, r in zip(study.values, study.results, strict=True)
        )
        for study in table.studies
    ]
    ladders = {tuple(rate for rate, _, _ in rows) for rows in by_study}
    if len(ladders) != 1:
        return None
    (rates,) = ladders
    steps = np.diff(np.log10(rates))
    if len(rates) < 3 or steps.min() <= 0 or steps.max() > SWEEP_STEP + 1e-9:
        return None
    scores = np.array([[score for _, score, _ in rows] for rows in by_study]).T
    failed = np.array([[bad for _, _, bad in rows] for rows in by_study]).T
    return Ladder(np.array(rates), scores, failed)


def sweep_of(table: ArmTable) -> RateSweep | None:
    """The figures of an arm that swept the learning rate."""
    tried = ladder(table)
    if tried is None:
        return None
    return rate_sweep(tried.rates, tried.scores, failed=tried.failed)
