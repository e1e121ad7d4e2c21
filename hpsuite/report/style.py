"""One look for all pictures, in colours, marks and lines for the colour-blind and for greyscale.

A series is told apart three times over: by colour, by the shape of its marks and by the dashes of
its line. Its number decides all three, so that a setup looks the same in every picture.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# Near the hues of Okabe and Ito (2008, "Color universal design"), moved until each has a contrast
# of 3:1 with white and all differ for the colour-blind, the first four in lightness as well.
PALETTE = (
    "#003a7d",  # blue
    "#e66a0a",  # orange
    "#17090e",  # ink
    "#94476e",  # plum
    "#5f8749",  # green
    "#2584c2",  # sky
    "#523d16",  # brown
    "#a38d85",  # grey
)
# Light to dark without turning back: more is darker, on paper too.
RAMP = ("#f4f1e8", "#c9dcd6", "#8bbcc6", "#4a8fb3", "#215b92", "#0d2c58")

INK = "#1f2328"
QUIET = "#5b636d"  # 6:1 with white
RULE = "#c9ced4"
FAINT = "#e8eaed"
PAPER = "#ffffff"
ZONE = "#dfe3e8"  # effects too small to matter

# matplotlib's and plotly's names of the same marks, dashes and hatches.
_MARKS = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("v", "triangle-down"),
    ("P", "cross"),
    ("X", "x"),
    ("p", "pentagon"),
    ("h", "hexagon"),
    ("*", "star"),
)
_DASHES: tuple[tuple[tuple[float, ...], str], ...] = (
    ((), "solid"),
    ((6.0, 2.0), "6px 2px"),
    ((1.3, 1.7), "1.3px 1.7px"),
    ((6.0, 2.0, 1.3, 2.0), "6px 2px 1.3px 2px"),
    ((10.0, 2.5), "10px 2.5px"),
    ((3.0, 1.5, 1.0, 1.5, 1.0, 1.5), "3px 1.5px 1px 1.5px 1px 1.5px"),
    ((2.5, 1.2), "2.5px 1.2px"),
)
_HATCHES = (
    ("", ""),
    ("////", "/"),
    ("....", "."),
    ("\\\\\\\\", "\\"),
    ("xxxx", "x"),
    ("||||", "|"),
)

FONT_SIZE = 9.0
SMALL = 8.0
TITLE_SIZE = 11.5
LINE_WIDTH = 1.7
MARK_SIZE = 4.5
BAND_ALPHA = 0.16
DPI = 200  # twice the pixels that a page shows

# User's names may hold dollar signs, which are not mathematics.
RC: MappingProxyType[Any, Any] = MappingProxyType(
    {
        "font.family": ["DejaVu Sans"],
        "font.size": FONT_SIZE,
        "text.parse_math": False,
        "text.color": INK,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": INK,
        "axes.labelsize": FONT_SIZE,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.7,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "hatch.linewidth": 0.5,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """How one series is drawn.

    Attributes:
        color: as #rrggbb.
        marker, symbol: the shape of its marks, in matplotlib's and in plotly's words.
        dashes, dash: its line, likewise; no dashes is a solid line.
        hatch, pattern: its areas, likewise; empty for a plain one.
    """

    color: str
    marker: str
    symbol: str
    dashes: tuple[float, ...]
    dash: str
    hatch: str
    pattern: str

    @property
    def linestyle(self) -> tuple[float, tuple[float, ...]]:
        """Its dashes as matplotlib takes them."""
        return 0.0, self.dashes


def look(number: int) -> Look:
    """The look of series 0, 1, 2, ...; the first 280 differ from each other."""
    marker, symbol = _MARKS[number % len(_MARKS)]
    dashes, dash = _DASHES[number % len(_DASHES)]
    hatch, pattern = _HATCHES[number % len(_HATCHES)]
    return Look(PALETTE[number % len(PALETTE)], marker, symbol, dashes, dash, hatch, pattern)


def rgb(color: str) -> tuple[float, float, float]:
    """#rrggbb as three numbers in [0, 1]."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def rgba(color: str, alpha: float) -> str:
    """#rrggbb with an opacity in [0, 1], as plotly and CSS take it."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb in [0, 1] (WCAG 2.2, "relative luminance")."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def ramp(share: float) -> str:
    """The colour of a share in [0, 1] of the way from light to dark; outside, that of the end."""
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(place), len(RAMP) - 2)
    a, b = rgb(RAMP[i]), rgb(RAMP[i + 1])
    mixed = (x + (place - i) * (y - x) for x, y in zip(a, b, strict=True))
    return "#" + "".join(f"{round(255 * c):02x}" for c in mixed)


def ramp_stops(start: float = 0.0, end: float = 1.0) -> list[tuple[float, str]]:
    """A part of the ramp as (place, colour), for both libraries."""
    n = 12
    return [(i / n, ramp(start + (end - start) * i / n)) for i in range(n + 1)]


def text_on(color: str) -> str:
    """Ink or paper, whichever reads better on a colour."""
    return INK if contrast(INK, color) >= contrast(PAPER, color) else PAPER
