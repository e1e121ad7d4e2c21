"""The nights on one page of HTML, with a picture of each figure over the nights."""

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.nightly.figures import Figure, part_of
from benchmarks.nightly.history import History, Past
from benchmarks.nightly.pages import POINTS, error_of, found_in, newest_figures, series, shown

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 74rem;
  padding: 0 1rem; color: #1c2430; background: #fff; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e4e8ee; }
th { font-weight: 600; color: #556; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.moved td { background: #fdecea; }
.quiet { color: #1b7f4d; }
.bad { color: #b3261e; font-weight: 600; }
svg { display: block; }
.wide { overflow-x: auto; }
@media (prefers-color-scheme: dark) {
  body { background: #14181f; color: #dfe5ee; }
  th { color: #9aa6b8; }
  th, td { border-color: #2a313c; }
  tr.moved td { background: #45211f; }
  .quiet { color: #6fd39f; }
  .bad { color: #ff8a80; }
}
"""
_BLUE, _RED = "#1f6feb", "#c62828"
_WIDE, _HIGH, _EDGE = 220, 36, 4


def page(history: History) -> str:
    """The page, which needs nothing else."""
    return "\n".join(_page(history)) + "\n"


def _page(history: History) -> Iterator[str]:
    yield "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
    yield "<meta name='viewport' content='width=device-width, initial-scale=1'>"
    yield f"<title>hpsuite's nights</title><style>{_STYLE}</style></head><body>"
    yield "<h1>hpsuite's nights</h1>"
    if not history.past:
        yield "<p>No night has ended yet.</p></body></html>"
        return
    first, last = history.past[0], history.past[-1]
    nights = len(history.past)
    yield (
        f"<p>{nights} night{'s' if nights > 1 else ''}, {escape(first.name[:10])} to "
        f"{escape(last.name[:10])}. A line is a figure over the nights, the band twice its "
        "standard error within each night; a night in which it moved is red.</p>"
    )
    yield from _nights(history)
    groups: dict[str, list[str]] = {}
    for name in newest_figures(history):
        groups.setdefault(part_of(name), []).append(name)
    for group, names in groups.items():
        yield f"<h2>{escape(group)}</h2>"
        yield from _table(
            ["figure", "n:last", "n:standard error", "n:mean before", "nights"],
            (_row(history, name, last) for name in names),
        )
    yield "</body></html>"


def _table(header: Sequence[str], rows: Iterator[str]) -> Iterator[str]:
    """Columns whose names begin with `n:` hold numbers."""
    cells = "".join(
        f"<th class='n'>{escape(name[2:])}</th>"
        if name.startswith("n:")
        else f"<th>{escape(name)}</th>"
        for name in header
    )
    yield f"<div class='wide'><table><tr>{cells}</tr>"
    yield from rows
    yield "</table></div>"


def _nights(history: History) -> Iterator[str]:
    yield "<h2>Nights</h2>"
    rows = (
        f"<tr><td>{escape(night.name)}</td><td class='n'>{len(night.figures)}</td>"
        f"<td class='n'>{night.seconds / 60:.0f}</td><td>{escape(night.device)}</td>"
        f"<td class='{'quiet' if night.is_quiet else 'bad'}'>{escape(found_in(night))}</td></tr>"
        for night in shown(history)
    )
    yield from _table(["night", "n:figures", "n:minutes", "device", "found"], rows)


def _row(history: History, name: str, last: Past) -> str:
    own = series(history, name)[-POINTS:]
    figure = own[-1][1]
    earlier = [one.value for night, one in own[:-1] if name not in night.moved]
    before = figure.text(sum(earlier) / len(earlier)) if earlier else ""
    label = name.partition(" / ")[2] or name
    return (
        f"<tr{' class=moved' if name in last.moved else ''}><td>{escape(label)}</td>"
        f"<td class='n'>{escape(figure.text())}</td><td class='n'>{error_of(figure)}</td>"
        f"<td class='n'>{escape(before)}</td><td>{_sparkline(own, name)}</td></tr>"
    )


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
    band = [f"{x(i):.1f},{y(spans[i][1]):.1f}" for i in places]
    band += [f"{x(i):.1f},{y(spans[i][0]):.1f}" for i in reversed(places)]
    line = " ".join(f"{x(i):.1f},{y(own[i][1].value):.1f}" for i in places)
    dots = [
        f"<circle cx='{x(i):.1f}' cy='{y(figure.value):.1f}' r='2.2' "
        f"fill='{_RED if name in night.moved else _BLUE}'>"
        f"<title>{escape(night.name)}: {escape(figure.text())}</title></circle>"
        for i, (night, figure) in enumerate(own)
    ]
    return (
        f"<svg width='{_WIDE}' height='{_HIGH}' role='img' aria-label='{escape(name)}'>"
        f"<polygon points='{' '.join(band)}' fill='{_BLUE}' opacity='.15'/>"
        f"<polyline points='{line}' fill='none' stroke='{_BLUE}' stroke-width='1.5'/>"
        f"{''.join(dots)}</svg>"
    )


def _span(figure: Figure) -> tuple[float, float]:
    error = figure.error or 0.0
    if figure.scale == "log":
        error *= figure.value
    return figure.value - 2 * error, figure.value + 2 * error
