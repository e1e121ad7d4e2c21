"""Files of runs in MLflow: a table of trials, a report, its pictures.

MLflow keeps files elsewhere than figures, and the one may work where the other does not: a full
disk, a proxy that refuses large bodies, a bucket without permission. So they are written last, what
could not be written is told and left to the next sync, and the run stays complete without it.

A run's tag `hpsuite.files` names what its files say. While that is what is wanted, they are not
written again; it is set when all of them are there.
"""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hpsuite.tracking.address import reason
from hpsuite.tracking.failures import OutOfTimeError, is_unanswered

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = "hpsuite.files"
# A store that fails so often is not asked for more: each time may take half a minute.
MOST_FAILURES = 3


@dataclass(frozen=True)
class Attached:
    """A file for a run.

    Attributes:
        source: where it is, or its text.
        says: names what it says; the same name, the same file. Two reports of the same figures say
            the same, though each bears the time of its writing.
    """

    source: Path | str
    says: str

    @classmethod
    def of(cls, source: Path | str) -> "Attached":
        """A file that says what its bytes are."""
        content = source.encode() if isinstance(source, str) else source.read_bytes()
        return cls(source, hashlib.sha256(content).hexdigest())


def attach(
    client: "MlflowClient",
    wanted: Mapping[str, Mapping[str, Attached]],
    there: Mapping[str, str],
) -> list[str]:
    """Bring the files of runs up to date.

    Args:
        client: MLflow's.
        wanted: files by their path among the run's artifacts, by run.
        there: what the tag of each run says; runs that are missing have no files yet.

    Returns:
        What could not be written and why, a line each.
    """
    failed: list[str] = []
    for run_id, files in wanted.items():
        says = _digest(files)
        if not files or there.get(run_id) == says:
            continue
        missing = False
        for path, file in files.items():
            if len(failed) >= MOST_FAILURES:
                return failed
            try:
                _write(client, run_id, path, file.source)
            except OutOfTimeError as error:
                return [*failed, f"{path}: {error}"]
            except Exception as error:  # noqa: BLE001 (stores raise unrelated types, all without harm)
                failed.append(f"{path}: {reason(error)}")
                if is_unanswered(error):
                    return failed
                missing = True
        if not missing:
            client.set_tag(run_id, FILES, says)
    return failed


def _write(client: "MlflowClient", run_id: str, path: str, source: Path | str) -> None:
    if isinstance(source, str):
        client.log_text(run_id, source, path)
        return
    place = PurePosixPath(path)
    folder = None if place.parent == PurePosixPath() else str(place.parent)
    if source.name == place.name:
        client.log_artifact(run_id, str(source), folder)
        return
    # MLflow takes the name from the file.
    with tempfile.TemporaryDirectory() as scratch:
        client.log_artifact(run_id, str(shutil.copy(source, Path(scratch) / place.name)), folder)


def _digest(files: Mapping[str, Attached]) -> str:
    said = sorted((path, file.says) for path, file in files.items())
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def table_json(table: Mapping[str, Sequence[object]]) -> str:
    """A table as MLflow's viewer reads it; JSON has no NaN and no infinity, so they become text.

    `MlflowClient.log_table` would keep only ten decimals: a weight decay of 1e-12 becomes 0.
    """

    def cell(value: object) -> object:
        value = plain(value)
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    rows = zip(*([cell(value) for value in column] for column in table.values()), strict=True)
    return json.dumps({"columns": list(table), "data": list(rows)}, allow_nan=False)


def plain(value: object) -> object:
    """A cell as JSON knows it: NumPy's scalars become Python's, and anything else text."""
    if hasattr(value, "item"):
        value = value.item()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
