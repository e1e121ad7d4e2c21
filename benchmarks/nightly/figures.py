"""Figures of a night: a number, its standard error within the night, and what counts as worse."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.nightly.alarm import PRIORS, Value

# What a name may have: the letters that MLflow takes in the names of metrics.
_NOT_IN_NAMES = re.compile(r"[^\w\-./ ]+")
_MOST_LETTERS = 240


@dataclass(frozen=True)
class Figure:
    """What a part of a night measured.

    Attributes:
        name: unique, and the same each night.
        kind: of noise, a key of `PRIORS`.
        value: as people read it.
        error: its standard error on the scale; None where the night cannot tell it, and the figure
            is shown and not judged.
        scale: `plain`, or `log` where ratios matter.
        unit: `points` for shares that are told in hundredths, `x` for ratios, a word, or "".
        worse: which direction is: down (-1), up (1), or either, which makes any change matter (0).
        looks: runs of its part that it is the mean of.
    """

    name: str
    kind: str
    value: float
    error: float | None
    scale: str = "plain"
    unit: str = ""
    worse: int = 0
    looks: int = 1

    def __post_init__(self) -> None:
        if self.kind not in PRIORS or self.scale not in ("plain", "log"):
            raise ValueError(f"figure {self.name!r}: kind {self.kind!r}, scale {self.scale!r}")

    @property
    def judged(self) -> Value | None:
        """On the scale on which it is judged."""
        if self.error is None or not self.error > 0 or not math.isfinite(self.value):
            return None
        if self.scale == "log":
            return Value(math.log(self.value), self.error) if self.value > 0 else None
        return Value(self.value, self.error)

    def text(self, value: float | None = None) -> str:
        """A value of it, its own by default, as it is written."""
        return told(self.value if value is None else value, self.unit)

    def change(self, before: float) -> str:
        """From another value to its own, as it is written: `-3.1 points`, `-18%`."""
        if self.scale == "log":
            return f"{self.value / before - 1:+.1%}"
        return told(self.value - before, self.unit, signed=True)

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def told(value: float, unit: str, *, signed: bool = False) -> str:
    """A value with its unit."""
    sign = "+" if signed else ""
    if unit == "points":
        return f"{100 * value:{sign}.2f} points"
    if unit == "x":
        return f"{value:{sign}.2f} x"
    return f"{value:{sign}.4g} {unit}".rstrip()


def named(*parts: str) -> str:
    """A figure's name, of the words of its parts."""
    text = " / ".join(part.strip().rstrip(".") for part in parts if part)
    return _NOT_IN_NAMES.sub(" ", text).replace("  ", " ").strip()[:_MOST_LETTERS]


def part_of(name: str) -> str:
    """The part of a night that a figure is of, by the figure's name."""
    return name.partition(" / ")[0]


def read(rows: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """Figures of JSON.

    Raises:
        TypeError, ValueError: it is of another schema.
    """
    return [Figure(**row) for row in rows]


def averaged(looks: Sequence[Figure]) -> Figure:
    """The mean of a figure over several runs of its part, on its own scale."""
    last = looks[-1]
    judged = [figure.judged for figure in looks]
    values = [value for value in judged if value is not None]
    if len(values) < len(looks):
        return last
    mean = sum(value.value for value in values) / len(values)
    error = math.sqrt(sum(value.error**2 for value in values)) / len(values)
    value = math.exp(mean) if last.scale == "log" else mean
    return replace(last, value=value, error=error, looks=len(looks))


def from_interval(low: float | None, high: float | None, level: float) -> float | None:
    """A standard error, half of a two-sided interval over its normal quantile; None without one."""
    from scipy.stats import norm

    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return None
    return float((high - low) / 2 / norm.isf((1 - level) / 2))
