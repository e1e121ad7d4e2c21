"""A model's diary: scores over all epochs that it cost, what was nudged, what was taken back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsuite.report.axes import Axis, Floats
from hpsuite.report.figures import browser
from hpsuite.report.figures.canvas import Key, dress, paper
from hpsuite.report.style import INK, LINE_WIDTH, MARK_SIZE, PALETTE, PAPER, QUIET, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT = Look(PALETTE[0], "", "circle", (), "solid", "", "")
BACK = Look("#8a9199", "", "circle", (2.5, 1.5), "2.5px 1.5px", "", "")
NUDGE = Look(INK, "^", "triangle-up", (), "solid", "", "")
WITHDRAWN = Look(QUIET, "^", "triangle-up", (), "solid", "", "")
# Of the lowest scores, this share may lie below what is shown: a first epoch tells little.
HIDDEN = 0.05
EXAMPLE = "kept", "taken back", "nudge that was kept", "nudge that was taken back"


@dataclass(frozen=True, eq=False)
class DayLine:
    """A day.

    Attributes:
        epochs: shape [m], all epochs that were trained before and in it, after each of its own,
            with its beginning in front.
        scores: shape [m], likewise; nan where it begins with initial weights.
        kept: whether it was.
        nudge: what was changed for it, in words; empty for nothing.
        words: what is said of it, for those who point at it.
    """

    epochs: Floats
    scores: Floats
    kept: bool
    nudge: str
    words: str

    def __post_init__(self) -> None:
        assert self.epochs.shape == self.scores.shape, self.words


@dataclass(frozen=True)
class Diary:
    """The days of one model, in order.

    Attributes:
        title, note: above and below the picture.
        epochs, score: the axes.
        days: all of them, those taken back too.
    """

    title: str
    epochs: Axis
    score: Axis
    days: tuple[DayLine, ...]
    note: str = ""


def draw(data: Diary) -> "Figure":
    """The still picture."""
    keys = [Key(EXAMPLE[0], KEPT, mark=False), Key(EXAMPLE[1], BACK, mark=False)]
    keys += [
        Key(EXAMPLE[2], NUDGE, line=False),
        Key(EXAMPLE[3], WITHDRAWN, line=False, hollow=True),
    ]
    figure = paper(data.title, height=3.3, note=note_of(data), keys=keys)
    axes = figure.subplots()
    for day in sorted(data.days, key=lambda day: day.kept):
        style = KEPT if day.kept else BACK
        axes.plot(
            data.epochs.place(day.epochs),
            data.score.place(day.scores),
            color=style.color,
            linestyle=style.linestyle,
            linewidth=LINE_WIDTH if day.kept else 0.8 * LINE_WIDTH,
            zorder=3 if day.kept else 2,
        )
    low, high = _limits(data)
    for day in data.days:
        if day.nudge:
            axes.plot(
                [float(data.epochs.place(day.epochs[0]))],
                [low + 0.035 * (high - low)],
                marker=NUDGE.marker,
                markersize=MARK_SIZE + 1,
                color=NUDGE.color if day.kept else WITHDRAWN.color,
                markerfacecolor=NUDGE.color if day.kept else PAPER,
                linestyle="none",
                zorder=4,
            )
    dress(axes, "x", data.epochs, _width(data), most=8)
    dress(axes, "y", data.score, (low, high))
    return figure


def spec(data: Diary) -> browser.Spec:
    """The interactive picture."""
    low, high = _limits(data)
    axes = {
        "xaxis": browser.axis(data.epochs, _width(data), most=8),
        "yaxis": browser.axis(data.score, (low, high), room=240),
    }
    traces = [_line(data, day) for day in sorted(data.days, key=lambda day: day.kept)]
    for kept, look in ((True, NUDGE), (False, WITHDRAWN)):
        nudged = [day for day in data.days if day.nudge and day.kept == kept]
        traces.append(
            {
                "type": "scatter",
                "x": [float(data.epochs.place(day.epochs[0])) for day in nudged],
                "y": [low + 0.035 * (high - low)] * len(nudged),
                "mode": "markers",
                "marker": {"symbol": look.symbol + "-open" * (not kept), "size": 9}
                | {"color": look.color},
                "text": [browser.safe(day.words) for day in nudged],
                "hovertemplate": "%{text}<extra></extra>",
                "showlegend": False,
            }
        )
    keyed = zip(EXAMPLE, (KEPT, BACK, NUDGE, WITHDRAWN), strict=True)
    for i, (name, look) in enumerate(keyed):
        traces.append(
            browser.key(name, look, group=name, line=i < 2, mark=i >= 2, hollow=look is WITHDRAWN)
        )
    return {"data": traces, "layout": browser.layout(330, axes, keys=EXAMPLE)}


def _line(data: Diary, day: DayLine) -> browser.Spec:
    look = KEPT if day.kept else BACK
    return {
        "type": "scatter",
        "x": data.epochs.place(day.epochs),
        "y": data.score.place(day.scores),
        "mode": "lines",
        "line": {"color": look.color, "dash": look.dash, "width": 2},
        "text": [browser.safe(day.words)] * len(day.epochs),
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }


def note_of(data: Diary) -> str:
    """The note."""
    read = (
        "A line that begins lower or higher than the one before ended goes on from an earlier day."
    )
    return f"{read} {data.note}".strip()


def _width(data: Diary) -> tuple[float, float]:
    return data.epochs.limits(*(day.epochs for day in data.days))


def _limits(data: Diary) -> tuple[float, float]:
    """First and last position of the scores that are shown, with room for marks below."""
    places = np.concatenate([data.score.place(day.scores) for day in data.days])
    places = np.sort(places[np.isfinite(places)])
    if not len(places):
        return data.score.limits()
    first, last = float(places[int(HIDDEN * len(places))]), float(places[-1])
    span = (last - first) or 0.1 * abs(first) or 1.0
    least, most = (float(place) for place in data.score.place(data.score.bounds))
    return max(first - 0.14 * span, least), min(last + 0.06 * span, most)
