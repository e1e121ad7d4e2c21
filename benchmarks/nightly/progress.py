"""A night in progress, in a folder of its own; the same command continues it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.nightly.nights import read_json, write_json
from hpsuite.provenance import versions

STATE = "night.json"


class Progress:
    """A night in progress, in its folder."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        """With what is known of it."""
        self.folder, self._state = folder, state

    @classmethod
    def begin(cls, work: Path, name: str, matrix: str, commit: str) -> "Progress":
        """A new one."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        state: dict[str, Any] = {"name": name, "matrix": matrix, "commit": commit, "started": now}
        state |= {"versions": versions()}
        begun = cls(work / name, {**state, "seconds": 0.0, "parts": {}, "ended": None})
        begun.save()
        return begun

    @classmethod
    def unfinished(cls, work: Path, matrix: str, commit: str) -> "Progress | None":
        """The newest of this commit and these libraries that did not end; None without one.

        Raises:
            Unreadable: a file of the folder is damaged.
        """
        asked = (matrix, commit, versions(), None)
        for path in sorted(work.glob(f"*/{STATE}"), reverse=True):
            found, state = read_json(path, _state)
            if found == asked:
                return cls(path.parent, state)
        return None

    def save(self) -> None:
        """Write what is known."""
        write_json(self.folder / STATE, self._state)

    @property
    def name(self) -> str:
        """The night's."""
        return str(self._state["name"])

    @property
    def started(self) -> str:
        """When it began."""
        return str(self._state["started"])

    @property
    def seconds(self) -> float:
        """That it took so far."""
        return float(self._state["seconds"])

    def looks(self, part: str) -> list[dict[str, Any]]:
        """What was found of a part so far: of each run `seed` and `figures`, or `failed`."""
        found: list[dict[str, Any]] = self._state["parts"].get(part, [])
        return found

    def add(self, part: str, seconds: float, look: Mapping[str, Any]) -> None:
        """Keep what a run of a part found."""
        self._state["parts"].setdefault(part, []).append(dict(look))
        self._state["seconds"] = self.seconds + seconds
        self.save()

    def forget_failures(self) -> None:
        """Parts that failed are run again when the night is continued."""
        for looks in self._state["parts"].values():
            looks[:] = [look for look in looks if "failed" not in look]

    def end(self) -> None:
        """It ended, and what it found was told."""
        self._state["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.save()


def _state(plain: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a night in progress is of, and all that is known of it."""
    return tuple(plain[key] for key in ("matrix", "commit", "versions", "ended")), plain
