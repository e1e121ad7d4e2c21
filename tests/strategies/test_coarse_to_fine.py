import math
from itertools import pairwise

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy import stats

from hpsuite.strategies import CoarseToFineSampler

RATE = FloatDistribution(1e-4, 1, log=True)
SPACE = {"rate": RATE, "x": FloatDistribution(-2, 2)}


def unit(params: dict[str, float]) -> np.ndarray:
    """The point of the unit square where a trial of SPACE lies."""
    return np.array([(math.log10(params["rate"]) + 4) / 4, (params["x"] + 2) / 4])


def peak(params: dict[str, float]) -> float:
    return -float(np.sum((unit(params) - [0.3, 0.95]) ** 2))


def run(study: optuna.Study, n: int, score=peak) -> None:
    for _ in range(n):
        trial = study.ask(study.sampler.search_space)
        study.tell(trial, score(trial.params))


@pytest.mark.parametrize(
    ("n_trials", "rounds", "sizes"),
    [(16, 2, (8, 8)), (16, 3, (6, 5, 5)), (17, 3, (6, 6, 5)), (3, 3, (1, 1, 1)), (5, 1, (5,))],
)
def test_round_sizes_and_what_may_be_asked(n_trials, rounds, sizes):
    sampler = CoarseToFineSampler(SPACE, n_trials, rounds=rounds, seed=0)
    assert sampler.round_sizes == sizes
    ends = np.cumsum(sizes).tolist()
    for n_told in range(n_trials):
        assert sampler.n_askable(n_told) == min(end for end in ends if end > n_told)
    assert sampler.n_askable(n_trials) == n_trials


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("zoom", [0.5, 0.25])
def test_boxes_shrink_by_zoom_around_the_best(direction, zoom):
    sizes, top = (200, 200, 200), 0.1
    sign = 1 if direction == "maximize" else -1
    sampler = CoarseToFineSampler(SPACE, sum(sizes), rounds=3, zoom=zoom, top_fraction=top, seed=5)
    study = optuna.create_study(sampler=sampler, direction=direction)
    run(study, sum(sizes), lambda params: sign * peak(params))

    points = np.array([unit(trial.params) for trial in study.trials])
    scores = np.array([sign * trial.value for trial in study.trials])
    for column in points[:200].T:
        assert stats.kstest(column, "uniform").pvalue > 1e-6
    for r, begin in ((1, 200), (2, 400)):
        side = zoom**r
        best = np.argsort(-scores[:begin])[: round(top * begin)]
        centre = points[best].mean(axis=0)
        low = np.clip(centre - side / 2, 0, 1 - side)
        inside = (points[begin : begin + 200] - low) / side
        assert np.all((inside > -1e-9) & (inside < 1 + 1e-9))
        assert np.all((low <= centre) & (centre <= low + side))
        for column in inside.T:
            assert stats.kstest(column, "uniform").pvalue > 1e-6
    # The peak is near the top edge of x: the box was shifted to stay inside, not cut.
    assert points[400:, 1].max() > 0.99 if zoom == 0.5 else points[400:, 1].max() <= 1


def test_closes_in_on_one_peak():
    rounds = []
    for seed in range(30):
        study = optuna.create_study(
            sampler=CoarseToFineSampler(SPACE, 48, rounds=3, seed=seed), direction="maximize"
        )
        run(study, 48)
        distances = np.sqrt([-trial.value for trial in study.trials])
        rounds.append([np.mean(distances[i : i + 16]) for i in (0, 16, 32)])
    assert all(later < 0.75 * earlier for earlier, later in pairwise(np.mean(rounds, axis=0)))


def test_linear_scale_closes_in_on_the_raw_value():
    sampler = CoarseToFineSampler(
        {"rate": RATE}, 400, rounds=2, zoom=0.1, top_fraction=0.01, scale="linear", seed=1
    )
    study = optuna.create_study(sampler=sampler, direction="minimize")
    run(study, 400, lambda params: abs(params["rate"] - 0.5))
    late = [trial.params["rate"] for trial in study.trials[200:]]
    assert max(late) - min(late) < 0.1
    assert stats.kstest(late, stats.uniform(min(late), max(late) - min(late)).cdf).pvalue > 1e-6
    assert np.mean(late) == pytest.approx(0.5, abs=0.02)


def test_choices_and_whole_numbers_of_the_best_remain():
    space = {
        "activation": CategoricalDistribution(["relu", "tanh", "sigmoid", None]),
        "layers": IntDistribution(1, 9),
    }
    sampler = CoarseToFineSampler(space, 240, rounds=2, zoom=1 / 3, top_fraction=0.05, seed=1)
    study = optuna.create_study(sampler=sampler, direction="maximize")

    def score(params):
        return (params["activation"] in {"tanh", None}) - abs(params["layers"] - 5) / 10

    run(study, 240, score)
    late = [trial.params for trial in study.trials[120:]]
    assert {params["activation"] for params in late} == {"tanh", None}
    n_tanh = sum(params["activation"] == "tanh" for params in late)
    assert stats.binomtest(n_tanh, 120).pvalue > 1e-6
    # The best 6 trials all have 5 layers, the middle of 9: a third of the range is 4, 5 and 6.
    assert {params["layers"] for params in late} == {4, 5, 6}


def test_ties_go_to_the_lower_number():
    sampler = CoarseToFineSampler(
        {"x": FloatDistribution(0, 1)}, 40, rounds=2, zoom=0.01, top_fraction=0.05, seed=0
    )
    study = optuna.create_study(sampler=sampler, direction="maximize")
    run(study, 40, lambda params: 1.0)
    x = np.array([trial.params["x"] for trial in study.trials])
    assert np.allclose(x[20:], x[0], atol=0.01)


def test_trials_without_a_finite_value_are_never_among_the_best():
    space = {"x": FloatDistribution(0, 1)}
    sampler = CoarseToFineSampler(space, 40, rounds=2, zoom=0.01, top_fraction=0.5, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for number in range(20):
        trial = study.ask(space)
        if number == 11:
            study.tell(trial, -5.0)
            good = trial.params["x"]
        elif number % 2:
            study.tell(trial, math.inf)
        else:
            study.tell(trial, state=TrialState.FAIL)
    for _ in range(20):
        assert study.ask(space).params["x"] == pytest.approx(good, abs=0.01)


def test_with_nothing_usable_the_whole_space_remains():
    space = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution("ab")}
    sampler = CoarseToFineSampler(space, 400, rounds=2, zoom=0.01, seed=0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(200):
        study.tell(study.ask(space), state=TrialState.FAIL)
    late = [study.ask(space).params for _ in range(200)]
    assert stats.kstest([params["x"] for params in late], "uniform").pvalue > 1e-6
    assert {params["c"] for params in late} == {"a", "b"}


def test_several_objectives_are_refused():
    study = optuna.create_study(
        sampler=CoarseToFineSampler(SPACE, 4, seed=0), directions=["minimize", "maximize"]
    )
    with pytest.raises(ValueError, match="one objective, but found 2"):
        study.ask(SPACE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": 0}, "rounds: found 0; accepted: 1 to 9, the number"),
        ({"rounds": 10}, "rounds: found 10; accepted: 1 to 9"),
        ({"zoom": 0.0}, "zoom: found 0.0; accepted: more than 0"),
        ({"zoom": 1.5}, "zoom: found 1.5; accepted: more than 0"),
        ({"top_fraction": 0.0}, "top_fraction: found 0.0; accepted: more than 0"),
        ({"scale": "log"}, "scale: found 'log'; accepted: 'own' or 'linear'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CoarseToFineSampler(SPACE, 9, seed=0, **arguments)
