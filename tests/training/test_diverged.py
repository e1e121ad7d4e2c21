"""A diverged trial is an outcome: the chance score, stopped, its neighbours untouched."""

import math

import numpy as np
import pytest

from hpsuite.training import Resident, train_fused, train_plain
from hpsuite.trials import OptimizerSpec, TrialResult, TrialSpec
from tests.training.cases import trial


def hopeless(resident: Resident, number: int = 0, rate: float = 1e30) -> TrialSpec:
    return trial(
        resident,
        number,
        model={"units": 16},
        optimizer=OptimizerSpec(learning_rate=rate),
        epochs=5,
    )


def check(result: TrialResult, resident: Resident) -> None:
    data = resident.data
    labels, counts = np.unique(data.y_train, return_counts=True)
    majority = labels[counts.argmax()]
    assert result.outcome == "nonfinite"
    assert result.val_accuracy == float(np.mean(data.y_val == majority))
    assert result.test_accuracy == float(np.mean(data.y_test == majority))
    assert all(math.isfinite(loss) for loss in result.loss_curve)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
def test_it_scores_the_share_of_the_majority_class_and_stops(
    resident_few: Resident, fused: bool
) -> None:
    spec = hopeless(resident_few)
    [result] = train_fused([spec], resident_few) if fused else [train_plain(spec, resident_few)]
    check(result, resident_few)
    assert result.steps == 4  # the first of five epochs of 216 rows in batches of 64
    assert result.val_curve == ()
    assert result.loss_curve == ()


def test_it_stops_at_the_end_of_the_epoch_in_which_it_diverged(resident_few: Resident) -> None:
    """A rate that only its exponential growth makes too large, so that it lives for a while."""
    spec = trial(
        resident_few,
        model={"units": 16},
        optimizer=OptimizerSpec(
            learning_rate=1e-3, schedule="exponential", decay_rate=1e5, momentum=0.0
        ),
        epochs=12,
    )
    [fused], plain = train_fused([spec], resident_few), train_plain(spec, resident_few)
    for result in (fused, plain):
        check(result, resident_few)
        n_good = len(result.val_curve)
        assert 0 < n_good < 11
        assert result.steps == 4 * (n_good + 1)
        assert len(result.loss_curve) in (n_good, n_good + 1)
    assert fused.steps == plain.steps


def test_neighbours_train_on(resident_few: Resident) -> None:
    good = [hopeless(resident_few, i, rate=0.02 * i) for i in (1, 2, 3)]
    bad = [hopeless(resident_few, 9), hopeless(resident_few, 10, rate=1e25)]
    alone = train_fused(good, resident_few)
    both = train_fused([bad[0], good[0], good[1], bad[1], good[2]], resident_few)
    for mine, theirs in zip(alone, (both[1], both[2], both[4]), strict=True):
        assert mine.outcome == "finite"
        assert mine.same_outcome(theirs)
    for result in (both[0], both[3]):
        check(result, resident_few)
        assert result.steps == 4
    assert [r.number for r in both] == [9, 1, 2, 10, 3]


def test_all_of_a_batch_may_diverge(resident_few: Resident) -> None:
    results = train_fused([hopeless(resident_few, i) for i in range(3)], resident_few)
    for result in results:
        check(result, resident_few)
        assert result.seconds > 0
