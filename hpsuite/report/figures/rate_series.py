"""What is shown of a setup over learning rates, and the line that is drawn through its scores."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.report.axes import Axis, Floats
from hpsuite.report.style import Look, look

TRAINED, AT_CHANCE, DIVERGED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class RateSeries:
    """One setup's scores.

    Attributes:
        name: the setup's.
        rates: shape [m], a sweep's learning rates in ascending order; or [n], one of each trial.
        scores: shape [m, s] for s seeds, nan where there is none; or [n]. Higher is better. A
            failed trial has its failure score.
        outcomes: of the shape of `scores`: 0 trained, 1 at chance, 2 diverged.
        good: ranges of rates whose score is good, in ascending order, each (low, high).
        open_low, open_high: whether the first range begins, and the last ends, only because the
            rates tried do.
        good_level: the least score that is good; nan where there is none.
        best_rate: the rate with the best score; nan where there is none.
        stable_rate: the largest rate that still trains; nan where there is none.
        width: the good range in words ("1.4 decades [1.2, 1.8]"); empty for none.
        number: of its look.
    """

    name: str
    rates: Floats
    scores: Floats
    outcomes: npt.NDArray[np.int8]
    number: int
    good: tuple[tuple[float, float], ...] = ()
    open_low: bool = False
    open_high: bool = False
    good_level: float = math.nan
    best_rate: float = math.nan
    stable_rate: float = math.nan
    width: str = ""

    def __post_init__(self) -> None:
        assert self.scores.shape == self.outcomes.shape, self.name
        assert self.scores.shape[:1] == self.rates.shape, self.name
        assert self.scores.ndim in (1, 2), self.name

    @property
    def is_sweep(self) -> bool:
        """Whether each rate was tried with several seeds; else its trials are a random sample."""
        return self.scores.ndim == 2

    @property
    def group(self) -> str:
        """What the browser calls all that is drawn of it."""
        return f"series-{self.number}"

    @property
    def look(self) -> Look:
        """How it is drawn."""
        return look(self.number)

    @property
    def failed(self) -> bool:
        """Whether any trial failed."""
        return bool((self.outcomes != TRAINED).any())

    def shares(self, outcome: int) -> Floats:
        """For each rate, the share of its seeds that came out so: shape [m] or [n]."""
        run = np.isfinite(self.scores)
        found = (self.outcomes == outcome) & run
        if not self.is_sweep:
            return np.where(found, 1.0, 0.0)
        return np.asarray(found.sum(axis=1) / np.maximum(run.sum(axis=1), 1), np.float64)


@dataclass(frozen=True, eq=False)
class Line:
    """A line through scores with a band around it; all of shape [m], x in positions, nan for gaps.

    `kind` says in words what line and band are; empty where there is no line.
    """

    x: Floats
    middle: Floats
    low: Floats
    high: Floats
    kind: str = ""


def line_of(series: RateSeries, rate: Axis) -> Line:
    """The line through a setup's scores, failed trials included.

    Of a sweep: the median of the seeds, and their range. Of a random sample: the median of a window
    of trials, and its quartiles.
    """
    x = rate.place(series.rates)
    if series.is_sweep:
        tried = np.isfinite(series.scores).any(axis=1)
        low, middle, high = np.full((3, len(x)), math.nan)
        if tried.any():
            low[tried] = np.nanmin(series.scores[tried], axis=1)
            middle[tried] = np.nanmedian(series.scores[tried], axis=1)
            high[tried] = np.nanmax(series.scores[tried], axis=1)
        seeds = series.scores.shape[1]
        kind = f"median and range of {seeds} seeds" if seeds > 1 else "one seed"
        return Line(x, middle, low, high, kind)
    seen = np.isfinite(series.scores) & np.isfinite(x)
    order = np.argsort(x[seen], kind="stable")
    x, scores = x[seen][order], series.scores[seen][order]
    window = max(7, len(x) // 10)
    if len(x) < 2 * window:  # too few to run over
        none = x[:0]
        return Line(none, none, none, none)
    middles = np.median(np.lib.stride_tricks.sliding_window_view(x, window), axis=1)
    views = np.lib.stride_tricks.sliding_window_view(scores, window)
    low, middle, high = np.quantile(views, (0.25, 0.5, 0.75), axis=1)
    return Line(middles, middle, low, high, f"running median and quartiles of {window} trials")
