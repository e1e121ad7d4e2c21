"""Trials of unequal widths, activations, optimizers and lengths in one program."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hpsuite.training import Resident, train_fused
from hpsuite.training.fused import CPU_EVALUATION_ROWS, FusedBatch
from hpsuite.training.fusing import build_all
from hpsuite.training.padding import exact
from hpsuite.training.plain import PlainTrial
from hpsuite.training.together import inexact, train_built
from hpsuite.trials import OptimizerSpec, TrialResult, TrialSpec
from tests.training.cases import largest_difference, rounded, trial

ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu")
KINDS = ("sgd", "adam", "sgd_ema", "adamw")
WIDTHS = ((16, 8), (24, 8), (7, 40), (64, 33), (16, 16), (3, 5), (32, 64), (20, 20))


def mixed(
    resident: Resident, n: int, *, norm: str = "none", dtype: str = "float32", batch_size: int = 33
) -> list[TrialSpec]:
    """Trials with as little in common as one program allows; 216 rows are 7 steps an epoch."""
    return [
        trial(
            resident,
            i,
            model={
                "units": WIDTHS[i % 8],
                "activation": ACTIVATIONS[i % 7],
                "normalization": norm,
                "dropout": 0.1 + 0.02 * i,
            },
            optimizer=OptimizerSpec(
                kind=KINDS[i % 4],  # type: ignore[arg-type]
                learning_rate=0.003 * (1 + i % 5),
                momentum=0.1 * (i % 9),
                weight_decay=0.01 * (i % 3),
                label_smoothing=0.1 * (i % 2),
                nesterov=i % 5 == 0,
                schedule=("none", "cosine", "exponential")[i % 3],  # type: ignore[arg-type]
                decay_rate=0.9,
                warmup_fraction=0.1 * (i % 4),
            ),
            dtype=dtype,
            batch_size=batch_size,
            # Ends of epochs, and steps in the middle of them.
            **({"epochs": 1 + i % 4} if i % 3 else {"steps": 5 + 3 * i}),
        )
        for i in range(n)
    ]


def same(found: Sequence[TrialResult], expected: Sequence[TrialResult]) -> bool:
    return all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("norm", ["none", "before", "after"])
def test_each_is_its_oracle(resident_few: Resident, norm: str) -> None:
    """In float64: losses, scores, and the number of steps."""
    specs = mixed(resident_few, 12, norm=norm, dtype="float64")
    for found, spec in zip(train_fused(specs, resident_few), specs, strict=True):
        expected = PlainTrial(spec, resident_few).train()
        assert found.loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
        assert rounded(found) == rounded(expected)


@pytest.mark.parametrize(
    "batch_size", [33, *(pytest.param(n, marks=pytest.mark.slow) for n in (64, 7))]
)
@pytest.mark.parametrize("norm", ["none", "before", "after"])
def test_each_is_what_it_is_by_itself(resident_few: Resident, norm: str, batch_size: int) -> None:
    """In float32, to the bit, whatever the mates."""
    specs = mixed(resident_few, 16, norm=norm, batch_size=batch_size)
    together = train_fused(specs, resident_few)
    assert same(train_fused(specs[::-1], resident_few)[::-1], together)
    for i, spec in enumerate(specs):
        assert same(train_fused([spec], resident_few), [together[i]]), spec
    for chosen in ([0, 7], [3, 4, 5, 6], [15, 2, 9]):
        found = train_fused([specs[i] for i in chosen], resident_few)
        assert same(found, [together[i] for i in chosen])


def weights(batch: FusedBatch, i: int) -> list[Tensor]:
    place = batch.alive.index(i)
    return [p.detach()[place] for p in batch.models.parameters()]


@pytest.mark.parametrize("norm", ["none", "before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_filled_in_stays_zero_and_the_rest_its_own(
    resident_few: Resident, norm: str, kind: str
) -> None:
    """Weights and predictions of trials of several widths, to the bit."""
    specs = [
        replace(spec, optimizer=replace(spec.optimizer, kind=kind), epochs=None, steps=17)
        for spec in mixed(resident_few, 8, norm=norm)
    ]
    readings = build_all(specs, resident_few)
    # Which those are that filling up would change is up to the processor's kernels.
    apart = inexact(readings, specs, resident_few)
    specs = [spec for i, spec in enumerate(specs) if i not in apart]
    readings = [reading for i, reading in enumerate(readings) if i not in apart]
    assert len({reading.sizes for reading in readings}) >= 3
    batch = FusedBatch(specs, resident_few, readings)
    batch.train_all()
    assert len(batch.results) == len(specs)
    assert all(batch.models.intact())
    some = resident_few.x_val[:CPU_EVALUATION_ROWS]
    predictions = batch.predict(some)
    for i, spec in enumerate(specs):
        lonely = FusedBatch([spec], resident_few)
        lonely.train()
        assert torch.equal(predictions[batch.alive.index(i)], lonely.predict(some)[0])
        for wide, own in zip(weights(batch, i), weights(lonely, 0), strict=True):
            inside = wide[tuple(slice(n) for n in own.shape)]
            assert torch.equal(inside, own)
            assert (wide != 0).sum() == (own != 0).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_those_that_overflow_are_what_they_are_by_themselves(
    resident_few: Resident, kind: str
) -> None:
    """0 times infinity is no 0: such trials are trained again, and change nobody."""
    specs = mixed(resident_few, 14)
    rates = (1e30, 1e6, 1e38, 1e12)
    specs = [
        replace(
            spec,
            optimizer=replace(
                spec.optimizer,
                kind=kind,
                learning_rate=rates[i // 3 % 4] if i % 3 == 0 else 0.01,
            ),
        )
        for i, spec in enumerate(specs)
    ]
    together = train_fused(specs, resident_few)
    assert {r.outcome for r in together} == {"finite", "nonfinite"}
    for i, spec in enumerate(specs):
        assert same(train_fused([spec], resident_few), [together[i]])


def test_those_that_cannot_be_filled_up_are_trained_apart(
    resident_few: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if products of other widths were summed in another order."""
    specs = mixed(resident_few, 10)
    expected = train_fused(specs, resident_few)
    monkeypatch.setattr("hpsuite.training.together.exact", lambda own, filled, *_: own == filled)
    readings = build_all(specs, resident_few)
    assert same(train_built(readings, specs, resident_few), expected)


def test_products_are_tried(resident_few: Resident) -> None:
    like = torch.zeros(1)
    assert exact((5, 3), (5, 3), [64], like)
    assert exact((24, 16), (32, 64), [64, 24], like)
    # Fewer than 400 multiplications go to another routine of torch than more.
    assert not exact((2, 3), (64, 64), [7], like)


def test_a_residual_network_of_unequal_widths(resident_images: Resident) -> None:
    """Convolutions, batch norm, pooling, shortcuts."""
    for target in ("SmallResNet", "LeNet"):
        specs = [
            trial(
                resident_images,
                i,
                target=f"tests.training.users.{target}",
                model={"channels": 2 + i},
                optimizer=OptimizerSpec(kind=KINDS[i], learning_rate=0.01),  # type: ignore[arg-type]
                dtype="float64",
                steps=11,
            )
            for i in range(4)
        ]
        if target == "LeNet":
            specs = [
                replace(s, model=replace(s.model, arguments=(("channels", 5),))) for s in specs
            ]
        for found, spec in zip(train_fused(specs, resident_images), specs, strict=True):
            expected = PlainTrial(spec, resident_images).train()
            assert found.loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
            assert found.val_curve == expected.val_curve
        single = [replace(s, numerics=replace(s.numerics, dtype="float32")) for s in specs]
        together = train_fused(single, resident_images)
        for found, spec in zip(together, single, strict=True):
            assert same(train_fused([spec], resident_images), [found])


def test_skips_of_unequal_widths(resident_few: Resident) -> None:
    specs = [
        trial(
            resident_few,
            i,
            target="tests.training.users.SkipNet",
            model={"units": 5 + 7 * i},
            dtype="float64",
            epochs=2,
        )
        for i in range(5)
    ]
    assert len({reading.family for reading in build_all(specs, resident_few)}) == 1
    batch = FusedBatch(specs, resident_few)
    batch.train_all()
    predictions = batch.predict(resident_few.x_val)
    for i, spec in enumerate(specs):
        plain = PlainTrial(spec, resident_few)
        plain.train()
        found = predictions[batch.alive.index(i)].T
        assert largest_difference(found, plain.predict(resident_few.x_val)) < 1e-10
