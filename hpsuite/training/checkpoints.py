"""The states in which days ended, as files: one folder for each study, one file for each state.

A file that is missing, damaged, or of another day is no error: the day is trained again
(`batches.train`). Reading one runs no code (torch.load with weights_only).
"""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from hpsuite.training.states import State, check_sum, state_name
from hpsuite.trials import TrialSpec

SCHEMA = 1
_MOST_LETTERS = 150  # of a folder's name

_log = logging.getLogger(__name__)


class Checkpoints:
    """A folder of states; see `states.States`.

    Each file is written under another name and then given its own, so that it is whole or not
    there; it holds the hash of what it holds.
    """

    def __init__(self, folder: Path) -> None:
        """A folder, which is made with the first state."""
        self.folder = folder

    def load(self, spec: TrialSpec) -> State | None:
        """The state in which a day ended; None where it is missing or damaged."""
        path = self._path(spec)
        if not path.exists():
            return None
        try:
            return _read(path, state_name(spec))
        except DamagedError as error:
            _log.warning("%s: its days are trained again", error)
            return None

    def save(self, spec: TrialSpec, state: State) -> None:
        """Keep the state in which a day ended; one that cannot be written is trained again."""
        path = self._path(spec)
        content = {
            "schema": SCHEMA,
            "of": state_name(spec),
            "sum": check_sum(state),
            "state": dict(state),
        }
        half = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(content, half)
            half.replace(path)
        except (OSError, RuntimeError) as error:  # torch's own, where a disk is full
            _log.warning("checkpoint %s cannot be written: %s", path, error)
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)

    def keep(self, study: str, needed: Iterable[TrialSpec]) -> None:
        """Remove all of a study's states but those in which these days ended."""
        names = {self._path(spec).name for spec in needed}
        folder = self.folder / _folder(study)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in names:
                path.unlink(missing_ok=True)

    def remove(self, study: str) -> None:
        """Remove all of a study's states; with the last study goes the folder."""
        shutil.rmtree(self.folder / _folder(study), ignore_errors=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, spec: TrialSpec) -> Path:
        return self.folder / _folder(spec.study) / f"{state_name(spec)}.pt"


class DamagedError(Exception):
    """A checkpoint that does not hold what it says."""


def _read(path: Path, name: str) -> State:
    """The state that a file holds.

    Raises:
        DamagedError: one of another day or schema, or none at all.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        named = (found["schema"], found["of"], found["sum"])
        state: State = found["state"]
        expected = (SCHEMA, name, check_sum(state))
    except Exception as error:  # a damaged file may raise anything
        line = next(iter(str(error).splitlines()), "")
        raise DamagedError(
            f"checkpoint {path} is damaged ({type(error).__name__}: {line})"
        ) from error
    if named != expected:
        raise DamagedError(f"checkpoint {path} is damaged (it does not hold what it says)")
    return state


def _folder(study: str) -> str:
    """A study's name as a folder's; its end, which tells studies apart, stays."""
    return re.sub(r"[^\w.=-]+", "_", study)[-_MOST_LETTERS:]
