import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.across_setups import (
    interquartile_mean,
    interquartile_mean_difference,
    mean_probability_better,
    normalised,
)
from hpsuite.analysis.probability_better import probability_better


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores(setups: int, repeats: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = seeded(seed)
    return {f"s{i}": generator.beta(8 + i, 2, repeats) for i in range(setups)}


@pytest.mark.parametrize(("setups", "repeats"), [(1, 4), (2, 5), (3, 7), (8, 30)])
def test_the_estimate_is_scipys_trimmed_mean(setups: int, repeats: int) -> None:
    table = scores(setups, repeats)
    found = interquartile_mean(table, generator=seeded(), resamples=10)
    runs = np.concatenate(list(table.values()))
    assert found.estimate == pytest.approx(stats.trim_mean(runs, 0.25))


def test_a_failed_setup_moves_it_less_than_the_mean() -> None:
    table = scores(5, 30)
    failed = {**table, "s0": np.zeros(30)}
    before, after = (
        interquartile_mean(t, generator=seeded(), resamples=10).estimate for t in (table, failed)
    )
    means = [np.mean(list(t.values())) for t in (table, failed)]
    assert before - after < (means[0] - means[1]) / 3


def test_the_standard_error_is_that_of_resampling_within_setups() -> None:
    # One setup, four runs: the middle two of each of 4^4 resamples.
    values = np.array([0.0, 1.0, 3.0, 7.0])
    every = np.sort(values[np.array(list(np.ndindex(4, 4, 4, 4)))], axis=1)[:, 1:3].mean(axis=1)
    found = interquartile_mean({"a": values}, generator=seeded(), resamples=100_000)
    half = stats.t.isf(0.025, 3) * every.std() * math.sqrt(4 / 3)
    assert found.high - found.estimate == pytest.approx(half, rel=0.01)
    # Setups far apart but without spread within leave no uncertainty about these setups.
    apart = interquartile_mean({"a": [0.0] * 5, "b": [1.0] * 5}, generator=seeded())
    assert apart.low == apart.high == apart.estimate == 0.5


def test_difference_of_equal_samples_and_of_shifted_ones() -> None:
    table = scores(3, 10)
    shifted = {setup: values + 0.25 for setup, values in table.items()}
    paired = interquartile_mean_difference(shifted, table, generator=seeded(), paired=True)
    assert paired.estimate == pytest.approx(0.25)
    assert (paired.low, paired.high) == pytest.approx((0.25, 0.25))
    unpaired = interquartile_mean_difference(shifted, table, generator=seeded())
    assert unpaired.low < 0.25 < unpaired.high


def test_order_does_not_matter() -> None:
    table = scores(3, 10)
    turned = {setup: values[::-1] for setup, values in reversed(table.items())}
    assert interquartile_mean(table, generator=seeded(1)) == interquartile_mean(
        turned, generator=seeded(1)
    )


def test_normalised_puts_anchors_at_0_and_1() -> None:
    assert normalised([0.1, 0.55, 1.0], 0.1, 1.0) == pytest.approx([0, 0.5, 1])
    assert normalised([1.2], 0.2, 0.7) == pytest.approx([2.0])
    for low, high in ((1, 1), (1, 0), (math.nan, 1), (0, math.inf)):
        with pytest.raises(ValueError, match="low must be below high"):
            normalised([0.5], low, high)


def test_mean_probability_better_of_one_setup_is_its_own() -> None:
    a, b = scores(1, 12, 1), scores(1, 12, 2)
    found, own = mean_probability_better(a, b), probability_better(a["s0"], b["s0"])
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (own.estimate, own.low, own.high)
    )
    many = mean_probability_better(scores(4, 12, 1), scores(4, 12, 2))
    assert many.high - many.low < 0.7 * (found.high - found.low)
    assert mean_probability_better(a, {"s0": a["s0"] - 2}).high == 1


def test_one_repeat_has_no_interval() -> None:
    found = interquartile_mean({"a": [0.5], "b": [0.7]}, generator=seeded())
    assert found.estimate == pytest.approx(0.6)
    assert math.isnan(found.low)
    difference = interquartile_mean_difference({"a": [0.5]}, {"a": [0.7, 0.8]}, generator=seeded())
    assert math.isnan(difference.high)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="one setup at least"):
        interquartile_mean({}, generator=seeded())
    with pytest.raises(ValueError, match="one number of repeats"):
        interquartile_mean({"a": [1.0], "b": [1.0, 2.0]}, generator=seeded())
    with pytest.raises(ValueError, match="scores of a must be"):
        interquartile_mean({"a": [math.nan]}, generator=seeded())
    with pytest.raises(ValueError, match="resamples must be"):
        interquartile_mean({"a": [1.0]}, generator=seeded(), resamples=1)
    with pytest.raises(ValueError, match="the setups of a"):
        interquartile_mean_difference({"a": [1.0]}, {"b": [1.0]}, generator=seeded())
    with pytest.raises(ValueError, match="as many repeats where paired"):
        interquartile_mean_difference(
            {"a": [1.0]}, {"a": [1.0, 2.0]}, generator=seeded(), paired=True
        )
    with pytest.raises(ValueError, match="the setups of a"):
        mean_probability_better({}, {})


@pytest.mark.parametrize("setups", [2, 8])
def test_coverage_at_thirty_repeats(setups: int) -> None:
    generator, simulations = seeded(3), 300
    a = 8 + np.arange(setups)[:, None]
    many = np.sort(generator.beta(a, 2, (setups, 200_000)).ravel())
    truth = many[len(many) // 4 : -(len(many) // 4)].mean()
    hits = 0
    for table in generator.beta(a, 2, (simulations, setups, 30)):
        named = {str(i): row for i, row in enumerate(table)}
        found = interquartile_mean(named, generator=generator, resamples=200)
        hits += found.low <= truth <= found.high
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.94)


def test_repeats_that_share_their_seeds_over_setups_are_resampled_together() -> None:
    # The same luck in both setups: there is no more in two than in one.
    values = np.array([0.0, 1.0, 3.0, 7.0])
    every = np.sort(np.tile(values[np.array(list(np.ndindex(4, 4, 4, 4)))], 2), axis=1)
    error = every[:, 2:6].mean(axis=1).std() * math.sqrt(4 / 3)
    both = {"a": values, "b": values}
    found = interquartile_mean(both, generator=seeded(), shared=True, resamples=100_000)
    assert found.high - found.estimate == pytest.approx(stats.t.isf(0.025, 3) * error, rel=0.01)
    apart = interquartile_mean(both, generator=seeded(), resamples=100_000)
    assert apart.high - apart.low < 0.8 * (found.high - found.low)
    zero = {"a": np.zeros(4), "b": np.zeros(4)}
    # Against what does not vary, a difference varies as the figure itself.
    minus = interquartile_mean_difference(
        both, zero, generator=seeded(), shared=True, resamples=100_000
    )
    assert minus.high - minus.low == pytest.approx(found.high - found.low, rel=0.01)


def test_shared_luck_does_not_average_out_of_p_better() -> None:
    a, b = seeded(1).normal(0.5, 1, 12), seeded(2).normal(0, 1, 12)
    alone = probability_better(a, b)
    found = mean_probability_better({"x": a, "y": a}, {"x": b, "y": b}, shared=True)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (alone.estimate, alone.low, alone.high)
    )


def test_coverage_where_setups_share_their_luck() -> None:
    """Of 300 intervals at 95%, fewer than 90% covering would come of 93% once in 50 times."""
    generator, covered = seeded(3), 0
    for _ in range(300):
        luck, own = generator.normal(size=(1, 8)), generator.normal(size=(4, 8))
        table = math.sqrt(0.9) * luck + math.sqrt(0.1) * own
        rows = {str(i): row for i, row in enumerate(table)}
        found = interquartile_mean(rows, generator=seeded(), shared=True, resamples=300)
        covered += found.low <= 0 <= found.high
    assert covered >= 270
