"""All trials of a setup as lines across its hyperparameters, darker where they scored higher."""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsuite.report.axes import Axis, Floats
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import MARGIN, WIDTH, paper
from hpsuite.report.figures.words import fit, fit_all, text_width
from hpsuite.report.style import INK, PAPER, QUIET, SMALL, ramp, ramp_stops

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More lines than these say no more; of more trials, so many are drawn by lot.
MOST = 5000
MOST_STILL = 800
HEIGHT = 3.0
# Scores so many times further from the best than good ones share the lightest colour; where no
# level is good, those under this quantile do. What failed needs no shades.
_REACH = 4.0
_LOW_SHARE = 0.25
# The part of the ramp that shows on paper.
_SHADES = (0.15, 1.0)
_JITTER = 0.12  # of the distance of two choices, so that their lines can be told apart


@dataclass(frozen=True, eq=False)
class ParallelCoordinates:
    """Trials across hyperparameters.

    Attributes:
        title, note: above and below the picture.
        axes: of the hyperparameters, one or more.
        values: shape [n, hyperparameters]; for a choice its index; nan where not set.
        scores: shape [n], higher is better; finite.
        score: the axis of scores, the last one.
        good_level: scores of at least this are good; nan for none.
    """

    title: str
    axes: tuple[Axis, ...]
    values: Floats
    scores: Floats
    score: Axis
    good_level: float = math.nan
    note: str = ""

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.scores), len(self.axes)), self.title

    @property
    def all_axes(self) -> tuple[Axis, ...]:
        """The hyperparameters' axes and that of the scores."""
        return *self.axes, self.score


def shown(data: ParallelCoordinates, most: int) -> tuple[Floats, Floats, Floats]:
    """What is drawn of at most `most` trials, in ascending order of score: the best lie on top.

    Returns:
        Positions [n, axes], the scores' last; scores [n]; shades [n] in [0, 1].
    """
    chosen = np.arange(len(data.scores))
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, most, replace=False))
    chosen = chosen[np.argsort(data.scores[chosen], kind="stable")]
    scores = data.scores[chosen]
    columns = [axis.place(data.values[chosen, i]) for i, axis in enumerate(data.axes)]
    low, high = shade_ends(data)
    shades = np.clip((scores - low) / (high - low), 0, 1)
    return np.column_stack([*columns, data.score.place(scores)]), scores, shades


def shade_ends(data: ParallelCoordinates) -> tuple[float, float]:
    """The scores with the lightest and the darkest colour."""
    if not len(data.scores):
        return 0.0, 1.0
    high = float(data.scores.max())
    low = float(np.quantile(data.scores, _LOW_SHARE))
    if math.isfinite(data.good_level) and data.good_level < high:
        low = max(high - _REACH * (high - data.good_level), float(data.scores.min()))
    return (low, high) if low < high else (high - 1, high)


def draw(data: ParallelCoordinates) -> "Figure":
    """The still picture."""
    from matplotlib.collections import LineCollection

    places, scores, shades = shown(data, MOST_STILL)
    step = (WIDTH - 2 * MARGIN - 0.9) / max(len(data.axes), 1)
    titles = [axis.title for axis in data.all_axes]
    upright = all(text_width(w, bold=True) <= step - 0.1 for title in titles for w in title.split())
    room, lines = (step - 0.1, 3) if upright else (1.5, 1)
    names = fit_all(titles, room, lines, bold=True)
    above = 0.16 * max(1 + name.count("\n") for name in names) if upright else 0.9
    figure = paper(data.title, height=HEIGHT + above + 0.2, note=note_of(data, still=True), dpi=150)
    axes = figure.subplots()
    heights = np.column_stack(
        [_height(places[:, i], _limits(data, i)) for i in range(len(data.all_axes))]
    )
    jitter = np.random.default_rng(0).uniform(-1, 1, heights.shape)
    for i, axis in enumerate(data.all_axes):
        if axis.scale == "choice":
            heights[:, i] += jitter[:, i] * _JITTER / max(len(axis.choices), 1)
    x = np.arange(len(data.all_axes))
    segments = [np.column_stack([x, line]) for line in heights]
    start, end = _SHADES
    good = scores >= data.good_level
    axes.add_collection(
        LineCollection(
            segments,
            # In few shades and opaque: a picture of many colours would be a megabyte.
            colors=[ramp(start + (end - start) * round(8 * shade) / 8) for shade in shades],
            linewidths=np.where(good, 0.9, 0.5).tolist(),
        )
    )
    for i, axis in enumerate(data.all_axes):
        _draw_axis(axes, i, axis, _limits(data, i), last=i == len(data.axes))
        axes.annotate(
            names[i],
            (i, 1),
            xytext=(0, 10),
            textcoords="offset points",
            ha="center" if upright else "left",
            va="bottom",
            rotation=0 if upright else 30,
            rotation_mode="anchor",
            fontsize=SMALL,
            fontweight="bold",
            multialignment="center",
        )
    axes.set_xlim(-0.1, len(data.axes) + 0.1)
    axes.set_ylim(-0.04, 1.04)
    axes.set_axis_off()
    return figure


def spec(data: ParallelCoordinates) -> browser.Spec:
    """The interactive picture: ranges dragged on an axis choose trials."""
    places, _, shades = shown(data, MOST)
    dimensions = []
    titles = [axis.title for axis in data.all_axes]
    names = fit_all(titles, min(2.2, 12 / len(titles)), 1)
    for i, axis in enumerate(data.all_axes):
        limits = _limits(data, i)
        ticks = axis.ticks(*limits, 6)
        dimensions.append(
            {
                "label": browser.safe(names[i]),
                "values": places[:, i],
                "range": list(limits),
                "tickvals": [tick.position for tick in ticks],
                # Not escaped: plotly shows these as they are.
                "ticktext": [fit(tick.text, 1.2, 1) for tick in ticks],
            }
        )
    trace: browser.Spec = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": {
            "color": shades,
            "cmin": 0,
            "cmax": 1,
            "colorscale": [list(stop) for stop in ramp_stops(*_SHADES)],
        },
        "unselected": {"line": {"color": QUIET, "opacity": 0.06}},
        "labelfont": {"size": 13, "color": INK},
        "tickfont": {"size": 11.5, "color": INK},
    }
    # Names stand over the middle of their axes; those of the outer ones reach into the margins.
    wide = [browser.pixels(name, 13) for name in names]
    step = max((sum(pair) / 2 + 14 for pair in itertools.pairwise(wide)), default=0.0)
    left, right = (round(max(width / 2 + 10, 60)) for width in (wide[0], wide[-1]))
    least = round(left + right + max(step, 100) * len(data.axes))
    layout = browser.layout(360, {}, least=least)
    layout["margin"] = {"l": left, "r": right, "t": 70, "b": 30}
    return {"data": [trace], "layout": layout}


def note_of(data: ParallelCoordinates, *, still: bool = False) -> str:
    """The note, with what the picture, still or interactive, shows added to it."""
    n, most = len(data.scores), MOST_STILL if still else MOST
    low, _ = shade_ends(data)
    better, least, most_said = "higher", "up to", "at least"
    if data.score.negated:
        better, least, most_said = "lower", "from", "at most"
    trials = "trial" if n == 1 else "trials"
    shade = f"{data.score.shown(low):.3g}"
    said = [f"{n} {trials}; darker: {better} score; all {least} {shade} have the lightest colour."]
    if n > most:
        said[0] = f"{most} of {said[0]}"
    if still and math.isfinite(data.good_level):
        said.append(f"Thicker: good, {most_said} {data.score.shown(data.good_level):.4g}.")
    return " ".join([data.note, *said] if data.note else said)


def _limits(data: ParallelCoordinates, number: int) -> tuple[float, float]:
    if number == len(data.axes):
        return data.score.limits(data.scores, pad=0)
    return data.axes[number].limits(data.values[:, number], pad=0)


def _height(places: Floats, limits: tuple[float, float]) -> Floats:
    first, last = limits
    return (places - first) / (last - first)


def _draw_axis(
    axes: "Axes", x: int, axis: Axis, limits: tuple[float, float], *, last: bool
) -> None:
    axes.plot([x, x], [0, 1], color=INK, linewidth=0.9, zorder=4)
    first, final = limits
    for tick in axis.ticks(first, final, 6):
        y = (tick.position - first) / (final - first)
        axes.plot([x - 0.0, x], [y, y], marker="_", color=INK, markersize=5, zorder=4)
        axes.annotate(
            fit(tick.text, 0.8, 1, SMALL - 0.5),
            (x, y),
            xytext=(5 if last else -5, 0),
            textcoords="offset points",
            ha="left" if last else "right",
            va="center",
            fontsize=SMALL - 0.5,
            zorder=5,
            bbox={"facecolor": PAPER, "alpha": 0.75, "linewidth": 0, "pad": 0.8},
        )
