"""Where each strategy looked: the points of one repeat over the response in two hyperparameters.

The ticks outside each panel are the distinct values that were tried of each hyperparameter: a grid
of 16 points tries four of each, a random search sixteen.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from hpsuite.report.axes import show
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import WIDTH, Key, dress, label_left, paper
from hpsuite.report.figures.points import Points, SampledPoints, counted, distinct_values
from hpsuite.report.figures.words import fit
from hpsuite.report.style import INK, MARK_SIZE, PAPER, QUIET, SMALL, Look, look, ramp_stops

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_MOST_COLUMNS = 4
# The part of the ramp that shows on paper and is light enough for points on it.
_SHADES = (0.1, 0.6)
# Where the axis does not say: scores so many times further from the best than good ones share the
# lightest colour, and where no level is good, those under this quantile do.
_REACH = 8.0
_LOW_SHARE = 0.25
# The ticks of distinct values: how far from a panel's edge, in points, and how long.
_GAP, _TICK = 7.0, 7.0
_GOOD = Look(INK, "s", "square", (3.0, 1.5), "3px 1.5px", "", "")


def round_look(number: int) -> Look:
    """The marks of round 0, 1, 2, ...: they differ in shape alone."""
    shape = look(number)
    return Look(INK, shape.marker, shape.symbol, (), "solid", "", "")


def draw(data: SampledPoints) -> "Figure":
    """The still picture."""
    columns = columns_of(len(data.strategies))
    rows = -(-len(data.strategies) // columns)
    side = (WIDTH - 1.4) / columns
    figure = paper(
        data.title, height=rows * (min(side, 2.6) + 0.75) + 0.15, note=data.note, keys=_keys(data)
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    mapped = None
    for i, axes in enumerate(grid.flat):
        if i >= len(data.strategies):
            axes.remove()
            continue
        points = data.strategies[i]
        mapped = _draw_response(axes, data) or mapped
        _draw_points(axes, data, points)
        last = i + columns >= len(data.strategies)
        most = 5 if columns > 2 else 7
        dress(axes, "x", data.x, _limits(data, "x"), most=most, label=last, room=side - 0.25)
        dress(
            axes, "y", data.y, _limits(data, "y"), most=most, label=rows == 1 and i == 0, room=side
        )
        if i % columns:
            axes.tick_params(axis="y", which="both", labelleft=False)
        _draw_distinct(figure, axes, data, points)
        name = fit(points.name, side - 0.25, 3, SMALL + 1, bold=True)
        axes.set_title(name, loc="left", fontsize=SMALL + 1, fontweight="bold", pad=27)
        axes.annotate(
            counted(points),
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, _GAP + _TICK),
            textcoords="offset points",
            fontsize=SMALL - 0.5,
            color=QUIET,
        )
    if rows > 1:
        label_left(figure, data.y.title)
    if mapped is not None:
        shown = [axes for axes in grid.flat if axes.figure is not None]
        bar = figure.colorbar(mapped, ax=shown, aspect=30, pad=0.03, shrink=0.9, extend="min")
        bar.set_label(fit(data.score.title, 2.2, 2), fontsize=SMALL)
        bar.outline.set_linewidth(0)
        bar.ax.tick_params(labelsize=SMALL - 0.5)
    return figure


def spec(data: SampledPoints) -> browser.Spec:
    """The interactive picture."""
    columns = columns_of(len(data.strategies))
    rows = -(-len(data.strategies) // columns)
    total = rows * 320 - 60
    up = 116 / total if rows > 1 else 0.0
    rooms = browser.rooms(len(data.strategies), columns, across=0.05, up=up)
    axes: dict[str, browser.Spec] = {}
    least = 80 + 220 * columns
    across = (least - 160) / columns - 10
    above = 1
    traces, annotations, shapes = [], [], []
    for i, (points, room) in enumerate(zip(data.strategies, rooms, strict=True)):
        x, y = browser.numbered("x", i), browser.numbered("y", i)
        last = i + columns >= len(data.strategies)
        most = 5 if columns > 2 else 7
        axes[browser.numbered("xaxis", i)] = browser.axis(
            data.x, _limits(data, "x"), most=most, label=last, room=across, domain=room.x, anchor=y
        ) | ({"matches": "x"} if i else {})
        axes[browser.numbered("yaxis", i)] = browser.axis(
            data.y,
            _limits(data, "y"),
            most=most,
            label=i % columns == 0,
            room=200,
            domain=room.y,
            anchor=x,
        ) | ({"matches": "y", "showticklabels": i % columns == 0} if i else {})
        title = browser.heading(points.name, room, across, most=2) | {"yshift": 14}
        above = max(above, 1 + title["text"].count("<br>"))
        title["text"] += f"<br><span style='font-size:11px'>{counted(points)}</span>"
        annotations.append(title)
        shapes += _distinct_shapes(data, points, x, y)
        on = {"xaxis": x, "yaxis": y}
        shown = _response_traces(data, scale=i == 0, high=total)
        traces += [trace | on for trace in shown]
        traces += [trace | on for trace in _point_traces(data, points)]
    keys = [key.label for key in _keys(data)]
    traces += [
        browser.key(k.label, k.look, group=f"key-{i}", line=k.line, mark=k.mark, hollow=k.hollow)
        for i, k in enumerate(_keys(data))
    ]
    layout = browser.layout(
        total,
        axes,
        keys=keys,
        annotations=annotations,
        shapes=shapes,
        above=32 + 18 * above,
        least=least,
    )
    return {"data": traces, "layout": layout}


def note_of(data: SampledPoints) -> str:
    """The note."""
    return data.note


def columns_of(count: int) -> int:
    """Panels in a row."""
    return count if count <= _MOST_COLUMNS else 3


def _keys(data: SampledPoints) -> list[Key]:
    rounds = 1 + max((int(p.rounds.max()) for p in data.strategies if len(p.rounds)), default=0)
    keys = [Key("trial", round_look(0), line=False)]
    if rounds > 1:
        keys = [Key(f"round {i + 1}", round_look(i), line=False) for i in range(rounds)]
        keys[0] = Key("round 1, or the only one", round_look(0), line=False)
    if data.response is not None and math.isfinite(data.good_level):
        outlined = data.response.is_grid
        label = f"good: {data.good}" if data.good else "good"
        keys.append(Key(label, _GOOD, line=outlined, mark=not outlined, hollow=True))
    return keys


def _limits(data: SampledPoints, which: str) -> tuple[float, float]:
    axis = data.x if which == "x" else data.y
    return axis.limits(*(p.x if which == "x" else p.y for p in data.strategies))


def _score_ends(data: SampledPoints) -> tuple[float, float]:
    """The scores with the lightest and the darkest colour."""
    assert data.response is not None
    found = data.response.scores[np.isfinite(data.response.scores)]
    if not len(found):
        return 0.0, 1.0
    high = float(found.max()) if data.score.high is None else data.score.high
    low = data.score.low
    if low is None and data.good_level < high:
        low = max(high - _REACH * (high - data.good_level), float(found.min()))
    low = float(np.quantile(found, _LOW_SHARE)) if low is None else low
    return (low, high) if low < high else (high - 1, high)


def _draw_response(axes: "Axes", data: SampledPoints) -> "ScalarMappable | None":
    from matplotlib.colors import LinearSegmentedColormap

    response = data.response
    axes.grid(visible=False)
    if response is None:
        return None
    low, high = _score_ends(data)
    shades = LinearSegmentedColormap.from_list("ramp", ramp_stops(*_SHADES))
    colors = shades.with_extremes(bad=PAPER)
    x, y = data.x.place(response.x), data.y.place(response.y)
    if not response.is_grid:
        good = response.scores >= data.good_level
        return axes.scatter(
            x,
            y,
            c=response.scores,
            cmap=colors,
            vmin=low,
            vmax=high,
            s=12,
            marker="s",
            linewidths=np.where(good, 0.7, 0.0).tolist(),
            edgecolors=INK,
        )
    mesh = axes.pcolormesh(
        x, y, response.scores, cmap=colors, vmin=low, vmax=high, shading="nearest", rasterized=True
    )
    found = response.scores[np.isfinite(response.scores)]
    if len(found) and found.min() < data.good_level <= found.max():
        axes.contour(
            x,
            y,
            np.nan_to_num(response.scores, nan=-1e30),
            levels=[data.good_level],
            colors=[INK],
            linewidths=1.0,
            linestyles=[_GOOD.linestyle],
        )
    return mesh


def _draw_points(axes: "Axes", data: SampledPoints, points: Points) -> None:
    for number in np.unique(points.rounds):
        of = points.rounds == number
        axes.plot(
            data.x.place(points.x[of]),
            data.y.place(points.y[of]),
            linestyle="none",
            marker=round_look(int(number)).marker,
            markersize=MARK_SIZE + 1.2,
            markerfacecolor=INK,
            markeredgecolor=PAPER,
            markeredgewidth=0.9,
            clip_on=False,
            zorder=5,
        )


def _draw_distinct(figure: "Figure", axes: "Axes", data: SampledPoints, points: Points) -> None:
    from matplotlib.transforms import offset_copy

    across = data.x.place(distinct_values(points.x))
    above = offset_copy(axes.get_xaxis_transform(), figure, y=_GAP, units="points")
    up = data.y.place(distinct_values(points.y))
    beside = offset_copy(axes.get_yaxis_transform(), figure, x=_GAP, units="points")
    for x, y, transform, marker in (
        (across, np.ones(len(across)), above, "|"),
        (np.ones(len(up)), up, beside, "_"),
    ):
        axes.plot(
            x,
            y,
            transform=transform,
            linestyle="none",
            marker=marker,
            color=INK,
            markersize=_TICK,
            markeredgewidth=0.9,
            clip_on=False,
        )


def _distinct_shapes(data: SampledPoints, points: Points, x: str, y: str) -> list[browser.Spec]:
    line = {"type": "line", "line": {"color": INK, "width": 1.2}}
    low, high = 1.02, 1.055
    across = data.x.place(distinct_values(points.x))
    up = data.y.place(distinct_values(points.y))
    return [
        line | {"xref": x, "yref": f"{y} domain", "x0": v, "x1": v, "y0": low, "y1": high}
        for v in across.tolist()
    ] + [
        line | {"yref": y, "xref": f"{x} domain", "y0": v, "y1": v, "x0": low, "x1": high}
        for v in up.tolist()
    ]


def _response_traces(data: SampledPoints, *, scale: bool, high: float) -> list[browser.Spec]:
    response = data.response
    if response is None:
        return []
    lightest, darkest = _score_ends(data)
    x, y = data.x.place(response.x), data.y.place(response.y)
    colors = [list(stop) for stop in ramp_stops(*_SHADES)]
    bar = browser.colorbar(data.score.title, high)
    shared = {"x": x, "y": y, "hoverinfo": "skip", "showlegend": False}
    if not response.is_grid:
        good = response.scores >= data.good_level
        marker = {
            "color": response.scores,
            "colorscale": colors,
            "cmin": lightest,
            "cmax": darkest,
            "showscale": scale,
            "colorbar": bar,
            "symbol": "square",
            "size": 6,
            "line": {"color": INK, "width": np.where(good, 1.0, 0.0)},
        }
        return [shared | {"type": "scatter", "mode": "markers", "marker": marker}]
    shared |= {"z": response.scores, "showscale": False}
    shades = {"colorscale": colors, "zmin": lightest, "zmax": darkest}
    shades |= {"showscale": scale, "colorbar": bar}
    traces: list[browser.Spec] = [shared | {"type": "heatmap"} | shades]
    if math.isfinite(data.good_level):
        level = {"start": data.good_level, "end": data.good_level, "size": 1, "coloring": "none"}
        line = {"color": INK, "width": 1.3, "dash": _GOOD.dash}
        traces.append(shared | {"type": "contour", "contours": level, "line": line})
    return traces


def _point_traces(data: SampledPoints, points: Points) -> list[browser.Spec]:
    traces: list[browser.Spec] = []
    for number in np.unique(points.rounds):
        of = np.flatnonzero(points.rounds == number)
        texts = []
        for i in of:
            text = f"trial {i + 1}: {data.x.label} {show(points.x[i])}, "
            text += f"{data.y.label} {show(points.y[i])}"
            text += f"; {points.scores[i]:.4g}" if len(points.scores) else ""
            texts.append(browser.safe(text))
        style = round_look(int(number))
        traces.append(
            {
                "type": "scatter",
                "x": data.x.place(points.x[of]),
                "y": data.y.place(points.y[of]),
                "mode": "markers",
                "marker": {
                    "symbol": style.symbol,
                    "size": 9,
                    "color": INK,
                    "line": {"color": PAPER, "width": 1.2},
                },
                "text": texts,
                "hovertemplate": "%{text}<extra></extra>",
                "showlegend": False,
                "cliponaxis": False,
            }
        )
    return traces
