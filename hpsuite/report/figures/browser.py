"""What all interactive pictures share: plotly's axes, key and margins, and safe text.

Pictures are specifications in plain dictionaries; plotly checks them where they become a figure.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hpsuite.report.axes import Axis, Floats
from hpsuite.report.figures.canvas import NAME
from hpsuite.report.figures.words import fit, text_width
from hpsuite.report.style import FAINT, INK, PAPER, QUIET, Look, rgba

Spec = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
# Sizes are in pixels of the page.
TEXT = 12.5
KEY_ROW = 26
KEY_ROW_CHARACTERS = 100


class Room(NamedTuple):
    """Where a panel lies: its ends across and up, as shares of the picture."""

    x: tuple[float, float]
    y: tuple[float, float]


def figure(spec: Mapping[str, Any]) -> Any:
    """A specification as plotly's figure.

    Raises:
        ValueError: for what plotly does not know.
    """
    import plotly.graph_objects as go

    return go.Figure(data=spec["data"], layout=spec["layout"])


def library() -> str:
    """The source of plotly.js, of the version that plotly ships."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def safe(text: str) -> str:
    """Text as plotly shows it unchanged: it would take tags in a user's names for its own."""
    return html.escape(text, quote=False)


def pixels(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """Width of a text in the page, in pixels, at least; of its longest line."""
    return max(96 * text_width(line, 0.75 * size, bold=bold) for line in text.split("\n"))


def lines(text: str, room: float, most: int, size: float = TEXT, *, bold: bool = False) -> str:
    """A text in lines of so many pixels, as plotly takes it."""
    return broken(fit(text, room / 96, most, 0.75 * size, bold=bold))


def broken(text: str) -> str:
    """A text with its line breaks, as plotly takes it."""
    return safe(text).replace("\n", "<br>")


def layout(
    height: int,
    axes: Mapping[str, Spec],
    *,
    keys: Sequence[str] = (),
    annotations: Sequence[Spec] = (),
    shapes: Sequence[Spec] = (),
    above: int = 0,
    least: int = 320,
) -> Spec:
    """The layout of a picture.

    Args:
        height: of the panels, in pixels; the key comes on top.
        axes: `xaxis`, `yaxis`, `xaxis2`, ...
        keys: labels of the key above the panels; none for no key.
        annotations, shapes: plotly's.
        above: room between key and panels, in pixels, for titles.
        least: width in pixels under which the page scrolls the picture rather than squeezing it.
    """
    rows = 0
    if keys:
        rows = max(1, -(-sum(len(key) + 8 for key in keys) // KEY_ROW_CHARACTERS))
    top = 24 + KEY_ROW * rows + above
    return {
        "template": "none",
        "meta": {"least_width": least},
        "autosize": True,
        "height": height + top,
        "font": {"family": FONT, "size": TEXT, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 20, "r": 20, "t": top, "b": 20, "pad": 0},
        "showlegend": bool(keys),
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "tracegroupgap": 0,
        },
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": QUIET, "font": {"color": INK}},
        "annotations": list(annotations),
        "shapes": list(shapes),
        **axes,
    }


def axis(
    shown: Axis,
    limits: tuple[float, float],
    *,
    most: int = 6,
    label: bool = True,
    room: float = 480,
    **more: object,
) -> Spec:
    """An axis of `room` pixels on positions, with the names of places as in the still picture."""
    ticks = shown.ticks(*limits, most)
    spec: Spec = {
        "range": list(limits),
        "tickvals": [tick.position for tick in ticks],
        "ticktext": [safe(fit(tick.text, NAME, 1)) for tick in ticks],
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": QUIET,
        "linecolor": QUIET,
        "showline": True,
        "gridcolor": FAINT,
        "zeroline": False,
        "automargin": True,
        "minor": {"tickvals": shown.minor(*limits), "ticks": "outside", "ticklen": 2},
    }
    if label:
        spec["title"] = {
            "text": lines(shown.title, room, 1),
            "standoff": 8,
            "font": {"size": TEXT},
        }
    return spec | more


def rooms(count: int, columns: int, *, across: float, up: float) -> list[Room]:
    """Rooms of equal size for panels, row by row from the top.

    Args:
        count: panels.
        columns: panels in a row.
        across, up: the gaps, as shares of the picture.
    """
    rows = -(-count // columns)
    width = (1 - across * (columns - 1)) / columns
    height = (1 - up * (rows - 1)) / rows
    found = []
    for i in range(count):
        row, column = divmod(i, columns)
        left = column * (width + across)
        top = 1 - row * (height + up)
        found.append(Room((left, min(left + width, 1.0)), (max(top - height, 0.0), top)))
    return found


def heading(text: str, room: Room, across: float, *, size: float = 13, most: int = 2) -> Spec:
    """A panel's title, above its left edge, in lines of `across` pixels."""
    return {
        "text": f"<b>{lines(text, across, most, size, bold=True)}</b>",
        "x": room.x[0],
        "xref": "paper",
        "xanchor": "left",
        "y": room.y[1],
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 4,
        "showarrow": False,
        "align": "left",
        "font": {"size": size},
    }


def key(
    label: str,
    look: Look,
    *,
    group: str,
    line: bool = True,
    mark: bool = True,
    hollow: bool = False,
) -> Spec:
    """An entry of the key: a trace without points, that shows line and mark of its group."""
    return {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "+".join(["lines"] * line + ["markers"] * mark),
        "line": {"color": look.color, "dash": look.dash, "width": 2},
        "marker": {"symbol": f"{look.symbol}-open" if hollow else look.symbol, "size": 7}
        | {"color": look.color, "line": {"width": 1.5 * hollow, "color": look.color}},
        "name": lines(label, 300, 1),
        "legendgroup": group,
        "showlegend": True,
        "hoverinfo": "skip",
    }


def colorbar(title: str, high: float) -> Spec:
    """A scale of colours beside a picture of so many pixels."""
    shown = lines(title, 0.8 * high, 2, 12)
    return {
        "title": {"text": shown, "side": "right", "font": {"size": 12}},
        "tickfont": {"size": 11.5},
        "thickness": 12,
        "outlinewidth": 0,
    }


def band(
    x: Floats, low: npt.ArrayLike, high: npt.ArrayLike, look: Look, *, group: str, edge: float
) -> Spec:
    """A band from low to high, with edges of so many pixels; a gap where an end is unknown."""
    lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
    seen = np.isfinite(x) & np.isfinite(lower) & np.isfinite(upper)
    outline = []
    for run in np.split(np.arange(len(x)), np.flatnonzero(np.diff(seen)) + 1):
        if len(run) and seen[run[0]]:
            across, up = x[run], np.concatenate([upper[run], lower[run][::-1]])
            outline.append([*zip([*across, *across[::-1]], up, strict=True), (math.nan, math.nan)])
    places = np.array([place for run in outline for place in run] or np.zeros((0, 2))).T
    return {
        "type": "scatter",
        "x": places[0],
        "y": places[1],
        "mode": "lines",
        "line": {"width": edge, "color": rgba(look.color, 0.6)},
        "fill": "toself",
        "fillcolor": rgba(look.color, 0.16),
        "hoverinfo": "skip",
        "legendgroup": group,
        "showlegend": False,
    }


def numbered(prefix: str, number: int) -> str:
    """The name of axis 0, 1, 2, ... in plotly: x, x2, x3."""
    return prefix if number == 0 else f"{prefix}{number + 1}"
