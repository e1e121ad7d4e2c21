"""hpsuite as it is installed: configuration inside, a command, tab completion, from any folder."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from hpsuite import __version__

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("tracking=none", "budget.trials=2", "budget.epochs=1", "repeats=1", "model.units=4")


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    run(*pip, "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel, beside the libraries that are here."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--no-deps", "--target", site, wheel, cwd=site)
    return site


def test_what_the_wheel_holds(wheel: Path) -> None:
    assert wheel.name == f"hpsuite-{__version__}-py3-none-any.whl"
    inside = set(zipfile.ZipFile(wheel).namelist())
    conf = {f"hpsuite/conf/{path.relative_to(ROOT / 'conf')}" for path in _yaml(ROOT / "conf")}
    assert conf <= inside
    assert {name for name in inside if name.endswith(".yaml")} == conf
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "hpsuite").rglob("*.py")}
    assert code | {"hpsuite/py.typed"} <= inside
    assert {name.partition("/")[0] for name in inside} == {
        "hpsuite",
        f"hpsuite-{__version__}.dist-info",
    }


def _yaml(folder: Path) -> list[Path]:
    return list(folder.rglob("*.yaml"))


@pytest.mark.parametrize(
    "command", ["-m hpsuite", pytest.param("bin/hpsuite", marks=pytest.mark.slow)]
)
def test_it_runs_from_any_folder(installed: Path, tmp_path: Path, command: str) -> None:
    program = command.split() if command.startswith("-m") else [str(installed / command)]
    where = "import hpsuite.overrides; print(hpsuite.overrides.config_dir())"
    found = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(installed))
    assert found.strip() == str(installed / "hpsuite" / "conf")
    said = run(
        sys.executable,
        *program,
        "+experiment=quickstart",
        *SMALL,
        "matrix.strategy=[log_random]",
        cwd=tmp_path,
        PYTHONPATH=str(installed),
    )
    assert "written  outputs/quickstart/" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hpsuite.journal", "outputs"]


BASH = """
eval "$(hpsuite --shell-completion install=bash)"
complete_line() {
    COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=($1)
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMPREPLY=()
    hydra_bash_completion
    printf '%s\\n' "${COMPREPLY[@]}"
}
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hpsuite +experiment=", ["+experiment=quickstart"]),
        ("hpsuite model=", ["model=mlp", "model=mlp_bn"]),
        ("hpsuite +experiment=quickstart budget.", ["budget.trials=", "budget.epochs="]),
        ("hpsuite --config-dir conf model=g", ["model=gated"]),
        ("hpsuite --config-dir conf +experiment=m", ["+experiment=mine"]),
    ],
)
def test_tab_completion(installed: Path, line: str, offered: list[str]) -> None:
    """A real bash, with what `docs/install.md` says to put into its start-up file."""
    said = run(
        "bash",
        "--noprofile",
        "--norc",
        "-c",
        f"{BASH}\ncomplete_line '{line}'",
        cwd=ROOT / "docs" / "example",
        PYTHONPATH=str(installed),
        PATH=f"{installed / 'bin'}{os.pathsep}{os.environ['PATH']}",
    )
    assert set(offered) <= set(said.split())


@pytest.mark.slow
def test_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """`pip install` into an environment with nothing in it: minutes, and gigabytes."""
    venv.create(tmp_path / "empty", with_pip=True)
    program = tmp_path / "empty" / "bin"
    constraints = ROOT / "constraints.txt"
    run(program / "pip", "install", "--quiet", "-c", constraints, wheel, cwd=tmp_path)
    run(program / "pip", "check", cwd=tmp_path)
    folder = tmp_path / "any"
    folder.mkdir()
    said = run(program / "hpsuite", "name=any", *SMALL, cwd=folder, PYTHONPATH="")
    assert "written  outputs/any/" in said
    said = run(program / "python", "-m", "hpsuite", "name=any", *SMALL, cwd=folder, PYTHONPATH="")
    assert "10 of 10" in said or "2 of 2 trials are in the record already" in said
