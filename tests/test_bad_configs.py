"""Hundreds of wrong configurations of every group: one line each, status 2, nothing written.

The mistakes are drawn by Hypothesis from `wrong.py`, always the same ones. `make test` draws a few
of each group, `make test-all` 500.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hydra import initialize_config_dir
from hypothesis import HealthCheck, Phase, given, settings

from hpsuite.__main__ import run
from hpsuite.compose import compose_experiment
from hpsuite.overrides import config_dir
from tests.commands import Command, check_refused, names
from tests.wrong import GROUPS, OTHERS, Wrong, problem, valid, wrong

# Keys of no group are in several: so many of each, which are 800 together.
TOP = ("numerics", "analysis", *(name for name in OTHERS if name != "experiment"))
MAIN = (*(name for name in GROUPS if name not in TOP), "experiment")
NO_EXAMPLES = {
    "database": None,
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}

SLOW = pytest.mark.slow

Refused = Callable[[Wrong], str]


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Refused]:
    """What is wrong with how a mistake is refused, in an empty folder."""
    here, own = tmp_path / "here", tmp_path / "own" / "experiment"
    here.mkdir()
    own.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("HPSUITE_DATA", raising=False)

    def refused(mistake: Wrong) -> str:
        asked = ["name=x"]
        if mistake.file is not None:
            text = yaml.safe_dump(dict(mistake.file), allow_unicode=True)
            (own / "odd.yaml").write_text(f"# @package _global_\n{text}", encoding="utf-8")
            asked = ["+experiment=odd", f"hydra.searchpath=['file://{own.parent}']"]
        status = run([*asked, *mistake.overrides])
        said = problem(mistake, status, *capfd.readouterr())
        left = names(here)
        if said or left or names(tmp_path) != ["here", "own"]:
            return f"{said or 'something was written'}: {left} {mistake}"
        return ""

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield refused


def check(group: str, n: int, refused: Refused) -> None:
    """Draw mistakes of a group."""

    @settings(max_examples=n, **NO_EXAMPLES)
    @given(wrong(group))
    def each(mistake: Wrong) -> None:
        assert not (said := refused(mistake)), said

    each()


@pytest.mark.parametrize(("group", "n"), [*((g, 3) for g in MAIN), *((g, 2) for g in TOP)])
def test_a_few_mistakes(group: str, n: int, refused: Refused) -> None:
    check(group, n, refused)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "n"), [*((g, 500) for g in MAIN), *((g, 100) for g in TOP)])
def test_mistakes_of_every_group(group: str, n: int, refused: Refused) -> None:
    check(group, n, refused)


# What was found in this way, and mended: a traceback, two lines, one of thousands of characters, a
# run that began, another key, advice that does not help.
MENDED = {
    "budget.steps=1" + "0" * 30: "budget.steps: found 10000000000000000",
    "budget.trials=1" + "0" * 30: "budget.trials: found 1000000000000000",
    "repeats=1000000000": "repeats: found 1000000000; accepted: less than or equal to 10000",
    "executor.workers=1000000000": "executor.workers: found 1000000000; accepted: less than or equ",
    "strategy=tpe strategy.n_startup_trials=[[]]": "strategy.n_startup_trials: found [[]]; acc",
    "strategy=tpe_multivariate strategy.multivariate=x": "strategy.multivariate: found 'x'; ac",
    "model=../../x": "model: found '../../x'; accepted: convnet, ",
    "tracking='\n\\${'": "tracking: found '\\n${'; accepted: mlflow, none",
    "model=mlp,mlp_bn": "model: found several values; accepted: one, matrix.model=",
    "model=" + "x" * 256: "model: found 'xxxxxxx",
    "+executor." + "x" * 300 + "=1": "executor.xxxx",
    "title=\x1b[31m": "title=\\x1b[31m: cannot be read (",
    "title=a\nb": "title=a\\nb: cannot be read (",
    "left_out={a:1}": "left_out: found {a:1}; accepted: a list",
    "matrix.model=[mlp] matrix.model.units=[1,2]": "matrix.model.units: found an axis beside matr",
    "matrix.model.units=[1,2] matrix.model=[mlp]": "matrix.model.units: found an axis beside matr",
    "matrix.strategy=[random,tpe] strategy.n_startup_trials=3": (
        "strategy.n_startup_trials: found no such key; accepted in strategy: _target_, scale; of "
        "options of matrix.strategy: 'matrix={strategy: [...], strategy.n_startup_trials: [...]}'"
    ),
    "matrix={strategy:[random,tpe],strategy.n_startup_trials:[3]}": (
        "strategy.n_startup_trials: found no such key; accepted in strategy=random: _target_, scale"
    ),
}


@pytest.mark.parametrize("asked", MENDED, ids=lambda asked: ascii(asked[:50]))
def test_mended(asked: str, command: Command) -> None:
    check_refused(command("name=x", *asked.split(" ")), MENDED[asked])


def test_keys_of_the_options_of_an_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an axis beside that of their options."""
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        axes = "matrix={strategy:[tpe,tpe_univariate],strategy.n_startup_trials:[3]}"
        _, arms = compose_experiment(["name=x", axes])
    assert [dict(arm.strategy.arguments)["n_startup_trials"] for arm in arms] == [3, 3]


Ran = Callable[[list[str]], None]


@pytest.fixture
def ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Ran]:
    """Runs a valid configuration; what cannot be run is refused in one line before it began."""
    monkeypatch.chdir(tmp_path)

    def ran(asked: list[str]) -> None:
        status, (_, err) = run(["name=x", *asked]), capfd.readouterr()
        left = names(tmp_path)
        if status == 2:
            assert problem(Wrong((), ("",), ("",)), status, "", err) == "", (err, asked)
            assert left == [], asked
        else:
            assert status == 0, (err, asked)
            assert left == ([] if "plan=true" in asked else ["hpsuite.journal", "outputs"]), asked
        for name in left:
            path = tmp_path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        counts[status] = counts.get(status, 0) + 1

    counts: dict[int, int] = {}
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield ran
    # Most of what is drawn is right.
    assert sum(counts.values()) < 10 or counts[0] > 2 * counts.get(2, 0), counts


def check_valid(n: int, beside: list[str], ran: Ran) -> None:
    @settings(max_examples=n, **NO_EXAMPLES)
    @given(valid())
    def each(asked: list[str]) -> None:
        ran([*asked, *beside])

    each()


def test_a_few_that_are_right(ran: Ran) -> None:
    check_valid(2, ["plan=true"], ran)


@pytest.mark.slow
def test_many_that_are_right_are_planned(ran: Ran) -> None:
    check_valid(150, ["plan=true"], ran)


@pytest.mark.slow
def test_some_that_are_right_are_run(ran: Ran) -> None:
    check_valid(25, [], ran)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["budget.steps=" + "9" * 400], "budget.steps: found 999"),
        pytest.param(
            ["title=${nowhere}"], "title: Interpolation key 'nowhere' not found", marks=SLOW
        ),
        pytest.param(["storage=a\nb"], "storage=a\\nb: cannot be read", marks=SLOW),
        pytest.param(["name=\x1b[31m"], "name=", marks=SLOW),
    ],
)
def test_as_a_process(tmp_path: Path, arguments: list[str], line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hpsuite", "name=x", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    mistake = Wrong((), (line,), ("",))
    assert problem(mistake, done.returncode, done.stdout, done.stderr) == "", done.stderr
    assert names(tmp_path) == []
