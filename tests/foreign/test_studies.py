"""Trials of Optuna studies that were made without hpsuite; nothing is written to them."""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
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


def test_failed_pruned_and_running_trials(tmp_path: Path) -> None:
    address, opened = sqlite(tmp_path)
    study = fill(opened, direction="maximize")
    values = {"lr": 0.1, "momentum": 0.5, "units": 8, "depth": 1, "norm": "batch"}
    reported = {1: 0.2, 2: 0.25}
    for state, told in (
        (TrialState.FAIL, {}),
        (TrialState.PRUNED, reported),
        (TrialState.PRUNED, {}),
    ):
        study.add_trial(
            create_trial(state=state, params=values, distributions=SPACE, intermediate_values=told)
        )
    study.ask(SPACE)
    (sample,) = read(address).samples
    assert sample.failed.tolist() == [False] * 20 + [True, False, True]
    assert sample.scores[20:] == pytest.approx([0.25, 0.25, 0.25])  # the worst is the pruned one's
    assert any("2 of 23 trials were pruned" in note for note in sample.notes)
    assert "1 trials have not ended and are left out" in sample.notes


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
