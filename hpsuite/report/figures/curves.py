"""Lines with bands in panels: what tuning curves and best-so-far curves have in common."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsuite.report.axes import Axis, show
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import WIDTH, Key, dress, label_left, paper
from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.figures.lines import (
    Curves,
    Level,
    Panel,
    distinct,
    levels,
    marked,
    note_of,
    score_limits,
)
from hpsuite.report.figures.words import fit
from hpsuite.report.style import (
    BAND_ALPHA,
    INK,
    LINE_WIDTH,
    MARK_SIZE,
    PAPER,
    SMALL,
    ZONE,
    Look,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LEVEL = Look(INK, "o", "circle", (4.0, 2.0), "4px 3px", "", "")


def draw(data: Curves) -> "Figure":
    """The still picture."""
    columns = _columns(len(data.panels))
    rows = -(-len(data.panels) // columns)
    height = (2.9 if columns < 3 else 2.2) if rows > 1 or columns > 1 else 3.3
    keys = [
        Key(curve.name, curve.look, area=bool(np.isfinite(curve.low).any()))
        for curve in distinct(data.panels)
    ]
    keys += [Key(label, LEVEL, mark=False, thick=0.9) for label in levels(data.panels)]
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
            title = fit(panel.title, WIDTH / columns - 0.7, 3, SMALL + 1, bold=True)
            axes.set_title(title, loc="left", fontsize=SMALL + 1, fontweight="bold", pad=5)
    if rows > 1:
        label_left(figure, data.y.title)
    return figure


def spec(data: Curves) -> browser.Spec:
    """The interactive picture."""
    columns = _columns(len(data.panels))
    rows = -(-len(data.panels) // columns)
    total = (330 if columns < 3 else 270) * rows
    least = 60 + 270 * columns
    across = (least - 80) * (1 - 0.07 * (columns - 1)) / columns
    headings = [browser.heading(p.title, browser.Room((0, 1), (0, 1)), across) for p in data.panels]
    titled = max(
        (
            1 + h["text"].count("<br>")
            for h, p in zip(headings, data.panels, strict=True)
            if p.title
        ),
        default=0,
    )
    up = (52 + 18 * titled) / total if rows > 1 else 0
    rooms = browser.rooms(len(data.panels), columns, across=0.07, up=up)
    limits = data.x.limits(*(c.x for panel in data.panels for c in panel.curves))
    axes: dict[str, browser.Spec] = {}
    annotations, traces = [], []
    for i, (panel, room) in enumerate(zip(data.panels, rooms, strict=True)):
        x, y = browser.numbered("x", i), browser.numbered("y", i)
        last = i + columns >= len(data.panels)
        axes[browser.numbered("xaxis", i)] = browser.axis(
            data.x,
            limits,
            most=8 if columns < 3 else 5,
            label=last,
            room=across,
            domain=room.x,
            anchor=y,
        ) | ({"matches": "x"} if i else {})
        axes[browser.numbered("yaxis", i)] = browser.axis(
            data.y,
            score_limits(data, panel),
            label=i % columns == 0,
            room=240,
            domain=room.y,
            anchor=x,
        )
        if panel.title:
            annotations.append(browser.heading(panel.title, room, across))
        on = {"xaxis": x, "yaxis": y}
        traces += [trace | on for trace in _panel_traces(data, panel, limits)]
    keys = [*(curve.name for curve in distinct(data.panels)), *levels(data.panels)]
    traces += [browser.key(c.name, c.look, group=c.group) for c in distinct(data.panels)]
    traces += [browser.key(name, LEVEL, group="level", mark=False) for name in levels(data.panels)]
    layout = browser.layout(
        total, axes, keys=keys, annotations=annotations, above=6 + 18 * titled, least=least
    )
    return {"data": traces, "layout": layout}


def _columns(count: int) -> int:
    return count if count <= 2 else 2 if count == 4 else 3


def _draw_panel(axes: "Axes", data: Curves, panel: Panel) -> None:
    alpha = BAND_ALPHA if len(panel.curves) <= 3 else 0.6 * BAND_ALPHA
    _draw_level(axes, data.y, panel.level)
    for curve in panel.curves:
        style = curve.look
        x, y = data.x.place(curve.x), data.y.place(curve.y)
        low, high = data.y.place(curve.low), data.y.place(curve.high)
        axes.fill_between(x, low, high, color=style.color, alpha=alpha, linewidth=0)
        for edge in (low, high):
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
            y,
            color=style.color,
            linestyle=style.linestyle,
            linewidth=LINE_WIDTH,
            marker=style.marker,
            markersize=MARK_SIZE,
            markeredgecolor=PAPER,
            markeredgewidth=0.5,
            markevery=marked(x, panel.curves.index(curve)),
        )


def _draw_level(axes: "Axes", scores: Axis, level: Level | None) -> None:
    if level is None:
        return
    at, low, high = scores.place([level.value, level.low, level.high]).tolist()
    if not math.isfinite(at):
        return
    if math.isfinite(low) and math.isfinite(high):
        axes.axhspan(low, high, color=ZONE, linewidth=0, alpha=0.7)
    axes.axhline(at, color=LEVEL.color, linewidth=0.9, linestyle=LEVEL.linestyle)


def _panel_traces(data: Curves, panel: Panel, limits: Sequence[float]) -> list[browser.Spec]:
    traces: list[browser.Spec] = []
    level = panel.level
    if level is not None and math.isfinite(level.value):
        ends = level.low, level.high
        traces.append(
            {
                "type": "scatter",
                "x": list(limits),
                "y": [float(data.y.place(level.value))] * 2,
                "mode": "lines",
                "line": {"color": LEVEL.color, "width": 1, "dash": LEVEL.dash},
                "text": [browser.safe(f"{level.label}: {_text(data.y, level.value, *ends)}")] * 2,
                "hovertemplate": "%{text}<extra></extra>",
                "legendgroup": "level",
                "showlegend": False,
            }
        )
    for curve in panel.curves:
        style, x, y = curve.look, data.x.place(curve.x), data.y.place(curve.y)
        low, high = data.y.place(curve.low), data.y.place(curve.high)
        texts = [
            f"{show(k)}: {_text(data.y, *values)}"
            for k, *values in zip(curve.x, curve.y, curve.low, curve.high, strict=True)
        ]
        traces.append(browser.band(x, low, high, style, group=curve.group, edge=0.6))
        traces.append(
            {
                "type": "scatter",
                "x": x,
                "y": y,
                "mode": "lines" if len(x) > 1 else "markers",
                "line": {"color": style.color, "dash": style.dash, "width": 2},
                "marker": {"symbol": style.symbol, "size": 7, "color": style.color},
                "name": browser.safe(curve.name),
                "legendgroup": curve.group,
                "showlegend": False,
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
                    "y": y[at],
                    "mode": "markers",
                    "marker": {"symbol": style.symbol, "size": 7, "color": style.color},
                    "legendgroup": curve.group,
                    "showlegend": False,
                    "hoverinfo": "skip",
                }
            )
    return traces


def _text(axis: Axis, y: float, low: float, high: float) -> str:
    """A point of a curve with its band, as a reader sees it."""
    ends = (axis.shown(low), axis.shown(high))
    return Estimate(axis.shown(y), *(reversed(ends) if axis.negated else ends)).text()
