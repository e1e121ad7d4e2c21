"""Sweeps of the learning rate: what an arm tried of it, and what that shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpsuite.analysis import chance_limit
from hpsuite.analysis.rate_sweep import RateSweep, rate_sweep
from hpsuite.findings.tables import ArmTable
from hpsuite.trials import TrialResult

# A sweep needs so many seeds, and steps of at most so many decades.
SWEEP_SEEDS, SWEEP_STEP = 5, 0.2


@dataclass(frozen=True)
class Ladder:
    """What an arm tried that swept the learning rate.

    Attributes:
        rates: [m], ascending.
        scores, failed: [m, s] for s seeds; failed are those that diverged.
        losses, initial_losses: [m, s], validation losses in nats at the end, nan for a failed
            trial, and before the first step; None where they are not known of all trials.
        without_losses: why they are None.
    """

    rates: NDArray[np.float64]
    scores: NDArray[np.float64]
    failed: NDArray[np.bool_]
    losses: NDArray[np.float64] | None = None
    initial_losses: NDArray[np.float64] | None = None
    without_losses: str = ""


def ladder(table: ArmTable) -> Ladder | None:
    """The sweep of an arm that tries the same rates, close enough, with enough seeds."""
    names = table.arm.setup.space.names
    if names != ("learning_rate",) or len(table.studies) < SWEEP_SEEDS:
        return None
    by_study = [
        sorted(
            (
                (float(v["learning_rate"] or 0.0), r)
                for v, r in zip(study.values, study.results, strict=True)
            ),
            key=lambda pair: (pair[0], pair[1].val_accuracy),
        )
        for study in table.studies
    ]
    ladders = {tuple(rate for rate, _ in rows) for rows in by_study}
    if len(ladders) != 1:
        return None
    (rates,) = ladders
    steps = np.diff(np.log10(rates))
    if len(rates) < 3 or steps.min() <= 0 or steps.max() > SWEEP_STEP + 1e-9:
        return None
    # [m][s]
    results = list(zip(*([result for _, result in rows] for rows in by_study), strict=True))
    scores = np.array([[r.val_accuracy for r in row] for row in results])
    failed = np.array([[r.came_to_nothing for r in row] for row in results])
    found = Ladder(np.array(rates), scores, failed)
    if reason := _without_losses([r for row in results for r in row]):
        return replace(found, without_losses=reason)
    # None becomes nan.
    last = np.array([[r.val_loss for r in row] for row in results], np.float64)
    first = np.array([[r.initial_loss for r in row] for row in results], np.float64)
    return replace(found, losses=last, initial_losses=first)


def _without_losses(results: Sequence[TrialResult]) -> str:
    """Why the losses of a sweep are not known; empty where they are."""
    without = [r for r in results if r.initial_loss is None]
    if not without:
        return ""
    # A trial that was finite at the end had a finite loss before its first step.
    if any(r.outcome == "finite" for r in without):
        return "trials were recorded before validation losses were"
    return "a trial has no finite loss before its first step"


def sweep_of(table: ArmTable) -> RateSweep | None:
    """The figures of an arm that swept the learning rate."""
    tried = ladder(table)
    if tried is None:
        return None
    # One that ends at chance does not train at its rate, as one that diverges does not.
    data = table.data
    at_chance = tried.scores <= chance_limit(data.majority_share("val"), len(data.y_val)) + 1e-9
    found = rate_sweep(
        tried.rates,
        tried.scores,
        failed=tried.failed | at_chance,
        losses=tried.losses,
        initial_loss=tried.initial_losses,
    )
    if tried.losses is None:
        method = f"not computable: {tried.without_losses}"
        found = replace(found, sensitivity_nats=replace(found.sensitivity_nats, method=method))
    return found
