"""A trial's bits depend on its spec alone: not on mates, order, K, place, process or worker."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.datasets import Data
from hpsuite.executors import InlineExecutor, ProcessExecutor
from hpsuite.training import Resident, train, train_fused
from hpsuite.training.fused import FusedBatch
from hpsuite.training.losses import cross_entropy
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import bits, trial

ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu")
KINDS = ("sgd", "sgd_ema", "adam")

# (units, batch size): round and odd ones, last mini-batches of 24, 18, 6 and 2 rows of 216, and
# nothing so small that a gradient is exactly 0.
SIZES = (((32, 16), 64), ((37, 5), 33), (7, 7), ((3, 50), 107))


def mixed(
    resident: Resident,
    n: int,
    *,
    units: object,
    batch_size: int,
    activation: str,
    norm: str,
    kind: str,
) -> list[TrialSpec]:
    """Trials of one bucket, each with other hyperparameters."""
    return [
        trial(
            resident,
            i,
            model={
                "layers": 2,
                "units": units,
                "activation": activation,
                "normalization": norm,
                "dropout": 0.1 + 0.02 * i if batch_size == 33 else 0.0,
            },
            optimizer=OptimizerSpec(
                kind=kind,  # type: ignore[arg-type]
                learning_rate=0.002 * (1 + i),
                momentum=0.05 * i,
                beta1=0.95 - 0.03 * i,
                beta2=0.999 - 0.007 * i,
                epsilon=10.0 ** (-8 + i % 5),
                weight_decay=0.001 * (i + 1) if batch_size == 7 else 0.0,
            ),
            batch_size=batch_size,
            steps=9,
        )
        for i in range(n)
    ]


def trained(specs: list[TrialSpec], resident: Resident) -> dict[int, str]:
    batch = FusedBatch(specs, resident)
    results = {result.number: result for result in batch.train()}
    return {
        number: f"{digest} {results[number].initial_loss!r} {results[number].val_loss!r}"
        for number, digest in bits(batch).items()
    }


@pytest.mark.parametrize("norm", ["none", "before", "after"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_of_mates_order_and_number(resident_few: Resident, activation: str, norm: str) -> None:
    for place, (units, batch_size) in enumerate(SIZES):
        kind = KINDS[(place + ACTIVATIONS.index(activation)) % 3]
        specs = mixed(
            resident_few,
            17,
            units=units,
            batch_size=batch_size,
            activation=activation,
            norm=norm,
            kind=kind,
        )
        together = trained(specs, resident_few)
        assert len(set(together.values())) == 17
        assert trained(specs[::-1], resident_few) == together
        for chosen in ([0], [16], [5, 11], [16, 3, 8], list(range(2, 10))):
            alone = trained([specs[i] for i in chosen], resident_few)
            assert alone == {i: together[i] for i in chosen}, (units, batch_size, kind, chosen)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_of_the_number_of_mates_at_layers_of_one_unit(
    resident_few: Resident, activation: str
) -> None:
    """A side of length 1 is padded, and its slice must not be strided for some numbers alone."""
    for units in ((1, 2), (2, 1)):
        specs = mixed(
            resident_few,
            8,
            units=units,
            batch_size=64,
            activation=activation,
            norm="none",
            kind="sgd",
        )
        together = trained(specs, resident_few)
        for chosen in ([0], [7, 2], [4, 5, 6]):
            alone = trained([specs[i] for i in chosen], resident_few)
            assert alone == {i: together[i] for i in chosen}, (units, chosen)


def gelu_first(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.GELU(), nn.Linear(input_shape[0], n_classes))


def elu_first(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.ELU(), nn.Linear(input_shape[0], n_classes))


@pytest.mark.parametrize("name", ["gelu_first", "elu_first"])
@pytest.mark.parametrize("batch_size", [64, 33])
def test_of_the_number_of_mates_with_an_activation_of_the_inputs(
    resident_few: Resident, name: str, batch_size: int
) -> None:
    """Gathered inputs are transposed views, those of an evaluation expanded ones."""
    target = f"tests.training.test_independence.{name}"
    specs = [
        trial(resident_few, i, target=target, steps=5, batch_size=batch_size) for i in range(8)
    ]
    together = trained(specs, resident_few)
    for chosen in ([0], [7, 2], [4, 5, 6]):
        alone = trained([specs[i] for i in chosen], resident_few)
        assert alone == {i: together[i] for i in chosen}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["none", "before", "after"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_of_every_size(resident_few: Resident, activation: str, norm: str, kind: str) -> None:
    for units in (32, 37, (5, 3), (1, 2), (2, 1), 128):
        if norm != "none" and units in ((1, 2), (2, 1)):
            continue  # batch norm of one feature trains one by one
        for batch_size in (64, 33, 7, 2, 1):
            if batch_size == 1 and norm != "none":
                continue
            specs = mixed(
                resident_few,
                8,
                units=units,
                batch_size=batch_size,
                activation=activation,
                norm=norm,
                kind=kind,
            )
            together = trained(specs, resident_few)
            assert trained(specs[::-1], resident_few) == together
            for chosen in ([0], [7], [6, 1], [2, 3, 5]):
                alone = trained([specs[i] for i in chosen], resident_few)
                assert alone == {i: together[i] for i in chosen}, (units, batch_size, chosen)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["none", "before", "after"])
def test_of_diverging_mates(resident_few: Resident, norm: str, kind: str) -> None:
    """Mates that overflow at once, and that are dropped at the end of an epoch."""
    specs = [
        trial(
            resident_few,
            i,
            model={"units": (21, 13), "normalization": norm, "activation": "relu"},
            optimizer=OptimizerSpec(kind=kind, learning_rate=rate),  # type: ignore[arg-type]
            epochs=4,
        )
        for i, rate in enumerate((0.01, 1e30, 0.02, 1e6, 1e38, 0.003, 1e20))
    ]
    batch = FusedBatch(specs, resident_few)
    results = batch.train()
    together = bits(batch)
    assert {0, 2, 5} <= set(together)
    assert set(together) < set(range(7))  # somebody diverged
    for i, spec in enumerate(specs):
        lonely = FusedBatch([spec], resident_few)
        assert lonely.train()[0].same_outcome(results[i])
        if i in together:
            assert bits(lonely)[i] == together[i]


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_study_and_its_name(resident_few: Resident, kind: str) -> None:
    """Equal specs in two studies are one trial; another seed or number is another."""
    optimizer = OptimizerSpec(kind=kind)  # type: ignore[arg-type]
    model = {"units": 9, "dropout": 0.2}
    first, same, seed, number = train_fused(
        [
            trial(resident_few, n, model=model, optimizer=optimizer, seed=s, study=study)
            for n, s, study in ((3, 8, "a"), (3, 8, "b"), (3, 9, "a"), (4, 8, "a"))
        ],
        resident_few,
    )
    assert first.same_outcome(same)
    assert not first.same_outcome(seed)
    assert not first.same_outcome(number)


def work(resident: Resident) -> list[TrialSpec]:
    return [
        trial(
            resident,
            i,
            model={"units": (33, 12), "normalization": "before", "dropout": 0.1, "activation": act},
            optimizer=OptimizerSpec(kind="adam", learning_rate=0.003 * (i + 1)),
            batch_size=50,
            epochs=3,
        )
        for act in ("sigmoid", "elu")
        for i in range(4)
    ]


def batches(specs: list[TrialSpec], sizes: list[int]) -> list[list[TrialSpec]]:
    """Cut into batches; sizes must not put two activations into one."""
    parts, start = [], 0
    for size in sizes:
        parts.append(specs[start : start + size])
        start += size
    assert start == len(specs)
    return parts


def test_of_executor_and_worker(few: Data, resident_few: Resident) -> None:
    specs = work(resident_few)
    expected = train(specs[:4], resident_few) + train(specs[4:], resident_few)
    datasets = {few.fingerprint: few}
    with InlineExecutor(datasets, resident_few.device) as inline:
        futures = [inline.submit(part) for part in batches(specs, [1, 3, 2, 2])]
        found = [result for future in futures for result in future.result()]
        assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))
    for n_workers, sizes in ((1, [3, 1, 4]), (2, [1, 1, 2, 3, 1])):
        with ProcessExecutor(datasets, n_workers) as pool:
            futures = [pool.submit(part) for part in batches(specs, sizes)]
            found = [result for future in futures for result in future.result(timeout=100)]
        assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True)), n_workers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_many_mates_under_adam(resident_few: Resident, dtype: str) -> None:
    """More trials than a vector of the processor holds numbers."""
    specs = [
        trial(
            resident_few,
            number,
            model={"units": 32},
            optimizer=OptimizerSpec(
                kind="adam",
                learning_rate=0.001 * (1 + number),
                beta1=0.5 + number / 80,
                beta2=0.9 + number / 400,
            ),
            dtype=dtype,
            epochs=3,
        )
        for number in range(36)
    ]
    together = trained(specs, resident_few)
    for chosen in ([0], [20, 35], list(range(3, 21))):
        alone = trained([specs[i] for i in chosen], resident_few)
        assert alone == {i: together[i] for i in chosen}, chosen


PROGRAM = """
import json, sys, torch
from hpsuite.training.reproducible import reproducible
reproducible()
from hpsuite.datasets import prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident
from hpsuite.training.fused import FusedBatch
from tests.training.cases import bits
from tests.training.test_independence import work
data = prepare(digits(), split_seed=0, validation_size=359, test_size=360, train_fraction=0.2,
               input_normalization="feature")
resident = Resident.place(data, torch.device("cpu"))
specs = work(resident)
found = []
for part in (specs[2:4], specs[:2], specs[4:]):
    batch = FusedBatch(part, resident)
    batch.train()
    found += [[part[0].model.arguments[0][1], n, d] for n, d in bits(batch).items()]
json.dump(found, sys.stdout)
"""


def test_weights_of_a_fresh_process(resident_few: Resident) -> None:
    specs = work(resident_few)
    expected = {}
    for part in (specs[:4], specs[4:]):
        for number, digest in trained(part, resident_few).items():
            expected[part[0].model.arguments[0][1], number] = digest.partition(" ")[0]
    root = Path(__file__).resolve().parents[2]
    environment = {k: v for k, v in os.environ.items() if k != "MKL_CBWR"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert {(act, number): digest for act, number, digest in json.loads(done.stdout)} == expected


@pytest.mark.parametrize("kind", ["sgd", "sgd_ema", "adam", "adamw"])
def test_of_mates_with_other_options(resident_few: Resident, kind: str) -> None:
    """Trials that look ahead, warm up, smooth labels and decay weights, each by its own measure."""
    for units, batch_size in (*SIZES, ((5, 2), 1), (9, 2)):
        specs = [
            replace(
                spec,
                optimizer=replace(
                    spec.optimizer,
                    nesterov=True,
                    label_smoothing=0.9 / (1 + i),
                    warmup_fraction=i / 12,
                    weight_decay=0.01 * (i + 1),
                    schedule=("none", "cosine", "exponential")[i % 3],
                    decay_rate=0.9,
                ),
            )
            for i, spec in enumerate(
                mixed(
                    resident_few,
                    11,
                    units=units,
                    batch_size=batch_size,
                    activation="tanh",
                    norm="none" if batch_size == 1 else "before",
                    kind=kind,
                )
            )
        ]
        together = trained(specs, resident_few)
        assert len(set(together.values())) == 11
        assert trained(specs[::-1], resident_few) == together
        for chosen in ([0], [10], [5, 7], [9, 3, 8]):
            alone = trained([specs[i] for i in chosen], resident_few)
            assert alone == {i: together[i] for i in chosen}, (units, batch_size, chosen)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 47, 101])
def test_of_the_loss_with_smoothing(n_classes: int) -> None:
    """Losses and gradients of any number of mates, rows and classes; and they are torch's."""
    generator = torch.Generator().manual_seed(n_classes)
    for n_rows in (1, 2, 3, 7, 8, 31, 33, 64):
        logits = 5 * torch.randn(9, n_classes, n_rows, generator=generator)
        y = torch.randint(n_classes, (9, n_rows), generator=generator)
        shares = torch.rand(9, generator=generator, dtype=torch.float64)

        def run(
            places: list[int], logits: Tensor = logits, y: Tensor = y, shares: Tensor = shares
        ) -> tuple[Tensor, Tensor]:
            outputs = logits[places].requires_grad_()
            losses = cross_entropy(outputs, y[places], shares[places])
            (gradient,) = torch.autograd.grad(losses.sum(), [outputs])
            return losses.detach(), gradient

        losses, gradients = run(list(range(9)))
        for places in ([0], [8], [3, 1], list(range(2, 7))):
            for mine, all_ in zip(run(places), (losses, gradients), strict=True):
                assert torch.equal(mine, all_[places])
        for k in range(9):
            theirs = F.cross_entropy(logits[k].T, y[k], label_smoothing=float(shares[k]))
            assert losses[k].item() == pytest.approx(theirs.item(), rel=1e-5)


def test_of_diverging_mates_with_smoothing(resident_few: Resident) -> None:
    specs = [
        trial(
            resident_few,
            i,
            model={"units": 21},
            optimizer=OptimizerSpec(learning_rate=rate, label_smoothing=0.1 * (i + 1)),
            epochs=4,
        )
        for i, rate in enumerate((0.01, 1e30, 0.02, 1e38, 0.003))
    ]
    results = train_fused(specs, resident_few)
    assert [result.outcome for result in results] == ["finite", "nonfinite"] * 2 + ["finite"]
    for spec, result in zip(specs, results, strict=True):
        assert train_fused([spec], resident_few)[0].same_outcome(result)
