"""Estimates with their intervals, as dots on lines: what all tables of estimates share."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis, show
from hpsuite.report.figures import browser
from hpsuite.report.style import MARK_SIZE, PAPER, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Ends as far out as this are where the data do not give one.
FAR = 1e300


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its interval, in the unit that is shown.

    `low` and `high` are nan where there is no interval; infinite, or as far out as a float goes,
    where the data leave it open to that side.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known, be they infinite."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def inside(self) -> list[float]:
        """The numbers of it that an axis can show."""
        return [v for v in (self.low, self.value, self.high) if math.isfinite(v) and abs(v) < FAR]

    @property
    def decimals(self) -> int | None:
        """As many as two digits of its half width need; None where there is none."""
        widths = [abs(end - self.value) for end in (self.low, self.high)]
        widths = [w for w in widths if math.isfinite(w) and 0 < w < FAR]
        return max(0, 1 - math.floor(math.log10(1.25 * max(widths)))) if widths else None

    def text(self, *, signed: bool = False, decimals: int | None = None) -> str:
        """In words: 2.3 [-6.7, 14.0]; in so many decimals, else as its interval needs."""
        digits = self.decimals if decimals is None else decimals
        value, low, high = (
            number(v, decimals=digits, signed=signed) for v in (self.value, self.low, self.high)
        )
        return f"{value} [{low}, {high}]" if self.has_interval else value


def number(value: float, *, decimals: int | None = None, signed: bool = False) -> str:
    """A number in so many decimals, else in three digits; an open end in words."""
    if math.isnan(value):
        return "-"
    if abs(value) >= FAR:
        return "open"
    if decimals is None or abs(value) >= 1e7 or decimals > 7:
        text = show(float(f"{value:.3g}"))
    else:
        text = f"{value:.{decimals}f}"
    text = text.removeprefix("-") if not any(c in "123456789" for c in text) else text
    return f"+{text}" if signed and value > 0 and not text.startswith("-") else text


def draw_interval(
    axes: "Axes",
    y: float,
    estimate: Estimate,
    limits: tuple[float, float],
    look: Look,
    *,
    strong: bool = True,
) -> None:
    """A line from low to high with a dot at the estimate; arrows where it leaves the axis."""
    if not math.isfinite(estimate.value):
        return
    first, last = limits
    if estimate.has_interval:
        low, high = max(estimate.low, first), min(estimate.high, last)
        width = 2.4 if strong else 1.4
        axes.plot([low, high], [y, y], color=look.color, linewidth=width, solid_capstyle="butt")
        for end, edge, arrow in ((estimate.low, first, "<"), (estimate.high, last, ">")):
            outside = end < first if arrow == "<" else end > last
            axes.plot(
                edge if outside else end,
                y,
                marker=arrow if outside else "|",
                markersize=6 if outside else 5 + 2 * strong,
                markeredgewidth=0 if outside else width * 0.6,
                color=look.color,
                clip_on=False,
            )
    if first <= estimate.value <= last:
        axes.plot(
            estimate.value,
            y,
            marker=look.marker,
            markersize=MARK_SIZE + (2.5 if strong else 1.5),
            markerfacecolor=look.color if strong else PAPER,
            markeredgecolor=PAPER if strong else look.color,
            markeredgewidth=0.8 if strong else 1.2,
            clip_on=False,
            zorder=5,
        )


def interval_traces(
    y: float,
    estimate: Estimate,
    limits: tuple[float, float],
    look: Look,
    text: str,
    *,
    strong: bool,
) -> list[browser.Spec]:
    """The same for the browser; `text` shows under the pointer."""
    first, last = limits
    low, high = max(estimate.low, first), min(estimate.high, last)
    error: browser.Spec = {"visible": False}
    if estimate.has_interval:
        error = {
            "type": "data",
            "symmetric": False,
            "array": [high - estimate.value],
            "arrayminus": [estimate.value - low],
            "color": look.color,
            "thickness": 2.6 if strong else 1.6,
            "width": 4,
        }
    shared: browser.Spec = {"type": "scatter", "mode": "markers", "showlegend": False}
    traces = [
        shared
        | {
            "x": [edge],
            "y": [y],
            "marker": {"symbol": symbol, "size": 10, "color": look.color},
            "hoverinfo": "skip",
            "cliponaxis": False,
        }
        for edge, symbol, outside in (
            (first, "triangle-left", estimate.low < first),
            (last, "triangle-right", estimate.high > last),
        )
        if outside
    ]
    dot = {
        "x": [estimate.value],
        "y": [y],
        "error_x": error,
        "marker": {
            "symbol": look.symbol,
            "size": 10 if strong else 8,
            "color": look.color if strong else PAPER,
            "line": {"color": PAPER if strong else look.color, "width": 1.2},
        },
        "hovertemplate": "%{text}<extra></extra>",
        "text": [browser.safe(text)],
    }
    return [*traces, shared | dot]


def limits_of(
    axis: Axis, estimates: list[Estimate], *also: float, reach: float = 4.0
) -> tuple[float, float]:
    """What an axis must show: all estimates, their ends as far as they are of use, and `also`.

    An end beyond `reach` times the range of the estimates and of `also` is cut, with an arrow.
    """
    values = [e.value for e in estimates if e.inside() and math.isfinite(e.value)]
    values += [v for v in also if math.isfinite(v)]
    ends = [v for e in estimates for v in e.inside()]
    if not values or not ends:
        return axis.limits(values or [0.0, 1.0])
    # The range of the middle half of the half widths keeps one vast interval from hiding the rest.
    widths = sorted(max(e.inside()) - min(e.inside()) for e in estimates if e.inside())
    room = reach * max(max(values) - min(values), widths[len(widths) // 2])
    kept = [v for v in ends if min(values) - room <= v <= max(values) + room]
    return axis.limits([*values, *kept], pad=0.05)
