"""Words for pictures: measured, wrapped, and cut to the room that there is for them."""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from hpsuite.report.style import RC, SMALL

# Characters that turn the direction of all that follows them.
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def label(text: str) -> str:
    """A user's text as one line: line breaks, tabs and other control characters become spaces."""
    return " ".join("".join(" " if is_control(sign) else sign for sign in text).split())


def is_control(sign: str) -> bool:
    """Whether a character breaks lines, turns their direction, or cannot be drawn."""
    return unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} or sign in DIRECTIONS


def wrap(text: str, inches: float, size: float = SMALL, *, bold: bool = False) -> list[str]:
    """Text in lines of at most so many inches: broken at spaces, else within a word."""
    lines: list[str] = []
    line = ""
    for piece in _pieces(label(text), inches, size, bold=bold):
        if line and text_width((line + piece).rstrip(), size, bold=bold) > inches:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    if line.strip():
        lines.append(line.rstrip())
    return lines


def fit(text: str, inches: float, lines: int, size: float = SMALL, *, bold: bool = False) -> str:
    """Text wrapped into at most so many lines, with an ellipsis where something is missing."""
    kept = _longest(label(text), lambda words: len(wrap(words, inches, size, bold=bold)) <= lines)
    return "\n".join(wrap(kept, inches, size, bold=bold)[:lines])


def fit_all(
    texts: Sequence[str], inches: float, lines: int, size: float = SMALL, *, bold: bool = False
) -> list[str]:
    """Texts as `fit` cuts them, but so that different ones stay different.

    Where it would cut away what tells them apart, what they begin with is cut instead.
    """
    texts = [label(text) for text in texts]
    cut = [fit(text, inches, lines, size, bold=bold) for text in texts]
    if len(set(cut)) == len(set(texts)):
        return cut
    first, last = min(texts), max(texts)  # what these two begin with, all of them do
    same = next((i for i, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), 0)
    # From the beginning of the word before the difference on.
    start = max(first[:same].rstrip("_-. ").rfind(sign) for sign in "_-. ") + 1
    return [fit("…" + text[start:], inches, lines, size, bold=bold) for text in texts]


@functools.cache
def text_width(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """Width of a line of text, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    weight = "bold" if bold else "normal"
    font = FontProperties(family=RC["font.family"], size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(label(text), font, ismath=False)
    return float(width) / 72


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
