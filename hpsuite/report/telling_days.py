"""The diaries of models that were watched day by day, and searches compared at equal epochs."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hpsuite.analysis.by_cost import best_within
from hpsuite.findings import ArmFinding, StudyTable
from hpsuite.report.axes import Axis, Floats
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.diary import DayLine, Diary
from hpsuite.report.figures.lines import Curve, Panel
from hpsuite.report.short_names import short_names
from hpsuite.report.telling_scores import Scores, plain
from hpsuite.report.told import Told
from hpsuite.report.view import Block, Cell, Column, Picture, Section, Table
from hpsuite.trials import Day, TrialResult

SCORES = Scores()
# Diaries, and days of one of them in its table.
MOST_DIARIES, MOST_DAYS = 4, 60
# Budgets at which searches are compared, over the range of all.
BUDGETS = 40
MOST_PANELS = 6
ByName = Mapping[str, Sequence[ArmFinding]]


def days_section(told: Sequence[Told], by_setup: ByName) -> Section | None:
    """What is said of days; None where no search has any.

    Args:
        told: the setups.
        by_setup: the arms of each setup by the setup's name.
    """
    watched = [(t, arm) for t in told for arm in by_setup[t.name] if is_diary(arm)]
    blocks: list[Block] = [*_by_epochs(told, by_setup)]
    for t, arm in watched[:MOST_DIARIES]:
        blocks += diary(t.name, arm)
    if not any(arm.table.of_days for t in told for arm in by_setup[t.name]):
        return None
    left = len(watched) - MOST_DIARIES
    prose = (
        "A day is a block of epochs that goes on where an earlier one ended. One that ended worse "
        "is taken back: what it cost counts, what it did not. The diary is that of the repeat "
        "whose result is the median one.",
        *([f"{left} more diaries are in the record."] if left > 0 else []),
    )
    return Section("Day by day: the diary of a model", prose if watched else (), tuple(blocks))


def is_diary(arm: ArmFinding) -> bool:
    """Whether a search watched one model, whose days are a story."""
    days = arm.table.studies[0].days
    return bool(days) and all(day is None or day.member == 0 for day in days)


def median_repeat(arm: ArmFinding) -> StudyTable:
    """The repeat with the median result; of two in the middle the worse."""
    ordered = sorted(arm.table.studies, key=lambda study: (study.best.val_accuracy, -study.repeat))
    return ordered[(len(ordered) - 1) // 2]


def diary_name(arm: ArmFinding) -> str:
    """The name of a search's diary as a picture."""
    return f"diary-{arm.table.identity[:8]}"


def diary(setup: str, arm: ArmFinding) -> Iterator[Block]:
    """The picture and the story of one repeat."""
    study, strategy = median_repeat(arm), arm.table.arm.strategy.name
    days = _days(study)
    back = sum(not day.kept for day, _ in days)
    nudged = sum(bool(day.nudge) for day, _ in days)
    summary = f"{len(days)} days, {nudged} nudges, {back} days taken back"
    yield Picture(
        diary_name(arm),
        Diary(
            f"Diary of {strategy} on {setup}, repeat {study.repeat}",
            Axis("epochs trained, those taken back too", scale="integer"),
            Axis("validation accuracy", "%"),
            tuple(_lines(days)),
            note=f"{summary}.",
        ),
        f"Validation accuracy over all epochs that {strategy} trained on {setup}: {summary}.",
    )
    yield _story(f"The story of {strategy} on {setup}, repeat {study.repeat}", days, study)


def story_lines(arm: ArmFinding) -> list[str]:
    """The story of the median repeat, a line for each day on which something happened."""
    study = median_repeat(arm)
    lines = []
    for number, (day, result) in enumerate(_days(study)[:MOST_DAYS]):
        if day.nudge or not day.kept or number == 0:
            after = "" if day.parent is None else f" after day {day.parent}"
            found = f"{100 * result.val_accuracy:.1f}%"
            lines.append(f"day {number}{after}: {day.reason}; {found}; {day.verdict}")
    return lines


def _days(study: StudyTable) -> list[tuple[Day, TrialResult]]:
    return [(day, result) for day, result in zip(study.days, study.results, strict=True) if day]


def _lines(days: Sequence[tuple[Day, TrialResult]]) -> Iterator[DayLine]:
    spent = 0
    for number, (day, result) in enumerate(days):
        begins = np.nan if day.parent is None else days[day.parent][1].val_accuracy
        scores = SCORES.drawn([begins, *result.val_curve])
        epochs = spent + np.arange(len(scores), dtype=np.float64)
        yield DayLine(epochs, scores, bool(day.kept), _nudge(day), f"day {number}: {day.reason}")
        spent += result.epochs


def _nudge(day: Day) -> str:
    return ", ".join(f"{name} x {factor:.4g}" for name, factor in day.nudge)


def _story(title: str, days: Sequence[tuple[Day, TrialResult]], study: StudyTable) -> Table:
    names = list(study.values[0])
    columns = (
        Column("day", numeric=True),
        Column("after day", numeric=True),
        Column("why"),
        *(Column(name, numeric=True) for name in names),
        Column("val", numeric=True),
        Column("what came of it"),
    )
    rows = []
    for number, (day, result) in enumerate(days[:MOST_DAYS]):
        values = [study.values[number][name] for name in names]
        accuracy = 100 * result.val_accuracy
        rows.append(
            (
                plain(number, str(number)),
                Cell("start", -1.0) if day.parent is None else plain(day.parent, str(day.parent)),
                Cell(day.reason),
                *(
                    plain(v, f"{v:.4g}") if isinstance(v, int | float) else Cell(str(v))
                    for v in values
                ),
                Cell("failed" if result.outcome == "failed" else "diverged", -1.0)
                if result.came_to_nothing
                else plain(accuracy, f"{accuracy:.1f}%"),
                Cell("kept" if day.kept else f"back: {day.verdict}"),
            )
        )
    note = "Val: validation accuracy when the day ended."
    if len(days) > MOST_DAYS:
        note += f" The first {MOST_DAYS} of {len(days)} days; all are in the record."
    return Table(title, columns, tuple(rows), note)


def _by_epochs(told: Sequence[Told], by_setup: ByName) -> Iterator[Picture]:
    """Best so far by epochs, of setups that differ in the epochs of a trial alone."""
    families: dict[tuple[tuple[str, str], ...], list[Told]] = {}
    for t in told:
        axes = tuple(sorted((k, v) for k, v in t.axes.items() if k != "budget.epochs"))
        families.setdefault(axes, []).append(t)
    families = {
        axes: own
        for axes, own in families.items()
        if any(arm.table.of_days for t in own for arm in by_setup[t.name])
        and sum(len(by_setup[t.name]) for t in own) > 1
    }
    if not families:
        return
    labels: dict[str, int] = {}
    panels = []
    named = {" ".join(f"{k}={v}" for k, v in axes): dict(axes) for axes in families}
    titles = short_names(named)
    for title, family in list(zip(titles, families.values(), strict=True))[:MOST_PANELS]:
        arms = [arm for t in family for arm in by_setup[t.name]]
        curves = []
        for arm in arms:
            name = _label(arm)
            number = labels.setdefault(name, len(labels))
            curves.append(_curve(name, number, arm))
        panels.append(Panel(title if len(families) > 1 else "", tuple(curves)))
    yield Picture(
        "best-by-epochs",
        BestSoFar(
            "Best validation accuracy so far, by epochs trained",
            Axis("epochs of all trials", scale="log_integer"),
            Axis("best validation accuracy", "%"),
            tuple(panels),
            bands="median over repeats, and their quartiles",
        ),
        "Best validation accuracy of each search after so many epochs of all its trials together.",
        "Epochs of days that were taken back, and of trials that were stopped, count.",
    )


def _label(arm: ArmFinding) -> str:
    """A search with the length of its trials, which is what tells days from whole trials."""
    # The budget is what the picture's axis shows.
    table = arm.table.arm
    variant = " ".join(f"{k}={v}" for k, v in table.strategy.variant if k != "budget.trials")
    name = f"{table.strategy.name} {variant}".strip()
    what = "days" if arm.table.of_days else "trials"
    return f"{name}, {what} of {table.setup.epochs} epochs"


def _curve(name: str, number: int, arm: ArmFinding) -> Curve:
    costs = np.array([[r.epochs for r in s.results] for s in arm.table.studies], np.float64)
    first, last = float(costs[:, 0].max()), float(np.cumsum(costs, axis=1)[:, -1].max())
    budgets: Floats = np.unique(np.round(np.geomspace(max(first, 1), max(last, 1), BUDGETS)))
    best = SCORES.drawn(best_within(arm.table.scores(), costs, budgets))
    low, middle, high = np.quantile(best, (0.25, 0.5, 0.75), axis=0)
    if len(best) == 1:
        low = high = np.full_like(middle, np.nan)
    return Curve(name, number, budgets, middle, low, high)
