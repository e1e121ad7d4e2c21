"""Running a night: its parts in turn, what is suspect again with other seeds, and the summary."""

import functools
import math
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from benchmarks.measured import say
from benchmarks.nightly.alarm import Judgement, Value, judge
from benchmarks.nightly.figures import Figure, averaged, read
from benchmarks.nightly.history import History
from benchmarks.nightly.nights import SUMMARY, Moved, Night, seed_of, write_json
from benchmarks.nightly.parts import Part, PartFailed, code_commit
from benchmarks.nightly.progress import Progress
from hpsuite.provenance import processor, versions

# A figure has moved where so many runs of its part say so.
LOOKS = 3


class CodeChanged(Exception):
    """The checkout is another one than that which a night was begun with."""

    def __init__(self, begun: str, now: str) -> None:
        """From one commit to another."""
        super().__init__(
            f"this night is of commit {begun}, and the checkout is now at {now}; accepted: the "
            "former, checked out again, which continues it, or a new night"
        )


@dataclass
class Job:
    """A night being run."""

    progress: Progress
    parts: Mapping[str, Part]
    history: History
    matrix: str
    commit: str
    _cached: dict[str, list[Value]] = field(default_factory=dict)

    def run(self) -> Night:
        """Run what is missing, write the summary, and return the night."""
        self.progress.forget_failures()
        for part in self.parts:
            if not self.progress.looks(part):
                self._look(part)
        suspects = self._suspects(self.parts)
        at_first = set(suspects)
        for look in range(2, LOOKS + 1):
            doubtful = sorted(set(suspects.values()))
            for part in doubtful:
                if len(self.progress.looks(part)) < look:
                    say(f"{part}: suspect, so once more with another seed ({look} of {LOOKS})")
                    self._look(part)
            again = self._suspects(doubtful)
            suspects = {name: part for name, part in suspects.items() if name in again}
        night = self._night(suspects, at_first)
        write_json(self.history.folder / night.name / SUMMARY, night.as_json())
        return night

    def _look(self, part: str) -> None:
        """Run a part, once more where it was run before."""
        n_before = len(self.progress.looks(part))
        seed = seed_of(self.progress.name, part, n_before)
        folder = self.progress.folder / (f"{part}-{n_before + 1}" if n_before else part)
        begun = time.monotonic()
        found: dict[str, Any] = {"seed": seed}
        try:
            figures = self.parts[part].run(folder, seed)
            if (now := code_commit()) != self.commit:
                raise CodeChanged(self.commit, now)
            found |= {"figures": [figure.as_json() for figure in figures]}
        except PartFailed as error:
            found |= {"failed": str(error)}
        seconds = time.monotonic() - begun
        self.progress.add(part, seconds, found)
        said = found.get("failed") or f"{len(found['figures'])} figures"
        say(f"{part}: {said}, {seconds:.0f} s")

    def _figures(self, part: str) -> list[list[Figure]]:
        """Of each run of a part that did not fail."""
        return [read(one["figures"]) for one in self.progress.looks(part) if "figures" in one]

    def _suspects(self, parts: Iterable[str]) -> dict[str, str]:
        """The part of each figure that is suspect, and was in each run, in one direction."""
        found = {}
        for part in parts:
            looks = self._figures(part)  # of runs that did not fail: others are told
            judged = [self._judged(figures) for figures in looks]
            for figure in looks[0] if looks else ():
                own = [one[figure.name] for one in judged if figure.name in one]
                same = len({one.t > 0 for one in own}) == 1
                suspect = all(one.suspect(figure.worse) for one in own)
                if len(own) == len(looks) and same and suspect:
                    found[figure.name] = part
        return found

    def _judged(self, figures: Iterable[Figure]) -> dict[str, Judgement]:
        """Against the nights before; how noise spreads is told by all figures there are."""
        own = {one.name: one for one in figures}
        known = {**self._known(), **own}
        found = {name: one.judged for name, one in own.items()}
        return judge(
            {name: value for name, value in found.items() if value is not None},
            {name: self._values(one) for name, one in known.items()},
            {name: one.kind for name, one in known.items()},
        )

    def _known(self) -> dict[str, Figure]:
        """Figures of the nights before, as the last of them had each."""
        past = (night for night in self.history.past if night.matrix == self.matrix)
        return {name: one for night in past for name, one in night.figures.items()}

    def _values(self, figure: Figure) -> list[Value]:
        if figure.name not in self._cached:
            found = self.history.values(figure, self.matrix, machine())
            self._cached[figure.name] = found
        return self._cached[figure.name]

    def _night(self, moved: Collection[str], at_first: Collection[str]) -> Night:
        looks = {part: self.progress.looks(part) for part in self.parts}
        figures: dict[str, Figure] = {}
        for part in self.parts:
            by_name: dict[str, list[Figure]] = {}
            for one in self._figures(part):
                for figure in one:
                    by_name.setdefault(figure.name, []).append(figure)
            figures |= {name: averaged(own) for name, own in by_name.items()}
        failed = {
            part: str(one["failed"])
            for part, own in looks.items()
            for one in own
            if "failed" in one
        }
        return Night(
            name=self.progress.name,
            matrix=self.matrix,
            commit=self.commit,
            started=self.progress.started,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(self.progress.seconds),
            device=machine(),
            load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
            versions=versions(),
            seeds={part: [int(one["seed"]) for one in own] for part, own in looks.items()},
            figures=figures,
            moved=tuple(self._moved(figures[name]) for name in moved),
            suspect=tuple(sorted(set(at_first) - set(moved))),
            failed=failed,
            gone=tuple(
                name
                for part in self.parts
                if part not in failed
                for name in self.history.missed(part, set(figures), self.matrix)
            ),
        )

    def _moved(self, figure: Figure) -> Moved:
        judged = self._judged([figure])[figure.name]
        normal = self.history.normal(figure, self.matrix, machine())
        first = self.history.first_moved(figure, self.matrix, machine())
        before = math.exp(judged.mean) if figure.scale == "log" else judged.mean
        return Moved(
            figure=figure.name,
            before=before,
            noise=judged.noise,
            nights=judged.n,
            after=figure.value,
            looks=figure.looks,
            good_night=normal[-1].name,
            good_commit=normal[-1].commit,
            first_night=first.name if first else self.progress.name,
            first_commit=first.commit if first else self.commit,
        )


@functools.cache
def machine() -> str:
    """That speeds are of: processor, and GPU where there is one."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores of {processor()}{gpu}"
