"""The planner: every trial exactly once, with whom it can be mixed, lowest numbers first."""

import itertools
import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from hpsuite.datasets import Data
from hpsuite.training import Planner, Resident, train_fused
from hpsuite.training.economy import Load
from hpsuite.training.planner import CPU_LEAST, CPU_MOST
from hpsuite.trials import Numerics, OptimizerSpec, TrialSpec
from tests.training.cases import trial

CPU = torch.device("cpu")


@pytest.fixture
def planner(few: Data, data: Data) -> Planner:
    return Planner({few.fingerprint: few, data.fingerprint: data}, CPU, n_workers=2)


def test_what_can_be_mixed_is(planner: Planner, resident_few: Resident) -> None:
    """Everything that each trial of a batch has of its own."""
    base = trial(resident_few, model={"units": 8, "dropout": 0.1})
    sgd = base.optimizer
    same = [
        base,
        replace(base, number=5),
        replace(base, study="another arm", seed=99),
        replace(base, optimizer=replace(sgd, learning_rate=3.0, momentum=0.1)),
        replace(base, optimizer=replace(sgd, schedule="cosine")),
        replace(base, optimizer=replace(sgd, schedule="step", decay_rate=0.1, decay_epochs=2)),
        replace(base, optimizer=replace(sgd, schedule="cosine", warmup_fraction=0.3)),
        # What the kind does not use.
        replace(base, optimizer=replace(sgd, beta1=0.5, beta2=0.5, epsilon=1)),
        trial(resident_few, model={"units": 8, "dropout": 0.4}),
        trial(resident_few, model={"units": (8, 8), "dropout": 0.4}),
        trial(resident_few, model={"units": 8, "dropout": 0.1, "initialization": "xavier"}),
        # What costs a little more, and less than a program of its own.
        replace(base, epochs=2),
        replace(base, epochs=None, steps=3),
        *(
            replace(base, optimizer=replace(sgd, kind=kind))
            for kind in ("sgd_ema", "adam", "adamw")
        ),
        replace(base, optimizer=replace(sgd, weight_decay=1e-3)),
        replace(base, optimizer=replace(sgd, nesterov=True)),
        replace(base, optimizer=replace(sgd, label_smoothing=0.1)),
        *(
            trial(resident_few, model={"units": 9, "dropout": 0.1, "activation": name})
            for name in ("sigmoid", "tanh", "gelu")
        ),
    ]
    assert len({planner.bucket(spec) for spec in same}) == 1
    results = train_fused(same, resident_few)  # and it truly can
    assert all(result.outcome == "finite" for result in results[:3])


def test_what_cannot_be_mixed_is_not(
    planner: Planner, resident_few: Resident, resident: Resident
) -> None:
    base = trial(resident_few, model={"units": 8}, steps=3)
    others = [
        base,
        replace(base, batch_size=32),
        replace(base, dataset=resident.data.fingerprint),
        replace(base, numerics=Numerics(dtype="float64")),
        replace(base, numerics=Numerics(tf32=True)),
    ]
    others += [
        trial(resident_few, model={"units": 8, **arguments}, steps=3)
        for arguments in (
            {"layers": 1},
            {"layers": 3},
            # Layer norm is of a number of units.
            {"normalization": "before", "normalizer": "layer"},
            {"normalization": "before", "normalizer": "layer", "units": 9},
            {"normalization": "before"},
            {"normalization": "after"},
            {"dropout": 0.5},
        )
    ]
    for a, b in itertools.combinations(others, 2):
        assert planner.bucket(a) != planner.bucket(b), (a, b)


def test_what_each_optimizer_can_mix_is_mixed(planner: Planner, resident_few: Resident) -> None:
    """Own values of all that both have; Adam does not use momentum, nor look ahead."""
    for kind, free in (
        ("sgd", {"momentum": 0.2}),
        ("sgd_ema", {"momentum": 0.2}),
        ("adam", {"momentum": 0.2, "nesterov": False, "beta1": 0.2}),
        ("adamw", {"momentum": 0.2, "nesterov": False, "beta2": 0.2, "epsilon": 1e-3}),
    ):
        base = OptimizerSpec(
            kind=kind,  # type: ignore[arg-type]
            nesterov=True,
            label_smoothing=0.1,
            weight_decay=0.1,
        )
        more = {"label_smoothing": 0.3, "weight_decay": 0.01, "warmup_fraction": 0.5, **free}
        specs = [
            trial(resident_few, i, model={"units": 8}, optimizer=optimizer)
            for i, optimizer in enumerate((base, replace(base, **more)))  # type: ignore[arg-type]
        ]
        assert planner.bucket(specs[0]) == planner.bucket(specs[1])
        together = train_fused(specs, resident_few)
        alone = [train_fused([spec], resident_few)[0] for spec in specs]
        assert all(a.same_outcome(b) for a, b in zip(together, alone, strict=True))


def check_batch(planner: Planner, batch: list[TrialSpec]) -> None:
    assert 1 <= len(batch) <= planner.most_at_once(batch[0])
    assert len({planner.bucket(spec) for spec in batch}) == 1
    numbers = [spec.number for spec in batch]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("seed", range(20))
def test_every_trial_exactly_once_whatever_is_added_when(
    planner: Planner, resident_few: Resident, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    kinds: list[dict[str, object]] = [
        {"units": 8},
        {"units": 8, "normalization": "before"},
        {"units": 300},
    ]
    specs = [
        trial(resident_few, int(rng.integers(60)), model=kinds[rng.integers(3)], study=f"s{i}")
        for i in range(150)
    ]
    waiting, taken = list(specs), []
    while waiting or len(planner):
        if waiting and rng.random() < 0.8:
            planner.add(waiting.pop())
            continue
        before = len(planner)
        lowest: dict[object, int] = {}
        for queue in planner._waiting.values():
            lowest[planner.bucket(queue.first())] = min(entry[0] for entry in queue.entries)
        batch = planner.take()
        assert len(planner) == before - len(batch)
        if before == 0:
            assert batch == []
            continue
        check_batch(planner, batch)
        assert batch[0].number == lowest[planner.bucket(batch[0])]
        taken += batch
    assert sorted(taken, key=lambda spec: spec.study) == sorted(specs, key=lambda s: s.study)
    assert planner.take() == []


def test_lowest_numbers_of_all_studies_come_first(planner: Planner, resident_few: Resident) -> None:
    size = planner.most_at_once(trial(resident_few, model={"units": 8}))
    for number in reversed(range(size)):
        for study in ("a", "b", "c"):
            planner.add(trial(resident_few, number, model={"units": 8}, study=study))
    taken = []
    while len(planner):
        batch = planner.take()
        check_batch(planner, batch)
        taken += batch
    numbers = [spec.number for spec in taken]
    assert numbers == sorted(numbers)
    assert len(numbers) == 3 * size


def test_full_batches_come_before_others(planner: Planner, resident_few: Resident) -> None:
    small = trial(resident_few, 0, model={"units": 8})
    planner.add(replace(small, batch_size=32))
    assert not planner.has_full_batch()
    size = planner.most_at_once(small)
    for number in range(2 * size):
        planner.add(replace(small, number=100 + number))
    assert planner.has_full_batch()
    assert len(planner.take()) == size
    assert {spec.batch_size for spec in planner.take()} == {64}  # still a full one left
    assert [spec.batch_size for spec in planner.take()] == [32]  # its number is lowest


def test_the_last_trials_are_shared_among_the_workers(few: Data, resident_few: Resident) -> None:
    planner = Planner({few.fingerprint: few}, CPU, n_workers=2)
    spec = trial(resident_few, model={"units": 8})
    size = planner.most_at_once(spec)
    for number in range(size):
        planner.add(replace(spec, number=number))
    assert [len(planner.take()), len(planner.take()), len(planner.take())] == [
        size // 2,
        size // 2,
        size % 2,
    ]


def test_larger_trials_come_in_smaller_batches(planner: Planner, resident_few: Resident) -> None:
    def size(units: int, dtype: str = "float32", kind: str = "sgd") -> int:
        spec = trial(
            resident_few,
            model={"units": units},
            dtype=dtype,
            optimizer=OptimizerSpec(kind=kind),  # type: ignore[arg-type]
        )
        return planner.most_at_once(spec)

    sizes = [size(units) for units in (4, 64, 128, 256, 512, 2048)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == CPU_MOST
    assert sizes[-1] == CPU_LEAST
    assert size(128, dtype="float64") < size(128)
    assert size(128, kind="adam") < size(128)


def test_costs_are_multiply_adds(planner: Planner, resident: Resident) -> None:
    spec = trial(resident, model={"units": (128, 128)}, epochs=10)
    n_parameters = 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    assert planner.cost(spec) == pytest.approx(3 * 170 * 64 * n_parameters)


def test_like_goes_to_like(few: Data, resident_few: Resident) -> None:
    """Trials of four widths and two lengths: batches fill up little, and wait little."""
    planner = Planner({few.fingerprint: few}, CPU, n_workers=1)
    rng = np.random.default_rng(0)
    specs = [
        trial(
            resident_few,
            number,
            model={"units": (int(2 ** rng.integers(4, 9)), int(2 ** rng.integers(4, 9)))},
            epochs=int(2 ** rng.integers(2, 6)),
        )
        for number in range(300)
    ]
    for spec in specs:
        planner.add(spec)
    batches = []
    while len(planner):
        batch = planner.take()
        check_batch(planner, batch)
        batches.append(batch)
    assert sorted(s.number for batch in batches for s in batch) == list(range(300))
    loads = []
    for batch in batches:
        load = Load(planner.economy)
        for spec in batch:
            load = load.with_one(planner._demand(spec))
        loads.append(load)
    alone = sum(Load(planner.economy).with_one(planner._demand(s)).cost() for s in specs)
    assert sum(load.cost() for load in loads) < alone / 2
    assert all(load.growth() < 3 for load in loads)


def test_the_last_work_is_shared_not_the_last_trials(few: Data, resident_few: Resident) -> None:
    """Of a few long trials and many short ones, the long ones' worker gets no more than it must."""
    planner = Planner({few.fingerprint: few}, CPU, n_workers=2)
    most = planner.most_at_once(trial(resident_few, model={"units": 8}))
    for number in range(most + most // 4):
        epochs = 20 if number < most // 4 else 10
        planner.add(trial(resident_few, number, model={"units": 8}, epochs=epochs))
    first = planner.take()
    assert most // 2 <= len(first) < (most + most // 4) // 2
    assert {spec.epochs for spec in first} == {20, 10}


def test_what_is_much_wider_stays_apart(planner: Planner, resident_few: Resident) -> None:
    planner.n_workers = 1
    for number, units in enumerate((16, 256, 16, 256, 20)):
        planner.add(trial(resident_few, number, model={"units": units}, batch_size=128))
    assert [[spec.number for spec in planner.take()] for _ in range(2)] == [[0, 2, 4], [1, 3]]


def test_long_sums_are_not_filled_up(planner: Planner, resident_few: Resident) -> None:
    planner.n_workers = 1
    for number, units in enumerate((300, 310, 300, 290)):
        planner.add(trial(resident_few, number, model={"units": units}))
    assert [[spec.number for spec in planner.take()] for _ in range(2)] == [[0, 2, 3], [1]]


def test_a_batch_is_explained(
    planner: Planner, resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    planner.add(trial(resident_few, 0, model={"units": 16}, steps=9))
    planner.add(trial(resident_few, 1, model={"units": 24}, epochs=3))
    planner.add(
        trial(resident_few, 2, model={"units": 24}, optimizer=OptimizerSpec(kind="adam"), epochs=3)
    )
    planner.n_workers = 1
    with caplog.at_level(logging.DEBUG, logger="hpsuite.training.planner"):
        assert len(planner.take()) == 3
    [record] = caplog.records
    assert re.fullmatch(
        r"next batch: 3 trials of hpsuite.models.mlp, batch size 64, 9 to 12 steps, "
        r"2 widths, filled up to 1\.\d\d times the products, 2 update rules",
        record.getMessage(),
    )
