import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsuite.strategies import ReplaySampler

SPACE = {
    "rate": FloatDistribution(1e-4, 1, log=True),
    "batch": IntDistribution(1, 64),
    "kind": CategoricalDistribution(["a", "b", None]),
}
# In order of the sorted names: batch, kind, rate.
POINTS = [(3, "a", 0.1), (64, None, 0.12345678901234567), (1, "b", 1e-4)]


def test_each_in_turn_to_the_bit() -> None:
    study = optuna.create_study(sampler=ReplaySampler(SPACE, 7, points=POINTS, seed=0))
    for number in range(7):
        params = study.ask(SPACE).params
        assert (params["batch"], params["kind"], params["rate"]) == POINTS[number % 3]


def test_under_optimize_and_reopened() -> None:
    storage = optuna.storages.InMemoryStorage()
    for n_trials in (4, 6):
        study = optuna.create_study(
            storage=storage,
            study_name="s",
            load_if_exists=True,
            sampler=ReplaySampler(SPACE, n_trials, points=POINTS, seed=n_trials),
        )
        study.optimize(
            lambda trial: (
                trial.suggest_int("batch", 1, 64)
                + trial.suggest_float("rate", 1e-4, 1, log=True)
                + (trial.suggest_categorical("kind", ["a", "b", None]) is None)
            ),
            n_trials=99,
        )
    assert [t.params["batch"] for t in study.trials] == [3, 64, 1, 3, 64, 1]


@pytest.mark.parametrize(
    ("points", "error"),
    [
        ([], "at least one configuration"),
        ([(3, "a")], r"a value for each of batch, kind, rate, but found \[3, 'a'\]"),
        ([(3, "a", 2.0)], "must lie in .*, but found rate=2.0"),
        ([(0, "a", 0.5)], "must lie in .*, but found batch=0"),
        ([(1, "c", 0.5)], "'c'"),
    ],
)
def test_bad_points(points: list[tuple[object, ...]], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        ReplaySampler(SPACE, 3, points=points, seed=0)  # type: ignore[arg-type]
