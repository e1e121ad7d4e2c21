"""The matrix: what is crossed, what the command line takes out of it, and what cells are called."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from hpsuite.arms import plan_arms
from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.config import Arm
from hpsuite.overrides import config_dir

QUICKSTART = "+experiment=quickstart"

Arms = Callable[..., list[Arm]]


@pytest.fixture
def arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arms]:
    """The arms of some overrides, beside a folder `own` of the user's configuration."""
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield lambda *overrides: compose_experiment(overrides)[1]


def labels(arms: list[Arm]) -> list[str]:
    return [arm.label for arm in arms]


def test_an_experiment_crosses_its_axes(arms: Arms) -> None:
    assert labels(arms(QUICKSTART)) == [
        f"digits {model} {strategy}"
        for model in ("mlp", "mlp_bn")
        for strategy in ("grid", "random", "log_random", "coarse_to_fine")
    ]


@pytest.mark.parametrize(
    "override",
    ["strategy=tpe", "matrix.strategy=[tpe]", "+matrix.strategy=[tpe]"],
)
def test_an_axis_that_the_command_line_sets(arms: Arms, override: str) -> None:
    assert labels(arms(QUICKSTART, override)) == ["digits mlp tpe", "digits mlp_bn tpe"]


def test_a_key_within_an_option_does_not_take_its_axis_out(arms: Arms) -> None:
    found = arms(QUICKSTART, "strategy=random", "model.units=7")
    assert labels(found) == ["digits mlp random", "digits mlp_bn random"]
    assert all(dict(arm.setup.model.arguments)["units"] == 7 for arm in found)


def test_the_command_line_wins_over_an_experiment(
    arms: Arms, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = arms(
        QUICKSTART, "dataset=mnist", f"data_dir='{mnist_dir}'", "budget.trials=8", "repeats=2"
    )
    assert {(arm.setup.dataset.name, arm.trials, arm.repeats) for arm in found} == {("mnist", 8, 2)}
    assert found[0].setup.dataset.target == "hpsuite.datasets.mnist.mnist"


@pytest.mark.parametrize(
    ("overrides", "epochs", "steps"),
    [
        ([], 20, None),
        (["budget.epochs=3"], 3, None),
        (["budget.steps=70"], None, 70),
        (["++budget.steps=70"], None, 70),
        (["budget.epochs=3", "budget.steps=null"], 3, None),
        (["budget={steps:70,epochs:null}"], None, 70),
        (["matrix.budget.steps=[70]"], None, 70),
        # Epochs and steps are one axis: the command line sets it.
        (["matrix.budget.steps=[70]", "budget.epochs=3"], 3, None),
    ],
)
def test_epochs_and_steps_replace_each_other(
    arms: Arms, overrides: list[str], epochs: int | None, steps: int | None
) -> None:
    (arm,) = arms("name=one", *overrides)
    assert (arm.setup.epochs, arm.setup.steps) == (epochs, steps)


@pytest.mark.parametrize(
    "override",
    [
        "+matrix={optimizer.momentum: [0.5, 0.9]}",
        "matrix={optimizer.momentum: [0.5, 0.9]}",
        "matrix.optimizer.momentum=[0.5,0.9]",
        "+matrix.optimizer.momentum=[0.5,0.9]",
    ],
)
def test_a_key_as_an_axis(arms: Arms, override: str) -> None:
    found = arms("name=one", "space=rate_only", override)
    assert [arm.setup.optimizer.momentum for arm in found] == [0.5, 0.9]
    assert labels(found) == [
        "digits mlp optimizer.momentum=0.5 log_random",
        "digits mlp optimizer.momentum=0.9 log_random",
    ]


def test_other_groups_as_axes_tell_setups_apart(arms: Arms) -> None:
    found = arms(QUICKSTART, "strategy=random", "matrix.optimizer=[sgd,sgd_ema]")
    assert {arm.setup.variant for arm in found} == {
        (("optimizer", "sgd"),),
        (("optimizer", "sgd_ema"),),
    }
    assert len({(arm.setup.model_name, arm.setup.variant) for arm in found}) == len(found) == 4


def test_axes_of_the_strategy_tell_arms_apart_not_setups(arms: Arms) -> None:
    found = arms("name=one", "strategy=coarse_to_fine", "matrix.strategy.zoom=[0.25,0.5]")
    assert [arm.strategy.label for arm in found] == [
        "coarse_to_fine strategy.zoom=0.25",
        "coarse_to_fine strategy.zoom=0.5",
    ]
    assert found[0].setup == found[1].setup
    assert {arm.strategy.name for arm in found} == {"coarse_to_fine"}


def test_values_of_all_kinds_reach_their_cells(arms: Arms) -> None:
    found = arms(
        "name=one",
        "matrix.model.units=[5,[6,7],[8,9]]",
        "matrix.model.activation=[relu,tanh]",
        "matrix.space.learning_rate=[{low: 1e-3, high: 1}]",
    )
    assert [
        (dict(arm.setup.model.arguments)["units"], dict(arm.setup.model.arguments)["activation"])
        for arm in found
    ] == [(u, a) for u in (5, (6, 7), (8, 9)) for a in ("relu", "tanh")]
    assert {(h.low, h.high) for arm in found for h in arm.setup.space.hyperparameters[:1]} == {
        (1e-3, 1.0)
    }
    assert len(set(labels(found))) == 6


MODEL = """
from torch import nn

def line(input_shape, n_classes, *, bias: bool = True) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], n_classes, bias=bias))
"""


def test_a_users_own_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model, a strategy, a data set and an experiment of one's own, without touching hpsuite."""
    (tmp_path / "line_of_mine.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = {
        "model/line.yaml": "_target_: line_of_mine.line\nbias: false\n",
        "strategy/cma.yaml": "_target_: optuna.samplers.RandomSampler\nasks_at_once: 4\n",
        "dataset/few.yaml": "defaults: [digits, _self_]\ntrain_fraction: 0.5\n",
        "experiment/mine.yaml": (
            "# @package _global_\ndefaults:\n  - override /dataset: few\nname: mine\n"
            "matrix: {model: [mlp, line], strategy: [cma, log_random], optimizer.momentum: [0.1]}\n"
            "budget: {epochs: null, steps: 50}\n"
        ),
    }
    for name, text in options.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    search = f"hydra.searchpath=['file://{tmp_path}/own']"
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        asked = ["+experiment=mine", "space=rate_only", search]
        with pytest.raises(
            UserError, match=r"^model._target_: found 'line_of_mine.line'; accepted"
        ):
            compose_experiment(asked)  # not without one's word
        settings, found = compose_experiment([*asked, "packages=[line_of_mine]"])
    assert settings.name == "mine"
    assert labels(found) == [
        f"few {model} optimizer.momentum=0.1 {strategy}"
        for model in ("mlp", "line")
        for strategy in ("cma", "log_random")
    ]
    assert {arm.setup.steps for arm in found} == {50}
    assert found[2].setup.model.target == "line_of_mine.line"
    assert plan_arms(found)[0].data.y_train.shape == (539,)


def test_a_model_that_was_edited_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of a user's own function decides its trials; ours is told by its version."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "edited_line.py"
    path.write_text(MODEL)
    asked = ["name=one", "packages=[edited_line]", "model={_target_: edited_line.line}"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        # Found in the current folder, where Python by itself would not look.
        assert str(tmp_path) not in sys.path
        monkeypatch.setattr(sys, "path", [*sys.path])
        (before,) = plan_arms(compose_experiment(["~model", *map(_own, asked)])[1])
        (same,) = plan_arms(compose_experiment(["~model", *map(_own, asked)])[1])
        path.write_text(MODEL + "# another line\n")
        (after,) = plan_arms(compose_experiment(["~model", *map(_own, asked)])[1])
        (ours,) = plan_arms(compose_experiment(["name=one"])[1])
    assert before.identity == same.identity != after.identity
    assert "code" not in ours.decided_by
    assert "code" not in ours.decided_by["setup"]  # type: ignore[operator]


def _own(text: str) -> str:
    return f"++{text}" if text.startswith("model=") else text
