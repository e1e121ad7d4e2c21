"""Score against learning rate: where a setup trains well, how wide that range is, and what failed.

Above, each setup's scores: the seeds of a sweep as a band around their median, or the trials of a
random sample as marks with a running median. Below, its good range as a bar, and its failed trials,
which line and band include too.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpsuite.report.axes import Axis, show
from hpsuite.report.figures import browser, rate_tracks
from hpsuite.report.figures.canvas import Key, dress, paper
from hpsuite.report.figures.rate_series import TRAINED, RateSeries, line_of
from hpsuite.report.figures.words import fit, fit_all
from hpsuite.report.style import BAND_ALPHA, LINE_WIDTH, MARK_SIZE, rgba

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.24  # inches of a row in a track
HEIGHT = 2.7
BESIDE = 220  # pixels for a width in words
# Up to so many setups, their good ranges are shaded among the scores too.
SHADED = 2


@dataclass(frozen=True, eq=False)
class RateResponse:
    """Score against learning rate.

    Attributes:
        title, note: above and below the picture.
        rate, score: the axes.
        series: of setups, one or more.
        good: what counts as good ("within 2 points of its best").
    """

    title: str
    rate: Axis
    score: Axis
    series: tuple[RateSeries, ...]
    good: str = ""
    note: str = ""


def draw(data: RateResponse) -> "Figure":
    """The still picture."""
    tracks = _tracks(data)
    heights = [HEIGHT, *(ROW * len(data.series) + 0.06 for _ in tracks)]
    keys = [Key(s.name, s.look, line=bool(line_of(s, data.rate).kind)) for s in data.series]
    room = sum(heights) + 0.3 * len(tracks) + 0.45
    figure = paper(data.title, height=room, note=note_of(data), keys=keys)
    axes = figure.subplots(
        1 + len(tracks), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    _draw_scores(axes[0], data)
    for below, track in zip(axes[1:], tracks, strict=True):
        rate_tracks.prepare(below, _track_title(data, track), data.series)
        for row, series in enumerate(data.series):
            if track == "good":
                rate_tracks.draw_good(below, row, series, data.rate)
            else:
                rate_tracks.draw_failures(below, row, series, data.rate)
    limits = data.rate.limits(*(s.rates for s in data.series))
    dress(axes[-1], "x", data.rate, limits, most=9, room=5.0)
    for above in axes[:-1]:
        above.tick_params(axis="x", which="both", labelbottom=False, length=0)
    return figure


def spec(data: RateResponse) -> browser.Spec:
    """The interactive picture."""
    tracks = _tracks(data)
    heights = [330, *(24 * len(data.series) + 34 for _ in tracks)]
    total = sum(heights)
    axes: dict[str, browser.Spec] = {}
    annotations = []
    for i, track in enumerate(("scores", *tracks)):
        top = 1 - sum(heights[:i]) / total
        room = browser.Room(
            (0, 1), (max(1 - sum(heights[: i + 1]) / total, 0), top - 28 / total * (i > 0))
        )
        if i == 0:
            limits = data.score.limits(*(s.scores for s in data.series))
            axes["yaxis"] = browser.axis(data.score, limits, room=300, domain=list(room.y))
            continue
        axes[browser.numbered("yaxis", i)] = _track_axis(data) | {"domain": list(room.y)}
        words = browser.heading("", room, 400, size=11.5) | {
            "text": browser.safe(fit(_track_title(data, track), 6.0, 1))
        }
        annotations.append(words)
    limits = data.rate.limits(*(s.rates for s in data.series))
    last = browser.numbered("y", len(tracks))
    axes["xaxis"] = browser.axis(data.rate, limits, most=9, room=380, anchor=last)

    traces: list[browser.Spec] = []
    shapes: list[browser.Spec] = []
    for row, series in enumerate(data.series):
        traces.append(browser.key(series.name, series.look, group=series.group))
        traces += _score_traces(data, series)
        if "good" in tracks and series.width:
            annotations.append(_beside(series.width, 1.0, row, browser.numbered("y", 1)))
        if len(data.series) <= SHADED:
            shapes += _shades(data, series)
        for i, track in enumerate(tracks, 1):
            made = rate_tracks.good_traces if track == "good" else rate_tracks.failure_traces
            y = browser.numbered("y", i)
            traces += [trace | {"yaxis": y} for trace in made(row, series, data.rate)]
    keys = [s.name for s in data.series]
    widths = [s.width for s in data.series if "good" in tracks and s.width]
    beside = max((min(browser.pixels(width, 11.5), BESIDE) + 26 for width in widths), default=20.0)
    layout = browser.layout(
        total, axes, keys=keys, annotations=annotations, shapes=shapes, least=580 + round(beside)
    )
    layout["margin"]["r"] = round(beside)
    return {"data": traces, "layout": layout}


def note_of(data: RateResponse) -> str:
    """The note, with what the picture shows added to it."""
    said = [data.note] if data.note else []
    kinds = dict.fromkeys(kind for s in data.series if (kind := line_of(s, data.rate).kind))
    if kinds:
        said.append(f"Line and band: {'; '.join(kinds)}, failed trials included.")
    if not any(s.failed for s in data.series):
        said.append("No trial failed.")
    if any(math.isfinite(s.stable_rate) for s in data.series):
        said.append("Black bar beside a good range: the largest rate that still trains.")
    if any(s.open_low or s.open_high for s in data.series):
        said.append("Arrow: good up to the edge of the rates tried, so perhaps beyond.")
    return " ".join(said)


def _tracks(data: RateResponse) -> list[Literal["good", "failed"]]:
    tracks: list[Literal["good", "failed"]] = []
    if any(s.good or math.isfinite(s.best_rate) for s in data.series):
        tracks.append("good")
    if any(s.failed for s in data.series):
        tracks.append("failed")
    return tracks


def _track_title(data: RateResponse, track: str) -> str:
    if track == "failed":
        sizes = any(s.is_sweep and s.failed for s in data.series)
        return rate_tracks.FAILURES + ("; larger: more of the seeds" if sizes else "")
    return f"good: {data.good}" if data.good else "good"


def _draw_scores(axes: "Axes", data: RateResponse) -> None:
    for series in data.series:
        look, line = series.look, line_of(series, data.rate)
        if len(data.series) <= SHADED:
            for low, high in series.good:
                left, right = (float(data.rate.place(end)) for end in (low, high))
                axes.axvspan(left, right, color=look.color, alpha=0.07, linewidth=0)
                axes.plot(
                    [left, right],
                    [series.good_level] * 2,
                    color=look.color,
                    linewidth=0.9,
                    linestyle=(0, (1, 2)),
                )
        axes.fill_between(line.x, line.low, line.high, color=look.color, alpha=BAND_ALPHA, lw=0)
        axes.plot(
            line.x,
            line.middle,
            color=look.color,
            linestyle=look.linestyle,
            linewidth=LINE_WIDTH,
            marker=look.marker if series.is_sweep else "",
            markersize=MARK_SIZE - 1,
        )
        if not series.is_sweep:
            seen = series.outcomes == TRAINED
            axes.scatter(
                data.rate.place(series.rates[seen]),
                series.scores[seen],
                s=(MARK_SIZE - 1) ** 2,
                marker=look.marker,
                color=look.color,
                alpha=0.55,
                linewidths=0,
            )
    dress(axes, "y", data.score, data.score.limits(*(s.scores for s in data.series)))


def _score_traces(data: RateResponse, series: RateSeries) -> list[browser.Spec]:
    look, line = series.look, line_of(series, data.rate)
    shared = {
        "type": "scatter",
        "name": browser.safe(series.name),
        "legendgroup": series.group,
        "showlegend": False,
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
    }
    traces = [browser.band(line.x, line.low, line.high, look, group=series.group, edge=0)]
    texts = [
        f"{data.rate.label} {show(data.rate.value(float(x)))}: {_text(data.score, m, low, high)}"
        for x, m, low, high in zip(line.x, line.middle, line.low, line.high, strict=True)
    ]
    traces.append(
        shared
        | {
            "x": line.x,
            "y": line.middle,
            "mode": "lines+markers" if series.is_sweep else "lines",
            "line": {"color": look.color, "dash": look.dash, "width": 2},
            "marker": {"symbol": look.symbol, "size": 6},
            "text": [browser.safe(text) for text in texts],
        }
    )
    if not series.is_sweep:
        seen = series.outcomes == TRAINED
        texts = [
            f"{data.rate.label} {show(rate)}: {data.score.shown(score):.4g}"
            for rate, score in zip(series.rates[seen], series.scores[seen], strict=True)
        ]
        traces.append(
            shared
            | {
                "x": data.rate.place(series.rates[seen]),
                "y": series.scores[seen],
                "mode": "markers",
                "marker": {"symbol": look.symbol, "size": 6, "color": rgba(look.color, 0.55)},
                "text": [browser.safe(text) for text in texts],
            }
        )
    return traces


def _shades(data: RateResponse, series: RateSeries) -> list[browser.Spec]:
    return [
        {
            "type": "rect",
            "xref": "x",
            "yref": "y domain",
            "x0": float(data.rate.place(low)),
            "x1": float(data.rate.place(high)),
            "y0": 0,
            "y1": 1,
            "line": {"width": 0},
            "fillcolor": rgba(series.look.color, 0.07),
            "layer": "below",
        }
        for low, high in series.good
    ]


def _beside(text: str, x: float, row: int, y: str) -> browser.Spec:
    return {
        "text": browser.lines(text, BESIDE, 1, 11.5),
        "x": x,
        "xref": "paper",
        "xanchor": "left",
        "xshift": 14,
        "y": row,
        "yref": y,
        "showarrow": False,
        "font": {"size": 11.5},
    }


def _track_axis(data: RateResponse) -> browser.Spec:
    rows = len(data.series)
    return {
        "range": [rows - 0.45, -0.55],
        "tickvals": list(range(rows)),
        "ticktext": [browser.safe(n) for n in fit_all([s.name for s in data.series], 1.7, 1)],
        "zeroline": False,
        "showgrid": False,
        "automargin": True,
        "fixedrange": True,
    }


def _text(axis: Axis, middle: float, low: float, high: float) -> str:
    """A point of a line with its band, as a reader sees it."""
    low, high = sorted((axis.shown(low), axis.shown(high)))
    return f"{axis.shown(middle):.4g} [{low:.4g}, {high:.4g}]"
