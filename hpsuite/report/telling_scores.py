"""How figures are shown: accuracies in percent and points, other scores as they are.

A loss enters the analysis with its sign changed, so that higher is better everywhere; here it gets
its own sign back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hpsuite.analysis import Interval
from hpsuite.analysis.best import POINT
from hpsuite.checks import show
from hpsuite.report.axes import Axis, Floats
from hpsuite.report.axes import show as shortest
from hpsuite.report.figures.intervals import FAR, Estimate, number
from hpsuite.report.view import Cell
from hpsuite.samples import Sample
from hpsuite.space import Hyperparameter
from hpsuite.trials import Scalar

_T = TypeVar("_T")

# What stands where there is no number.
NONE = "-"


@dataclass(frozen=True, slots=True)
class Scores:
    """How scores are shown.

    Attributes:
        name: what is measured ("validation accuracy").
        test_name: the same on test data.
        unit: what a point is in the score's unit; None for accuracies in [0, 1].
        higher_is_better: False where scores are a loss with its sign changed.
    """

    name: str = "validation accuracy"
    test_name: str = "test accuracy"
    unit: float | None = None
    higher_is_better: bool = True

    @classmethod
    def of(cls, sample: Sample, name: str) -> "Scores":
        """Those of a sample; `name` is what its scores are, where they are not accuracies."""
        if sample.unit is None:
            return cls()
        return cls(name, f"test {name}", sample.unit, sample.higher_is_better)

    @property
    def factor(self) -> float:
        """What a score or a distance is multiplied by where it is drawn."""
        return 1 / POINT if self.unit is None else 1.0

    @property
    def points(self) -> str:
        """The unit of distances, in the plural; empty where it is the score's own."""
        return "points" if self.unit is None else ""

    def axis(self, name: str = "") -> Axis:
        """An axis of scores; what is drawn on it is `drawn`."""
        if self.unit is None:
            return Axis(name or self.name, "%")
        better = "" if self.higher_is_better else "lower is better"
        return Axis(name or self.name, better, negated=not self.higher_is_better)

    def drawn(self, scores: npt.ArrayLike) -> Floats:
        """Scores in the unit of the axis, higher is better; nan for infinite ones."""
        values = np.asarray(scores, np.float64) * self.factor
        return np.where(np.isfinite(values) & (np.abs(values) < FAR), values, np.nan)

    def margin(self, e: float) -> float:
        """A distance of e points, as it is drawn."""
        return e if self.unit is None else e * self.unit

    def within(self, e: float) -> str:
        """How close e points are, in words."""
        if self.unit is None:
            return f"within {e:g} point{'' if e == 1 else 's'}"
        return f"within {self.margin(e):g}"

    def score(self, value: float) -> Cell:
        """A score, with its own sign."""
        if not math.isfinite(value):
            return Cell(NONE, math.nan)
        if self.unit is None:
            return Cell(f"{100 * value:.1f}%", 100 * value)
        own = value if self.higher_is_better else 0.0 - value
        return Cell(f"{own:.4g}", own)

    def score_interval(self, interval: Interval) -> Cell:
        """A score with its interval, with its own sign."""
        if self.unit is None:
            return percent(interval)
        sign = 1.0 if self.higher_is_better else -1.0
        ends = sorted((sign * interval.low, sign * interval.high))
        own = Estimate(sign * interval.estimate + 0.0, *ends)
        return Cell(own.text(), own.value)

    def distance(self, interval: Interval) -> Cell:
        """A distance between scores with its interval: points, or the score's own unit."""
        found = Estimate(*(self.factor * v for v in ends_of(interval)))
        return Cell(_with_one(found) if self.unit is None else found.text(), found.value)


def ends_of(interval: Interval) -> tuple[float, float, float]:
    """Estimate, low and high."""
    return interval.estimate, interval.low, interval.high


def estimate(interval: Interval, factor: float = 1.0) -> Estimate:
    """An interval as pictures take it."""
    value, low, high = (factor * v for v in ends_of(interval))
    return Estimate(value, low, high)


def percent(interval: Interval) -> Cell:
    """A share with its interval: 19.5% [13.6, 29.0]."""
    value = 100 * interval.estimate
    if not math.isfinite(value):
        return Cell(NONE, math.nan)
    ends = (100 * interval.low, 100 * interval.high)
    text = f"{value:.1f}%"
    if math.isfinite(ends[0]) and math.isfinite(ends[1]):
        text += f" [{ends[0]:.1f}, {ends[1]:.1f}]"
    return Cell(text, value)


def points(interval: Interval) -> Cell:
    """A difference of shares with its interval, in points, with its sign: +13.0 [+7.1, +19.2]."""
    found = estimate(interval, 100)
    return Cell(_with_one(found, signed=True), found.value)


def count(interval: Interval) -> Cell:
    """A number of trials with its interval; an end that the data leave open in words."""
    value, low, high = (_trials(v) for v in ends_of(interval))
    if value == NONE:
        return Cell(NONE, math.nan)
    return Cell(value if NONE in (low, high) else f"{value} [{low}, {high}]", interval.estimate)


def plain(value: float, text: str = "") -> Cell:
    """A number as it is."""
    return Cell(text or number(value), value)


def _trials(value: float) -> str:
    if math.isnan(value):
        return NONE
    return "open" if abs(value) >= FAR else f"{value:.1f}".removesuffix(".0")


def _with_one(found: Estimate, *, signed: bool = False) -> str:
    """An estimate with one decimal, as all points have."""
    return found.text(decimals=1, signed=signed)


def hyperparameter_axis(hyperparameter: Hyperparameter) -> Axis:
    """The axis of a hyperparameter, over its range and on its own scale."""
    if hyperparameter.choices is not None:
        names = tuple(_unquoted(choice) for choice in hyperparameter.choices)
        return Axis(hyperparameter.name, scale="choice", choices=names)
    scale = "log_integer" if hyperparameter.scale == "power_of_two" else hyperparameter.scale
    return Axis(hyperparameter.name, "", scale, hyperparameter.low, hyperparameter.high)


def placed(hyperparameter: Hyperparameter, value: Scalar) -> float:
    """A value of a hyperparameter on its axis."""
    if hyperparameter.choices is not None:
        return float(hyperparameter.choices.index(value))
    assert isinstance(value, int | float), value
    return float(value)


def range_words(hyperparameter: Hyperparameter) -> str:
    """A range in words: log, 0.0001 to 10."""
    if hyperparameter.choices is not None:
        return "one of " + ", ".join(_unquoted(choice) for choice in hyperparameter.choices)
    assert hyperparameter.low is not None
    assert hyperparameter.high is not None
    words = {
        "one_minus_log": "log of 1 - x",
        "log_integer": "integers on a log scale",
        "integer": "integers",
        "power_of_two": "powers of two",
    }
    scale = words.get(hyperparameter.scale, hyperparameter.scale)
    return f"{scale}, {shortest(hyperparameter.low)} to {shortest(hyperparameter.high)}"


def groups(items: Sequence[_T], most: int) -> list[Sequence[_T]]:
    """Items in order, at most so many together."""
    return [items[start : start + most] for start in range(0, len(items), most)]


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names as a list in words; of many, the first, and how many more there are."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _unquoted(value: Scalar) -> str:
    return value if isinstance(value, str) else show(value)
