"""Staged search: against coordinate descent written out, where it works and where it is a trap."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from itertools import accumulate, chain, product
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpsuite.checks import UserError
from hpsuite.parsing import build_sampler
from hpsuite.strategies import ScaledRandomSampler, StagedSampler
from hpsuite.strategies.staged import apportioned
from tests.studies import MadeUp, open_runs, plan, run

SPACE = {
    "batch": IntDistribution(1, 256, log=True),
    "momentum": FloatDistribution(0, 1),
    "rate": FloatDistribution(1e-4, 1, log=True),
    "x": FloatDistribution(-2, 2),
}
GROUPS = (("rate",), ("momentum", "batch"))
DEFAULTS = {"batch": 64, "momentum": 0.9, "x": 1.5}
WIDE = {name: FloatDistribution(0, 1) for name in "abc"}
ONE_BY_ONE = (("a",), ("b",), ("c",))

Score = Callable[[Mapping[str, float]], float]


def search(
    sampler: optuna.samplers.BaseSampler, score: Score, direction: str = "maximize"
) -> optuna.Study:
    """A whole study, asked and told one trial at a time."""
    study = optuna.create_study(sampler=sampler, direction=direction)
    for _ in range(sampler.n_planned):
        trial = study.ask(sampler.search_space)
        study.tell(trial, score(trial.params))
    return study


def params_of(study: optuna.Study) -> list[dict[str, float]]:
    return [trial.params for trial in study.trials]


def drawn_at_random(space: Mapping[str, object], n: int, seed: int) -> list[dict[str, float]]:
    """The trials of a joint random search."""
    return params_of(search(ScaledRandomSampler(space, n, seed=seed), lambda params: 0.0))


def bumps(params: Mapping[str, float]) -> float:
    """Separable; at most 0."""
    return -(
        (math.log10(params["rate"]) + 2) ** 2
        + (params["momentum"] - 0.6) ** 2
        + abs(math.log2(params["batch"]) - 5)
        + (params["x"] + 1) ** 2
    )


# --- What is drawn, and what is held.


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("shares", ["equal", "dimensions", (3, 1, 2)])
def test_trials_are_those_of_coordinate_descent_in_blocks(direction, shares):
    sign = 1 if direction == "maximize" else -1
    sampler = StagedSampler(SPACE, 30, groups=GROUPS, shares=shares, defaults=DEFAULTS, seed=4)
    found = params_of(search(sampler, lambda params: sign * bumps(params), direction))

    at_random = drawn_at_random(SPACE, 30, seed=4)
    assert sampler.stages == (("rate",), ("batch", "momentum"), ("x",))
    expected: list[dict[str, float]] = []
    settled: dict[str, float] = dict(DEFAULTS)
    for stage, size in zip(sampler.stages, sampler.stage_sizes, strict=True):
        draws = at_random[len(expected) : len(expected) + size]
        expected += [{**settled, **{name: drawn[name] for name in stage}} for drawn in draws]
        # Of all trials so far: where none of this stage was better, its group stays as it was.
        settled = dict(max(expected, key=bumps))
    assert found == expected


def test_a_stage_without_a_better_trial_leaves_its_group_at_its_defaults():
    best = {"rate": 0.01, "momentum": 0.6, "batch": 32, "x": -1}
    sampler = StagedSampler(SPACE, 30, groups=GROUPS, defaults=best, seed=0)
    late = params_of(search(sampler, bumps))[20:]
    assert {(p["momentum"], p["batch"]) for p in late} == {(0.6, 32)}
    assert len({p["x"] for p in late}) == 10


@pytest.mark.parametrize("seed", range(5))
def test_finds_the_optimum_of_a_separable_response_coordinate_by_coordinate(seed):
    """Each coordinate is as near as the nearest of its own draws, and of its default."""
    target, n = {"a": 0.3, "b": 0.85, "c": 0.1}, 60
    sampler = StagedSampler(WIDE, n, groups=ONE_BY_ONE, seed=seed)

    def score(params):
        return -sum(abs(params[name] - target[name]) for name in WIDE)

    best = search(sampler, score).best_trial
    at_random = drawn_at_random(WIDE, n, seed)
    for i, name in enumerate(WIDE):
        draws = [params[name] for params in at_random[20 * i : 20 * (i + 1)]]
        offered = draws if i == 0 else [*draws, 0.5]
        assert best.params[name] == min(offered, key=lambda x: abs(x - target[name]))


def test_beats_joint_random_search_where_nothing_interacts():
    """The nearest of m uniform draws is 1 / (2 m + 2) away in the mean, and a little more at ends.

    So about 3 / 42 for three coordinates of 20 draws each. Of 60 joint draws the nearest has (in
    the middle of the cube) a ball of the 1-norm to itself, of volume (2 r)^3 / 3! = 1 / 60.
    """
    n, seeds = 60, range(40)

    def score(params):
        return -sum(abs(params[name] - 0.4) for name in WIDE)

    staged, joint = (
        np.mean([search(build(seed=seed), score).best_value for seed in seeds])
        for build in (
            partial(StagedSampler, WIDE, n, groups=ONE_BY_ONE, defaults=dict.fromkeys(WIDE, 0.0)),
            partial(ScaledRandomSampler, WIDE, n),
        )
    )
    assert staged == pytest.approx(-3 / 42, abs=0.02)
    assert joint == pytest.approx(-((6 / 60) ** (1 / 3)) / 2, abs=0.04)


def trap(params: Mapping[str, float]) -> float:
    """A low hill at (0, 0), and a high one at (1, 1) that shows nowhere along b = 0."""
    low = 0.5 - params["a"] - params["b"]
    high = 1 - 2 * (1 - params["a"]) - 2 * (1 - params["b"])
    return max(low, high)


def test_an_interaction_is_a_trap():
    """With b at 0, a looks best at 0; and from there no b leads to the high hill."""
    space, n = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}, 200
    for seed in range(10):
        build = partial(StagedSampler, space, n, groups=[["a"], ["b"]], seed=seed)
        assert search(build(defaults={"b": 0.0}), trap).best_value < 0.5
        # From defaults on the high hill it climbs that.
        assert search(build(defaults={"b": 1.0}), trap).best_value > 0.9
    # (1 - 1/32)^200 = 0.2% of joint searches miss the triangle where the high hill is above 0.5.
    joint = [
        search(ScaledRandomSampler(space, n, seed=seed), trap).best_value for seed in range(10)
    ]
    assert min(joint) > 0.5


def test_the_first_stage_draws_as_a_random_search_does():
    sampler = StagedSampler(SPACE, 40, groups=[["momentum", "rate"]], seed=9)
    found = params_of(search(sampler, bumps))[:20]
    at_random = drawn_at_random(SPACE, 40, seed=9)
    for name in ("momentum", "rate"):
        assert [p[name] for p in found] == [p[name] for p in at_random[:20]]
    assert {(p["batch"], p["x"]) for p in found} == {(11, 0.0)}  # sqrt(0.5 * 256.5)


# --- The best trial.


def told(sampler: StagedSampler, values: list[float | TrialState]) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for value in values:
        trial = study.ask(sampler.search_space)
        if isinstance(value, TrialState):
            study.tell(trial, state=value)
        else:
            study.tell(trial, value)
    return study


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([1.0, 2.0, 2.0, 0.0], 1),
        ([0.0, 0.0, 0.0, 0.0], 0),
        ([math.inf, 1.0, 2.0, 3.0], 3),
        ([TrialState.FAIL, -5.0, TrialState.FAIL, -math.inf], 1),
    ],
)
def test_ties_go_to_the_first_and_failures_are_never_the_best(values, best):
    study = told(StagedSampler(WIDE, 12, groups=ONE_BY_ONE, seed=2), values)
    trial = study.ask(WIDE)
    assert trial.params["a"] == study.trials[best].params["a"]


def test_with_nothing_usable_the_earlier_groups_are_drawn_too():
    study = told(StagedSampler(WIDE, 12, groups=ONE_BY_ONE, seed=2), [TrialState.FAIL] * 8)
    late = [study.ask(WIDE).params for _ in range(4)]
    assert late == drawn_at_random(WIDE, 12, seed=2)[8:]
    assert all(trial.params["c"] == 0.5 for trial in study.trials[:8])


def test_trials_of_a_stage_do_not_see_each_other():
    """Asked for all at once, told in another order: the same trials."""
    sampler = StagedSampler(SPACE, 30, groups=GROUPS, defaults=DEFAULTS, seed=4)
    expected = params_of(search(sampler, bumps))
    study = optuna.create_study(sampler=sampler, direction="maximize")
    while len(study.trials) < 30:
        n_told = len(study.trials)
        batch = [study.ask(SPACE) for _ in range(n_told, sampler.n_askable(n_told))]
        assert len(batch) == 10
        for trial in reversed(batch):
            study.tell(trial, bumps(trial.params))
    assert params_of(study) == expected


def test_several_objectives_are_refused():
    sampler = StagedSampler(WIDE, 9, groups=ONE_BY_ONE, seed=0)
    study = optuna.create_study(sampler=sampler, directions=["minimize", "maximize"])
    with pytest.raises(ValueError, match="one objective, but found 2"):
        study.ask(WIDE)


# --- Stages and their sizes.


@pytest.mark.parametrize(
    ("n", "weights", "sizes"),
    [
        (16, (1, 1), (8, 8)),
        (16, (1, 1, 1), (6, 5, 5)),
        (16, (1, 3, 4), (2, 6, 8)),
        (10, ("0.1", "0.2", "0.7"), (1, 2, 7)),
        (4, (1, 1000, 1, 1), (1, 1, 1, 1)),
        (7, (1, 1000, 1, 1), (1, 4, 1, 1)),
        (10, (1, 2, 2), (2, 4, 4)),
        (5, (7,), (5,)),
    ],
)
def test_sizes(n, weights, sizes):
    assert apportioned(n, [Fraction(w) for w in weights]) == sizes


def test_no_other_whole_numbers_are_nearer_to_the_shares():
    """Largest remainders minimise the sum of squared differences; here with at least 1 for each."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        n, k = int(generator.integers(3, 15)), 3
        weights = [Fraction(int(w)) for w in generator.integers(1, 9, size=k)]
        sizes = apportioned(n, weights)
        assert sum(sizes) == n
        assert min(sizes) >= 1
        parts = [n * w / sum(weights) for w in weights]
        if min(parts) >= 1:
            others = (s for s in product(range(1, n), repeat=k) if sum(s) == n)
            least = min(sum((s - p) ** 2 for s, p in zip(o, parts, strict=True)) for o in others)
            assert sum((s - p) ** 2 for s, p in zip(sizes, parts, strict=True)) == least


def stages(space=SPACE, n=12, **arguments) -> list[tuple[tuple[str, ...], int]]:
    sampler = StagedSampler(space, n, seed=0, **arguments)
    ends = list(accumulate(sampler.stage_sizes))
    for n_told in range(n):
        assert sampler.n_askable(n_told) == min(end for end in ends if end > n_told)
    assert sampler.n_askable(n) == n
    return list(zip(sampler.stages, sampler.stage_sizes, strict=True))


def test_groups_and_what_is_left_of_them():
    assert stages(groups=GROUPS) == [(("rate",), 4), (("batch", "momentum"), 4), (("x",), 4)]
    assert stages(groups=GROUPS, rest="default") == [(("rate",), 6), (("batch", "momentum"), 6)]
    # What the space lacks is skipped, with its share.
    lacking = (("beta", "x"), ("gamma",), ("rate",))
    assert stages(groups=lacking, rest="default") == [(("x",), 6), (("rate",), 6)]
    shares = {"groups": lacking, "shares": (1, 7, 3)}
    assert stages(**shares, rest="default") == [(("x",), 3), (("rate",), 9)]
    found = stages(groups=lacking, shares="dimensions")
    assert found == [(("x",), 3), (("rate",), 3), (("batch", "momentum"), 6)]
    found = stages(groups=lacking, shares=(1, 7, 3, 2))
    assert found == [(("x",), 2), (("rate",), 6), (("batch", "momentum"), 4)]
    # All named: the rest has none.
    assert stages(groups=(tuple(SPACE),)) == [(tuple(sorted(SPACE)), 12)]
    assert stages(groups=(tuple(SPACE),), shares=(1, 5)) == [(tuple(sorted(SPACE)), 12)]


def test_no_trials_are_spent_on_what_has_one_value():
    space = {**WIDE, "fixed": FloatDistribution(2, 2), "only": CategoricalDistribution(["one"])}
    groups = [["fixed"], ["a", "only"]]
    assert stages(space, groups=groups) == [(("a",), 6), (("b", "c"), 6)]
    sampler = StagedSampler(space, 4, groups=groups, defaults={"only": "two", "b": 0.0}, seed=0)
    params = search(sampler, lambda params: 0.0).trials[0].params
    assert (params["fixed"], params["only"], params["b"], params["c"]) == (2, "one", 0.0, 0.5)
    assert set(sampler.defaults_used()) == {"b", "c"}


def test_without_defaults_it_sets_out_from_the_middle():
    space = {
        "a": FloatDistribution(0, 1),
        "choice": CategoricalDistribution(["relu", "tanh", "elu"]),
        "ints": IntDistribution(1, 9),
        "rate": FloatDistribution(1e-4, 1, log=True),
    }
    sampler = StagedSampler(space, 4, groups=[["a"]], seed=0)
    assert sampler.defaults == {"choice": "relu", "ints": 5, "rate": pytest.approx(1e-2)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["rate"]}, r"^groups: found \['rate'\]; accepted: lists of names, each name "),
        ({"groups": "rate"}, r"^groups: found 'rate'; accepted: lists of names"),
        ({"groups": [["x", "x"]]}, r"^groups: found .*; accepted: lists of names, each name once"),
        ({"groups": []}, r"^groups: found \[\]; accepted: at least one of batch, momentum, rate"),
        ({"groups": [["lr"]]}, r"^groups: found \[\['lr'\]\]; accepted: at least one of batch"),
        ({"n_trials": 2}, "^groups: found 3 stages for 2 trials; accepted: at least one trial for"),
        ({"rest": "first"}, "^rest: found 'first'; accepted: 'last' or 'default'"),
        ({"shares": "even"}, "^shares: found 'even'; accepted: equal, dimensions, or 3 numbers"),
        ({"shares": (1, 2)}, r"^shares: found \[1, 2\]; accepted: .* 3 numbers above 0, one for e"),
        ({"shares": (1, 2, 0)}, r"^shares: found \[1, 2, 0\]; accepted: "),
        ({"shares": (1, 2, math.inf)}, r"^shares: found \[1, 2, inf\]; accepted: "),
        ({"shares": (1, 2, 3), "rest": "default"}, "2 numbers above 0, one for each group$"),
        ({"defaults": {"lr": 1}}, "^defaults: found lr; accepted: names of batch, momentum, rate,"),
        (
            {"defaults": {"x": 2.5}},
            "^defaults: found x=2.5; accepted: a value in FloatDistribution",
        ),
        ({"defaults": {"batch": 2.5}}, "^defaults: found batch=2.5; accepted: a value in Int"),
        ({"defaults": {"x": "two"}}, "^defaults: found x='two'; accepted: a value in Float"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"n_trials": 9, "groups": GROUPS, **arguments}
    with pytest.raises(ValueError, match=message):
        StagedSampler(SPACE, seed=0, **given)


# --- In an experiment.


def test_defaults_and_groups_are_the_setups_under_its_own_names():
    (planned,) = plan("strategy=staged", "optimizer.momentum=0.5")
    sampler = build_sampler(planned.arm, 0)
    assert sampler.stages == (("learning_rate",), ("one_minus_momentum",))
    assert sampler.defaults == {"one_minus_momentum": 0.5}

    overrides = (
        *("strategy=staged", "space=all", "optimizer.weight_decay=1e-3", "budget.epochs=8"),
        *("optimizer=adam", "optimizer.beta2=0.9999", "optimizer.batch_size=32"),
        *("model.layers=2", "model.units=[32,64,128]", "model.dropout=0.25"),
        "space.batch_size.high=64",  # the data are few
    )
    (planned,) = plan(*overrides)
    setup = planned.arm.setup
    sampler = build_sampler(planned.arm, 0)
    names = {h.stored_name: h.name for h in setup.space.hyperparameters}
    # The file's `units` are those of each layer.
    assert [{names[name] for name in stage} for stage in sampler.stages] == [
        {"learning_rate"},
        {"momentum", "nesterov", "batch_size", "units_1", "units_2", "units_3"},
        {"layers", "schedule", "decay_rate", "decay_epochs", "warmup_fraction"},
        {"kind", "beta1", "beta2", "epsilon", "epochs", "weight_decay", "label_smoothing"}
        | {"dropout", "activation"},
    ]
    own = {
        h.name: h.value(sampler.defaults[h.stored_name])
        for h in setup.space.hyperparameters
        if h.stored_name in sampler.defaults
    }
    expected = {
        "kind": "adam",
        "beta1": 0.9,
        "beta2": pytest.approx(0.9999),
        "epsilon": 1e-8,
        "weight_decay": 1e-3,
        "batch_size": 32,
        "epochs": 8,
        "dropout": 0.25,
        "activation": "relu",
        "layers": 2,
        "units_1": 32,
        "units_2": 64,
        "units_3": 128,
        "momentum": 0.9,
        "nesterov": False,
        "schedule": "none",
        "warmup_fraction": 0,
        "label_smoothing": 0,
        # Not in their ranges, and not used without a decay: the middle.
        "decay_epochs": 6,
        "decay_rate": pytest.approx(1 - math.sqrt(0.01 * 0.5)),
    }
    assert own == expected


def test_a_layer_that_is_named_is_not_among_the_others():
    width = "{scale: integer, low: 8, high: 256}"
    (planned,) = plan(
        *("strategy=staged", "strategy.groups=[[units],[units_2,learning_rate]]"),
        *(f"+space.units_1={width}", f"+space.units_2={width}", "model.layers=2"),
        "model.units=128",
    )
    assert build_sampler(planned.arm, 0).stages == (
        ("units_1",),
        ("learning_rate", "units_2"),
        ("one_minus_momentum",),
    )


def test_what_it_sets_out_from_is_part_of_its_identity_and_of_no_others():
    def identity(*overrides: str) -> str:
        (planned,) = plan(*overrides)
        return planned.identity

    staged = identity("strategy=staged")
    assert identity("strategy=staged", "optimizer.momentum=0.5") != staged
    assert identity("strategy=log_random", "optimizer.momentum=0.5") == identity()
    # Drawn from the first trial on: what stands in its place is never used.
    assert identity("strategy=staged", "optimizer.learning_rate=0.5") == staged
    others = ("budget.trials=17", "strategy.rest=default", "strategy.groups=[[momentum]]")
    assert len({staged, *(identity("strategy=staged", other) for other in others)}) == 4


def test_stages_are_told_in_whole_and_equal_what_one_would_do_by_hand(tmp_path: Path):
    """Real training. Stage one is a search of the learning rate alone, to the bit."""
    arm = ("budget.trials=6", "repeats=2", "optimizer.momentum=0.5")
    staged = list(run(tmp_path / "staged.journal", "strategy=staged", *arm).values())
    alone = list(run(tmp_path / "alone.journal", "space=rate_only", *arm).values())
    for (values, results), (rates, expected) in zip(staged, alone, strict=True):
        assert [v["momentum"] for v in values[:3]] == [0.5] * 3
        for i in range(3):
            assert values[i]["learning_rate"] == rates[i]["learning_rate"]
            assert results[i].same_outcome(expected[i])
        best = max(range(3), key=lambda i: (results[i].val_accuracy, -i))
        assert {v["learning_rate"] for v in values[3:]} == {values[best]["learning_rate"]}
        assert len({v["momentum"] for v in values[3:]}) == 3


def test_a_stage_is_one_batch_in_each_repeat():
    executor = MadeUp()
    run(InMemoryStorage(), "strategy=staged", "budget.trials=10", executor=executor)
    numbers = [sorted(spec.number for spec in batch) for batch in executor.batches]
    assert sorted(chain(*numbers)) == sorted(2 * list(range(10)))
    seen: set[int] = set()
    for batch in numbers:
        assert max(batch) < 5 or seen.issuperset(range(5))
        seen.update(batch)


def test_a_default_outside_of_the_space_is_refused_only_where_it_is_used():
    outside = ("strategy=staged", "space.momentum.high=0.5", "budget.trials=4")
    with pytest.raises(UserError, match=r"^space.momentum: found the default 0.9 outside of 0 to"):
        plan(*outside)
    assert plan(*outside, "strategy.groups=[[momentum],[learning_rate]]")
    assert plan("strategy=staged", "space.learning_rate.high=0.01")
    assert plan("strategy=log_random", "space.momentum.high=0.5")
    _, studies = open_runs(InMemoryStorage(), *outside, "optimizer.momentum=0.5")
    assert studies
