"""Yesterday's hyperparameters today: which changes make choices stale, and which do not."""

import math
from collections.abc import Mapping, Sequence

from hpsuite.analysis.warm_start import saved_by_best, saved_by_random
from hpsuite.findings import ArmFinding, Carried, setup_axes
from hpsuite.report.short_names import last_part, versus_words
from hpsuite.report.telling_scores import estimate, listed, percent
from hpsuite.report.view import Cell, Column, Note, Section, Table

EMPTY = "-"


def carried_section(carried: Sequence[Carried]) -> Section | None:
    """The section; None where no claim asks for it."""
    if not carried:
        return None
    stale = [change_words(c) for c in carried if c.cost.low > 0]
    serves = [change_words(c) for c in carried if c.cost.high < 0]
    unclear = [change_words(c) for c in carried if not (c.cost.low > 0 or c.cost.high < 0)]
    parts = [
        (stale, "What was chosen before is worse than what is chosen today, beyond chance, after"),
        (unclear, "No difference beyond chance is shown after"),
        (serves, "What was chosen before is better after"),
    ]
    told = " ".join(f"{words} {listed(names, 12)}." for names, words in parts if names)
    prose = (
        "Each repeat of a search chooses on yesterday's setup and on today's, random ones among "
        "the same configurations, and both choices are trained today with the same fresh seeds. "
        "The cost is today's own choice minus the old one, on test data.",
        told,
    )
    budgets = {c.budget for c in carried if c.saved is not None}
    notes = [
        Note(
            f"Beside a search of {n} trials, a choice at random saves {saved_by_random(n):.1f} of "
            f"them, and one that is today's own choice {saved_by_best(n):.1f}."
        )
        for n in sorted(budgets)
        if n > 1
    ]
    return Section(
        "Stale or not: yesterday's hyperparameters today", prose, (carried_table(carried), *notes)
    )


def change_words(carried: Carried) -> str:
    """What changed, in words: `layers 2 → 5`."""
    before, today = _apart(carried.before, carried.today)
    if before.keys() == today.keys():
        return ", ".join(f"{last_part(axis)} {before[axis]} → {today[axis]}" for axis in before)
    if before.get("dataset") != today.get("dataset"):
        return f"dataset {before['dataset']} → {today['dataset']}"
    return versus_words(today, before)


def _apart(a: ArmFinding, b: ArmFinding) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The axes in which two setups differ."""
    one, two = (setup_axes(arm.table.arm) for arm in (a, b))
    return (
        {axis: v for axis, v in one.items() if two.get(axis) != v},
        {axis: v for axis, v in two.items() if one.get(axis) != v},
    )


def carried_table(carried: Sequence[Carried]) -> Table:
    """Costs, and trials saved, the most stale first."""
    rows = []
    for c in sorted(carried, key=lambda c: -c.cost.estimate):
        cost, median = estimate(c.cost, 100), estimate(c.median, 100)
        saved = Cell(EMPTY, math.nan)
        if c.saved is not None:
            found = estimate(c.saved)
            saved = Cell(f"{found.text(decimals=1)} of {c.budget}", found.value)
        rows.append(
            (
                Cell(change_words(c)),
                Cell(f"{100 * c.own.estimate:.1f}", 100 * c.own.estimate),
                Cell(f"{100 * c.old.estimate:.1f}", 100 * c.old.estimate),
                Cell(f"{c.same} of {len(c.today.table.studies)}", c.same),
                Cell(cost.text(decimals=1, signed=True), cost.value),
                Cell(median.text(decimals=1, signed=True), median.value),
                percent(c.relative)
                if math.isfinite(c.relative.estimate)
                else Cell("not computable", math.nan),
                saved,
            )
        )
    columns = (
        Column("yesterday → today"),
        Column("today's choice (%)", numeric=True),
        Column("yesterday's (%)", numeric=True),
        Column("same choice", numeric=True),
        Column("mean cost (points)", numeric=True),
        Column("median cost (points)", numeric=True),
        Column("share of the gain", numeric=True),
        Column("trials saved", numeric=True),
    )
    repeats = {len(c.today.table.studies) for c in carried}
    note = (
        f"Test accuracies with fresh seeds, means over {' or '.join(map(str, sorted(repeats)))} "
        "searches; same choice: of how many both are one configuration, which costs nothing; 95% "
        "intervals over searches, that of the mean approximate: a few choices that "
        "diverge today decide it. Share of the gain: the mean cost divided by what today's "
        "choice gains on the median configuration; 0% where the old one serves as well, 100% where "
        "it is no better than that. Trials saved: of a new random search, until one is as good as "
        "the old choice; approximate."
    )
    return Table("What yesterday's choices cost, and save", columns, tuple(rows), note)
