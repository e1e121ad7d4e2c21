"""Bad input gives one clear line and writes nothing; and what identity is made of."""

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hpsuite.arms import PlannedArm, plan_arms
from hpsuite.checks import UserError, show
from hpsuite.compose import compose_experiment
from hpsuite.experiment import find_device
from hpsuite.overrides import config_dir
from hpsuite.parsing import parse_arm, parse_settings
from hpsuite.places import check_places
from hpsuite.record import open_storage
from hpsuite.samplers import check_sampler

ONE = ("name=one", "model.units=8", "tracking=none")

MODELS = ", ".join(sorted(path.stem for path in (config_dir() / "model").glob("*.yaml")))

Plan = Callable[..., list[PlannedArm]]


@pytest.fixture(scope="module")
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def config(hydra: None) -> dict[str, Any]:
    """A composed configuration as plain values."""
    plain = OmegaConf.to_container(compose("config", overrides=list(ONE)), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@pytest.fixture
def plan(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Composes and plans one arm, as far as a run goes before it writes anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSUITE_DATA", raising=False)

    def plan(*overrides: str) -> list[PlannedArm]:
        changed = with_values(config, overrides)
        if changed is None:
            settings, arms = compose_experiment([*ONE, *overrides])
        else:
            settings = parse_settings(changed)
            arms = [parse_arm(changed, choices=CHOICES, variant=())]
            check_sampler(arms[0])
            check_places(settings)
        planned = plan_arms(arms)
        find_device(settings.device)
        return planned

    return plan


CHOICES = {"dataset": "digits", "model": "mlp", "strategy": "log_random"}


def with_values(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any] | None:
    """A configuration with other values, which takes a hundredth of the time of Hydra.

    None where overrides do more than change the value of a key that is there.
    """
    changed = copy.deepcopy(config)
    for text in overrides:
        key, _, value = text.partition("=")
        *path, last = key.split(".")
        place: Any = changed
        for name in path:
            place = place.get(name, {}) if isinstance(place, dict) else {}
        simple = value and not set(value) & set("?${[,'\"")
        if not isinstance(place, dict) or last not in place:
            return None
        if isinstance(place[last], dict) or not simple:
            return None
        place[last] = OverridesParser.create().parse_override(text).value()
    if changed["budget"]["epochs"] and changed["budget"]["steps"]:
        return None  # of two that replace each other
    return changed


def refused(plan: Plan, *overrides: str) -> str:
    """The line with which overrides are refused."""
    with pytest.raises(UserError) as caught:
        plan(*overrides)
    line = str(caught.value)
    assert "\n" not in line
    assert not list(Path.cwd().iterdir()), "something was written"
    return line


BOOL, INT, NUMBER, TEXT, LIST = "true or false", "an integer", "a number", "text", "a list"
CLAIMS = "a list of claims"
TYPES = {
    "name": TEXT,
    "title": TEXT,
    "repeats": INT,
    "seed": INT,
    "split_seed": INT,
    "device": "'auto', 'cpu' or 'cuda'",
    "data_dir": TEXT,
    "packages": LIST,
    "storage": TEXT,
    "output_dir": TEXT,
    "fresh": BOOL,
    "plan": BOOL,
    "log_level": "'debug'",
    "budget.trials": INT,
    "budget.epochs": INT,
    "budget.steps": INT,
    "numerics.dtype": "'float32' or 'float64'",
    "numerics.tf32": BOOL,
    "numerics.trainer": "'auto' or 'plain'",
    "numerics.autocast": "'none' or 'bfloat16'",
    "numerics.probe": BOOL,
    "numerics.convolutions": "'auto', 'columns' or 'grouped'",
    "numerics.compiled": "'auto', 'yes' or 'no'",
    "numerics.deterministic": BOOL,
    "executor.kind": "'inline', 'processes' or 'ray'",
    "executor.workers": INT,
    "executor.idle_limit": NUMBER,
    "executor.time_limit": NUMBER,
    "tracking.enabled": BOOL,
    "tracking.uri": TEXT,
    "tracking.best_trials": INT,
    "tracking.time_limit": NUMBER,
    "analysis.fresh_seeds": INT,
    "analysis.bands": "'ks' or 'tight'",
    "analysis.report": BOOL,
    "claims": CLAIMS,
    "optimizer.kind": "'sgd'",
    "optimizer.learning_rate": NUMBER,
    "optimizer.momentum": NUMBER,
    "optimizer.weight_decay": NUMBER,
    "optimizer.batch_size": INT,
    "optimizer.schedule": "'none'",
    "optimizer.decay_rate": NUMBER,
    "optimizer.decay_epochs": INT,
    "optimizer.nesterov": BOOL,
    "optimizer.label_smoothing": NUMBER,
    "optimizer.warmup_fraction": NUMBER,
    "model.layers": INT,
    "model.units": INT,
    "model.activation": "'relu'",
    "model.normalization": "'none'",
    "model.normalizer": "'batch'",
    "model.groups": INT,
    "model.affine": BOOL,
    "model.dropout": NUMBER,
    "model.initialization": "'he'",
    "model.sigma": NUMBER,
    "dataset.validation_size": INT,
    "dataset.test_size": INT,
    "dataset.train_fraction": NUMBER,
    "dataset.input_normalization": "'none'",
    "dataset.image": BOOL,
    "dataset.flip": BOOL,
    "dataset.shift": INT,
    "strategy.scale": "'own'",
    "space.learning_rate.scale": "'linear'",
    "space.learning_rate.low": NUMBER,
    "space.learning_rate.high": NUMBER,
}
NULLABLE = {
    "executor.workers",
    "executor.idle_limit",
    "executor.time_limit",
    "tracking.time_limit",
    "tracking.uri",
    "model.layers",
    "budget.epochs",
    "budget.steps",
    "dataset.test_size",
    "space.learning_rate.low",
    "space.learning_rate.high",
}
# What is of no type that the key takes.
WRONG: dict[str, list[object]] = {
    BOOL: [1, 0.5, "x", "true", None, [True], {"a": 1}],
    INT: [True, 2.5, 3.0, "x", "3", None, ["a"], {"a": 1}],
    NUMBER: [True, "x", "0.5", None, [0.5], {"a": 1}],
    TEXT: [True, 3, 0.5, None, ["x"], {"a": 1}],
    LIST: [True, 3, 0.5, "x", None, {"a": 1}],
    CLAIMS: [True, 3, 0.5, "x", None, {"a": 1}],
}
ANY: list[object] = [True, 3, "x", None, ["x"], {"a": 1}]


def parse_with(config: dict[str, Any], key: str, value: object) -> None:
    changed = copy.deepcopy(config)
    *path, last = key.split(".")
    place = changed
    for name in path:
        place = place[name]
    place[last] = value
    parse_settings(changed)
    parse_arm(changed, choices={}, variant=())


@pytest.mark.parametrize("key", TYPES)
def test_wrong_types(config: dict[str, Any], key: str) -> None:
    accepted = TYPES[key]
    for value in WRONG.get(accepted, ANY):
        if value is None and key in NULLABLE:
            continue
        with pytest.raises(UserError) as caught:
            parse_with(config, key, value)
        assert str(caught.value).startswith(f"{key}: found {show(value)}; accepted: {accepted}")


@pytest.mark.parametrize("key", [key for key, accepted in TYPES.items() if accepted == NUMBER])
def test_numbers_are_finite(config: dict[str, Any], key: str) -> None:
    for value in (math.inf, math.nan):
        with pytest.raises(UserError, match=rf"^{key}: found {value}; accepted: a finite number"):
            parse_with(config, key, value)


def test_every_key_has_its_type_checked(config: dict[str, Any]) -> None:
    def keys(node: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, value in node.items():
            yield from keys(value, f"{path}{name}.") if isinstance(value, dict) else [path + name]

    elsewhere = {f"{group}._target_" for group in ("dataset", "model", "strategy")}
    elsewhere |= {f"space.momentum.{name}" for name in ("scale", "low", "high")}
    # These are read before a cell is composed (tests/test_tiers.py, tests/test_compose.py).
    before = ("matrix", "blocks", "tier", "tiers", "left_out")
    assert set(keys({k: v for k, v in config.items() if k not in before})) == {*TYPES, *elsewhere}


@pytest.mark.parametrize(
    "group",
    ["dataset", "model", "optimizer", "space", "strategy", "budget", "executor", "tracking"],
)
def test_unknown_options_and_keys(plan: Plan, group: str) -> None:
    options = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
    assert refused(plan, f"{group}=nowhere") == (
        f"{group}: found 'nowhere'; accepted: {', '.join(options)}"
    )
    # Not known to Hydra, and appended: known to Hydra, but to nothing that would use it.
    assert refused(plan, f"{group}.foo=1").startswith(
        f"{group}.foo: found no such key; accepted in {group}"
    )
    line = refused(plan, f"+{group}.foo=1")
    assert line.startswith(f"{group}.foo: found "), line
    assert "; accepted: " in line


@pytest.mark.parametrize("value", ["3", "null", "[]", "[mlp]", "[mlp,mlp_bn]", "1.5", "true"])
def test_options_are_names(plan: Plan, value: str) -> None:
    assert refused(plan, f"model={value}").endswith(f"; accepted: {MODELS}")


@pytest.mark.parametrize("group", ["model", "strategy", "budget"])
def test_unknown_keys_that_hold_keys(plan: Plan, group: str) -> None:
    assert refused(plan, f"+{group}.foo.bar=1").startswith(f"{group}.foo: found no such key; acc")


@pytest.mark.parametrize("key", ["foo", "numerics.foo", "space.momentum.foo"])
def test_unknown_keys_elsewhere(plan: Plan, key: str) -> None:
    assert refused(plan, f"{key}=1").startswith(f"{key}: found no such key; accepted ")
    assert refused(plan, f"+{key}=1").startswith(f"{key}: found no such key; accepted: one of ")
    assert refused(plan, f"+{key}.deep=1").startswith(f"{key}: found no such key; accepted: ")
    assert refused(plan, f"~{key}").startswith(f"{key}: found no such key; accepted ")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        # Numbers out of range.
        (["repeats=0"], "repeats: found 0; accepted: greater than or equal to 1"),
        (["seed=-1"], "seed: found -1; accepted: greater than or equal to 0"),
        (["split_seed=-1"], "split_seed: found -1; accepted: greater than or equal to 0"),
        (["split_seed=4294967296"], "split_seed: found 4294967296; accepted: less than 4294967296"),
        (["budget.trials=0"], "budget.trials: found 0; accepted: greater than or equal to 1"),
        (["budget.epochs=0"], "budget.epochs: found 0; accepted: greater than or equal to 1"),
        (["budget.steps=-5"], "budget.steps: found -5; accepted: greater than or equal to 1"),
        (["executor.workers=0"], "executor.workers: found 0; accepted: greater than or equal to 1"),
        (
            ["executor=ray", "executor.cpus_per_task=0"],
            "executor.cpus_per_task: found 0; accepted: greater than or equal to 1",
        ),
        (
            ["executor=ray", "executor.gpus_per_task=2"],
            "executor.gpus_per_task: found 2; accepted: less than or equal to 1",
        ),
        (["executor=ray", "executor.gpus_per_task=0"], "executor.gpus_per_task: found 0; accepted"),
        *(
            (["executor=ray", f"executor.address='{address}'"], "executor.address: found '")
            for address in ("", "host", "ray://host:10001", "redis://:word@host:6379", "host:port")
        ),
        (
            ["+executor.address=auto"],
            "executor.address: found it for processes, which does not use it; accepted: executor=",
        ),
        (
            ["executor=inline", "+executor.cpus_per_task=2"],
            "executor.cpus_per_task: found it for inline, which does not use it; accepted: execut",
        ),
        (["tracking.best_trials=-2"], "tracking.best_trials: found -2; accepted: greater than or "),
        (["optimizer.learning_rate=0"], "optimizer.learning_rate: found 0; accepted: greater than"),
        (["optimizer.momentum=1"], "optimizer.momentum: found 1; accepted: less than 1"),
        (["optimizer.weight_decay=-1"], "optimizer.weight_decay: found -1; accepted: greater than"),
        (["optimizer.batch_size=0"], "optimizer.batch_size: found 0; accepted: greater than or"),
        (
            ["optimizer.label_smoothing=1"],
            "optimizer.label_smoothing: found 1; accepted: less than",
        ),
        (["optimizer.warmup_fraction=-0.1"], "optimizer.warmup_fraction: found -0.1; accepted: gr"),
        (["model.dropout=1"], "model.dropout: found 1; accepted: less than 1"),
        (["model.groups=0"], "model.groups: found 0; accepted: greater than or equal to 1"),
        (["dataset.shift=-1"], "dataset.shift: found -1; accepted: greater than or equal to 0"),
        (["model.units=0"], "model.units: found 0; accepted: "),
        (["model.units=[8,0]"], "model.units: found [8, 0]; accepted: "),
        (["model.units={a:1}"], "model.units: found {a: 1}; accepted: an integer or a list"),
        (["dataset.train_fraction=0"], "dataset.train_fraction: found 0; accepted: greater than 0"),
        (["dataset.train_fraction=1.1"], "dataset.train_fraction: found 1.1; accepted: less than"),
        (
            ["numerics.autocast=bfloat16", "numerics.dtype=float64"],
            "numerics.autocast: found 'bfloat16' with numerics.dtype=float64; accepted: 'none', ",
        ),
        # Names that are a path, or nothing.
        (["name="], "name: found ''; accepted: letters"),
        (["name=../up"], "name: found '../up'; accepted: letters"),
        (["name=a/b"], "name: found 'a/b'; accepted: letters"),
        (["storage="], "storage: found ''; accepted: a path"),
        # Budgets.
        (["++budget.epochs=3", "++budget.steps=3"], "budget: found both of epochs and steps"),
        (["budget.epochs=null"], "budget: found neither of epochs and steps"),
        (["~budget"], "budget: found null; accepted: "),
        (["~budget.trials"], "budget.trials: found nothing; accepted: an integer"),
        (["~seed"], "seed: found nothing; accepted: an integer"),
        # Ranges and scales.
        (["space.learning_rate.low=20"], "space.learning_rate.low: found 20.0 with high 10.0"),
        (["space.learning_rate.low=10"], "space.learning_rate.low: found 10.0 with high 10.0"),
        (["space.learning_rate.low=0"], "space.learning_rate.low: found 0.0; accepted: more than"),
        (
            ["space.learning_rate.low=-1"],
            "space.learning_rate.low: found -1.0; accepted: more than",
        ),
        (["space.momentum.high=1"], "space.momentum.high: found 1.0; accepted: less than 1"),
        (["space.momentum.scale=foo"], "space.momentum.scale: found 'foo'; accepted: 'linear'"),
        (["space.momentum.scale=choice"], "space.momentum.choices: found "),
        (["~space.momentum.low"], "space.momentum.low: found nothing; accepted: a number"),
        (["space.momentum=null"], "space.momentum: found null; accepted: scale, low and high"),
        (["+space.momentum.choices=[0.5]"], "space.momentum.choices: found [0.5]; accepted: none"),
        (["+space.units={scale:integer,low:1.5,high:8}"], "space.units.low: found 1.5; accepted"),
        (["+space.units={scale:choice,choices:[]}"], "space.units.choices: found "),
        (["+space.units={scale:choice,choices:[8,8]}"], "space.units.choices: found [8, 8]"),
        (["+space.units={scale:choice,choices:[[8,8]]}"], "space.units.choices: found [[8, 8]]"),
        (["~space.learning_rate", "~space.momentum"], "space: found nothing to search; accepted"),
        # What is searched must have a place, and all of its range must be accepted there.
        (["+space.foo={scale:linear,low:0,high:1}"], "space.foo: found nothing that has such"),
        (["+space.generator={scale:linear,low:0,high:1}"], "space.generator: found nothing that"),
        (
            ["space.momentum.scale=linear", "space.momentum.high=1.5"],
            "space.momentum: found 1.5; accepted: less than 1",
        ),
        (["+space.units={scale:linear,low:1,high:8}"], "space.units: found 1.0; accepted: an int"),
        (
            ["+space.epochs={scale:linear,low:1,high:8}"],
            "space.epochs: found 1.0; accepted: an int",
        ),
        (["+space.units={scale:integer,low:0,high:8}"], "space.units: found 0; accepted: "),
        (["+space.activation={scale:choice,choices:[relu,foo]}"], "space.activation: found 'foo'"),
        (
            ["+space.dropout={scale:linear,low:0,high:1}"],
            "space.dropout: found 1.0; accepted: less",
        ),
        (["+space.batch_size={scale:integer,low:0,high:8}"], "space.batch_size: found 0; accepted"),
        (["+space.kind={scale:choice,choices:[sgd,foo]}"], "space.kind: found 'foo'; accepted: 's"),
        (
            [
                "+space.epochs={scale:integer,low:1,high:8}",
                "+space.steps={scale:integer,low:1,high:8}",
            ],
            "space: found epochs and steps; accepted: one of them",
        ),
        (
            ["+space.nesterov={scale:choice,choices:[true,2]}"],
            "space.nesterov: found 2; accepted: t",
        ),
        (
            ["+space.batch_size={scale:power_of_two,low:8,high:100}"],
            "space.batch_size.high: found 100.0; accepted: a power of two",
        ),
        (
            ["+space.dropout={scale:power_of_two,low:1,high:2}"],
            "space.dropout: found 1; accepted: less than 1",
        ),
        # Each layer's own.
        (
            ["+space.units_3={scale:power_of_two,low:8,high:16}"],
            "space.units_3: found it for at most 2 layers; accepted: units_1 to units_2",
        ),
        (
            ["+space.units_9={scale:integer,low:8,high:16}", "space=architecture"],
            "space.units_9: found it for at most 3 layers; accepted: units_1 to units_3",
        ),
        (
            ["model.layers=1", "+space.units_2={scale:integer,low:8,high:16}"],
            "space.units_2: found it for at most 1 layer; accepted: units_1",
        ),
        (
            ["model.layers=0", "+space.units_1={scale:integer,low:8,high:16}"],
            "space.units_1: found it for no layers; accepted: more layers",
        ),
        (
            ["~model.layers", "+space.units_1={scale:integer,low:8,high:16}"],
            "space.units_1: found it for a model that says nowhere how many layers it has; acce",
        ),
        (
            [
                "model.units=[8,8]",
                "+space.layers={scale:choice,choices:[null,2]}",
                "+space.units={scale:integer,low:8,high:16}",
                "+space.units_1={scale:integer,low:8,high:16}",
            ],
            "space.units_1: found it for a model that says nowhere how many layers it has; acce",
        ),
        (["+space.units_1={scale:integer,low:0,high:16}"], "space.units_1: found 0; accepted: gre"),
        (["+space.units_1={scale:linear,low:1,high:16}"], "space.units_1: found 1.0; accepted: an"),
        (["+space.units_0={scale:integer,low:8,high:16}"], "space.units_0: found nothing that has"),
        (["+space.units_01={scale:integer,low:8,high:16}"], "space.units_01: found nothing that h"),
        (["+space.layers_1={scale:integer,low:1,high:2}"], "space.layers_1: found nothing that ha"),
        (["+space.dropout_1={scale:linear,low:0,high:0.5}"], "space.dropout_1: found nothing that"),
        (
            ["model.units=[8,8,8]", "+space.units_1={scale:integer,low:8,high:16}"],
            "model.units: found [8, 8, 8]; accepted: one value, or one for each of 2 layers, bes",
        ),
        (
            [
                "model.units=[8,8]",
                "+space.layers={scale:integer,low:1,high:3}",
                "+space.units_1={scale:integer,low:8,high:16}",
            ],
            "model.units: found [8, 8]; accepted: one value, or one for each of up to 3 layers, b",
        ),
        # What the schedule does not use.
        (
            ["+space.decay_rate={scale:linear,low:0.1,high:0.9}"],
            "space.decay_rate: found it for none, which does not use it; accepted: a schedule that "
            "does (step, exponential, inverse_time), or space without it",
        ),
        (
            [
                "+space.decay_epochs={scale:integer,low:1,high:9}",
                "+space.schedule={scale:choice,choices:[none,cosine]}",
            ],
            "space.decay_epochs: found it for none and cosine, which does not use it; accepted: a",
        ),
        # What the optimizer does not use.
        (["optimizer=adam"], "space.momentum: found it for adam, which does not use it; accepted"),
        (
            ["optimizer=adam", "space=adam", "+optimizer.momentum=0.9"],
            "optimizer.momentum: found it for adam, which does not use it; accepted: ",
        ),
        (
            ["optimizer=adamw", "space=adam", "+optimizer.nesterov=true"],
            "optimizer.nesterov: found it for adamw, which does not use it; accepted: an opti",
        ),
        (
            ["optimizer=adamw", "space=sgd"],
            "space.momentum: found it for adamw, which does not use",
        ),
        (["space=adam"], "space.beta1: found it for sgd, which does not use it; accepted: "),
        (["optimizer.kind=adam", "space=adam"], "optimizer.momentum: found it for adam"),
        # Grids and other plans.
        (["strategy=grid", "strategy.points=5"], "strategy.points: found the grid of 5 (le"),
        (
            ["strategy=grid", "strategy.points={learning_rate:3,foo:3}"],
            "strategy.points: found 'foo'; accepted: names of learning_rate, momentum",
        ),
        (
            ["strategy=grid", "strategy.points={learning_rate:3}"],
            "strategy.points: found nothing for ",
        ),
        (["strategy=grid", "strategy.points=0"], "strategy.points: found 0 for"),
        (
            ["strategy=grid", "strategy.points=true"],
            "strategy.points: found true; accepted: an int",
        ),
        (
            ["strategy=grid", "strategy.offset=1"],
            "strategy.offset: found 1; accepted: true or fals",
        ),
        (
            [
                "strategy=grid",
                "budget.trials=3",
                "+space.activation={scale:choice,choices:[relu,tanh,elu,silu]}",
            ],
            "strategy.points: found the grid of 4 (activation) x 1 (learning_rate) x 1 (momentum",
        ),
        (["strategy=coarse_to_fine", "budget.trials=2"], "strategy.rounds: found 3; accepted"),
        (["strategy=coarse_to_fine", "strategy.zoom=0"], "strategy.zoom: found 0.0; accepted: "),
        (
            ["strategy=coarse_to_fine", "strategy.rounds=a"],
            "strategy.rounds: found 'a'; accepted: ",
        ),
        (
            ["strategy=staged", "strategy.groups=[learning_rate]"],
            "strategy.groups: found ['learning_rate']; accepted: lists of names, each name once, ",
        ),
        (
            ["strategy=staged", "strategy.groups=[[momentum],[learning_rate,momentum]]"],
            "strategy.groups: found [['momentum'], ['learning_rate', 'momentum']]; accepted: lists",
        ),
        (
            ["strategy=staged", "strategy.groups=[[beta1],[units]]"],
            "strategy.groups: found [['beta1'], ['units']]; accepted: at least one of learning_rat",
        ),
        (
            ["strategy=staged", "budget.trials=1"],
            "strategy.groups: found 2 stages for 1 trial; accepted: at least one trial for each",
        ),
        (
            ["strategy=staged", "strategy.shares=[1,2]"],
            "strategy.shares: found [1.0, 2.0]; accepted: equal, dimensions, or 4 numbers above 0,",
        ),
        (
            ["strategy=staged", "strategy.shares=[1,0,1,1]"],
            "strategy.shares: found [1, 0, 1, 1]; accepted: 'equal' or 'dimensions' or greater ",
        ),
        (
            ["strategy=staged", "+strategy.defaults={momentum:0.5}"],
            "strategy.defaults: found no such key; accepted: one of groups, rest, shares",
        ),
        (
            ["strategy=staged", "space.momentum.high=0.5"],
            "space.momentum: found the default 0.9 outside of 0 to 0.5; accepted: optimizer.moment",
        ),
        (
            ["strategy=staged", "space=sgd"],
            "space.weight_decay: found the default 0.0 outside of 1e-06 to 0.01; accepted: optimiz",
        ),
        (
            ["strategy=staged", "+space.epochs={scale:power_of_two,low:4,high:32}"],
            "space.epochs: found the default 20 outside of the powers of two from 4 to 32; accepte",
        ),
        (
            ["strategy=staged", "+space.steps={scale:integer,low:4,high:32}"],
            "space.steps: found the default null outside of the integers from 4 to 32; accepted: b",
        ),
        (
            ["strategy=staged", "+space.units_2={scale:integer,low:16,high:32}"],
            "space.units_2: found the default 8 outside of the integers from 16 to 32; accepted: m",
        ),
        (
            ["strategy=staged", "+space.activation={scale:choice,choices:[tanh,elu]}"],
            "space.activation: found the default 'relu' outside of its choices, tanh, elu; accept",
        ),
        (["strategy=tpe", "strategy.asks_at_once=0"], "strategy"),
        (["strategy=tpe", "strategy.seeding=foo"], "strategy.seeding: found 'foo'; accepted: 'tri"),
        (
            ["strategy=tpe", "+strategy.seed=3"],
            "strategy.seed: found no such key; accepted: one of",
        ),
        (["+strategy.seed=3"], "strategy.seed: found no such key; accepted: one of scale"),
        (
            ["+strategy.asks_at_once=2"],
            "strategy.asks_at_once: found no such key; accepted: one of",
        ),
        # Against the data.
        (["optimizer.batch_size=1079"], "optimizer.batch_size: found 1079; accepted: 1 to 1078, "),
        (
            ["+space.batch_size={scale:log_integer,low:16,high:2048}"],
            "space.batch_size: found 2048; accepted: 1 to 1078, the rows of the training set",
        ),
        (
            ["model=mlp_bn", "optimizer.batch_size=1"],
            "optimizer.batch_size: found 1; accepted: 2 or",
        ),
        (
            ["model=mlp_bn", "+space.batch_size={scale:log_integer,low:1,high:64}"],
            "space.batch_size: found 1; accepted: 2 or more, as batch norm",
        ),
        (
            [
                "optimizer.batch_size=1",
                "+space.normalization={scale:choice,choices:[none,before]}",
            ],
            "optimizer.batch_size: found 1; accepted: 2 or more, as batch norm",
        ),
        (["dataset.train_fraction=0.001"], "dataset.train_fraction: found 0.001"),
        (
            ["dataset.validation_size=1500"],
            "dataset.validation_size, test_size: found 1500 and 360",
        ),
        (["dataset.test_size=5000"], "dataset.validation_size, test_size: found 359 and 5000 of"),
        (["dataset.test_size=null"], "dataset.test_size: found "),
        (
            ["dataset.input_normalization=channel"],
            "dataset.input_normalization: found 'channel' fo",
        ),
        (["dataset.flip=true"], "dataset.flip: found true for inputs of shape [64]; accepted: fa"),
        (["dataset.shift=1"], "dataset.shift: found 1 for inputs of shape [64]; accepted: 0, as"),
        (
            ["dataset.image=true", "dataset.shift=8"],
            "dataset.shift: found 8 for images of 8 x 8; accepted: 0 to 7",
        ),
        (
            ["model.normalization=after", "model.normalizer=group", "model.groups=3"],
            "model.groups: found 3 for 8 units; accepted: 1, 2, 4, as groups must be equal",
        ),
        (
            ["model.units=[8,8,8]"],
            "model.units: found [8, 8, 8] for layers=2; accepted: one number",
        ),
        (
            ["model.units=[8,8]", "+space.layers={scale:integer,low:1,high:2}"],
            "model.units: found [8, 8] for layers=1; accepted: ",
        ),
        (
            ["dataset=mnist", "data_dir=nowhere", "dataset.download=false"],
            "data_dir: no readable MN",
        ),
        (["dataset=cifar10_jpeg"], "data_dir: no cifar10_jpeg.tar.gz in "),
        (["dataset=cifar10", "dataset.download=false"], "data_dir: no readable CIFAR-10 in "),
        (["dataset=fashion_mnist", "dataset.download=false"], "data_dir: no readable Fashion-MN"),
        (["dataset=image_folder"], "dataset.path: found nothing; accepted: a value"),
        (["dataset=image_folder", "dataset.path=/no/x"], "dataset.path: found nothing at /no/x; "),
        (
            ["dataset=image_folder", "dataset.path=x", "dataset.resize=[8]"],
            "dataset.resize: found [8]; accepted: ",
        ),
        (
            ["dataset=image_folder", "dataset.path=x", "dataset.color=cmyk"],
            "dataset.color: found 'cmyk'; accepted: 'rgb' or 'grayscale'",
        ),
        (["dataset=arrays", "dataset.path=x.npz"], "data_dir: no x.npz in "),
        (
            ["dataset=arrays", "dataset.path=x.npz", "dataset.scale=0"],
            "dataset.scale: found 0; accepted: greater than 0",
        ),
        (["dataset.validation_size=1.5"], "dataset.validation_size: found 1.5; accepted: an int"),
        (["model.units=1000000"], "model: hpsuite.models.mlp.mlp cannot be built ("),
        # What is checked in two places is named together.
        (
            ["+optimizer.foo=1"],
            "optimizer.foo: found no such key; accepted: one of kind, learning_",
        ),
        (
            ["+dataset.foo=1"],
            "dataset.foo: found no such key; accepted: one of image, validation_size, test_size",
        ),
        (["strategy=tpe", "+strategy.foo=1"], "strategy.foo: found no such key; accepted: one of "),
        # Targets.
        (
            ["model._target_=no.such.thing"],
            "model._target_: found 'no.such.thing'; accepted: a name in hpsuite.models, or p",
        ),
        (
            ["model._target_=no.such.thing", "packages=[no]"],
            "model._target_: found 'no.such.thing'; accepted: the na",
        ),
        (
            ["model._target_=hpsuite.models.none.such"],
            "model._target_: found 'hpsuite.models.none.such'; accepted: the na",
        ),
        # What one of our modules imported is not ours.
        (
            ["model._target_=hpsuite.datasets.mnist.Path"],
            "model._target_: found 'hpsuite.datasets.mnist.Path'; accepted: a name in hpsuite.mod",
        ),
        (
            ["dataset._target_=hpsuite.datasets.image_folder.Path"],
            "dataset._target_: found 'pathlib",
        ),
        (
            ["model._target_=hpsuite.modelsandmore.f"],
            "model._target_: found 'hpsuite.modelsandmore.f'; accepted: a name in hpsuite.models",
        ),
        (
            ["strategy._target_=optuna.study.Study"],
            "strategy._target_: found 'optuna.study.Study'; accepted: a name in hpsuite.strat",
        ),
        (["packages=mine"], "packages: found 'mine'; accepted: a list"),
        (["packages=[a.b]"], "packages: found ['a.b']; accepted: names of top-level packages"),
        (
            ["model._target_=mlp"],
            "model._target_: found 'mlp'; accepted: the dotted name of a funct",
        ),
        (
            ["model._target_=math.pi", "packages=[math]"],
            "model._target_: found 'math.pi'; accepted: the name of a func",
        ),
        (["model._target_=3"], "model._target_: found 3; accepted: the dotted name of a function"),
        (
            ["~model._target_"],
            "model._target_: found null; accepted: the dotted name of a function",
        ),
        (["dataset._target_=os.getcwd", "~dataset.image"], "dataset._target_: found "),
        (["strategy._target_=os.getcwd"], "strategy._target_: found "),
        (["strategy._target_=optuna.samplers.GridSampler"], "strategy"),
        (["strategy._target_=optuna.samplers.RandomSampler"], "strategy.scale: found no such key"),
        # Overrides.
        (["a=[1,"], "a=[1,: cannot be read ("),
        (["title=${"], "title=${: cannot be read ("),
        (["repeats"], "repeats: cannot be read ("),
        (["=3"], "override: found '=3'; accepted: key=value"),
        (["title=${foo}"], "title: Interpolation key 'foo' not found; accepted: "),
        (
            ["title=${oc.env:HPSUITE_NOWHERE}"],
            "title: KeyError raised while resolving interpolatio",
        ),
        (["title=${foo:x}"], "title: Unsupported interpolation type foo; accepted: "),
        (["seed=1,2"], "seed: found several values; accepted: one, or -m to run them in turn"),
        (["+seed=1"], "seed: found +seed, and the key is there already; accepted: seed=VALUE"),
        (
            ["+dataset=mnist"],
            "dataset: found a second choice; accepted: dataset=OPTION, which repl",
        ),
        (["++dataset=mnist"], "++dataset=mnist: found ++ with a group; accepted: dataset=mnist"),
        (["seed.foo=1"], "seed.foo: found no such key; accepted: none in seed"),
        (["experiment=quickstart"], "experiment: found no +; accepted: +experiment=NAME (analyze"),
        (["+experiment=nowhere"], "experiment: found 'nowhere'; accepted: analyze, "),
        (["name=???"], "name: found nothing; accepted: +experiment=NAME for an experiment (anal"),
        (["title=???"], "title: found nothing; accepted: a value"),
        (
            ["optimizer=adam", "optimizer.momentum=0.5"],
            "optimizer.momentum: found no such key; acc",
        ),
        # The matrix.
        (["matrix=3"], "matrix: found 3; accepted: keys, each with a list of values"),
        (["matrix=[model]"], "matrix: found [model]; accepted: keys with values"),
        (["matrix.model=mlp"], "matrix.model: found 'mlp'; accepted: a list of one value or more"),
        (["matrix.model=[]"], "matrix.model: found []; accepted: a list of one value or more"),
        (["matrix.model=null"], "matrix.model: found null; accepted: a list of one value or more"),
        (
            ["matrix.model=[mlp,mlp]"],
            "matrix: found digits mlp log_random twice; accepted: each cell once",
        ),
        (["matrix.foo=[1]"], "matrix.foo: found no such axis; accepted: dataset, model, optimizer"),
        (["matrix.repeats=[1,2]"], "matrix.repeats: found no such axis; accepted: dataset, model"),
        (["matrix.device=[cpu,cuda]"], "matrix.device: found no such axis; accepted: dataset, mod"),
        (
            ["matrix.optimizer.foo=[1]"],
            "optimizer.foo: found no such key; accepted in optimizer: k",
        ),
        (["matrix.model=[mlp,foo]"], f"model: found 'foo'; accepted: {MODELS}"),
        (["matrix.model=[mlp,3]"], f"model: found 3; accepted: {MODELS}"),
        (
            ["matrix.budget.trials=[4,8]"],
            "matrix: found digits mlp log_random budget.trials=4 and ",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_clear_line(plan: Plan, overrides: list[str], line: str) -> None:
    found = refused(plan, *overrides)
    assert found.startswith(line), found
    assert re.search("accepted|must|put", found)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_learns_its_limits_only_when_it_is_asked(plan: Plan) -> None:
    """Optuna's brute force takes no ranges of real numbers, and says so when it draws."""
    brute = ["strategy._target_=optuna.samplers.BruteForceSampler", "~strategy.scale"]
    assert refused(plan, *brute).startswith("strategy: log_random cannot search this space (")
    integers = ["~space.momentum", "+space.units={scale:integer,low:4,high:6}"]
    chosen = "++space.learning_rate={scale:choice,choices:[0.1,0.2],low:null,high:null}"
    assert plan(*brute, *integers, chosen)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["output_dir=taken"], "output_dir"),
        (["output_dir=taken/deep/er"], "output_dir"),
        (["output_dir=folder", "name=taken"], "output_dir"),
        (["output_dir=/proc/hpsuite"], "output_dir"),
        (["storage=taken/record.journal"], "storage"),
        (["storage=folder"], "storage"),
        (["storage=taken"], "storage"),
        (["storage=/proc/hpsuite.journal"], "storage"),
        (["storage=/dev/null"], "storage"),
        (["storage=sqlite:////nowhere/at/all.db"], "storage"),
        (["storage=foo://bar"], "storage"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_places_that_cannot_be_written(plan: Plan, overrides: list[str], key: str) -> None:
    if any("/proc" in text for text in overrides) and not Path("/proc/self").exists():
        pytest.skip("needs a /proc")
    Path("taken").write_text("not a journal")
    Path("folder").mkdir()
    (Path("folder") / "taken").touch()
    before = sorted(Path.cwd().rglob("*"))

    def begin() -> None:
        plan(*overrides)
        open_storage(overrides[0].partition("=")[2])  # what a run does next, before it trains

    with pytest.raises(UserError) as caught:
        begin()
    assert re.fullmatch(rf"{key}: (found|cannot open) .*; accepted: .*", str(caught.value))
    assert sorted(Path.cwd().rglob("*")) == before
    assert Path("taken").read_text() == "not a journal"


def test_a_home_folder_is_found(plan: Plan, hydra: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    settings, _ = compose_experiment([*ONE, "output_dir='~/out'", "storage='~/a.journal'"])
    assert settings.output_dir == str(Path.cwd() / "out")
    assert settings.storage == str(Path.cwd() / "a.journal")


# --- Identity: what decides a trial, and nothing else.


@pytest.fixture
def identity(plan: Plan) -> Callable[..., str]:
    """The identity of the one arm of some overrides."""

    def identity(*overrides: str) -> str:
        (planned,) = plan(*overrides)
        return planned.identity

    return identity


@pytest.fixture(scope="module")
def plain(hydra: None) -> str:
    """The identity without overrides."""
    (planned,) = plan_arms(compose_experiment(ONE)[1])
    return planned.identity


@pytest.mark.parametrize(
    "override",
    [
        "name=other",
        "title=other",
        "repeats=3",
        "budget.trials=64",
        "device=cpu",
        "storage=other.journal",
        "output_dir=other",
        "data_dir=other",
        "fresh=true",
        "plan=true",
        "log_level=debug",
        "packages=[math]",
        "executor=inline",
        "executor.workers=7",
        "tracking=mlflow",
        "tracking.uri=other",
        "tracking.best_trials=0",
        # The value of what is searched is never used.
        "optimizer.learning_rate=0.5",
        "optimizer.momentum=0.5",
        # Defaults that are written out, and other words for the same.
        "dataset.train_fraction=1",
        "~dataset.train_fraction",
        "dataset.flip=false",
        "~dataset.shift",
        "~dataset.image",
        "model.normalizer=batch",
        "~model.groups",
        "~model.affine",
        "~model.sigma",
        "~optimizer.weight_decay",
        "~optimizer.batch_size",
        "~optimizer.nesterov",
        "~optimizer.label_smoothing",
        "~optimizer.warmup_fraction",
        "~strategy.scale",
        "~numerics.tf32",
        "~numerics.autocast",
        "numerics.autocast=none",
        "model._target_=hpsuite.models.mlp",
        "strategy._target_=hpsuite.strategies.random.ScaledRandomSampler",
        "model.units=8",
        "space.learning_rate.high=10.0",
        "model=mlp",
        "dataset=digits",
    ],
)
def test_identity_does_not_depend_on(
    identity: Callable[..., str], plain: str, override: str
) -> None:
    assert identity(override) == plain


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "split_seed=1",
        "budget.epochs=21",
        "budget.steps=20",
        "dataset.validation_size=358",
        "dataset.test_size=350",
        "dataset.train_fraction=0.5",
        "dataset.input_normalization=none",
        "dataset.image=true",
        "model.layers=3",
        "model.units=9",
        "model.activation=tanh",
        "model.normalization=before",
        "model.normalization=after",
        "model=mlp_bn",
        "model.affine=false",
        "model.dropout=0.1",
        "model.initialization=xavier",
        "optimizer=sgd_ema",
        "optimizer.weight_decay=0.001",
        "optimizer.batch_size=32",
        "optimizer.schedule=cosine",
        "optimizer.decay_rate=0.1",
        "optimizer.decay_epochs=2",
        "optimizer.nesterov=true",
        "optimizer.label_smoothing=0.1",
        "optimizer.warmup_fraction=0.1",
        "space=rate_only",
        "space.learning_rate.low=1e-3",
        "space.learning_rate.high=1",
        "space.learning_rate.scale=linear",
        "+space.dropout={scale:linear,low:0,high:0.5}",
        "strategy=random",
        "strategy=grid",
        "strategy=coarse_to_fine",
        "strategy=staged",
        "strategy=tpe",
        "numerics.dtype=float64",
        "numerics.tf32=true",
        "numerics.autocast=bfloat16",
    ],
)
def test_identity_depends_on(identity: Callable[..., str], plain: str, override: str) -> None:
    assert identity(override) != plain


def test_augmentation_is_part_of_it(identity: Callable[..., str]) -> None:
    image = "dataset.image=true"
    choices = [(), ("dataset.flip=true",), ("dataset.shift=1",), ("dataset.shift=2",)]
    choices.append(("dataset.flip=true", "dataset.shift=2"))
    assert len({identity(image, *choice) for choice in choices}) == len(choices)


def test_norms_of_other_kinds_are_part_of_it(identity: Callable[..., str]) -> None:
    before = "model.normalization=before"
    kinds = [identity(before, f"model.normalizer={kind}") for kind in ("batch", "layer")]
    groups = ["model.units=16", "model.normalizer=group"]
    kinds += [identity(before, *groups, f"model.groups={n}") for n in (2, 4)]
    assert len(set(kinds)) == 4


def test_recorded_studies_are_found_again(hydra: None) -> None:
    """Those of the published quickstart, which somebody's record may hold."""
    path = Path(__file__).resolve().parents[1] / "results" / "quickstart" / "summary.json"
    recorded = [arm["identity"] for arm in json.loads(path.read_text())["arms"]]
    _, arms = compose_experiment(["+experiment=quickstart"])
    assert [planned.identity for planned in plan_arms(arms)] == recorded


def test_the_budget_is_part_of_a_strategy_that_it_shapes(identity: Callable[..., str]) -> None:
    # Grids of 16 and of 24 trials in two dimensions are both 4 x 4.
    grids = [identity("strategy=grid", f"budget.trials={n}") for n in (16, 24, 25)]
    assert grids[0] == grids[1] != grids[2]
    rounds = [identity("strategy=coarse_to_fine", f"budget.trials={n}") for n in (16, 17)]
    assert rounds[0] != rounds[1]
    tpe = [identity("strategy=tpe", f"budget.trials={n}") for n in (16, 17)]
    assert tpe[0] == tpe[1]


def test_defaults_of_samplers_by_target_are_not_part_of_it(identity: Callable[..., str]) -> None:
    tpe = identity("strategy=tpe")
    assert identity("strategy=tpe", "+strategy.group=false") == tpe
    assert identity("strategy=tpe", "+strategy.multivariate=null") == tpe
    assert identity("strategy=tpe", "~strategy.asks_at_once", "~strategy.seeding") == tpe
    assert identity("strategy=tpe", "+strategy.multivariate=true") != tpe
    assert identity("strategy=tpe", "strategy.asks_at_once=4") != tpe
    assert identity("strategy=tpe", "strategy.n_startup_trials=4") != tpe


def test_a_searched_budget_replaces_the_fixed_one(identity: Callable[..., str]) -> None:
    searched = "+space.epochs={scale:integer,low:1,high:4}"
    assert identity(searched) == identity(searched, "budget.epochs=7")
    assert identity(searched) == identity(searched, "budget.steps=7")


def test_a_layers_own_replaces_the_fixed_one(identity: Callable[..., str]) -> None:
    """Of a list, the entries that are searched are never used; the others are."""
    searched = "+space.units_1={scale: integer, low: 4, high: 8}"
    lists = [identity(searched, f"model.units={units}") for units in ("[1,5]", "[2,5]", "5")]
    assert lists[0] == lists[1] == lists[2]
    assert identity(searched, "model.units=[1,6]") != lists[0]
    both = (searched, "+space.units_2={scale: integer, low: 4, high: 8}")
    assert identity(*both, "model.units=[1,5]") == identity(*both, "model.units=77")
    assert len({identity(), lists[0], identity(*both)}) == 3
    # Where the depth is searched, up to the deepest.
    depths = ("+space.layers={scale: integer, low: 1, high: 3}", *both)
    third = [identity(*depths, f"model.units={units}") for units in ("[1,1,7]", "[2,2,7]", "7")]
    assert third[0] == third[1] == third[2] != identity(*depths, "model.units=9")


def test_options_by_another_name_are_the_same(identity: Callable[..., str]) -> None:
    assert identity("model=mlp_bn") == identity("model=mlp", "model.normalization=before")
    assert identity("strategy=random") == identity("strategy=log_random", "strategy.scale=linear")
