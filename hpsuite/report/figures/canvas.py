"""Paper to draw on: a title and a key above, a note below, and room for the axes in between.

All sizes are in inches. Titles, keys and notes are measured and wrapped, so that nothing overlaps
whatever the names are; matplotlib's constrained layout does the same for what lies in between.
"""

import contextlib
import functools
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis
from hpsuite.report.style import (
    DPI,
    FONT_SIZE,
    INK,
    LINE_WIDTH,
    MARK_SIZE,
    PAPER,
    QUIET,
    RC,
    SMALL,
    TITLE_SIZE,
    Look,
    rgb,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture

WIDTH = 8.0
MARGIN = 0.12
NAME = 1.3  # for the name of a place on an axis
LINE = 1.35  # from one line of text to the next, in its size
KEY_SAMPLE = 0.3
# A picture of more bytes is saved in few colours.
HEAVY = 150_000


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the key above a picture.

    Attributes:
        label: its words.
        look: colour, and the shape of what is shown of it.
        line, mark, area: which of the three the picture has.
        hollow: whether marks have no filling.
        thick: width of the line, in points.
    """

    label: str
    look: Look
    line: bool = True
    mark: bool = True
    area: bool = False
    hollow: bool = False
    thick: float = LINE_WIDTH


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """The style's settings while something is drawn or saved."""
    import matplotlib as mpl

    with mpl.rc_context(dict(RC)), warnings.catch_warnings():
        # A name in a script that the font lacks is shown as boxes; nothing can be done about it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def paper(
    title: str,
    *,
    height: float,
    note: str = "",
    keys: Sequence[Key] = (),
    width: float = WIDTH,
    dpi: int = DPI,
) -> "Figure":
    """A figure with its title, key and note, and room of `height` inches for axes."""
    from matplotlib.figure import Figure

    room = width - 2 * MARGIN
    titles = wrap(title, room, TITLE_SIZE, bold=True)
    notes = wrap(note, room, SMALL)
    rows = _rows(keys, room)
    above = MARGIN + _lines(len(titles), TITLE_SIZE) + 0.06 * bool(titles)
    key_top = above
    above += 0.22 * len(rows) + 0.04 * bool(rows)
    below = MARGIN + _lines(len(notes), SMALL)
    total = above + height + below

    figure = Figure(figsize=(width, total), dpi=dpi)
    figure.set_layout_engine(
        "constrained",
        rect=(MARGIN / width, below / total, room / width, height / total),
        w_pad=0.08,
        h_pad=0.05,
        wspace=0.02,
        hspace=0.03,
    )
    for i, line in enumerate(titles):
        y = total - MARGIN - _lines(i, TITLE_SIZE)
        _write(figure, MARGIN, y, line, TITLE_SIZE, bold=True)
    for i, row in enumerate(rows):
        for x, key, lines in row:
            _draw_key(figure, x, total - key_top - 0.22 * i - 0.11, key, lines)
    for i, line in enumerate(notes):
        _write(figure, MARGIN, below - 0.02 - _lines(i, SMALL), line, SMALL, color=QUIET)
    return figure


def dress(
    axes: "Axes",
    which: str,
    axis: Axis,
    limits: tuple[float, float],
    *,
    most: int = 6,
    label: bool = True,
    room: float = 2.5,
) -> None:
    """Give axes one of their scales: limits, ticks and label.

    Args:
        axes: to dress.
        which: `x` or `y`.
        axis: what is shown.
        limits: first and last position.
        most: about how many ticks there is room for.
        label: whether to write the label.
        room: inches for each line of the label.
    """
    ticks = axis.ticks(*limits, most)
    side = axes.xaxis if which == "x" else axes.yaxis
    names = [fit(tick.text, NAME, 1) for tick in ticks]
    side.set_ticks([tick.position for tick in ticks], names)
    side.set_ticks(axis.minor(*limits), minor=True)
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    if label:
        side.set_label_text(fit(axis.title, room, 2, FONT_SIZE))


def label_left(figure: "Figure", text: str) -> None:
    """One label for the vertical axes of all rows of panels."""
    engine = figure.get_layout_engine()
    assert engine is not None
    _, bottom, _, height = engine.get()["rect"]
    figure.supylabel(fit(text, 4.0, 1, FONT_SIZE), fontsize=FONT_SIZE, y=bottom + height / 2)


def png(figure: "Figure") -> bytes:
    """A figure as a PNG; of 256 or of 32 colours where it would be heavy."""
    from PIL import Image

    plain = io.BytesIO()
    with drawing():
        figure.savefig(plain, format="png", dpi="figure", metadata={"Software": None})
    best = plain.getvalue()
    for colors in (256, 32):
        if len(best) <= HEAVY:
            break
        light = io.BytesIO()
        with Image.open(plain) as image:
            _with_palette(image.convert("RGB"), colors).save(light, format="PNG", optimize=True)
        best = min(best, light.getvalue(), key=len)
    return best


def wrap(text: str, inches: float, size: float = SMALL, *, bold: bool = False) -> list[str]:
    """Text in lines of at most so many inches: broken at spaces, else within a word."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for piece in _pieces(paragraph, inches, size, bold=bold):
            if line and text_width((line + piece).rstrip(), size, bold=bold) > inches:
                lines.append(line.rstrip())
                line = piece.lstrip()
            else:
                line += piece
        if line.strip():
            lines.append(line.rstrip())
    return lines


def shorten(text: str, inches: float, size: float = SMALL) -> str:
    """Text cut to so many inches: an ellipsis for what is missing, as names differ at both ends."""
    return _longest(text, lambda words: text_width(words, size) <= inches)


def fit(text: str, inches: float, lines: int, size: float = SMALL, *, bold: bool = False) -> str:
    """Text wrapped into at most so many lines, with an ellipsis where something is missing."""
    kept = _longest(text, lambda words: len(wrap(words, inches, size, bold=bold)) <= lines)
    return "\n".join(wrap(kept, inches, size, bold=bold)[:lines])


@functools.cache
def text_width(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """Width of a line of text, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    weight = "bold" if bold else "normal"
    font = FontProperties(family=RC["font.family"], size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def _with_palette(image: "Picture", colors: int) -> "Picture":
    """An image in so many colours; those of paper and text are kept as they are.

    Without dithering, whose speckles compress badly.
    """
    from PIL import Image

    few = image.quantize(colors, dither=Image.Dither.NONE)
    palette = few.getpalette() or []
    for color in (QUIET, INK, PAPER):
        wanted = [round(255 * part) for part in rgb(color)]
        places = range(0, len(palette), 3)
        nearest = min(places, key=lambda i: math.dist(palette[i : i + 3], wanted))
        palette[nearest : nearest + 3] = wanted
    few.putpalette(palette)
    return few


def _pieces(text: str, inches: float, size: float, *, bold: bool) -> Iterator[str]:
    """Words with the space behind them; one too long for a line in shorter pieces."""
    for word in re.findall(r"\s*\S+", text):
        if text_width(word.strip(), size, bold=bold) <= inches:
            yield word
            continue
        # After the signs that join the words of a name first, then anywhere.
        for part in re.findall(r"[^_\-/.=]*[_\-/.=]|[^_\-/.=]+", word):
            piece = ""
            for character in part:
                if piece and text_width(piece + character, size, bold=bold) > inches:
                    yield piece
                    piece = ""
                piece += character
            yield piece


def _longest(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of both of its ends as fits; by bisection."""
    if fits(text):
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_cut(text, middle)) else (low, middle)
    return _cut(text, low)


def _cut(text: str, kept: int) -> str:
    return text[: kept - kept // 2].rstrip() + "…" + text[len(text) - kept // 2 :].lstrip()


def _rows(keys: Sequence[Key], room: float) -> list[list[tuple[float, Key, str]]]:
    """Keys in rows: (left edge, key, its label as it fits)."""
    rows: list[list[tuple[float, Key, str]]] = []
    x = room
    for key in keys:
        label = shorten(key.label, room - KEY_SAMPLE - 0.1)
        width = KEY_SAMPLE + 0.08 + text_width(label)
        if not rows or x + width > MARGIN + room:
            rows.append([])
            x = MARGIN
        rows[-1].append((x, key, label))
        x += width + 0.22
    return rows


def _draw_key(figure: "Figure", x: float, y: float, key: Key, label: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    inches = figure.dpi_scale_trans
    look = key.look
    if key.area:
        patch = Rectangle(
            (x, y - 0.05), KEY_SAMPLE, 0.1, facecolor=look.color, alpha=0.25, transform=inches
        )
        figure.add_artist(patch)
    if key.line:
        line = Line2D(
            [x, x + KEY_SAMPLE],
            [y, y],
            color=look.color,
            linestyle=look.linestyle,
            linewidth=key.thick,
            transform=inches,
        )
        figure.add_artist(line)
    if key.mark:
        mark = Line2D(
            [x + KEY_SAMPLE / 2],
            [y],
            color=look.color,
            marker=look.marker,
            markersize=MARK_SIZE + 1,
            markerfacecolor="white" if key.hollow else look.color,
            linestyle="none",
            transform=inches,
        )
        figure.add_artist(mark)
    _write(figure, x + KEY_SAMPLE + 0.08, y + 0.005, label, SMALL, va="center")


def _write(
    figure: "Figure",
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    bold: bool = False,
    color: str = INK,
    va: str = "top",
) -> None:
    figure.text(
        x,
        y,
        text,
        transform=figure.dpi_scale_trans,
        fontsize=size,
        fontweight="bold" if bold else "normal",
        color=color,
        ha="left",
        va=va,
    )


def _lines(count: int, size: float) -> float:
    return count * size * LINE / 72
