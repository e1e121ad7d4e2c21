"""What choices of one setup are worth on another: yesterday's hyperparameters today.

Each repeat of a search chooses on each setup, and both choices are trained today with the same
fresh seeds, which had no part in choosing: the costs of the repeats are independent, and nothing
flatters them (docs/statistics-verdicts.md, Transfer).
"""

from collections.abc import Sequence

import numpy as np

from hpsuite.analysis.contrasts import EVERYWHERE
from hpsuite.analysis.fractions import ratio_of_means
from hpsuite.analysis.intervals import Interval, mean_t
from hpsuite.analysis.order_statistics import quantile
from hpsuite.analysis.warm_start import trials_saved
from hpsuite.findings.found import ArmFinding, Carried


def find_carried(arms: Sequence[ArmFinding]) -> list[Carried]:
    """All that was carried over, in order of the arms."""
    by_identity = {arm.table.identity: arm for arm in arms}
    return [
        _carried(by_identity[source], today)
        for today in arms
        for source in today.moved
        if today.again is not None
    ]


def _carried(before: ArmFinding, today: ArmFinding) -> Carried:
    assert today.again is not None
    own = today.again.test.mean(axis=1)
    old = today.moved[before.table.identity].test.mean(axis=1)
    costs = own - old
    nan = float("nan")
    relative = Interval(nan, nan, nan, 0.95, "not computable: no reference sample")
    saved = None
    budget = len(today.table.studies[0].results)
    if today.table.arm.strategy.is_reference:
        sample = np.array([result.test_accuracy for result in today.table.results])
        relative = ratio_of_means(costs, own - float(np.median(sample)))
        if 1 < budget < len(sample):
            saved = trials_saved(sample, old, budget)
    return Carried(
        before,
        today,
        mean_t(np.sort(own)),
        mean_t(np.sort(old)),
        mean_t(np.sort(costs), bounds=EVERYWHERE),
        quantile(costs, 0.5),
        relative,
        saved,
        budget,
        _alike(before, today),
    )


def _alike(before: ArmFinding, today: ArmFinding) -> int:
    """How many repeats chose the same configuration."""
    chosen = [
        [study.values[study.best.number] for study in arm.table.studies] for arm in (before, today)
    ]
    return sum(one == other for one, other in zip(*chosen, strict=True))
