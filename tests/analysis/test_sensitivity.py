import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import (
    Sensitivity,
    chance_limit,
    estimate_best,
    failed_fraction,
    good_fractions,
    sensitivity,
    wilson,
)

LIMIT = chance_limit(0.1, 359)


def of(
    scores: object, tests: object = None, nonfinite: object = None, limit: float = LIMIT
) -> Sensitivity:
    array = np.asarray(scores)
    return sensitivity(
        array,
        array if tests is None else tests,  # type: ignore[arg-type]
        np.zeros(array.shape, bool) if nonfinite is None else nonfinite,  # type: ignore[arg-type]
        limit,
        generator=np.random.default_rng(0),
    )


@pytest.mark.parametrize("share", [0.1, 37 / 359, 0.5, 0.9])
@pytest.mark.parametrize("n_val", [1, 10, 359, 10_000])
def test_chance_limit_is_the_smallest_count_that_covers_97_5_percent(
    share: float, n_val: int
) -> None:
    count = round(chance_limit(share, n_val) * n_val)
    assert chance_limit(share, n_val) == count / n_val
    masses = stats.binom.pmf(np.arange(n_val + 1), n_val, share)
    assert masses[: count + 1].sum() >= 0.975 - 1e-9
    assert masses[:count].sum() < 0.975


def test_chance_limit_at_the_ends_and_out_of_range() -> None:
    assert (chance_limit(0, 50), chance_limit(1, 50)) == (0, 1)
    for share, n_val in ((-0.1, 10), (1.1, 10), (math.nan, 10), (0.5, 0)):
        with pytest.raises(ValueError, match="majority_share must be"):
            chance_limit(share, n_val)


def test_figures_of_a_sample_by_hand() -> None:
    # Fifty trials: two good ones, a diverged one, one exactly at the chance limit, one just
    # above it, the others middling.
    scores = np.full(50, 0.8)
    scores[[3, 7, 10, 11, 12]] = 0.98, 0.96, 0.1, LIMIT, LIMIT + 1 / 359
    tests = np.linspace(0.5, 0.7, 50)
    nonfinite = np.arange(50) == 10
    found = of(scores, tests, nonfinite)
    assert found.n == 50
    assert found.b == pytest.approx(0.97)
    assert "best 4% (2 of 50 trials), not retrained" in found.b_rule
    assert found.above_chance
    assert (found.best_val_accuracy, found.test_accuracy) == (0.98, tests[3])
    assert found.nonfinite_fraction == wilson(1, 50)
    assert found.chance_fraction == wilson(1, 50)
    assert found.good_fractions == good_fractions(scores, generator=np.random.default_rng(0))
    assert found.good_fractions[2].estimate == 2 / 50


def test_the_first_among_ties_is_selected() -> None:
    assert of([0.2, 0.9, 0.9], [0.3, 0.4, 0.5]).test_accuracy == 0.4


def test_the_order_of_the_trials_does_not_matter() -> None:
    generator = np.random.default_rng(1)
    scores, tests = generator.random((2, 100))
    nonfinite = scores < 0.2
    order = generator.permutation(100)
    assert of(scores, tests, nonfinite) == of(scores[order], tests[order], nonfinite[order])


def test_one_trial() -> None:
    found = of([0.9])
    assert (found.n, found.b, found.best_val_accuracy, found.test_accuracy) == (1, 0.9, 0.9, 0.9)
    assert found.good_fractions[2].estimate == 1


def test_a_setup_that_never_trains_says_so() -> None:
    found = of(np.full(80, 0.1), nonfinite=np.ones(80, bool))
    assert not found.above_chance
    assert (found.nonfinite_fraction.estimate, found.chance_fraction.estimate) == (1, 0)
    finite = of(np.full(80, 0.1))
    assert not finite.above_chance
    assert (finite.nonfinite_fraction.estimate, finite.chance_fraction.estimate) == (0, 1)


def test_a_diverged_trial_stays_in_every_denominator() -> None:
    scores = np.append(np.full(30, 0.95), np.full(10, 0.1))
    found = of(scores, nonfinite=scores < 0.5)
    assert found.good_fractions[5].estimate == 30 / 40
    assert (found.nonfinite_fraction.estimate, found.chance_fraction.estimate) == (10 / 40, 0)


@pytest.mark.parametrize(
    ("tests", "nonfinite", "limit", "message"),
    [
        ([0.5, math.nan], None, LIMIT, "tests must be accuracies"),
        ([0.5], None, LIMIT, r"tests must have as many trials as scores \(2\); found 1"),
        (None, np.zeros(3, bool), LIMIT, "nonfinite must have as many trials"),
        (None, [0, 1], LIMIT, "nonfinite must be one axis of booleans; found int64"),
        (None, None, math.nan, "chance_limit must be an accuracy"),
        (None, None, 10.0, "chance_limit must be an accuracy"),
    ],
)
def test_bad_tables_are_refused(
    tests: object, nonfinite: object, limit: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        of([0.5, 0.6], tests, nonfinite, limit)
    with pytest.raises(ValueError, match="scores must be accuracies"):
        of([0.5, math.nan])


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        of([0.5]).n = 2  # type: ignore[misc]


def test_trials_of_others_need_no_chance_limit_no_test_scores_and_no_accuracies() -> None:
    losses = np.array([-2.0, -2.5, -9.0, -2.25] * 10)
    found = sensitivity(
        losses,
        None,
        losses < -5,
        None,
        generator=np.random.default_rng(0),
        unit=0.1,
        points=[1, 5],
    )
    assert (found.b, found.above_chance, found.best_val_accuracy) == (-2, True, -2)
    assert math.isnan(found.test_accuracy)
    assert {e: g.estimate for e, g in found.good_fractions.items()} == {1: 0.25, 5: 0.75}
    assert found.nonfinite_fraction == wilson(10, 40)
    assert math.isnan(found.chance_fraction.estimate)
    assert found.chance_fraction.method == "no chance limit"
    assert found.best.noise_sd == pytest.approx(0.05)
    limited = sensitivity(
        losses, losses, losses < -5, -2.5, generator=np.random.default_rng(0), unit=0.1
    )
    assert limited.chance_fraction == wilson(10, 40)
    with pytest.raises(ValueError, match="chance_limit must be finite"):
        sensitivity(losses, None, losses < 0, math.nan, generator=np.random.default_rng(0), unit=1)


def test_a_retrained_best_is_the_level() -> None:
    scores = np.linspace(0.1, 0.9, 80)
    best = estimate_best(scores, np.full((3, 2), 0.7), generator=np.random.default_rng(0))
    found = sensitivity(
        scores,
        scores,
        np.zeros(80, bool),
        0.75,
        generator=np.random.default_rng(0),
        best=best,
    )
    assert (found.b, found.b_rule, found.best) == (best.value, best.rule, best)
    assert not found.above_chance
    assert found.good_fractions[2].estimate == (scores >= 0.68).mean()


def test_failed_trials_are_a_share_of_all() -> None:
    assert failed_fraction([True, False, False, True]) == wilson(2, 4)
    assert failed_fraction(np.isnan([0.5, math.nan]), 0.9) == wilson(1, 2, 0.9)
    with pytest.raises(ValueError, match="failed must be one axis of booleans"):
        failed_fraction([0, 1])
    with pytest.raises(ValueError, match="failed must have at least one trial"):
        failed_fraction(np.zeros(0, bool))
    with pytest.raises(ValueError, match="level must be"):
        failed_fraction([True], 95)
