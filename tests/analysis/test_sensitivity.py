import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import Sensitivity, chance_limit, good_fractions, sensitivity, wilson

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
