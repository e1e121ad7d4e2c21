"""What is shown of comparisons: measures across, rows down, and where each row stands."""

import math
from dataclasses import dataclass

from hpsuite.report.axes import Axis
from hpsuite.report.figures.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Measure:
    """What one column shows.

    Attributes:
        axis: the statistic and its unit.
        null: its value without any effect: 0 for a difference, .5 for P(A better).
        zone: from where to where an effect is too small to matter; nan for none.
        less, more: what values below and above `null` mean; empty for nothing.
        signed: whether to write a plus before numbers.
    """

    axis: Axis
    null: float = 0.0
    zone: tuple[float, float] = (math.nan, math.nan)
    less: str = ""
    more: str = ""
    signed: bool = True

    @property
    def has_zone(self) -> bool:
        """Whether there is a zone."""
        return math.isfinite(self.zone[0]) and math.isfinite(self.zone[1])


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        label: what is compared.
        estimates: one for each measure; nan for one that cannot be computed.
        verdict: the word for it, and why where there is none; may be empty.
        primary: whether it was declared before the run to decide the claim.
        group: rows of one group stand under its name; empty for none.
    """

    label: str
    estimates: tuple[Estimate, ...]
    verdict: str = ""
    primary: bool = False
    group: str = ""


@dataclass(frozen=True)
class Differences:
    """Differences with intervals; rows of a group lie beside each other."""

    title: str
    measures: tuple[Measure, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def __post_init__(self) -> None:
        assert all(len(row.estimates) == len(self.measures) for row in self.rows), self.title


def note_of(data: Differences) -> str:
    """The note, with what the picture shows added to it."""
    said = [data.note] if data.note else []
    if any(measure.has_zone for measure in data.measures) and "Shaded:" not in data.note:
        said.append("Shaded: effects too small to matter.")
    if any(row.primary for row in data.rows):
        said.append("Filled, bold: declared before the run to decide the claim.")
    return " ".join(said)


def places_of(data: Differences, lines: int) -> tuple[list[float], list[tuple[float, str]], float]:
    """Heights of the rows and of the groups' names, and that of all, for rows of so many lines."""
    step = 0.55 + 0.45 * lines
    places, headings = [], []
    y, group = 0.0, ""
    for row in data.rows:
        if row.group != group:
            group = row.group
            if group:
                headings.append((y, group))
                y += 0.45 + 0.45 * step
        places.append(y)
        y += step
    return places, headings, y
