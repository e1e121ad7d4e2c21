"""Hydra's overrides as text, and the folder that they choose from.

Without Hydra, torch or Optuna: the tab key must not wait for them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpsuite.checks import show


def config_dir() -> Path:
    """The folder conf/: inside an installed package, or beside it in a clone."""
    here = Path(__file__).resolve().parent
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parent / "conf"


# Keys of the configuration whose own keys are the user's: axes, and columns of a table.
OPEN = ("matrix.", "matrix=", "params.", "params=")


def into_matrix(overrides: Sequence[str]) -> list[str]:
    """Overrides that may add an axis to the matrix: `matrix.model=[...]` as `++matrix.model=[...]`.

    Or a column to those of an analysis. Hydra by itself would only let those be changed that are
    there.
    """
    return [f"++{text}" if text.startswith(OPEN) else text for text in overrides]


def as_typed(override: str) -> str:
    """An override as its user typed it (see `into_matrix`)."""
    bare = override.removeprefix("++")
    return bare if bare.startswith(OPEN) else override


def as_override(value: object) -> str:
    """A value of the matrix in Hydra's override grammar."""
    if isinstance(value, str):
        return "'" + value.replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ",".join(as_override(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_override(entry)}" for key, entry in value.items()) + "}"
    return show(value)
