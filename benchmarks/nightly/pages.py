"""The pages of history: a README for the repository, and one page of HTML with all figures."""

import html
from collections.abc import Iterator, Sequence

from benchmarks.measured import table
from benchmarks.nightly.figures import Figure
from benchmarks.nightly.nights import History, Night, Past

README, PAGE = "README.md", "index.html"
_BARS = "▁▂▃▄▅▆▇█"
_NIGHTS_SHOWN, _POINTS = 30, 60


def write_pages(history: History) -> None:
    """Write both into the folder of the nights."""
    for name, text in ((README, readme(history)), (PAGE, page(history))):
        scratch = history.folder / f".writing-{name}"
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(history.folder / name)


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
    nights = list(reversed(history.nights))[:_NIGHTS_SHOWN]
    lines = [
        "# Nights",
        "",
        "What `make nightly` found, the newest first; [docs/nightly.md](../../docs/nightly.md) says what it",
        "measures and when it alarms. [index.html](index.html) has a picture of each figure over all nights.",
        "",
        table(
            ["night", "figures", "minutes", "load", "device", "found"],
            [
                [
                    _link(n),
                    str(len(n.figures)),
                    f"{n.seconds / 60:.0f}",
                    f"{n.load:.1f}",
                    n.device,
                    _found(n),
                ]
                for n in nights
            ],
        ),
        "",
    ]
    if history.accepted:
        rows = [
            [str(one["night"]), str(one["reason"]), str(len(one["figures"]))]
            for one in reversed(history.accepted)
        ]
        lines += ["## New normals", "", table(["from", "why", "figures"], rows), ""]
    rows = []
    for name in newest_figures(history):
        own = [figure for _, figure in series(history, name)][-_POINTS:]
        last = own[-1]
        error = "" if last.error is None else _error(last)
        rows.append([name.replace("|", "/"), last.text(), error, bars([one.value for one in own])])
    lines += ["## Figures of the newest night", ""]
    lines += [table(["figure", "value", "standard error", "over the nights"], rows), ""]
    return "\n".join(lines)


def _link(night: Night) -> str:
    return f"[{night.name}]({night.name}/summary.json)"


def _found(night: Night) -> str:
    if night.is_quiet:
        return "nothing moved"
    told = [f"moved: {one.figure}" for one in night.moved]
    told += [f"failed: {part}" for part in night.failed]
    told += [f"gone: {name}" for name in night.gone]
    return "; ".join(told[:4]) + (f"; and {len(told) - 4} more" if len(told) > 4 else "")


def _error(figure: Figure) -> str:
    assert figure.error is not None
    return f"{figure.error:.1%}" if figure.scale == "log" else figure.text(figure.error)


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; color: #1c2430;
  background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e4e8ee; vertical-align: middle; }
th { font-weight: 600; color: #556; } td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.moved td { background: #fdecea; } .quiet { color: #1b7f4d; } .bad { color: #b3261e; font-weight: 600; }
svg { display: block; } .wide { overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { background: #14181f; color: #dfe5ee; } th { color: #9aa6b8; }
  th, td { border-color: #2a313c; } tr.moved td { background: #45211f; } .quiet { color: #6fd39f; } .bad { color: #ff8a80; } }
"""


def page(history: History) -> str:
    """The page of HTML, which needs nothing else."""
    return "\n".join(_page(history)) + "\n"


def _page(history: History) -> Iterator[str]:
    yield "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
    yield "<meta name='viewport' content='width=device-width, initial-scale=1'>"
    yield f"<title>hpsuite's nights</title><style>{_STYLE}</style></head><body><h1>hpsuite's nights</h1>"
    if not history.past:
        yield "<p>No night has ended yet.</p></body></html>"
        return
    last = history.past[-1]
    nights = len(history.past)
    yield (
        f"<p>{nights} night{'s' if nights > 1 else ''}, {html.escape(history.past[0].name[:10])} to "
        f"{html.escape(last.name[:10])}. A line is a figure over the nights, the band twice its standard "
        "error within each night, the last value a dot; red where it moved.</p>"
    )
    yield from _night_table(history)
    groups: dict[str, list[str]] = {}
    for name in newest_figures(history):
        groups.setdefault(name.partition(" / ")[0], []).append(name)
    for group, names in groups.items():
        yield f"<h2>{html.escape(group)}</h2><div class='wide'><table>"
        yield "<tr><th>figure</th><th class='n'>last</th><th class='n'>standard error</th><th class='n'>mean before</th><th>nights</th></tr>"
        for name in names:
            yield _row(history, name, last)
        yield "</table></div>"
    yield "</body></html>"


def _night_table(history: History) -> Iterator[str]:
    yield "<h2>Nights</h2><div class='wide'><table><tr><th>night</th><th class='n'>figures</th><th class='n'>minutes</th><th>device</th><th>found</th></tr>"
    for night in list(reversed(history.nights))[:_NIGHTS_SHOWN]:
        kind = "quiet" if night.is_quiet else "bad"
        yield (
            f"<tr><td>{html.escape(night.name)}</td><td class='n'>{len(night.figures)}</td>"
            f"<td class='n'>{night.seconds / 60:.0f}</td><td>{html.escape(night.device)}</td>"
            f"<td class='{kind}'>{html.escape(_found(night))}</td></tr>"
        )
    yield "</table></div>"


def _row(history: History, name: str, last: Past) -> str:
    own = series(history, name)[-_POINTS:]
    figure = own[-1][1]
    earlier = [one.value for _, one in own[:-1]]
    before = figure.text(sum(earlier) / len(earlier)) if earlier else ""
    error = "" if figure.error is None else _error(figure)
    moved = " class='moved'" if name in last.moved else ""
    label = name.partition(" / ")[2] or name
    return (
        f"<tr{moved}><td>{html.escape(label)}</td><td class='n'>{html.escape(figure.text())}</td>"
        f"<td class='n'>{error}</td><td class='n'>{html.escape(before)}</td><td>{_sparkline(own, name)}</td></tr>"
    )


_WIDE, _HIGH, _EDGE = 220, 36, 4


def _sparkline(own: Sequence[tuple[Past, Figure]], name: str) -> str:
    """A line over the nights, with a band of two standard errors, as SVG."""
    spans = [_span(figure) for _, figure in own]
    low, high = min(a for a, _ in spans), max(b for _, b in spans)
    if high <= low:
        low, high = low - 0.5, high + 0.5

    def x(place: int) -> float:
        return _EDGE + (_WIDE - 2 * _EDGE) * (place / (len(own) - 1) if len(own) > 1 else 0.5)

    def y(value: float) -> float:
        return _HIGH - _EDGE - (_HIGH - 2 * _EDGE) * (value - low) / (high - low)

    places = range(len(own))
    top = [f"{x(i):.1f},{y(spans[i][1]):.1f}" for i in places]
    bottom = [f"{x(i):.1f},{y(spans[i][0]):.1f}" for i in reversed(places)]
    line = " ".join(f"{x(i):.1f},{y(own[i][1].value):.1f}" for i in places)
    dots = [
        f"<circle cx='{x(i):.1f}' cy='{y(figure.value):.1f}' r='{2.6 if i == len(own) - 1 else 1.8}' "
        f"fill='{'#c62828' if name in night.moved else '#1f6feb'}'>"
        f"<title>{html.escape(night.name)}: {html.escape(figure.text())}</title></circle>"
        for i, (night, figure) in enumerate(own)
    ]
    return (
        f"<svg width='{_WIDE}' height='{_HIGH}' role='img' aria-label='{html.escape(name, quote=True)}'>"
        f"<polygon points='{' '.join(top + bottom)}' fill='#1f6feb' opacity='.15'/>"
        f"<polyline points='{line}' fill='none' stroke='#1f6feb' stroke-width='1.5'/>{''.join(dots)}</svg>"
    )


def _span(figure: Figure) -> tuple[float, float]:
    error = figure.error or 0.0
    if figure.scale == "log":
        error *= figure.value
    return figure.value - 2 * error, figure.value + 2 * error
