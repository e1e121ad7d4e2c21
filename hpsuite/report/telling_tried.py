"""What searches tried, and how often they tried nothing good."""

import math
from collections.abc import Iterator, Mapping, Sequence

from hpsuite.analysis import Interval
from hpsuite.findings import MARGIN, ArmFinding
from hpsuite.report.telling_scores import NONE, Scores, percent
from hpsuite.report.told import Told
from hpsuite.report.view import Block, Cell, Column, Table

EMPTY = Cell(NONE, math.nan)
SCORES = Scores()
ByName = Mapping[str, Sequence[ArmFinding]]


def tried_blocks(shown: Sequence[Told], by_setup: ByName) -> Iterator[Block]:
    """Both tables, where there is something to tell."""
    arms = [(t, arm) for t in shown for arm in by_setup[t.name]]
    missing = [(t, arm) for t, arm in arms if arm.strategy.to_good is not None and t.trained]
    if any(arm.figures.repeats > 1 for _, arm in missing):
        yield missed_table(missing)
    yield spread_table([arm for _, arm in arms])


def missed_table(arms: Sequence[tuple[Told, ArmFinding]]) -> Table:
    """How often a repeat tries nothing good, beside the closed form."""
    rows = []
    for t, arm in arms:
        found = arm.strategy.to_good
        assert found is not None
        reached, expected = found.reached, arm.tried.oracle
        never = Interval(
            1 - reached.estimate, 1 - reached.high, 1 - reached.low, reached.level, reached.method
        )
        rows.append(
            (
                Cell(t.name),
                Cell(arm.table.arm.strategy.label),
                Cell(f"{found.repeats} x {found.n}", float(found.n)),
                percent(never),
                EMPTY if expected is None else percent(expected),
                Cell(arm.tried.oracle_of or NONE),
            )
        )
    columns = (
        Column("setup"),
        Column("search"),
        Column("trials", numeric=True),
        Column("tried none good", numeric=True),
        Column("expected", numeric=True),
        Column("expected of"),
    )
    note = (
        f"Tried none good: share of repeats without a trial {SCORES.within(100 * MARGIN)} of b. "
        "Expected: from G, the share of the space that is good, and its interval; of independent "
        "trials (1 - G)^n, of a grid of k values of each hyperparameter, shifted at random, "
        "max(0, 1 - k G) were one hyperparameter alone to matter, its good values one interval. "
        "A grid misses less often where more than one matters, and where the noise of seeds makes "
        "good what is nearly so: it tries each value several times."
    )
    return Table("How often they tried nothing good", columns, tuple(rows), note)


def spread_table(arms: Sequence[ArmFinding]) -> Table:
    """Distinct values of each hyperparameter, and their spread over decades.

    Setups on which a search tried the same share a row.
    """
    rows: dict[tuple[str, ...], int] = {}
    for arm in arms:
        tried, label = arm.tried, arm.table.arm.strategy.label
        scales = {h.name: h.scale for h in arm.table.arm.setup.space.hyperparameters}
        n = str(arm.figures.n_trials // arm.figures.repeats)
        for name, distinct in tried.distinct.items():
            shown = f"1 - {name}" if scales[name] == "one_minus_log" else name
            decades = tried.decades.get(name)
            spread = NONE if decades is None else ", ".join(map(_decade, decades.items()))
            row = (label, n, shown, f"{distinct:.3g}", spread)
            rows[row] = rows.get(row, 0) + 1
    columns = (
        Column("search"),
        Column("trials", numeric=True),
        Column("hyperparameter"),
        Column("distinct values", numeric=True),
        Column("share of the trials in each decade"),
        Column("setups", numeric=True),
    )
    cells = tuple(
        (
            Cell(row[0]),
            Cell(row[1], float(row[1])),
            Cell(row[2]),
            Cell(row[3], float(row[3])),
            Cell(row[4]),
            Cell(str(count), float(count)),
        )
        for row, count in rows.items()
    )
    note = (
        "Distinct values: in one repeat, the mean over repeats. Decades: of all repeats' trials, "
        "for hyperparameters whose own scale is a log, whether or not the search draws on it. "
        "Setups: on how many a search tried just that."
    )
    return Table("What they tried", columns, cells, note)


def _decade(item: tuple[tuple[float, float], float]) -> str:
    (low, high), share = item
    return f"{low:g} to {high:g}: {100 * share:.0f}%"
