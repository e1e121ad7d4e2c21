"""Trials that an old choice saves, against closed forms and simulated searches."""

import math

import numpy as np
import pytest

from hpsuite.analysis.fractions import ratio_of_means
from hpsuite.analysis.intervals import t_quantile, wilson_roots
from hpsuite.analysis.warm_start import (
    saved_by_best,
    saved_by_random,
    trials_saved,
    trials_until_as_good,
)


def test_closed_forms() -> None:
    assert trials_until_as_good(0, 100, 16) == 16
    assert trials_until_as_good(100, 100, 16) == 1
    # Of three, one as good: after 1 trial with 1/3, else 2 or 3 of at most 3.
    assert trials_until_as_good(1, 3, 3) == pytest.approx((1 + 2 + 3) / 3)
    p, n = 0.1, 16
    geometric = (1 - (1 - p) ** n) / p
    assert trials_until_as_good(100_000, 1_000_000, n) == pytest.approx(geometric, rel=1e-4)


def test_without_bias() -> None:
    """The mean over samples is the closed form of the true share."""
    generator = np.random.default_rng(1)
    p, n, size = 0.08, 12, 40
    found = trials_until_as_good(generator.binomial(size, p, 40_000), size, n)
    error = float(np.std(found)) / math.sqrt(len(found))
    assert abs(np.mean(found) - (1 - (1 - p) ** n) / p) < 4 * error


def test_random_and_best_choices_have_closed_forms() -> None:
    generator = np.random.default_rng(2)
    sample, n = generator.random(5000), 16
    random = generator.random(4000)
    best = generator.random((4000, n)).max(axis=1)
    for choices, expected in ((random, saved_by_random(n)), (best, saved_by_best(n))):
        found = trials_saved(sample, choices, n)
        assert found.low < expected < found.high
        assert found.high - found.low < 1.0
    assert saved_by_random(16) == pytest.approx(2.38, abs=0.01)
    assert saved_by_best(16) == pytest.approx(10.34, abs=0.01)


def test_simulated_searches_agree() -> None:
    """The trials that searches need until they have one as good."""
    generator = np.random.default_rng(3)
    p, n = 0.15, 10
    wins = generator.random((100_000, n)) < p
    spent = np.where(wins.any(axis=1), wins.argmax(axis=1) + 1, n)
    sample = np.linspace(0, 1, 1001)[1:]
    found = trials_saved(sample, np.full(5, 1 - p + 0.0005), n)
    assert found.estimate == pytest.approx(spent.mean() - 1, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1, 0.2, 0.3], [0.1], 3), "budget must be in"),
        (([0.1, 0.2, 0.3], [0.1], 1), "budget must be in"),
        (([0.1, math.nan, 0.3], [0.1], 2), "sample"),
        (([0.1, 0.2, 0.3], [], 2), "choices"),
    ],
)
def test_mistakes(arguments: tuple[list[float], list[float], int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trials_saved(*arguments)


def test_ends_of_counts() -> None:
    with pytest.raises(ValueError, match="n_as_good must be in"):
        trials_until_as_good(4, 3, 2)
    with pytest.raises(ValueError, match="budget must be in"):
        trials_until_as_good(1, 3, 4)


def test_the_jackknife_leaves_each_configuration_out() -> None:
    generator = np.random.default_rng(5)
    sample, choices, n = generator.integers(0, 30, 60), generator.integers(0, 32, 7), 8

    def saved(scores: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        as_good = (scores >= choices[:, None]).sum(axis=1)
        return trials_until_as_good(as_good, len(scores), n) - 1

    left = np.array([saved(np.delete(sample, j)).mean() for j in range(60)])
    error = 59 / 60 * ((left - left.mean()) ** 2).sum() + saved(sample).var(ddof=1) / 7
    place = saved(sample).mean() / 7
    low, high = wilson_roots(place, place * (1 - place) / (error / 49), t_quantile(0.95, 6))
    found = trials_saved(sample, choices, n)
    assert (found.low, found.high) == pytest.approx((7 * low, 7 * high))


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_interval_covers(shift: float) -> None:
    """Old choices from a space whose best lies elsewhere; truth by the true shares."""
    generator = np.random.default_rng(4)
    hits, n, repeats = [], 16, 32
    found, truth = [], []
    for _ in range(300):
        x = generator.uniform(-1, 1, (repeats, n))
        picks = x[np.arange(repeats), np.abs(x - shift).argmin(axis=1)]
        share = np.abs(picks)
        truth.append(((1 - (1 - share) ** n) / share).mean() - 1)
        found.append(trials_saved(-np.abs(x).ravel(), -share, n))
    expected = np.mean(truth)
    hits = [i.low <= expected <= i.high for i in found]
    assert np.mean(hits) >= 0.91


def test_ratio_of_means_covers() -> None:
    """Costs and gains of the same repeats, by Fieller's method."""
    generator = np.random.default_rng(6)
    hits = []
    for _ in range(1000):
        gains = generator.normal(0.1, 0.03, 16)
        costs = 0.3 * gains + generator.normal(0, 0.01, 16)
        found = ratio_of_means(costs, gains)
        hits.append(found.low <= 0.3 <= found.high)
    assert 0.93 <= np.mean(hits) <= 0.97
    assert ratio_of_means([1.0], [2.0]).method == "not computable: one repeat"
    assert "may be 0" in ratio_of_means([1.0, 2.0], [-1.0, 1.0]).method
