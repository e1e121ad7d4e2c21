"""What happens over the steps of training: accuracy, or what a hidden unit sees."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis
from hpsuite.report.figures import browser, curves, lines
from hpsuite.report.figures.lines import Curves, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Courses:
    """Lines with bands over the steps of training.

    Attributes:
        title, note: above and below the picture.
        steps: the axis of gradient steps.
        value: the axis of what is shown.
        panels: a panel of curves, or several that share both axes.
        bands: what lines and bands are.
    """

    title: str
    steps: Axis
    value: Axis
    panels: tuple[Panel, ...]
    bands: str
    note: str = ""


def panels(data: Courses) -> Curves:
    """As panels of curves, with what the bands are in the note."""
    note = f"Line and band: {data.bands}. {data.note}".strip()
    return Curves(data.title, data.steps, data.value, data.panels, same_scores=True, note=note)


def draw(data: Courses) -> "Figure":
    """The still picture."""
    return curves.draw(panels(data))


def spec(data: Courses) -> browser.Spec:
    """The interactive picture."""
    return curves.spec(panels(data))


def note_of(data: Courses) -> str:
    """The note, with what the picture shows added to it."""
    return lines.note_of(panels(data))
