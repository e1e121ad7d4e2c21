"""Trials that somebody logged to MLflow, in a real database."""

import hashlib
import sqlite3
from pathlib import Path

import mlflow
import pytest
from alembic.script import ScriptDirectory

from hpsuite.checks import UserError
from hpsuite.foreign import parse_request, read_samples
from hpsuite.tracking import address
from tests.commands import Command
from tests.foreign.tables import trials


@pytest.fixture
def logged(tmp_path: Path) -> str:
    """The address of a database with an experiment of 12 trials under a parent run."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with address.quiet():
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.create_experiment("tuning", (tmp_path / "artifacts").as_uri())
        parent = client.create_run(experiment)
        client.log_metric(parent.info.run_id, "accuracy", 0.99)
        client.set_terminated(parent.info.run_id)
        for i, row in trials(12).iterrows():
            run = client.create_run(experiment).info.run_id
            client.log_param(run, "lr", row["lr"])
            client.log_param(run, "depth", row["depth"])
            client.log_param(run, "batch_norm", row["model"] == "mlp_bn")
            if i != 3:
                for step in range(2):
                    client.log_metric(
                        run, "accuracy", row["accuracy"] - 0.1 * (1 - step), step=step
                    )
            client.set_terminated(run, "FAILED" if i == 3 else "FINISHED")
        client.create_run(experiment)  # still running
    return uri


def ask(uri: str, **asked: object) -> object:
    given = {"trials": "mlflow:tuning", "points": 0.02, "score": "accuracy"}
    return read_samples(parse_request({**given, "params": PARAMS, **asked}), uri)


PARAMS = {"lr": "log", "depth": "integer"}


def test_runs_are_trials_with_their_last_metrics(logged: str) -> None:
    found = read_samples(
        parse_request(
            {
                "trials": "mlflow:tuning",
                "points": 0.02,
                "score": "accuracy",
                "params": PARAMS,
                "group": "batch_norm",
            }
        ),
        logged,
    )
    frame = trials(12)
    assert [s.name for s in found.samples] == ["False", "True"]
    plain = frame[frame["model"] == "mlp"]
    assert found.samples[0].scores == pytest.approx(plain["accuracy"])
    assert [v["lr"] for v in found.samples[0].values] == pytest.approx(plain["lr"].tolist())
    assert found.samples[1].failed.tolist() == [False, True, False, False, False, False]
    assert "1 run has none of the hyperparameters and is left out" in found.samples[0].notes


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"trials": "mlflow:nope"}, "trials: found no MLflow experiment 'nope', only "),
        ({"score": None}, "score: found nothing; accepted: a column's name"),
        ({"score": "loss"}, "score: found 'loss'; accepted: a column: .*accuracy"),
        ({"study": "mine"}, "study: found 'mine'; accepted: null, as MLflow has no studies"),
    ],
)
def test_mistakes_are_one_line_each(asked: dict[str, object], line: str, logged: str) -> None:
    with pytest.raises(UserError, match=f"^{line}"):
        ask(logged, **asked)


def test_no_database_is_made_or_changed(tmp_path: Path, logged: str) -> None:
    with pytest.raises(UserError, match=r"^trials: found no database at sqlite:"):
        ask(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(UserError, match=r"^trials: found no tables of MLflow's at"):
        ask(f"sqlite:///{empty}")
    assert empty.read_bytes() == b""
    before = (tmp_path / "mlflow.db").read_bytes()
    ask(logged)
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("shown", [True, False])
def test_figures_go_beside_the_trials_in_the_same_store(
    shown: bool, command: Command, tmp_path: Path, logged: str
) -> None:
    before = (tmp_path / "mlflow.db").read_bytes()
    asked = ("trials=mlflow:tuning", "score=accuracy", "points=0.02", f"tracking.uri={logged}")
    keys = [f"params.{name}={scale}" for name, scale in PARAMS.items()]
    ended = command("+experiment=analyze", *asked, *keys, *([] if shown else ["tracking=none"]))
    assert (ended.status, ended.err) == (0, "")
    assert ((tmp_path / "mlflow.db").read_bytes() == before) != shown
    with address.quiet():
        client = mlflow.MlflowClient(tracking_uri=logged)
        runs = {e.name: client.search_runs([e.experiment_id]) for e in client.search_experiments()}
    there = {"tuning": 14} | ({"analyze": 2} if shown else {})
    assert {name: len(found) for name, found in runs.items() if found} == there
    assert not any("hpsuite.kind" in run.data.tags for run in runs["tuning"])


def _change(path: Path, statements: list[str]) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_another_programs_experiments_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    _change(path, ["create table experiments (id integer)", "insert into experiments values (1)"])
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    line = r"^trials: found no tables of MLflow's, but others of such names at sqlite:"
    with pytest.raises(UserError, match=line) as raised:
        ask(f"sqlite:///{path}")
    assert "\n" not in str(raised.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [p.name for p in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.parametrize("older", [True, False])
def test_another_mlflows_tables_are_not_upgraded(older: bool, tmp_path: Path, logged: str) -> None:
    """A table less, and MLflow itself would bring the whole database up to date."""
    path = tmp_path / "mlflow.db"
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    head = scripts.get_revision("head")
    assert head is not None
    revision = head.down_revision if older else "0123456789ab"
    changes = [f"update alembic_version set version_num = '{revision}'"]
    _change(path, [*changes, *(["drop table trace_tags"] if older else [])])
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    line = rf"^trials: found tables of another version of MLflow \(revision {revision}\) at"
    with pytest.raises(UserError, match=line) as raised:
        ask(logged)
    assert "\n" not in str(raised.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_what_hpsuite_found_is_no_trial(logged: str) -> None:
    asked = {"trials": "mlflow:tuning", "points": 0.02, "score": "accuracy", "params": PARAMS}
    before = read_samples(parse_request(asked), logged)
    with address.quiet():
        client = mlflow.MlflowClient(tracking_uri=logged)
        experiment = client.get_experiment_by_name("tuning")
        assert experiment is not None
        for kind in ("setup", "arm", "comparison", "superseded-setup", "superseded-trial", "trial"):
            run = client.create_run(experiment.experiment_id, tags={"hpsuite.kind": kind})
            client.log_param(run.info.run_id, "lr", 0.1)
            client.log_param(run.info.run_id, "depth", 2)
            client.log_metric(run.info.run_id, "accuracy", 0.5)
            client.set_terminated(run.info.run_id)
    (old,) = before.samples
    (new,) = read_samples(parse_request(asked), logged).samples
    assert (len(old), len(new)) == (12, 13)  # the trial of hpsuite's own
    assert not any("hpsuite" in note for note in old.notes)
    assert "5 runs are left out, as hpsuite wrote them of other trials" in new.notes
    with address.quiet():
        assert new.numbers[-1] in {r.info.run_id for r in client.search_runs(["1"])}


def test_a_metric_beside_a_parameter_of_its_name(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with address.quiet():
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.create_experiment("tuning", (tmp_path / "artifacts").as_uri())
        for i in range(12):
            run = client.create_run(experiment).info.run_id
            client.log_param(run, "lr", 0.1 / (i + 1))
            client.log_param(run, "depth", 1 + i % 3)
            if i % 2:
                client.log_param(run, "accuracy", 0.0)
            client.log_metric(run, "accuracy", i / 20)
            client.set_terminated(run)
    asked = {"trials": "mlflow:tuning", "points": 0.02, "score": "metrics.accuracy"}
    (sample,) = read_samples(parse_request({**asked, "params": PARAMS}), uri).samples
    assert sample.scores == pytest.approx([i / 20 for i in range(12)])
