"""What a report says: plain values, in the units and words in which a reader sees them.

Computing is done before this, drawing and writing after it. All words may hold a user's names; they
are escaped where they are written. In prose, `backquotes` mark code.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.pictures import Data

Word = Literal[
    "supported",
    "contradicted",
    "no difference",
    "inconclusive",
    "tuning did not matter here",
    "did not train",
    "not computable",
]
# A sign for each, so that none is told by its colour alone.
SIGNS: Mapping[Word, str] = {
    "supported": "✓",
    "contradicted": "✗",
    "no difference": "=",
    "inconclusive": "?",
    "tuning did not matter here": "~",
    "did not train": "!",
    "not computable": "–",  # noqa: RUF001
}


def counted(number: str, unit: str) -> str:
    """A number with its unit, which is in the plural for any but 1."""
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}".strip()


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a claim in one cell.

    Attributes:
        cell: its name.
        word: the verdict.
        found: the estimate with its interval and unit, in words.
        n: the sample size.
        primary: whether the claim's verdict is this one.
    """

    cell: str
    word: Word
    found: str
    n: int
    primary: bool = False


@dataclass(frozen=True)
class Verdict:
    """A claim and what came of it.

    Attributes:
        claim: in words.
        word: the verdict.
        sentence: what was found, in words.
        statistic: what was measured, as a noun phrase.
        estimate: of the primary cell, in `unit`.
        unit: "points", "decades"; may be empty.
        n: the sample size in words ("256 paired configurations, as planned").
        smallest_effect: in `unit`, from `null`; nan for none.
        null: the statistic without any effect.
        level: the confidence level, in (0, 1).
        settles: for an inconclusive one, what would settle it; else empty.
        conditions: name to value.
        cells: all of them, the primary one first; empty where there is only that.
        declared: whether claim and effect were declared before the run.
    """

    claim: str
    word: Word
    sentence: str
    statistic: str
    estimate: Estimate
    unit: str
    n: str
    smallest_effect: float
    null: float = 0.0
    level: float = 0.95
    settles: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)
    cells: tuple[Judged, ...] = ()
    declared: bool = True

    @property
    def exceptions(self) -> tuple[Judged, ...]:
        """Cells that say the contrary, the primary one left out."""
        return tuple(c for c in self.cells if c.word == "contradicted" and not c.primary)

    @property
    def interval(self) -> str:
        """The estimate with its interval, in words."""
        if math.isnan(self.estimate.value):
            return "not computable"
        # A difference has a sign; a share has none.
        text = self.estimate.text(signed=self.null == 0 and math.isfinite(self.smallest_effect))
        return f"{text} {self.unit}" if self.unit else text

    @property
    def found(self) -> dict[str, str]:
        """What was measured, by name, in words."""
        found = {"measured": self.statistic, "found": self.interval, "n": self.n}
        if self.estimate.has_interval:
            found["found"] += f", at {100 * self.level:g}%"
        for cell in self.cells:
            if cell.primary:
                found["cell"] = cell.cell
        if math.isfinite(self.smallest_effect):
            found["smallest effect"] = counted(f"{self.smallest_effect:g}", self.unit)
        return found | ({"would settle it": self.settles} if self.settles else {})


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        name: of its file, in small letters, digits, - and _.
        data: what it shows, its title and its note among it.
        alt: what is to be seen in it, for those who cannot.
        caption: a sentence or two on how to read it; may be empty.
        by_hand: what can be done with it where it is interactive; may be empty.
        setup: the number of the only setup that it shows; None for one that shows several.
    """

    name: str
    data: Data
    alt: str
    caption: str = ""
    by_hand: str = ""
    setup: int | None = None

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name), self.name
        assert self.alt.strip(), self.name


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, and whether it holds numbers."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its words, and the number to sort it by (nan last); None to sort it by its words."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table; `note` says what its columns are."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.title


@dataclass(frozen=True, slots=True)
class Note:
    """A remark that must not be missed: what limits the figures above it."""

    text: str


Block = Picture | Table | Note


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and what follows them."""

    heading: str
    prose: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        experiment: its name.
        title: what it asks, in words.
        answers: what was found, a paragraph each; one is best.
        verdicts: first of all.
        sections: in order.
        conditions: under which all of it holds, name to value.
        versions: of the libraries, name to version.
        device, commit, created, took: in words; a commit may be unknown.
        command: what to type to repeat it, exactly.
        warnings: what a reader must know before anything else ("a quick run: ...").
    """

    experiment: str
    title: str
    answers: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    sections: tuple[Section, ...]
    conditions: Mapping[str, str]
    versions: Mapping[str, str]
    device: str
    commit: str
    created: str
    took: str
    command: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [picture.name for picture in self.pictures()]
        assert len(set(names)) == len(names), names

    def pictures(self) -> Iterator[Picture]:
        """All pictures, in order."""
        for section in self.sections:
            yield from (block for block in section.blocks if isinstance(block, Picture))
