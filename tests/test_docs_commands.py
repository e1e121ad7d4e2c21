"""Every command of every page is one that hpsuite, make or a benchmark accepts."""

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from hpsuite.analyze import asks_for_analysis, parse_analysis
from hpsuite.checks import UserError
from hpsuite.compose import composed, crossed
from hpsuite.overrides import config_dir, into_matrix
from hpsuite.sync import asks_for_sync, parse_sync
from tests.docs_pages import NAMES, REPOSITORY, Command, commands, files

ALL = [command for page in NAMES for command in commands(page)]
# Flags of Hydra's that take a value, and those that answer by themselves.
VALUED = {"--config-dir", "--cfg", "--shell-completion"}
FLAGS = {"-m", "--help", "--hydra-help", "--version"}
# These fetch from the network.
FETCHES = ("strategy.ref=",)
EXAMPLE = REPOSITORY / "docs" / "example"


def once(found: list[Command]) -> list[Command]:
    """Each command once, by what it composes and where its files are."""
    own = {}
    for command in found:
        words = tuple(word for word in command.of_hpsuite or () if word != "plan=true")
        own.setdefault((words, command.page if "--config-dir" in words else ""), command)
    return list(own.values())


HPSUITE = once(
    [
        command
        for command in ALL
        if command.of_hpsuite is not None
        and not any(word.startswith(FETCHES) for word in command.words)
    ]
)


# Experiments of few cells; of the others a quick test composes that of the refusal alone.
FEW = ("analyze", "sync", "mine", "layer_norm")


def is_large(command: Command) -> bool:
    """Whether it has more cells to compose than a quick test has time for."""
    named = [word for word in command.words if word.startswith("+experiment=")]
    few = not named or named[0].removeprefix("+experiment=") in FEW
    return not (few or command.refusal)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, whose packages are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "my_project":
            del sys.modules[name]


def prepare(command: Command, folder: Path) -> None:
    """The files that a command needs: those of its page, or of the example."""
    own = files(command.page)
    for name, text in own.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if not own:
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)


def taken_apart(arguments: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Overrides, and flags with their values."""
    overrides: list[str] = []
    flags: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if word in VALUED:
            flags[word] = next(words)
        elif word.startswith("-") and word in FLAGS:
            flags[word] = ""
        else:
            assert not word.startswith("-"), word
            overrides.append(word)
    return overrides, flags


def accepted(command: Command, folder: Path) -> None:
    """Compose and check a command as `python -m hpsuite` does, up to where data is read."""
    arguments = command.of_hpsuite
    assert arguments is not None
    overrides, flags = taken_apart(arguments)
    if not overrides:
        assert flags
        return
    if "--config-dir" in flags:
        overrides.append(f"hydra.searchpath=[file://{folder / flags['--config-dir']}]")
    if "-m" in flags:
        overrides = [re.sub(r"=(\w+),.*", r"=\1", override) for override in overrides]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        asked = composed(into_matrix(overrides))
        if asks_for_analysis(asked.config):
            parse_analysis(asked.config, asked.overridden)
        elif asks_for_sync(asked.config):
            summary = Path("outputs", "quickstart", "earlier", "summary.json")
            summary.parent.mkdir(parents=True)
            shutil.copy(REPOSITORY / "results" / "quickstart" / "summary.json", summary)
            parse_sync(asked)
            shutil.rmtree("outputs")
        else:
            settings, arms = crossed(asked)
            assert settings.name
            assert arms


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, id=c.text, marks=[pytest.mark.slow] if is_large(c) else []) for c in HPSUITE],
)
def test_commands_of_hpsuite(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(r"oc\.env:(\w+)", command.text):
        monkeypatch.setenv(name, "secret")
    if "--config-dir" in command.words or "my_registry" in command.text:
        prepare(command, folder)
    before = sorted(folder.rglob("*"))
    if command.refusal:
        with pytest.raises(UserError) as caught:
            accepted(command, folder)
        assert f"hpsuite: {caught.value}" == command.refusal
    else:
        accepted(command, folder)
    assert [p for p in sorted(folder.rglob("*")) if "__pycache__" not in str(p)] == before


def test_commands_of_make() -> None:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE))
    for command in ALL:
        for word in command.of_make or ():
            name, is_variable, _ = word.partition("=")
            assert name in ({"ARGS", "PYTHON"} if is_variable else targets), command


class Parsed(Exception):
    """A benchmark has read its arguments."""


@pytest.fixture
def as_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a file of benchmarks/ were started: it imports the files beside it."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    names = {path.stem for path in (REPOSITORY / "benchmarks").glob("*.py")}
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    yield
    for name in names & set(sys.modules):
        del sys.modules[name]


@pytest.mark.parametrize(
    "words",
    sorted({command.of_benchmarks for command in ALL if command.of_benchmarks is not None}),
    ids=" ".join,
)
def test_commands_of_benchmarks(
    words: tuple[str, ...], as_script: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *arguments = words
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser, given: None = None) -> None:
        parse(parser, given)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    with pytest.raises(Parsed):
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


def test_other_modules_are_there() -> None:
    for command in ALL:
        if command.words[0] in ("python", ".venv/bin/python") and command.words[1:2] == ("-m",):
            name = command.words[2]
            if name.partition(".")[0] in ("docs", "benchmarks", "hpsuite"):
                path = REPOSITORY / name.replace(".", "/")
                assert path.is_dir() or path.with_suffix(".py").exists(), command


SMALL = (
    "budget.trials=4",
    "budget.epochs=1",
    "repeats=1",
    "tracking=none",
    "analysis.report=false",
)
OWN = [c for c in HPSUITE if c.page.startswith("docs/how-to/") and "--config-dir" in c.words]


@pytest.mark.slow
@pytest.mark.parametrize("command", [pytest.param(c, id=c.text) for c in OWN])
def test_what_a_page_builds_runs(command: Command, folder: Path) -> None:
    prepare(command, folder)
    arguments = command.of_hpsuite
    assert arguments is not None
    done = subprocess.run(
        [sys.executable, "-m", "hpsuite", *arguments, *SMALL, "executor=inline"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
