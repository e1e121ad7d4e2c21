"""Lines with bands in panels: what tuning curves and best-so-far curves have in common."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsuite.report.axes import Axis, Floats, show
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import WIDTH, Key, dress, label_left, paper, wrap
from hpsuite.report.style import (
    BAND_ALPHA,
    INK,
    LINE_WIDTH,
    MARK_SIZE,
    PAPER,
    QUIET,
    SMALL,
    ZONE,
    Look,
    look,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def draw(data: Curves) -> "Figure":
    """The still picture."""
    columns = _columns(len(data.panels))
    rows = -(-len(data.panels) // columns)
    height = (2.9 if columns < 3 else 2.2) if rows > 1 or columns > 1 else 3.3
    keys = [
        Key(curve.name, curve.look, area=bool(np.isfinite(curve.low).any()))
        for curve in distinct(data.panels)
    ]
    figure = paper(data.title, height=rows * height + 0.2, note=note_of(data), keys=keys)
    grid = figure.subplots(rows, columns, squeeze=False)
    limits = data.x.limits(*(c.x for panel in data.panels for c in panel.curves))
    for i, axes in enumerate(grid.flat):
        if i >= len(data.panels):
            axes.remove()
            continue
        panel = data.panels[i]
        _draw_panel(axes, data, panel)
        last = i + columns >= len(data.panels)
        dress(axes, "x", data.x, limits, most=8 if columns < 3 else 5, label=last)
        dress(axes, "y", data.y, score_limits(data, panel), label=rows == 1 and i == 0)
        if panel.title:
            room = WIDTH / columns - 0.7
            title = "\n".join(wrap(panel.title, room, SMALL + 1, bold=True))
            axes.set_title(title, loc="left", fontsize=SMALL + 1, fontweight="bold", pad=5)
    if rows > 1:
        label_left(figure, data.y.title)
    return figure


def spec(data: Curves) -> browser.Spec:
    """The interactive picture."""
    columns = _columns(len(data.panels))
    rows = -(-len(data.panels) // columns)
    total = (330 if columns < 3 else 270) * rows
    rooms = browser.rooms(len(data.panels), columns, across=0.07, up=76 / total if rows > 1 else 0)
    limits = data.x.limits(*(c.x for panel in data.panels for c in panel.curves))
    named = any(panel.title for panel in data.panels)
    axes: dict[str, browser.Spec] = {}
    annotations, traces, shown = [], [], set()
    for i, (panel, room) in enumerate(zip(data.panels, rooms, strict=True)):
        x, y = browser.numbered("x", i), browser.numbered("y", i)
        last = i + columns >= len(data.panels)
        axes[browser.numbered("xaxis", i)] = browser.axis(
            data.x, limits, most=8 if columns < 3 else 5, label=last, domain=room.x, anchor=y
        ) | ({"matches": "x"} if i else {})
        axes[browser.numbered("yaxis", i)] = browser.axis(
            data.y, score_limits(data, panel), label=i % columns == 0, domain=room.y, anchor=x
        )
        if panel.title:
            annotations.append(browser.heading(panel.title, room))
        for trace in _panel_traces(data, panel, limits):
            first = trace["legendgroup"] not in shown and trace["showlegend"]
            shown |= {trace["legendgroup"]} if first else set()
            traces.append(trace | {"xaxis": x, "yaxis": y, "showlegend": first})
    keys = [curve.name for curve in distinct(data.panels)]
    layout = browser.layout(total, axes, keys=keys, annotations=annotations, above=24 * named)
    return {"data": traces, "layout": layout}


def distinct(panels: Iterable[Panel]) -> list[Curve]:
    """One curve of each name, in the order of their looks."""
    found = {curve.name: curve for panel in panels for curve in panel.curves}
    return sorted(found.values(), key=lambda curve: curve.number)


def score_limits(data: Curves, panel: Panel) -> tuple[float, float]:
    """The scores that a panel shows: from the worst line, once it has settled, to the highest."""
    panels = data.panels if data.same_scores else (panel,)
    lowest, highest = [], []
    for each in panels:
        for curve in each.curves:
            if not np.isfinite(curve.y).any():
                continue
            x = data.x.place(curve.x)
            settled = x >= x[0] + SETTLED * (x[-1] - x[0])
            settled = settled if np.isfinite(curve.y[settled]).any() else np.isfinite(x)
            least = float(np.nanmin(curve.y[settled]))
            most = float(np.nanmax(curve.y))
            lowest.append(least)
            highest.append(most)
            seen = np.isfinite(curve.low) & np.isfinite(curve.high) & settled
            if seen.any():
                room = ROOM_FOR_BANDS * max(most - least, 1e-9)
                lowest.append(max(float(curve.low[seen].min()), least - room))
                highest.append(float(curve.high[seen].max()))
        if each.level is not None and math.isfinite(each.level.value):
            highest.append(each.level.value)
    if not lowest:
        return data.y.limits()
    first, last = data.y.limits(lowest, highest, pad=0.06)
    if data.y.high is not None and not any(p.level for p in panels):
        return first, last
    # Room for the level's label above it.
    return first, last + 0.06 * (last - first) * any(p.level for p in panels)


def note_of(data: Curves) -> str:
    """The note, which says so where a line or a band begins below the axis."""
    for panel in data.panels:
        first, _ = score_limits(data, panel)
        if any((curve.y < first).any() or (curve.low < first).any() for curve in panel.curves):
            return f"{data.note} Axes leave out the low scores of the first trials.".strip()
    return data.note


def _columns(count: int) -> int:
    return count if count <= 2 else 2 if count == 4 else 3


def _draw_panel(axes: "Axes", data: Curves, panel: Panel) -> None:
    alpha = BAND_ALPHA if len(panel.curves) <= 3 else 0.6 * BAND_ALPHA
    _draw_level(axes, panel.level)
    for curve in panel.curves:
        style = curve.look
        x = data.x.place(curve.x)
        axes.fill_between(x, curve.low, curve.high, color=style.color, alpha=alpha, linewidth=0)
        for edge in (curve.low, curve.high):
            axes.plot(
                x,
                edge,
                color=style.color,
                alpha=0.6,
                linewidth=0.5,
                linestyle=style.linestyle,
            )
        axes.plot(
            x,
            curve.y,
            color=style.color,
            linestyle=style.linestyle,
            linewidth=LINE_WIDTH,
            marker=style.marker,
            markersize=MARK_SIZE,
            markeredgecolor=PAPER,
            markeredgewidth=0.5,
            markevery=marked(x, panel.curves.index(curve)),
        )


def marked(x: Floats, turn: int) -> list[int]:
    """Where a line has marks: evenly over the axis, a little apart from the last line's."""
    seen = np.flatnonzero(np.isfinite(x))
    if len(seen) <= MARKS:
        return [int(i) for i in seen]
    span = x[seen[-1]] - x[seen[0]]
    shift = (turn % 4) / (4 * MARKS)
    places = x[seen[0]] + span * (np.arange(MARKS) / MARKS + shift)
    return sorted({int(seen[np.abs(x[seen] - place).argmin()]) for place in places})


def _draw_level(axes: "Axes", level: Level | None) -> None:
    if level is None or not math.isfinite(level.value):
        return
    if math.isfinite(level.low) and math.isfinite(level.high):
        axes.axhspan(level.low, level.high, color=ZONE, linewidth=0, alpha=0.7)
    axes.axhline(level.value, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.annotate(
        level.label,
        (0.0, level.value),
        xycoords=axes.get_yaxis_transform(),
        xytext=(4, 2.5),
        textcoords="offset points",
        fontsize=SMALL - 0.5,
        color=QUIET,
        va="bottom",
        bbox={"facecolor": PAPER, "alpha": 0.75, "linewidth": 0, "pad": 0.6},
        zorder=6,
    )


def _panel_traces(data: Curves, panel: Panel, limits: Sequence[float]) -> list[browser.Spec]:
    traces: list[browser.Spec] = []
    level = panel.level
    if level is not None and math.isfinite(level.value):
        traces.append(
            {
                "type": "scatter",
                "x": list(limits),
                "y": [level.value] * 2,
                "mode": "lines+text",
                "line": {"color": INK, "width": 1, "dash": "4px 3px"},
                "text": [browser.safe(level.label), ""],
                "textposition": "top right",
                "textfont": {"size": 11, "color": QUIET},
                "hoverinfo": "skip",
                "legendgroup": "",
                "showlegend": False,
            }
        )
    for curve in panel.curves:
        style, x = curve.look, data.x.place(curve.x)
        texts = [
            f"{show(k)}: {y:.4g}" + (f" [{low:.4g}, {high:.4g}]" if math.isfinite(low) else "")
            for k, y, low, high in zip(curve.x, curve.y, curve.low, curve.high, strict=True)
        ]
        traces.append(browser.band(x, curve.low, curve.high, style, group=curve.name))
        traces.append(
            {
                "type": "scatter",
                "x": x,
                "y": curve.y,
                "mode": "lines" if len(x) > 1 else "markers",
                "line": {"color": style.color, "dash": style.dash, "width": 2},
                "marker": {"symbol": style.symbol, "size": 7, "color": style.color},
                "name": browser.safe(curve.name),
                "legendgroup": curve.name,
                "showlegend": True,
                "text": texts,
                "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            }
        )
        at = marked(x, panel.curves.index(curve))
        if len(x) > 1:
            traces.append(
                {
                    "type": "scatter",
                    "x": x[at],
                    "y": curve.y[at],
                    "mode": "markers",
                    "marker": {"symbol": style.symbol, "size": 7, "color": style.color},
                    "legendgroup": curve.name,
                    "showlegend": False,
                    "hoverinfo": "skip",
                }
            )
    return traces
