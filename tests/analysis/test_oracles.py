"""Closed forms of searches, and hpsuite's own samplers held against them."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from scipy import stats

from hpsuite.analysis.oracles import grid_misses, random_hits_top, random_misses, trials_to_hit
from hpsuite.analysis.trials_to_good import trials_to_good
from hpsuite.strategies import GridSampler, ScaledRandomSampler

# The learning rate is active, over 4 decades on a log scale; dropout is inert.
SPACE = {
    "learning_rate": FloatDistribution(1e-4, 1, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
}
FALSE_ALARM = 1e-6


def searched(kind: str, k: int, seeds: int) -> np.ndarray:
    """Where the learning rates of k x k trials lie in their range, on the log scale: [seeds, k^2].

    Asked of the samplers trial by trial, as a study asks.
    """
    found = np.empty((seeds, k * k))
    for seed in range(seeds):
        sampler: GridSampler | ScaledRandomSampler
        if kind == "grid":
            sampler = GridSampler(SPACE, k * k, offset=True, seed=seed)
        else:
            sampler = ScaledRandomSampler(SPACE, k * k, seed=seed)
        study = optuna.create_study(sampler=sampler)
        rates = [study.ask(SPACE).params["learning_rate"] for _ in range(k * k)]
        found[seed] = np.log10(rates) / 4 + 1
    return found


@pytest.fixture(scope="module")
def places() -> dict[str, np.ndarray]:
    return {kind: searched(kind, 4, 400) for kind in ("grid", "random")}


def within(count: int, n: int, probability: float) -> bool:
    """Whether a count is one that chance explains."""
    low, high = stats.binom.ppf([FALSE_ALARM, 1 - FALSE_ALARM], n, probability)
    return bool(low <= count <= high)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.2, 0.25, 0.4])
@pytest.mark.parametrize("start", [0.0, 0.31, 0.55])
def test_samplers_miss_the_good_region_as_often_as_the_closed_form_says(
    places: dict[str, np.ndarray], share: float, start: float
) -> None:
    for kind, expected in (("grid", grid_misses(4, share)), ("random", random_misses(16, share))):
        inside = (places[kind] >= start) & (places[kind] < start + share)
        misses = int((~inside.any(axis=1)).sum())
        assert within(misses, len(inside), expected), (kind, misses, expected)


def test_a_grid_misses_more_where_a_dimension_is_inert(places: dict[str, np.ndarray]) -> None:
    # 16 trials are 4 values of the active one in a grid, 16 at random: .6 against .185 at 10%.
    assert grid_misses(4, 0.1) == pytest.approx(0.6)
    assert random_misses(16, 0.1) == pytest.approx(0.9**16)
    # With one dimension a grid of as many points is never worse.
    for share in (0.01, 0.05, 0.2):
        assert grid_misses(16, share) <= random_misses(16, share)


def test_figures_of_strategies_agree_with_the_oracle(places: dict[str, np.ndarray]) -> None:
    # A response that is good in the region and flat elsewhere: reached is 1 - missed.
    for kind, expected in (("grid", grid_misses(4, 0.1)), ("random", random_misses(16, 0.1))):
        scores = np.where((places[kind] >= 0.2) & (places[kind] < 0.3), 0.98, 0.5)
        found = trials_to_good(scores, 0.98)
        assert within(round(found.reached.estimate * 400), 400, 1 - expected), kind
        # Random trials are i.i.d., so that P(T <= k) = 1 - .9^k at every k.
        if kind == "random":
            for k in (1, 4, 8):
                assert within(round(found.share[k - 1] * 400), 400, 1 - 0.9**k), k


def test_iid_trials_hit_the_top() -> None:
    assert random_hits_top(100) == pytest.approx(1 - 0.99**100)
    scores = np.random.default_rng(0).random((5000, 60))
    hits = int((scores.max(axis=1) > 0.99).sum())
    assert within(hits, 5000, random_hits_top(60))


def test_random_sampler_hits_the_top_of_its_own_space(places: dict[str, np.ndarray]) -> None:
    # The top 5% of a response that peaks inside, as of any other, is 5% of the space.
    response = -np.abs(places["random"] - 0.37)
    hits = int((response.max(axis=1) > -0.025).sum())
    assert within(hits, 400, random_hits_top(16, 0.05))


def test_trials_to_hit() -> None:
    assert trials_to_hit(0.05) == pytest.approx(58.4, abs=0.05)
    assert trials_to_hit(0.01) == pytest.approx(298.1, abs=0.05)
    assert random_hits_top(299) >= 0.95 > random_hits_top(298)
    assert (trials_to_hit(0), trials_to_hit(1)) == (math.inf, 1)


def test_ends_and_refusals() -> None:
    assert (grid_misses(3, 0), grid_misses(3, 1), random_misses(3, 1)) == (1, 0, 0)
    with pytest.raises(ValueError, match="points must be 1 or more; found 0"):
        grid_misses(0, 0.1)
    with pytest.raises(ValueError, match="trials must be 1 or more; found -1"):
        random_misses(-1, 0.1)
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share must be"):
            random_hits_top(3, share)
    with pytest.raises(ValueError, match="probability must be"):
        trials_to_hit(0.1, 1.0)
