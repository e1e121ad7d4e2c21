"""Whole experiments, small: what they print, write, record and show."""

import csv
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hydra import initialize_config_dir

from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.experiment import run_experiment
from hpsuite.overrides import config_dir

SMALL = [
    "+experiment=quickstart",
    "repeats=2",
    "budget.trials=6",
    "budget.epochs=1",
    "model.units=16",
    "executor=inline",
]

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an experiment in an empty folder; returns its summary."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> dict[str, Any]:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            settings, arms = compose_experiment([*SMALL, *overrides])
        run_experiment(settings, arms)
        newest = max(
            (tmp_path / "outputs" / settings.name).iterdir(), key=lambda p: p.stat().st_ctime
        )
        summary: dict[str, Any] = json.loads((newest / "summary.json").read_text())
        summary["folder"] = newest
        return summary

    return run


def rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    with (summary["folder"] / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_summary_holds_what_the_trials_say(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    summary = run()
    trials = rows(summary)
    # A grid of 6 in two dimensions is 2 x 2.
    assert len(trials) == 2 * 2 * (4 + 6 + 6 + 6)
    assert summary["experiment"] == "quickstart"
    assert summary["schema"] == 2
    assert {"torch", "optuna", "hpsuite"} <= set(summary["versions"])
    assert len(summary["setups"]) == 2
    assert len(summary["arms"]) == 8
    assert len(summary["studies"]) == 16
    for arm in summary["arms"]:
        own = [
            t for t in trials if all(t[key] == arm[key] for key in ("dataset", "model", "strategy"))
        ]
        assert arm["n_trials"] == len(own) == (8 if arm["strategy"] == "grid" else 12)
        assert arm["repeats"] == 2
        best, tests = [], []
        for repeat in ("0", "1"):
            study = [t for t in own if t["repeat"] == repeat]
            assert [int(t["number"]) for t in study] == list(range(len(study)))
            selected = max(study, key=lambda t: (float(t["val_accuracy"]), -int(t["number"])))
            best.append(float(selected["val_accuracy"]))
            tests.append(float(selected["test_accuracy"]))
        assert arm["best_val_accuracy"] == pytest.approx(np.mean(best), abs=1e-15)
        assert arm["test_accuracy"] == pytest.approx(np.mean(tests), abs=1e-15)
        assert arm["best_so_far"][-1] == pytest.approx(np.mean(best), abs=1e-15)
        assert arm["best_val_accuracy_sd"] == pytest.approx(np.std(best, ddof=1), abs=1e-12)
    for setup in summary["setups"]:
        sample = [
            t for t in trials if t["model"] == setup["model"] and t["strategy"] == "log_random"
        ]
        scores = np.sort([float(t["val_accuracy"]) for t in sample])[::-1]
        assert setup["n_trials"] == len(scores) == 12
        # The best 4% of 12 trials is one trial.
        share = np.mean(scores >= scores[0] - 0.02 - 1e-9)
        assert setup["good_fraction_2pt"] == pytest.approx(share)
        low, high = setup["good_fraction_2pt_low"], setup["good_fraction_2pt_high"]
        assert 0 <= low <= share <= high <= 1
        diverged = np.mean([t["outcome"] == "nonfinite" for t in sample])
        assert setup["nonfinite_fraction"] == pytest.approx(diverged)
    printed = capsys.readouterr().out
    assert "too few to rank" in printed
    assert "88/88 trials" in printed
    assert "compareRunsMode=CHART" in printed


def test_twins_and_strategies_are_paired(run: Run) -> None:
    trials = rows(run("matrix.strategy=[log_random]", "tracking=none"))
    by_model: dict[str, list[tuple[str, ...]]] = {"mlp": [], "mlp_bn": []}
    for t in trials:
        key = ("repeat", "number", "learning_rate", "momentum")
        by_model[t["model"]].append(tuple(t[k] for k in key))
    assert by_model["mlp"] == by_model["mlp_bn"]


def test_second_run_trains_and_changes_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run("matrix.strategy=[log_random,tpe]")
    journal = (tmp_path / "hpsuite.journal").read_bytes()
    shown = dump(tmp_path / "mlflow.db")
    capsys.readouterr()
    second = run("matrix.strategy=[log_random,tpe]")
    assert "48 of 48 trials are in the record already" in capsys.readouterr().out
    assert rows(first) == rows(second)
    for key in ("setups", "arms", "studies", "comparisons", "transfers", "verdicts"):
        assert first[key] == second[key]
    assert (tmp_path / "hpsuite.journal").read_bytes() == journal
    assert dump(tmp_path / "mlflow.db") == shown


def dump(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_mlflow_shows_setups_and_arms(run: Run, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    summary = run("tracking.best_trials=2", "matrix.strategy=[grid,log_random]")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    by_kind: dict[str, list[Any]] = {}
    for entry in found:
        by_kind.setdefault(entry.data.tags["hpsuite.kind"], []).append(entry)
    assert {kind: len(entries) for kind, entries in by_kind.items()} == {
        "setup": 2,
        "arm": 4,
        "trial": 8,
        "comparison": 1,
    }
    for arm in summary["arms"]:
        (entry,) = (
            e
            for e in by_kind["arm"]
            if e.data.tags["hpsuite.model"] == arm["model"]
            and e.data.tags["hpsuite.strategy"] == arm["strategy"]
        )
        for name in ("best_val_accuracy", "test_accuracy", "n_trials", "trials_per_second"):
            assert entry.data.metrics[name] == arm[name]
        history = client.get_metric_history(entry.info.run_id, "best_so_far")
        assert [point.value for point in sorted(history, key=lambda m: m.step)] == arm[
            "best_so_far"
        ]
        tags = {"hpsuite.dataset", "hpsuite.seed", "hpsuite.torch", "hpsuite.commit"}
        assert tags <= set(entry.data.tags)
        assert [a.path for a in client.list_artifacts(entry.info.run_id)] == ["trials.json"]
        children = [
            t for t in by_kind["trial"] if t.data.tags["mlflow.parentRunId"] == entry.info.run_id
        ]
        assert len(children) == 2
        assert client.get_metric_history(children[0].info.run_id, "val_curve")
    for setup in summary["setups"]:
        (entry,) = (e for e in by_kind["setup"] if e.data.tags["hpsuite.model"] == setup["model"])
        for name in ("good_fraction_2pt", "good_fraction_2pt_low", "nonfinite_fraction"):
            assert entry.data.metrics[name] == setup[name]
        # The page Compare shows the parameters of both, and no notes.
        told = {key: text for key, text in entry.data.params.items() if "versus" in key}
        assert set(told) == {"found: versus mlp digits", "found: versus mlp_bn digits"}
        assert told.pop(f"found: versus {setup['model']} digits") == "(this one)"
        assert next(iter(told.values())).startswith("digits mlp_bn minus digits mlp: ")
    table = client.download_artifacts(by_kind["arm"][0].info.run_id, "trials.json")
    assert json.loads(Path(table).read_text())["columns"][:2] == ["repeat", "number"]


def test_sensitivity_is_null_without_a_reference_sample(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = run("matrix.strategy=[random]", "model=mlp")
    (setup,) = summary["setups"]
    assert setup["good_fraction_2pt"] is None
    assert "log_random" in setup["reason"]
    assert "no reference sample" in capsys.readouterr().out


@pytest.mark.slow
def test_mlflow_down_loses_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    one = ("matrix.strategy=[log_random]", "model=mlp")
    summary = run(*one, "tracking.uri=http://127.0.0.1:9")
    assert "MLflow was not updated" in capsys.readouterr().out
    assert len(rows(summary)) == 12
    assert run(*one)["arms"] == summary["arms"]
    assert "compareRunsMode=CHART" in capsys.readouterr().out


def test_the_report_lies_in_mlflow_and_setups_have_their_own_pictures(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("matrix.strategy=[log_random]")
    assert "MLflow lacks" not in capsys.readouterr().out
    (folder,) = (path.parent for path in (tmp_path / "outputs").glob("*/*/report.md"))
    written = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "trials.csv"
    }
    attached: dict[str, list[str]] = {}
    store = tmp_path / "outputs" / "mlflow"
    for path in store.glob("*/artifacts/**/*"):
        if path.is_file() and path.name != "trials.json":
            run_id, _, name = path.relative_to(store).as_posix().split("/", 2)
            assert path.read_bytes() == written[name]
            attached.setdefault(run_id, []).append(name)
    all_of_it, *setups = sorted(attached.values(), key=len, reverse=True)
    assert sorted(all_of_it) == sorted(written)
    assert {"report.html", "report.md", "summary.json"} <= set(all_of_it)
    kinds = ("parallel-coordinates", "sampled-points")
    own = [sorted(f"figures/{kind}-{number}.png" for kind in kinds) for number in (1, 2)]
    assert sorted(sorted(names) for names in setups) == own


def test_a_store_that_takes_no_files_costs_a_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ("matrix.strategy=[log_random]", "model=mlp")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "mlflow").write_text("in the way")
    run(*one)
    printed = capsys.readouterr().out
    assert "MLflow lacks a file: " in printed
    assert "compareRunsMode=CHART" in printed
    (tmp_path / "outputs" / "mlflow").unlink()
    run(*one)
    assert "MLflow lacks" not in capsys.readouterr().out
    assert len(list((tmp_path / "outputs" / "mlflow").rglob("report.html"))) == 1


def test_plan_writes_nothing(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError):
        run("plan=true")
    printed = capsys.readouterr().out
    assert "digits mlp grid: 2 x 4 = 8 trials" in printed
    assert "to train: 88 trials" in printed
    assert list(tmp_path.iterdir()) == []


def test_plan_counts_what_the_record_has(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    one = ("matrix.strategy=[log_random]", "model=mlp", "tracking=none")
    run(*one)
    capsys.readouterr()
    run(*one, "plan=true", "budget.trials=7")
    assert "2 x 7 = 14 trials, 12 in the record" in capsys.readouterr().out


def test_record_opens_with_plain_optuna(run: Run, tmp_path: Path) -> None:
    summary = run("matrix.strategy=[coarse_to_fine]", "model=mlp", "tracking=none")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "hpsuite.journal"))
    storage = optuna.storages.JournalStorage(backend)
    names = [study["name"] for study in summary["studies"]]
    assert sorted(s.study_name for s in optuna.get_all_study_summaries(storage)) == sorted(names)
    study = optuna.load_study(study_name=names[0], storage=storage)
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    assert study.best_value == summary["studies"][0]["best_val_accuracy"]
    assert set(study.best_params) == {"learning_rate", "one_minus_momentum"}
    best = summary["studies"][0]["best_values"]
    assert best["momentum"] == pytest.approx(1 - study.best_params["one_minus_momentum"])


def test_experiments_share_a_record(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    one = ("matrix.strategy=[log_random]", "model=mlp", "tracking=none")
    first = run(*one)
    capsys.readouterr()
    second = run(*one, "name=another")
    assert "12 of 12 trials are in the record already" in capsys.readouterr().out
    assert first["arms"] == second["arms"]


@pytest.mark.parametrize("key", ["output_dir", "storage"])
def test_a_file_in_the_place_of_a_folder_is_refused(run: Run, tmp_path: Path, key: str) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match=rf"{key}: found .*taken.*accepted: a folder"):
        run(f"{key}=taken/inside/record")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_as_a_command_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hpsuite", *SMALL, "executor=processes", "tracking=none"]
    done = subprocess.run(
        [*command, "matrix.strategy=[log_random]", "executor.workers=2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hpsuite.journal", "outputs"]
    assert "digits    mlp_bn   12" in done.stdout
