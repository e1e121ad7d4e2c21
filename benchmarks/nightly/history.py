"""The nights before, and what of them counts as normal.

Old nights are thinned: their figures move into one file, rounded, a line a night.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchmarks.nightly.alarm import Value
from benchmarks.nightly.figures import Figure, part_of
from benchmarks.nightly.nights import (
    SUMMARY,
    Night,
    read_json,
    readable,
    write_json,
    write_text,
)

OLDER, ACCEPTED = "older.jsonl", "accepted.json"
# So many nights stay whole; of older ones the first of each week does, for a year; then that of
# each month. Nights that alarmed stay whole.
RECENT, A_YEAR = 60, 366
# A figure that so many nights had, and all of them, is missed.
MISSED_AFTER = 3
# Figures that do not depend on the machine.
_ANYWHERE = ("effect", "share")


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
    suspect: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class History:
    """The nights that ended, of a folder, from the first on.

    Raises:
        Unreadable: a file of the folder is damaged.
    """

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
                night.gone,
            )
            for night in self.nights
        ]
        self.past = sorted([*older, *own], key=lambda one: (one.started, one.name))
        self._places = {one.name: place for place, one in enumerate(self.past)}
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

    def _alike(self, figure: Figure, matrix: str, device: str) -> Iterator[Past]:
        """Nights whose values of a figure can be compared: speeds are those of one machine."""
        for night in self.past:
            same = figure.kind in _ANYWHERE or night.device == device
            if night.matrix == matrix and same and figure.name in night.figures:
                yield night

    def normal(self, figure: Figure, matrix: str, device: str) -> list[Past]:
        """The nights that tell what is normal for a figure: since the last new normal.

        Speeds are those of one kind of machine.
        """
        since = self._since(figure.name, matrix, "" if figure.kind in _ANYWHERE else device)
        begun = self._place(since)
        return [
            night
            for night in self._alike(figure, matrix, device)
            if self._place(night.name) >= begun
            and figure.name not in night.suspect
            and (figure.name not in night.moved or night.name == since)
        ]

    def values(self, figure: Figure, matrix: str, device: str) -> list[Value]:
        """Of those nights, where they can be judged."""
        own = [night.figures[figure.name] for night in self.normal(figure, matrix, device)]
        return [one.judged for one in own if one.judged is not None]

    def _place(self, name: str) -> int:
        """A night's number, from the first on; 0 for one that there is not."""
        return self._places.get(name, 0)

    def _since(self, figure: str, matrix: str, device: str) -> str:
        """The night of the last new normal of a figure; on any machine where none is named."""
        for one in reversed(self.accepted):
            here = one["matrix"] == matrix and device in ("", one["device"])
            if here and figure in one["figures"]:
                return str(one["night"])
        return ""

    def first_moved(self, figure: Figure, matrix: str, device: str) -> Past | None:
        """The first of the last nights in a row in which a figure was not normal."""
        normal = {night.name for night in self.normal(figure, matrix, device)}
        first = None
        for night in reversed([*self._alike(figure, matrix, device)]):
            if night.name in normal:
                break
            if figure.name in night.moved:
                first = night
        return first

    def missed(self, part: str, found: Set[str], matrix: str) -> list[str]:
        """Figures that the last nights of a part had, and that are not found now.

        They are missed until they come back, or until their absence is accepted.

        Args:
            part: that ran, and did not fail.
            found: figures that it has now.
            matrix: of the night.
        """
        nights = [
            night
            for night in self.past
            if night.matrix == matrix and any(part_of(name) == part for name in night.figures)
        ]
        had = {name for night in nights for name in night.figures if part_of(name) == part}
        missed = []
        for name in sorted(had - found):
            since = self._since(name, matrix, "")
            last = [
                name in night.figures
                for night in nights
                if self._place(night.name) >= self._place(since)
                and (name not in night.gone or night.name == since)
            ][-MISSED_AFTER:]
            if len(last) == MISSED_AFTER and all(last):
                missed.append(name)
        return missed

    def accept(self, reason: str, matrix: str) -> dict[str, Any]:
        """Take what the last night of a matrix found as the new normal; returns what is noted.

        Raises:
            LookupError: nothing moved in it, or it was accepted already.
        """
        own = [night for night in self.nights if night.matrix == matrix]
        if not own:
            raise LookupError("no night has ended")
        last = own[-1]
        if not last.moved and not last.gone:
            raise LookupError("nothing moved in the last night")
        if any(one["night"] == last.name for one in self.accepted):
            raise LookupError(f"what moved in {last.name} was accepted already")
        new = {
            "night": last.name,
            "commit": last.commit,
            "matrix": matrix,
            "device": last.device,
            "accepted": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": reason,
            "figures": [*(one.figure for one in last.moved), *last.gone],
        }
        self.accepted.append(new)
        write_json(self.folder / ACCEPTED, self.accepted)
        return new

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
    return read_json(path, Night.of_json)


_NOTED = ("night", "matrix", "device", "figures", "reason")


def _accepted(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return read_json(
        path, lambda rows: [{**row, **{key: row[key] for key in _NOTED}} for row in rows]
    )


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


def _older(path: Path) -> list[Past]:
    if not path.exists():
        return []
    return readable(path, lambda text: [_thinned(json.loads(line)) for line in text.splitlines()])


def _thinned(own: dict[str, Any]) -> Past:
    """The night of a line."""
    figures = {
        name: Figure(name, value=value, error=error, **dict(zip(_KEPT, rest, strict=True)))
        for name, (value, error, *rest) in own.pop("figures").items()
    }
    own["suspect"] = tuple(own["suspect"])
    del own["seeds"]  # for people
    return Past(**own, figures=figures, moved=())
