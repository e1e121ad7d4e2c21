import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.intervals import wilson
from hpsuite.analysis.misses import miss_probability


def exact(count: int, n: int):
    return stats.binomtest(count, n).proportion_ci(method="exact")


def test_without_noise_it_is_clopper_and_pearsons() -> None:
    scores = np.repeat([[0.9], [0.8], [0.95], [0.7]], 3, axis=1)
    found = miss_probability(scores, 0.95, margin=0.05)
    expected = exact(2, 4)
    assert found.noise_sd == found.near == 0
    assert found.probability.estimate == found.plain.estimate == 0.5
    assert found.probability.low == pytest.approx(expected.low)
    assert found.probability.high == pytest.approx(expected.high)
    assert found.plain == wilson(2, 4)
    assert (found.repeats, found.seeds) == (4, 3)


def test_ends_step_aside_by_two_standard_errors() -> None:
    # Threshold 0, standard error .1 at 4 seeds: below -.2 surely bad, above .2 surely good.
    means = np.array([-0.3, -0.15, -0.05, 0.05, 0.15, 0.3, 0.4, 0.5])
    scores = np.repeat(means[:, None], 4, axis=1)
    found = miss_probability(scores, 0.0, margin=0.0, noise_sd=0.2)
    wrong = stats.norm.sf(2)
    assert found.probability.estimate == 3 / 8
    assert found.near == 4 / 8
    assert found.probability.low == pytest.approx(max(0, (exact(1, 8).low - wrong) / (1 - wrong)))
    assert found.probability.high == pytest.approx(exact(5, 8).high / (1 - wrong))
    # An error of b moves all repeats at once.
    wider = miss_probability(scores, 0.0, margin=0.0, noise_sd=0.2, b_error=0.2)
    assert wider.near == 1
    assert wider.probability.low == 0


def test_noise_is_pooled_over_repeats() -> None:
    scores = np.array([[0.0, 2.0], [5.0, 5.0]])
    assert miss_probability(scores, 0.0).noise_sd == pytest.approx(1.0)


@pytest.mark.parametrize("repeats", [5, 30, 100])
@pytest.mark.parametrize("place", [-0.1, 0.0, 0.1, 1.0])
def test_it_covers_even_where_all_lie_beside_the_threshold(repeats: int, place: float) -> None:
    # Where all true scores are .1 from the threshold, the plain share is far from 0 or 1.
    generator, simulations = np.random.default_rng(0), 300
    truth = float(place < 0)
    scores = place + 0.6 * generator.standard_normal((simulations, repeats, 3))
    found = [miss_probability(s, 0.0, margin=0.0) for s in scores]
    hits = sum(f.probability.low <= truth <= f.probability.high for f in found)
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.95)
    if place == 0.1:
        assert np.mean([f.probability.estimate for f in found]) > 0.3


def test_it_narrows_where_repeats_are_clear() -> None:
    generator = np.random.default_rng(1)
    true = np.where(np.arange(100) < 20, -5.0, 5.0)[:, None]
    found = miss_probability(true + 0.5 * generator.standard_normal((100, 5)), 0.0, margin=0.0)
    expected = exact(20, 100)
    assert found.near == 0
    assert found.probability.low == pytest.approx(expected.low, abs=0.025)
    assert found.probability.high == pytest.approx(expected.high, abs=0.01)


def test_order_does_not_matter() -> None:
    scores = np.random.default_rng(2).normal(size=(9, 4))
    assert miss_probability(scores, 0.1) == miss_probability(scores[::-1], 0.1)


def test_one_seed_needs_an_assumed_noise() -> None:
    with pytest.raises(ValueError, match="2 seeds or more a repeat, or noise_sd; found 1"):
        miss_probability([[0.5]], 0.9)
    found = miss_probability([[0.5]], 0.9, noise_sd=0.005)
    assert found.probability.estimate == 1
    assert 0 <= found.probability.low < 0.3
    for arguments, words in (
        ({"noise_sd": -1.0}, "noise_sd must be"),
        ({"margin": math.nan, "noise_sd": 1.0}, "margin must be"),
        ({"b_error": -0.1, "noise_sd": 1.0}, "b_error must be"),
        ({"level": 2, "noise_sd": 1.0}, "level must be"),
    ):
        with pytest.raises(ValueError, match=words):
            miss_probability([[0.5]], 0.9, **arguments)
    with pytest.raises(ValueError, match="scores must"):
        miss_probability([[math.nan, 1.0]], 0.9)
