"""Studies that are disturbed; benchmarks/faults.py says how, and what is checked."""

from pathlib import Path

import pytest

from benchmarks.faults import FAULTS, run


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults(fault: str, tmp_path: Path) -> None:
    run(tmp_path, [fault], 1, 0)
