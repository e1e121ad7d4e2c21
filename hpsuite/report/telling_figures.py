"""The pictures of setups: learning rates, differences, tuning curves, trials as lines."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from hpsuite.report.axes import Axis
from hpsuite.report.figures.comparisons import Differences, Measure, Row
from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.figures.lines import Curve
from hpsuite.report.figures.parallel_coordinates import ParallelCoordinates
from hpsuite.report.figures.rate_response import RateResponse
from hpsuite.report.figures.rate_series import AT_CHANCE, DIVERGED, TRAINED, RateSeries
from hpsuite.report.figures.tuning_curve import TuningCurves
from hpsuite.report.short_names import axes_words, shared_axes, shortened
from hpsuite.report.telling_scores import (
    Scores,
    estimate,
    groups,
    hyperparameter_axis,
    listed,
    placed,
)
from hpsuite.report.told import Compared, Told
from hpsuite.report.view import Picture

RATE = "learning_rate"
# So many setups in one picture; of trials as points fewer, for they hide each other.
MOST_SWEPT, MOST_SCATTERED, MOST_CURVES = 8, 4, 8
# Of more setups than these, trials are not drawn as lines: it would be a picture each.
MOST_PARALLEL = 6
# A sweep's good range is that within 2 points.
SWEEP_MARGIN = 0.02
# Differences with longer names stand under what their setups differ in.
LONG_LABEL = 60


def rate_pictures(told: Sequence[Told]) -> Iterator[Picture]:
    """Scores over learning rates: of sweeps, and of samples where no sweep was made."""
    swept = [t for t in told if t.sweep is not None and t.ladder is not None]
    for i, group in enumerate(map(shortened, groups(swept, MOST_SWEPT))):
        series = tuple(_swept(t) for t in group)
        axis = Axis("learning rate", scale="log")
        yield Picture(
            _named("rate-sweep", i),
            RateResponse(
                "Scores over the learning rates of a sweep",
                axis,
                group[0].scores.axis(),
                series,
                good=f"{group[0].scores.within(2)} of each setup's own best",
            ),
            f"{group[0].scores.name.capitalize()} against learning rate, of {_names(group)}. "
            + " ".join(f"{s.name}: good over {s.width}." for s in series if s.width),
            "A learning rate is good where its typical seed is; the best is cross-fitted over "
            "seeds. Widths with 95% intervals over seeds; approximate.",
        )
    sampled = [t for t in told if t.sweep is None and _has_rate(t)]
    for i, group in enumerate(map(shortened, groups(sampled, MOST_SCATTERED))):
        first = group[0].evidence
        assert first is not None
        yield Picture(
            _named("rate-sample", i),
            RateResponse(
                "Scores over learning rates, all else at random",
                _rate_axis(group),
                group[0].scores.axis(),
                tuple(_scattered(t) for t in group),
                good=f"{group[0].scores.within(first.headline)} of each setup's own best",
            ),
            f"{group[0].scores.name.capitalize()} of every trial against its learning rate, of "
            f"{_names(group)}.",
            "Each mark is a trial; its other hyperparameters differ from those of its neighbours.",
        )


def differences_picture(compared: Sequence[Compared], scores: Scores, zone: float) -> Picture:
    """Differences of good fractions, of own and common bests."""
    es = [e for pair in compared for e in pair.own]
    e = 2.0 if 2.0 in es else es[0]
    shaded = (-zone, zone) if math.isfinite(zone) else (math.nan, math.nan)
    kinds = ["own best"]
    if any(pair.common for pair in compared):
        kinds.append("common best")
    measures = tuple(
        Measure(Axis(kind, "points"), 0.0, shaded, "less is good", "more is good") for kind in kinds
    )
    rows = []
    shared = shared_axes([pair.alike for pair in compared])
    for pair in compared:
        found = [pair.own.get(e), pair.common.get(e)][: len(kinds)]
        estimates = tuple(
            Estimate(math.nan) if interval is None else estimate(interval, 100)
            for interval in found
        )
        if not pair.versus or len(pair.label) <= LONG_LABEL:
            rows.append(Row(pair.label, estimates, pair.remark))
            continue
        own = axes_words({k: v for k, v in pair.alike.items() if k not in shared})
        rows.append(Row(own or "all else alike", estimates, pair.remark, group=pair.versus))
    sizes = Counter(row.group for row in rows)
    rows.sort(key=lambda row: (-sizes[row.group], row.group))  # stable within a group
    words = "; ".join(
        f"{f'{row.group}, ' if row.group else ''}{row.label}: "
        f"{row.estimates[0].text(decimals=1, signed=True)} points"
        for row in rows
    )
    close = scores.within(e)
    note = f"Share of the space that is good, {close} of the best; approximate 95% intervals."
    if not math.isnan(zone):
        note += " Shaded: smaller than the smallest effect that was declared to matter."
    return Picture(
        "differences",
        Differences("In which setup is more of the space good?", measures, tuple(rows), note),
        f"Differences of good fractions with 95% intervals. {words}.",
    )


def tuning_pictures(shown: Sequence[Told]) -> Iterator[Picture]:
    """Tuning curves: validation with its band, and the test score of what it selects."""
    for i, group in enumerate(map(shortened, groups(shown, MOST_CURVES))):
        found = [(t, t.evidence) for t in group if t.evidence is not None]
        found = [(t, evidence) for t, evidence in found if len(evidence.curve.ks) > 1]
        if not found:
            continue
        validation, test = [], []
        bands: dict[str, None] = {}
        is_open = False
        for t, evidence in found:
            curve, selected = evidence.curve, evidence.selected
            middle = curve.median if curve.band_of == "median" else curve.expected
            validation.append(_curve(t, curve.ks, middle, curve.low, curve.high))
            is_open |= not np.isfinite([*curve.low, *curve.high]).all()
            bands[f"validation: {curve.level:.0%} {curve.method}"] = None
            if selected is not None:
                test.append(_curve(t, selected.ks, selected.expected, selected.low, selected.high))
                bands[f"test, its mean: {selected.level:.0%} {selected.method}"] = None
        scores = found[0][0].scores
        yield Picture(
            _named("tuning-curves", i),
            TuningCurves(
                "What the best of k random trials reaches",
                Axis("random trials", scale="log_integer"),
                scores.axis("accuracy" if scores.unit is None else scores.name),
                tuple(validation),
                tuple(test),
                bands="; ".join(bands),
                note="Where a band ends, the sample leaves it open." if is_open else "",
            ),
            f"Best of k random trials against k, of {_names(group)}."
            + (" Beside it the test score of the selected trial." if test else ""),
            "What random search reaches; it says nothing of other strategies.",
        )


def parallel_pictures(shown: Sequence[Told]) -> Iterator[Picture]:
    """All trials of a setup as lines over its hyperparameters."""
    if len(shown) > MOST_PARALLEL:
        return
    for t in shown:
        evidence = t.evidence
        assert evidence is not None
        sample = evidence.sample
        if len(sample.hyperparameters) < 2:
            continue
        axes = tuple(hyperparameter_axis(h) for h in sample.hyperparameters)
        values = np.array(
            [[placed(h, v[h.name]) for h in sample.hyperparameters] for v in sample.values]
        )
        yield Picture(
            f"parallel-coordinates-{t.number + 1}",
            ParallelCoordinates(
                f"All trials of {t.name}",
                axes,
                values,
                t.scores.drawn(sample.scores),
                t.scores.axis(),
                good_level=t.good_level,
            ),
            f"The {len(sample)} trials of {t.name} as lines across {listed(list(sample.names))} "
            f"and {t.scores.name}.",
            by_hand="Drag along an axis to choose trials; drag a name to move its axis.",
            setup=t.number,
        )


def _swept(t: Told) -> RateSeries:
    assert t.sweep is not None
    assert t.ladder is not None
    margins = [m for m in t.sweep.widths if math.isclose(m, SWEEP_MARGIN)]
    width = t.sweep.widths[margins[0]]
    scores, factor = t.ladder.scores, t.scores.factor
    good: tuple[tuple[float, float], ...] = ()
    words = ""
    if t.trained:
        good = ((width.lower_edge.estimate, width.upper_edge.estimate),)
        words = f"{estimate(width.width).text(decimals=1)} decades"
    return RateSeries(
        name=t.name,
        rates=t.ladder.rates,
        scores=t.scores.drawn(scores),
        outcomes=_outcomes(t, scores, t.ladder.failed),
        number=t.number,
        good=good,
        open_low=width.censored_low,
        open_high=width.censored_high,
        good_level=factor * (t.sweep.best.estimate - width.margin) if t.trained else math.nan,
        best_rate=t.sweep.best_rate if t.trained else math.nan,
        stable_rate=t.sweep.largest_stable_rate.estimate,
        width=words,
    )


def _scattered(t: Told) -> RateSeries:
    evidence = t.evidence
    assert evidence is not None
    sample = evidence.sample
    (rate,) = (h for h in sample.hyperparameters if h.name == RATE)
    return RateSeries(
        name=t.name,
        rates=np.array([placed(rate, values[RATE]) for values in sample.values]),
        scores=t.scores.drawn(sample.scores),
        outcomes=_outcomes(t, sample.scores, sample.failed),
        number=t.number,
        good_level=t.good_level,
    )


def _outcomes(
    t: Told, scores: np.ndarray, failed: np.ndarray
) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    chance = np.zeros(scores.shape, bool) if t.chance is None else scores <= t.chance
    return np.where(failed, DIVERGED, np.where(chance, AT_CHANCE, TRAINED)).astype(np.int8)


def _curve(
    t: Told,
    ks: Sequence[int],
    middle: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
) -> Curve:
    k = np.array(ks, np.float64)
    return Curve(t.name, t.number, k, *(t.scores.drawn(v) for v in (middle, low, high)))


def _has_rate(t: Told) -> bool:
    return t.evidence is not None and any(
        h.name == RATE and h.scale in ("log", "linear") for h in t.evidence.sample.hyperparameters
    )


def _rate_axis(group: Sequence[Told]) -> Axis:
    """The learning rate over the union of the setups' ranges."""
    axes = [
        hyperparameter_axis(h)
        for t in group
        if t.evidence is not None
        for h in t.evidence.sample.hyperparameters
        if h.name == RATE
    ]
    low = min(axis.low for axis in axes if axis.low is not None)
    high = max(axis.high for axis in axes if axis.high is not None)
    return Axis("learning rate", scale="log" if low > 0 else "linear", low=low, high=high)


def _names(group: Sequence[Told]) -> str:
    return listed([t.name for t in group])


def _named(name: str, i: int) -> str:
    """A picture's name; the first of several has no number."""
    return name if i == 0 else f"{name}-{i + 1}"
