"""What hyperparameters tuned on one setup cost on another: a heat map with the numbers in it."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsuite.report.axes import Floats
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import WIDTH, paper
from hpsuite.report.figures.intervals import Estimate, number
from hpsuite.report.figures.words import fit, fit_all, text_width, wrap
from hpsuite.report.style import INK, PAPER, QUIET, RULE, SMALL, ramp, ramp_stops, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = 1.7  # inches for a setup's name
RIGHT = 1.05  # inches for the scale of colours
LINES = 3
NOT_RUN = "not run"
# Of more cells than these, the browser shows the intervals under the pointer alone.
MOST_ENDS = 40


@dataclass(frozen=True, eq=False)
class Transfer:
    """Costs of using on one setup what was tuned on another.

    Attributes:
        title, note: above and below the picture.
        tuned_on: names of the rows.
        used_on: names of the columns.
        cost: shape [rows, columns], in `unit`; nan for what was not run. Below 0 is a gain.
        low, high: of the same shape; nan where there is no interval.
        unit: of the cost ("points of accuracy").
    """

    title: str
    tuned_on: tuple[str, ...]
    used_on: tuple[str, ...]
    cost: Floats
    low: Floats
    high: Floats
    unit: str
    note: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.tuned_on), len(self.used_on))
        assert self.cost.shape == self.low.shape == self.high.shape == shape, self.title

    def cell(self, row: int, column: int) -> Estimate:
        """One cost."""
        at = row, column
        return Estimate(float(self.cost[at]), float(self.low[at]), float(self.high[at]))

    @property
    def most(self) -> float:
        """The cost with the darkest colour."""
        finite = self.cost[np.isfinite(self.cost)]
        return max(float(finite.max(initial=0.0)), 1e-9)

    @property
    def decimals(self) -> int:
        """For all cells alike: one where costs are above 1, more where they are small."""
        return 0 if self.most >= 100 else 1 - min(math.floor(math.log10(self.most)), 0)

    def is_own(self, row: int, column: int) -> bool:
        """Whether a cell's setup is used with its own hyperparameters."""
        return self.tuned_on[row] == self.used_on[column]


def draw(data: Transfer) -> "Figure":
    """The still picture."""
    rows, columns = data.cost.shape
    names = fit_all(data.tuned_on, NAME, 2)
    left = max(text_width(line) for name in names for line in name.split("\n")) + 0.45
    cell = min(1.15, (WIDTH - left - RIGHT) / columns)
    with_ends = cell >= _ends_width(data)
    high = 0.5 if with_ends else 0.36
    upright = all(_fits(name, cell - 0.1) for name in data.used_on)
    above = 0.35 + 0.16 * LINES
    if not upright:
        across = max(int((cell - 0.04) / 0.15), 1)
        tops = fit_all(data.used_on, NAME, across)
        above = 0.45 + max(text_width(line) for name in tops for line in name.split("\n"))
    else:
        tops = ["\n".join(wrap(name, cell - 0.1)) for name in data.used_on]
    width = max(left + columns * cell + RIGHT, 4.6)
    figure = paper(data.title, height=rows * high + above, note=note_of(data), width=width)
    axes = figure.subplots()
    for row in range(rows):
        for column in range(columns):
            _draw_cell(axes, data, row, column, room=cell, with_ends=with_ends)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(columns), tops, rotation=0 if upright else 90)
    axes.set_yticks(range(rows), names)
    axes.tick_params(length=0, pad=4)
    axes.set_xlabel("used on", color=QUIET, labelpad=6)
    axes.set_ylabel("tuned on", color=QUIET)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _draw_scale(figure, axes, data)
    return figure


def spec(data: Transfer) -> browser.Spec:
    """The interactive picture."""
    rows, columns = data.cost.shape
    with_ends = rows * columns <= MOST_ENDS
    height = max((46 if with_ends else 30) * rows, 130)
    height = max(
        height, 16 * rows * max(1 + n.count("\n") for n in fit_all(data.tuned_on, 2, LINES))
    )
    hovers, annotations = [], []
    for row in range(rows):
        cells = [data.cell(row, column) for column in range(columns)]
        hovers.append([_words(data, row, column) for column in range(columns)])
        annotations += [
            _cell_text(data, cell, row, column, with_ends=with_ends)
            for column, cell in enumerate(cells)
        ]
    trace: browser.Spec = {
        "type": "heatmap",
        "z": np.clip(data.cost, 0, None),
        "zmin": 0,
        "zmax": data.most,
        "colorscale": [list(stop) for stop in ramp_stops()],
        "customdata": hovers,
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "xgap": 2,
        "ygap": 2,
        "colorbar": browser.colorbar(f"cost ({data.unit})", height),
    }
    tops, sides = fit_all(data.used_on, 1.2, LINES), fit_all(data.tuned_on, 2.0, LINES)
    x, y = _name_axis("used on", tops), _name_axis("tuned on", sides)
    axes = {"xaxis": x | {"side": "top"}, "yaxis": y | {"range": [rows - 0.5, -0.5]}}
    wide = [browser.pixels(name) for name in tops]
    if with_ends:
        shown = [_ends(data, data.cell(r, c)) for r in range(rows) for c in range(columns)]
        wide += [browser.pixels(text, 10) for text in shown]
    least = round(180 + max(map(browser.pixels, sides)) + columns * (max(wide) + 14))
    height += 90
    layout = browser.layout(height, axes, annotations=annotations, least=max(least, 300))
    return {"data": [trace], "layout": layout}


def _words(data: Transfer, row: int, column: int) -> str:
    cell = data.cell(row, column)
    cost = f"{cell.text(decimals=data.decimals)} {data.unit}"
    cost = "not run" if math.isnan(cell.value) else cost
    return browser.safe(f"tuned on {data.tuned_on[row]}, used on {data.used_on[column]}: {cost}")


def _cell_text(
    data: Transfer, cell: Estimate, row: int, column: int, *, with_ends: bool
) -> browser.Spec:
    shown = f"<b>{number(cell.value, decimals=data.decimals)}</b>"
    if with_ends and cell.has_interval:
        shown += f"<br><span style='font-size:10px'>{_ends(data, cell)}</span>"
    if math.isnan(cell.value):
        shown, color = NOT_RUN, QUIET
    else:
        color = text_on(ramp(cell.value / data.most))
    font = {"size": 12.5, "color": color}
    return {"x": column, "y": row, "text": shown, "showarrow": False, "font": font}


def _name_axis(title: str, names: list[str]) -> browser.Spec:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [browser.broken(name) for name in names],
        "tickangle": 0,
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": QUIET}},
        "ticklen": 0,
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }


def note_of(data: Transfer) -> str:
    """The note."""
    return data.note


def _ends_width(data: Transfer) -> float:
    """Inches that the longest interval takes."""
    rows, columns = data.cost.shape
    texts = [_ends(data, data.cell(r, c)) for r in range(rows) for c in range(columns)]
    return max((text_width(text, SMALL - 1) for text in texts), default=0.0) + 0.1


def _ends(data: Transfer, cell: Estimate) -> str:
    if not cell.has_interval:
        return ""
    low, high = (number(end, decimals=data.decimals) for end in (cell.low, cell.high))
    return f"[{low}, {high}]"


def _fits(name: str, inches: float) -> bool:
    """Whether a name can stand over a column without being broken within a word."""
    words = name.split()
    return len(wrap(name, inches)) <= LINES and all(text_width(word) <= inches for word in words)


def _draw_cell(
    axes: "Axes", data: Transfer, row: int, column: int, *, room: float, with_ends: bool
) -> None:
    from matplotlib.patches import Rectangle

    cell = data.cell(row, column)
    corner = (column - 0.5, row - 0.5)
    if math.isnan(cell.value):
        axes.add_patch(
            Rectangle(corner, 1, 1, facecolor=PAPER, edgecolor=RULE, hatch="////", linewidth=0)
        )
        axes.text(
            column,
            row,
            NOT_RUN,
            ha="center",
            va="center",
            fontsize=SMALL - 1,
            color=QUIET,
            bbox={"facecolor": PAPER, "linewidth": 0, "pad": 1.5},
        )
        return
    color = ramp(cell.value / data.most)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, edgecolor=PAPER, linewidth=2))
    if data.is_own(row, column):
        inner = (column - 0.46, row - 0.43)
        axes.add_patch(Rectangle(inner, 0.92, 0.86, fill=False, edgecolor=QUIET, linewidth=0.8))
    ends = _ends(data, cell) if with_ends else ""
    text = number(cell.value, decimals=data.decimals)
    size = SMALL + 0.5
    size *= min(1.0, (room - 0.08) / text_width(text, size, bold=True))
    axes.text(
        column,
        row - 0.13 * bool(ends),
        text,
        ha="center",
        va="center",
        color=text_on(color),
        fontweight="bold",
        fontsize=size,
    )
    if ends:
        axes.text(
            column,
            row + 0.22,
            ends,
            ha="center",
            va="center",
            color=text_on(color),
            fontsize=SMALL - 1,
        )


def _draw_scale(figure: "Figure", axes: "Axes", data: Transfer) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    colors = LinearSegmentedColormap.from_list("ramp", ramp_stops())
    mapped = ScalarMappable(Normalize(0, data.most), colors)
    bar = figure.colorbar(mapped, ax=axes, pad=0.03, aspect=18)
    bar.set_label(fit(f"cost ({data.unit})", 2.0, 2), fontsize=SMALL, color=INK)
    bar.outline.set_linewidth(0)
    bar.ax.tick_params(labelsize=SMALL - 0.5)
