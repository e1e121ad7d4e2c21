"""The tracks beneath scores over learning rates: rows of good ranges, and of failures.

Rows instead of shades, so that ten setups are as readable as two.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsuite.report.axes import Axis, show
from hpsuite.report.figures import browser
from hpsuite.report.figures.rate_series import AT_CHANCE, DIVERGED, RateSeries
from hpsuite.report.figures.words import fit, fit_all
from hpsuite.report.style import FAINT, INK, MARK_SIZE, PAPER, QUIET, SMALL, rgba

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME_ROOM = 1.3  # inches for a name beside its row
FAILURES = "failed trials: \u00d7 diverged, ○ at chance"
# (outcome, its word, matplotlib's mark, plotly's)
_FAILED = ((AT_CHANCE, "at chance", "o", "circle-open"), (DIVERGED, "diverged", "x", "x-thin-open"))


def prepare(axes: "Axes", title: str, series: Sequence[RateSeries]) -> None:
    """Rows with names for axes that hold a track."""
    axes.set_ylim(len(series) - 0.45, -0.55)
    names = fit_all([s.name for s in series], NAME_ROOM, 1)
    axes.set_yticks(range(len(series)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(fit(title, 5.5, 1), loc="left", fontsize=SMALL, color=QUIET, pad=3)
    for row in range(1, len(series)):
        axes.axhline(row - 0.5, color=FAINT, linewidth=0.7)


def draw_good(axes: "Axes", row: int, series: RateSeries, rate: Axis) -> None:
    """A bar over the good rates: capped where they end, an arrow where they may go on."""
    look = series.look
    for i, (low, high) in enumerate(series.good):
        left, right = (float(rate.place(end)) for end in (low, high))
        opens = (series.open_low and i == 0, series.open_high and i == len(series.good) - 1)
        axes.barh(row, right - left, left=left, height=0.44, color=look.color, alpha=0.3, zorder=2)
        axes.barh(
            row,
            right - left,
            left=left,
            height=0.44,
            facecolor="none",
            edgecolor=look.color,
            hatch=look.hatch or None,
            linewidth=0.8,
            zorder=3,
        )
        for end, is_open, arrow in ((left, opens[0], "<"), (right, opens[1], ">")):
            axes.plot(
                end,
                row,
                marker=arrow if is_open else "|",
                markersize=7 if is_open else 9,
                markeredgewidth=0 if is_open else 1.6,
                color=look.color,
                clip_on=False,
                zorder=4,
            )
    for value, marker, size in (
        (series.stable_rate, "|", 13.0),
        (series.best_rate, look.marker, MARK_SIZE + 2.5),
    ):
        if math.isfinite(value):
            axes.plot(
                float(rate.place(value)),
                row,
                marker=marker,
                markersize=size,
                markerfacecolor=look.color if marker != "|" else None,
                markeredgecolor=PAPER if marker != "|" else INK,
                markeredgewidth=0.9 if marker != "|" else 1.4,
                linestyle="none",
                clip_on=False,
                zorder=6,
            )
    if series.width:
        axes.text(
            1.015,
            row,
            fit(series.width, 1.6, 1),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=SMALL,
        )


def draw_failures(axes: "Axes", row: int, series: RateSeries, rate: Axis) -> None:
    """Marks at the rates of failed trials, larger where more of the seeds failed."""
    x = rate.place(series.rates)
    for outcome, _, marker, _ in _FAILED:
        shares = series.shares(outcome)
        seen = (shares > 0) & np.isfinite(x)
        color: dict[str, Any] = {"color": series.look.color}
        if marker == "o":
            color = {"facecolors": "none", "edgecolors": series.look.color}
        axes.scatter(
            x[seen],
            np.full(int(seen.sum()), row + (0.16 if marker == "x" else -0.16)),
            s=(2.4 + 2.6 * shares[seen]) ** 2,
            marker=marker,
            linewidths=0.8,
            clip_on=False,
            zorder=3,
            **color,
        )


def good_traces(row: int, series: RateSeries, rate: Axis) -> list[browser.Spec]:
    """The bar of a good range, and its marks, for the browser."""
    look = series.look
    shared = {"type": "scatter", "legendgroup": series.group, "showlegend": False}
    traces: list[browser.Spec] = []
    for i, (low, high) in enumerate(series.good):
        opens = (series.open_low and i == 0, series.open_high and i == len(series.good) - 1)
        words = f"{series.name}: good from {show(low)} to {show(high)}"
        words += f", {series.width}" if series.width else ""
        words += "; the range tried ends here" if any(opens) else ""
        traces.append(
            shared
            | {
                "x": [float(rate.place(low)), float(rate.place(high))],
                "y": [row, row],
                "mode": "lines+markers",
                "line": {"width": 9, "color": rgba(look.color, 0.45)},
                "marker": {
                    "size": 12,
                    "color": look.color,
                    "opacity": 1,
                    "symbol": [
                        "triangle-left" if opens[0] else "line-ns-open",
                        "triangle-right" if opens[1] else "line-ns-open",
                    ],
                    "line": {"width": 2, "color": look.color},
                },
                "hovertemplate": "%{text}<extra></extra>",
                "text": [browser.safe(words)] * 2,
                "cliponaxis": False,
            }
        )
    for value, symbol, words in (
        (series.stable_rate, "line-ns-open", "largest rate that trains"),
        (series.best_rate, look.symbol, "best rate"),
    ):
        if math.isfinite(value):
            traces.append(
                shared
                | {
                    "x": [float(rate.place(value))],
                    "y": [row],
                    "mode": "markers",
                    "marker": {
                        "symbol": symbol,
                        "size": 11 if symbol == look.symbol else 18,
                        "color": look.color if symbol == look.symbol else INK,
                        "line": {"width": 1.5, "color": PAPER if symbol == look.symbol else INK},
                    },
                    "hovertemplate": "%{text}<extra></extra>",
                    "text": [browser.safe(f"{series.name}: {words} {show(value)}")],
                    "cliponaxis": False,
                }
            )
    return traces


def failure_traces(row: int, series: RateSeries, rate: Axis) -> list[browser.Spec]:
    """The marks of failed trials, for the browser."""
    x = rate.place(series.rates)
    traces: list[browser.Spec] = []
    for outcome, word, _, symbol in _FAILED:
        shares = series.shares(outcome)
        seen = (shares > 0) & np.isfinite(x)
        rates = [show(v) for v in series.rates[seen]]
        if series.is_sweep:
            texts = [
                f"{series.name}, {r}: {share:.0%} of the seeds {word}"
                for r, share in zip(rates, shares[seen], strict=True)
            ]
        else:
            texts = [f"{series.name}, {r}: {word}" for r in rates]
        traces.append(
            {
                "type": "scatter",
                "x": x[seen],
                "y": np.full(int(seen.sum()), row + (0.18 if outcome == DIVERGED else -0.18)),
                "mode": "markers",
                "marker": {
                    "symbol": symbol,
                    "size": 4 + 5 * shares[seen],
                    "color": series.look.color,
                    "line": {"width": 1.2, "color": series.look.color},
                },
                "legendgroup": series.group,
                "showlegend": False,
                "hovertemplate": "%{text}<extra></extra>",
                "text": [browser.safe(text) for text in texts],
                "cliponaxis": False,
            }
        )
    return traces
