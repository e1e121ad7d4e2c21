import math

import numpy as np
import pytest

from hpsuite.analysis import arm_figures, mean_t


def test_figures_of_a_small_arm_by_hand() -> None:
    scores = [[0.5, 0.8, 0.8, 0.1], [0.6, 0.2, 0.7, 0.7]]
    tests = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]
    found = arm_figures(scores, tests)
    assert (found.repeats, found.n_trials) == (2, 8)
    assert found.best_by_repeat == (0.8, 0.7)
    assert found.test_by_repeat == (0.2, 0.7)
    assert found.best_val_accuracy == mean_t([0.8, 0.7])
    assert found.test_accuracy == mean_t([0.2, 0.7])
    assert found.best_val_accuracy_sd == pytest.approx(0.1 / math.sqrt(2))
    assert found.test_accuracy_sd == pytest.approx(0.5 / math.sqrt(2))
    assert found.best_so_far == pytest.approx((0.55, 0.7, 0.75, 0.75))


def test_best_so_far_against_a_plain_loop() -> None:
    scores, tests = np.random.default_rng(0).random((2, 7, 20))
    found = arm_figures(scores, tests)
    loop = [np.mean([max(row[: i + 1]) for row in scores]) for i in range(20)]
    assert found.best_so_far == pytest.approx(loop)
    assert found.best_so_far[-1] == pytest.approx(found.best_val_accuracy.estimate)


def test_the_order_of_repeats_does_not_matter_and_that_of_trials_only_to_best_so_far() -> None:
    generator = np.random.default_rng(1)
    scores, tests = generator.random((2, 6, 15))
    found = arm_figures(scores, tests)
    repeats, trials = generator.permutation(6), generator.permutation(15)
    moved = arm_figures(scores[repeats], tests[repeats])
    assert moved.best_val_accuracy.estimate == pytest.approx(found.best_val_accuracy.estimate)
    assert moved.best_so_far == pytest.approx(found.best_so_far)
    mixed = arm_figures(scores[:, trials], tests[:, trials])
    assert mixed.best_val_accuracy == found.best_val_accuracy
    assert mixed.test_accuracy == found.test_accuracy
    assert mixed.best_so_far != found.best_so_far


def test_a_constant_added_to_all_scores_moves_the_figures_by_it() -> None:
    scores, tests = np.random.default_rng(2).uniform(0.4, 0.6, (2, 5, 10))
    found, moved = arm_figures(scores, tests), arm_figures(scores + 0.2, tests)
    assert moved.best_val_accuracy.low == pytest.approx(found.best_val_accuracy.low + 0.2)
    assert moved.best_val_accuracy_sd == pytest.approx(found.best_val_accuracy_sd)
    assert moved.test_accuracy == found.test_accuracy


def test_one_repeat_of_one_trial() -> None:
    found = arm_figures([[0.9]], [[0.8]])
    assert (found.repeats, found.n_trials, found.best_so_far) == (1, 1, (0.9,))
    assert (found.best_val_accuracy.estimate, found.test_accuracy.estimate) == (0.9, 0.8)
    assert math.isnan(found.best_val_accuracy.low)
    assert math.isnan(found.best_val_accuracy_sd)


def test_repeats_that_agree_have_no_spread() -> None:
    found = arm_figures([[0.1, 0.3]] * 3, [[0.2, 0.1]] * 3)
    assert found.best_val_accuracy_sd == 0
    assert found.best_val_accuracy.low == found.best_val_accuracy.high == pytest.approx(0.3)


@pytest.mark.parametrize("scores", [[[0.5, math.nan]], [0.5, 0.6], [[]], [[1.5, 0.5]]])
def test_bad_tables_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="scores must"):
        arm_figures(scores, [[0.5, 0.5]])
    with pytest.raises(ValueError, match="tests must have the shape of scores"):
        arm_figures([[0.5, 0.5]], [[0.5]])
