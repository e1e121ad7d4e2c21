"""Claims declared before a run, and what their verdicts hold. `verdicts.py` judges them."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from hpsuite.analysis.checks import checked_number
from hpsuite.analysis.intervals import Interval

Direction = Literal["greater", "less", "equivalent", "not_less"]
Finding = Literal[
    "supported",
    "contradicted",
    "no difference",
    "inconclusive",
    "tuning did not matter here",
    "did not train",
]
# An end that the data do not give: as far out as a float goes, so that every number is finite.
FAR = sys.float_info.max
# Smallest effects that matter, where a claim has no reason for another, by kind of statistic and
# in its unit. Good fraction: at 256 paired configurations the interval reaches 5 points or so.
# Learning-rate width: one step of the sweep. P(A better): 6 of 10 repeats won. An effect below .6
# standard errors of its statistic would let an A/A comparison come out wrong more than 1% of the
# time, so the area under a curve that starts at chance, and is noisier, asks for more.
SMALLEST_EFFECTS: Mapping[str, float] = {
    "good fraction": 0.05,
    "accuracy": 0.005,
    "area under the accuracy curve": 0.02,
    "learning-rate width in decades": 0.2,
    "probability better": 0.1,
    "normalised score": 0.02,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed, declared before the run.

    Attributes:
        text: the claim in words.
        statistic: what is measured, as a noun phrase ("good fraction within 2 points, batch norm
            minus none").
        direction: `greater` and `less` than `null`, `equivalent` to it, or `not_less`: greater, or
            less by no more than the smallest effect (non-inferiority).
        smallest_effect: the smallest distance from `null` that would matter, > 0, in the
            statistic's unit.
        primary: the cell whose verdict is the claim's.
        n: its planned sample size, >= 1, from a power calculation (`power.py`).
        alpha: 1 - the confidence level of the primary cell, and of the others together; in (0, 1).
        null: the statistic without effect: 0 for a difference, .5 for P(A better).
        unit: for sentences, in the plural ("points"); may be empty.
        factor: what the statistic is multiplied by to be shown in `unit` (100 for points of a
            share), > 0.

    Raises:
        ValueError: for arguments outside these ranges.
    """

    text: str
    statistic: str
    direction: Direction
    smallest_effect: float
    primary: str
    n: int
    alpha: float = 0.05
    null: float = 0.0
    unit: str = ""
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            found = repr(self.direction)
            accepted = ", ".join(get_args(Direction))
            raise ValueError(f"direction must be one of {accepted}; found {found}")
        for name in ("smallest_effect", "factor"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be a finite number > 0; found {value}")
        checked_number("null", self.null)
        if self.n < 1:
            raise ValueError(f"n must be 1 or more; found {self.n}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be in (0, 1), 0.05 for 95%; found {self.alpha}")


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured under one set of conditions.

    Attributes:
        n: sample size: configurations, repeats or seeds, as the statistic counts them.
        interval_at: the statistic's interval at a confidence level. It is called with several
            levels, and must give equal intervals for equal levels: a bootstrap makes its
            generator anew in each call.
        trained: False where a setup of the cell did not train.
        all_good: True where all of the space is good in each setup of the cell (`whole_space`).
        bounds: what the statistic can be at all; an end that the data do not give is put there.
    """

    n: int
    interval_at: Callable[[float], Interval]
    trained: bool = True
    all_good: bool = False
    bounds: tuple[float, float] = (-FAR, FAR)


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """One cell's verdict; all numbers are finite.

    Attributes:
        verdict: see the module.
        estimate, low, high: of the statistic, in its unit.
        level: the confidence level that the cell was judged at: above 1 - alpha where it was one
            of several.
        n: sample size.
        settles_at: for an inconclusive one, the sample size that would settle it (`settling_size`);
            None where 100,000 would not.
        note: why the interval says nothing, where it does not; else empty.
    """

    verdict: Finding
    estimate: float
    low: float
    high: float
    level: float
    n: int
    settles_at: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim's verdict, that of its primary cell; all numbers are finite.

    Attributes:
        claim, statistic, direction, smallest_effect: as declared.
        verdict, estimate, low, high, level, n, settles_at, note: of the primary cell.
        planned_n: its declared sample size.
        conditions: under which it was found (range, budget, optimizer form, depth, ...).
        primary: the name of the primary cell.
        exceptions: names of other cells that contradict the claim.
        cells: all verdicts by cell, the primary one included.
        sentence: all of it in words.
        null, unit, factor: as declared.
    """

    claim: str
    statistic: str
    direction: Direction
    smallest_effect: float
    verdict: Finding
    estimate: float
    low: float
    high: float
    level: float
    n: int
    planned_n: int
    settles_at: int | None
    note: str
    conditions: Mapping[str, str]
    primary: str
    exceptions: tuple[str, ...]
    cells: Mapping[str, CellVerdict] = field(repr=False)
    sentence: str
    null: float = 0.0
    unit: str = ""
    factor: float = 1.0
