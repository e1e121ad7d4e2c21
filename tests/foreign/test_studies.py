"""Trials of Optuna studies that were made without hpsuite; nothing is written to them."""

import hashlib
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from hpsuite.checks import UserError
from tests.foreign.tables import read

SPACE = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "momentum": FloatDistribution(0.0, 0.99),
    "units": IntDistribution(8, 256, log=True),
    "depth": IntDistribution(1, 5),
    "norm": CategoricalDistribution(["batch", "layer", None]),
}

Storage = Callable[[Path], tuple[str, object]]


def sqlite(folder: Path) -> tuple[str, object]:
    address = f"sqlite:///{folder / 'study.db'}"
    return address, address


def journal(folder: Path) -> tuple[str, object]:
    path = str(folder / "study.journal")
    return path, JournalStorage(JournalFileBackend(path))


def fill(storage: object, n: int = 20, name: str = "mine", **more: object) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name=name, **more)  # type: ignore[arg-type]
    for i in range(n):
        params = {
            "lr": 10 ** -(i % 5),
            "momentum": (i % 7) / 10,
            "units": 8 << (i % 4),
            "depth": 1 + i % 5,
            "norm": ["batch", "layer", None][i % 3],
        }
        study.add_trial(
            create_trial(
                value=0.5 + i / 100,
                params=params,
                distributions=SPACE,
                user_attrs={"test": 0.4 + i / 100, "host": f"node{i % 2}"},
            )
        )
    return study


@pytest.mark.parametrize("storage", [sqlite, journal])
def test_a_study_brings_its_score_direction_and_space(storage: Storage, tmp_path: Path) -> None:
    address, opened = storage(tmp_path)
    fill(opened, direction="maximize")
    found = read(address, test_score="test")
    (sample,) = found.samples
    assert found.source == "Optuna study mine"
    assert sample.higher_is_better
    assert sample.scores == pytest.approx([0.5 + i / 100 for i in range(20)])
    assert sample.tests == pytest.approx([0.4 + i / 100 for i in range(20)])
    shown = {h.name: (h.scale, h.low, h.high, h.choices) for h in sample.hyperparameters}
    assert shown == {
        "lr": ("log", 1e-5, 1.0, None),
        "momentum": ("linear", 0.0, 0.99, None),
        "units": ("log_integer", 8, 256, None),
        "depth": ("integer", 1, 5, None),
        "norm": ("choice", None, None, ("None", "batch", "layer")),
    }
    assert sample.values[5] == {"lr": 1, "momentum": 0.5, "units": 16, "depth": 1, "norm": "None"}
    groups = read(address, group="host").samples
    assert [s.name for s in groups] == ["node0", "node1"]


@pytest.mark.parametrize("storage", [sqlite, journal])
def test_nothing_is_written_to_a_study(storage: Storage, tmp_path: Path) -> None:
    address, opened = storage(tmp_path)
    fill(opened)
    del opened
    path = tmp_path / ("study.db" if storage is sqlite else "study.journal")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.chmod(0o444)
    read(address)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_study_to_minimize(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    fill(opened, direction="minimize")
    (sample,) = read(address).samples
    assert not sample.higher_is_better
    assert sample.scores[0] == -0.5
    with pytest.raises(
        UserError, match=r"^direction: found 'maximize'; accepted: minimize, as the"
    ):
        read(address, direction="maximize")
    (own,) = read(address, score="test", direction="maximize").samples
    assert own.scores[0] == pytest.approx(0.4)


def test_a_failed_trial_that_was_run_again_counts_by_its_last_attempt(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened, direction="maximize")
    retry = RetryHeartbeatStaleTrialCallback()

    def fails() -> int:
        trial = study.ask(SPACE)
        study.tell(trial, state=TrialState.FAIL)
        return trial.number

    first = fails()  # 20, which fails again, and ends well
    retry(study, study.trials[first])
    second = fails()
    retry(study, study.trials[second])
    assert study.trials[first].params == study.trials[second].params
    last = study.ask(SPACE)
    assert RetryHeartbeatStaleTrialCallback.retry_history(study.trials[last.number]) == [20, 21]
    study.tell(last, 0.9)
    third = fails()  # 23, which is still to be run again
    retry(study, study.trials[third])
    (sample,) = read(address).samples
    assert sample.failed.tolist() == [False] * 21 + [True]
    assert sample.scores[20] == 0.9
    assert sample.notes[:2] == (
        "1 trial has not ended and is left out",
        "2 trials that failed were run again and count by the last attempt alone",
    )


def test_numbers_of_retried_trials_mean_little_in_a_copy(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened, direction="maximize")
    other = fill(opened, direction="maximize", name="other")
    failed = other.ask(SPACE)
    other.tell(failed, state=TrialState.FAIL)
    RetryHeartbeatStaleTrialCallback()(other, other.trials[-1])
    other.tell(other.ask(SPACE), 0.9)
    study.tell(study.ask(SPACE), state=TrialState.FAIL)  # trial 20, another than `failed` was
    study.add_trials(other.trials[20:])
    (sample,) = read(address, study="mine").samples
    # Trial 20 stays; 21 and 22 have the same values and count once.
    assert sample.failed.tolist() == [False] * 20 + [True, False]


def test_failed_pruned_and_running_trials(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened, direction="maximize")
    values = {"lr": 0.1, "momentum": 0.5, "units": 8, "depth": 1, "norm": "batch"}
    reported = {1: 0.2, 2: 0.25}
    for lr, state, told in (
        (0.1, TrialState.FAIL, {}),
        (0.2, TrialState.PRUNED, reported),
        (0.3, TrialState.PRUNED, {}),
    ):
        own = values | {"lr": lr}
        study.add_trial(
            create_trial(state=state, params=own, distributions=SPACE, intermediate_values=told)
        )
    study.ask(SPACE)
    (sample,) = read(address).samples
    assert sample.failed.tolist() == [False] * 20 + [True, False, True]
    assert sample.scores[20:] == pytest.approx([0.25, 0.25, 0.25])  # the worst is the pruned one's
    more = "of the space, more may be good than is said"
    assert sample.notes[:3] == (
        f"1 of 23 trials was pruned and counts with the last value reported: {more}",
        "1 of 23 trials was pruned without a finite score and counts as a failure",
        "1 trial has not ended and is left out",
    )
    assert sample.numbers == tuple(range(23))


def test_several_objectives_need_a_choice(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = optuna.create_study(
        storage=opened, study_name="two", directions=["maximize", "minimize"]
    )
    for i in range(12):
        study.add_trial(
            create_trial(values=[i, -2 * i], params={"lr": 0.1}, distributions={"lr": SPACE["lr"]})
        )
    with pytest.raises(
        UserError, match=r"^score: found null; accepted: one of .*values_0, values_1"
    ):
        read(address)
    (sample,) = read(address, score="values_1").samples
    assert not sample.higher_is_better
    assert sample.scores.tolist() == [2.0 * i for i in range(12)]


def test_a_range_that_grew_is_taken_whole(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = optuna.create_study(storage=opened, study_name="zoom")
    for i, high in enumerate((0.1, 1.0) * 6):
        distributions = {"lr": FloatDistribution(1e-3 / (i % 2 + 1), high, log=True)}
        study.add_trial(
            create_trial(value=i, params={"lr": 0.01 * (1 + i)}, distributions=distributions)
        ) if 0.01 * (1 + i) <= high else None
    (sample,) = read(address).samples
    assert [(h.low, h.high) for h in sample.hyperparameters] == [(0.0005, 1.0)]


def test_a_hyperparameter_called_value_is_no_score(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = optuna.create_study(storage=opened, study_name="odd")
    for i in range(10):
        distributions = {"value": FloatDistribution(0, 10)}
        study.add_trial(create_trial(value=-i, params={"value": i}, distributions=distributions))
    (sample,) = read(address).samples
    assert sample.scores.tolist() == [float(i) for i in range(10)]
    assert [values["value"] for values in sample.values] == [float(i) for i in range(10)]


def test_a_users_scale_takes_the_place_of_the_studys(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    fill(opened)
    (sample,) = read(address, params={"momentum": "one_minus_log", "lr": "log"}).samples
    assert sample.names == ("momentum", "lr")
    assert sample.hyperparameters[0].scale == "one_minus_log"
    assert (sample.hyperparameters[0].low, sample.hyperparameters[0].high) == (0.0, 0.99)


def test_storages_that_are_none(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    with pytest.raises(UserError, match=r"^trials: found 'sqlite:.*; accepted: a storage that is"):
        read(address)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("create table mine (x)").connection.close()
    before = other.read_bytes()
    with pytest.raises(UserError, match="accepted: a database with Optuna studies"):
        read(f"sqlite:///{other}")
    assert other.read_bytes() == before
    text = tmp_path / "text.db"
    text.write_text("not a database, but a text of some length" * 100)
    with pytest.raises(
        UserError, match=r"^trials: found .*accepted: a database that can be opened"
    ):
        read(f"sqlite:///{text}")
    with pytest.raises(
        UserError, match=r"^trials: found 'nonsense://x'; accepted: a database that"
    ):
        read("nonsense://x")
    fill(opened, name="one")
    fill(opened, name="two", n=0)
    with pytest.raises(UserError, match=r"^study: found null; accepted: one of one, two"):
        read(address)
    with pytest.raises(UserError, match=r"^trials: found .*accepted: a source with at least one"):
        read(address, study="two")
    assert len(read(address, study="one").samples[0]) == 20


def test_pruned_trials_under_a_score_of_their_attributes(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened, direction="maximize")
    values = {"lr": 0.1, "momentum": 0.5, "units": 8, "depth": 1, "norm": "batch"}
    each = ({"test": 0.3}, {"test": 0.2}, {}, {"test": float("nan")})
    for i, attributes in enumerate(each):
        trial = create_trial(
            state=TrialState.PRUNED,
            params=values | {"lr": 0.1 + i / 100},
            distributions=SPACE,
            user_attrs=attributes,
            intermediate_values={1: 0.9},
        )
        study.add_trial(trial)
    (sample,) = read(address, score="test").samples
    assert sample.failed.tolist() == [False] * 22 + [True] * 2
    assert sample.notes[:2] == (
        "2 of 24 trials were pruned and count with the test of their attributes: of the space, "
        "more may be good than is said",
        "2 of 24 trials were pruned without a finite score and count as failures",
    )
    (own,) = read(address).samples
    assert not own.failed.any()
    assert own.notes[0].startswith("4 of 24 trials were pruned and count with the last value")


def test_pruned_trials_that_reported_nan(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened)
    values = {"lr": 0.1, "momentum": 0.5, "units": 8, "depth": 1, "norm": "batch"}
    told = {1: 0.5, 2: float("nan")}
    study.add_trial(
        create_trial(
            state=TrialState.PRUNED, params=values, distributions=SPACE, intermediate_values=told
        )
    )
    (sample,) = read(address).samples
    assert sample.failed.tolist() == [False] * 20 + [True]
    assert (
        sample.notes[0]
        == "1 of 21 trials was pruned without a finite score and counts as a failure"
    )


def test_an_objective_of_a_hyperparameters_name(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = optuna.create_study(
        storage=opened, study_name="both", directions=["maximize", "minimize"]
    )
    study.set_metric_names(["acc", "lr"])
    for i in range(12):
        params = {"lr": 10 ** -(1 + i / 4)}
        study.add_trial(
            create_trial(values=[i, -2 * i], params=params, distributions={"lr": SPACE["lr"]})
        )
    for key in ("score", "test_score"):
        asked = {"score": "acc", key: "lr"}
        line = (
            rf"^{key}: found 'lr', a hyperparameter; accepted: an objective \(acc, objective lr\)"
        )
        with pytest.raises(UserError, match=line):
            read(address, **asked)
    (sample,) = read(address, score="objective lr").samples
    assert sample.scores.tolist() == [2.0 * i for i in range(12)]
    assert not sample.higher_is_better


def test_values_outside_a_studys_range_say_what_widens_it(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = optuna.create_study(storage=opened, study_name="queued")
    study.enqueue_trial({"lr": 3.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(lambda t: t.suggest_float("lr", 1e-5, 1.0, log=True), n_trials=12)
    with pytest.raises(UserError, match=r"^params.lr: found 3 in trial 0; accepted: ") as raised:
        read(address)
    told = str(raised.value)
    assert "as the study has it; params={lr: {scale: log, low: 1e-05, high: 3}, ...}" in told
    wider = {"lr": {"scale": "log", "low": 1e-5, "high": 3.0}}
    (sample,) = read(address, params=wider).samples
    assert sample.numbers[0] == 0


def test_numbers_are_the_trials_own(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened, n=3)
    study.ask(SPACE)
    fill_more = create_trial(
        value=1.0,
        params={"lr": 0.1, "momentum": 0.5, "units": 8, "depth": 1, "norm": "batch"},
        distributions=SPACE,
        user_attrs={"host": "node9", "test": "text"},
    )
    study.add_trial(fill_more)
    by_host = read(address, group="host").samples
    assert [s.numbers for s in by_host] == [(0, 2), (1,), (4,)]
    with pytest.raises(
        UserError, match=r"^test_score: found 'text' in trial 4; accepted: numbers$"
    ):
        read(address, test_score="test")


def checksums(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ["create table studies (id integer, name text)", "insert into studies values (1, 'x')"],
            r"found 'sqlite:.*; accepted: a database with Optuna studies \(this has no tables of "
            r"Optuna's, but others of such names\)$",
        ),
        (
            [
                "create table studies (id integer)",
                "create table trials (id integer)",
                "create table alembic_version (version_num varchar(32))",
                "insert into alembic_version values ('0123abcd')",
            ],
            r"found 'sqlite:.*; accepted: a database with Optuna studies \(this has no tables",
        ),
        (
            ["create table alembic_version (version text)"],
            r"found 'sqlite:.*; accepted: a database",
        ),
    ],
)
def test_another_programs_tables_are_left_alone(
    change: list[str], line: str, tmp_path: Path
) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    for statement in change:
        connection.execute(statement)
    connection.commit()
    connection.close()
    before = checksums(tmp_path)
    with pytest.raises(UserError, match=f"^trials: {line}") as raised:
        read(f"sqlite:///{tmp_path / 'other.db'}")
    assert "\n" not in str(raised.value)
    assert checksums(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ["update alembic_version set version_num = 'v3.0.0.d'", "drop table trial_heartbeats"],
            r"found tables of another version of Optuna \(revision v3.0.0.d\) at sqlite:.*upgrade",
        ),
        (
            ["update alembic_version set version_num = 'v9.9.9'"],
            r"found tables of another version of Optuna \(revision v9.9.9\)",
        ),
        (["delete from alembic_version"], r"found 'sqlite:.*no tables of Optuna's, but others"),
        (["delete from version_info"], r"found 'sqlite:.*not all tables of Optuna's"),
        (["drop table trial_heartbeats"], r"found 'sqlite:.*not all tables of Optuna's"),
    ],
)
def test_another_optunas_tables_are_not_changed(
    change: list[str], line: str, tmp_path: Path
) -> None:
    address, opened = sqlite(tmp_path)
    fill(opened, n=2)
    connection = sqlite3.connect(tmp_path / "study.db")
    for statement in change:
        connection.execute(statement)
    connection.commit()
    connection.close()
    before = checksums(tmp_path)
    with pytest.raises(UserError, match=f"^trials: {line}") as raised:
        read(address)
    assert "\n" not in str(raised.value)
    assert checksums(tmp_path) == before
