"""A batch that does not fit into memory is halved, and goes on with the same results."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from hpsuite.training import Resident, train, train_fused
from hpsuite.training.memory import out_of_memory
from hpsuite.training.reading import Reading
from hpsuite.training.states import States
from hpsuite.training.together import train_built
from hpsuite.trials import TrialResult, TrialSpec
from tests.training.cases import trial

# Limits its own memory to what it has and 300 MB more, and trains 48 wide trials, of which that
# holds some and not all.
PROGRAM = """
import json, logging, resource, sys, torch
from hpsuite.training.reproducible import reproducible
reproducible()
from hpsuite.datasets import prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident, train
from tests.training.cases import trial
logging.basicConfig(stream=sys.stderr, format="%(message)s")
data = prepare(digits(), split_seed=0, validation_size=359, test_size=360, train_fraction=0.2,
               input_normalization="feature")
resident = Resident.place(data, torch.device("cpu"))
model = {"units": (512, 512)}
specs = [trial(resident, i, model=model, batch_size=216, steps=2) for i in range(48)]
train(specs[:2], resident)
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
resource.setrlimit(resource.RLIMIT_AS, (used * 1024 + 300 * 2**20, -1))
found = train(specs, resident)
json.dump([[r.number, r.loss_curve, r.val_curve, r.test_accuracy] for r in found], sys.stdout)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_in_a_process_of_little_memory(resident_few: Resident) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "48 trials of hpsuite.models.mlp do not fit into memory: trained as 24 and 24" in (
        done.stderr
    )
    specs = [
        trial(resident_few, i, model={"units": (512, 512)}, batch_size=216, steps=2)
        for i in range(48)
    ]
    for chosen in (slice(0, 3), slice(30, 33)):
        for found, expected in zip(
            json.loads(done.stdout)[chosen], train_fused(specs[chosen], resident_few), strict=True
        ):
            assert found == [
                expected.number,
                list(expected.loss_curve),
                list(expected.val_curve),
                expected.test_accuracy,
            ]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_halves_until_it_fits(
    resident_few: Resident,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """As if the device held three trials."""
    specs = [trial(resident_few, i, model={"units": 8 + i}, steps=5) for i in range(10)]
    expected = train(specs, resident_few)

    def of_three(
        readings: list[Reading],
        specs: Sequence[TrialSpec],
        resident: Resident,
        states: States | None,
    ) -> list[TrialResult]:
        if len(specs) > 3:
            raise error
        return train_built(readings, specs, resident, states)

    monkeypatch.setattr("hpsuite.training.memory.train_built", of_three)
    with caplog.at_level(logging.WARNING):
        found = train(specs, resident_few)
    assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "trained as 5 and 5",
        "trained as 3 and 2",
        "trained as 3 and 2",
    ]


def test_one_trial_that_does_not_fit_is_an_error(
    resident_few: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_none(*_: object) -> list[TrialResult]:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("hpsuite.training.memory.train_built", of_none)
    with pytest.raises(torch.OutOfMemoryError):
        train([trial(resident_few, i, steps=1) for i in range(2)], resident_few)


def test_other_errors_are_not_taken_for_it(
    resident_few: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[TrialResult]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("hpsuite.training.memory.train_built", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        train([trial(resident_few, i, steps=1) for i in range(2)], resident_few)


def test_what_torch_says_on_a_cpu() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert out_of_memory(caught.value)
