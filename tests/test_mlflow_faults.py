"""Studies whose MLflow fails; benchmarks/mlflow_faults.py says how, and what is checked."""

from pathlib import Path

import pytest

from benchmarks import mlflow_faults


@pytest.mark.slow
def test_each_fault_once(tmp_path: Path) -> None:
    found = mlflow_faults.run(tmp_path, list(mlflow_faults.FAULTS), tries=1, seed=1)
    assert {name: each.failures for name, each in found.items() if each.failures} == {}
    assert {each.tries for each in found.values()} == {1}
