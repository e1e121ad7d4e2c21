"""Any module of supported layers is fused as it stands: exact, and the same beside any mates."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hpsuite.training import NotFusable, Resident
from hpsuite.training.fused import FusedBatch
from hpsuite.training.fusing import read
from hpsuite.training.loop import build_model
from hpsuite.training.plain import PlainTrial
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import bits, largest_difference, rounded, trial

USERS = "tests.training.users"
OF_IMAGES = ("SmallResNet", "LeNet", "Pools")
OF_ANY = ("SkipNet", "Gated", "Sequence", "norms", "activations")
OWN: list[tuple[str, dict[str, object]]] = [
    ("hpsuite.models.convnet", {"channels": (3, 4), "normalization": "before", "dropout": 0.1}),
    ("hpsuite.models.convnet", {"channels": 4, "layers": 2, "normalizer": "layer"}),
    ("hpsuite.models.convnet", {"channels": 4, "layers": 1, "global_pooling": True}),
    ("hpsuite.models.resnet", {"channels": 4, "normalization": "before"}),
    ("hpsuite.models.resnet", {"channels": 4, "dropout": 0.1}),
    (
        "hpsuite.models.resnet",
        {"channels": 4, "normalization": "before", "normalizer": "group", "groups": 2},
    ),
    ("hpsuite.models.mlp", {"units": 12, "normalization": "before", "normalizer": "layer"}),
    (
        "hpsuite.models.mlp",
        # Groups of zeros, as relu leaves, would have their rounding blown up by 1 / sqrt(eps).
        {
            "units": 12,
            "normalization": "after",
            "normalizer": "group",
            "groups": 3,
            "activation": "tanh",
        },
    ),
]
ALL: list[tuple[str, dict[str, object]]] = [
    *((f"{USERS}.{name}", {}) for name in OF_IMAGES + OF_ANY),
    *OWN,
]


def several(
    resident: Resident, target: str, model: dict[str, object], n: int, dtype: str, **budget: int
) -> list[TrialSpec]:
    """Trials that differ in all that those of one structure may."""
    return [
        trial(
            resident,
            3 * i,
            target=target,
            model=model,
            optimizer=OptimizerSpec(
                kind=("sgd", "adam", "adamw", "sgd_ema")[i % 4],  # type: ignore[arg-type]
                learning_rate=0.002 * (1 + i),
                weight_decay=0.01 * (i % 3),
                label_smoothing=0.1 * (i % 2),
                schedule="cosine",
                warmup_fraction=0.1,
            ),
            dtype=dtype,
            batch_size=33,
            **budget,
        )
        for i in range(n)
    ]


def in_form(spec: TrialSpec, convolutions: str) -> TrialSpec:
    """The trial, its convolutions multiplied so."""
    return replace(spec, numerics=replace(spec.numerics, convolutions=convolutions))


CONVOLVED = [
    (target, model)
    for target, model in ALL
    if target.endswith((*OF_IMAGES, "Sequence", "convnet", "resnet"))
]


@pytest.mark.parametrize(
    ("target", "model", "convolutions"),
    [*((*of, "columns") for of in ALL), *((*of, "grouped") for of in CONVOLVED)],
    ids=str,
)
def test_equals_plain_torch(
    resident_images: Resident, target: str, model: dict[str, object], convolutions: str
) -> None:
    """Predictions, scores and losses, in float64; and gradients, without which they would not."""
    specs = several(resident_images, target, model, 3, "float64", steps=40)
    specs = [in_form(spec, convolutions) for spec in specs]
    batch = FusedBatch(specs, resident_images)
    results = batch.train()
    predictions = dict(zip(batch.alive, batch.predict(resident_images.x_val), strict=True))
    for i, spec in enumerate(specs):
        plain = PlainTrial(spec, resident_images)
        expected = plain.train()
        found = largest_difference(predictions[i].T, plain.predict(resident_images.x_val))
        assert found < 1e-10, (i, found)
        assert results[i].loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
        assert rounded(results[i]) == rounded(expected)


@pytest.mark.parametrize(("target", "model"), ALL, ids=str)
def test_of_mates_order_and_number(
    resident_images: Resident, target: str, model: dict[str, object]
) -> None:
    """In float32, to the bit; beside mates that overflow, too."""
    specs = several(resident_images, target, model, 7, "float32", steps=9)
    specs[3] = replace(specs[3], optimizer=replace(specs[3].optimizer, learning_rate=1e30))

    def trained(chosen: list[TrialSpec]) -> tuple[dict[int, str], dict[int, object]]:
        batch = FusedBatch(chosen, resident_images)
        outcomes = {
            r.number: (r.outcome, r.val_curve, r.loss_curve, r.test_accuracy) for r in batch.train()
        }
        return bits(batch), outcomes

    together, outcomes = trained(specs)
    assert len(set(together.values())) == len(together)
    assert trained(specs[::-1]) == (together, outcomes)
    for chosen in ([0], [5], [6, 3, 2], [1, 2, 4, 5]):
        digests, found = trained([specs[i] for i in chosen])
        assert digests == {n: together[n] for n in digests}
        assert found == {n: outcomes[n] for n in found}


class ByMode(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(input_shape[0], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(x)
        return y * 2 if self.training else y


class ByAxes(ByMode):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(x) * len(x.shape)  # type: ignore[no-any-return]


class ByLength(ByMode):
    """len() of a tensor is a symbol; used as a number, it must not pass for one."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(x)
        return y * 3 if len(x) > 100 else y


class ByValue(ByMode):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(x)
        return y * 3 if y.sum() > 0 else y


class Own(ByMode):
    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__(input_shape, n_classes)
        self.gain = nn.Parameter(torch.ones(n_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x) * self.gain  # type: ignore[no-any-return]


class Stopped(ByMode):
    """What tracing does not show: a part that is not trained."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y: Tensor = self.last(x)
        return y + self.last2(x) if hasattr(self, "last2") else y * 1.0


class HalfStopped(Stopped):
    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__(input_shape, n_classes)
        self.last2 = nn.Linear(input_shape[0], n_classes)


class SometimesStopped(HalfStopped):
    """Goes by what it was given, which its layers do not show."""

    def __init__(self, stopped: bool) -> None:
        super().__init__((4,), 3)
        self.stopped = stopped

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.stopped else self.last(x) + self.last2(x)


class InPlaceUnseen(ByMode):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(x)
        y.relu_()
        return y + 0


class AcrossRows(ByMode):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(x - x.mean(0, keepdim=True))  # type: ignore[no-any-return]


class InPlaceTwice(ByMode):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(x)
        z = y.relu_()
        return y + z


class Noise(ByMode):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.dropout(x, 0.5, self.training))  # type: ignore[no-any-return]


class Normal(nn.Linear):
    """A layer of one's own, which is none of torch's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ByMode((4,), 3), "ByMode, which does other things in training"),
        (ByAxes((4,), 3), "ByAxes, which cannot be traced"),
        (ByLength((4,), 3), "ByLength, whose layers do not tell"),
        (ByValue((4,), 3), "ByValue, which cannot be traced"),
        (Own((4,), 3), "gain, a tensor used outside"),
        (AcrossRows((4,), 3), "mean"),
        (InPlaceTwice((4,), 3), "in place"),
        (InPlaceUnseen((4,), 3), "do not tell"),
        (HalfStopped((4,), 3), "do not tell"),
        (Stopped((4,), 3), "do not tell"),
        (Noise((4,), 3), "Noise, which does other things in training"),
        (nn.Sequential(Normal(4, 3)), "a tensor used outside"),
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout1d()), "Dropout1d"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))), "Linear"),
        (nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), "Softmax"),
        (nn.Sequential(), "nothing to train"),
        (nn.Sequential(nn.ReLU()), "nothing to train"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_only_the_plain_trainer_knows_is_named(model: nn.Module, words: str) -> None:
    modes = [m.training for m in model.modules()]
    with pytest.raises(NotFusable, match=words) as caught:
        read(model, (4,))
    assert "\n" not in str(caught.value)
    assert [m.training for m in model.modules()] == modes


def test_a_module_that_was_given_something_else_is_looked_at_again() -> None:
    """Whichever comes first."""
    for stopped in (False, True, False, True):
        if stopped:
            with pytest.raises(NotFusable, match="do not tell"):
                read(SometimesStopped(stopped), (4,))
        else:
            assert len(read(SometimesStopped(stopped), (4,)).steps) == 3


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding_mode="circular", padding=1)), (1, 4, 4)),
        (nn.Sequential(nn.MaxPool2d(3, ceil_mode=True)), (1, 4, 4)),
        (nn.Sequential(nn.AvgPool2d(3, padding=1, count_include_pad=False)), (1, 4, 4)),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3)), (1, 4, 4)),
        (nn.Sequential(nn.ConvTranspose2d(1, 2, 3)), (1, 4, 4)),
        (nn.Sequential(nn.Linear(4, 3)), (2, 4)),
    ],
    ids=lambda value: str(value).replace("\n", ""),
)
def test_options_that_only_the_plain_trainer_knows(
    model: nn.Module, shape: tuple[int, ...]
) -> None:
    with pytest.raises(NotFusable, match=type(model[0]).__name__):  # type: ignore[index]
        read(model, shape)


def test_reading_a_model_leaves_it_as_it_was(resident_images: Resident) -> None:
    for target, model in ALL:
        spec = trial(resident_images, target=target, model=model)
        built = build_model(spec.model, resident_images.data, seed=3, number=4)
        before = {name: t.clone() for name, t in built.state_dict().items()}
        state = torch.random.get_rng_state()
        read(built, resident_images.data.input_shape)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert all(torch.equal(before[name], t) for name, t in built.state_dict().items())
        assert all(m.training for m in built.modules())
        assert all(p.grad is None for p in built.parameters())


class InVain(ByMode):
    """A head that is computed and not used, as one for another loss."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__(input_shape, n_classes)
        self.other = nn.Linear(input_shape[0], 5)

    def forward(self, x: Tensor) -> Tensor:
        torch.relu(self.other(x))
        return self.last(x)  # type: ignore[no-any-return]


def test_what_is_computed_in_vain_is_left_out(resident_few: Resident) -> None:
    target = "tests.training.test_modules.InVain"
    specs = several(resident_few, target, {}, 3, "float64", steps=20)
    batch = FusedBatch(specs, resident_few)
    results = batch.train()
    for found, spec in zip(results, specs, strict=True):
        expected = PlainTrial(spec, resident_few).train()
        assert found.loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)


class Listed(ByMode):
    """Layers in a list, as deep networks have them."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__(input_shape, n_classes)
        self.blocks = nn.ModuleList([nn.Linear(*input_shape, *input_shape) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + torch.relu(block(x)) / 3
        return self.last(x)  # type: ignore[no-any-return]


def bare(input_shape: tuple[int, ...], n_classes: int) -> nn.Linear:
    """A model of one layer."""
    return nn.Linear(input_shape[0], n_classes)


@pytest.mark.parametrize("name", ["Listed", "bare"])
def test_other_ways_of_writing_a_model(resident_few: Resident, name: str) -> None:
    specs = several(resident_few, f"tests.training.test_modules.{name}", {}, 3, "float64", steps=20)
    for found, spec in zip(FusedBatch(specs, resident_few).train(), specs, strict=True):
        expected = PlainTrial(spec, resident_few).train()
        assert found.loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
