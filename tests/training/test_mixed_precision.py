"""Products of bfloat16 numbers (`numerics.autocast`), against float64 that rounds where they do."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hpsuite.datasets import Data
from hpsuite.training import Planner, Resident, mixed_precision, train, train_fused
from hpsuite.training.fused import FusedBatch
from hpsuite.training.layers import product
from hpsuite.training.loop import build_model
from hpsuite.training.mixed_precision import SMALL_PRODUCT, mixed_product
from hpsuite.training.padding import exact
from hpsuite.training.plain import KeyedDropout, PlainTrial
from hpsuite.training.streams import order_generator
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import largest_difference, states, trial
from tests.training.test_independence import trained

BF16 = "bfloat16"
HAS_BF16 = mixed_precision.multiplies_bfloat16(torch.device("cpu"))


def mixed(spec: TrialSpec) -> TrialSpec:
    return replace(spec, numerics=replace(spec.numerics, autocast=BF16))


def rounded(x: Tensor) -> Tensor:
    """To bfloat16 and back."""
    return x.to(torch.bfloat16).to(x.dtype)


class Rounding(torch.autograd.Function):
    """Values rounded to bfloat16; gradients too."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return rounded(x)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
        return rounded(grad)


class RoundingLinear(nn.Module):
    """A linear layer in float64 whose product has rounded inputs, outputs and gradients."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        round_ = Rounding.apply
        y = round_(round_(x) @ round_(self.weight).T)  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias


def oracle(spec: TrialSpec, resident: Resident) -> nn.Module:
    """A perceptron trained in float64 by SGD with momentum, its products rounded."""
    model = build_model(spec.model, resident.data, seed=spec.seed, number=spec.number).double()
    assert isinstance(model, nn.Sequential)
    layers = [RoundingLinear(m) if isinstance(m, nn.Linear) else m for m in model]
    model = nn.Sequential(*layers)
    own = spec.optimizer
    descent = torch.optim.SGD(model.parameters(), lr=own.learning_rate, momentum=own.momentum)
    rows = order_generator(spec.seed, spec.number).permutation(len(resident.y_train))
    assert spec.steps is not None
    for step in range(spec.steps):
        part = torch.from_numpy(rows[step * spec.batch_size : (step + 1) * spec.batch_size])
        x = resident.inputs(resident.x_train[part], torch.float64)
        loss = nn.functional.cross_entropy(model(x), resident.y_train[part])
        descent.zero_grad()
        loss.backward()
        descent.step()
    return model


@pytest.mark.parametrize("norm", ["none", "before", "after"])
def test_fused_is_float64_that_rounds_where_it_does(resident: Resident, norm: str) -> None:
    """Sums of float32 round to another bfloat16 number than those of float64 in few places.

    Distances of the weights after 5 steps: 1e-6 to 3e-4, and .01 to .04 of float32 training.
    """
    spec = trial(resident, 3, model={"units": (48, 32), "normalization": norm}, steps=5)
    batch = FusedBatch([mixed(spec)], resident)
    single, plain = FusedBatch([spec], resident), PlainTrial(mixed(spec), resident)
    for each in (batch, single, plain):
        each.train()
    truth = [p.detach() for p in oracle(spec, resident).parameters()]

    def distance(weights: list[Tensor]) -> float:
        return (
            sum(float((a - b).square().sum()) for a, b in zip(weights, truth, strict=True)) ** 0.5
        )

    own, without = (
        distance([p.detach()[0].double() for p in b.models.parameters()]) for b in (batch, single)
    )
    by_torch = distance([p.detach().double() for p in plain.model.parameters()])
    assert own < without / 20, (own, without)
    # torch.autocast rounds activations once more, between layers.
    assert by_torch < 2 * without, (by_torch, without)


def cancelling(o: int, i: int, b: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Factors [K, O, I] and [K, I, B] whose terms cancel, so that roundings are what is left."""

    def drawn(*shape: int) -> Tensor:
        exponents = torch.randint(-6, 7, shape, generator=generator)
        return torch.randn(*shape, generator=generator) * torch.exp2(exponents)

    half = drawn(k, o, i - i // 2), drawn(k, i - i // 2, b)
    weight = torch.cat([half[0], half[0][:, :, : i // 2]], 2)
    x = torch.cat([half[1], -half[1][:, : i // 2]], 1)
    if i % 2:
        x[:, i // 2] *= 2.0**-12
    order = torch.randperm(i, generator=generator)
    return weight[:, :, order], x[:, order]


@pytest.mark.parametrize(
    ("o", "i", "b"),
    [
        *[(256, 784, 128), (10, 256, 128), (128, 64, 64), (10, 128, 29), (37, 65, 6), (5, 111, 64)],
        *[(1, 784, 64), (128, 64, 1), (64, 1, 128), (2, 2, 2), (1, 1, 1), (3, 1, 50)],
        *[(16, 16, 16), (16, 16, 17), (17, 241, 1), (1, 33, 125), (13, 25, 2), (2, 65, 29)],
    ],
)
def test_a_product_has_its_bits_in_any_batch(o: int, i: int, b: int) -> None:
    generator = torch.Generator().manual_seed(o * i * b)
    weight, x = cancelling(o, i, b, 16, generator)
    weight, x = weight.requires_grad_(), x.requires_grad_()
    grad = cancelling(o, b, 1, 16, generator)[0]

    def products(places: list[int], *, transposed: bool) -> tuple[Tensor, ...]:
        given = x[places]
        if transposed:  # as gathered rows are
            given = given.mT.contiguous().mT
        y = mixed_product(weight[places], given)
        of_weight, of_x = torch.autograd.grad(y, [weight, x], grad[places])
        return y.detach(), of_weight[places], of_x[places]

    for transposed in (False, True):
        together = products(list(range(16)), transposed=transposed)
        for places in ([0], [15], [3, 2], [11, 4, 9], list(range(8))):
            for some, all_ in zip(products(places, transposed=transposed), together, strict=True):
                assert torch.equal(some, all_[places]), (places, transposed)


def test_a_product_is_that_of_rounded_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    for o, i, b in ((40, 70, 30), (3, 5, 7)):
        weight = torch.randn(2, o, i, generator=generator).requires_grad_()
        x = torch.randn(2, i, b, generator=generator).requires_grad_()
        grad = torch.randn(2, o, b, generator=generator)
        y = mixed_product(weight, x)
        found = (y, *torch.autograd.grad(y, [weight, x], grad))
        w_, x_, g_ = (rounded(t.detach()).double() for t in (weight, x, grad))
        for mine, truth in zip(found, (w_ @ x_, g_ @ x_.mT, w_.mT @ g_), strict=True):
            assert mine.dtype == torch.float32
            assert torch.equal(rounded(mine), mine)
            # Half a unit in the last of 8 binary places, and what float32 sums lose.
            error = (mine.detach().double() - truth).abs()
            assert bool((error <= truth.abs() * 2.0**-8 + 1e-5).all())


def four(resident: Resident, **model: object) -> list[TrialSpec]:
    return [
        mixed(
            trial(
                resident,
                i,
                model={"units": (40, 24), **model},
                optimizer=OptimizerSpec(
                    kind=("sgd", "adam", "sgd_ema", "adamw")[i],  # type: ignore[arg-type]
                    learning_rate=(0.05, 0.003, 0.3, 0.003)[i],
                    weight_decay=1e-3,
                ),
                epochs=4,
            )
        )
        for i in range(4)
    ]


@pytest.mark.parametrize("norm", ["none", "before"])
@pytest.mark.parametrize(("units", "batch_size"), [((128, 64), 64), ((37, 5), 33), (3, 50)])
def test_a_trial_has_its_bits_among_any_mates(
    resident_few: Resident, units: object, batch_size: int, norm: str
) -> None:
    model = {"units": units, "normalization": norm, "layers": 2}
    specs = [
        mixed(
            trial(
                resident_few,
                i,
                model=model,
                optimizer=OptimizerSpec(learning_rate=0.01 * (1 + i)),
                batch_size=batch_size,
                steps=9,
            )
        )
        for i in range(9)
    ]
    together = trained(specs, resident_few)
    assert len(set(together.values())) == 9
    assert trained(specs[::-1], resident_few) == together
    for chosen in ([0], [8], [5, 2], [1, 7, 3, 4]):
        alone = trained([specs[i] for i in chosen], resident_few)
        assert alone == {i: together[i] for i in chosen}, chosen


def test_diverging_and_leaving_mates_change_nothing(resident_few: Resident) -> None:
    specs = four(resident_few, normalization="before")
    specs[1] = replace(specs[1], optimizer=OptimizerSpec(learning_rate=1e30))
    specs[2] = replace(specs[2], epochs=None, steps=6)
    found = train_fused(specs, resident_few)
    assert [result.outcome for result in found] == ["finite", "nonfinite", "finite", "finite"]
    for spec, result in zip(specs, found, strict=True):
        assert train_fused([spec], resident_few)[0].same_outcome(result)


def test_wider_mates_change_nothing(resident_few: Resident) -> None:
    specs = [
        mixed(trial(resident_few, i, model={"units": units}, epochs=3))
        for i, units in enumerate(((64, 40), (48, 64), (9, 17), (64, 64), (3, 2)))
    ]
    for spec, result in zip(specs, train_fused(specs, resident_few), strict=True):
        assert train_fused([spec], resident_few)[0].same_outcome(result)


def test_another_order_of_a_sum_is_seen() -> None:
    """Rounded to bfloat16, random sums would hide it."""
    like = torch.zeros(())

    def backwards_if_wide(weight: Tensor, x: Tensor) -> Tensor:
        if weight.shape[2] > 64:
            weight, x = weight.flip(2), x.flip(1)
        return mixed_product(weight, x)

    assert not exact((32, 48), (32, 72), [64], like, backwards_if_wide)
    if HAS_BF16:
        assert exact((32, 48), (32, 72), [64], like, mixed_product)
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(2, 48, 48, generator=generator) for _ in range(2))
    assert torch.equal(mixed_product(weight, x), mixed_product(weight.flip(2), x.flip(1)))


def test_without_instructions_for_it_products_are_the_same_numbers(
    resident_few: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [mixed(trial(resident_few, i, model={"units": 40}, steps=3)) for i in range(2)]
    here = FusedBatch(specs, resident_few)
    here.train()
    monkeypatch.setattr(mixed_precision, "multiplies_bfloat16", lambda device: False)
    there = FusedBatch(specs, resident_few)
    there.train()
    for a, b in zip(states(here), states(there), strict=True):
        assert largest_difference(a, b) < 1e-3
    assert torch.equal(trained_alone(specs[1], resident_few), states(there)[0][1])


def trained_alone(spec: TrialSpec, resident: Resident) -> Tensor:
    batch = FusedBatch([spec], resident)
    batch.train()
    return states(batch)[0][0]


@pytest.mark.parametrize("norm", ["none", "before"])
def test_accuracies_are_those_of_float32(resident: Resident, norm: str) -> None:
    """Within 2 points of each trial's, and .7 on average, of 359 validation rows."""
    specs = [
        trial(resident, i, model={"units": (128, 128), "normalization": norm}, epochs=8)
        for i in range(8)
    ]
    single = train_fused(specs, resident)
    for rounding in (
        train_fused([mixed(spec) for spec in specs], resident),
        [PlainTrial(mixed(spec), resident).train() for spec in specs],
    ):
        differences = [
            a.val_accuracy - b.val_accuracy for a, b in zip(rounding, single, strict=True)
        ]
        assert any(differences)
        assert max(map(abs, differences)) < 0.02, differences
        assert abs(sum(differences) / 8) < 0.007, differences


def test_what_is_not_a_product_stays_float32(resident_images: Resident) -> None:
    """Parameters, their gradients, optimizer state and batch norm of a residual network."""
    spec = mixed(
        trial(
            resident_images,
            target="hpsuite.models.resnet",
            model={"channels": 8, "normalization": "before"},
            optimizer=OptimizerSpec(kind="adam", learning_rate=0.003),
            epochs=3,
        )
    )
    plain = PlainTrial(spec, resident_images)
    seen: list[torch.dtype] = []
    for layer in plain.model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, inputs, y: seen.append(y.dtype))
    result = plain.train()
    assert set(seen) == {torch.bfloat16}
    assert plain.channels_last
    assert plain.predict(resident_images.x_val[:3]).dtype == torch.float32
    state = [t for s in plain.optimizer.optimizer.state.values() for t in s.values()]
    kept = [*plain.model.parameters(), *plain.model.buffers(), *state]
    assert {t.dtype for t in kept if t.is_floating_point()} == {torch.float32}
    single = PlainTrial(
        replace(spec, numerics=replace(spec.numerics, autocast="none")), resident_images
    )
    assert result.val_accuracy == pytest.approx(single.train().val_accuracy, abs=0.06)
    # The same bits again, and by the planner's call.
    assert train([spec], resident_images)[0].same_outcome(result)


def test_dropout_keeps_its_scale() -> None:
    """1 / (1 - .1) is no bfloat16 number."""
    layer = KeyedDropout(0.1, key=1, layer=0, device=torch.device("cpu"))
    kept = layer(torch.ones(8, 16, dtype=torch.bfloat16)).unique()
    assert kept.tolist() == pytest.approx([0.0, 1 / 0.9], rel=1e-6)


def test_a_processor_that_has_none_is_named_once(
    data: Data, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = Resident.place(data, torch.device("cpu"))
    planner = Planner({data.fingerprint: data}, resident.device, n_workers=1)
    with caplog.at_level(logging.WARNING):
        planner.add(trial(resident))
        if HAS_BF16:
            planner.add(mixed(trial(resident, 1)))
        assert not caplog.records
        monkeypatch.setattr("hpsuite.training.planner.multiplies_bfloat16", lambda device: False)
        for i in range(2, 5):
            planner.add(mixed(trial(resident, i)))
    (record,) = caplog.records
    assert "numerics.autocast=bfloat16" in record.message


def test_the_plan_says_so(data: Data) -> None:
    resident = Resident.place(data, torch.device("cpu"))
    planner = Planner({data.fingerprint: data}, resident.device, n_workers=1)
    specs = [trial(resident, 0), mixed(trial(resident, 1))]
    assert planner.bucket(specs[0]) != planner.bucket(specs[1])
    first, second = (planner.explain([spec]) for spec in specs)
    assert "bfloat16" not in first
    assert "batch size 64, bfloat16 products, 17 steps" in second


def test_small_products_are_those_that_torch_treats_apart() -> None:
    assert SMALL_PRODUCT == 16**3
    weight, x = torch.ones(1, 2, 3), torch.ones(1, 3, 2)
    assert torch.equal(mixed_product(weight, x), product(weight, x))
