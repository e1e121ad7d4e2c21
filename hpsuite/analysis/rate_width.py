"""How wide the range of good learning rates is, and how sure its edges are."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hpsuite.analysis.best import POINT, TIE
from hpsuite.analysis.checks import Floats
from hpsuite.analysis.intervals import Interval


@dataclass(frozen=True, slots=True)
class RateWidth:
    """The contiguous range of good rates around the best one, within the swept range.

    Attributes:
        margin: e, in the score's unit.
        width: decades from its lower to its upper edge.
        lower_edge, upper_edge: learning rates; the swept range's own end where the range is
            censored there.
        censored_low, censored_high: whether the range's end is good, so that the good rates may
            go on beyond it, and the width is a lower bound.
        islands: how many separate ranges of good rates there are; more than 1 means that `width`
            is not all.
        good_decades: decades of good rates, all islands together.
    """

    margin: float
    width: Interval
    lower_edge: Interval
    upper_edge: Interval
    censored_low: bool
    censored_high: bool
    islands: int
    good_decades: float


def rate_width(
    x: Floats, table: Floats, below: Floats, *, start: int, margin: float, level: float
) -> RateWidth:
    """The range of good rates around the best one.

    Args:
        x: shape [m], log10 of the rates, ascending.
        table: shape [m, s], scores.
        below: shape [m, s], the same minus each seed's own best.
        start: which rate is the best.
        margin: e, in the score's unit.
        level: confidence level, in (0, 1).
    """
    seeds = below.shape[1]
    # Scores tie with the line exactly, but for rounding; see TIE.
    tie = max(TIE * margin / POINT, 8 * float(np.spacing(np.abs(table).max())))
    steep = margin + tie
    typical = np.median(below, axis=1)
    # The best rate's own median may lie under the line where the line is as high as the curve.
    typical[start] = max(typical[start], -margin)
    sure = possible = np.full(len(x), math.nan)
    if seeds > 1:
        mean = below.mean(axis=1)
        half = stats.t.isf((1 - level) / 2, seeds - 1) * below.std(axis=1, ddof=1) / seeds**0.5
        sure, possible = np.minimum(mean - half, typical), np.maximum(mean + half, typical)
    typical, sure, possible = (
        np.where(np.abs(curve + margin) <= tie, -margin, curve)
        for curve in (typical, sure, possible)
    )
    inner_margin = margin - _hidden_peak(x, table.mean(axis=1), start)
    edges, censored = [], []
    for step in (-1, 1):
        edge, cell = _crossing(x, typical, start, -margin, step)
        if cell is not None and typical[cell] - typical[cell + step] > steep:
            edge = (x[cell] + x[cell + step]) / 2
        inner = outer = math.nan
        if seeds > 1:
            inner, cell = _crossing(x, sure, start, -inner_margin, step)
            if cell is not None and sure[cell] - sure[cell + step] > steep:
                inner = x[cell]
            outer, cell = _crossing(x, possible, start, -margin, step)
            if cell is not None and possible[cell] - possible[cell + step] > steep:
                outer = x[cell + step]
        edges.append((float(edge), float(inner), float(outer)))
        censored.append(bool(edge == x[-1 if step > 0 else 0]))
    (low, low_inner, low_outer), (high, high_inner, high_outer) = edges
    method = "where t over seeds leaves open whether the curve is within e of the best; approximate"
    if seeds == 1:
        method = "one seed: no interval"
    good = typical >= -margin
    return RateWidth(
        margin=margin,
        width=Interval(
            high - low,
            min(high_inner - low_inner, high - low),
            max(high_outer - low_outer, high - low),
            level,
            method,
        ),
        lower_edge=_edge(low, low_outer, low_inner, level, method),
        upper_edge=_edge(high, high_inner, high_outer, level, method),
        censored_low=censored[0],
        censored_high=censored[1],
        islands=int(good[0]) + int((good[1:] & ~good[:-1]).sum()),
        good_decades=_length_above(x, typical, margin, steep),
    )


def _edge(at: float, low: float, high: float, level: float, method: str) -> Interval:
    """An edge as a learning rate, from log10 of it."""
    return Interval(10**at, 10 ** min(low, at), 10 ** max(high, at), level, method)


def _crossing(
    x: Floats, curve: Floats, start: int, line: float, step: int
) -> tuple[float, int | None]:
    """Where a curve, followed from `start`, first falls below a line, and the cell before that.

    The start itself where it is below; the range's end, and no cell, where it never is.
    """
    i = start
    if curve[i] < line:
        return float(x[i]), None
    while 0 <= i + step < len(x):
        if curve[i + step] < line:
            share = (curve[i] - line) / (curve[i] - curve[i + step])
            return float(x[i] + share * (x[i + step] - x[i])), i
        i += step
    return float(x[i]), None


def _length_above(x: Floats, curve: Floats, margin: float, steep: float) -> float:
    """Decades at which a curve is at least -margin; half of a step in which it falls steeply."""
    total = 0.0
    for i in range(len(x) - 1):
        high, low = max(curve[i], curve[i + 1]), min(curve[i], curve[i + 1])
        if low >= -margin:
            total += x[i + 1] - x[i]
        elif high >= -margin:
            share = 0.5 if high - low > steep else (high + margin) / (high - low)
            total += share * (x[i + 1] - x[i])
    return float(total)


def _hidden_peak(x: Floats, y: Floats, start: int) -> float:
    """How much higher than at `start` a concave curve can be beside it; >= 0.

    Between two rates a concave curve lies below the lines through the pairs of rates to either
    side; where they meet is its highest.
    """
    most = 0.0
    for i in (start - 1, start):
        if not 0 <= i < len(x) - 1:
            continue
        width = x[i + 1] - x[i]
        rising = (y[i] - y[i - 1]) / (x[i] - x[i - 1]) if i >= 1 else math.inf
        falling = (y[i + 1] - y[i + 2]) / (x[i + 2] - x[i + 1]) if i + 2 < len(x) else math.inf
        if math.isinf(rising) and math.isinf(falling):
            continue
        if math.isinf(rising):
            peak = y[i + 1] + max(0.0, falling) * width
        elif math.isinf(falling):
            peak = y[i] + max(0.0, rising) * width
        elif rising + falling <= 0:
            continue
        else:
            at = min(width, max(0.0, (y[i + 1] + falling * width - y[i]) / (rising + falling)))
            peak = min(y[i] + rising * at, y[i + 1] + falling * (width - at))
        most = max(most, float(peak - y[start]))
    return most
