"""What is measured of a setup before its first trial, and recorded; made believe on a CPU."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from hpsuite import tuning
from hpsuite.record import open_storage, read_tuned, write_tuned
from hpsuite.study import StudyRun
from hpsuite.training import Planner, Resident
from hpsuite.training.autotune import SHARES, Tuned, autotune, fastest
from hpsuite.training.planner import GPU_MEMORY_SHARE, GPU_MOST
from hpsuite.trials import Numerics, TrialSpec
from tests.studies import CPU, made_up, open_runs, plan

ARM = ("budget.trials=4", "strategy=log_random")
FOUND = Tuned(memory_share=1 / 16, convolutions="grouped", compiled="yes")
OTHER = Tuned(memory_share=1 / 64)


class Measured:
    """Stands for the measurement, and remembers what was measured."""

    def __init__(self) -> None:
        self.most: list[int] = []
        self.finds = [FOUND, OTHER]

    def __call__(self, spec: TrialSpec, resident: Resident, at_once: object, *, most: int) -> Tuned:
        self.most.append(most)
        return self.finds[len(self.most) - 1]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """A CPU that is taken for a GPU."""
    made = Measured()
    monkeypatch.setattr(tuning, "TUNED_DEVICES", ("cpu",))
    monkeypatch.setattr(tuning, "autotune", made)
    monkeypatch.setattr(tuning, "device_name", lambda device: "some device")
    return made


def tuned(
    record: Path, *overrides: str, of: tuple[str, ...] = ARM
) -> tuple[list[StudyRun], Planner]:
    """All studies of a command line, settled; and the planner that knows of it."""
    storage = open_storage(str(record))
    runs, studies = open_runs(storage, *of, *overrides)
    datasets = {run.planned.data.fingerprint: run.planned.data for run in runs}
    planner = Planner(datasets, CPU, 1)
    tuning.tune(storage, runs, planner, Console(quiet=True))
    return studies, planner


def forms(studies: Sequence[StudyRun]) -> set[tuple[str, str]]:
    """How the next trials of studies are put together."""
    found = [study.ask().numerics for study in studies]
    return {(numerics.convolutions, numerics.compiled) for numerics in found}


def recorded(record: Path, study: StudyRun, device: str = "some device") -> object:
    where = f"{device}, torch {torch.__version__}"
    return read_tuned(open_storage(str(record)), study.name, where)


def test_what_was_found_is_recorded_and_holds(measured: Measured, tmp_path: Path) -> None:
    record = tmp_path / "record"
    studies, planner = tuned(record)
    again, other = tuned(record)
    assert measured.most == [8]  # both repeats' trials; the second time it was read
    assert forms(again) == {("grouped", "yes")}
    assert planner.memory_shares == other.memory_shares
    assert set(planner.memory_shares.values()) == {1 / 16}
    assert [recorded(record, study) for study in studies] == [FOUND.as_plain()] * 2
    # It decides no study's name.
    assert [study.name for study in again] == [study.name for study in studies]
    assert planner.memory_shares.keys() == {study.name for study in studies}


def test_another_device_is_measured_by_itself(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    tuned(record)
    monkeypatch.setattr(tuning, "device_name", lambda device: "another device")
    studies, _ = tuned(record)
    assert len(measured.most) == 2
    for study in studies:
        assert recorded(record, study) == FOUND.as_plain()
        assert recorded(record, study, "another device") == OTHER.as_plain()


def test_arms_of_one_setup_are_measured_once(measured: Measured, tmp_path: Path) -> None:
    """In one run, and in others: also beside an arm that is complete."""
    record = tmp_path / "record"
    studies, _ = tuned(record, of=(ARM[0], "+matrix.strategy=[grid,random]"))
    assert len(studies) == 4
    assert forms(studies) == {("grouped", "yes")}
    other, _ = tuned(record)
    assert forms(other) == {("grouped", "yes")}
    assert len(measured.most) == 1


def test_each_study_goes_on_as_it_was_begun(measured: Measured, tmp_path: Path) -> None:
    """Whatever other studies of its setup have."""
    record = tmp_path / "record"
    (first, second), _ = tuned(record)
    storage = open_storage(str(record))
    where = f"some device, torch {torch.__version__}"
    write_tuned(storage, second.name, where, OTHER.as_plain())
    (again, differs), planner = tuned(record)
    assert forms([again]) == {("grouped", "yes")}
    assert forms([differs]) == {("columns", "no")}
    assert planner.memory_shares == {first.name: 1 / 16, second.name: 1 / 64}


def test_what_was_begun_before_there_was_a_choice_goes_on_without(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    with monkeypatch.context() as before:
        before.setattr(tuning, "TUNED_DEVICES", ())
        (begun, _), _ = tuned(record)
    assert begun.tell(made_up(begun.ask())) == 1
    (goes_on, anew), _ = tuned(record)
    assert forms([goes_on]) == {("columns", "no")}
    assert forms([anew]) == {("grouped", "yes")}
    assert recorded(record, begun) == Tuned().as_plain()


def test_no_more_are_measured_at_once_than_may_wait(measured: Measured, tmp_path: Path) -> None:
    """A sampler that learns is asked for one trial at a time in each repeat."""
    tuned(
        tmp_path / "record", of=("strategy=tpe", "budget.trials=6", "strategy.n_startup_trials=1")
    )
    assert measured.most == [2]


@pytest.mark.parametrize("override", ["numerics.deterministic=true", "numerics.trainer=plain"])
def test_nothing_is_measured_where_nothing_may_depend_on_it(
    measured: Measured, tmp_path: Path, override: str
) -> None:
    studies, planner = tuned(tmp_path / "record", override)
    assert measured.most == []
    assert forms(studies) == {("columns", "no")}
    assert set(planner.memory_shares.values()) == {GPU_MEMORY_SHARE}


def test_what_was_asked_for_is_left_as_it_is(measured: Measured, tmp_path: Path) -> None:
    studies, _ = tuned(tmp_path / "record", "numerics.compiled=no")
    assert forms(studies) == {("grouped", "no")}
    (default,), (asked,) = plan(*ARM), plan(*ARM, "numerics.compiled=no")
    assert asked.identity != default.identity


def test_a_cpu_is_not_measured(tmp_path: Path) -> None:
    studies, planner = tuned(tmp_path / "record")
    assert planner.memory_shares == {}
    assert studies[0].ask().numerics == Numerics()


def test_the_first_way_is_left_for_what_is_clearly_faster() -> None:
    ways = [Tuned(memory_share=share) for share in SHARES]

    def chosen(*seconds: float) -> Tuned:
        return fastest(ways, dict(zip(ways, seconds, strict=True)).__getitem__)

    assert chosen(3.0, 2.0, 1.0) == ways[2]
    assert chosen(1.0, 0.97, 2.0) == ways[0]
    assert chosen(math.inf, 5.0, 5.0) == ways[1]
    assert chosen(math.inf, math.inf, math.inf) == ways[0]
    assert fastest(ways[:1], lambda way: pytest.fail("one alone is not measured")) == ways[0]


def test_the_shorter_of_two_times_counts() -> None:
    ways = [Tuned(memory_share=share) for share in SHARES[:2]]
    times = iter((9.0, 2.0, 1.0, 2.0))  # the first one is disturbed once
    assert fastest(ways, lambda way: next(times)) == ways[0]


def test_trials_are_trained_to_measure() -> None:
    """All of it, but for a GPU: eight, two or one at once, and nothing that is left over."""
    (planned,) = plan(*ARM, "numerics.compiled=no")
    spec = planned.arm.setup.spec({}, study="", number=0, seed=0, dataset="")
    resident = Resident.place(planned.data, CPU)
    counts = dict(zip(SHARES, (8, 2, 1), strict=True))
    found = autotune(spec, resident, lambda _, share: counts[share], most=100)
    assert found.memory_share in SHARES
    assert (found.convolutions, found.compiled) == ("columns", "no")
    # With one trial to train there is nothing to choose.
    assert autotune(spec, resident, lambda _, share: counts[share], most=1) == Tuned()


def test_what_does_not_fit_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    (planned,) = plan(*ARM, "numerics.compiled=no")
    spec = planned.arm.setup.spec({}, study="", number=0, seed=0, dataset="")
    resident = Resident.place(planned.data, CPU)
    counts = dict(zip(SHARES, (8, 2, 1), strict=True))

    def short(specs: Sequence[TrialSpec], resident: Resident) -> float:
        if len(specs) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0

    monkeypatch.setattr("hpsuite.training.autotune.seconds_of_a_step", short)
    found = autotune(spec, resident, lambda _, share: counts[share], most=100)
    assert found.memory_share == SHARES[2]


def test_a_share_of_memory_decides_how_many_train_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (planned,) = plan(*ARM)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=1 << 22)
    )
    planner = Planner({planned.data.fingerprint: planned.data}, torch.device("cuda"), 1)
    spec = planned.arm.setup.spec(
        {"learning_rate": 0.1}, study="s", number=0, seed=0, dataset=planned.data.fingerprint
    )
    whole = planner.most_at_once(spec)
    assert 1 < whole < GPU_MOST
    assert planner.at_once(spec, GPU_MEMORY_SHARE) == whole
    planner.memory_shares["s"] = GPU_MEMORY_SHARE / 4
    assert planner.most_at_once(spec) == pytest.approx(whole / 4, abs=1)
    assert planner.afresh().most_at_once(spec) == planner.most_at_once(spec)
