"""Tuning curves: what the best of k random trials is expected to score, setup by setup.

One panel for validation, and one for the test score of the trial that validation selects.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsuite.report.axes import Axis
from hpsuite.report.figures import browser, curves, lines
from hpsuite.report.figures.lines import Curve, Curves, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TuningCurves:
    """Expected best of k trials.

    Attributes:
        title, note: above and below the picture.
        k: the number of trials; `log_integer` or `integer`.
        score: the axis of scores.
        validation: a curve for each setup, with its band.
        test: the same for the test score of the trial selected; empty for one panel.
        bands: what the bands are ("95% simultaneous, by opda's ld_equal_tailed").
    """

    title: str
    k: Axis
    score: Axis
    validation: tuple[Curve, ...]
    test: tuple[Curve, ...] = ()
    bands: str = ""
    note: str = ""


def panels(data: TuningCurves) -> Curves:
    """As panels of curves, with what the bands are in the note."""
    shown = [Panel("best validation score of k trials" if data.test else "", data.validation)]
    if data.test:
        shown.append(Panel("test score of the one selected", data.test))
    note = " ".join(part for part in (data.bands and f"Bands: {data.bands}.", data.note) if part)
    same = bool(data.test)
    return Curves(data.title, data.k, data.score, tuple(shown), same_scores=same, note=note)


def draw(data: TuningCurves) -> "Figure":
    """The still picture."""
    return curves.draw(panels(data))


def spec(data: TuningCurves) -> browser.Spec:
    """The interactive picture."""
    return curves.spec(panels(data))


def note_of(data: TuningCurves) -> str:
    """The note, with what the picture shows added to it."""
    return lines.note_of(panels(data))
