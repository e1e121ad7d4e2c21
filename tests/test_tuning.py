"""What is measured of a setup before its first trial, and recorded; made believe on a CPU."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from hpsuite import tuning
from hpsuite.arms import ArmRun
from hpsuite.record import open_storage, read_tuned
from hpsuite.training import Planner, Resident
from hpsuite.training.autotune import SHARES, Tuned, autotune, fastest
from hpsuite.training.planner import GPU_MEMORY_SHARE, GPU_MOST
from hpsuite.trials import Numerics, TrialSpec
from tests.studies import CPU, open_runs, plan

ARM = ("budget.trials=4", "strategy=log_random")
FOUND = Tuned(memory_share=1 / 16, convolutions="grouped", compiled="yes")


class Measured:
    """Stands for the measurement, and remembers what was measured."""

    def __init__(self) -> None:
        self.specs: list[TrialSpec] = []

    def __call__(self, spec: TrialSpec, resident: Resident, at_once: object, *, most: int) -> Tuned:
        self.specs.append(spec)
        assert most == 8
        return FOUND


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
) -> tuple[list[ArmRun], Planner, dict[str, Tuned]]:
    storage = open_storage(str(record))
    runs, _ = open_runs(storage, *of, *overrides)
    datasets = {run.planned.data.fingerprint: run.planned.data for run in runs}
    planner = Planner(datasets, CPU, 1)
    return runs, planner, tuning.tune(storage, runs, planner, Console(quiet=True))


def where(device: str = "some device") -> str:
    return f"{device}, torch {torch.__version__}"


def test_what_was_found_is_recorded_and_holds(measured: Measured, tmp_path: Path) -> None:
    record = tmp_path / "record"
    (run,), planner, found = tuned(record)
    assert found == {run.planned.setup_identity: FOUND}
    (again,), other, found_again = tuned(record)
    assert found_again == found
    assert len(measured.specs) == 1  # the second time it was read
    for study in again.studies:
        assert study.ask().numerics == Numerics(convolutions="grouped", compiled="yes")
        assert planner.memory_shares[study.name] == other.memory_shares[study.name] == 1 / 16
    # It decides no trial's values, and no study's name.
    assert again.planned.identity == run.planned.identity
    assert [s.name for s in again.studies] == [s.name for s in run.studies]


def test_another_device_is_measured_by_itself(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    tuned(record)
    monkeypatch.setattr(tuning, "device_name", lambda device: "another device")
    (run,), _, _ = tuned(record)
    assert len(measured.specs) == 2
    storage = open_storage(str(record))
    for study in run.studies:
        for device in ("some device", "another device"):
            assert read_tuned(storage, study.name, where(device)) == FOUND.as_plain()


def test_arms_of_one_setup_are_measured_once(measured: Measured, tmp_path: Path) -> None:
    runs, _, found = tuned(tmp_path / "record", of=(ARM[0], "+matrix.strategy=[grid,random]"))
    assert len(runs) == 2
    assert len(found) == len(measured.specs) == 1


@pytest.mark.parametrize("override", ["numerics.deterministic=true", "numerics.trainer=plain"])
def test_nothing_is_measured_where_nothing_may_depend_on_it(
    measured: Measured, tmp_path: Path, override: str
) -> None:
    (run,), planner, found = tuned(tmp_path / "record", override)
    assert measured.specs == []
    assert list(found.values()) == [Tuned()]
    numerics = run.studies[0].ask().numerics
    assert (numerics.convolutions, numerics.compiled) == ("columns", "no")
    assert set(planner.memory_shares.values()) == {GPU_MEMORY_SHARE}


def test_what_was_asked_for_is_left_as_it_is(measured: Measured, tmp_path: Path) -> None:
    (run,), _, _ = tuned(tmp_path / "record", "numerics.compiled=no")
    assert run.studies[0].ask().numerics == Numerics(convolutions="grouped", compiled="no")
    (default,) = plan(*ARM)
    assert run.planned.identity != default.identity


def test_a_cpu_is_not_measured(tmp_path: Path) -> None:
    (run,), planner, found = tuned(tmp_path / "record")
    assert found == planner.memory_shares == {}
    assert run.studies[0].ask().numerics == Numerics()


def test_the_first_of_the_fastest_is_taken() -> None:
    ways = [Tuned(memory_share=share) for share in SHARES]
    seconds = dict(zip(ways, (3.0, 2.0, 2.0), strict=True))
    assert fastest(ways, seconds.__getitem__) == ways[1]
    assert fastest(ways[:1], lambda way: pytest.fail("one alone is not measured")) == ways[0]


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
