"""Steps that are recorded and replayed are the steps themselves, to the bit.

On a CPU they are taped. CUDA graphs need a GPU; what they need of a step, that it reads nothing but
tensors which stay where they are, is shown on a CPU too: there a step is traced into torch's
operations, which hold all numbers of Python's fixed as a graph does, and these are run again.
"""

import gc
import logging
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident, graphs, train
from hpsuite.training.fused import FusedBatch
from hpsuite.training.graphs import (
    CUDA_GRAPH,
    NEVER,
    TAPE,
    RecordedSteps,
    Recorder,
    Replay,
)
from hpsuite.training.states import Held
from hpsuite.trials import Block, Lineage, OptimizerSpec, TrialSpec
from tests.training.cases import bits, rounded, states, trial
from tests.training.test_mixed import KINDS, mixed


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had not been refused anything."""
    monkeypatch.setattr(graphs, "_said", set())


def _traced(body: Callable[[], None], _varying: Sequence[Tensor]) -> Replay:
    """What a function does, as torch's operations on the tensors that it does it with."""
    operations = make_fx(body)()

    def replay() -> None:
        with torch.no_grad():  # gradients are among the operations
            operations()

    return replay


TRACE = Recorder(_traced, runs=False, warm_up=3)
RECORDERS = pytest.mark.parametrize("recorder", [TRACE, TAPE], ids=["traced", "taped"])


def of(record: Callable[[Callable[[], None], Sequence[Tensor]], Replay]) -> Recorder:
    """A recorder like that of a GPU."""
    return replace(CUDA_GRAPH, record=record)


def check(
    specs: Sequence[TrialSpec], resident: Resident, recorder: Recorder, held: Held | None = None
) -> tuple[FusedBatch, int]:
    """Train with replays and without; returns the former, and how many steps were replayed."""
    plain = FusedBatch(specs, resident, states=held, recorder=NEVER)
    recorded = FusedBatch(specs, resident, states=held, recorder=recorder)
    plain.train_all()
    recorded.train_all()
    n = recorded.replayed
    assert recorded.alive == plain.alive
    assert list(recorded.results) == list(plain.results)
    for place, result in plain.results.items():
        assert recorded.results[place].same_outcome(result)
    assert bits(recorded) == bits(plain)
    assert plain.replayed == 0
    assert n > 0
    return recorded, n


@RECORDERS
@pytest.mark.parametrize("kind", KINDS)
def test_replayed_steps_are_the_steps(
    kind: str, resident_few: Resident, recorder: Recorder
) -> None:
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
            epochs=20,
        )
        for i in range(3)
    ]
    _, n = check(specs, resident_few, recorder)
    # Of 100 steps 80 have 50 rows, and 20 have 16: after the first of either one more is compared.
    assert n == 100 - 2 * (recorder.warm_up + 1)


@RECORDERS
def test_trials_that_leave_are_recorded_anew(resident_few: Resident, recorder: Recorder) -> None:
    specs = [replace(s, epochs=5 * (1 + s.number), steps=None) for s in mixed(resident_few, 5)]
    batch, _ = check(specs, resident_few, recorder)
    assert len(batch.results) == 5


@RECORDERS
def test_diverging_mate_changes_nothing(resident_few: Resident, recorder: Recorder) -> None:
    wild = OptimizerSpec(learning_rate=1e30)
    specs = [trial(resident_few, i, model={"units": (9,)}, epochs=8) for i in range(2)]
    specs.append(trial(resident_few, 2, model={"units": (9,)}, optimizer=wild, epochs=8))
    batch, _ = check(specs, resident_few, recorder)
    assert batch.results[2].outcome == "nonfinite"


@RECORDERS
def test_convolutions_and_moved_images(recorder: Recorder) -> None:
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
        trial(resident, i, target="hpsuite.models.convnet", model={"channels": (4,)}, epochs=8)
        for i in range(2)
    ]
    check(specs, resident, recorder)


@RECORDERS
def test_days(resident_few: Resident, recorder: Recorder) -> None:
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
    check(second, resident_few, recorder, held)


def steps(one_step: Callable[..., Tensor], weight: Tensor, n: int = 40) -> tuple[int, Tensor]:
    """Takes n steps of one trial on one row each; how many were replayed, and sums of losses."""
    rows = torch.arange(n)[None]
    recorded = RecordedSteps(
        one_step, [weight], torch.ones(n, 1, dtype=torch.float64), rows, weight, recorder=TRACE
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
    assert weight.item() == sum(range(1, 42)) - (TRACE.warm_up + 1)


def test_sums_and_places_of_replays() -> None:
    weight = torch.zeros(1)

    def one_step(rows: Tensor, rates: Tensor, step: Tensor, epochs: Tensor) -> Tensor:
        weight.add_(rows[:, 0] + 100 * step)
        return rows[:, 0] + 0.5

    replayed, losses = steps(one_step, weight)
    assert replayed == 40 - TRACE.warm_up - 1
    assert weight.item() == 101 * sum(range(40))
    assert losses.item() == sum(range(40)) + 20


def test_what_cannot_be_recorded_goes_on_without(
    resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(body: Callable[[], None], _: Sequence[Tensor]) -> Replay:
        body()  # half of it, as far as anyone knows
        raise RuntimeError("operation not permitted\nlong story")

    specs = [trial(resident_few, i, model={"units": (9,)}, epochs=8) for i in range(2)]
    plain = FusedBatch(specs, resident_few, recorder=NEVER)
    batch = FusedBatch(specs, resident_few, recorder=of(broken))
    with caplog.at_level(logging.WARNING):
        found = batch.train()
        FusedBatch(specs, resident_few, recorder=of(broken)).train()
    # Once in a process.
    assert caplog.text.count("steps are not recorded: operation not permitted\n") == 1
    assert [rounded(a) for a in found] == [rounded(b) for b in plain.train()]
    assert bits(batch) == bits(plain)


def test_batch_goes_when_its_owner_does(resident_few: Resident) -> None:
    spec = trial(resident_few, 0, model={"units": (9,)}, epochs=8)
    # A recording that holds nothing, as CUDA's do.
    batch = FusedBatch([spec], resident_few, recorder=of(lambda *_: lambda: None))
    batch.train()
    weight = weakref.ref(batch.models.layers[0].parameters()[0])
    gc.disable()
    try:
        del batch
        assert weight() is None
    finally:
        gc.enable()


def test_memory_that_is_short_is_told_as_such(resident_few: Resident) -> None:
    def greedy(body: Callable[[], None], _: Sequence[Tensor]) -> Replay:
        raise torch.OutOfMemoryError("CUDA out of memory")

    spec = trial(resident_few, 0, model={"units": (9,)}, epochs=8)
    with pytest.raises(torch.OutOfMemoryError):
        FusedBatch([spec], resident_few, recorder=of(greedy)).train()


class NormFirst(nn.Sequential):
    """A user's model that begins with batch norm."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        n = math.prod(input_shape)
        super().__init__(nn.Flatten(), nn.BatchNorm1d(n), nn.Linear(n, n_classes))


@pytest.mark.parametrize("k", [1, 2])
def test_batch_norm_of_the_inputs(resident_few: Resident, k: int) -> None:
    """Which of one trial alone are a view with strides of its own."""
    target = f"{__name__}.NormFirst"
    specs = [trial(resident_few, i, target=target, epochs=8) for i in range(k)]
    check(specs, resident_few, TAPE)


def test_one_batch_that_is_refused_refuses_no_other(resident_few: Resident) -> None:
    def broken(body: Callable[[], None], _: Sequence[Tensor]) -> Replay:
        raise RuntimeError("not this one")

    specs = [trial(resident_few, i, model={"units": (9,)}, epochs=8) for i in range(2)]
    refused = FusedBatch(specs, resident_few, recorder=of(broken))
    refused.train()
    assert refused.replayed == 0
    check(specs, resident_few, TAPE)


def test_large_steps_are_not_taped(
    resident_few: Resident, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As the memory of all that they make is held meanwhile; nothing is said of it."""
    monkeypatch.setattr("hpsuite.training.tape.MOST_BYTES", 10_000)
    specs = [trial(resident_few, i, model={"units": (99,)}, epochs=8) for i in range(2)]
    with caplog.at_level(logging.WARNING):
        batch = FusedBatch(specs, resident_few)
        found = batch.train()
    assert batch.replayed == 0
    assert "not recorded" not in caplog.text
    plain = FusedBatch(specs, resident_few, recorder=NEVER)
    for a, b in zip(found, plain.train(), strict=True):
        assert a.same_outcome(b)
    assert bits(batch) == bits(plain)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ([0.0, 1.0], [0.0, 1.0], True),
        ([0.0], [-0.0], False),
        ([math.nan, 1.0], [math.nan, 1.0], True),
        ([math.nan, math.inf], [math.nan, torch.finfo(torch.float32).max], False),
        ([math.nan], [1.0], False),
    ],
)
def test_alike_is_to_the_bit(a: list[float], b: list[float], same: bool) -> None:
    for dtype in (torch.float32, torch.float64):
        assert graphs._alike(torch.tensor(a, dtype=dtype), torch.tensor(b, dtype=dtype)) is same
    assert graphs._alike(torch.tensor([3]), torch.tensor([3]))


def test_few_steps_are_not_worth_it(resident_few: Resident) -> None:
    batch = FusedBatch([trial(resident_few, 0, epochs=2)], resident_few, recorder=TRACE)
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

    batch = FusedBatch(specs, on_gpu)
    assert batch._descent.recorder is CUDA_GRAPH
    found = batch.train()
    assert batch.replayed > 20
    without = FusedBatch(specs, on_gpu, recorder=NEVER)
    expected = without.train()
    assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))
    for a, b in zip(states(batch), states(without), strict=True):
        assert torch.equal(a, b)
