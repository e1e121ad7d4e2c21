import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from scipy import stats

from hpsuite.strategies import ScaledRandomSampler

SPACE = {
    "learning_rate": FloatDistribution(1e-4, 10, log=True),
    "layers": IntDistribution(1, 6),
}
N = 2000


def draws(scale: str, seed: int) -> dict[str, np.ndarray]:
    """The values of N trials of one study, by name."""
    sampler = ScaledRandomSampler(SPACE, N, scale=scale, seed=seed)
    study = optuna.create_study(sampler=sampler)
    asked = [study.ask(SPACE).params for _ in range(N)]
    return {name: np.array([params[name] for params in asked]) for name in SPACE}


@pytest.fixture(scope="module")
def own():
    return draws("own", 3)


@pytest.fixture(scope="module")
def linear():
    return draws("linear", 3)


def test_own_scale_is_uniform_in_the_logarithm(own):
    exponents = np.log10(own["learning_rate"])
    assert stats.kstest(exponents, stats.uniform(-4, 5).cdf).pvalue > 1e-6
    per_decade = np.histogram(exponents, bins=np.arange(-4, 2))[0]
    assert stats.chisquare(per_decade).pvalue > 1e-6


def test_linear_scale_is_uniform_in_the_value(linear):
    rates = linear["learning_rate"]
    assert stats.kstest(rates, stats.uniform(1e-4, 10 - 1e-4).cdf).pvalue > 1e-6
    # Nine tenths of such a search are spent on one decade out of five.
    share = np.mean(rates > 1)
    assert share == pytest.approx(0.9, abs=5 * np.sqrt(0.9 * 0.1 / N))


def test_trials_and_dimensions_are_independent(own):
    x, y = np.log(own["learning_rate"]), own["layers"]
    bound = 5 / np.sqrt(N)
    assert abs(np.corrcoef(x, y)[0, 1]) < bound
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < bound
    assert stats.chisquare(np.bincount(y)[1:]).pvalue > 1e-6
    assert len(set(x)) == N


def test_studies_with_neighbouring_seeds_are_independent():
    first = [
        optuna.create_study(sampler=ScaledRandomSampler(SPACE, 2, seed=seed))
        .ask(SPACE)
        .params["learning_rate"]
        for seed in range(500)
    ]
    exponents = np.log10(first)
    assert stats.kstest(exponents, stats.uniform(-4, 5).cdf).pvalue > 1e-6
    assert abs(np.corrcoef(exponents[1:], exponents[:-1])[0, 1]) < 5 / np.sqrt(500)


def test_scales_share_their_points_of_the_unit_cube(own, linear):
    unit = (np.log10(own["learning_rate"]) + 4) / 5
    assert np.allclose(unit, (linear["learning_rate"] - 1e-4) / (10 - 1e-4))


def test_a_raised_budget_continues_the_same_trials(own):
    study = optuna.create_study(sampler=ScaledRandomSampler(SPACE, N + 5, seed=3))
    for i in range(5):
        assert study.ask(SPACE).params["learning_rate"] == own["learning_rate"][i]


def test_hits_the_top_percent_as_often_as_it_should():
    """T independent trials hit the top 1% with probability 1 - .99^T (evidence of T = 60)."""
    n_studies, n_trials = 400, 60
    space = {"x": FloatDistribution(0, 1)}
    hits = 0
    for seed in range(n_studies):
        sampler = ScaledRandomSampler(space, n_trials, seed=seed)
        study = optuna.create_study(sampler=sampler)
        hits += any(study.ask(space).params["x"] > 0.99 for _ in range(n_trials))
    p = 1 - 0.99**n_trials
    assert hits / n_studies == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / n_studies))


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale: found 'log'; accepted: 'own' or 'linear'"):
        ScaledRandomSampler(SPACE, 4, scale="log", seed=0)
