"""How important each hyperparameter is: dots with intervals, panel by panel for each evaluator."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import WIDTH, dress, paper
from hpsuite.report.figures.intervals import (
    Estimate,
    draw_interval,
    interval_traces,
    limits_of,
)
from hpsuite.report.figures.words import fit, fit_all, text_width
from hpsuite.report.style import QUIET, SMALL, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.25
FIRST = "P(first)"


@dataclass(frozen=True, slots=True)
class Important:
    """One hyperparameter's importance, and the probability that none has more (nan if unknown)."""

    name: str
    estimate: Estimate
    first: float = math.nan


@dataclass(frozen=True)
class Ranking:
    """One evaluator's importances on one setup.

    Attributes:
        setup: its name.
        evaluator: its name, always given ("fANOVA, 512 trials").
        axis: what the importance is, and its unit.
        rows: in any order; drawn from most to least important.
        settled: whether the order of the first is sure enough to be named.
    """

    setup: str
    evaluator: str
    axis: Axis
    rows: tuple[Important, ...]
    settled: bool

    @property
    def sorted_rows(self) -> list[Important]:
        """From most to least important; those without an estimate last."""
        return sorted(
            self.rows,
            key=lambda row: -row.estimate.value if math.isfinite(row.estimate.value) else math.inf,
        )

    @property
    def subtitle(self) -> str:
        """The evaluator, and whether its order is settled."""
        return self.evaluator if self.settled else f"{self.evaluator}; order not settled"


@dataclass(frozen=True)
class Importance:
    """Importances.

    Attributes:
        title, note: above and below the picture.
        panels: row by row.
        columns: panels in a row; those of one column share nothing but their place.
    """

    title: str
    panels: tuple[Ranking, ...]
    columns: int = 2
    note: str = ""


def draw(data: Importance) -> "Figure":
    """The still picture."""
    columns = _columns(data)
    rows = -(-len(data.panels) // columns)
    room = WIDTH / columns
    groups = [data.panels[i * columns : (i + 1) * columns] for i in range(rows)]
    heights = [ROW * max(len(panel.rows) for panel in group) for group in groups]
    above = [max(_above(panel, room) for panel in group) for group in groups]
    figure = paper(data.title, height=sum(heights) + sum(above) + 0.65 * rows, note=data.note)
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for i, axes in enumerate(grid.flat):
        if i >= len(data.panels):
            axes.remove()
        else:
            _draw_panel(axes, data.panels[i], room)
    return figure


def spec(data: Importance) -> browser.Spec:
    """The interactive picture."""
    columns = _columns(data)
    rows = -(-len(data.panels) // columns)
    most = max(len(panel.rows) for panel in data.panels)
    height = 26 * most + 150
    up = 150 / (rows * height) if rows > 1 else 0.0
    names = [name for panel in data.panels for name in _fitted(panel)]
    # Between panels stand P(first) of the one and the names of the other.
    gap, wide = max(map(browser.pixels, names)) + 70, 260
    least = round(columns * (wide + gap) + 20)
    rooms = browser.rooms(len(data.panels), columns, across=gap / (least - gap), up=up)
    axes: dict[str, browser.Spec] = {}
    traces, annotations, above = [], [], 2
    for i, (panel, room) in enumerate(zip(data.panels, rooms, strict=True)):
        x, y = browser.numbered("x", i), browser.numbered("y", i)
        shown = panel.sorted_rows
        limits = _limits(panel)
        axes[browser.numbered("xaxis", i)] = browser.axis(
            panel.axis, limits, most=5, room=wide, domain=room.x, anchor=y
        )
        axes[browser.numbered("yaxis", i)] = {
            "domain": room.y,
            "anchor": x,
            "range": [len(shown) - 0.4, -0.6],
            "tickvals": list(range(len(shown))),
            "ticktext": [browser.safe(name) for name in _fitted(panel)],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
        }
        title = browser.heading(panel.setup, room, wide)
        said = browser.lines(panel.subtitle, wide - 10, 3, 11)
        title["text"] += f"<br><span style='font-size:11px'>{said}</span>"
        above = max(above, 1 + title["text"].count("<br>"))
        annotations.append(title)
        style = look(0)
        for row, one in enumerate(shown):
            if not math.isfinite(one.estimate.value):
                left = {"x": room.x[0], "xshift": 4}
                annotations.append(_beside("not computable", row, room, y) | left)
                continue
            text = f"{one.name}: {one.estimate.text()}"
            text += f", {FIRST} {one.first:.0%}" if math.isfinite(one.first) else ""
            strong = row == 0 and panel.settled
            made = interval_traces(row, one.estimate, limits, style, text, strong=strong)
            traces += [trace | {"xaxis": x, "yaxis": y} for trace in made]
            if math.isfinite(one.first):
                annotations.append(_beside(f"{one.first:.0%}", row, room, y))
        if any(math.isfinite(one.first) for one in shown):
            top = {"y": room.y[1], "yref": "paper", "yanchor": "bottom", "yshift": 4}
            annotations.append(_beside(FIRST, 0, room, y) | top)
    layout = browser.layout(
        rows * height, axes, annotations=annotations, above=8 + 17 * above, least=least
    )
    layout["margin"]["r"] = 64  # for P(first)
    return {"data": traces, "layout": layout}


def _fitted(panel: Ranking) -> list[str]:
    """The names of its rows, as they fit into the page."""
    return fit_all([row.name for row in panel.sorted_rows], 1.7, 1)


def note_of(data: Importance) -> str:
    """The note."""
    return data.note


def _columns(data: Importance) -> int:
    longest = max(text_width(row.name) for panel in data.panels for row in panel.rows)
    most = 3 if longest < 1 else 2
    return min(max(data.columns, 1), most, len(data.panels))


def _headings(panel: Ranking, room: float) -> tuple[str, str]:
    """Setup and evaluator as they fit over a panel."""
    names = fit_all([row.name for row in panel.rows], _names(room), 1)
    beside = max((text_width(name) for name in names), default=0.0)
    setup = fit(panel.setup, room - beside - 0.35, 3, SMALL + 1, bold=True)
    return setup, fit(panel.subtitle, room - beside - 0.75, 5)


def _names(room: float) -> float:
    """Inches for the names of hyperparameters."""
    return min(1.3, room / 2.5)


def _above(panel: Ranking, room: float) -> float:
    """Inches that the headings take."""
    setup, subtitle = _headings(panel, room)
    return 0.2 + 0.16 * (1 + setup.count("\n")) + 0.145 * (1 + subtitle.count("\n"))


def _limits(panel: Ranking) -> tuple[float, float]:
    first, last = limits_of(panel.axis, [row.estimate for row in panel.rows])
    # A dot at the very beginning has room beside the name.
    return first - 0.03 * (last - first), last


def _beside(text: str, row: float, room: browser.Room, y: str) -> browser.Spec:
    return {
        "text": browser.safe(text),
        "x": room.x[1],
        "xref": "paper",
        "xanchor": "left",
        "xshift": 8,
        "y": row,
        "yref": y,
        "showarrow": False,
        "font": {"size": 11, "color": QUIET},
    }


def _draw_panel(axes: "Axes", panel: Ranking, room: float) -> None:
    rows = panel.sorted_rows
    limits = _limits(panel)
    for i, row in enumerate(rows):
        if math.isfinite(row.estimate.value):
            strong = i == 0 and panel.settled
            draw_interval(axes, i, row.estimate, limits, look(0), strong=strong)
        else:
            axes.annotate(
                "not computable",
                (0, i),
                xycoords=axes.get_yaxis_transform(),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL - 0.5,
                color=QUIET,
            )
        if math.isfinite(row.first):
            axes.annotate(
                f"{row.first:.0%}",
                (1, i),
                xycoords=axes.get_yaxis_transform(),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
            )
    if any(math.isfinite(row.first) for row in rows):
        axes.annotate(
            FIRST,
            (1, 1),
            xycoords="axes fraction",
            xytext=(8, 3),
            textcoords="offset points",
            fontsize=SMALL - 0.5,
            color=QUIET,
        )
    dress(axes, "x", panel.axis, limits, most=5, room=room - 1.2)
    axes.set_yticks(range(len(rows)), fit_all([row.name for row in rows], _names(room), 1))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    title, subtitle = _headings(panel, room)
    axes.annotate(
        subtitle,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=SMALL,
        color=QUIET,
    )
    pad = 7 + 1.25 * SMALL * (1 + subtitle.count("\n"))
    axes.set_title(title, loc="left", fontsize=SMALL + 1, fontweight="bold", pad=pad)
