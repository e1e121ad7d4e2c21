"""Nights: one in progress, those that ended, and what of them counts as normal.

A night in progress lies in a folder of its own under outputs/nightly, with the record of each part;
it is continued by the same command. When it ends, its summary goes to results/nightly, once.
Old nights are thinned: their figures move into one file, rounded, a line a night.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchmarks.nightly.alarm import Value
from benchmarks.nightly.figures import Figure, read
from hpsuite.provenance import versions

SUMMARY, STATE, OLDER, ACCEPTED = "summary.json", "night.json", "older.jsonl", "accepted.json"
SCHEMA = 1
# So many nights stay whole; of older ones the first of each week does, for a year; then that of
# each month. Nights that alarmed stay whole.
RECENT, A_YEAR = 60, 366
_MOST_SEED = 2**31 - 1


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
    def unfinished(
        cls, work: Path, matrix: str, commit: str, written: Set[str]
    ) -> "Progress | None":
        """The newest of this commit and these libraries that did not end; None without one.

        One whose summary is `written` was killed right after that, and has ended.
        """
        for path in sorted(work.glob(f"*/{STATE}"), reverse=True):
            state = json.loads(path.read_text(encoding="utf-8"))
            as_it_was = (state["matrix"], state["commit"], state["versions"], state["ended"])
            same = as_it_was == (matrix, commit, versions(), None)
            if same and state["name"] not in written:
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
        """It ended."""
        self._state["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.save()


@dataclass(frozen=True)
class Past:
    """A night before this one, as far as its figures go: whole, or thinned."""

    name: str
    started: str
    matrix: str
    commit: str
    device: str
    versions: Mapping[str, str]
    figures: Mapping[str, Figure]
    moved: tuple[str, ...]
    suspect: tuple[str, ...]


class History:
    """The nights that ended, of a folder, from the first on."""

    def __init__(self, folder: Path) -> None:
        """Read them."""
        self.folder = folder
        self.nights = [_night(path) for path in folder.glob(f"*/{SUMMARY}")]
        self.nights.sort(key=lambda night: (night.started, night.name))
        whole = {night.name for night in self.nights}
        # A night that is whole besides was killed while it was thinned.
        thinned = {one.name: one for one in _older(folder / OLDER)}
        older = [one for name, one in thinned.items() if name not in whole]
        own = [
            Past(
                night.name,
                night.started,
                night.matrix,
                night.commit,
                night.device,
                night.versions,
                night.figures,
                tuple(one.figure for one in night.moved),
                night.suspect,
            )
            for night in self.nights
        ]
        self.past = sorted([*older, *own], key=lambda one: (one.started, one.name))
        self.accepted = _accepted(folder / ACCEPTED)

    def new_name(self, commit: str, work: Path) -> str:
        """For a night of today."""
        stem = f"{datetime.now(UTC).date()}-{commit}"
        taken = {one.name for one in self.past} | {path.parent.name for path in work.glob("*/*")}
        taken |= {path.name for path in self.folder.glob("*")}
        name, n = stem, 1
        while name in taken:
            n += 1
            name = f"{stem}-{n}"
        return name

    def normal(self, figure: Figure, matrix: str, device: str) -> list[Past]:
        """The nights that tell what is normal for a figure: since the last new normal.

        Speeds are those of one kind of machine.
        """
        since = self._since(figure.name)
        start = next((i for i, night in enumerate(self.past) if night.name == since), 0)
        same = figure.kind in ("effect", "share")
        return [
            night
            for night in self.past[start:]
            if night.matrix == matrix
            and (same or night.device == device)
            and figure.name in night.figures
            and figure.name not in night.suspect
            and (figure.name not in night.moved or night.name == since)
        ]

    def values(self, figure: Figure, matrix: str, device: str) -> list[Value]:
        """Of those nights, where they can be judged."""
        own = [night.figures[figure.name] for night in self.normal(figure, matrix, device)]
        return [one.judged for one in own if one.judged is not None]

    def _since(self, figure: str) -> str | None:
        for one in reversed(self.accepted):
            if figure in one["figures"]:
                return str(one["night"])
        return None

    def first_moved(self, figure: str) -> Past | None:
        """The first of the last nights in a row in which a figure was not normal."""
        since, first = self._since(figure), None
        for night in reversed(self.past):
            strange = figure in night.moved or figure in night.suspect
            if night.name == since or (figure in night.figures and not strange):
                break
            if figure in night.moved:
                first = night
        return first

    def accept(self, reason: str) -> Night:
        """Take what moved in the last night as the new normal; returns that night.

        Raises:
            LookupError: nothing moved in it, or it was accepted already.
        """
        last = self.nights[-1] if self.nights else None
        if last is None or not last.moved:
            raise LookupError("nothing moved in the last night" if last else "no night has ended")
        figures = [one.figure for one in last.moved]
        if any(one["night"] == last.name for one in self.accepted):
            raise LookupError(f"what moved in {last.name} was accepted already")
        new = {
            "night": last.name,
            "commit": last.commit,
            "accepted": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": reason,
            "figures": figures,
        }
        self.accepted.append(new)
        write_json(self.folder / ACCEPTED, self.accepted)
        return last

    def thin(self, today: date) -> list[str]:
        """Move the figures of old nights into one file; returns the nights' names."""
        going = [night for night in self.nights if not self._stays(night, today)]
        if not going:
            return []
        path = self.folder / OLDER
        lines = path.read_text(encoding="utf-8") if path.exists() else ""
        lines += "".join(json.dumps(_compact(night)) + "\n" for night in going)
        write_text(path, lines)
        for night in going:
            (self.folder / night.name / SUMMARY).unlink()
            with contextlib.suppress(OSError):  # somebody keeps something else there
                (self.folder / night.name).rmdir()
        return [night.name for night in going]

    def _stays(self, night: Night, today: date) -> bool:
        if night in self.nights[-RECENT:] or not night.is_quiet:
            return True
        if any(one["night"] == night.name for one in self.accepted):
            return True
        age = (today - _date(night)).days
        mates = [one for one in self.nights if _period(one, age) == _period(night, age)]
        return mates[0] is night


def _period(night: Night, age: int) -> tuple[int, ...]:
    own = _date(night)
    return own.isocalendar()[:2] if age <= A_YEAR else (own.year, own.month)


def _date(night: Night) -> date:
    return date.fromisoformat(night.started[:10])


def _night(path: Path) -> Night:
    return Night.of_json(json.loads(path.read_text(encoding="utf-8")))


def _accepted(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


_KEPT = ("kind", "scale", "unit", "worse", "looks")


def _compact(night: Night) -> dict[str, Any]:
    """A thinned night: what history needs, to five digits."""
    return {
        "name": night.name,
        "started": night.started,
        "seeds": night.seeds,
        "matrix": night.matrix,
        "commit": night.commit,
        "device": night.device,
        "versions": night.versions,
        "suspect": night.suspect,
        "figures": {
            name: [_rounded(figure.value), _rounded(figure.error)]
            + [getattr(figure, key) for key in _KEPT]
            for name, figure in night.figures.items()
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _older(path: Path) -> Iterator[Past]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        own = json.loads(line)
        figures = {
            name: Figure(name, value=value, error=error, **dict(zip(_KEPT, rest, strict=True)))
            for name, (value, error, *rest) in own.pop("figures").items()
        }
        own["suspect"] = tuple(own["suspect"])
        del own["seeds"]  # for people
        yield Past(**own, figures=figures, moved=())
