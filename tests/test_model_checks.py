"""Models, and a user's own torch.nn modules: each one trains, or is refused first, in one line."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from hpsuite.arms import PlannedArm, plan_arms
from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.model_checks import check_single_rows, checked_model
from hpsuite.overrides import config_dir
from hpsuite.training import Planner, Resident, train
from hpsuite.training.loop import build_model
from hpsuite.trials import ModelSpec, OptimizerSpec, TrialSpec, frozen_arguments

HERE = "tests.test_model_checks"
Shape = tuple[int, ...]


@pytest.fixture(scope="module")
def flat() -> Data:
    return prepare(digits(), split_seed=0, validation_size=359, test_size=360)


@pytest.fixture(scope="module")
def images() -> Data:
    return prepare(digits(image=True), split_seed=0, validation_size=359, test_size=360)


class Own(nn.Module):
    """As most people write one: layers from torch's stream, functions in forward."""

    def __init__(self, input_shape: Shape, n_classes: int, units: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(input_shape[0], units)
        self.last = nn.Linear(units, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))  # type: ignore[no-any-return]


def with_generator(
    input_shape: Shape, n_classes: int, *, generator: torch.Generator
) -> nn.Sequential:
    """Draws some of its weights from the generator, and leaves others to torch's stream."""
    model = nn.Sequential(nn.Linear(input_shape[0], 12), nn.Tanh(), nn.Linear(12, n_classes))
    with torch.no_grad():
        model[0].weight.normal_(0, 0.1, generator=generator)
    return model


def lazy(input_shape: Shape, n_classes: int) -> nn.Sequential:
    """Layers that take their number of inputs from the first batch."""
    return nn.Sequential(
        nn.LazyLinear(12), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(n_classes)
    )


def lazy_images(input_shape: Shape, n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(n_classes))


def parametrised(input_shape: Shape, n_classes: int) -> nn.Sequential:
    """Weights that are functions of others, and a power iteration that draws its start."""
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(input_shape[0], 12)),
        nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(12, n_classes)),
    )


def parametrised_images(input_shape: Shape, n_classes: int) -> nn.Sequential:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(input_shape[0], 4, 3)),
        nn.PReLU(),
        nn.Dropout2d(0.1),  # draws from torch's stream in training
        nn.Flatten(),
        nn.LazyLinear(n_classes),
    )


class Attention(nn.Module):
    """Rows of an image as a sequence."""

    def __init__(self, input_shape: Shape, n_classes: int) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(input_shape[2], 2, batch_first=True, dropout=0.1)
        self.place = nn.Parameter(torch.zeros(input_shape[1], input_shape[2]))
        self.last = nn.Linear(input_shape[2], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0] + self.place
        attended, _ = self.attend(x, x, x)
        return self.last(attended.mean(1))  # type: ignore[no-any-return]


GOOD = [
    ("Own", "flat"),
    ("with_generator", "flat"),
    ("lazy", "flat"),
    ("lazy_images", "images"),
    ("parametrised", "flat"),
    ("parametrised_images", "images"),
    ("Attention", "images"),
]


@pytest.mark.parametrize(("name", "inputs"), GOOD)
def test_what_trains(name: str, inputs: str, request: pytest.FixtureRequest) -> None:
    data: Data = request.getfixturevalue(inputs)
    model = ModelSpec(f"{HERE}.{name}")
    state = torch.get_rng_state()
    checked_model(model, data)
    specs = [
        TrialSpec(
            "s",
            number,
            8,
            data.fingerprint,
            model,
            OptimizerSpec(kind="adam", learning_rate=0.01),
            epochs=4,
        )
        for number in (0, 1)
    ]
    planner = Planner({data.fingerprint: data}, torch.device("cpu"), n_workers=1)
    resident = Resident.place(data, torch.device("cpu"))
    for spec in specs:
        assert planner.cost(spec) > 0
    results = [train([spec], resident)[0] for spec in specs]
    assert all(result.val_accuracy > 0.25 for result in results)
    torch.rand(3)  # whatever else its process did in between
    again = train(specs[:1], resident)[0]
    assert again.same_outcome(results[0])
    assert not again.same_outcome(results[1])
    torch.set_rng_state(state)


@pytest.mark.parametrize(("name", "inputs"), GOOD)
def test_weights_are_the_trials(name: str, inputs: str, request: pytest.FixtureRequest) -> None:
    """Also those that a model draws from torch's own stream, beside its generator or later."""
    data: Data = request.getfixturevalue(inputs)

    def weights(number: int) -> Tensor:
        torch.rand(number)
        model = build_model(ModelSpec(f"{HERE}.{name}"), data, seed=2, number=number)
        assert model.training
        return nn.utils.parameters_to_vector(model.parameters())

    state = torch.get_rng_state()
    first = weights(3)
    torch.rand(5)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)
    torch.set_rng_state(state)
    build_model(ModelSpec(f"{HERE}.{name}"), data, seed=2, number=0)
    assert torch.equal(torch.get_rng_state(), state)


class Wrong(Own):
    """Does something in forward that a trainer cannot use: always, or in training alone."""

    def __init__(self, input_shape: Shape, n_classes: int, how: str) -> None:
        super().__init__(input_shape, n_classes)
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        how = self.how.removeprefix("training ")
        if how != self.how and not self.training:
            return y
        return WRONG[how](y)  # type: ignore[return-value]


def changed_in_place(y: Tensor) -> Tensor:
    """What backward needs is gone."""
    hidden = torch.exp(y)
    squared = hidden * hidden
    hidden.add_(1)
    return squared


WRONG: dict[str, Callable[[Tensor], object]] = {
    "pair": lambda y: (y, y),
    "mapping": lambda y: {"logits": y},
    "detached": lambda y: y.detach(),
    "more classes": lambda y: torch.cat([y, y], 1),
    "one row": lambda y: y[:1],
    "mean": lambda y: y.mean(),
    "key": lambda y: {}["no such key"],
    "index": lambda y: list(y)[99],
    "in place": changed_in_place,
}


def broken(input_shape: Shape, n_classes: int) -> nn.Module:
    return {"linear": nn.Linear(3, 2)}["conv"]


def no_module(input_shape: Shape, n_classes: int) -> object:
    return lambda x: x


def no_parameters(input_shape: Shape, n_classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool1d(n_classes))


def all_frozen(input_shape: Shape, n_classes: int) -> nn.Module:
    return Own(input_shape, n_classes).requires_grad_(False)


def lazy_in_vain(input_shape: Shape, n_classes: int) -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(n_classes))


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("pair", "model: found outputs of type tuple; accepted: [10], one a class"),
        ("mapping", "model: found outputs of type dict; accepted: [10], one a class"),
        ("training pair", "model: found outputs of type tuple; accepted: [10], one a class"),
        ("more classes", "model: found outputs of shape [20]; accepted: [10], one a class"),
        ("mean", "model: found outputs of shape [] for 2 rows; accepted: [10], one a class"),
        ("one row", "model: found outputs of shape [1, 10] for 2 rows; accepted: [10], one a cl"),
        (
            "training detached",
            "model: tests.test_model_checks.Wrong cannot be trained (element 0 of",
        ),
        ("detached", "model: tests.test_model_checks.Wrong cannot be trained (element 0 of"),
        ("in place", "model: tests.test_model_checks.Wrong cannot be trained (one of the varia"),
        (
            "key",
            "model: tests.test_model_checks.Wrong cannot take the data's inputs of shape [64] (",
        ),
        (
            "index",
            "model: tests.test_model_checks.Wrong cannot take the data's inputs of shape [64]",
        ),
        ("training key", "model: tests.test_model_checks.Wrong cannot be trained ('no such key');"),
    ],
)
def test_what_is_refused_in_forward(flat: Data, how: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        checked_model(ModelSpec(f"{HERE}.Wrong", frozen_arguments({"how": how})), flat)
    assert str(caught.value).startswith(line), caught.value
    assert "\n" not in str(caught.value)
    assert "; accepted: " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("broken", f"model: {HERE}.broken cannot be built ('conv'); accepted: other arguments"),
        ("no_module", f"model._target_: found '{HERE}.no_module'; accepted: what returns a torch."),
        ("no_parameters", f"model._target_: found '{HERE}.no_parameters'; accepted: a model that"),
        ("all_frozen", f"model._target_: found '{HERE}.all_frozen'; accepted: a model that has "),
        ("lazy_in_vain", f"model: {HERE}.lazy_in_vain cannot be built (Expected 3D"),
    ],
)
def test_what_is_refused(flat: Data, name: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        checked_model(ModelSpec(f"{HERE}.{name}"), flat)
    assert str(caught.value).startswith(line), caught.value
    assert "\n" not in str(caught.value)


def batch_norm_of_places(input_shape: Shape, n_classes: int, pooled: bool) -> nn.Module:
    """Batch norm where images have many places, or a single one."""
    pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
    conv = nn.Conv2d(input_shape[0], 4, 3)
    return nn.Sequential(conv, pool, nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(n_classes))


def test_one_row_is_enough_for_batch_norm_over_an_image(images: Data) -> None:
    def check(pooled: bool) -> None:
        spec = ModelSpec(f"{HERE}.batch_norm_of_places", frozen_arguments({"pooled": pooled}))
        check_single_rows(checked_model(spec, images), images, "optimizer.batch_size")

    check(False)
    with pytest.raises(UserError) as caught:
        check(True)
    assert str(caught.value) == (
        "optimizer.batch_size: found 1; accepted: 2 or more, as batch norm needs a variance"
    )


Plan = Callable[..., PlannedArm]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """Composes and plans one arm, as far as a run goes before it writes anything."""
    monkeypatch.chdir(tmp_path)

    def plan(*overrides: str) -> PlannedArm:
        (planned,) = plan_arms(compose_experiment(["name=one", *overrides])[1])
        assert not list(tmp_path.iterdir())
        return planned

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield plan


IMAGES = "dataset.image=true"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["model=convnet"],
            "model: found inputs of shape [64]; accepted: images [channels, height, width], such a",
        ),
        (["model=resnet_bn"], "model: found inputs of shape [64]; accepted: images [channels, hei"),
        (
            ["model=convnet", IMAGES, "model.layers=4"],
            "model.layers, pool_every: found 4 and 1, which halve images of 8 x 8 4 times; acc",
        ),
        (
            ["model=convnet", IMAGES, "+space.layers={scale:integer,low:1,high:5}"],
            "model.layers, pool_every: found 5 and 1, which halve images of 8 x 8 5 times",
        ),
        (
            ["model=convnet", IMAGES, "model.channels=[8,8]"],
            "model.channels: found [8, 8] for layers=3; accepted: one number, or one for each",
        ),
        (["model=convnet", IMAGES, "model.channels=0"], "model.channels: found 0; accepted: "),
        (["model=convnet", IMAGES, "model.pool_every=0"], "model.pool_every: found 0; accepted: g"),
        (
            ["model=convnet_gn", IMAGES, "model.channels=12"],
            "model.groups: found 8 for 12 channels; accepted: 1, 2, 3, 4, 6, 12, as groups",
        ),
        (
            ["model=resnet", IMAGES, "model.blocks=0"],
            "model.blocks: found 0; accepted: greater than or equal to 1",
        ),
        (
            ["model=resnet_bn", IMAGES, "model.normalizer=instance"],
            "model.normalizer: found 'instance'; accepted: 'batch', 'layer' or 'group'",
        ),
        (
            ["model=resnet_bn", "model.affine=1", IMAGES],
            "model.affine: found 1; accepted: true or false",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_networks_for_images_in_one_line(plan: Plan, overrides: list[str], line: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(*overrides)
    assert str(caught.value).startswith(line), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", ["mlp", "convnet", "resnet"])
def test_everything_of_a_family_can_be_searched(plan: Plan, family: str) -> None:
    planned = plan(
        f"model={family}",
        IMAGES,
        "model.normalization=before",
        "+space.normalizer={scale:choice,choices:[batch,layer,group]}",
        "+space.groups={scale:choice,choices:[1,2,8]}",
        "+space.affine={scale:choice,choices:[true,false]}",
        "+space.dropout={scale:linear,low:0,high:0.5}",
        "+space.batch_size={scale:log_integer,low:2,high:64}",
        "+space.activation={scale:choice,choices:[relu,gelu]}",
    )
    assert {"normalizer", "groups", "affine"} <= set(planned.arm.setup.space.names)


def test_a_batch_of_one_image_has_a_variance(plan: Plan) -> None:
    size = "optimizer.batch_size=1"
    assert plan("model=convnet_bn", IMAGES, size)
    assert plan("model=resnet_bn", IMAGES, size)
    with pytest.raises(UserError, match=r"^optimizer.batch_size: found 1; accepted: 2 or mo"):
        plan("model=mlp_bn", IMAGES, size)
    for norm in ("mlp_ln", "mlp_gn"):
        assert plan(f"model={norm}", size)


def test_twins_are_one_setup_by_two_names(plan: Plan) -> None:
    for family in ("mlp", "convnet", "resnet"):
        for name, kind in (("bn", "batch"), ("ln", "layer"), ("gn", "group")):
            named = plan(f"model={family}_{name}", IMAGES)
            chosen = plan(
                f"model={family}", IMAGES, "model.normalization=before", f"model.normalizer={kind}"
            )
            assert named.identity == chosen.identity
            # Written out or not, defaults say the same.
            short = replace(chosen.arm.setup.model, arguments=())
            assert short.target == named.arm.setup.model.target
