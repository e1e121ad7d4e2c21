"""Tiers and blocks: one experiment in several sizes, of several matrices, in one file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.config import Arm, Settings
from hpsuite.overrides import config_dir

TIERED = """# @package _global_
name: tiered
title: A title
matrix:
  model: [mlp, mlp_bn]
repeats: 3
claims:
  - {claim: c, statistic: good_fraction_2pt, a: {model: mlp_bn}, b: {model: mlp},
     direction: greater, smallest_effect: 0.05, n: 16}
tiers:
  quick:
    left_out: [sigmoid]
    budget: {trials: 4, steps: 20}
  full:
    title: A longer title
    repeats: 5
    budget: {trials: 6, steps: 20, epochs: null}
    matrix: {model: [mlp, mlp_bn], model.activation: [relu, sigmoid]}
    blocks:
      - {model: [mlp, mlp_bn], space: [rate_only], strategy: [grid]}
    claims:
      - {claim: d, statistic: rate_width_2pt, a: {model: mlp_bn}, b: {model: mlp},
         direction: greater, smallest_effect: 0.5, n: 5, primary: {space: rate_only}}
  mnist:
    optimizer: adam
    space: rate_only
    optimizer.batch_size: 32
  small:
    matrix: {model: [mlp, mlp_bn], model.activation: [relu], budget.steps: [20]}
    claims:
      - {claim: e, statistic: good_fraction_2pt, a: {model: mlp_bn, model.activation: relu},
         b: {model: mlp, model.activation: relu}, direction: greater, smallest_effect: 0.1, n: 9,
         primary: {budget.steps: 20}}
  broken: 3
  typo:
    budgets: {trials: 4}
"""
Composed = tuple[Settings, list[Arm]]


@pytest.fixture
def tiered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Composed]]:
    """An experiment with tiers, in a folder of the user's own."""
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "tiered.yaml").write_text(TIERED)
    monkeypatch.chdir(tmp_path)

    def composed(*overrides: str) -> Composed:
        path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
        return compose_experiment([path, "+experiment=tiered", *overrides])

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield composed


def test_the_first_tier_is_the_default(tiered: Callable[..., Composed]) -> None:
    for overrides in ((), ("tier=quick",)):
        settings, arms = tiered(*overrides)
        assert (settings.tier, settings.title, len(settings.claims)) == ("quick", "A title", 1)
        assert [arm.label for arm in arms] == ["digits mlp log_random", "digits mlp_bn log_random"]
        assert {(arm.trials, arm.setup.steps, arm.setup.epochs) for arm in arms} == {(4, 20, None)}
        assert {arm.repeats for arm in arms} == {3}
        assert settings.left_out == ("sigmoid",)


def test_a_tier_goes_over_the_experiment_and_the_command_line_over_both(
    tiered: Callable[..., Composed],
) -> None:
    settings, arms = tiered("tier=full", "budget.trials=9", "claims=[]")
    assert (settings.title, len(settings.claims)) == ("A longer title", 1)
    assert settings.left_out == ()
    labels = [arm.label for arm in arms]
    assert labels == [
        "digits mlp model.activation=relu log_random",
        "digits mlp model.activation=sigmoid log_random",
        "digits mlp_bn model.activation=relu log_random",
        "digits mlp_bn model.activation=sigmoid log_random",
        "digits mlp space=rate_only grid",
        "digits mlp_bn space=rate_only grid",
    ]
    assert {(arm.trials, arm.repeats) for arm in arms} == {(9, 5)}


def test_what_all_cells_share_is_in_no_name(tiered: Callable[..., Composed]) -> None:
    """The claims of a larger tier fit a smaller one, in which an axis has one value."""
    settings, arms = tiered("tier=small", "claims=[]")
    assert [arm.label for arm in arms] == ["digits mlp log_random", "digits mlp_bn log_random"]
    (claim,) = settings.claims
    assert (claim.a, claim.b, claim.primary) == ({"model": "mlp_bn"}, {"model": "mlp"}, {})


def test_an_axis_of_the_command_line_reaches_every_block(
    tiered: Callable[..., Composed],
) -> None:
    _, arms = tiered("tier=full", "model=mlp", "claims=[]", "tiers.full.claims=[]")
    assert len(arms) == 3
    _, arms = tiered("tier=full", "matrix.model=[mlp_ln]", "claims=[]", "tiers.full.claims=[]")
    assert {arm.setup.model_name for arm in arms} == {"mlp_ln"}
    assert len(arms) == 3


def test_a_tier_chooses_options_and_the_command_line_others(
    tiered: Callable[..., Composed],
) -> None:
    _, arms = tiered("tier=mnist")
    assert {arm.setup.optimizer.kind for arm in arms} == {"adam"}
    assert {arm.setup.batch_size for arm in arms} == {32}
    assert {arm.setup.space.names for arm in arms} == {("learning_rate",)}
    _, arms = tiered("tier=mnist", "optimizer=sgd_ema", "budget.epochs=2")
    assert {arm.setup.optimizer.kind for arm in arms} == {"sgd_ema"}


def test_blocks_that_the_command_line_makes_equal_are_trained_once(
    tiered: Callable[..., Composed],
) -> None:
    blocks = "blocks=[{strategy: [grid, random]}, {strategy: [grid, tpe]}]"
    _, arms = tiered(blocks, "claims=[]", "model=mlp", "tier=mnist")
    assert [arm.strategy.name for arm in arms] == ["log_random", "grid", "random", "tpe"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["tier=huge"], "tier: found 'huge'; accepted: quick, full, mnist, small, broken, typo"),
        (["tier=broken"], "tiers.broken: found 3; accepted: keys with values"),
        (["tier=typo"], "budgets: found no such key; accepted: one of "),
        (["tiers=3"], "tiers: found 3; accepted: keys with values"),
        (["left_out=3"], "left_out: found 3; accepted: "),
        (["tier=full", "left_out=[3]"], r"left_out: found \[3\]; accepted: text"),
        (["blocks=3"], "blocks: found 3; accepted: a list of matrices"),
        (["blocks=[3]"], r"blocks\[0\]: found 3; accepted: keys, each with a list of values"),
        (["blocks=[{modl: [mlp]}]"], r"blocks\[0\].modl: found no such axis; accepted: "),
        (["matrix.model=[mlp,mlp]"], "matrix: found digits mlp log_random twice; accepted: each"),
    ],
)
def test_mistakes(tiered: Callable[..., Composed], overrides: list[str], line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}"):
        tiered(*overrides)


def test_an_experiment_without_tiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        assert compose_experiment(["+experiment=quickstart"])[0].tier is None
        with pytest.raises(UserError, match=r"^tier: found 'quick'; accepted: null, as this"):
            compose_experiment(["+experiment=quickstart", "tier=quick"])
