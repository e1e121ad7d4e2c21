"""Lines with bands, and which part of their range a panel shows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hpsuite.report.axes import Axis, Floats
from hpsuite.report.style import Look, look

# Marks on a line, so that greyscale can tell it; more would hide it.
MARKS = 7
# Scores after this share of the way set the axis, where it is not given.
SETTLED = 0.2
# Where the band of the lowest line would take so much more room than the lines, it is cut.
ROOM_FOR_BANDS = 1.0


@dataclass(frozen=True, eq=False)
class Curve:
    """One line with its band.

    Attributes:
        name: of the series, the same in all panels.
        number: of its look.
        x: shape [m], in ascending order.
        y, low, high: shape [m]; nan where unknown.
    """

    name: str
    number: int
    x: Floats
    y: Floats
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        assert self.x.shape == self.y.shape == self.low.shape == self.high.shape, self.name
        assert self.x.ndim == 1, self.name

    @property
    def group(self) -> str:
        """What the browser calls all that is drawn of it."""
        return f"series-{self.number}"

    @property
    def look(self) -> Look:
        """How it is drawn."""
        return look(self.number)


@dataclass(frozen=True)
class Level:
    """A level to compare with, such as the best that a setup can do; low and high where known."""

    label: str
    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Panel:
    """A panel of curves; the title is empty where there is only one."""

    title: str
    curves: tuple[Curve, ...]
    level: Level | None = None


@dataclass(frozen=True)
class Curves:
    """Panels of curves that share the horizontal axis; each has its own range of scores.

    Attributes:
        title, note: above and below the picture.
        x, y: the axes.
        panels: one or more.
        same_scores: whether all panels show the same range of scores.
    """

    title: str
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    same_scores: bool = False
    note: str = ""


def score_limits(data: Curves, panel: Panel) -> tuple[float, float]:
    """First and last position of the scores that a panel shows.

    From the lowest line, once it has settled, to the highest; a level has room.
    """
    panels = data.panels if data.same_scores else (panel,)
    lowest, highest = [], []
    for curve in (curve for each in panels for curve in each.curves):
        x, y = data.x.place(curve.x), data.y.place(curve.y)
        low, high = data.y.place(curve.low), data.y.place(curve.high)
        if not np.isfinite(y).any():
            continue
        settled = x >= x[0] + SETTLED * (x[-1] - x[0])
        settled = settled if np.isfinite(y[settled]).any() else np.isfinite(x)
        least, most = float(np.nanmin(y[settled])), float(np.nanmax(y))
        lowest.append(least)
        highest.append(most)
        seen = np.isfinite(low) & np.isfinite(high) & settled
        if seen.any():
            room = ROOM_FOR_BANDS * max(most - least, 1e-9)
            lowest.append(max(float(low[seen].min()), least - room))
            highest.append(float(high[seen].max()))
    known = [each.level.value for each in panels if each.level is not None]
    highest += [float(place) for place in data.y.place(known) if math.isfinite(place)]
    if not lowest:
        return data.y.limits()
    first, last = min(lowest), max(highest)
    span = (last - first) or 0.1 * abs(first) or 1.0
    low_end, high_end = (None if v is None else float(data.y.place(v)) for v in data.y.ends)
    first = first - 0.06 * span if low_end is None else low_end
    last = last + 0.06 * span if high_end is None else high_end
    # A little beyond what can be, so that a line along the end is seen.
    least, most = (float(place) for place in data.y.place(data.y.bounds))
    edge = 0.01 * (last - first)
    return max(first, least - edge), min(last, most + edge)


def levels(panels: Iterable[Panel]) -> list[str]:
    """What levels are called, each once."""
    found = (panel.level.label for panel in panels if panel.level is not None)
    return list(dict.fromkeys(found))


def distinct(panels: Iterable[Panel]) -> list[Curve]:
    """One curve of each name, in the order of their looks."""
    found = {curve.name: curve for panel in panels for curve in panel.curves}
    return sorted(found.values(), key=lambda curve: curve.number)


def note_of(data: Curves) -> str:
    """The note, which says so where a line or a band begins below the axis."""
    for panel in data.panels:
        first, _ = score_limits(data, panel)
        least = data.y.value(first)
        if any((curve.y < least).any() or (curve.low < least).any() for curve in panel.curves):
            return f"{data.note} Axes leave out the low scores of the start.".strip()
    return data.note


def marked(x: Floats, turn: int) -> list[int]:
    """Where a line has marks: evenly over the axis, a little apart from the last line's."""
    seen = np.flatnonzero(np.isfinite(x))
    if len(seen) <= MARKS:
        return [int(i) for i in seen]
    span = x[seen[-1]] - x[seen[0]]
    shift = (turn % 4) / (4 * MARKS)
    places = x[seen[0]] + span * (np.arange(MARKS) / MARKS + shift)
    return sorted({int(seen[np.abs(x[seen] - place).argmin()]) for place in places})
