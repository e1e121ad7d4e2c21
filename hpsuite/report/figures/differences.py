"""Estimates of differences with their intervals, row by row, and what each says: a forest plot.

One column for each measure; in each, the effects too small to matter are shaded.
"""

import math
from typing import TYPE_CHECKING

from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import WIDTH, dress, paper
from hpsuite.report.figures.comparisons import Differences, Measure, Row, note_of, places_of
from hpsuite.report.figures.intervals import draw_interval, interval_traces, limits_of
from hpsuite.report.figures.words import fit, fit_all, text_width
from hpsuite.report.style import FAINT, INK, QUIET, SMALL, ZONE, Look, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.27
LABEL = 2.1  # inches for a row's label
VERDICT = 1.5
LINES = 3
WIDE = 280  # pixels of a measure in the page, at least
TOOLBAR = 14  # pixels, so that the words above the panels are not under the page's tools
_GAP = 9.0  # points between columns of text


def draw(data: Differences) -> "Figure":
    """The still picture."""
    labels = _labels(data)
    texts = [*labels, *(fit(row.verdict, VERDICT, LINES) for row in data.rows)]
    lines = max((1 + text.count("\n") for text in texts), default=1)
    places, headings, bottom = places_of(data, lines)
    sides = max(
        (len(_side(m.less, data)) + len(_side(m.more, data)) > 0) * 0.3 for m in data.measures
    )
    figure = paper(data.title, height=ROW * bottom + 0.62 + sides, note=note_of(data))
    grid = figure.subplots(1, len(data.measures), squeeze=False, sharey=True)[0]
    for column, (axes, measure) in enumerate(zip(grid, data.measures, strict=True)):
        limits = _limits(data, column)
        _prepare(axes, measure, limits, data)
        for y, row in zip(places, data.rows, strict=True):
            estimate = row.estimates[column]
            if math.isfinite(estimate.value):
                draw_interval(axes, y, estimate, limits, _look(row), strong=row.primary)
            else:
                _beside(axes, measure.null, y, "not computable", 4, inside=True)
        for y, _ in headings:
            axes.axhline(y - 0.55, color=FAINT, linewidth=0.7)
    grid[0].set_ylim(bottom - 0.45, -0.65)
    grid[0].set_yticks(places, labels)
    for text, row in zip(grid[0].get_yticklabels(), data.rows, strict=True):
        text.set_fontweight("bold" if row.primary else "normal")
    for y, name in headings:
        grid[0].annotate(
            fit(name, LABEL, 1, bold=True),
            (0, y),
            xycoords=grid[0].get_yaxis_transform(),
            xytext=(-72 * LABEL - 7, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            fontweight="bold",
            color=QUIET,
        )
    _draw_words(grid[-1], data, places)
    return figure


def spec(data: Differences) -> browser.Spec:
    """The interactive picture."""
    names = fit_all([row.label for row in data.rows], 2.6, 2)
    told = [fit(row.verdict, 2.2, 2) for row in data.rows]
    deep = max((1 + text.count("\n") for text in (*names, *told)), default=1)
    places, headings, bottom = places_of(data, deep)
    total = round(27 * bottom) + 74
    right = max((browser.pixels(text, 11.5, bold=True) for text in told), default=0.0)
    columns = len(data.measures)
    width = (1 - 0.05 * (columns - 1)) / columns
    sides = [
        [
            browser.lines(_arrow(text, side), WIDE / 2 - 8, 3, 11) if text else ""
            for text, side in ((measure.less, "left"), (measure.more, "right"))
        ]
        for measure in data.measures
    ]
    above = max(
        (TOOLBAR + 4 + 15 * (1 + text.count("<br>")) for pair in sides for text in pair if text),
        default=0,
    )
    axes: dict[str, browser.Spec] = {
        "yaxis": {
            "range": [bottom - 0.45, -0.65],
            "tickvals": places + [y for y, _ in headings],
            "ticktext": [_bold(n, on=row.primary) for n, row in zip(names, data.rows, strict=True)]
            + [
                f"<span style='color:{QUIET}'><b>{browser.lines(g, 260, 1, bold=True)}</b></span>"
                for _, g in headings
            ],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        }
    }
    traces, annotations, shapes = [], [], []
    for i, measure in enumerate(data.measures):
        limits = _limits(data, i)
        x = browser.numbered("x", i)
        left = i * (width + 0.05)
        axes[browser.numbered("xaxis", i)] = browser.axis(
            measure.axis, limits, most=6, room=WIDE, domain=[left, left + width], anchor="y"
        )
        shapes += _zone_shapes(measure, x)
        for text, at, anchor in zip(sides[i], (left, left + width), ("left", "right"), strict=True):
            if text:
                annotations.append(
                    {
                        "text": text,
                        "x": at,
                        "xref": "paper",
                        "xanchor": anchor,
                        "y": 1,
                        "yref": "paper",
                        "yanchor": "bottom",
                        "yshift": 4,
                        "align": anchor,
                        "showarrow": False,
                        "font": {"size": 11, "color": QUIET},
                    }
                )
        for y, row in zip(places, data.rows, strict=True):
            estimate = row.estimates[i]
            if math.isfinite(estimate.value):
                text = f"{row.label}: {measure.axis.label} {estimate.text(signed=measure.signed)}"
                text += f" {measure.axis.unit}" if measure.axis.unit else ""
                text += f"; {row.verdict}" if row.verdict else ""
                strong = row.primary
                made = interval_traces(y, estimate, limits, _look(row), text, strong=strong)
                traces += [trace | {"xaxis": x, "yaxis": "y"} for trace in made]
            else:
                annotations.append(
                    {
                        "text": "not computable",
                        "x": measure.null,
                        "xref": x,
                        "xanchor": "left",
                        "xshift": 6,
                        "y": y,
                        "showarrow": False,
                        "font": {"size": 11, "color": QUIET},
                    }
                )
    for y, row, text in zip(places, data.rows, told, strict=True):
        if text:
            annotations.append(
                {
                    "text": _bold(text, on=row.primary),
                    "x": 1,
                    "xref": "paper",
                    "xanchor": "left",
                    "xshift": 10,
                    "y": y,
                    "align": "left",
                    "showarrow": False,
                    "font": {"size": 11.5},
                }
            )
    beside = max((browser.pixels(name, bold=True) for name in names), default=0.0)
    least = round(beside + 50 + (WIDE + 20) * columns + right)
    layout = browser.layout(
        total, axes, annotations=annotations, shapes=shapes, above=above, least=least
    )
    # Automatic margins are too small for the title of an axis under a single row.
    layout["margin"] |= {"r": round(20 + right), "b": 54}
    return {"data": traces, "layout": layout}


def _limits(data: Differences, column: int) -> tuple[float, float]:
    measure = data.measures[column]
    estimates = [row.estimates[column] for row in data.rows]
    return limits_of(measure.axis, estimates, measure.null, *measure.zone)


def _look(row: Row) -> Look:
    return look(0 if row.primary else 2)


def _side(text: str, data: Differences) -> str:
    return fit(text, _room(data) / 2 - 0.1, 2) if text else ""


def _room(data: Differences) -> float:
    """Inches across that each measure has, at least."""
    labels = [line for label in _labels(data) for line in label.split("\n")]
    words = [line for row in data.rows for line in fit(row.verdict, VERDICT, LINES).split("\n")]
    beside = [labels, words, _numbers(data)]
    taken = sum(max((text_width(text, bold=True) for text in texts), default=0) for texts in beside)
    return (WIDTH - taken - 1.0) / len(data.measures) - 0.1


def _labels(data: Differences) -> list[str]:
    return fit_all([row.label for row in data.rows], LABEL, LINES)


def _numbers(data: Differences) -> list[str]:
    """Estimates in words, where there is one measure."""
    if len(data.measures) > 1:
        return []
    signed = data.measures[0].signed
    return [row.estimates[0].text(signed=signed) for row in data.rows]


def _arrow(text: str, side: str) -> str:
    return f"← {text}" if side == "left" else f"{text} →"


def _prepare(
    axes: "Axes", measure: Measure, limits: tuple[float, float], data: Differences
) -> None:
    if measure.has_zone:
        axes.axvspan(*measure.zone, color=ZONE, linewidth=0, zorder=0)
    axes.axvline(measure.null, color=INK, linewidth=0.8, zorder=1)
    dress(axes, "x", measure.axis, limits, most=6, room=_room(data) + 0.4)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for text, x, side in ((measure.less, 0, "left"), (measure.more, 1, "right")):
        if text:
            axes.annotate(
                _side(_arrow(text, side), data),
                (x, 1),
                xycoords="axes fraction",
                xytext=(0, 3),
                textcoords="offset points",
                ha="left" if side == "left" else "right",
                fontsize=SMALL - 0.5,
                color=QUIET,
            )


def _draw_words(axes: "Axes", data: Differences, places: list[float]) -> None:
    """Numbers, where there is one measure, and verdicts, to the right."""
    offset = _GAP
    numbers = _numbers(data)
    if numbers:
        for y, text in zip(places, numbers, strict=True):
            _beside(axes, 1, y, text, offset)
        offset += _GAP + 72 * max(text_width(text) for text in numbers)
    for y, row in zip(places, data.rows, strict=True):
        _beside(axes, 1, y, fit(row.verdict, VERDICT, LINES), offset, bold=row.primary)


def _beside(
    axes: "Axes",
    x: float,
    y: float,
    text: str,
    offset: float,
    *,
    bold: bool = False,
    inside: bool = False,
) -> None:
    axes.annotate(
        text,
        (x, y),
        xycoords="data" if inside else axes.get_yaxis_transform(),
        xytext=(offset, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL - 0.5 * inside,
        fontweight="bold" if bold else "normal",
        color=QUIET if inside else INK,
    )


def _bold(text: str, *, on: bool) -> str:
    shown = browser.safe(text).replace("\n", "<br>")
    return f"<b>{shown}</b>" if on else shown


def _zone_shapes(measure: Measure, x: str) -> list[browser.Spec]:
    across = {"yref": "paper", "y0": 0, "y1": 1, "xref": x}
    null = {"type": "line", "x0": measure.null, "x1": measure.null}
    shapes: list[browser.Spec] = [across | null | {"line": {"color": INK, "width": 1}}]
    if measure.has_zone:
        low, high = measure.zone
        zone = {"type": "rect", "x0": low, "x1": high, "fillcolor": ZONE, "line": {"width": 0}}
        shapes.insert(0, across | zone | {"layer": "below"})
    return shapes
