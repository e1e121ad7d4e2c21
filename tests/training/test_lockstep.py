"""Cohorts side by side: those that stay end as they would alone, the others as far as they got."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import pytest
import torch

from hpsuite.datasets import Data
from hpsuite.executors import InlineExecutor, ProcessExecutor
from hpsuite.training import Cohort, Lockstep, Planner, Pool, Resident, train, train_lockstep
from hpsuite.training import lockstep as module
from hpsuite.training.fused import FusedBatch
from hpsuite.trials import Judged, OptimizerSpec, TrialResult, TrialSpec
from tests.training.cases import bits, trial
from tests.training.test_mixed import ACTIVATIONS, KINDS, WIDTHS

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Script:
    """Stops each trial after an epoch that was written down, by its number."""

    leaving: Mapping[int, int] = field(default_factory=dict)

    def judge(self) -> "Reader":
        return Reader(self.leaving)


class Reader:
    """Reads a script, and keeps what it was told."""

    def __init__(self, leaving: Mapping[int, int]) -> None:
        self._leaving = leaving
        self._reports: dict[int, list[float]] = {}

    def losers(self, epoch: int, scores: Mapping[int, float], diverged: Set[int]) -> Set[int]:
        for number, score in scores.items():
            self._reports.setdefault(number, []).append(score)
            assert len(self._reports[number]) == epoch
        return {number for number in scores if self._leaving.get(number) == epoch}

    def judged(self, number: int) -> Judged:
        return Judged(tuple(self._reports[number]), (("mark", number),))


def cohort(specs: Sequence[TrialSpec], leaving: Mapping[int, int]) -> Cohort:
    return Cohort(tuple(specs), Script(leaving))


def planned(data: Data, *cohorts: Cohort) -> Lockstep:
    """The work of one worker."""
    pool = Pool(Planner({data.fingerprint: data}, CPU, 1))
    for one in cohorts:
        pool.add(one)
    work = pool.take(1)
    assert isinstance(work, Lockstep)
    assert not len(pool)
    return work


def alone(spec: TrialSpec, resident: Resident) -> TrialResult:
    (result,) = train([spec], resident)
    return result


def check(
    found: Sequence[TrialResult],
    specs: Sequence[TrialSpec],
    leaving: Mapping[int, int],
    resident: Resident,
) -> None:
    """Each as it is alone, to its end or as far as it came, to the bit."""
    assert [result.number for result in found] == [spec.number for spec in specs]
    for spec, result in zip(specs, found, strict=True):
        whole, stop = alone(spec, resident), leaving.get(spec.number, 1 << 30)
        assert result.judged is not None
        assert result.judged.marks == (("mark", spec.number),)
        if whole.outcome == "nonfinite" or stop >= (spec.epochs or 0):
            assert replace(result, judged=None).same_outcome(whole), spec.number
            reports = [*whole.val_curve, *[whole.val_accuracy] * 99]
        else:
            assert result.outcome == "pruned"
            assert result.val_curve == whole.val_curve[:stop]
            assert result.loss_curve == whole.loss_curve[:stop]
            assert result.val_accuracy == whole.val_curve[stop - 1]
            assert result.test_accuracy == resident.data.majority_share("test")
            assert (result.initial_loss, result.val_loss) == (whole.initial_loss, None)
            assert result.steps == whole.steps * stop // (spec.epochs or 0)
            assert result.epochs == stop
            reports = list(whole.val_curve)
        assert result.judged.reports == tuple(reports[: min(stop, spec.epochs or 0)])
        assert 0 < result.seconds < 60


def mixed(resident: Resident, n: int, *, first: int = 0, study: str = "s") -> list[TrialSpec]:
    """Trials of several widths, activations, update rules, lengths, depths and batch sizes."""
    return [
        trial(
            resident,
            i,
            model={
                "units": WIDTHS[i % 8],
                "activation": ACTIVATIONS[i % 7],
                "dropout": 0.1 * (i % 3),
                "normalization": "before" if i % 5 == 4 else "none",
            },
            optimizer=OptimizerSpec(
                kind=KINDS[i % 4],  # type: ignore[arg-type]
                learning_rate=1e30 if i == 6 else 0.003 * (1 + i % 5),
                label_smoothing=0.1 * (i % 2),
                schedule=("none", "cosine")[i % 2],  # type: ignore[arg-type]
            ),
            batch_size=(33, 50)[i // 3 % 2],
            epochs=(5, 4, 5)[i % 3],
            study=study,
        )
        for i in range(first, first + n)
    ]


def test_those_that_stay_end_as_alone(few: Data, resident_few: Resident) -> None:
    specs = mixed(resident_few, 14)
    leaving = {0: 1, 1: 2, 2: 2, 5: 1, 6: 3, 8: 4, 9: 3, 12: 4, 13: 9}
    work = planned(few, cohort(specs, leaving))
    assert len(work.batches) > 2
    assert max(len(batch) for batch in work.batches) > 2
    check(train_lockstep(work, resident_few), specs, leaving, resident_few)


def test_of_like_trials_and_one_that_diverges(few: Data, resident_few: Resident) -> None:
    rates = (0.01, 0.05, 1e30, 0.1, 0.2, 0.02)
    specs = [
        trial(resident_few, i, optimizer=OptimizerSpec(learning_rate=rate), epochs=4)
        for i, rate in enumerate(rates)
    ]
    for leaving in ({}, {0: 2, 2: 3, 5: 2}, {2: 1, 3: 1}, {4: 4, 1: 3}):
        work = planned(few, cohort(specs, leaving))
        assert len(work.batches) == 1
        check(train_lockstep(work, resident_few), specs, leaving, resident_few)


def test_all_leave(few: Data, resident_few: Resident) -> None:
    specs = mixed(resident_few, 6)
    for epoch in (1, 2):
        leaving = {spec.number: epoch for spec in specs}
        work = planned(few, cohort(specs, leaving))
        check(train_lockstep(work, resident_few), specs, leaving, resident_few)


def test_cohorts_share_a_worker(few: Data, resident_few: Resident) -> None:
    cohorts = [
        (mixed(resident_few, 3, study="a"), {0: 2}),
        (mixed(resident_few, 4, first=2, study="b"), {2: 1, 4: 3}),
        (mixed(resident_few, 1, first=5, study="c"), {}),
    ]
    work = planned(few, *(cohort(specs, leaving) for specs, leaving in cohorts))
    assert len(work.cohorts) == 3
    found = train_lockstep(work, resident_few)
    for made in work.cohorts:
        specs, leaving = next(c for c in cohorts if c[0][0].study == made.specs[0].study)
        own = [result for result in found if result.study == specs[0].study]
        check(own, specs, leaving, resident_few)


@pytest.mark.parametrize("target", ["tests.training.test_fallback.alpha", "hpsuite.models.convnet"])
def test_one_by_one(data: Data, images: Data, target: str) -> None:
    """What has no fused form, or none that pays: an epoch each, and their own random streams."""
    convolves = "conv" in target
    chosen = images if convolves else data
    resident = Resident.place(chosen, CPU)
    specs = [
        trial(
            resident,
            i,
            target=target,
            model={"channels": 4} if convolves else {},
            optimizer=OptimizerSpec(learning_rate=1e30 if i == 2 else 0.05),
            epochs=3,
        )
        for i in range(4)
    ]
    leaving = {0: 1, 3: 2}
    work = planned(chosen, cohort(specs, leaving))
    assert all(len(batch) == 1 for batch in work.batches)
    before = torch.random.get_rng_state()
    check(train_lockstep(work, resident), specs, leaving, resident)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_do_not_change(resident_few: Resident) -> None:
    specs = [
        replace(spec, batch_size=33, epochs=4)
        for spec in mixed(resident_few, 8)
        if dict(spec.model.arguments)["normalization"] == "none" and spec.number != 6
    ]
    specs = [replace(s, model=specs[0].model) for s in specs]
    whole, pruned = FusedBatch(specs, resident_few), FusedBatch(specs, resident_few)
    for batch in (whole, pruned):
        batch.begin()
    for epoch in range(3):
        whole.train_epoch()
        pruned.train_epoch()
        expected, found = bits(whole), bits(pruned)
        assert found == {number: expected[number] for number in found}
        pruned.prune({pruned.alive[epoch]})
    assert len(pruned.alive) == len(specs) - 3


def test_where_memory_does_not_hold_them(
    few: Data,
    resident_few: Resident,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    specs = mixed(resident_few, 10)
    leaving = {1: 1, 2: 3, 6: 2, 7: 4}
    work = planned(few, cohort(specs, leaving))
    expected = train_lockstep(work, resident_few)

    def no_memory(*_: object) -> list[TrialResult]:
        raise MemoryError

    monkeypatch.setattr(module, "_in_lockstep", no_memory)
    found = train_lockstep(work, resident_few)
    assert "do not fit into memory" in caplog.text
    assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))


def test_other_errors_are_raised(
    few: Data, resident_few: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[TrialResult]:
        raise RuntimeError("something else")

    monkeypatch.setattr(module, "_in_lockstep", broken)
    with pytest.raises(RuntimeError, match="something else"):
        train_lockstep(planned(few, cohort(mixed(resident_few, 2), {})), resident_few)


def test_of_executor(few: Data, resident_few: Resident) -> None:
    specs, leaving = mixed(resident_few, 6), {0: 1, 4: 2}
    work = planned(few, cohort(specs, leaving))
    expected = train_lockstep(work, resident_few)
    makers: list[Callable[[], InlineExecutor | ProcessExecutor]] = [
        lambda: InlineExecutor({few.fingerprint: few}, CPU),
        lambda: ProcessExecutor({few.fingerprint: few}, 1),
    ]
    for make in makers:
        with make() as executor:
            found = executor.submit(work).result(timeout=100)
        assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))


def test_pool_shares_cohorts_among_workers(few: Data, resident_few: Resident) -> None:
    pool = Pool(Planner({few.fingerprint: few}, CPU, 2))
    for number, study in ((4, "a"), (0, "b"), (2, "c"), (1, "d")):
        pool.add(cohort([trial(resident_few, number, epochs=2, study=study)], {}))
    pool.add(trial(resident_few, 9, epochs=2))
    pool.add(cohort([trial(resident_few, 3, epochs=2, dtype="float64", study="e")], {}))
    assert len(pool) == 6
    taken = []
    while len(pool):
        work = pool.take(2)
        if isinstance(work, Lockstep):
            taken.append([c.specs[0].study for c in work.cohorts])
        else:
            taken.append([spec.study for spec in work])
    assert taken == [["b", "d", "c"], ["e"], ["a"], ["s"]]
