"""How much of each setup's space is good: tables, remarks, and which pictures go with them."""

import math
from collections.abc import Iterator, Sequence

from hpsuite.analysis import Interval
from hpsuite.analysis.regret import NO_DEFAULT
from hpsuite.evidence import SetupEvidence
from hpsuite.report.telling_figures import (
    differences_picture,
    parallel_pictures,
    rate_pictures,
    tuning_pictures,
)
from hpsuite.report.telling_scores import (
    NONE,
    Scores,
    count,
    estimate,
    listed,
    percent,
    plain,
    points,
)
from hpsuite.report.telling_sweeps import sweep_blocks
from hpsuite.report.told import Compared, Told
from hpsuite.report.view import Block, Cell, Column, Note, Section, Table

EMPTY = Cell(NONE, math.nan)
HEADING = "Setups: how much of the space is good?"


def setups_section(
    told: Sequence[Told], compared: Sequence[Compared], zone: float = math.nan
) -> Section:
    """The section; `zone` is the smallest difference that was declared to matter, in points."""
    shown = [t for t in told if t.evidence is not None]
    blocks: list[Block] = []
    if shown:
        blocks += [good_table(shown), best_table(shown)]
    blocks += [Note(text) for text in remarks(told)]
    if compared:
        blocks += [
            differences_picture(compared, told[0].scores, zone),
            differences_table(compared, told[0].scores),
        ]
    blocks += sweep_blocks(told)
    blocks += rate_pictures(told)
    blocks += tuning_pictures(shown)
    blocks += parallel_pictures(shown)
    scores = told[0].scores
    random = all(t.evidence is None or t.evidence.sample.random for t in told)
    share = (
        "share of its search space, sampled at random with each hyperparameter on its own scale,"
        if random
        else "share of its trials"
    )
    condition = (
        ""
        if random
        else "Nothing says that these trials were drawn at random: shares are of the trials, and "
        "tell where the search looked; intervals hold for random ones alone. "
    )
    prose = (
        f"{condition}The good fraction of a setup is the {share} that comes close to the best the "
        "setup can do. The larger it is, the less tuning matters.",
        f"b, the best that a setup can do, is the mean {scores.name} of the best 4% of its "
        "configurations.",
    )
    return Section(HEADING, prose if shown else (), tuple(blocks))


def good_table(shown: Sequence[Told]) -> Table:
    """Good fractions, failures, and how many trials find a good one."""
    found = [(t, t.evidence) for t in shown if t.evidence is not None]
    es = sorted({e for _, evidence in found for e in evidence.sensitivity.good_fractions})
    scores = shown[0].scores
    chance = any(t.chance is not None for t in shown)
    columns = [
        Column("setup"),
        Column("n", numeric=True),
        *(Column(f"good {scores.within(e)}", numeric=True) for e in es),
        Column("diverged" if scores.unit is None else "failed", numeric=True),
        *([Column("at chance", numeric=True)] if chance else []),
        Column("trials for a good one", numeric=True),
    ]
    rows = []
    for t, evidence in found:
        figures = evidence.sensitivity
        cells = [Cell(t.name), plain(figures.n, str(figures.n))]
        for e in es:
            share = figures.good_fractions.get(e)
            cell = EMPTY if share is None else percent(share)
            cells.append(cell if t.trained else Cell(f"{cell.text} (did not train)", cell.value))
        cells.append(percent(figures.nonfinite_fraction))
        if chance:
            cells.append(percent(figures.chance_fraction))
        needed = evidence.trials_needed[evidence.headline]
        cells.append(count(needed) if t.trained else EMPTY)
        rows.append(tuple(cells))
    headline = found[0][1].headline
    split = ", given one split of the data" if scores.unit is None else ""
    note = (
        "Good: share of the space that comes this close to b, the setup's own best; approximate "
        f"95% intervals{split}, and too low a share where this close is not more than two standard "
        f"deviations of the noise of seeds. Trials for a good one: random trials for a 95% chance "
        f"of one {scores.within(headline)}."
    )
    return Table("How much of the space is good", tuple(columns), tuple(rows), note)


def best_table(shown: Sequence[Told]) -> Table:
    """The best that setups can do, and what is lost untuned."""
    scores = shown[0].scores
    found = [t.evidence for t in shown if t.evidence is not None]
    tests = any(evidence.sample.tests is not None for evidence in found)
    default = any(math.isfinite(evidence.regret.default.estimate) for evidence in found)
    rules = {_rule(t.scores, t.evidence.best.rule) for t in shown if t.evidence is not None}
    columns = [
        Column("setup"),
        Column("b", numeric=True),
        *([Column("b from")] if len(rules) > 1 else []),
        Column("best trial", numeric=True),
        *([Column("its test score", numeric=True)] if tests else []),
        Column(_unit("lost at the median", scores), numeric=True),
        Column(_unit("lost by a random pick", scores), numeric=True),
        *([Column(_unit("lost by the default", scores), numeric=True)] if default else []),
    ]
    rows = []
    for t in shown:
        evidence = t.evidence
        assert evidence is not None
        best, figures = evidence.best, evidence.sensitivity
        cells = [
            Cell(t.name),
            t.scores.score(best.value),
            *([Cell(_rule(t.scores, best.rule))] if len(rules) > 1 else []),
            t.scores.score(figures.best_val_accuracy),
            *([t.scores.score(figures.test_accuracy)] if tests else []),
            t.scores.distance(evidence.regret.median),
            t.scores.distance(evidence.regret.mean),
            *([_lost(t, evidence.regret.default)] if default else []),
        ]
        rows.append(tuple(cells))
    note = (
        "Lost at the median: by how much b is better than the median configuration; by a random "
        "pick: than the mean of all. 95% intervals; approximate."
    )
    if len(rules) == 1:
        note = f"b: {next(iter(rules))}. {note}"
    if default:
        note += (
            " By the default: than the setup's own configuration, untuned, trained with fresh "
            "seeds; below 0 where it is better than the best that was drawn."
        )
    return Table("The best, and what is lost untuned", tuple(columns), tuple(rows), note)


def _lost(t: Told, interval: Interval) -> Cell:
    return t.scores.distance(interval) if math.isfinite(interval.estimate) else EMPTY


def _rule(scores: Scores, rule: str) -> str:
    """How b was found; too high a score is too low a loss."""
    return rule if scores.higher_is_better else rule.replace("upwards", "downwards")


def differences_table(compared: Sequence[Compared], scores: Scores) -> Table:
    """Differences of good fractions at every e."""
    common = any(pair.common for pair in compared)
    paired = any(pair.n is not None for pair in compared)
    only = any(pair.only for pair in compared)
    columns = [
        Column("difference"),
        *([Column("n", numeric=True)] if paired else []),
        Column("good"),
        Column("own best", numeric=True),
        *([Column("common best", numeric=True)] if common else []),
        *([Column("good in one alone", numeric=True)] if only else []),
    ]
    rows = []
    for pair in compared:
        for e in sorted(pair.own):
            cells = [Cell(pair.label)]
            if paired:
                cells.append(EMPTY if pair.n is None else plain(pair.n, str(pair.n)))
            cells += [Cell(scores.within(e), e), points(pair.own[e])]
            if common:
                found = pair.common.get(e)
                cells.append(EMPTY if found is None else points(found))
            if only:
                alone = pair.only.get(e)
                text = "" if alone is None else f"{alone[0]:.1%} / {alone[1]:.1%}"
                cells.append(EMPTY if alone is None else Cell(text, alone[0]))
            rows.append(tuple(cells))
    note = (
        "In percentage points, with approximate 95% intervals. Own best: each setup against its "
        "own b"
    )
    note += "; common best: both against the better of the two." if common else "."
    if only:
        note += (
            " Good in one alone: configurations that are good in the first and not in the second, "
            "/ and the other way round, each against its own b."
        )
    return Table("Differences of good fractions", tuple(columns), tuple(rows), note)


def remarks(told: Sequence[Told]) -> Iterator[str]:
    """What limits the figures of the setups; one remark for all setups that it is true of."""
    missing: dict[str, list[str]] = {}
    for t in told:
        if t.evidence is None:
            missing.setdefault(t.reason or "no reference sample", []).append(t.name)
    for reason, names in missing.items():
        yield f"{listed(names)}: {reason}."
    shown = [(t, t.evidence) for t in told if t.evidence is not None]
    for t, _ in shown:
        if not t.trained:
            reason = t.gate.reason if t.gate is not None else "its best is no better than chance"
            yield (
                f"{t.name} did not train: {reason}. A setup that is bad everywhere looks robust; "
                "its good fraction against its own best says nothing."
            )
    nothing = [t.name for t, evidence in shown if t.trained and evidence.did_not_matter]
    if nothing:
        yield (
            f"Tuning did not matter in {listed(nothing)}: nine tenths of the space or more are "
            f"{shown[0][0].scores.within(shown[0][1].headline)} of the best."
        )
    for t, evidence in shown:
        if t.trained:
            yield from _edges(t, evidence)
    yield from _cautions(shown)


def _edges(t: Told, evidence: SetupEvidence) -> Iterator[str]:
    """Optima at an end of a range."""
    ends = [f"the {e.side} end of {e.name}" for e in evidence.edges if e.side is not None]
    if ends:
        are = "an end of its range" if len(ends) == 1 else "ends of their ranges"
        yield (
            f"{t.name}: the best trials lie at {listed(ends)}, {are}, so that better may lie "
            "beyond it, and figures hold for this range alone."
        )
    sweep = t.sweep
    if sweep is not None and any(width.islands > 1 for width in sweep.widths.values()):
        yield f"{t.name}: good learning rates lie in more than one range; the width is of one."


def _cautions(shown: Sequence[tuple[Told, SetupEvidence]]) -> Iterator[str]:
    """What all figures of a sample rest on."""
    by_bias = [(t, e) for t, e in shown if not e.best.retrained]
    if by_bias:
        most = max((estimate_bias(t, e) for t, e in by_bias), key=lambda pair: pair[0])
        names = "" if len(by_bias) == len(shown) else f" of {listed([t.name for t, _ in by_bias])}"
        by = f", by up to about {most[1]} if seeds differ as assumed" if most[0] > 0 else ""
        if all(e.best.noise_sd == 0 for _, e in by_bias):
            by = ", by how much is not known, as the noise of seeds is not"
        yield (
            f"b{names} is the plain mean of the best 4%, not trained again with fresh seeds: it is "
            f"too good by the luck of the selected{by}, so that good fractions are too low."
        )
    few = [f"{t.name} ({len(e.sample)})" for t, e in shown if len(e.sample) < 64]
    if few:
        yield f"Small samples, whose figures are rough: {listed(few)} trials."
    foreign = [t.name for t, e in shown if not e.sample.random]
    if foreign:
        yield (
            f"Nothing says that the trials of {listed(foreign)} were drawn at random: good "
            "fractions, tuning curves and importance then tell where the search looked, too, and "
            "their intervals do not hold."
        )
    notes: dict[str, list[str]] = {}
    for t, e in shown:
        for note in e.sample.notes:
            notes.setdefault(note, []).append(t.name)
    yield from _unknown(shown)
    for note, owners in notes.items():
        whose = "" if len(owners) == len(shown) else f"{listed(owners)}: "
        yield f"{whose}{note}."


def _unknown(shown: Sequence[tuple[Told, SetupEvidence]]) -> Iterator[str]:
    """Why what is lost untuned has no number, or no interval."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for t, e in shown:
        for words, interval in (
            ("at the median", e.regret.median),
            ("by a random pick", e.regret.mean),
            ("by the default", e.regret.default),
        ):
            # Nobody asked for the default of trials that hpsuite did not make.
            if math.isfinite(interval.low) or interval.method == NO_DEFAULT:
                continue
            verb = "has no interval" if math.isfinite(interval.estimate) else "is not computable"
            why = interval.method.removeprefix("not computable: ").removesuffix(": no interval")
            reasons.setdefault((f"What is lost {words} {verb}", why), []).append(t.name)
    for (what, why), names in reasons.items():
        yield f"{what} for {listed(names)}: {why}."


def estimate_bias(t: Told, evidence: SetupEvidence) -> tuple[float, str]:
    """How far b is too high, to compare and in words."""
    bias = evidence.best.bias
    if not math.isfinite(bias):
        return 0.0, ""
    if t.scores.unit is None:
        return bias, f"{estimate(_exact(bias), 100).text(decimals=1)} points"
    return bias, f"{bias:.2g}"


def _exact(value: float) -> Interval:
    return Interval(value, math.nan, math.nan, 0.95, "")


def _unit(label: str, scores: Scores) -> str:
    return f"{label} ({scores.points})" if scores.points else label
