"""What sweeps of the learning rate show, as a table."""

import math
from collections.abc import Iterator, Sequence

from hpsuite.analysis import Interval, RateSweep
from hpsuite.report.figures.intervals import FAR
from hpsuite.report.telling_scores import NONE, estimate, listed, plain
from hpsuite.report.told import Told
from hpsuite.report.view import Block, Cell, Column, Note, Table

# The margin of the widths in the table.
MARGIN = 0.02


def sweep_blocks(told: Sequence[Told]) -> Iterator[Block]:
    """The table of setups whose learning rate was swept, and why a figure of one is missing."""
    swept = [(t, t.sweep) for t in told if t.sweep is not None]
    if not swept:
        return
    yield sweep_table(swept)
    reasons: dict[tuple[str, str], list[str]] = {}
    for t, sweep in swept:
        for words, interval in (
            ("The largest stable rate", sweep.largest_stable_rate),
            ("Sensitivity in points", sweep.sensitivity),
            ("Sensitivity in nats", sweep.sensitivity_nats),
        ):
            if math.isnan(interval.low):
                verb = (
                    "has no interval" if math.isfinite(interval.estimate) else "is not computable"
                )
                reason = interval.method.removeprefix("not computable: ")
                reasons.setdefault((f"{words} {verb}", reason), []).append(t.name)
    for (what, why), names in reasons.items():
        yield Note(f"{what} for {listed(names)}: {why}.")


def sweep_table(swept: Sequence[tuple[Told, RateSweep]]) -> Table:
    """Widths, rates and sensitivities, a row for each setup."""
    rows = []
    for t, sweep in swept:
        (margin,) = (m for m in sweep.widths if math.isclose(m, MARGIN))
        width = sweep.widths[margin]
        censored = width.censored_low or width.censored_high
        decades = estimate(width.width).text(decimals=1)
        rows.append(
            (
                Cell(t.name),
                Cell(f"{sweep.rates} x {sweep.seeds}", sweep.rates * sweep.seeds),
                Cell(f"{decades} or more" if censored else decades, width.width.estimate)
                if t.trained
                else Cell("did not train", math.nan),
                _rate(width.lower_edge, open_end=width.censored_low),
                _rate(width.upper_edge, open_end=width.censored_high),
                plain(sweep.best_rate),
                _rate(sweep.largest_stable_rate),
                t.scores.distance(sweep.sensitivity),
                _nats(sweep.sensitivity_nats),
            )
        )
    scores = swept[0][0].scores
    columns = (
        Column("setup"),
        Column("rates x seeds", numeric=True),
        Column("good (decades)", numeric=True),
        Column("from", numeric=True),
        Column("to", numeric=True),
        Column("best rate", numeric=True),
        Column("largest stable", numeric=True),
        Column("sensitivity (points)" if scores.points else "sensitivity", numeric=True),
        Column("sensitivity (nats)", numeric=True),
    )
    note = (
        f"Good: rates {scores.within(100 * MARGIN)} of the best, from one edge to the other; "
        "largest stable: up to which fewer than half of the seeds fail. Sensitivity: the mean "
        "over the swept range, on its log scale, of what is lost against the best rate: of "
        "accuracy, and of validation loss, none counting as worse than before the first step "
        "(Wortsman et al. 2023, section 2.2). 95% intervals over seeds; approximate."
    )
    return Table("Sweeps of the learning rate", columns, tuple(rows), note)


def _rate(interval: Interval, *, open_end: bool = False) -> Cell:
    """A learning rate with its interval; one that the sweep's range cuts off is open."""
    if not math.isfinite(interval.estimate):
        return Cell(NONE, math.nan)
    value, low, high = (_end(v) for v in (interval.estimate, interval.low, interval.high))
    text = value if NONE in (low, high) else f"{value} [{low}, {high}]"
    return Cell(f"{text} or beyond" if open_end else text, interval.estimate)


def _end(value: float) -> str:
    if math.isnan(value):
        return NONE
    return "open" if abs(value) >= FAR or value == 0 else f"{value:.2g}"


def _nats(interval: Interval) -> Cell:
    if not math.isfinite(interval.estimate):
        return Cell(NONE, math.nan)
    return Cell(estimate(interval).text(decimals=2), interval.estimate)
