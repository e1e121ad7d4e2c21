"""Studies on a Ray cluster that is disturbed; benchmarks/ray_faults.py says how, and what for."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ray_faults import FAULTS


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults(fault: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray (pip install 'hpsuite[ray]')")
    # In a process of its own: Ray keeps for its whole life what it first read of the environment.
    command = [sys.executable, "-m", "benchmarks.ray_faults", "--quick", "--fault", fault]
    subprocess.run(
        [*command, "--output", str(tmp_path)],
        check=True,
        cwd=Path(__file__).resolve().parents[1],
        timeout=900,
    )
    assert fault in next(tmp_path.glob("*.md")).read_text()
