"""Paper to draw on: a title and a key above, a note below, and room for the axes in between.

All sizes are in inches. Titles, keys and notes are measured and wrapped, so that nothing overlaps
whatever the names are; matplotlib's constrained layout does the same for what lies in between.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis
from hpsuite.report.figures.words import fit, text_width, wrap
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


def _rows(keys: Sequence[Key], room: float) -> list[list[tuple[float, Key, str]]]:
    """Keys in rows: (left edge, key, its label as it fits)."""
    rows: list[list[tuple[float, Key, str]]] = []
    x = room
    for key in keys:
        label = fit(key.label, room - KEY_SAMPLE - 0.1, 1)
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
