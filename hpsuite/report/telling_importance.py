"""Which hyperparameters matter: one panel for each setup and evaluator."""

import math
from collections.abc import Iterator, Mapping, Sequence

from hpsuite.analysis import Interval
from hpsuite.analysis.importance_figures import Importance as Found
from hpsuite.evidence import SetupEvidence
from hpsuite.report.axes import Axis
from hpsuite.report.figures.importance import Importance, Important, Ranking
from hpsuite.report.short_names import shortened
from hpsuite.report.telling_scores import NONE, estimate, groups, listed, percent
from hpsuite.report.told import Told
from hpsuite.report.view import Block, Cell, Column, Note, Picture, Section, Table

EVALUATORS = {
    "fanova": "fANOVA",
    "ped_anova_top10": "PED-ANOVA, best 10%",
    "ped_anova_top10_of_top50": "PED-ANOVA, best 10% of the best half",
    "tuning_risk": "tuning risk",
}
# Of these a picture is drawn; of all of them there is a table.
DRAWN = ("fanova", "ped_anova_top10")
RISK = (
    "Tuning risk: what is lost by leaving it at its default while the others are tuned, in the "
    "score's points, by a surrogate; below 0 where its default is better than its range. "
)
# Rows of panels in one picture.
MOST_SETUPS = 4


def importance_section(told: Sequence[Told]) -> Section | None:
    """The section; None where no setup has two hyperparameters and trained."""
    shown = [
        t
        for t in told
        if t.evidence is not None and t.trained and _evaluators(t.evidence.importance)
    ]
    if not shown:
        return None
    blocks: list[Block] = []
    for i, group in enumerate(map(shortened, groups(shown, MOST_SETUPS))):
        panels = [panel for t in group for panel in _panels(t)]
        blocks.append(
            Picture(
                "importance" if i == 0 else f"importance-{i + 1}",
                Importance(
                    "Which hyperparameters matter, as far as the trials tell",
                    tuple(panels),
                    columns=len(DRAWN),
                    note="Dots with 95% bootstrap intervals, approximate for fANOVA. P(first): how "
                    "often it matters most over resamples. Filled where the first is settled.",
                ),
                " ".join(_words(panel) for panel in panels),
                "fANOVA: the variance of the scores, failed trials included. PED-ANOVA: the "
                "variance of being among the best 10%.",
            )
        )
    blocks.append(_table(shown))
    blocks += [Note(text) for text in _remarks(shown)]
    return Section("Importance: which hyperparameters matter?", (), tuple(blocks))


def _evaluators(found: Mapping[str, Found]) -> list[str]:
    return [name for name in EVALUATORS if name in found]


def _panels(t: Told) -> Iterator[Ranking]:
    assert t.evidence is not None
    for evaluator in DRAWN:
        if evaluator not in t.evidence.importance:
            continue
        found = t.evidence.importance[evaluator]
        rows = tuple(
            Important(one.name, estimate(one.value, 100), one.p_first)
            for one in found.by_name.values()
        )
        yield Ranking(
            setup=t.name,
            evaluator=f"{EVALUATORS[evaluator]}, {found.n} trials",
            axis=Axis("share of variance", "%", low=0),
            rows=rows,
            settled=found.first is not None,
        )


def _table(shown: Sequence[Told]) -> Table:
    """All figures, a row for each hyperparameter of each setup and evaluator."""
    rows = []
    for t in shown:
        assert t.evidence is not None
        for evaluator in _evaluators(t.evidence.importance):
            found = t.evidence.importance[evaluator]
            for one in found.by_name.values():
                known = math.isfinite(one.p_first)
                rows.append(
                    (
                        Cell(t.name),
                        Cell(EVALUATORS[evaluator]),
                        Cell(one.name),
                        _value(t, evaluator, one.value),
                        Cell(f"{one.p_first:.0%}" if known else NONE, one.p_first),
                        Cell(one.rank_text if known else NONE, one.rank.low),
                    )
                )
    columns = (
        Column("setup"),
        Column("evaluator"),
        Column("hyperparameter"),
        Column("importance", numeric=True),
        Column("P(first)", numeric=True),
        Column("rank", numeric=True),
    )
    at_risk = any("tuning_risk" in evidence_of(t).importance for t in shown)
    note = (
        f"fANOVA and PED-ANOVA: share of variance. {RISK if at_risk else ''}"
        f"95% bootstrap intervals, approximate for fANOVA{' and the risk' if at_risk else ''}; "
        "P(first): how often it matters most over resamples; rank: the ranks that the trials leave "
        "open, 1 the most important."
    )
    return Table("Importance", columns, tuple(rows), note)


def evidence_of(t: Told) -> SetupEvidence:
    """The evidence of a setup that has some."""
    assert t.evidence is not None
    return t.evidence


def _value(t: Told, evaluator: str, interval: Interval) -> Cell:
    """A share of variance in percent; a risk as a distance between scores."""
    if not math.isfinite(interval.estimate):
        return Cell(NONE, math.nan)
    return t.scores.distance(interval) if evaluator == "tuning_risk" else percent(interval)


def _words(panel: Ranking) -> str:
    known = [row for row in panel.sorted_rows if math.isfinite(row.estimate.value)]
    if not known:
        return f"{panel.setup}, {panel.evaluator}: not computable."
    words = listed([f"{row.name} {row.estimate.value:.0f}%" for row in known])
    return f"{panel.setup}, {panel.subtitle}: {words}."


def _remarks(shown: Sequence[Told]) -> Iterator[str]:
    """Why something could not be computed, and what else a reader should know."""
    found: dict[str, list[str]] = {}
    for t in shown:
        importance = evidence_of(t).importance
        missing: dict[str, list[str]] = {}
        for evaluator, figures in importance.items():
            if figures.order == "not computable":
                missing.setdefault(figures.note, []).append(EVALUATORS[evaluator])
            elif "lowest score" in figures.note:
                found.setdefault(figures.note.split("; ")[-1], []).append(t.name)
        for note, evaluators in missing.items():
            of = "" if len(evaluators) == len(importance) else f" by {listed(evaluators)}"
            found.setdefault(f"not computable{of}, {note}", []).append(t.name)
        risk = importance.get("tuning_risk")
        for name, reason in t.without_default.items():
            if risk is not None and name not in risk.by_name:
                found.setdefault(f"tuning risk of {name} not computable, {reason}", []).append(
                    t.name
                )
    for note, names in found.items():
        yield f"{listed(names)}: {note}."
