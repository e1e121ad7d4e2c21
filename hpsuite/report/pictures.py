"""Drawing any picture: `draw` gives matplotlib's figure, `interactive` plotly's.

Both libraries take seconds to import, and are imported where something is drawn.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from hpsuite.report.figures import (
    best_so_far,
    browser,
    courses,
    diary,
    differences,
    importance,
    parallel_coordinates,
    rate_response,
    sampled_points,
    transfer,
    tuning_curve,
)
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.canvas import drawing, png
from hpsuite.report.figures.comparisons import Differences
from hpsuite.report.figures.courses import Courses
from hpsuite.report.figures.diary import Diary
from hpsuite.report.figures.importance import Importance
from hpsuite.report.figures.parallel_coordinates import ParallelCoordinates
from hpsuite.report.figures.points import SampledPoints
from hpsuite.report.figures.rate_response import RateResponse
from hpsuite.report.figures.transfer import Transfer
from hpsuite.report.figures.tuning_curve import TuningCurves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Data = (
    RateResponse
    | TuningCurves
    | BestSoFar
    | Courses
    | SampledPoints
    | Importance
    | ParallelCoordinates
    | Transfer
    | Differences
    | Diary
)

_HOW: dict[type[Any], ModuleType] = {
    RateResponse: rate_response,
    TuningCurves: tuning_curve,
    BestSoFar: best_so_far,
    Courses: courses,
    SampledPoints: sampled_points,
    Importance: importance,
    ParallelCoordinates: parallel_coordinates,
    Transfer: transfer,
    Differences: differences,
    Diary: diary,
}


def draw(data: Data) -> "Figure":
    """The still picture, as matplotlib's figure."""
    with drawing():
        figure: Figure = _HOW[type(data)].draw(data)
        return figure


def draw_png(data: Data) -> bytes:
    """The still picture, as a PNG."""
    return png(draw(data))


def interactive(data: Data) -> Any:
    """The interactive picture, as plotly's figure; title and note are left to the page."""
    with drawing():
        return browser.figure(_HOW[type(data)].spec(data))


def note_of(data: Data) -> str:
    """The note beneath it."""
    note: str = _HOW[type(data)].note_of(data)
    return note
