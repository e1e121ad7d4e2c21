"""What a night consists of: commands, and the figures that are read from what each leaves."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.nightly import experiments
from benchmarks.nightly.figures import Figure, read

ROOT = Path(__file__).resolve().parents[2]
# Of the matrix: figures of two versions are not compared.
VERSION = "1"
CLAIMS = (
    "batchnorm_placement",
    "batchnorm_robustness",
    "bergstra_bengio_2012",
    "coarse_to_fine",
    "grid_vs_random",
    "importance_order",
    "ioffe_szegedy_2015",
    "panda_vs_caviar",
    "search_scale",
    "staleness",
)
# What a night measures, of the files of the checkout.
CODE = ("hpsuite", "conf", "benchmarks", "pyproject.toml", "constraints.txt")
_OUTPUT = "output.txt"


class PartFailed(Exception):
    """A part of the night ended with an error; the message says it in a line."""


@dataclass(frozen=True)
class Part:
    """A command of a night.

    Attributes:
        name: of the part, and of its folder.
        arguments: of Python; `{seed}` stands for the seed.
        read: figures, from the folder that it ran in.
        limit: seconds after which it is ended, and has failed.
    """

    name: str
    arguments: tuple[str, ...]
    read: Callable[[Path], list[Figure]]
    limit: float = 3600.0

    def run(self, folder: Path, seed: int) -> list[Figure]:
        """Run it in a folder, or go on there, and read its figures.

        Raises:
            PartFailed: it ended with an error, or left something else than expected.
        """
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / _OUTPUT
        command = [sys.executable, *(one.format(seed=seed) for one in self.arguments)]
        with log.open("wb") as file:
            running = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                close_fds=False,  # it holds the lock of its night, for as long as it runs
            )
            try:
                status = running.wait(self.limit)
            except subprocess.TimeoutExpired:
                _let_end(running)
                raise PartFailed(f"it ran for more than {self.limit:g} s and was ended") from None
            except BaseException:  # an interrupt, which the command has got too
                _let_end(running)
                raise
        if status != 0:
            raise PartFailed(f"{_ended(status)}: {_last_line(log)}")
        try:
            found = self.read(folder)
            _check(found)
        except Exception as error:
            raise PartFailed(
                f"what it left cannot be read ({type(error).__name__}: {error})"
            ) from error
        return found


def _check(figures: Sequence[Figure]) -> None:
    """Figures have names of their own, and values that are numbers.

    Raises:
        ValueError: they have not.
    """
    names = [figure.name for figure in figures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several figures are named {twice[0]!r}")
    for figure in figures:
        if not math.isfinite(figure.value) or not math.isfinite(figure.error or 0.0):
            raise ValueError(f"{figure.name!r} is {figure.value} +- {figure.error}")


def code_commit() -> str:
    """The commit of this checkout; with `-dirty-` and a hash where what is measured was changed."""
    named = git("describe", "--always", "--abbrev=12", "--exclude=*").strip() or "unknown"
    changed = git("status", "--porcelain", "--", *CODE)
    if not changed:
        return named
    content = git("diff", "HEAD", "--", *CODE) + changed
    return f"{named}-dirty-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def git(*arguments: str) -> str:
    """What git says of this checkout; nothing where it is none."""
    try:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _environment() -> dict[str, str]:
    """Hpsuite of this checkout, whichever is installed; one thread a process."""
    data = os.environ.get("HPSUITE_DATA", str(ROOT / "data"))
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "HPSUITE_DATA": str(Path(data).resolve()),
        "OMP_NUM_THREADS": "1",
    }


def _let_end(running: "subprocess.Popen[bytes]") -> None:
    try:
        running.send_signal(signal.SIGINT)
        running.wait(30)
    except subprocess.TimeoutExpired:
        pass
    finally:  # another interrupt, too
        running.kill()
        running.wait()


def _ended(status: int) -> str:
    return f"exit status {status}" if status > 0 else f"killed by signal {-status}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"


def _experiment(
    name: str, overrides: Sequence[str], figures: Callable[[Path], list[Figure]]
) -> Part:
    """An experiment of hpsuite's, with a record in its own folder."""
    fixed = ("tracking=none", "analysis.report=false", "storage=hpsuite.journal")
    given = ("-m", "hpsuite", f"+experiment={name}", "seed={seed}", "output_dir=outputs")
    return Part(
        name,
        (*given, *fixed, *overrides),
        lambda folder: figures(experiments.newest(folder / "outputs")),
    )


def _measurement(name: str, module: str, *options: str) -> Part:
    """A benchmark, which writes its figures itself."""
    arguments = ("-m", f"benchmarks.nightly.{module}", "--output", "figures.json", *options)
    return Part(
        name, arguments, lambda folder: read(json.loads((folder / "figures.json").read_text()))
    )


def whole() -> dict[str, Part]:
    """The parts of a night, by name; with rows of the GPU's where there is one."""
    found = [
        _experiment("controls", (), experiments.controls),
        *(_experiment(name, ("tier=quick",), experiments.claims) for name in CLAIMS),
        _measurement("speed", "speed"),
        _measurement("overhead", "overheads"),
    ]
    if torch.cuda.is_available():
        found.append(_measurement("speed_gpu", "speed", "--device", "cuda"))
    return {part.name: part for part in found}


def small() -> dict[str, Part]:
    """A night of minutes, for tests of the job itself: 768 configurations, digits' speed."""
    found = [
        _experiment("controls", ("repeats=4",), experiments.controls),
        _measurement("speed", "speed", "--networks", "digits", "--rounds", "7"),
    ]
    return {part.name: part for part in found}


MATRICES: Mapping[str, Callable[[], dict[str, Part]]] = {"whole": whole, "small": small}
