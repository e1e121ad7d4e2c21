from functools import partial

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy import stats

from hpsuite.strategies import PerTrialSeeded
from hpsuite.strategies.view import STUDY_ATTRIBUTES

SPACE = {
    "rate": FloatDistribution(1e-4, 1, log=True),
    "x": FloatDistribution(-2, 2),
    "fixed": FloatDistribution(3, 3),
}
TPE = optuna.samplers.TPESampler
RANDOM = optuna.samplers.RandomSampler
ignore_experimental = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def regret(params: dict[str, float]) -> float:
    """0 at the best point, rate = 0.01 and x = 1; about 1 on average."""
    return (np.log10(params["rate"]) + 2) ** 2 + (params["x"] - 1) ** 2


def test_random_states_of_trials_are_independent_and_uniform():
    study = optuna.create_study(sampler=PerTrialSeeded(SPACE, 1000, factory=RANDOM, seed=1))
    params = [study.ask(SPACE).params for _ in range(1000)]
    exponents = np.log10([p["rate"] for p in params])
    assert stats.kstest(exponents, stats.uniform(-4, 4).cdf).pvalue > 1e-6
    assert abs(np.corrcoef(exponents[1:], exponents[:-1])[0, 1]) < 5 / np.sqrt(1000)
    assert abs(np.corrcoef(exponents, [p["x"] for p in params])[0, 1]) < 5 / np.sqrt(1000)


@pytest.mark.parametrize("multivariate", [True, False])
def test_tpe_still_learns(multivariate):
    """It is TPE that answers: its late trials are far better than random ones."""
    late = {}
    for name, factory in (("tpe", partial(TPE, multivariate=multivariate)), ("random", RANDOM)):
        values = []
        for seed in range(5):
            study = optuna.create_study(
                sampler=PerTrialSeeded(SPACE, 40, factory=factory, seed=seed)
            )
            for _ in range(40):
                trial = study.ask(SPACE)
                study.tell(trial, regret(trial.params))
            values.extend(trial.value for trial in study.trials[25:])
        late[name] = np.mean(values)
    assert late["tpe"] < 0.5 * late["random"]


def test_first_trial_is_what_the_sampler_itself_would_draw():
    seed = int(np.random.SeedSequence(4, spawn_key=(0,)).generate_state(1, np.uint32)[0])
    names = {name: SPACE[name] for name in sorted(SPACE)}
    expected = optuna.create_study(sampler=RANDOM(seed=seed)).ask(names).params
    study = optuna.create_study(sampler=PerTrialSeeded(SPACE, 9, factory=RANDOM, seed=4))
    assert study.ask(names).params == expected


def test_a_declared_space_is_sampled_together_from_the_first_trial_on():
    """The sampler is told all that has more than one value, and is not asked what it inferred."""
    told = []

    class Told(RANDOM):
        def infer_relative_search_space(self, study, trial):
            raise AssertionError("asked")

        def sample_relative(self, study, trial, search_space):
            told.append(dict(search_space))
            return {"rate": 0.5}

    sampler = PerTrialSeeded(SPACE, 3, factory=Told, relative_space="declared", seed=0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(3):
        trial = study.ask(SPACE)
        study.tell(trial, 0.0)
    assert told == [{"rate": SPACE["rate"], "x": SPACE["x"]}] * 3
    assert {trial.params["rate"] for trial in study.trials} == {0.5}
    assert len({trial.params["x"] for trial in study.trials}) == 3
    assert {trial.params["fixed"] for trial in study.trials} == {3.0}


@ignore_experimental
@pytest.mark.parametrize("relative_space", ["inferred", "declared"])
def test_size_of_the_batch_changes_nothing_where_no_results_are_needed(relative_space):
    def trials(asks_at_once):
        sampler = PerTrialSeeded(
            SPACE,
            20,
            factory=partial(optuna.samplers.QMCSampler, scramble=True),
            seeding="study",
            asks_at_once=asks_at_once,
            relative_space=relative_space,
            seed=3,
        )
        study = optuna.create_study(sampler=sampler)
        for _ in range(20):
            study.tell(study.ask(SPACE), 0.0)
        return [trial.params for trial in study.trials]

    assert trials(1) == trials(7) == trials(1024)


@ignore_experimental
def test_sobol_points_are_all_used_once():
    """A scrambled Sobol sequence of 2^m points has one in each of 2^m equal slices."""
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    sampler = PerTrialSeeded(
        space,
        33,
        factory=partial(optuna.samplers.QMCSampler, scramble=True),
        seeding="study",
        seed=1,
    )
    study = optuna.create_study(sampler=sampler)
    for _ in range(33):
        study.tell(study.ask(space), 0.0)
    # Optuna draws the first trial at random, having nothing to learn the space from.
    points = np.array([list(trial.params.values()) for trial in study.trials[1:]])
    for column in points.T:
        assert sorted(np.floor(32 * column)) == list(range(32))
    # The place in the sequence is kept with the trials.
    places = [trial.system_attrs.get(STUDY_ATTRIBUTES) for trial in study.trials]
    assert places[0] is None
    assert [next(iter(place.values())) for place in places[1:]] == list(range(32))


def test_a_batch_does_not_see_its_own_results():
    def run(scores_of_batch: float) -> list[dict[str, float]]:
        sampler = PerTrialSeeded(
            SPACE, 24, factory=partial(TPE, n_startup_trials=4), asks_at_once=8, seed=3
        )
        study = optuna.create_study(sampler=sampler)
        for number in range(24):
            trial = study.ask(SPACE)
            study.tell(trial, regret(trial.params) if number < 16 else scores_of_batch)
        return [trial.params for trial in study.trials]

    # Results of trials 16 to 23 come while the rest of that batch is asked for, and change nothing.
    assert run(0.0) == run(100.0)


@pytest.mark.parametrize(
    ("at_once", "n_told", "askable"),
    [
        (1, 0, 1),
        (1, 6, 7),
        (4, 0, 4),
        (4, 3, 4),
        (4, 4, 8),
        (4, 9, 10),
        (100, 0, 10),
        (1, 10, 10),
    ],
)
def test_what_may_be_asked(at_once, n_told, askable):
    sampler = PerTrialSeeded(SPACE, 10, factory=TPE, asks_at_once=at_once, seed=0)
    assert sampler.n_askable(n_told) == askable


@ignore_experimental
@pytest.mark.parametrize("kind", ["grid", "brute_force"])
def test_samplers_that_stop_the_study_do_not_raise_under_ask_and_tell(kind):
    space = {"a": CategoricalDistribution(["x", "y", "z"]), "b": CategoricalDistribution([1, 2])}
    grid = {name: list(distribution.choices) for name, distribution in space.items()}
    factory, seeding = {
        "grid": (partial(optuna.samplers.GridSampler, grid), "study"),
        "brute_force": (optuna.samplers.BruteForceSampler, "trial"),
    }[kind]
    study = optuna.create_study(
        sampler=PerTrialSeeded(space, 6, factory=factory, seeding=seeding, seed=0)
    )
    for _ in range(6):
        study.tell(study.ask(space), 0.0)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 6


@pytest.mark.filterwarnings("ignore:.*constraints_func. has been deprecated:FutureWarning")
def test_a_samplers_after_trial_is_called():
    """The constraints that a sampler stores after a trial are there, and the sampler minds them."""

    def constraint(trial: optuna.trial.FrozenTrial) -> tuple[float]:
        return (trial.params["x"],)

    def build(seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.NSGAIISampler(
            population_size=10, constraints_func=constraint, seed=seed
        )

    study = optuna.create_study(sampler=PerTrialSeeded(SPACE, 100, factory=build, seed=0))
    for _ in range(100):
        trial = study.ask(SPACE)
        study.tell(trial, -trial.params["x"])
    assert all(trial.constraints for trial in study.trials)
    assert np.mean([trial.params["x"] > 0 for trial in study.trials[60:]]) < 0.3


class Counting(optuna.samplers.RandomSampler):
    """A sampler that stores how often it was asked, and answers with what it stored."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        n_for_trial = trial.system_attrs.get("n", 0) + 1
        study._storage.set_trial_system_attr(trial._trial_id, "n", n_for_trial)
        n_for_study = study._storage.get_study_system_attrs(study._study_id).get("n", 0) + 1
        study._storage.set_study_system_attr(study._study_id, "n", n_for_study)
        return 100 * n_for_study + n_for_trial


def test_what_a_sampler_stored_for_a_trial_is_forgotten_when_that_trial_is_asked_again():
    space = {"a": FloatDistribution(0, 1e9), "b": FloatDistribution(0, 1e9)}
    study = optuna.create_study(sampler=PerTrialSeeded(space, 9, factory=Counting, seed=0))
    for number in range(4):
        trial = study.ask()
        for _ in range(3):
            again = optuna.trial.Trial(study, trial._trial_id)
            assert again.suggest_float("a", 0, 1e9) == 100 * (2 * number + 1) + 1
        assert again.suggest_float("b", 0, 1e9) == 100 * (2 * number + 2) + 2
        if number % 2:
            study.tell(again, 0.0)


class Meddling(optuna.samplers.RandomSampler):
    """A sampler that writes what it must not."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        study._storage.set_trial_state_values(
            trial._trial_id, optuna.trial.TrialState.COMPLETE, [0.0]
        )


def test_a_sampler_cannot_change_the_study():
    study = optuna.create_study(sampler=PerTrialSeeded(SPACE, 9, factory=Meddling, seed=0))
    with pytest.raises(RuntimeError, match="may set system attributes"):
        study.ask(SPACE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"asks_at_once": 0}, "asks_at_once: found 0; accepted: at least 1"),
        ({"seeding": "none"}, "seeding: found 'none'; accepted: 'trial' or 'study'"),
        (
            {"relative_space": "told"},
            "relative_space: found 'told'; accepted: 'inferred' or 'declared'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PerTrialSeeded(SPACE, 9, factory=TPE, seed=0, **arguments)
