"""How much of what was found changes with the split of the data."""

import math
from collections.abc import Iterator, Sequence

from hpsuite.analysis import SplitSpread
from hpsuite.findings import SplitFinding
from hpsuite.report.telling_scores import NONE, Scores, listed, percent, points
from hpsuite.report.view import Block, Cell, Column, Note, Section, Table

SCORES = Scores()
# In words, of the figures that the table has; all of them are in summary.json.
WORDS = {
    "setup": {"good_fraction_2pt": "good within 2 points", "b": "b"},
    "search": {"best_val_accuracy": "best val", "test_accuracy": "test"},
    "difference": {"good_fraction_2pt": "good within 2 points, difference"},
}


def splits_section(splits: Sequence[SplitFinding]) -> Section | None:
    """The section; None where no two setups differ by their split alone."""
    if not splits:
        return None
    blocks: list[Block] = [splits_table(splits), *(Note(text) for text in _remarks(splits))]
    prose = (
        "All other intervals are given one split of the data. Here is what another split does to "
        "the figures: their mean over splits, how they vary from split to split, and how that "
        "compares with the error of a figure within one split.",
    )
    return Section("Splits: how much of it changes with the split?", prose, tuple(blocks))


def splits_table(splits: Sequence[SplitFinding]) -> Table:
    """The headline figures over splits."""
    rows = []
    for found in splits:
        for name, words in WORDS[found.kind].items():
            if name in found.figures:
                rows.append((Cell(found.name), Cell(words), *_cells(found, found.figures[name])))
    columns = (
        Column("of"),
        Column("figure"),
        Column("splits", numeric=True),
        Column("mean over splits", numeric=True),
        Column("varies by (points)", numeric=True),
        Column("error in one split (points)", numeric=True),
        Column("split / error", numeric=True),
    )
    note = (
        "Varies by: the standard deviation over splits, with its 95% interval; error in one split: "
        "the standard error that a figure's own interval says. Split / error: what the split adds, "
        "in such errors; above about 1 one split says little. 95% t intervals of the mean, with "
        "the error within a split added where splits share configurations."
    )
    return Table("How much changes with the split", columns, tuple(rows), note)


def _cells(found: SplitFinding, spread: SplitSpread) -> tuple[Cell, ...]:
    mean = points(spread.mean) if found.kind == "difference" else percent(spread.mean)
    return (
        Cell(str(spread.splits), spread.splits),
        mean,
        SCORES.distance(spread.spread),
        _number(100 * spread.within_sd),
        _number(spread.ratio),
    )


def _number(value: float) -> Cell:
    return Cell(f"{value:.1f}" if math.isfinite(value) else NONE, value)


def _remarks(splits: Sequence[SplitFinding]) -> Iterator[str]:
    """Why a figure has no row, or no interval."""
    reasons: dict[str, list[str]] = {}
    for found in splits:
        words = WORDS[found.kind]
        for name, reason in found.reasons.items():
            if name in words:
                reasons.setdefault(reason, []).append(f"{words[name]} of {found.name}")
    for reason, names in reasons.items():
        yield f"Not computable over splits: {listed(names)} ({reason})."
    open_ended = [
        f"{words} of {found.name}"
        for found in splits
        for name, words in WORDS[found.kind].items()
        if name in found.figures and not math.isfinite(found.figures[name].within_sd)
    ]
    if open_ended:
        yield (
            f"No error within a split is known of {listed(open_ended)}, and so no interval of the "
            "mean: a single repeat has none, and b has one where it was trained again with fresh "
            "seeds."
        )
    fewest = min(len(found.seeds) for found in splits)
    if fewest < 5:
        yield (
            f"With {fewest} splits, how much figures vary from split to split is itself known "
            "roughly: read the intervals."
        )
