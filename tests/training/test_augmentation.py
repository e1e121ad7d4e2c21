"""Flips and shifts: pixel by pixel, as random as they must be, and the same whatever the mates."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.executors import InlineExecutor, ProcessExecutor
from hpsuite.training import Resident, train, train_plain
from hpsuite.training.augmentation import flipped, shifted, training_inputs
from hpsuite.training.fused import FusedBatch
from hpsuite.training.plain import PlainTrial
from hpsuite.training.streams import augmentation_key, dropout_key, row_draws
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import bits, largest_difference, trial

# Each statistical test may cry wolf once in a billion runs.
FALSE_ALARM = 1e-9
CPU = torch.device("cpu")


def augmented(**choice: object) -> Resident:
    """216 digits to train on, as images."""
    data = prepare(
        digits(image=True),
        split_seed=0,
        validation_size=359,
        test_size=360,
        train_fraction=0.2,
        input_normalization="channel",
        **choice,  # type: ignore[arg-type]
    )
    return Resident.place(data, CPU)


@pytest.fixture(scope="module")
def both() -> Resident:
    return augmented(flip=True, shift=2)


def keys(n: int, seed: int = 5) -> Tensor:
    return torch.tensor([augmentation_key(seed, i) for i in range(n)], dtype=torch.int32)


def mixed(x: int) -> int:
    """`lowbias32` (Wellons 2018), in integers of any size."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def drawn(key: int, row: int, epoch: int, draw: int, n: int) -> int:
    """One of `row_draws`, by itself."""
    place = (epoch * 0x9E3779B1 + draw * 0x85EBCA77) % 2**32
    salt = mixed((mixed(key % 2**32 ^ place) + 1) % 2**32)
    return mixed(mixed(salt ^ mixed(row + 1))) % 2**31 * n >> 31


def moved(image: NDArray[np.generic], key: int, row: int, epoch: int, data: Data) -> np.ndarray:
    """One image [C, H, W], flipped and shifted on its own."""
    if data.flip and drawn(key, row, epoch, 0, 2):
        image = image[:, :, ::-1]
    most = data.shift
    down, right = (drawn(key, row, epoch, draw, 2 * most + 1) - most for draw in (1, 2))
    _, height, width = image.shape
    out = np.zeros_like(image)
    for h, w in itertools.product(range(height), range(width)):
        if 0 <= h - down < height and 0 <= w - right < width:
            out[:, h, w] = image[:, h - down, w - right]
    return out


@pytest.mark.parametrize(
    "choice",
    [{}, {"flip": True}, {"shift": 1}, {"shift": 7}, {"flip": True, "shift": 3}],
    ids=str,
)
def test_every_pixel(choice: dict[str, object]) -> None:
    resident = augmented(**choice)
    rows = torch.tensor([[0, 5, 215, 5], [7, 1, 0, 100]])
    for epoch in (0, 1, 40):
        found = training_inputs(resident, rows, keys(2), epoch=epoch)
        assert found.dtype == torch.uint8
        assert found.shape == (2, 4, 1, 8, 8)
        for k, b in itertools.product(range(2), range(4)):
            row = int(rows[k, b])
            image = resident.data.x_train[row]
            expected = moved(image, int(keys(2)[k]), row, epoch, resident.data)
            assert np.array_equal(found[k, b].numpy(), expected), (epoch, k, b)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_of_any_size_and_type(dtype: type) -> None:
    rng = np.random.default_rng(0)
    x = (100 * rng.random((30, 3, 5, 9))).astype(dtype)
    source = replace(digits(), x=x, y=np.arange(30) % 3, n_classes=3, scale=100.0)
    data = prepare(source, split_seed=0, validation_size=6, test_size=6, flip=True, shift=4)
    resident = Resident.place(data, CPU)
    rows = torch.arange(18)[None]
    found = training_inputs(resident, rows, keys(1), epoch=3)[0]
    for row in range(18):
        expected = moved(data.x_train[row], int(keys(1)[0]), row, 3, data)
        assert np.array_equal(found[row].numpy(), expected)


def test_flat_rows_are_as_they_are(resident: Resident) -> None:
    rows = torch.tensor([[3, 1], [0, 9]])
    found = training_inputs(resident, rows, keys(2), epoch=0)
    assert torch.equal(found, resident.x_train[rows])


def test_draws_are_uniform_and_independent() -> None:
    """Of the trial, the row, the epoch and each other: every combination is as likely."""
    n_trials, n_rows, n_epochs, n = 12, 500, 15, 5
    rows = torch.arange(n_rows).expand(n_trials, n_rows)
    draws = torch.stack(
        [
            torch.stack(
                [
                    row_draws(keys(n_trials), rows, epoch=epoch, draw=draw, n=side)
                    for draw, side in ((0, 2), (1, n), (2, n))
                ]
            )
            for epoch in range(n_epochs)
        ]
    )  # [epoch, draw, trial, row]
    cells = draws[:, 0] * n * n + draws[:, 1] * n + draws[:, 2]
    assert (int(draws.min()), int(draws.max())) == (0, n - 1)

    def check(cells: Tensor, n_cells: int) -> None:
        counts = torch.bincount(cells.flatten(), minlength=n_cells)
        assert stats.chisquare(counts.numpy()).pvalue > FALSE_ALARM

    check(cells, 2 * n * n)
    for each in (*cells, *cells.transpose(0, 1), *cells.permute(2, 0, 1)[:50]):
        check(each, 2 * n * n)
    # Pairs of neighbours in every direction.
    pairs = [
        (cells[1:], cells[:-1]),
        (cells[2:], cells[:-2]),
        (cells[:, 1:], cells[:, :-1]),
        (cells[:, :, 1:], cells[:, :, :-1]),
        (cells[1:, :, 1:], cells[:-1, :, :-1]),
    ]
    for a, b in pairs:
        check(a * 2 * n * n + b, (2 * n * n) ** 2)


def test_draws_are_not_those_of_dropout() -> None:
    assert {augmentation_key(3, i) for i in range(50)}.isdisjoint(
        dropout_key(3, i) for i in range(50)
    )
    assert len({augmentation_key(s, i) for s in (0, 1, 2**62) for i in (0, 1, 1000)}) == 9


def test_a_rows_draws_are_its_own() -> None:
    rows = torch.tensor([[4, 9, 2, 7, 0]])
    together = row_draws(keys(1), rows, epoch=2, draw=1, n=9)
    for chosen in ([0], [3, 1], [4, 3, 2, 1, 0]):
        alone = row_draws(keys(1), rows[:, chosen], epoch=2, draw=1, n=9)
        assert torch.equal(alone, together[:, chosen])
    mates = row_draws(keys(3), rows.expand(3, 5), epoch=2, draw=1, n=9)
    assert torch.equal(mates[:1], together)


def test_helpers_leave_their_inputs_alone() -> None:
    x = torch.randint(0, 256, (5, 2, 4, 4), dtype=torch.uint8)
    before = x.clone()
    flipped(x, torch.tensor([True, False, True, False, True])).add_(1)
    shifted(x, torch.zeros(5, dtype=torch.int64), torch.ones(5, dtype=torch.int64), most=1).add_(1)
    assert torch.equal(x, before)


def specs_of(resident: Resident, n: int = 4, **arguments: object) -> list[TrialSpec]:
    return [
        trial(
            resident,
            3 * i,
            model={
                "units": (24, 10),
                "normalization": "before",
                "dropout": 0.1 * (1 + i % 5),
                "activation": "tanh",
            },
            optimizer=OptimizerSpec(learning_rate=0.01 * (i + 1)),
            **arguments,  # type: ignore[arg-type]
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    "choice", [{"flip": True}, {"shift": 3}, {"flip": True, "shift": 2}], ids=str
)
def test_fused_equals_plain(choice: dict[str, object]) -> None:
    resident = augmented(**choice)
    specs = specs_of(resident, dtype="float64", batch_size=50, steps=200)
    batch = FusedBatch(specs, resident)
    results = batch.train()
    predictions = batch.predict(resident.x_val)
    for k, spec in enumerate(specs):
        plain = PlainTrial(spec, resident)
        expected = plain.train()
        assert largest_difference(predictions[k].T, plain.predict(resident.x_val)) < 1e-10
        assert results[k].loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=1e-10)
        assert results[k].val_curve == expected.val_curve
        assert results[k].test_accuracy == expected.test_accuracy


def test_bits_do_not_depend_on_mates(both: Resident) -> None:
    specs = specs_of(both, 9, epochs=3)

    def trained(chosen: Sequence[int]) -> dict[int, str]:
        batch = FusedBatch([specs[i] for i in chosen], both)
        batch.train()
        return bits(batch)

    together = trained(range(9))
    for chosen in ([0], [8], [5, 2], [7, 6, 1]):
        assert trained(chosen) == {3 * i: together[3 * i] for i in chosen}


def test_the_keys_of_diverged_mates_leave_with_them(both: Resident) -> None:
    specs = specs_of(both, 5, epochs=4)
    for i, rate in ((0, 1e30), (3, 1e36)):
        specs[i] = replace(specs[i], optimizer=OptimizerSpec(learning_rate=rate))
        specs[i] = replace(specs[i], model=trial(both, model={"units": (24, 10)}).model)
    relu = [replace(spec, model=specs[0].model) for spec in specs]
    batch = FusedBatch(relu, both)
    results = batch.train()
    assert batch.alive == [1, 2, 4]
    for spec, result in zip(relu, results, strict=True):
        assert FusedBatch([spec], both).train()[0].same_outcome(result)


def test_executors_carry_it(both: Resident) -> None:
    data = both.data
    specs = specs_of(both, 3, epochs=2)
    image = trial(both, 1, target="hpsuite.models.convnet", model={"channels": 4}, epochs=1)
    expected = [*train(specs, both), train_plain(image, both)]
    unmoved = augmented()
    other = train([replace(spec, dataset=unmoved.data.fingerprint) for spec in specs], unmoved)
    assert not any(a.same_outcome(b) for a, b in zip(expected, other, strict=False))
    datasets = {data.fingerprint: data}
    for executor in (InlineExecutor(datasets, CPU), ProcessExecutor(datasets, 2)):
        with executor:
            futures = [executor.submit(specs[:2]), executor.submit(specs[2:])]
            futures.append(executor.submit([image]))
            found = [result for future in futures for result in future.result(timeout=300)]
        assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))


def test_validation_and_test_rows_are_never_moved(both: Resident) -> None:
    unmoved = augmented()
    for name in ("x_val", "x_test", "y_val", "y_test", "x_train", "multiplier", "offset"):
        assert torch.equal(getattr(both, name), getattr(unmoved, name)), name
    for target in ("hpsuite.models.mlp", "hpsuite.models.convnet"):
        model: dict[str, object] = {"layers": 1, "dropout": 0.2}
        ours, theirs = (
            PlainTrial(trial(of, target=target, model=model), of) for of in (both, unmoved)
        )
        assert ours.score(both.x_val, both.y_val) == theirs.score(unmoved.x_val, unmoved.y_val)
        assert torch.equal(ours.predict(both.x_test), theirs.predict(unmoved.x_test))
    ours, theirs = (
        FusedBatch([trial(of, i, model={"units": 8}) for i in (0, 1)], of) for of in (both, unmoved)
    )
    assert torch.equal(ours.predict(both.x_val), theirs.predict(unmoved.x_val))


def test_each_epoch_is_new_and_steps_of_one_share_it(
    both: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both trainers pass the number of the epoch, whatever part of the last one the budget has."""
    epochs: list[int] = []

    def spy(resident: Resident, rows: Tensor, keys: Tensor, *, epoch: int | Tensor) -> Tensor:
        epochs.append(int(epoch))
        return training_inputs(resident, rows, keys, epoch=epoch)

    spec = trial(both, model={"units": 4}, batch_size=100, steps=8)  # 3 steps an epoch
    for module, run in (
        ("descent", lambda: train([spec], both)),
        ("plain", lambda: train_plain(spec, both)),
    ):
        monkeypatch.setattr(f"hpsuite.training.{module}.training_inputs", spy)
        epochs.clear()
        run()
        assert epochs == [0, 0, 0, 1, 1, 1, 2, 2]


def test_shifts_help_where_test_images_are_shifted() -> None:
    """What it is for: a network that saw shifted digits reads shifted digits better."""
    accuracies = []
    for shift in (0, 2):
        resident = augmented(shift=shift)
        spec = trial(
            resident,
            model={"units": 64},
            optimizer=OptimizerSpec(learning_rate=0.05),
            epochs=60,
        )
        trained = PlainTrial(spec, resident)
        trained.train()
        n = len(resident.y_val)
        ones = torch.ones(n, dtype=torch.int64)
        x = shifted(resident.x_val, ones, -ones, most=1)
        accuracies.append(trained.score(x, resident.y_val)[0])
    assert accuracies[1] > accuracies[0] + 0.1
