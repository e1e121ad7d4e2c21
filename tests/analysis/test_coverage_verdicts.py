"""Coverage over 1,000 simulated data sets of the intervals that promise 93% or more."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import (
    Interval,
    interquartile_mean_difference,
    mean_probability_better,
    miss_probability,
    probability_better,
    transfer_costs,
    trials_to_good,
    wilson,
)
from hpsuite.analysis.contrasts import combined
from hpsuite.analysis.environments import environment_sensitivity
from hpsuite.analysis.order_statistics import quantile
from hpsuite.analysis.strategies import mean_regret

pytestmark = pytest.mark.slow

SIMULATIONS = 1000
Draw = Callable[[np.random.Generator], tuple[Interval, float]]


def of_median(g: np.random.Generator) -> tuple[Interval, float]:
    return quantile(g.exponential(size=30), 0.5), math.log(2)


def of_tenth_percentile(g: np.random.Generator) -> tuple[Interval, float]:
    return quantile(g.exponential(size=100), 0.1), -math.log(0.9)


def of_regret(g: np.random.Generator) -> tuple[Interval, float]:
    b = 1.0 + 0.1 * g.standard_normal()
    return mean_regret(g.normal(0.6, 0.5, 30), b, b_error=0.1), 0.4


def of_trials(g: np.random.Generator) -> tuple[Interval, float]:
    found = trials_to_good(g.random((30, 16)), 1.0, margin=0.15).restricted_mean
    return found, (1 - 0.85**16) / 0.15


def of_misses(g: np.random.Generator) -> tuple[Interval, float]:
    true = np.where(g.random(30) < 0.2, -1.0, 0.2)[:, None]
    scores = true + 0.6 * g.standard_normal((30, 5))
    return miss_probability(scores, 0.0, margin=0.0).probability, 0.2


def of_better(g: np.random.Generator) -> tuple[Interval, float]:
    shift = stats.norm.ppf(0.9) * math.sqrt(26)
    return probability_better(g.normal(shift, 1, 30), g.normal(0, 5, 30)), 0.9


def of_better_pairs(g: np.random.Generator) -> tuple[Interval, float]:
    luck = g.normal(size=30)
    # The difference is normal with mean .5 and variance 2.
    a, b = luck + g.normal(0.5, 1, 30), luck + g.normal(0, 1, 30)
    return probability_better(a, b, paired=True), float(stats.norm.cdf(0.5 / math.sqrt(2)))


def of_interquartile_difference(g: np.random.Generator) -> tuple[Interval, float]:
    a, b = ({str(i): g.beta(5 + i, 2, 30) for i in range(3)} for _ in range(2))
    return interquartile_mean_difference(a, b, generator=g, resamples=200), 0.0


def of_mean_better(g: np.random.Generator) -> tuple[Interval, float]:
    a = {str(i): g.normal(i / 2, 1, 30) for i in range(4)}
    b = {str(i): g.normal(0, 1, 30) for i in range(4)}
    truth = np.mean(stats.norm.cdf(np.arange(4) / 2 / math.sqrt(2)))
    return mean_probability_better(a, b), float(truth)


def of_combined(g: np.random.Generator) -> tuple[Interval, float]:
    shares = (0.1, 0.3, 0.2, 0.2)
    counts = g.binomial(256, shares)
    return combined([wilson(int(c), 256) for c in counts], [1, -1, -1, 1]), -0.2


def of_transfer(g: np.random.Generator) -> tuple[Interval, float]:
    x = g.uniform(-1, 1, 256)
    scores = {
        name: (1 - (x - best) ** 2)[:, None] + 0.02 * g.standard_normal((256, 2))
        for name, best in (("a", 0.0), ("b", 0.4))
    }
    return transfer_costs(scores, generator=g, resamples=200).costs["a", "b"], 0.16


def of_environments(g: np.random.Generator) -> tuple[Interval, float]:
    true = 1 - 0.15 * (g.uniform(-3, 3, 100) - np.array([[-1.0], [0.0], [1.0]])) ** 2
    found = environment_sensitivity(true[..., None] + 0.05 * g.standard_normal((3, 100, 3)))
    return found.sensitivity, float(true.max(axis=1).mean() - true.mean(axis=0).max())


DRAWS = [
    of_median,
    of_tenth_percentile,
    of_regret,
    of_trials,
    of_misses,
    of_better,
    of_better_pairs,
    of_interquartile_difference,
    of_mean_better,
    of_combined,
    of_transfer,
    of_environments,
]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__.removeprefix("of_"))
def test_intervals_cover_93_percent(draw: Draw) -> None:
    generator, hits = np.random.default_rng(0), 0
    for _ in range(SIMULATIONS):
        interval, truth = draw(generator)
        hits += interval.low <= truth <= interval.high
    # Three standard errors below 93%: an interval at 93% fails about once in a thousand.
    assert hits >= stats.binom.ppf(1e-3, SIMULATIONS, 0.93)
