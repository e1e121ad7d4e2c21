"""The project in docs/example: data, model, strategy and experiment of one's own, run by a user."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution

ROOT = Path(__file__).resolve().parents[1]
SHORT = ("tracking=none", "budget.trials=4", "budget.epochs=2", "repeats=2")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of it, away from the checkout."""
    return Path(shutil.copytree(ROOT / "docs" / "example", tmp_path / "project"))


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The script, and not `python -m`, which by itself looks for packages in the current folder.
    script = Path(sys.executable).with_name("hpsuite")
    return subprocess.run(
        [sys.executable, str(script), "--config-dir", "conf", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("executor", ["processes", pytest.param("inline", marks=pytest.mark.slow)])
def test_it_runs(project: Path, executor: str) -> None:
    done = run(project, "+experiment=mine", f"executor={executor}", *SHORT)
    assert done.returncode == 0, done.stderr
    (path,) = project.glob("outputs/mine/*/summary.json")
    summary = json.loads(path.read_text())
    assert [arm["strategy"] for arm in summary["arms"]] == ["log_random", "latin_hypercube"]
    assert {(arm["dataset"], arm["model"]) for arm in summary["arms"]} == {("rings", "gated")}
    trials = pd.read_csv(path.with_name("trials.csv"))
    assert len(trials) == 16
    # Each quarter of the range of rates, on its log scale, has one trial of each repeat.
    for _, study in trials[trials["strategy"] == "latin_hypercube"].groupby("repeat"):
        quarters = np.floor(np.log10(study["learning_rate"]) + 3)
        assert sorted(quarters) == [0, 1, 2, 3]
    again = run(project, "+experiment=mine", f"executor={executor}", *SHORT)
    assert "16 of 16 trials are in the record already" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["packages=[]"], "dataset._target_: found 'my_project.data.rings'; accepted: a name in "),
        (["dataset.rows=3"], "dataset.rows: found 3; accepted: greater than or equal to 100"),
        (["model.width=0"], "model.width: found 0; accepted: greater than or equal to 1"),
        (["model.depth=1"], "model.depth: found no such key; accepted in model: "),
    ],
)
def test_mistakes_are_one_line(project: Path, arguments: list[str], line: str) -> None:
    before = sorted(project.rglob("*"))
    done = run(project, "+experiment=mine", *SHORT, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"hpsuite: {line}")
    assert done.stderr.count("\n") == 1
    left = {
        path for path in set(project.rglob("*")) - set(before) if "__pycache__" not in str(path)
    }
    assert not left


def test_its_sampler_in_a_study_of_optuna(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project)
    from my_project.strategies import LatinHypercubeSampler  # type: ignore[import-not-found]

    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(1, 16, log=True)}
    study = optuna.create_study(sampler=LatinHypercubeSampler(space, 20, seed=1))
    study.optimize(
        lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 1, 16, log=True),
        n_trials=100,
    )
    assert len(study.trials) == 20
    assert sorted(int(20 * t.params["x"]) for t in study.trials) == list(range(20))
    assert sorted(int(5 * np.log2(t.params["y"])) for t in study.trials) == list(range(20))
