"""Studies that are disturbed; benchmarks/faults.py says how, and what is checked."""

from pathlib import Path

import pytest

from benchmarks.faults import FAULTS, run

QUICK = "full disk under the journal"


def test_a_full_disk(tmp_path: Path) -> None:
    run(tmp_path, [QUICK], 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {QUICK}))
def test_faults(fault: str, tmp_path: Path) -> None:
    run(tmp_path, [fault], 1, 0)
