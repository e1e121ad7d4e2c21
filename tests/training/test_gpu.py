"""On a GPU: fused equals plain in float64, and the same run gives the same bits again."""

import logging
from dataclasses import replace

import pytest
import torch

from hpsuite.datasets import Data
from hpsuite.training import Planner, Resident, train, train_fused
from hpsuite.training.augmentation import training_inputs
from hpsuite.training.autotune import SHARES, autotune
from hpsuite.training.fused import FusedBatch
from hpsuite.training.plain import PlainTrial
from hpsuite.training.streams import augmentation_key, dropout_key, dropout_mask
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import largest_difference, rounded, states, trial
from tests.training.test_mixed import mixed

pytestmark = pytest.mark.gpu

KINDS = ("sgd", "sgd_ema", "adam", "adamw")
NORMALIZATIONS = ("none", "before", "after")


@pytest.fixture(scope="module")
def on_gpu(few: Data) -> Resident:
    return Resident.place(few, torch.device("cuda"))


def four(resident: Resident, kind: str, normalization: str, dtype: str) -> list[TrialSpec]:
    return [
        trial(
            resident,
            i,
            model={
                "units": (24, 17),
                "activation": "tanh",
                "normalization": normalization,
                "dropout": 0.1 * (i + 1),
            },
            optimizer=OptimizerSpec(
                kind=kind,  # type: ignore[arg-type]
                learning_rate={"sgd": 0.02, "sgd_ema": 0.1}.get(kind, 0.003) / (1 + i),
                weight_decay=1e-3 * (1 + i),
                schedule="cosine",
                nesterov=kind == "sgd_ema",
                label_smoothing=0.0 if kind == "sgd" else 0.05 * (1 + i),
                warmup_fraction=0.1 * i,
            ),
            dtype=dtype,
            steps=200,
        )
        for i in range(4)
    ]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_fused_equals_plain(on_gpu: Resident, kind: str, normalization: str) -> None:
    specs = four(on_gpu, kind, normalization, "float64")
    batch = FusedBatch(specs, on_gpu)
    results = batch.train()
    predictions = batch.predict(on_gpu.x_val)
    for k, spec in enumerate(specs):
        plain = PlainTrial(spec, on_gpu)
        expected = plain.train()
        assert largest_difference(predictions[k].T, plain.predict(on_gpu.x_val)) < 1e-10
        assert results[k].loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
        assert results[k].val_curve == expected.val_curve
        assert results[k].test_accuracy == expected.test_accuracy


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_run_again_with_the_same_mates_to_the_bit(
    on_gpu: Resident, kind: str, normalization: str
) -> None:
    specs = four(on_gpu, kind, normalization, "float32")
    first, second = FusedBatch(specs, on_gpu), FusedBatch(specs, on_gpu)
    for a, b in zip(first.train(), second.train(), strict=True):
        assert a.same_outcome(b)
    for ours, theirs in zip(states(first), states(second), strict=True):
        assert torch.equal(ours, theirs)


def test_gpu_and_cpu_agree(on_gpu: Resident, resident_few: Resident) -> None:
    """The same weights, data order and masks: what is left is rounding."""
    specs = four(resident_few, "sgd", "before", "float64")
    gpu, cpu = FusedBatch(specs, on_gpu), FusedBatch(specs, resident_few)
    gpu.train()
    cpu.train()
    ours, theirs = gpu.predict(on_gpu.x_val).cpu(), cpu.predict(resident_few.x_val)
    assert largest_difference(ours, theirs) < 1e-10


def test_masks_are_those_of_the_cpu() -> None:
    keys = torch.tensor([dropout_key(3, i) for i in range(5)], dtype=torch.int32)
    rates = torch.linspace(0, 0.8, 5, dtype=torch.float64)
    ours, theirs = (
        dropout_mask(
            keys.to(device),
            rates.to(device),
            step=9,
            layer=1,
            units=65,
            rows=33,
            dtype=torch.float32,
        ).cpu()
        for device in ("cuda", "cpu")
    )
    assert torch.equal(ours, theirs)


@pytest.fixture(scope="module")
def moved(images: Data) -> tuple[Resident, Resident]:
    """Images that are flipped and shifted, on the GPU and on the CPU."""
    data = replace(images, flip=True, shift=2)
    on_gpu, on_cpu = (Resident.place(data, torch.device(name)) for name in ("cuda", "cpu"))
    return on_gpu, on_cpu


def test_flips_and_shifts_are_those_of_the_cpu(moved: tuple[Resident, Resident]) -> None:
    rows = torch.arange(200).view(4, 50)
    keys = torch.tensor([augmentation_key(3, i) for i in range(4)], dtype=torch.int32)
    ours, theirs = (
        training_inputs(of, rows.to(of.device), keys.to(of.device), epoch=7).cpu() for of in moved
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("target", ["hpsuite.models.convnet", "hpsuite.models.resnet"])
def test_convolutions(moved: tuple[Resident, Resident], target: str) -> None:
    """In float64 those of the CPU; in float32 the same bits each time."""
    model: dict[str, object] = {"channels": 4, "normalization": "before", "dropout": 0.1}
    exact = trial(moved[0], target=target, model=model, dtype="float64", steps=50)
    ours, theirs = (PlainTrial(exact, of) for of in moved)
    ours.train()
    theirs.train()
    found, expected = (
        t.predict(of.x_val).cpu() for t, of in zip((ours, theirs), moved, strict=True)
    )
    assert largest_difference(found, expected) < 1e-10
    spec = trial(moved[0], target=target, model={"channels": 16, "dropout": 0.1}, epochs=2)
    first, second = PlainTrial(spec, moved[0]), PlainTrial(spec, moved[0])
    assert first.train().same_outcome(second.train())
    assert torch.equal(first.predict(moved[0].x_val), second.predict(moved[0].x_val))


USERS = "tests.training.users"


@pytest.mark.parametrize(
    "target",
    [
        *(f"{USERS}.{name}" for name in ("SmallResNet", "LeNet", "Pools", "SkipNet", "Gated")),
        *(f"{USERS}.{name}" for name in ("Sequence", "norms", "activations")),
        *("hpsuite.models.convnet", "hpsuite.models.resnet"),
    ],
)
def test_any_module_equals_plain(moved: tuple[Resident, Resident], target: str) -> None:
    """In float64 the plain trainer's; in float32 the same bits each time, with the same mates."""
    on_gpu = moved[0]
    model: dict[str, object] = {"channels": 4} if target.startswith("hpsuite") else {}
    specs = [
        trial(
            on_gpu,
            i,
            target=target,
            model=model,
            optimizer=OptimizerSpec(kind=kind, learning_rate=0.005),  # type: ignore[arg-type]
            dtype="float64",
            steps=30,
        )
        for i, kind in enumerate(KINDS)
    ]
    batch = FusedBatch(specs, on_gpu)
    results = batch.train()
    predictions = dict(zip(batch.alive, batch.predict(on_gpu.x_val), strict=True))
    for i, spec in enumerate(specs):
        plain = PlainTrial(spec, on_gpu)
        expected = plain.train()
        assert largest_difference(predictions[i].T, plain.predict(on_gpu.x_val)) < 1e-10
        assert results[i].loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
        assert results[i].val_curve == expected.val_curve
    single = [replace(s, numerics=replace(s.numerics, dtype="float32")) for s in specs]
    first, second = FusedBatch(single, on_gpu), FusedBatch(single, on_gpu)
    for a, b in zip(first.train(), second.train(), strict=True):
        assert a.same_outcome(b)


def in_form(spec: TrialSpec, **numerics: object) -> TrialSpec:
    """The trial in other numerics."""
    return replace(spec, numerics=replace(spec.numerics, **numerics))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["hpsuite.models.convnet", "hpsuite.models.resnet"])
def test_grouped_convolutions_equal_plain(moved: tuple[Resident, Resident], target: str) -> None:
    on_gpu = moved[0]
    specs = [
        in_form(
            trial(on_gpu, i, target=target, model={"channels": 4}, dtype="float64", steps=30),
            convolutions="grouped",
        )
        for i in range(3)
    ]
    for found, spec in zip(FusedBatch(specs, on_gpu).train(), specs, strict=True):
        assert rounded(found) == rounded(PlainTrial(spec, on_gpu).train())


def test_compiled_updates_equal_plain(on_gpu: Resident, caplog: pytest.LogCaptureFixture) -> None:
    """Within recorded steps, and without."""
    specs = [in_form(s, compiled="yes") for s in four(on_gpu, "adam", "before", "float64")]
    with caplog.at_level(logging.WARNING):
        batch = FusedBatch(specs, on_gpu)
        results = batch.train()
    assert "numerics.compiled" not in caplog.text
    assert batch.replayed > 100
    for found, spec in zip(results, specs, strict=True):
        assert rounded(found) == rounded(PlainTrial(spec, on_gpu).train())


@pytest.mark.parametrize("target", ["hpsuite.models.mlp", "hpsuite.models.convnet"])
def test_a_setup_is_measured(moved: tuple[Resident, Resident], target: str) -> None:
    on_gpu = moved[0]
    spec = trial(on_gpu, target=target, epochs=2)
    planner = Planner({on_gpu.data.fingerprint: on_gpu.data}, on_gpu.device, 1)
    found = autotune(spec, on_gpu, planner.at_once, most=64)
    assert found.memory_share in SHARES
    settled = found.settled(spec.numerics)
    assert settled.compiled in ("yes", "no")
    assert settled.convolutions in ("columns", "grouped")


def test_deterministic_runs_have_the_same_bits(moved: tuple[Resident, Resident]) -> None:
    on_gpu = moved[0]
    specs = [
        in_form(
            trial(on_gpu, i, target="hpsuite.models.convnet", model={"dropout": 0.1}, epochs=3),
            deterministic=True,
        )
        for i in range(5)
    ]
    first, second = FusedBatch(specs, on_gpu), FusedBatch(specs[::-1], on_gpu)
    for a, b in zip(first.train(), second.train()[::-1], strict=True):
        assert a.same_outcome(b)


def test_unequal_trials_equal_plain(on_gpu: Resident) -> None:
    """Widths, activations, update rules and lengths of their own, in one program."""
    specs = mixed(on_gpu, 12, norm="before", dtype="float64")
    for found, spec in zip(train_fused(specs, on_gpu), specs, strict=True):
        expected = PlainTrial(spec, on_gpu).train()
        assert found.loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
        assert rounded(found) == rounded(expected)


def test_a_batch_that_does_not_fit_is_halved(
    few: Data, on_gpu: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    """All but 2 GiB of the memory is taken; 64 trials of 4096 units a layer need about 17."""
    specs = [trial(on_gpu, i, model={"units": (4096, 4096)}, steps=2) for i in range(64)]
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(max(free - 2 * 2**30, 0), dtype=torch.uint8, device="cuda")
    with caplog.at_level(logging.WARNING):
        found = train(specs, on_gpu)
    del taken
    assert "do not fit into memory" in caplog.text
    assert [result.number for result in found] == list(range(64))
    assert {result.steps for result in found} == {2}


def test_convolutions_are_planned_together(images: Data) -> None:
    planner = Planner({images.fingerprint: images}, torch.device("cuda"), n_workers=1)
    of = Resident.place(images, planner.device)
    for i in range(6):
        planner.add(trial(of, i, target="hpsuite.models.resnet", model={"channels": 4}))
    assert len(planner.take()) == 6


def test_diverged_trials_leave(on_gpu: Resident) -> None:
    specs = four(on_gpu, "sgd", "none", "float32")
    specs[1] = replace(specs[1], optimizer=replace(specs[1].optimizer, learning_rate=1e30))
    batch = FusedBatch(specs, on_gpu)
    assert [r.outcome for r in batch.train()] == ["finite", "nonfinite", "finite", "finite"]
    assert batch.alive == [0, 2, 3]


def test_the_planner_fills_the_gpu(few: Data, on_gpu: Resident) -> None:
    planner = Planner({few.fingerprint: few}, on_gpu.device, n_workers=1)
    small, large = (
        planner.most_at_once(trial(on_gpu, model={"units": units})) for units in (64, 16_384)
    )
    assert small > 256
    assert 1 <= large < small


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_products_of_bfloat16_numbers(on_gpu: Resident, normalization: str) -> None:
    """Weights after 5 steps are far nearer those of a CPU's products than float32 training's."""
    specs = [replace(spec, steps=5) for spec in four(on_gpu, "sgd", normalization, "float32")]
    mixed_ = [replace(s, numerics=replace(s.numerics, autocast="bfloat16")) for s in specs]
    there = Resident.place(on_gpu.data, torch.device("cpu"))
    batches = FusedBatch(mixed_, on_gpu), FusedBatch(mixed_, there), FusedBatch(specs, on_gpu)
    for batch in batches:
        batch.train()
    found, expected, single = (
        torch.cat([p.flatten().cpu().double() for p in states(batch)]) for batch in batches
    )
    assert float((found - expected).norm()) < float((single - expected).norm()) / 5
    again = FusedBatch(mixed_, on_gpu)
    again.train()
    for a, b in zip(states(again), states(batches[0]), strict=True):
        assert torch.equal(a, b)


def test_the_plain_trainer_rounds_to_bfloat16(images: Data) -> None:
    on_gpu = Resident.place(images, torch.device("cuda"))
    spec = trial(
        on_gpu,
        target="hpsuite.models.resnet",
        model={"channels": 8, "normalization": "before"},
        epochs=3,
    )
    mixed_ = replace(spec, numerics=replace(spec.numerics, autocast="bfloat16"))
    plain = PlainTrial(mixed_, on_gpu)
    result = plain.train()
    assert {p.dtype for p in plain.model.parameters()} == {torch.float32}
    expected = PlainTrial(spec, on_gpu).train()
    assert result.loss_curve != expected.loss_curve
    assert result.val_accuracy == pytest.approx(expected.val_accuracy, abs=0.06)
    (fused,) = train_fused([mixed_], on_gpu)
    assert fused.val_accuracy == pytest.approx(expected.val_accuracy, abs=0.06)
