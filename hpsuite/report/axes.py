"""Axes on hyperparameters' own scales: where a value stands, and which values are named.

A position is a number in which the axis is even: the logarithm of a learning rate, that of
1 / (1 - momentum), the index of a choice. Both libraries draw positions, so both show the same.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scale = Literal["linear", "log", "one_minus_log", "integer", "log_integer", "choice"]

_PAD = 0.03  # of an axis, beyond the outermost value
# So much of the range is shown beyond what values can be, so that a line along the end is seen.
_EDGE = 0.01


class Tick(NamedTuple):
    """A named place on an axis."""

    position: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    Attributes:
        label: what is measured, or the hyperparameter's name.
        unit: shown in brackets behind the label; empty where there is none.
        scale: as a hyperparameter's; values of a `choice` are indices into `choices`.
        low, high: the range to show, in values; None for that of the data.
        choices: the names of a choice's values.
        top: what `one_minus_log` measures from: 1, or 100 for an accuracy in percent. It has no
            place itself, and is shown at 99.9% of it.
        negated: whether values are a loss with its sign changed, so that higher is better; it is
            shown with its own sign. On a linear scale only.
    """

    label: str
    unit: str = ""
    scale: Scale = "linear"
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    top: float = 1.0
    negated: bool = False

    def __post_init__(self) -> None:
        assert self.scale == "linear" or not self.negated, self.label

    @property
    def bounds(self) -> tuple[float, float]:
        """Values that can be: a percentage lies between 0 and 100."""
        return (0.0, 100.0) if self.unit == "%" and not self.negated else (-math.inf, math.inf)

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def place(self, values: npt.ArrayLike) -> Floats:
        """Positions of values; nan for what has no place on the scale, such as 0 on a log."""
        found = np.asarray(values, np.float64)
        if self.scale in ("linear", "integer", "choice"):
            return found
        if self.scale == "one_minus_log":
            found = self.top - found
            found = np.where(found <= 0, 1e-3 * self.top, found)
        logs: Floats = np.log10(np.where(found > 0, found, np.nan))
        return -logs if self.scale == "one_minus_log" else logs

    def value(self, position: float) -> float:
        """The value at a position."""
        if self.scale in ("linear", "integer", "choice"):
            return position
        return (
            self.top - math.pow(10, -position)
            if self.scale == "one_minus_log"
            else math.pow(10, position)
        )

    def shown(self, value: float) -> float:
        """A value as a reader sees it."""
        return 0.0 - value if self.negated else value

    def limits(self, *values: npt.ArrayLike, pad: float = _PAD) -> tuple[float, float]:
        """First and last position to show: of `low` and `high`, else of the finite values, padded.

        Args:
            values: arrays of any shapes.
            pad: share of the range beyond an outermost value; 0 at an end that is given.
        """
        if self.scale == "choice":
            return -0.5, max(len(self.choices), 1) - 0.5
        places = np.concatenate([np.zeros(0), *(np.ravel(self.place(v)) for v in values)])
        places = places[np.isfinite(places)]
        low, high = (math.nan if end is None else float(self.place(end)) for end in self.ends)
        first = low if math.isfinite(low) else float(places.min()) if len(places) else 0.0
        last = high if math.isfinite(high) else float(places.max()) if len(places) else first + 1
        if last <= first:
            first, last = first - 0.5 * abs(first or 1), first + 0.5 * abs(first or 1)
        span = last - first
        least, most = (float(end) for end in self.place(self.bounds))
        return (
            first if math.isfinite(low) else max(first - pad * span, least - _EDGE * span),
            last if math.isfinite(high) else min(last + pad * span, most + _EDGE * span),
        )

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Low and high."""
        return self.low, self.high

    def ticks(self, first: float, last: float, most: int = 6) -> list[Tick]:
        """The places to name between two positions.

        Args:
            first, last: positions, first < last.
            most: about how many there is room for; a choice names all of its values.
        """
        if self.scale == "choice":
            return [Tick(float(i), name) for i, name in enumerate(self.choices)]
        if self.scale in ("linear", "integer"):
            whole = self.scale == "integer"
            return [Tick(v, show(self.shown(v))) for v in _even(first, last, most, whole=whole)]
        sign = -1.0 if self.scale == "one_minus_log" else 1.0
        low, high = sorted((sign * first, sign * last))
        logs = _logs(low, high, most, doubling=self.scale == "log_integer")
        if len(logs) < 2:  # less than half a decade: even steps of the value itself
            steps = _even(10.0**low, 10.0**high, most)
            logs = [math.log10(v) for v in steps if v > 0]
        return sorted(Tick(sign * log, show(self.value(sign * log))) for log in logs)

    def minor(self, first: float, last: float) -> list[float]:
        """Positions of 2, 3, ..., 9 times a power of ten, where there are few enough to see."""
        if self.scale not in ("log", "one_minus_log") or last - first > 7:
            return []
        sign = -1.0 if self.scale == "one_minus_log" else 1.0
        low, high = sorted((sign * first, sign * last))
        decades = range(math.floor(low), math.ceil(high) + 1)
        marks = (d + math.log10(m) for d in decades for m in range(2, 10))
        return sorted(sign * mark for mark in marks if low <= mark <= high)


def show(value: float) -> str:
    """A number as short as it can be: 0.001, 1e-6, 0.999, 4096."""
    if not math.isfinite(value):
        return "-"
    size = abs(value)
    if size != 0 and not 1e-4 <= size * (1 + 1e-9) < 1e6:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    return f"{value:.6g}" if size < 1e5 else f"{value:.0f}"


def _even(first: float, last: float, most: int, *, whole: bool = False) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten: at most `most`, at least two if it can."""
    span = last - first
    if not (math.isfinite(span) and span > 0):
        return [first]
    edge = 1e-9 * span
    for step in _steps(max(span / max(most, 1), float(whole))):
        if whole and step % 1:
            continue
        n_first, n_last = math.ceil((first - edge) / step), math.floor((last + edge) / step)
        if n_last - n_first + 1 <= most:
            return [float(f"{n * step:.12g}") for n in range(n_first, n_last + 1)]
    raise AssertionError((first, last, most))


def _steps(least: float) -> Iterator[float]:
    power = math.floor(math.log10(least))
    for exponent in range(power, power + 4):
        for factor in (1.0, 2.0, 2.5, 5.0):
            if factor * 10.0**exponent >= least * (1 - 1e-9):
                yield factor * 10.0**exponent


def _logs(low: float, high: float, most: int, *, doubling: bool) -> list[float]:
    """Logarithms to base ten to name: of powers of ten or two, or of 1, 2, 5 times those."""
    edge = 1e-9
    base = math.log10(2) if doubling and high - low <= math.log10(5000) else 1.0
    first, last = math.ceil((low - edge) / base), math.floor((high + edge) / base)
    whole = [n * base for n in range(first, last + 1)]
    decades = range(math.floor(low), math.ceil(high) + 1)
    marks = (d + math.log10(m) for d in decades for m in (1, 2, 5))
    finer = [mark for mark in marks if low - edge <= mark <= high + edge]
    if (base == 1 or len(whole) < 2) and len(finer) <= most:
        return finer
    return whole[:: -(-len(whole) // max(most, 1))]
