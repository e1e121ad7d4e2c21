"""Steps that are recorded and replayed are the steps themselves, to the bit.

CUDA graphs need a GPU. What they need of a step, that it reads nothing but tensors which stay where
they are, is shown on a CPU: there a step is traced into torch's operations, which hold all numbers
of Python's fixed as a graph does, and these are run again.
"""

import gc
import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident, graphs, train
from hpsuite.training.fused import FusedBatch
from hpsuite.training.graphs import WARM_UP, RecordedSteps, Replay, cuda_graph
from hpsuite.training.states import Held
from hpsuite.trials import Block, Lineage, OptimizerSpec, TrialSpec
from tests.training.cases import bits, rounded, states, trial
from tests.training.test_mixed import KINDS, mixed


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had not been refused anything."""
    monkeypatch.setattr(graphs, "_refused", [])


def traced(body: Callable[[], None]) -> Replay:
    """What a function does, as torch's operations on the tensors that it does it with."""
    operations = make_fx(body)()

    def replay() -> None:
        with torch.no_grad():  # gradients are among the operations
            operations()

    return replay


def check(
    specs: Sequence[TrialSpec], resident: Resident, held: Held | None = None
) -> tuple[FusedBatch, int]:
    """Train with replays and without; returns the former, and how many steps were replayed."""
    plain = FusedBatch(specs, resident, states=held)
    recorded = FusedBatch(specs, resident, states=held, recorder=traced)
    plain.train_all()
    recorded.train_all()
    n = recorded.replayed
    assert recorded.alive == plain.alive
    assert list(recorded.results) == list(plain.results)
    for place, result in plain.results.items():
        assert recorded.results[place].same_outcome(result)
    assert bits(recorded) == bits(plain)
    assert n > 0
    return recorded, n


@pytest.mark.parametrize("kind", KINDS)
def test_replayed_steps_are_the_steps(kind: str, resident_few: Resident) -> None:
    specs = [
        trial(
            resident_few,
            i,
            model={"units": (12, 9), "normalization": "before", "dropout": 0.1 * (1 + i)},
            optimizer=OptimizerSpec(
                kind=kind,  # type: ignore[arg-type]
                learning_rate=0.01 * (1 + i),
                weight_decay=1e-3 * i,
                label_smoothing=0.1 * i,
                schedule="cosine",
                warmup_fraction=0.2,
            ),
            batch_size=50,  # 4 times 50 rows and once 16
            epochs=8,
        )
        for i in range(3)
    ]
    _, n = check(specs, resident_few)
    # Of 40 steps 32 have 50 rows, and 8 have 16: after 3 of either one more is compared.
    assert n == 40 - 2 * (WARM_UP + 1)


def test_trials_that_leave_are_recorded_anew(resident_few: Resident) -> None:
    specs = [replace(s, epochs=2 * (1 + s.number), steps=None) for s in mixed(resident_few, 5)]
    batch, _ = check(specs, resident_few)
    assert len(batch.results) == 5


def test_diverging_mate_changes_nothing(resident_few: Resident) -> None:
    wild = OptimizerSpec(learning_rate=1e30)
    specs = [trial(resident_few, i, model={"units": (9,)}, epochs=8) for i in range(2)]
    specs.append(trial(resident_few, 2, model={"units": (9,)}, optimizer=wild, epochs=8))
    batch, _ = check(specs, resident_few)
    assert batch.results[2].outcome == "nonfinite"


def test_convolutions_and_moved_images() -> None:
    data: Data = prepare(
        digits(image=True),
        split_seed=0,
        validation_size=359,
        test_size=360,
        train_fraction=0.2,
        input_normalization="channel",
        flip=True,
        shift=2,
    )
    resident = Resident.place(data, torch.device("cpu"))
    specs = [
        trial(resident, i, target="hpsuite.models.convnet", model={"channels": (4,)}, epochs=5)
        for i in range(2)
    ]
    check(specs, resident)


def test_days(resident_few: Resident) -> None:
    """Which go on from other steps and epochs, each trial from its own."""
    held = Held()
    model = {"units": (9,), "dropout": 0.3}
    first = [
        replace(trial(resident_few, i, model=model, epochs=1 + i), lineage=Lineage(i, ()))
        for i in range(2)
    ]
    train(first, resident_few, held)
    second = [
        replace(
            spec,
            number=10 + spec.number,
            epochs=8,
            lineage=Lineage(spec.number, (Block(spec.optimizer, spec.epochs or 0),)),
        )
        for spec in first
    ]
    check(second, resident_few, held)


def steps(one_step: Callable[..., Tensor], weight: Tensor, n: int = 40) -> tuple[int, Tensor]:
    """Takes n steps of one trial on one row each; how many were replayed, and sums of losses."""
    rows = torch.arange(n)[None]
    recorded = RecordedSteps(
        one_step, [weight], torch.ones(n, 1, dtype=torch.float64), rows, weight, recorder=traced
    )
    recorded.load(rows, torch.zeros(1), 0, step=0, start=0)
    replayed = sum(recorded.take(1, n - i) for i in range(n))
    return replayed, recorded.losses


def test_step_that_reads_a_number_of_pythons_is_not_replayed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    weight, calls = torch.zeros(1), []

    def one_step(rows: Tensor, rates: Tensor, step: Tensor, epochs: Tensor) -> Tensor:
        calls.append(None)
        weight.add_(len(calls))  # another number each time it is called, which a graph is not
        return weight.clone()

    with caplog.at_level(logging.WARNING):
        replayed, _ = steps(one_step, weight)
    assert "a replay differed from the step itself" in caplog.text
    assert replayed == 0
    # Each of 40 steps counted once; the one that was recorded called it once more.
    assert len(calls) == 41
    assert weight.item() == sum(range(1, 42)) - (WARM_UP + 1)


def test_sums_and_places_of_replays() -> None:
    weight = torch.zeros(1)

    def one_step(rows: Tensor, rates: Tensor, step: Tensor, epochs: Tensor) -> Tensor:
        weight.add_(rows[:, 0] + 100 * step)
        return rows[:, 0] + 0.5

    replayed, losses = steps(one_step, weight)
    assert replayed == 40 - WARM_UP - 1
    assert weight.item() == 101 * sum(range(40))
    assert losses.item() == sum(range(40)) + 20


def test_what_cannot_be_recorded_goes_on_without(
    resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(body: Callable[[], None]) -> Replay:
        body()  # half of it, as far as anyone knows
        raise RuntimeError("operation not permitted\nlong story")

    specs = [trial(resident_few, i, model={"units": (9,)}, epochs=8) for i in range(2)]
    plain, batch = FusedBatch(specs, resident_few), FusedBatch(specs, resident_few, recorder=broken)
    with caplog.at_level(logging.WARNING):
        found = batch.train()
        FusedBatch(specs, resident_few, recorder=broken).train()
    # Once in a process.
    assert caplog.text.count("steps are not recorded as graphs: operation not permitted\n") == 1
    assert [rounded(a) for a in found] == [rounded(b) for b in plain.train()]
    assert bits(batch) == bits(plain)


def test_batch_goes_when_its_owner_does(resident_few: Resident) -> None:
    spec = trial(resident_few, 0, model={"units": (9,)}, epochs=8)
    # A recording that holds nothing, as CUDA's do.
    batch = FusedBatch([spec], resident_few, recorder=lambda _: lambda: None)
    batch.train()
    weight = weakref.ref(batch.models.layers[0].parameters()[0])
    gc.disable()
    try:
        del batch
        assert weight() is None
    finally:
        gc.enable()


def test_memory_that_is_short_is_told_as_such(resident_few: Resident) -> None:
    def greedy(body: Callable[[], None]) -> Replay:
        raise torch.OutOfMemoryError("CUDA out of memory")

    spec = trial(resident_few, 0, model={"units": (9,)}, epochs=8)
    with pytest.raises(torch.OutOfMemoryError):
        FusedBatch([spec], resident_few, recorder=greedy).train()


def test_few_steps_are_not_worth_it(resident_few: Resident) -> None:
    batch = FusedBatch([trial(resident_few, 0, epochs=2)], resident_few, recorder=traced)
    batch.train()
    assert batch.replayed == 0


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", ["none", "before"])
def test_graphs_on_a_gpu(kind: str, normalization: str, few: Data) -> None:
    on_gpu = Resident.place(few, torch.device("cuda"))
    specs = [
        replace(s, epochs=10, steps=None)
        for s in mixed(on_gpu, 8, norm=normalization, batch_size=50)
        if s.optimizer.kind == kind
    ]

    def never(body: Callable[[], None]) -> Replay:
        raise RuntimeError("not now")

    batch = FusedBatch(specs, on_gpu)
    assert batch._recorder is cuda_graph
    found = batch.train()
    assert batch.replayed > 20
    without = FusedBatch(specs, on_gpu, recorder=never)
    expected = without.train()
    assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))
    for a, b in zip(states(batch), states(without), strict=True):
        assert torch.equal(a, b)
