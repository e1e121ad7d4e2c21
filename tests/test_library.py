"""hpsuite from Python: the same trials as by the command, from a few lines of a notebook."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from torch import nn

import hpsuite
from tests.ids import without_address

SMALL = ("model.layers=1", "model.units=8", "dataset.train_fraction=0.2")
FEW = {"epochs": 2, "progress": False}


class Narrow(nn.Sequential):
    """A module of one's own."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, *, width: int = 4) -> None:
        super().__init__(nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, n_classes))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_same_trials_as_by_the_command(tmp_path: Path) -> None:
    asked = [*SMALL, "matrix.model=[mlp,mlp_bn]", "matrix.strategy=[log_random,tpe]"]
    fit = hpsuite.fit(*asked, trials=6, repeats=2, seed=3, **FEW)
    command = [*asked, "budget.trials=6", "repeats=2", "seed=3", "budget.epochs=2"]
    subprocess.run(
        [sys.executable, "-m", "hpsuite", "name=same", "tracking=none", "device=cpu", *command],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (path,) = tmp_path.glob("outputs/same/*/trials.csv")
    expected = pd.read_csv(path)
    pd.testing.assert_frame_equal(
        fit.trials.drop(columns="seconds"),
        expected.drop(columns="seconds"),
        check_exact=True,
        check_dtype=False,
    )
    assert len(fit.trials) == 48
    assert list(fit.setups["model"]) == ["mlp", "mlp_bn"]
    assert len(fit.arms) == 4
    assert len(fit.studies) == 8
    with pytest.raises(ValueError, match=r"^study: found 8 studies; accepted: one"):
        _ = fit.study
    with pytest.raises(ValueError, match=r"^sensitivity: found 2 setups; accepted: one"):
        _ = fit.sensitivity


def test_one_study_its_trials_and_its_sensitivity() -> None:
    fit = hpsuite.fit(*SMALL, trials=24, **FEW)
    assert isinstance(fit.study, optuna.Study)
    trials = fit.trials
    assert len(fit.study.trials) == len(trials) == 24
    assert [t.value for t in fit.study.trials] == list(trials["val_accuracy"])
    assert trials["learning_rate"].between(1e-4, 10).all()
    assert trials["momentum"].dtype == float
    best = trials.loc[trials["val_accuracy"].idxmax()]
    assert fit.best == {
        name: best[name] for name in ("learning_rate", "momentum", "val_accuracy", "test_accuracy")
    }
    assert fit.sensitivity.n == 24
    assert fit.sensitivity.best_val_accuracy == trials["val_accuracy"].max()
    assert "Setups: how much of the search space is good?" in str(fit)
    assert "digits mlp log_random" in repr(fit)
    assert fit._repr_html_().startswith("<pre>")
    assert not list(Path.cwd().iterdir()), "nothing is written where nothing is recorded"


def test_a_record_is_continued() -> None:
    asked = {"storage": "here.journal", "strategy": "tpe", **FEW}
    first = hpsuite.fit(*SMALL, trials=4, **asked)
    more = hpsuite.fit(*SMALL, trials=7, **asked)
    alone = hpsuite.fit(*SMALL, trials=7, **{**asked, "storage": None})
    assert len(more.trials) == 7
    # Times too: what was there was not trained again.
    pd.testing.assert_frame_equal(more.trials[:4], first.trials)
    pd.testing.assert_frame_equal(
        more.trials.drop(columns="seconds"), alone.trials.drop(columns="seconds")
    )


def test_a_module_a_sampler_and_a_space_of_ones_own() -> None:
    fit = hpsuite.fit(
        model=functools.partial(Narrow, width=5),
        strategy=functools.partial(optuna.samplers.TPESampler, n_startup_trials=3),
        space={"learning_rate": {"scale": "log", "low": 0.01, "high": 0.1}},
        trials=5,
        **FEW,
    )
    (arm,) = fit.findings.arms
    assert arm.table.arm.label == "digits Narrow TPESampler"
    assert dict(arm.table.arm.setup.model.arguments) == {"width": 5}
    assert fit.trials["learning_rate"].between(0.01, 0.1).all()
    with pytest.raises(ValueError, match=r"^sensitivity: no reference sample"):
        _ = fit.sensitivity


def test_arrays() -> None:
    generator = np.random.default_rng(0)
    y = np.repeat(["cat", "dog", "newt"], 100)
    x = generator.normal(size=(300, 2, 3)) + 4 * np.unique(y, return_inverse=True)[1][:, None, None]
    fit = hpsuite.fit(dataset=(x, y), trials=8, **FEW)
    data = fit.findings.arms[0].table.data
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == (180, 60, 60)
    assert (data.input_shape, data.n_classes) == ((2, 3), 3)
    # Three clouds far apart.
    assert fit.best["test_accuracy"] == 1
    again = hpsuite.fit(dataset=(x, y), trials=8, **FEW)
    assert again.findings.arms[0].table.identity == fit.findings.arms[0].table.identity


def test_an_experiment_and_own_options() -> None:
    folder = Path("conf/experiment")
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# @package _global_\nname: mine\nrepeats: 2\nbudget: {trials: 3, epochs: 1}\n"
        "matrix: {model: [mlp, mlp_bn]}\n"
    )
    fit = hpsuite.fit("+experiment=mine", *SMALL, config_dir="conf", progress=False)
    assert len(fit.trials) == 12
    assert len(hpsuite.fit("+experiment=mine", trials=2, config_dir="conf", **FEW).trials) == 8


def test_workers_give_the_same() -> None:
    one = hpsuite.fit(*SMALL, trials=6, **FEW)
    two = hpsuite.fit(*SMALL, trials=6, workers=2, **FEW)
    pd.testing.assert_frame_equal(
        one.trials.drop(columns="seconds"), two.trials.drop(columns="seconds")
    )


def test_nothing_of_the_callers_changes() -> None:
    threads, verbosity = torch.get_num_threads(), optuna.logging.get_verbosity()
    torch.set_num_threads(2)
    optuna.logging.set_verbosity(optuna.logging.INFO)
    torch.manual_seed(5)
    expected = torch.rand(3)
    np.random.seed(5)  # noqa: NPY002 (the caller's)
    expected_numpy = np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    try:
        hpsuite.fit(*SMALL, trials=2, **FEW)
        assert torch.get_num_threads() == 2
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
        assert torch.equal(torch.rand(3), expected)
        assert np.random.rand() == expected_numpy  # noqa: NPY002
    finally:
        torch.set_num_threads(threads)
        optuna.logging.set_verbosity(verbosity)


def _local() -> type[nn.Module]:
    class Local(nn.Module):
        pass

    return Local


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"trials": 0}, "budget.trials: found 0; accepted: greater than or equal to 1"),
        ({"dataset": "none"}, "dataset: found 'none'; accepted: "),
        (
            {"dataset": 3},
            "dataset: found 'one int'; accepted: an option's name, or a pair of inputs",
        ),
        ({"dataset": np.zeros((300, 3))}, "dataset: found 'one ndarray'; accepted: "),
        ({"dataset": ([[1, 2], [3]], [0, 1])}, "dataset: found what is no array "),
        ({"model": nn.Sequential(nn.ReLU())}, "model: found 'one Sequential'; accepted: "),
        ({"dataset": (1, 2, 3)}, "dataset: found 3 arrays; accepted: "),
        ({"dataset": ([[{}]], [0])}, "dataset: found arrays of objects; accepted: "),
        ({"dataset": ([[1.0]], [0])}, "dataset"),
        (
            {"model": 3},
            "model: found 'one int'; accepted: an option's name, or a function or class",
        ),
        ({"model": _local()}, "model: found '.*Local.*; accepted: a function or class at the top"),
        ({"model": lambda *shape: None}, "model: found .*lambda.*; accepted: a function or class"),
        ({"model": functools.partial(Narrow, (4,))}, "model: found .*; accepted: a partial with a"),
        ({"model": functools.partial(Narrow, wide=3)}, "model.wide: found no such key; accepted:"),
        ({"space": {}}, "space: found nothing to search; accepted: "),
        ({"space": {"rate": {"scale": "log", "low": 1, "high": 2}}}, "space.rate: found nothing"),
        ({"strategy": optuna.Study}, "strategy._target_: found 'optuna.study.study.Study'; acc"),
        ({"workers": 0}, "executor.workers: found 0; accepted: "),
        ({"epochs": 1, "steps": 1}, "budget: found both of epochs and steps"),
        ({"config_dir": "nowhere"}, "config_dir: found 'nowhere'; accepted: a folder"),
        ({"storage": "."}, "storage: found '.'; accepted: a file"),
    ],
    ids=without_address,
)
def test_mistakes_are_one_line(arguments: dict[str, object], line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}") as caught:
        hpsuite.fit(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not list(Path.cwd().iterdir())


def test_the_package_lends_what_the_library_has() -> None:
    assert {"fit", "Fit"} <= set(dir(hpsuite))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = hpsuite.nothing  # type: ignore[attr-defined]
