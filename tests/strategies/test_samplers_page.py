"""What docs/samplers.md shows works as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "samplers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language == "sh"]
# A block that begins with the name of a file is that file.
FILES = {
    text.splitlines()[0].removeprefix("# "): text
    for _, text in BLOCKS
    if re.match(r"# [\w/]+\.(py|yaml)\n", text)
}
SMALL = ("budget.trials=12", "budget.epochs=1", "repeats=1", "tracking=none", "executor=inline")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    """Run Python in a folder; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *arguments]
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_page_has_what_is_tested_here() -> None:
    assert set(FILES) == {
        "my_conf/strategy/nsga2.yaml",
        "my_conf/strategy/near_the_best.yaml",
        "my_conf/strategy/tpe_pruned.yaml",
        "my_registry/package/samplers/near_the_best/__init__.py",
    }
    assert len(PYTHON) == 3
    assert len(COMMANDS) == len(OFFLINE) + 1 == 3
    options = {path.stem for path in (REPOSITORY / "conf" / "strategy").glob("*.yaml")}
    assert set(re.findall(r"^\| `(\w+)` \|.*\|.*\|.*\|.*\|$", PAGE, flags=re.MULTILINE)) == options


@pytest.mark.parametrize("text", [text for text in PYTHON if text not in FILES.values()])
def test_code(text: str, tmp_path: Path) -> None:
    printed = run(tmp_path, "-W", "error", "-c", text)
    if "GridSampler" in text:
        lines = [line.split()[:2] for line in printed.splitlines()]
        assert lines == [
            ["GridSampler", "20"],
            ["ScaledRandomSampler", "20"],
            ["CoarseToFineSampler", "20"],
            ["StagedSampler", "20"],
        ]
        assert all("'layers': 3" in line for line in printed.splitlines())


COMMANDS = [text for text in SHELL if "-m hpsuite" in text]
OFFLINE = [text for text in COMMANDS if "strategy.ref=" not in text]


@pytest.mark.parametrize("text", OFFLINE)
def test_commands(text: str, folder: Path) -> None:
    python, *arguments = shlex.split(text)
    assert python == "python"
    assert "written" in run(folder, *arguments, *SMALL)


def test_a_file_gives_the_arm_its_name(folder: Path) -> None:
    arguments = ("-m", "hpsuite", "--config-dir", "my_conf", "name=mine", "strategy=near_the_best")
    assert "digits mlp near_the_best: 1 x 12" in run(folder, *arguments, *SMALL, "plan=true")


def test_a_file_with_a_pruner(folder: Path) -> None:
    arguments = ("-m", "hpsuite", "--config-dir", "my_conf", "name=mine", "strategy=tpe_pruned")
    assert "tpe_pruned" in run(folder, *arguments, *SMALL, "budget.epochs=3")
