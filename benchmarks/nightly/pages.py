"""The page of the nights for the repository: a README, with a sparkline of each figure."""

from collections.abc import Sequence

from benchmarks.measured import table
from benchmarks.nightly.figures import Figure
from benchmarks.nightly.history import History, Past
from benchmarks.nightly.nights import Night

POINTS = 60
_BARS = "▁▂▃▄▅▆▇█"
_NIGHTS_SHOWN = 30
# Of what a night found, so many figures are named.
_NAMED = 3
_INTRODUCTION = """# Nights

What `make nightly` found, the newest first; [docs/nightly.md](../../docs/nightly.md) says what it
measures and when it alarms. [index.html](index.html) has a picture of each figure over the nights.
"""


def shown(history: History) -> list[Night]:
    """The nights that pages list, the newest first."""
    return list(reversed(history.nights))[:_NIGHTS_SHOWN]


def series(history: History, name: str) -> list[tuple[Past, Figure]]:
    """A figure's values, from the oldest night on, of its newest matrix."""
    own = [(night, night.figures[name]) for night in history.past if name in night.figures]
    return [(night, figure) for night, figure in own if night.matrix == own[-1][0].matrix]


def newest_figures(history: History) -> list[str]:
    """Names of the newest night's figures, in their order."""
    return list(history.past[-1].figures) if history.past else []


def bars(values: Sequence[float]) -> str:
    """A sparkline of letters."""
    low, high = min(values), max(values)
    if high <= low:
        return _BARS[3] * len(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round(steps * (value - low) / (high - low))] for value in values)


def readme(history: History) -> str:
    """The page for the repository."""
    header = ["night", "figures", "minutes", "load average", "device", "found"]
    parts = [_INTRODUCTION, table(header, [_night(night) for night in shown(history)])]
    if history.accepted:
        rows = [
            [str(one["night"]), one["reason"].replace("|", "\\|"), str(len(one["figures"]))]
            for one in reversed(history.accepted)
        ]
        parts += ["## New normals", table(["from", "why", "figures"], rows)]
    header = ["figure", "value", "standard error", "over the nights"]
    rows = [_figure(history, name) for name in newest_figures(history)]
    parts += ["## Figures of the newest night", table(header, rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _night(night: Night) -> list[str]:
    return [
        f"[{night.name}]({night.name}/summary.json)",
        str(len(night.figures)),
        f"{night.seconds / 60:.0f}",
        f"{night.load:.1f}",
        night.device,
        found_in(night),
    ]


def _figure(history: History, name: str) -> list[str]:
    own = [figure for _, figure in series(history, name)][-POINTS:]
    return [name, own[-1].text(), error_of(own[-1]), bars([one.value for one in own])]


def found_in(night: Night) -> str:
    """What a night found, in a few words."""
    if night.is_quiet:
        return "nothing moved"
    found = (
        ("moved", [one.figure for one in night.moved]),
        ("failed", list(night.failed)),
        ("gone", list(night.gone)),
    )
    return "; ".join(f"{what}: {_first_of(names)}" for what, names in found if names)


def _first_of(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def error_of(figure: Figure) -> str:
    """A figure's standard error, as it is written; empty where there is none."""
    if figure.error is None:
        return ""
    return f"{figure.error:.1%}" if figure.scale == "log" else figure.text(figure.error)
