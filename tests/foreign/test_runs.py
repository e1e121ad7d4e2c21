"""Trials that somebody logged to MLflow, in a real database."""

from pathlib import Path

import mlflow
import pytest

from hpsuite.checks import UserError
from hpsuite.foreign import parse_request, read_samples
from hpsuite.tracking import address
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
    assert "1 runs have none of the hyperparameters and are left out" in found.samples[0].notes


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
