"""Pictures at their limits: long names, many series and panels, single points, missing values."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from hpsuite.report.axes import Axis
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.comparisons import Differences, Measure, Row
from hpsuite.report.figures.importance import Importance, Important, Ranking
from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.figures.lines import Curve, Panel
from hpsuite.report.figures.parallel_coordinates import ParallelCoordinates
from hpsuite.report.figures.points import Points, SampledPoints
from hpsuite.report.figures.rate_response import RateResponse
from hpsuite.report.figures.rate_series import RateSeries
from hpsuite.report.figures.transfer import Transfer
from hpsuite.report.pictures import Data
from tests.report import pictures

ACCURACY = Axis("validation accuracy", "%")
LONG = "a_data_set_with_a_long_name a_model_with_a_longer_one_{} optimizer=sgd_with_momentum"
TITLE = "A title that goes on for so long that it has to be broken into two lines, if not three"
NAN = np.array([math.nan])


def long_names(count: int) -> tuple[str, ...]:
    return tuple(LONG.format(i) for i in range(count))


def one_point() -> BestSoFar:
    curve = Curve("only", 0, np.array([1.0]), np.array([50.0]), NAN, NAN)
    axis = Axis("trials", scale="integer")
    return BestSoFar("One point", axis, ACCURACY, (Panel("", (curve,)),), bands="one repeat")


def no_values() -> BestSoFar:
    curve = Curve("none", 0, np.array([1.0]), NAN, NAN, NAN)
    axis = Axis("trials", scale="integer")
    return BestSoFar("Nothing known", axis, ACCURACY, (Panel("", (curve,)),), bands="none")


def one_rate() -> RateResponse:
    failed = np.full((1, 3), 2, np.int8)
    series = RateSeries("one", np.array([0.1]), np.full((1, 3), 10.0), failed, 0)
    return RateResponse("One rate, all failed", pictures.RATE, ACCURACY, (series,))


def missing_seeds() -> RateResponse:
    scores = np.array([[90.0, math.nan], [math.nan, math.nan], [95.0, 94.0]])
    rates = np.array([1e-3, 1e-2, 1e-1])
    series = RateSeries("gaps", rates, scores, np.zeros((3, 2), np.int8), 0, good=((0.1, 0.1),))
    return RateResponse("Missing seeds", pictures.RATE, ACCURACY, (series,), good="at all")


def many_strategies() -> SampledPoints:
    generator = np.random.default_rng(0)
    activation = Axis("activation", scale="choice", choices=("relu", "tanh", "a_longer_one"))
    shown = []
    for name in long_names(7):
        rate, choice = 10 ** generator.uniform(-4, 1, 16), generator.integers(0, 3, 16)
        points = Points(name, rate, choice.astype(float), np.zeros(0), np.arange(16) % 3)
        shown.append(points)
    return SampledPoints(TITLE, pictures.RATE, activation, ACCURACY, tuple(shown))


def many_importances() -> Importance:
    rows = tuple(
        Important(f"a_hyperparameter_with_a_long_name_{i}", Estimate(50 / (i + 1), 9, 60), 0.1)
        for i in range(9)
    )
    axis = Axis("share of variance", "%", low=0)
    evaluator = "fANOVA of 512 random trials, with a bootstrap of 200"
    panels = (Ranking(name, evaluator, axis, rows, settled=False) for name in long_names(5))
    return Importance(TITLE, tuple(panels), columns=3)


def nothing_computable() -> Importance:
    rows = (Important("learning_rate", Estimate(math.nan)),)
    panel = Ranking("mlp", "PED-ANOVA", Axis("importance", low=0), rows, settled=False)
    return Importance("Nothing computable", (panel,))


def many_axes() -> ParallelCoordinates:
    generator = np.random.default_rng(0)
    axes = tuple(Axis(f"a_hyperparameter_with_a_long_name_{i}", scale="log") for i in range(12))
    values, scores = 10 ** generator.uniform(-4, 1, (6000, 12)), generator.normal(90, 3, 6000)
    return ParallelCoordinates(TITLE, axes, values, scores, ACCURACY, good_level=95)


def one_trial() -> ParallelCoordinates:
    one = np.array([[0.1, 0.9]])
    axes = (pictures.RATE, pictures.MOMENTUM)
    return ParallelCoordinates("One trial", axes, one, np.array([90.0]), ACCURACY)


def many_transfers() -> Transfer:
    cost = np.random.default_rng(0).gamma(1.2, 2.2, (12, 12))
    names = long_names(12)
    return Transfer(TITLE, names, names, cost, cost - 1, cost + 1, "points of accuracy")


def one_transfer() -> Transfer:
    zero = np.zeros((1, 1))
    return Transfer("One setup", ("mlp",), ("mlp",), zero, zero + NAN, zero + NAN, "points")


def many_differences() -> Differences:
    measure = Measure(Axis("difference", "points"), 0, (-5, 5), TITLE, "more")
    words = "inconclusive: 12345 paired configurations would settle it"
    rows = tuple(
        Row(f"{name} minus the other", (Estimate(i - 5, i - 9, math.inf),), words, group=name[-9:])
        for i, name in enumerate(long_names(10))
    )
    return Differences(TITLE, (measure,), rows)


def one_difference() -> Differences:
    measure = Measure(Axis("difference"))
    return Differences("One", (measure,), (Row("only", (Estimate(3.0),)),))


CASES: dict[str, Callable[[], Data]] = {
    "ten setups": lambda: pictures.rate_response(long_names(10)),
    "courses": pictures.courses,
    "ten curves": lambda: pictures.tuning_curves(long_names(10)),
    "twelve panels": lambda: pictures.best_so_far(long_names(12)),
    "one point": one_point,
    "no values": no_values,
    "one rate": one_rate,
    "missing seeds": missing_seeds,
    "many strategies": many_strategies,
    "many importances": many_importances,
    "nothing computable": nothing_computable,
    "many axes": many_axes,
    "one trial": one_trial,
    "many transfers": many_transfers,
    "one transfer": one_transfer,
    "many differences": many_differences,
    "one difference": one_difference,
}

# Names that try to be HTML, mathematics, a template of plotly, Markdown, another script, other
# lines, written from right to left.
HOSTILE = (
    '</script><script>document.title="owned"</script><img src=http://example.org/x '
    'onerror=document.title="owned"> <b>$\\frac|`c` %{x} _y_ *z* [l](http://example.org) &lt; '
    "<a href='http://example.org'>k</a> 名 \u2028a line\nanother\r\nand\ta\x0bthird "
    "\x07\u202e שלום عليكم "
)
_OURS = {"scale", "word"}


def hostile(value: Any) -> Any:
    """The same with hostile words before all of its words, but for those that are not a user's."""
    if isinstance(value, str):
        return HOSTILE + value if value else ""
    if isinstance(value, tuple):
        return tuple(hostile(entry) for entry in value)
    if isinstance(value, dict):
        return {hostile(key): hostile(entry) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        ours = _OURS | ({"name"} if type(value).__name__ == "Picture" else set())
        given = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        return replace(value, **{k: v if k in ours else hostile(v) for k, v in given.items()})
    return value
