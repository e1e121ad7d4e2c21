"""`+experiment=analyze` as it is typed: what it prints, writes and shows in MLflow."""

import csv
import io
import json
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from rich.console import Console

from hpsuite.analysis import good_fractions
from hpsuite.analyze import found_of
from hpsuite.config import AnalysisConfig
from hpsuite.foreign.request import typed
from hpsuite.report.files import write_rows
from hpsuite.report.foreign import ForeignFindings, print_groups
from hpsuite.report.foreign_rows import trial_rows
from hpsuite.tracking import address
from tests.commands import Command, check_refused
from tests.foreign.tables import PARAMS, read, saved, trials

ASKED = "params={lr: log, depth: integer, kind: choice}"


def written(folder: Path) -> Path:
    (only,) = folder.glob("outputs/analyze/*")
    return only


def test_a_csv_of_plain_optuna(command: Command, tmp_path: Path) -> None:
    """What Optuna's own table of a study says is what the study in its storage says."""

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        momentum = trial.suggest_float("momentum", 0.0, 0.9)
        norm = trial.suggest_categorical("norm", ["none", "batch"])
        if lr > 0.5:
            raise ZeroDivisionError
        return (
            0.9 - 0.1 * (np.log10(lr) + 2) ** 2 * (1 if norm == "none" else 0.3) - 0.01 * momentum
        )

    storage = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=80, catch=ZeroDivisionError)
    table = tmp_path / "study.csv"
    study.trials_dataframe().to_csv(table, index=False)

    columns = "{params_lr: {scale: log, low: 1e-4, high: 1}, params_momentum: linear}"
    ended = command(
        "+experiment=analyze",
        *(f"trials={table}", "score=value", f"params={columns}", "group=params_norm"),
        *("points=0.02", "sampled=random", "tracking=none"),
    )
    assert (ended.status, ended.err) == (0, "")
    folder = written(Path.cwd())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["schema"] == 2
    by_group = {setup["group"]: setup for setup in summary["setups"]}
    assert list(by_group) == ["batch", "none"]
    trial_list = [t for t in study.trials if t.params["norm"] == "batch"]
    scores = np.array([t.value if t.value is not None else np.nan for t in trial_list])
    failed = np.isnan(scores)
    assert failed.any()
    worst = np.nanmin([t.value for t in study.trials if t.value is not None])
    share = good_fractions(
        np.where(failed, worst, scores), generator=np.random.default_rng(0), points=[1], unit=0.02
    )[1]
    found = by_group["batch"]
    assert found["n_trials"] == len(trial_list)
    assert found["good_fraction_1pt"] == pytest.approx(share.estimate)
    assert found["nonfinite_fraction"] == pytest.approx(failed.mean())
    assert found["best_score"] == pytest.approx(np.nanmax(scores))
    (pair,) = summary["comparisons"]
    assert (pair["a"], pair["b"]) == ({"group": "none"}, {"group": "batch"})
    difference = by_group["none"]["good_fraction_1pt"] - found["good_fraction_1pt"]
    assert pair["good_fraction_1pt"] == pytest.approx(difference)
    assert pair["good_fraction_1pt_low"] < difference < pair["good_fraction_1pt_high"]
    assert found["importance_fanova_params_lr"] > 5 * found["importance_fanova_params_momentum"]
    for name in ("report.html", "report.md", "trials.csv", "figures"):
        assert (folder / name).exists()
    page = (folder / "report.html").read_text()
    assert "params_lr" in page
    assert str(table) in page  # the command that repeats it

    again = command(
        "+experiment=analyze",
        *(f"trials={storage}", "group=norm", "points=0.02", "sampled=random"),
        *("tracking=none", "name=again"),
    )
    assert again.status == 0
    (folder,) = Path("outputs/again").iterdir()
    stored = json.loads((folder / "summary.json").read_text())
    for one, two in zip(summary["setups"], stored["setups"], strict=True):
        assert one["good_fraction_1pt"] == two["good_fraction_1pt"]


def test_a_loss_is_written_with_its_own_sign(command: Command, tmp_path: Path) -> None:
    frame = trials(80)
    table = saved(frame, tmp_path)
    asked = ("score=loss", "direction=minimize", "points=0.05", "tracking=none")
    ended = command("+experiment=analyze", f"trials={table}", ASKED, *asked)
    assert ended.status == 0
    (setup,) = json.loads((written(Path.cwd()) / "summary.json").read_text())["setups"]
    assert setup["best_score"] == pytest.approx(frame["loss"].min())
    assert setup["b"] == pytest.approx(np.sort(frame["loss"])[:3].mean())
    assert setup["expected_best_of_64"] < setup["expected_best_of_4"] < setup["expected_best_of_1"]
    low, high = setup["median_best_of_4_low"], setup["median_best_of_4_high"]
    assert low < setup["median_best_of_4"] < high
    assert setup["regret_mean"] == pytest.approx(frame["loss"].mean() - setup["b"])
    with (written(Path.cwd()) / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == pytest.approx(frame["loss"].tolist())
    assert rows[4]["kind"] == frame["kind"][4]
    assert [int(row["number"]) for row in rows] == list(range(2, 82))  # lines of the file


@pytest.mark.slow
def test_figures_go_to_mlflow_once(command: Command, tmp_path: Path) -> None:
    table = saved(trials(80), tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    asked = (
        f"trials={table}",
        "score=accuracy",
        "points=0.02",
        "group=model",
        f"tracking.uri={uri}",
    )
    for _ in range(2):
        assert command("+experiment=analyze", ASKED, *asked).status == 0
    with address.quiet():
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("analyze")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["hpsuite.kind"] for run in runs) == ["comparison", "setup", "setup"]
    assert "mlp_bn minus mlp" in experiment.tags["mlflow.note.content"]
    summaries = sorted(Path.cwd().glob("outputs/analyze/*/summary.json"))
    assert len(summaries) == 2
    setups = json.loads(summaries[0].read_text())["setups"]
    for run in runs:
        if run.data.tags["hpsuite.kind"] == "setup":
            (setup,) = [s for s in setups if s["group"] == run.data.tags["hpsuite.group"]]
            assert run.data.metrics["good_fraction_1pt"] == setup["good_fraction_1pt"]
            assert run.data.metrics["importance_fanova_lr"] == setup["importance_fanova_lr"]
            assert run.data.params["depth"] == "integers, 1 to 5"
        else:
            assert "mlp_bn minus mlp/good_fraction_1pt_low" in run.data.metrics


@pytest.mark.parametrize(("n", "computable"), [(1, False), (7, False), (8, True)])
def test_few_trials_are_not_computable_and_it_says_why(
    n: int, computable: bool, command: Command, tmp_path: Path
) -> None:
    table = saved(trials(n), tmp_path)
    ended = command(
        "+experiment=analyze",
        *(f"trials={table}", "score=accuracy", "points=0.02", ASKED, "tracking=none"),
    )
    assert (ended.status, ended.err) == (0, "")
    folder = written(Path.cwd())
    (setup,) = json.loads((folder / "summary.json").read_text())["setups"]
    assert ("good_fraction_1pt" in setup) == computable
    assert ("not computable" in setup.get("reason", "")) == (not computable)
    assert ("not computable" in ended.out) == (not computable)
    # From 8 there are shares, but no importance yet.
    assert "not computable" in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lr": 0.1, "depth": 2, "kind": "relu"}, "not computable, as no hyperparameter varies"),
        ({"lr": [0.1, 0.2, 0.3] * 20, "depth": 2, "kind": "relu"}, "not computable from 3 config"),
        ({"lr": 0.1, "depth": [1, 2, 3] * 20}, "not computable from 6 configurations (8 or more"),
        ({"accuracy": np.nan}, "not computable, as no trial has a finite score"),
        (
            {
                "lr": 0.1,
                "depth": [1, 2, 3, 4] * 15,
                "kind": ["relu", "tanh"] * 15 + ["tanh", "relu"] * 15,
            },
            "",
        ),
    ],
)
def test_no_share_of_what_is_no_space(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    """A group beside one with figures, of 60 trials each."""
    frame = pd.concat([trials(60).assign(model="a"), trials(60).assign(model="b", **change)])
    found = found_of(
        read(saved(frame, tmp_path), score="accuracy", params=PARAMS, group="model"),
        AnalysisConfig(),
    )
    assert list(found.evidence) == (["a"] if reason else ["a", "b"])
    assert found.reasons.get("b", "").startswith(reason)


def test_a_plan_writes_nothing(command: Command, tmp_path: Path) -> None:
    table = saved(trials(), tmp_path)
    ended = command(
        "+experiment=analyze", f"trials={table}", "score=loss", "points=1", ASKED, "plan=true"
    )
    assert (ended.status, ended.err, ended.left) == (0, "", [])
    assert "60 trials of trials.csv, 3 hyperparameters: lr, depth, kind" in ended.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("", "trials: found nothing; accepted: a file, the address of an Optuna storage, or"),
        ("trials=none.csv", "points: found nothing; accepted: what counts as close to the best"),
        ("trials=none.csv points=1", "trials: found 'none.csv'; accepted: a file that is there"),
        ("trials=x.csv points=1 model=mlp", "model: found a key that trains, which analyze does"),
        ("trials=x.csv points=1 budget.trials=3", "budget.trials: found a key that trains"),
        ("trials=x.csv points=1 tracking.best_trials=-2", "tracking.best_trials: found -2; accep"),
        ("trials=mlflow:x points=1 name=x", "name: found 'x'; accepted: another name: that of the"),
        ("trials=x.csv points=1 output_dir=/proc/x", "output_dir: found '/proc/x'; accepted: a fo"),
        ("trials=x.csv points=1 log_level=loud", "log_level: found 'loud'; accepted: 'debug', 'in"),
        (
            "trials=x.csv points=1 analysis.fresh_seeds=3",
            "analysis.fresh_seeds: found it; acc",
        ),
        ("trials=x.csv points=1 noise=-1", "noise: found -1; accepted: greater than or equal to 0"),
        ("trials=x.csv points=1 name=a/b", "name: found 'a/b'; accepted: letters, digits"),
        ("trials=x.csv points=a", "points: found 'a'; accepted: "),
        ("trials=x.csv points=1 params=lr", "params: found 'lr'; accepted: keys with values"),
        ("trials=x.csv points=1 scores=a", "scores: found no such key; accepted at the top level"),
        ("trials=mlflow:none points=1 score=a params.b=log", "trials: found no database at"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    command: Command, arguments: str, line: str
) -> None:
    ended = command("+experiment=analyze", *arguments.split())
    check_refused(ended, line)
    assert ended.left == []


def test_columns_can_be_given_one_by_one(command: Command, tmp_path: Path) -> None:
    table = saved(trials(), tmp_path)
    columns = [f"params.{name}={scale}" for name, scale in PARAMS.items()]
    ended = command(
        "+experiment=analyze", f"trials={table}", "score=loss", "points=1", "plan=true", *columns
    )
    assert (ended.status, ended.err) == (0, "")


def test_a_column_with_dots_in_its_name(command: Command, tmp_path: Path) -> None:
    table = saved(trials().rename(columns={"lr": "opt.lr"}), tmp_path)
    asked = ("+experiment=analyze", f"trials={table}", "score=loss", "points=1", "plan=true")
    line = "params.opt: found {lr: 'log'}; accepted: scale, low and high; of columns with dots in "
    refused = command(*asked, "params.opt.lr=log")
    check_refused(refused, line)
    assert "params={opt.lr: log}" in refused.err
    ended = command(*asked, "params={opt.lr: log}")
    assert (ended.status, ended.err) == (0, "")
    assert "1 hyperparameter: opt.lr" in ended.out


def test_a_column_with_spaces_and_signs_in_its_name(command: Command, tmp_path: Path) -> None:
    """As docs/analyze.md has it: a backslash before each in a key, quotes around a value."""
    name = r"learning rate (x), [y] {z}: = \\"
    frame = trials().rename(columns={"lr": name, "loss": "val loss (x)"})
    asked = ("+experiment=analyze", f"trials={saved(frame, tmp_path)}", "points=1", "plan=true")
    keys = (f"params={{{typed(name)}: log}}", 'score="val loss (x)"')
    ended = command(*asked, *keys)
    assert (ended.status, ended.err) == (0, "")
    assert f"1 hyperparameter: {name}" in ended.out


def test_several_analyses_in_one_go_are_checked_first(command: Command, tmp_path: Path) -> None:
    table = saved(trials(), tmp_path)
    asked = ("-m", "+experiment=analyze", f"trials={table}", "score=loss", ASKED)
    check_refused(command(*asked, "points=1,-1"), "points: found -1; accepted: ")


@pytest.mark.slow
def test_noise_widens_upwards_and_is_never_made_up(command: Command, tmp_path: Path) -> None:
    table = saved(trials(80), tmp_path)
    asked = ("+experiment=analyze", f"trials={table}", "score=accuracy", ASKED, "tracking=none")
    ends = []
    ways = (("points=0.02",), ("points=[0.001,0.02]",), ("points=0.02", "noise=0.01"))
    for i, more in enumerate(ways):
        assert command(*asked, *more, f"name=n{i}").status == 0
        (folder,) = Path(f"outputs/n{i}").iterdir()
        (setup,) = json.loads((folder / "summary.json").read_text())["setups"]
        name = "good_fraction_20pt" if i == 1 else "good_fraction_1pt"
        ends.append((setup[name], setup[f"{name}_low"], setup[f"{name}_high"]))
        said = "by how much is not known" in (folder / "report.md").read_text()
        assert said == (i < 2)
    # The same margin has the same interval, whatever stands beside it.
    assert ends[0] == pytest.approx(ends[1])
    assert ends[2][:2] == pytest.approx(ends[0][:2])
    assert ends[2][2] > ends[0][2]


@pytest.mark.slow
def test_groups_whose_names_become_one_keep_their_figures(command: Command, tmp_path: Path) -> None:
    frame = trials(90).assign(model=["0", "a/b", "a:b"] * 30)
    table = saved(frame, tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    asked = (f"trials={table}", "score=accuracy", "points=0.02", "group=model")
    assert command("+experiment=analyze", ASKED, *asked, f"tracking.uri={uri}").status == 0
    with address.quiet():
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("analyze")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
    (run,) = [r for r in runs if r.data.tags["hpsuite.kind"] == "comparison"]
    pairs = json.loads((written(Path.cwd()) / "summary.json").read_text())["comparisons"]
    found = [
        run.data.metrics[f"{prefix}/good_fraction_1pt"]
        for prefix in ("a_b minus 0", "a_b minus 0 2")
    ]
    assert found == [pair["good_fraction_1pt"] for pair in pairs]


def test_passwords_stay_out_of_what_is_passed_on(command: Command, tmp_path: Path) -> None:
    there = "postgresql://me:secret@127.0.0.1:1/x"
    ended = command("+experiment=analyze", f"trials={there}", "points=1")
    assert ended.status == 2
    assert "secret" not in ended.err
    table = saved(trials(), tmp_path)
    asked = (f"trials={table}", "score=loss", "points=1", ASKED, f"tracking.uri={there}")
    assert command("+experiment=analyze", *asked).status == 0
    for path in written(Path.cwd()).iterdir():
        assert path.is_dir() or "secret" not in path.read_text(), path


def printed(found: ForeignFindings) -> str:
    with io.StringIO() as file:
        print_groups(found, Console(file=file, width=200))
        return file.getvalue()


def test_a_note_names_the_groups_that_it_is_true_of(tmp_path: Path) -> None:
    """Of three groups, one of too few trials, in which depth varies."""
    frame = pd.concat(
        [trials(n, seed).assign(model=model) for seed, (model, n) in enumerate(GROUPS.items())]
    )
    frame.loc[frame["model"] != "c", "depth"] = 2
    found = read(saved(frame, tmp_path), score="accuracy", params=PARAMS, group="model")
    lines = printed(found_of(found, AnalysisConfig())).splitlines()
    assert "a, b: depth is left out: all trials have the same" in lines
    assert "c: not computable from 5 trials (8 or more are needed)" in lines


GROUPS = {"a": 30, "b": 30, "c": 5}


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    """Hyperparameters of the names of the table's own columns."""
    names = {"lr": "number", "depth": "score", "test": "params.number"}
    frame = trials(60).rename(columns=names).assign(failed=trials(60, seed=1)["lr"])
    params = {"number": "log", "score": "integer", "params.number": "linear", "failed": "log"}
    asked = {"score": "accuracy", "group": "model"}
    found = found_of(read(saved(frame, tmp_path), params=params, **asked), AnalysisConfig())
    written = tmp_path / "again.csv"
    write_rows(written, trial_rows(found.trials))
    header = written.read_text().partition("\n")[0].split(",")
    assert header == [
        *("group", "number", "params.params.number", "params.score", "params.number"),
        *("params.failed", "score", "test_score", "failed"),
    ]
    renamed = dict(zip(header[2:6], params.values(), strict=True))
    again = read(str(written), params=renamed, score="score", group="group")
    for one, two in zip(found.trials.samples, again.samples, strict=True):
        assert one.scores == pytest.approx(two.scores)
        assert one.units() == pytest.approx(two.units())


def test_the_terminal_says_what_figures_rest_on_and_which_margin(tmp_path: Path) -> None:
    path = saved(trials(80), tmp_path)
    asked = {"score": "accuracy", "params": PARAMS, "group": "model"}
    condition = "nothing says that the configurations were drawn at random (sampled=random does): "
    noise = "nothing is allowed for the luck of the best, so that good fractions are too low"
    for points, margin in ((0.02, "0.02"), ([0.01, 0.02, 0.05], "0.02"), ([0.01, 0.05], "0.01")):
        found = found_of(read(path, **asked, points=points), AnalysisConfig(report=False))
        out = printed(found)
        (line,) = [line for line in out.splitlines() if line.startswith("mlp_bn minus mlp: ")]
        assert f" of the trials within {margin} of each one's own best, 40 and 40 trials" in line
        assert " percentage points [" in line
        assert out.index(condition) < out.index(noise) < out.index("good: share of the trials")
        assert "intervals hold for random ones alone" in out
        assert "what share of the trials is good?" in out
        assert f"within {margin} of the best (nothing says" in found.note()
    known = {"sampled": "random", "noise": 0.01}
    out = printed(found_of(read(path, **asked, **known), AnalysisConfig()))
    assert condition not in out
    assert noise not in out
    assert " of the space within 0.02 of each one's own best" in out


def test_configurations_of_several_seeds_are_called_so(command: Command, tmp_path: Path) -> None:
    frame = pd.concat([trials(40), trials(40)])
    frame["accuracy"] += np.repeat([-0.001, 0.001], 40)
    table = saved(frame, tmp_path)
    asked = (f"trials={table}", "score=accuracy", "points=0.02", ASKED, "group=model")
    ended = command("+experiment=analyze", *asked, "tracking=none")
    assert (ended.status, ended.err) == (0, "")
    assert "80 trials in 2 groups by model of trials.csv" in ended.out
    assert "20 and 20 configurations" in ended.out
    note = "40 trials are 20 configurations, of up to 2 seeds each, and count once each, with their"
    assert note in ended.out
    assert note in (written(Path.cwd()) / "report.md").read_text()
    summary = json.loads((written(Path.cwd()) / "summary.json").read_text())
    assert [setup["n_trials"] for setup in summary["setups"]] == [20, 20]
