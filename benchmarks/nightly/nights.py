"""Nights that ended, as their summaries hold them, and the files of nights."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.nightly.figures import Figure, read

SUMMARY = "summary.json"
SCHEMA = 1
_MOST_SEED = 2**31 - 1

T = TypeVar("T")


class Unreadable(Exception):
    """A file of nights is not as a night writes it; the message says so in a line."""

    def __init__(self, path: Path, error: Exception) -> None:
        """Which file, and what was wrong with it."""
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        super().__init__(
            f"{path}: cannot be read ({reason}); accepted: a file as a night wrote it, from git or "
            "a backup, or none"
        )


@dataclass(frozen=True)
class Moved:
    """A figure that moved: what was normal, and since when it is not."""

    figure: str
    before: float
    noise: float
    nights: int
    after: float
    looks: int
    good_night: str
    good_commit: str
    first_night: str
    first_commit: str


@dataclass(frozen=True)
class Night:
    """A night that ended.

    Attributes:
        name: its date and commit, and a number where there were several.
        matrix: name and version of what was run.
        seeds: of each part, and of each time that it was run again.
        failed: why a part failed, by its name.
        gone: figures that each night before had and this one lacks.
    """

    name: str
    matrix: str
    commit: str
    started: str
    ended: str
    seconds: float
    device: str
    load: float
    versions: Mapping[str, str]
    seeds: Mapping[str, list[int]]
    figures: Mapping[str, Figure]
    moved: tuple[Moved, ...] = ()
    # Figures that were suspect at first and not confirmed: they did not move, and are not normal.
    suspect: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is to be told."""
        return not (self.moved or self.failed or self.gone)

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        plain = {**vars(self), "schema": SCHEMA}
        plain["figures"] = [figure.as_json() for figure in self.figures.values()]
        plain["moved"] = [vars(one) for one in self.moved]
        return plain

    @classmethod
    def of_json(cls, plain: Mapping[str, Any]) -> "Night":
        """The night of a summary.

        Raises:
            ValueError: it is of another schema.
        """
        own = dict(plain)
        if own.pop("schema", None) != SCHEMA:
            raise ValueError(f"schema {plain.get('schema')!r}, not {SCHEMA}")
        own["figures"] = {figure.name: figure for figure in read(own["figures"])}
        own["moved"] = tuple(Moved(**one) for one in own["moved"])
        return cls(**{**own, "gone": tuple(own["gone"]), "suspect": tuple(own["suspect"])})


def read_json(path: Path, make: Callable[[Any], T]) -> T:
    """What is made of the JSON of a file.

    Raises:
        Unreadable: it holds something else.
    """
    return readable(path, lambda text: make(json.loads(text)))


def readable(path: Path, make: Callable[[str], T]) -> T:
    """What is made of the text of a file.

    Raises:
        Unreadable: it holds something else.
    """
    try:
        return make(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unreadable(path, error) from error


def write_json(path: Path, content: object) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(scratch).chmod(0o644)
    Path(scratch).replace(path)


def seed_of(name: str, part: str, look: int) -> int:
    """A seed that no other night, part or repetition has."""
    digest = hashlib.sha256(f"{name}/{part}/{look}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _MOST_SEED
