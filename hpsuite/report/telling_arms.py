"""What each search found: best so far, the table of arms, and where each looked."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from hpsuite.analysis import Interval
from hpsuite.findings import MARGIN, ArmFinding, ArmTable
from hpsuite.report.axes import Axis
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.lines import Curve, Level, Panel
from hpsuite.report.figures.points import Points, Response, SampledPoints
from hpsuite.report.short_names import shortened
from hpsuite.report.tables import any_prunes
from hpsuite.report.telling_scores import (
    NONE,
    Scores,
    count,
    groups,
    hyperparameter_axis,
    listed,
    percent,
    placed,
    plain,
)
from hpsuite.report.telling_tried import tried_blocks
from hpsuite.report.told import Told
from hpsuite.report.view import Block, Cell, Column, Note, Picture, Section, Table
from hpsuite.space import Hyperparameter
from hpsuite.strategies.coarse_to_fine import CoarseToFineSampler

EMPTY = Cell(NONE, math.nan)
SCORES = Scores()
# Panels of one picture.
MOST_PANELS, MOST_STRATEGIES = 6, 12
# Of more setups than these it is not drawn where each search looked: a picture each.
MOST_POINTS = 4
COARSE_TO_FINE = f"{CoarseToFineSampler.__module__}.{CoarseToFineSampler.__qualname__}"
# Figures of arms that may be missing, in words.
TOLD = {
    "regret": "Regret and trials to a good one are",
    "miss_probability": "Misses and fresh seeds' accuracies are",
}
ByName = Mapping[str, Sequence[ArmFinding]]


def arms_section(
    told: Sequence[Told], by_setup: ByName, compared: Iterable[Block] = ()
) -> Section | None:
    """The section.

    Args:
        told: the setups.
        by_setup: the arms of each setup by the setup's name.
        compared: what is said of strategies compared.
    """
    shown = [t for t in told if by_setup.get(t.name)]
    if not shown:
        return None
    numbers = strategy_numbers(by_setup)
    blocks: list[Block] = [
        *_best_so_far(shown, by_setup, numbers),
        found_table(shown, by_setup),
        speed_table(shown, by_setup),
        *compared,
        *tried_blocks(shown, by_setup),
    ]
    blocks += [Note(text) for text in _remarks(by_setup)]
    if len(shown) <= MOST_POINTS:
        for t in shown:
            blocks += _sampled_points(t, by_setup[t.name])
    return Section("Searches: which found a good one?", (), tuple(blocks))


def strategy_numbers(by_setup: ByName) -> dict[str, int]:
    """The number of each strategy's look, the same in all pictures."""
    labels = (arm.table.arm.strategy.label for arms in by_setup.values() for arm in arms)
    return {label: i for i, label in enumerate(dict.fromkeys(labels))}


def _best_so_far(
    shown: Sequence[Told], by_setup: ByName, numbers: Mapping[str, int]
) -> Iterator[Picture]:
    # One trial has no course.
    shown = [t for t in shown if any(arm.table.scores().shape[1] > 1 for arm in by_setup[t.name])]
    if len(shown) > MOST_PANELS and all(len(by_setup[t.name]) == 1 for t in shown):
        return  # nothing is compared
    for i, group in enumerate(groups(shown, MOST_PANELS)):
        panels = []
        short = [t.name for t in shortened(group)]
        for t, name in zip(group, short, strict=True):
            curves = tuple(_curve(arm, numbers) for arm in by_setup[t.name])
            level = None
            if t.evidence is not None:
                level = Level("b, the best it can do", 100 * t.evidence.best.value)
            panels.append(Panel(name, curves, level))
        repeats = sorted({arm.figures.repeats for t in group for arm in by_setup[t.name]})
        several = repeats[-1] > 1
        counted = "-".join(str(r) for r in dict.fromkeys((repeats[0], repeats[-1])))
        yield Picture(
            "best-so-far" if i == 0 else f"best-so-far-{i + 1}",
            BestSoFar(
                "Best validation accuracy so far, by search",
                Axis("trials", scale="integer"),
                Axis("best validation accuracy", "%"),
                tuple(panels),
                bands=f"median over {counted} repeats, and their quartiles"
                if several
                else "the only repeat",
            ),
            f"Best validation accuracy after so many trials, by search, on "
            f"{listed(short)}; the table has the ends.",
            "What a search saw itself: selection flatters it, so that it may pass b.",
        )


def _curve(arm: ArmFinding, numbers: Mapping[str, int]) -> Curve:
    found = arm.strategy.curve
    low, middle, high = (SCORES.drawn(found.quantiles[share]) for share in (0.25, 0.5, 0.75))
    if found.repeats == 1:
        low = high = np.full_like(middle, np.nan)
    label = arm.table.arm.strategy.label
    x = np.arange(1, len(middle) + 1, dtype=np.float64)
    return Curve(label, numbers[label], x, middle, low, high)


def found_table(shown: Sequence[Told], by_setup: ByName) -> Table:
    """What the searches found."""
    arms = [arm for t in shown for arm in by_setup[t.name]]
    again = any(arm.again is not None for arm in arms)
    missed = any(arm.misses is not None for arm in arms)
    pruned = any_prunes(arms)
    columns = [
        Column("setup"),
        Column("search"),
        Column("trials", numeric=True),
        *([Column("pruned", numeric=True), Column("epochs", numeric=True)] if pruned else []),
        Column("best val", numeric=True),
        Column("test", numeric=True),
        *([Column("fresh seeds", numeric=True)] if again else []),
        *([Column("misses", numeric=True)] if missed else []),
        Column("rank", numeric=True),
    ]
    rows = []
    for t in shown:
        for arm in by_setup[t.name]:
            figures = arm.figures
            each = figures.n_trials // figures.repeats
            counts = (arm.table.n_pruned, arm.table.epochs) if pruned else ()
            cells = [
                *_named(t, arm),
                Cell(f"{figures.repeats} x {each}", figures.n_trials),
                *(plain(n, f"{n:,}") for n in counts),
                percent(figures.best_val_accuracy),
                percent(figures.test_accuracy),
            ]
            if again:
                cells.append(EMPTY if arm.fresh is None else percent(arm.fresh.test))
            if missed:
                cells.append(EMPTY if arm.misses is None else percent(arm.misses.probability))
            cells.append(Cell(arm.rank.text, arm.rank.low))
            rows.append(tuple(cells))
    said = [
        "Trials: repeats x trials of each. Best val: mean over repeats of each one's best "
        "validation accuracy; test: of the trial that validation selected; 95% t intervals, "
        "approximate: too narrow where a search can miss and few repeats show it."
    ]
    if pruned:
        said.append(
            "Pruned: trials that were stopped early, which count as found nothing, at chance. "
            "Epochs: trained by all trials together: where trials are pruned, equally many are "
            "no equal budgets."
        )
    if again:
        said.append("Fresh seeds: test accuracy of what was selected, trained again.")
    if missed:
        said.append(f"Misses: share of repeats that ended more than {100 * MARGIN:g} points off b.")
    said.append(
        "Rank: among the setup's searches, by Welch tests of all pairs, Holm-corrected, after as "
        "many trials as the shortest has."
    )
    return Table("What the searches found", tuple(columns), tuple(rows), " ".join(said))


def speed_table(shown: Sequence[Told], by_setup: ByName) -> Table:
    """How fast the searches found it."""
    known = any(a.strategy.regret is not None for t in shown for a in by_setup[t.name])
    columns = [
        Column("setup"),
        Column("search"),
        *([Column("regret (points)", numeric=True)] if known else []),
        *([Column("trials to a good one", numeric=True)] if known else []),
        Column("area", numeric=True),
        Column("seconds", numeric=True),
    ]
    rows = []
    for t in shown:
        for arm in by_setup[t.name]:
            cells = _named(t, arm)
            if known:
                regret, good = arm.strategy.regret, arm.strategy.to_good
                cells.append(EMPTY if regret is None else SCORES.distance(regret))
                cells.append(EMPTY if good is None else to_good(good.median, good.n))
            cells += [percent(arm.strategy.area), plain(arm.seconds, f"{arm.seconds:.1f}")]
            rows.append(tuple(cells))
    note = (
        "Area: mean best so far over the budget; approximate as best val is. Seconds: training "
        "time, of one worker."
    )
    if known:
        note = (
            "Regret: b minus the best val; below 0 where selection flatters by more than the "
            f"search misses. Trials to a good one: median until {SCORES.within(100 * MARGIN)} of "
            f"b; open: beyond the budget. {note}"
        )
    return Table("How fast they found it", tuple(columns), tuple(rows), note)


def _named(t: Told, arm: ArmFinding) -> list[Cell]:
    return [Cell(t.name), Cell(arm.table.arm.strategy.label)]


def to_good(median: Interval, n: int) -> Cell:
    """Trials until a good one; more than the budget where fewer than half of the repeats do it."""
    if median.estimate == math.inf:
        return Cell(f"more than {n}", math.inf)
    return count(median)


def _remarks(by_setup: ByName) -> Iterator[str]:
    arms = [arm for found in by_setup.values() for arm in found]
    if any(arm.figures.repeats < 5 for arm in arms):
        yield "Searches with fewer than 5 repeats are not ranked: luck decides between them."
    # Columns that all lack are not there.
    for figure, words in TOLD.items():
        without: dict[str, list[str]] = {}
        for name, found in by_setup.items():
            for reason in dict.fromkeys(a.reasons[figure] for a in found if figure in a.reasons):
                without.setdefault(reason, []).append(name)
        for reason, names in without.items():
            yield f"{words} not computable on {listed(names)}: {reason}."
    good = [arm.strategy.to_good for arm in arms]
    if any(g is not None and math.isnan(g.median.low) for g in good):
        yield (
            "A median number of trials has no interval where a search has fewer than 6 repeats: "
            "it is one of order statistics."
        )
    lengths = {name: {arm.strategy.n for arm in found} for name, found in by_setup.items()}
    uneven = [name for name, found in lengths.items() if len(found) > 1]
    if uneven:
        yield (
            f"Not all searches on {listed(uneven)} have as many trials: best val, regret and area "
            "are each over its own; ranks are not."
        )


def _sampled_points(t: Told, arms: Sequence[ArmFinding]) -> Iterator[Picture]:
    """One repeat of each search, over the reference sample."""
    numeric = [h for h in arms[0].table.arm.setup.space.hyperparameters if h.choices is None]
    if len(numeric) < 2:
        return
    numeric.sort(key=lambda h: h.name != "learning_rate")
    x, y = numeric[:2]
    shown = arms[:MOST_STRATEGIES]
    response = None
    if t.evidence is not None:
        values = t.evidence.sample.values
        across, up = (np.array([placed(h, v[h.name]) for v in values]) for h in (x, y))
        response = Response(across, up, SCORES.drawn(t.evidence.sample.scores))
    others = [name for name in arms[0].table.arm.setup.space.names if name not in (x.name, y.name)]
    note = "The first repeat of each. Ticks outside: the distinct values tried."
    if others:
        note += f" Not shown: {listed(others)}, which vary too."
    headline = 2.0 if t.evidence is None else t.evidence.headline
    yield Picture(
        f"sampled-points-{t.number + 1}",
        SampledPoints(
            f"Where each search looked on {t.name}",
            hyperparameter_axis(x),
            hyperparameter_axis(y),
            SCORES.axis(),
            tuple(_points(arm.table, x, y) for arm in shown),
            response,
            good_level=t.good_level,
            good=f"{SCORES.within(headline)} of the best" if math.isfinite(t.good_level) else "",
            note=note,
        ),
        f"Trials of the first repeat of {listed([a.table.arm.strategy.label for a in shown])} on "
        f"{t.name}, in {x.name} and {y.name}.",
        setup=t.number,
    )


def _points(table: ArmTable, x: Hyperparameter, y: Hyperparameter) -> Points:
    study = table.studies[0]
    across, up = (np.array([placed(h, v[h.name]) for v in study.values]) for h in (x, y))
    return Points(
        table.arm.strategy.label,
        across,
        up,
        SCORES.drawn([r.val_accuracy for r in study.results]),
        rounds_of(table),
    )


def rounds_of(table: ArmTable) -> np.ndarray[tuple[int, ...], np.dtype[np.int_]]:
    """The round of each trial of a study, from 0; all 0 for what has no rounds."""
    strategy, n = table.arm.strategy, len(table.studies[0].results)
    if strategy.target != COARSE_TO_FINE:
        return np.zeros(n, np.int_)
    given = dict(strategy.arguments)
    rounds = given.get("rounds")
    distributions = table.arm.setup.space.distributions()
    sampler = (
        CoarseToFineSampler(distributions, n, rounds=rounds, seed=0)
        if isinstance(rounds, int)
        else CoarseToFineSampler(distributions, n, seed=0)
    )
    sizes = sampler.round_sizes
    return np.repeat(np.arange(len(sizes)), sizes)
