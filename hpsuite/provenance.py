"""Versions, device and commit: what stands beside every figure."""

import hashlib
import inspect
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from hpsuite import __version__

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "optuna", "mlflow", "hydra-core", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of hpsuite, Python and the libraries that decide its results."""
    found = {"hpsuite": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


# Packages whose code is told by their versions (see `record.Provenance`).
_KNOWN = ("hpsuite", "optuna", "torch")


def code_digest(target: str) -> str | None:
    """SHA-256 of the file that defines a user's own function or class; None for ours and Optuna's.

    A model that was edited is another model, though its name is the same. What the file imports is
    not looked into; where there is no file, as in a notebook, the digest is that of no bytes.

    Args:
        target: a dotted name whose module has been imported; what identifies a sampler of
            OptunaHub holds its content already.
    """
    module = target.rpartition(".")[0]
    if ":" in target or module.partition(".")[0] in _KNOWN:
        return None
    try:
        file = inspect.getsourcefile(sys.modules[module])
        content = Path(file).read_bytes() if file is not None else b""
    except (KeyError, TypeError, OSError):  # a name within a class, a built-in module, no file
        content = b""
    return hashlib.sha256(content).hexdigest()


def own_code(target: str) -> dict[str, object]:
    """What the code of a user's own function or class adds to what decides a trial."""
    digest = code_digest(target)
    return {} if digest is None else {"code": digest}


def commit() -> str | None:
    """The commit of hpsuite's own source, with `-dirty` where it was changed; None outside git."""
    here = Path(__file__).resolve().parent
    try:
        said = subprocess.run(
            [
                "git",
                "-C",
                str(here),
                "describe",
                "--always",
                "--dirty",
                "--abbrev=12",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", "__init__.py"],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() if tracked.returncode == 0 else None


def device_name(device: "torch.device") -> str:
    """The device in words: `cpu (AMD EPYC)`."""
    if device.type == "cuda":
        import torch

        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({processor()})"


def processor() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
