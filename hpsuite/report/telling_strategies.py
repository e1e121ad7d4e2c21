"""Strategies compared: each with a baseline on its setup, and across setups."""

import math
from collections.abc import Iterator, Mapping

from hpsuite.analysis import Interval
from hpsuite.findings import Across, Findings, SearchPair, against_baseline
from hpsuite.report.flat_strategies import search_label
from hpsuite.report.telling_scores import NONE, Scores, listed, percent, points
from hpsuite.report.view import Block, Cell, Column, Note, Table

EMPTY = Cell(NONE, math.nan)
SCORES = Scores()


def strategy_blocks(findings: Findings, names: Mapping[int, str]) -> Iterator[Block]:
    """Tables of strategies compared, and why one is missing.

    Args:
        findings: what was found.
        names: of each table's setup, by the table's id.
    """
    pairs = against_baseline(findings.pairs, findings.setups)
    shown = [pair for pair in pairs if min(pair.comparison.repeats) > 1]
    if shown:
        yield pairs_table(shown, names)
    if len(shown) < len(pairs):
        alone = dict.fromkeys(names[id(pair.a.table)] for pair in pairs if pair not in shown)
        yield Note(
            f"P(better) is not computable on {listed(list(alone))}: one repeat of a search does "
            "not show how it varies."
        )
    for found in findings.across:
        yield across_table(found)
    if findings.across_reason:
        yield Note(
            "Strategies are not compared across setups by an interquartile mean: "
            f"{findings.across_reason}."
        )


def pairs_table(pairs: list[SearchPair], names: Mapping[int, str]) -> Table:
    """Each search against the baseline of its setup."""
    rows = []
    for pair in pairs:
        found = pair.comparison
        rows.append(
            (
                Cell(names[id(pair.a.table)]),
                Cell(search_label(pair.a)),
                Cell(search_label(pair.b)),
                Cell(str(found.n), found.n),
                percent(found.better),
                points(found.best),
                points(found.area),
            )
        )
    columns = (
        Column("setup"),
        Column("search"),
        Column("against"),
        Column("after trials", numeric=True),
        Column("P(better)", numeric=True),
        Column("best val (points)", numeric=True),
        Column("area (points)", numeric=True),
    )
    note = (
        "P(better): the chance that a repeat of the search finds a better one than a repeat of the "
        "other does, ties counting half; 50% where neither tends to. The others are differences, "
        "search minus the other. 95% intervals, those of differences approximate where repeats are "
        "few, and not corrected for how many they are; all pairs are in summary.json. The other is "
        "random search over the space where there is one, else the first, chosen before there were "
        "results."
    )
    return Table("Searches compared", columns, tuple(rows), note)


def across_table(found: Across) -> Table:
    """Strategies over several setups."""
    rows = [
        (
            Cell(label),
            percent(strategy.regret),
            _difference(strategy.difference),
            EMPTY if strategy.better is None else percent(strategy.better),
        )
        for label, strategy in found.strategies.items()
    ]
    columns = (
        Column("search"),
        Column("regret, interquartile mean", numeric=True),
        Column(f"minus {found.baseline} (points)", numeric=True),
        Column(f"P(better than {found.baseline})", numeric=True),
    )
    note = (
        f"Over {listed(list(found.setups), 12)}, after {found.trials} trials. Regret: what a "
        "repeat missed of what can be gained there, (b - its best val) / (b - chance); below 0 "
        "where selection flatters by more than the search misses. Its mean over the middle half "
        "of the repeats of all setups, with the 95% interval of a bootstrap of repeats: how sure "
        "it is for these setups, not for others, with b and chance taken as known. P(better): the "
        "mean over setups."
    )
    return Table("Strategies across setups", columns, tuple(rows), note)


def _difference(interval: Interval | None) -> Cell:
    return EMPTY if interval is None else points(interval)
