"""The trainer knows neither Optuna, nor MLflow, nor Hydra; the analysis knows not even torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOORS_ABOVE = {
    "hpsuite.experiment",
    "hpsuite.study",
    "hpsuite.executors",
    "hpsuite.report",
    "hpsuite.strategies",
    "hpsuite.config",
    "hpsuite.tracking",
    "hpsuite.record",
}

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("room", "strangers"),
    [
        ("hpsuite.training", {"optuna", "mlflow", "hydra", "omegaconf", "torchvision"}),
        ("hpsuite.analysis", {"optuna", "mlflow", "hydra", "omegaconf", "torch", "torchvision"}),
        ("hpsuite.models", {"optuna", "mlflow", "hydra", "omegaconf", "sklearn"}),
        ("hpsuite.datasets", {"optuna", "mlflow", "hydra", "omegaconf", "torchvision"}),
    ],
)
def test_what_a_room_imports(room: str, strangers: set[str]) -> None:
    program = f"import json, sys; import {room}; json.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = set(json.loads(done.stdout))
    found = {name.partition(".")[0] for name in modules}
    assert room in modules
    assert not found & strangers
    assert not modules & FLOORS_ABOVE
