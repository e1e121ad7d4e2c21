"""The command line: what it prints, how it ends, and what it leaves behind."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hpsuite.__main__ import main
from hpsuite.overrides import config_dir
from tests.commands import Command, Ended, check_refused, names

# A whole experiment in a second: two arms of two trials.
SMALL = (
    "+experiment=quickstart",
    "model=mlp",
    "matrix.strategy=[random,log_random]",
    "budget.trials=2",
    "budget.steps=5",
    "repeats=1",
    "model.units=4",
    "executor=inline",
    "tracking=none",
)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "",
            "name: found nothing; accepted: +experiment=NAME for an experiment (analyze, batchno",
        ),
        (
            "+experiment=quickstart budget.trails=3",
            "budget.trails: found no such key; accepted in ",
        ),
        ("+experiment=quickstart +foo=1", "foo: found no such key; accepted: one of "),
        ("+experiment=nowhere", "experiment: found 'nowhere'; accepted: analyze, batchn"),
        (
            "experiment=quickstart",
            "experiment: found no +; accepted: +experiment=NAME (analyze, batchn",
        ),
        ("+experiment=quickstart model=nowhere", "model: found 'nowhere'; accepted: convnet"),
        ("+experiment=quickstart model=null", "model: found null; accepted: convnet, con"),
        ("+experiment=quickstart a=[1,", "a=[1,: cannot be read ("),
        ("name=one title=${foo}", "title: Interpolation key 'foo' not found; accept"),
        ("name=one seed=-1", "seed: found -1; accepted: greater than or equal to 0"),
        ("+experiment=quickstart seed=0,1", "seed: found several values; accepted: one, or -m to"),
        ("name=one optimizer.batch_size=2000", "optimizer.batch_size: found 2000; a"),
        ("name=one output_dir=/proc/none", "output_dir: found '/proc/none'; accept"),
        ("+experiment=quickstart matrix.model=3", "matrix.model: found 3; accepted: a list of one"),
        ("--nonsense", "unrecognized arguments: --nonsense; accepted: flags of --hydra-help"),
        ("seed=1 -c job name=x", "unrecognized arguments: name=x; accepted: flags of --hydra-"),
        ("--config-dir nowhere +experiment=quickstart", "--config-dir: found 'nowhere'; accepted"),
        ("--config-name nowhere +experiment=quickstart", "defaults: found 'nowhere'; accepted"),
        ("-m -c job +experiment=quickstart", "Only one of --run, --multirun, --cfg, --info and "),
        # With -m, all experiments are checked before the first is run.
        ("-m name=one seed=0,-1", "seed: found -1; accepted: greater than or equal"),
        ("-m name=one strategy=tpe,nowhere", "strategy: found 'nowhere'; accepted: "),
        (
            "-m +experiment=quickstart,nowhere",
            "experiment: found 'nowhere'; accepted: analyze, batchn",
        ),
        ("-m +experiment=quickstart model.units=interval(1,2)", "BasicSweeper does not support sw"),
        (
            "-m name=one optimizer.batch_size=32,2000",
            "optimizer.batch_size: found 2000; accepted: 1 to 1078",
        ),
    ],
)
def test_a_mistake_is_one_line(command: Command, arguments: str, line: str) -> None:
    check_refused(command(*arguments.split()), line)


BROKEN = {
    "syntax": ("name: x\n  matrix: [\n", "mapping values are not allowed here in "),
    "twice": ("name: x\nname: y\n", "while constructing a mapping in "),
    "unknown": ("name: x\nbudget: {trails: 3}\n", "budget.trails: found no such key; accepted: "),
    "scalar": ("name: x\nbudget: 3\n", "budget: found 3; accepted: the name of an option"),
    "nameless": (
        "title: x\n",
        "name: found nothing in experiment=nameless; accepted: name: NAME in its file, whose first "
        "line is # @package _global_",
    ),
    "list": ("- a\n", "experiment/list: found a list in the place of keys "),
    "choice": ("defaults: [override /dataset: nowhere]\n", "dataset: found 'nowhere'; accepted: a"),
    "both": ("name: x\nbudget: {steps: 3}\n", "budget: found both of epochs and steps; accepted"),
    "text": ("name: \xff\n", "found a configuration file that is not text ("),
    "cells": ("name: x\nmatrix: {model: mlp}\n", "matrix.model: found 'mlp'; accepted: a list of"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_mistake_in_a_file_is_one_line(command: Command, tmp_path: Path, kind: str) -> None:
    text, line = BROKEN[kind]
    folder = tmp_path / "own" / "experiment"
    folder.mkdir(parents=True)
    (folder / f"{kind}.yaml").write_text(f"# @package _global_\n{text}", encoding="latin-1")
    ended = command("--config-dir", str(tmp_path / "own"), f"+experiment={kind}")
    check_refused(ended, line)
    if kind in ("syntax", "twice"):
        assert f"{kind}.yaml" in ended.err


def test_help(command: Command) -> None:
    ended = command("--help")
    assert (ended.status, ended.err, ended.left) == (0, "", [])
    lines = ended.out.splitlines()
    # A group's options stand on one line, however many.
    groups = {path.name for path in config_dir().iterdir()}
    assert max(len(line) for line in lines if line.partition(":")[0] not in groups) <= 100
    # Our groups with all of their options, and none of Hydra's own.
    shown = dict(line.split(": ", 1) for line in lines if line.partition(":")[0].isidentifier())
    for group in config_dir().iterdir():
        if group.is_dir() and group.name != "hydra":
            assert shown[group.name].split(", ") == sorted(p.stem for p in group.glob("*.yaml"))
    assert "hydra/" not in ended.out


@pytest.mark.parametrize("arguments", ["--hydra-help", "--info", "--version"])
def test_hydras_own_flags(command: Command, arguments: str) -> None:
    ended = command(*arguments.split())
    assert (ended.status, ended.err, ended.left) == (0, "", [])
    assert ended.out


def test_the_configuration_can_be_shown(command: Command) -> None:
    ended = command("+experiment=quickstart", "seed=7", "-c", "job", "--resolve")
    assert (ended.status, ended.err, ended.left) == (0, "", [])
    shown = yaml.safe_load(ended.out)
    assert (shown["name"], shown["seed"], shown["data_dir"]) == ("quickstart", 7, "data")
    assert "hydra" not in shown


def test_several_runs_in_turn(command: Command) -> None:
    ended = command("-m", *SMALL, "seed=0,1")
    assert (ended.status, ended.err) == (0, "")
    assert ended.left == ["hpsuite.journal", "outputs"]
    assert names(Path("outputs")) == ["multirun", "quickstart"]
    assert len(list(Path("outputs").rglob("summary.json"))) == 2


def test_options_of_a_folder_of_ones_own(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "own" / "strategy"
    folder.mkdir(parents=True)
    (folder / "eager.yaml").write_text("defaults: [tpe, _self_]\nn_startup_trials: 1\n")
    own = ("--config-dir", str(tmp_path / "own"))
    ended = command(*own, *SMALL[:2], "strategy=eager", "plan=true", "repeats=1", "tracking=none")
    assert (ended.status, ended.err, ended.left) == (0, "", [])
    assert "digits mlp eager: 1 x 16 = 16 trials" in ended.out
    line = "strategy: found 'nowhere'; accepted: caviar, cmaes, coarse_to_fine, eager, gp, "
    check_refused(command(*own, "+experiment=quickstart", "strategy=nowhere"), line)


def test_the_report_repeats_where_the_options_are(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "my own" / "experiment"
    folder.mkdir(parents=True)
    shutil.copy(config_dir() / "experiment" / "quickstart.yaml", folder / "mine.yaml")
    given = ("--config-dir", str(tmp_path / "my own"), "+experiment=mine", *SMALL[1:])
    assert command(*given).status == 0
    (summary,) = (tmp_path / "here" / "outputs").glob("*/*/summary.json")
    assert shlex.split(json.loads(summary.read_text())["command"])[3:] == list(given)


def test_our_own_errors_keep_their_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("hpsuite.experiment.run_experiment", broken)
    monkeypatch.setattr(sys, "argv", ["hpsuite", *SMALL])
    with pytest.raises(RuntimeError, match="ours"):
        main()


def test_an_interrupt(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hpsuite.experiment.run_experiment", interrupted)
    ended = command("-m", *SMALL, "seed=0,1")
    assert (ended.status, ended.err) == (130, "")
    assert ended.out.count("interrupted") == 1


@pytest.mark.parametrize("arguments", [["+experiment=quickstart", "budget.trails=3"], []])
def test_as_a_process(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hpsuite", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr, names(tmp_path))
    check_refused(ended, "budget.trails: found no such key" if arguments else "name: found nothing")
