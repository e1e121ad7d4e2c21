"""Hydra's overrides as text, and the folder that they choose from.

Without Hydra, torch or Optuna: the tab key must not wait for them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
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


def folders(overrides: Iterable[str]) -> list[str]:
    """Those of Hydra's own overrides that say where else there are options."""
    return [text for text in overrides if text.lstrip("+").startswith("hydra.searchpath=")]


def as_typed(override: str) -> str:
    """An override as its user typed it (see `into_matrix`)."""
    bare = override.removeprefix("++")
    return bare if bare.startswith(OPEN) else override


def without_backslashes(text: str) -> str:
    """A text of Hydra's grammar without the backslashes before signs."""
    return re.sub(r"\\(.)", r"\1", text)


def as_override(value: object) -> str:
    """A value of the matrix in Hydra's override grammar."""
    if isinstance(value, str):
        return f"'{_escaped(value)}'"
    if isinstance(value, list | tuple):
        return "[" + ",".join(as_override(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        entries = (f"{as_key(str(key))}:{as_override(entry)}" for key, entry in value.items())
        return "{" + ",".join(entries) + "}"
    return show(value)


def as_key(name: str) -> str:
    """A key within `{...}` on the command line, where spaces and signs have a backslash."""
    return re.sub(r"([\\\s()\[\]{}:=,])", r"\\\1", name)


def _escaped(text: str) -> str:
    """A text as it stands between single quotes, where it is no interpolation.

    A backslash is itself but before a quote, or before `${`.
    """
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), text)
