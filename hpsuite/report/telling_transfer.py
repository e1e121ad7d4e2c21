"""What hyperparameters tuned on one setup cost on another."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hpsuite.analysis import Interval
from hpsuite.analysis.transfer import Transfer as Found
from hpsuite.findings import Environments, TransferFinding, setup_axes
from hpsuite.report.figures.transfer import Transfer
from hpsuite.report.short_names import short_names
from hpsuite.report.telling_scores import estimate, listed, percent
from hpsuite.report.view import Block, Cell, Column, Note, Picture, Section, Table

# Of more setups than these the picture has too many cells to read.
MOST_DRAWN = 16


def transfer_section(transfers: Sequence[TransferFinding]) -> Section | None:
    """The section; None where nothing was compared."""
    if not transfers:
        return None
    blocks: list[Block] = []
    for i, found in enumerate(transfers):
        axes = {name: setup_axes(setup.arms[0].arm) for name, setup in found.setups.items()}
        short = dict(zip(axes, short_names(axes), strict=True))
        if len(found.setups) <= MOST_DRAWN:
            blocks.append(_picture(found, short, i))
        else:
            blocks.append(
                Note(f"The costs between {len(found.setups)} setups are in summary.json alone.")
            )
        blocks += [_table(found, short), *_environments(found.environments, short)]
        blocks += [Note(text) for text in _unknown(found.transfer, short)]
        methods = {interval.method for interval in found.transfer.costs.values()}
        if any("biased upwards" in method for method in methods):
            blocks.append(
                Note(
                    "With one seed of each configuration a cost is an upper bound: the scores that "
                    "chose a setup's best flatter it. Its interval begins at 0 by definition."
                )
            )
    prose = (
        "The cost of using on one setup what was tuned on another: its own best minus what the "
        "other's best configurations score there.",
    )
    return Section("Transfer: do good hyperparameters carry over?", prose, tuple(blocks))


def _picture(found: TransferFinding, short: Mapping[str, str], i: int) -> Picture:
    full, names = tuple(short), tuple(short.values())
    shape = (len(names), len(names))
    cost, low, high = (np.full(shape, np.nan) for _ in range(3))
    np.fill_diagonal(cost, 0.0)
    words = []
    for (tuned, used), interval in found.transfer.costs.items():
        at = full.index(tuned), full.index(used)
        shown = estimate(interval, 100)
        cost[at], low[at], high[at] = shown.value, shown.low, shown.high
        words.append(f"{short[tuned]} on {short[used]} {shown.text(decimals=1)}")
    return Picture(
        "transfer" if i == 0 else f"transfer-{i + 1}",
        Transfer(
            "What hyperparameters cost where they were not tuned",
            names,
            names,
            cost,
            low,
            high,
            "points of accuracy",
            note="The mean over the best 4% of configurations; approximate 95% intervals.",
        ),
        f"Costs in points: {listed(words, 12)}.",
    )


def _table(found: TransferFinding, short: Mapping[str, str]) -> Table:
    rows = []
    for name, interval in found.transfer.staleness.items():
        cost = estimate(interval, 100)
        shown = Cell(cost.text(decimals=1), cost.value)
        rows.append((Cell(short[name]), shown, _share(found.transfer.relative_staleness, name)))
    columns = (
        Column("setup"),
        Column("staleness (points)", numeric=True),
        Column("as a share of the gain", numeric=True),
    )
    note = (
        "Staleness: the mean cost here of what was tuned on each of the others; as a share of what "
        "tuning gains here, its best minus its median. Approximate 95% intervals."
    )
    return Table("How stale hyperparameters of the others are", columns, tuple(rows), note)


def _unknown(found: Found, short: Mapping[str, str]) -> Iterator[str]:
    """Why a figure has no number, or no interval."""
    without = [i for i in found.costs.values() if math.isnan(i.low)]
    if without:
        yield f"Costs have no intervals: {without[0].method.partition('; no interval: ')[2]}."
    unknown = [
        short[name]
        for name, interval in found.relative_staleness.items()
        if "not computable: the gain" in interval.method
    ]
    if unknown:
        yield (
            f"As a share of the gain it is not computable for {listed(unknown)}: what tuning gains "
            "there may be nothing, as far as the sample tells."
        )


def _environments(found: Environments, short: Mapping[str, str]) -> Iterator[Block]:
    """Adkins' figures, or why they are not defined."""
    if found.reason:
        yield Note(
            f"Sensitivity across setups (Adkins et al. 2024) is not defined: {found.reason}."
        )
        return
    rows = tuple(
        (Cell(name), *(_normalised(x) for x in (one.tuned, one.cross, one.sensitivity)))
        for name, one in found.by_algorithm.items()
    )
    columns = (
        Column("model"),
        Column("tuned for each", numeric=True),
        Column("one for all", numeric=True),
        Column("sensitivity", numeric=True),
    )
    places = listed([short.get(name, name) for name in found.environments], 12)
    note = (
        "After Adkins et al. 2024, in normalised scores: 0 and 1 are the 5th and the 95th "
        f"percentile of all that was tried on each of {places}. "
        "Tuned for each: the mean of the best there; one for all: the best mean of a single "
        "configuration; sensitivity: what is lost by it."
    )
    if found.seeds == 1:
        note += (
            " With one seed of each configuration there are no intervals, and the luck of the "
            "selected makes all three too high."
        )
    yield Table("One configuration for all, or one for each", columns, rows, note)


def _normalised(interval: Interval) -> Cell:
    found = estimate(interval)
    return Cell(found.text(decimals=2), found.value)


def _share(found: Mapping[str, Interval], name: str) -> Cell:
    interval = found.get(name)
    if interval is None or not math.isfinite(interval.estimate):
        return Cell("not computable", math.nan)
    return percent(interval)
