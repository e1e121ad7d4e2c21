"""The learning curves of an arm's trials: after how many steps which accuracy.

A trial is scored after each epoch and after its last step. One that diverged, or was pruned, has
the chance score from then on, so that all trials of a budget are scored as often.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsuite.findings.tables import ArmTable
from hpsuite.training.loop import minibatches
from hpsuite.trials import Scalar, TrialResult

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """Validation accuracies in [0, 1] over the steps of a trial, or the best of a repeat's so far.

    Attributes:
        steps: gradient steps before each evaluation, shape [m], ascending.
        accuracy: [m].
    """

    steps: Floats
    accuracy: Floats


def course_of(table: ArmTable, values: Mapping[str, Scalar], result: TrialResult) -> Course:
    """The learning curve of one trial of an arm."""
    setup = table.arm.setup
    size = int(values.get("batch_size") or setup.batch_size)
    per_epoch = len(minibatches(len(table.data.y_train), size))
    budget = values.get("steps", setup.steps)
    epochs = values.get("epochs", setup.epochs)
    total = int(budget) if budget is not None else int(epochs or 0) * per_epoch
    steps = np.minimum(per_epoch * np.arange(1, -(-total // per_epoch) + 1), total)
    accuracy = np.full(len(steps), table.data.majority_share("val"))
    known = result.val_curve[: len(steps)]
    accuracy[: len(known)] = known
    return Course(steps.astype(np.float64), accuracy)


def courses(table: ArmTable) -> list[list[Course]]:
    """The learning curves of each repeat's trials."""
    return [
        [course_of(table, v, r) for v, r in zip(study.values, study.results, strict=True)]
        for study in table.studies
    ]


def is_single(table: ArmTable) -> bool:
    """Whether each repeat is one trial of one and the same configuration, and there are several."""
    tried = [list(study.values) for study in table.studies]
    return len(tried) > 1 and all(len(own) == 1 and own == tried[0] for own in tried)
