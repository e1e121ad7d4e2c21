"""HTML, safely: every text is escaped here, whatever a user's names hold."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping

from hpsuite.report.axes import Axis
from hpsuite.report.figures.intervals import limits_of
from hpsuite.report.style import INK, QUIET, ZONE
from hpsuite.report.view import Verdict

Attribute = str | float | None


def text(words: str) -> str:
    """Text as HTML."""
    return html.escape(words, quote=True)


def prose(words: str) -> str:
    """Text as HTML, with `backquoted` parts as code."""
    parts = words.split("`")
    if len(parts) % 2 == 0:  # a backquote without its fellow is only a backquote
        return text(words)
    marked = (f"<code>{text(p)}</code>" if i % 2 else text(p) for i, p in enumerate(parts))
    return "".join(marked)


def element(name: str, inner: str | Iterable[str] = "", **attributes: Attribute) -> str:
    """An element; `inner` is HTML already, attributes are not.

    A trailing underscore of an attribute's name is dropped, others become hyphens; None leaves the
    attribute out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = inner if isinstance(inner, str) else "".join(inner)
    return f"<{name}{given}>{body}</{name}>"


def facts(pairs: Mapping[str, str], *, kind: str | None = "facts") -> str:
    """Names and values."""
    rows = (
        element("dt", text(name)) + element("dd", prose(value)) for name, value in pairs.items()
    )
    return element("dl", rows, class_=kind) if pairs else ""


def identifier(words: str) -> str:
    """Words as the name of a place in a page."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "section"


def data_script(name: str, source: str) -> str:
    """JSON to be read by a script; nothing in it can end the element."""
    json.loads(source)  # asserts that it is JSON
    for character in "<>&\u2028\u2029":
        source = source.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{text(name)}">{source}</script>'


def script(source: str) -> str:
    """A script of ours; `policy` allows it by its hash."""
    assert "</script" not in source.lower()
    assert "<!--" not in source
    return f"<script>{source}</script>"


def policy(scripts: Iterable[str]) -> str:
    """What a browser may do with the page: run these scripts, show what is in it, fetch nothing.

    plotly compiles the shaders of parallel coordinates from text, for which it needs `unsafe-eval`.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    )
    return (
        f"default-src 'none'; script-src 'unsafe-eval' {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def png_address(png: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def interval_picture(verdict: Verdict) -> str:
    """A verdict's interval, small: estimate, ends, and what would be too small to matter."""
    estimate, null, effect = verdict.estimate, verdict.null, verdict.smallest_effect
    if not estimate.inside():
        return ""
    zone = [null - effect, null + effect] if effect == effect else []  # noqa: PLR0124
    axis = Axis(verdict.statistic)
    first, last = limits_of(axis, [estimate], null, *zone)
    width, left = 440.0, 8.0

    def x(value: float) -> float:
        inside = min(max(value, first), last)
        return round(left + (width - 2 * left) * (inside - first) / (last - first), 1)

    parts = []
    if zone:
        low, high = (x(end) for end in zone)
        parts.append(f'<rect x="{low}" y="2" width="{high - low:.1f}" height="26" fill="{ZONE}"/>')
    at = x(null)
    parts.append(f'<line x1="{at}" x2="{at}" y1="0" y2="30" stroke="{INK}" stroke-width="1"/>')
    if estimate.has_interval:
        low, high = x(estimate.low), x(estimate.high)
        stroke = f'stroke="{INK}" stroke-width="3"'
        parts.append(f'<line x1="{low}" x2="{high}" y1="15" y2="15" {stroke}/>')
        for end, place in ((estimate.low, low), (estimate.high, high)):
            if first <= end <= last:
                parts.append(f'<line x1="{place}" x2="{place}" y1="9" y2="21" {stroke}/>')
            else:
                turn = 8 if end < first else -8
                parts.append(f'<path d="M{place} 15 l{turn} -7 v14 z" fill="{INK}"/>')
    parts.append(f'<circle cx="{x(estimate.value)}" cy="15" r="5.5" fill="{INK}"/>')
    parts.append(f'<line x1="{left}" x2="{width - left}" y1="30" y2="30" stroke="{QUIET}"/>')
    parts += [
        f'<text x="{x(tick.position)}" y="43" text-anchor="middle" font-size="11" '
        f'fill="{QUIET}">{text(tick.text)}</text>'
        for tick in axis.ticks(first, last, 7)
    ]
    return element(
        "svg", parts, viewBox=f"0 0 {width:g} 46", role="img", aria_label=verdict.interval
    )
