"""The contract of conf/: every file of every group composes, and what it names works.

New options are found here by themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir

from hpsuite.arms import plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.config import Arm
from hpsuite.overrides import config_dir
from hpsuite.samplers import build_sampler
from hpsuite.training import Resident, train
from hpsuite.training.loop import build_model
from hpsuite.values import layer_of
from tests.datasets.small import SMALL
from tests.registries import write_registry

GROUPS = sorted(path.name for path in config_dir().iterdir() if path.is_dir())
FILES = sorted(config_dir().rglob("*.yaml"))


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


# An optimizer must use what is searched, and the other way round.
SPACE_OF = {"adam": "adam", "adamw": "adam"}
OPTIMIZER_OF = {"adam": "adam", "order_adam": "adam"}
SCHEDULE_OF = {
    "rate_inert": "step",
    **dict.fromkeys(("order_sgd", "order_adam", "bergstra_bengio"), "inverse_time"),
}
KIND_OF = {"sgd_nesterov": "sgd"}

# Families of models that take [channels, height, width] alone.
WANT_IMAGES = ("convnet", "resnet")

One = Callable[..., Arm]


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[One]:
    """The one arm of some overrides."""
    monkeypatch.chdir(tmp_path)

    def one(*overrides: str) -> Arm:
        (arm,) = compose_experiment(["name=one", *overrides])[1]
        return arm

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield one


def test_every_group_has_its_test() -> None:
    tested = "budget dataset executor experiment hydra model optimizer space strategy tracking"
    assert tested.split() == GROUPS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(config_dir())))
def test_every_file_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    if path.parent.name in ("dataset", "model", "optimizer", "space", "strategy", "experiment"):
        comments = [line for line in text.splitlines() if line.startswith("# ")]
        assert [line for line in comments if "@package" not in line], "no comment that explains it"


@pytest.mark.parametrize("name", options("dataset"))
def test_datasets(
    one: One, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request.getfixturevalue("mnist_dir") if name == "mnist" else Path.cwd()
    own = SMALL[name](folder, monkeypatch) if name in SMALL else []
    arm = one(f"dataset={name}", f"data_dir='{folder}'", *own)
    data = arm.setup.dataset.load()
    assert arm.setup.dataset.name == name
    for split in ("train", "val", "test"):
        x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        assert len(x) == len(y) > 0
        assert x.shape[1:] == data.input_shape
        # Stratified: every class is everywhere.
        assert set(np.unique(y)) == set(range(data.n_classes))
    assert np.isfinite(data.multiplier).all()
    seeded = one(f"dataset={name}", f"data_dir='{folder}'", "split_seed=1", *own)
    assert seeded.setup.dataset.load().fingerprint != data.fingerprint


@pytest.mark.parametrize("name", options("model"))
def test_models(one: One, name: str) -> None:
    inputs = ["dataset.image=true"] if name.startswith(WANT_IMAGES) else []
    (planned,) = plan_arms([one(f"model={name}", *inputs)])
    setup, data = planned.arm.setup, planned.data
    assert setup.model_name == name
    model = build_model(setup.model, data, seed=3, number=5)
    x = torch.tensor(data.x_train[:16] * data.multiplier + data.offset, dtype=torch.float32)
    y = model(x)
    assert y.shape == (16, data.n_classes)
    assert torch.isfinite(y).all()
    y.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    # Weights are a function of seed and number.
    again, other = (build_model(setup.model, data, seed=3, number=n) for n in (5, 6))
    pairs = list(zip(model.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("name", options("optimizer"))
def test_optimizers(one: One, name: str) -> None:
    arm = one(f"optimizer={name}", f"space={SPACE_OF.get(name, 'rate_momentum')}")
    assert arm.setup.optimizer.kind == KIND_OF.get(name, name)
    assert plan_arms([arm])


@pytest.mark.parametrize("name", options("space"))
def test_spaces(one: One, name: str) -> None:
    schedule = f"optimizer.schedule={SCHEDULE_OF.get(name, 'none')}"
    arm = one(f"space={name}", f"optimizer={OPTIMIZER_OF.get(name, 'sgd')}", schedule)
    (planned,) = plan_arms([arm])
    space = arm.setup.space
    assert space.names == tuple(sorted(space.names))
    for values in ({h.name: h.ends()[i] for h in space.hyperparameters} for i in (0, -1)):
        spec = arm.setup.spec(values, study="", number=0, seed=0, dataset=planned.data.fingerprint)
        model = dict(spec.model.arguments)
        for key, value in values.items():
            if layer := layer_of(spec.model.target, key):
                entries = model[layer.argument]
                assert isinstance(entries, tuple)
                assert len(entries) == model["layers"]
                assert entries[layer.layer - 1 : layer.layer] in ((value,), ())
            else:
                places = (spec.optimizer, spec)
                found = [getattr(place, key, None) for place in places]
                assert value in [*found, model.get(key)]
        # Both ends of everything can be trained.
        short = replace(spec, epochs=None, steps=3)
        (result,) = train([short], Resident.place(planned.data, torch.device("cpu")))
        assert result.steps == 3 or result.outcome == "nonfinite"


# What an option needs besides its name, given an empty folder.
NEEDED_BY: dict[str, Callable[[Path], list[str]]] = {
    "hub": lambda folder: [
        "strategy.package=samplers/hill_climb",
        f"strategy.registry_root='{write_registry(folder)}'",
    ]
}


@pytest.mark.parametrize("name", options("strategy"))
def test_strategies(one: One, name: str) -> None:
    needed = NEEDED_BY[name](Path("registry")) if name in NEEDED_BY else []
    arm = one(f"strategy={name}", *needed)
    assert arm.strategy.name == name
    sampler = build_sampler(arm, seed=1)
    assert 1 <= sampler.n_planned <= arm.trials
    assert set(sampler.search_space) == {"learning_rate", "one_minus_momentum"}
    # caviar is log_random by another name.
    assert arm.strategy.is_reference == (name in ("log_random", "caviar"))
    assert plan_arms([arm])[0].n_planned == sampler.n_planned


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group in ("budget", "executor", "tracking") for name in options(group)],
)
def test_settings(one: One, group: str, name: str) -> None:
    assert one(f"{group}={name}")


@pytest.mark.parametrize("name", sorted({*options("experiment")} - {"analyze", "sync"}))
def test_experiments(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("config", overrides=[f"+experiment={name}"])
        settings, arms = compose_experiment([f"+experiment={name}"])
        if any(arm.setup.dataset.name == "mnist" for arm in arms):
            folder = request.getfixturevalue("mnist_dir")
            overrides = [f"+experiment={name}", f"data_dir='{folder}'"]
            settings, arms = compose_experiment(overrides)
    assert settings.name == name
    assert settings.title
    assert arms
    assert len({arm.label for arm in arms}) == len(arms)
    # What an experiment compares must be there to see in its file.
    tier = config.tiers[settings.tier] if settings.tier else config
    blocks = [tier.get("matrix", config.matrix), *tier.get("blocks", [])]
    sizes = [np.prod([len(values) for values in block.values()]) for block in blocks]
    assert len(arms) == sum(sizes)
    for planned in plan_arms(arms):
        assert 1 <= planned.n_planned <= planned.arm.trials
