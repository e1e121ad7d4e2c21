"""How accuracy grows with the steps, and what a hidden unit sees meanwhile."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hpsuite.findings import Learned
from hpsuite.report.axes import Axis
from hpsuite.report.figures.courses import Courses
from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.figures.lines import Curve, Level, Panel
from hpsuite.report.short_names import shortened
from hpsuite.report.telling_scores import estimate, groups, listed
from hpsuite.report.told import Told
from hpsuite.report.view import Block, Cell, Column, Picture, Section, Table

# Lines of one panel, panels of one picture.
MOST_LINES, MOST_PANELS = 6, 6
STEPS = Axis("gradient steps")


def learned_section(
    learned: Sequence[Learned], told: Sequence[Told], by_table: Mapping[int, str]
) -> Section | None:
    """The section; None where no arm is several seeds of one configuration.

    Args:
        learned: the learning curves.
        told: the setups.
        by_table: the name of each table's setup, by the table's id.
    """
    named = {t.name: t for t in told}
    pairs = [(named[by_table[id(own.arm.table)]], own) for own in learned]
    # Two searches of one setup would have one name.
    if not pairs or len({t.name for t, _ in pairs}) < len(pairs):
        return None
    short = [t.name for t in shortened([t for t, _ in pairs])]
    found = list(zip(short, learned, strict=True))
    by_arm = {id(own.arm): name for name, own in found}
    blocks: list[Block] = [*_accuracies(found, by_arm), _table(found, by_arm)]
    seen = [(name, own) for name, own in found if own.seen is not None]
    if seen:
        blocks += [*_inputs(seen), _movements(seen)]
    prose = (
        "Each is one configuration with several seeds, scored on the validation rows after each "
        "epoch.",
    )
    return Section("Learning curves: how accuracy grows with the steps", prose, tuple(blocks))


def _accuracies(
    found: Sequence[tuple[str, Learned]], by_arm: Mapping[int, str]
) -> Iterator[Picture]:
    numbers = {name: i for i, (name, _) in enumerate(found)}
    for i, group in enumerate(groups(found, MOST_LINES)):
        lines = tuple(
            Curve(
                name,
                numbers[name],
                own.steps,
                *(100 * v for v in (own.mean, own.lowest, own.highest)),
            )
            for name, own in group
        )
        _, first = group[0]
        level = Level(f"what {by_arm[id(first.first)]} reaches in the end", 100 * first.target)
        seeds = sorted({len(own.arm.table.studies) for _, own in group})
        ends = [f"{name} {Estimate(*_last(own)).text(decimals=1)}%" for name, own in group]
        yield Picture(
            "learning-curves" if i == 0 else f"learning-curves-{i + 1}",
            Courses(
                "Validation accuracy over training",
                STEPS,
                Axis("validation accuracy", "%", scale="one_minus_log", top=100),
                (Panel("", lines, level),),
                f"mean over {' or '.join(map(str, seeds))} seeds, and from the lowest of them to "
                "the highest, after each epoch",
            ),
            f"Validation accuracy against gradient steps; in the end {listed(ends, MOST_LINES)}.",
        )


def _last(own: Learned) -> tuple[float, float, float]:
    return 100 * float(own.mean[-1]), 100 * float(own.low[-1]), 100 * float(own.high[-1])


def _table(found: Sequence[tuple[str, Learned]], by_arm: Mapping[int, str]) -> Table:
    rows = []
    for name, own in found:
        fifth = int(np.abs(own.steps - own.steps[-1] / 5).argmin())
        at_fifth = [100 * float(v[fifth]) for v in (own.mean, own.low, own.high)]
        seeds = len(own.arm.table.studies)
        spent = estimate(own.to_target)
        cells = f"{spent.value:,.0f} [{spent.low:,.0f}, {spent.high:,.0f}]"
        rows.append(
            (
                Cell(name),
                Cell(f"{own.steps[-1]:,.0f}", float(own.steps[-1])),
                Cell(Estimate(*at_fifth).text(decimals=1), at_fifth[0]),
                Cell(Estimate(*_last(own)).text(decimals=1), _last(own)[0]),
                Cell(f"{100 * own.target:.1f}", own.target),
                Cell(f"{own.reached} of {seeds}", own.reached / seeds),
                Cell(cells, spent.value),
            )
        )
    columns = (
        Column("setup"),
        Column("steps", numeric=True),
        Column("after a fifth of them (%)", numeric=True),
        Column("in the end (%)", numeric=True),
        Column("target (%)", numeric=True),
        Column("seeds that reach it", numeric=True),
        Column("steps until then", numeric=True),
    )
    firsts = listed(list(dict.fromkeys(by_arm[id(own.first)] for _, own in found)))
    note = (
        f"Target: the mean accuracy in the end of the first listed of as many steps ({firsts}). "
        "Steps until then are those before the first evaluation that reaches it, at most all; "
        "intervals over seeds, 95%, approximate."
    )
    return Table("Accuracy, and steps to a target", columns, tuple(rows), note)


def _inputs(seen: Sequence[tuple[str, Learned]]) -> Iterator[Picture]:
    for i, group in enumerate(groups(seen, MOST_PANELS)):
        panels, words, ends = [], [], []
        for name, own in group:
            assert own.seen is not None
            low, middle, high = own.seen.percentiles.T
            ends += [float(low.min()), float(high.max())]
            panels.append(
                Panel(
                    name,
                    (
                        Curve(
                            "the first unit of the first seed", 0, own.seen.steps, middle, low, high
                        ),
                    ),
                )
            )
            words.append(f"{name} from {_one(middle[0])} to {_one(middle[-1])}")
        pad = 0.05 * (max(ends) - min(ends))
        yield Picture(
            "hidden-inputs" if i == 0 else f"hidden-inputs-{i + 1}",
            Courses(
                "What a nonlinearity of the last hidden layer sees",
                STEPS,
                Axis("input of the nonlinearity", low=min(ends) - pad, high=max(ends) + pad),
                tuple(panels),
                "median over the validation rows, and the 15th to the 85th percentile",
                "In evaluation: batch norm by its running statistics.",
            ),
            f"Percentiles of a hidden unit's input against gradient steps; the median goes, on "
            f"{listed(words, MOST_PANELS)}.",
            "As figure 1 of Ioffe and Szegedy 2015. Of a layer's units the first is shown, which "
            "is as typical as any, as all are drawn alike.",
        )


def _movements(seen: Sequence[tuple[str, Learned]]) -> Table:
    rows = []
    for name, own in seen:
        assert own.seen is not None
        cells = [
            Cell(
                estimate(i).text(decimals=2) if math.isfinite(i.low) else f"{i.estimate:.2f}",
                i.estimate,
            )
            for i in (own.seen.step, own.seen.range)
        ]
        rows.append((Cell(name), *cells))
    columns = (
        Column("setup"),
        Column("from one evaluation to the next", numeric=True),
        Column("over all of training", numeric=True),
    )
    note = (
        "How far the median moves, in units of half the distance from the 15th to the 85th "
        "percentile: the mean distance from one evaluation to the next, and that from the lowest "
        "to the highest. Means over seeds, of one unit each, with 95% t intervals; approximate."
    )
    return Table("How stable a nonlinearity's input is", columns, tuple(rows), note)


def _one(value: float) -> str:
    """A number with one decimal, 0 without a sign."""
    return f"{round(float(value), 1) + 0.0:.1f}"
