"""The best score so far, strategy by strategy, over its repeats; a panel for each setup."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis
from hpsuite.report.figures import browser, curves, lines
from hpsuite.report.figures.lines import Curves, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class BestSoFar:
    """Best score after so many trials.

    Attributes:
        title, note: above and below the picture.
        trials: the number of trials, or of epochs or seconds.
        score: the axis of scores.
        setups: a panel for each, with a curve for each strategy, and the best that the setup can
            do as its level.
        bands: what lines and bands are ("mean over 30 repeats, and 10% to 90% of them").
        same_scores: whether all panels show the same range of scores.
    """

    title: str
    trials: Axis
    score: Axis
    setups: tuple[Panel, ...]
    bands: str
    same_scores: bool = False
    note: str = ""


def panels(data: BestSoFar) -> Curves:
    """As panels of curves, with what the bands are in the note."""
    note = f"Line and band: {data.bands}."
    return Curves(
        title=data.title,
        x=data.trials,
        y=data.score,
        panels=data.setups,
        same_scores=data.same_scores,
        note=f"{note} {data.note}".strip(),
    )


def draw(data: BestSoFar) -> "Figure":
    """The still picture."""
    return curves.draw(panels(data))


def spec(data: BestSoFar) -> browser.Spec:
    """The interactive picture."""
    return curves.spec(panels(data))


def note_of(data: BestSoFar) -> str:
    """The note, with what the picture shows added to it."""
    return lines.note_of(panels(data))
