"""The figures of arms: what their searches found, and which was shown to be better."""

from collections.abc import Mapping

from hpsuite.analysis import arm_figures, mean_t, ranking
from hpsuite.analysis.misses import miss_probability
from hpsuite.analysis.strategies import strategy_figures
from hpsuite.evidence import SetupEvidence
from hpsuite.findings.found import ArmFinding, Fresh
from hpsuite.findings.tables import ArmTable, Replayed
from hpsuite.findings.tried import find_tried

# What counts as close where one margin is given, in accuracy: e = 2 points.
MARGIN = 0.02


def find_arms(
    arms: list[ArmTable], evidence: SetupEvidence | None, choices_again: Mapping[str, Replayed]
) -> list[ArmFinding]:
    """The figures of the arms of one setup."""
    figures = [
        arm_figures(
            table.scores(),
            [[r.test_accuracy for r in study.results] for study in table.studies],
            latest=table.of_days,
        )
        for table in arms
    ]
    # A strategy that plans fewer trials, as a grid may, is compared with as many of the others.
    n = min(len(study.results) for table in arms for study in table.studies)
    ranks = ranking({str(i): table.scores(n).max(axis=1) for i, table in enumerate(arms)})
    b = None if evidence is None else evidence.best.value
    good = None if evidence is None else evidence.sensitivity.good_fractions[100 * MARGIN]
    error = 0.0
    if evidence is not None and evidence.best.retrained:
        error = evidence.best.standard_error
    findings = []
    for i, (table, f) in enumerate(zip(arms, figures, strict=True)):
        again = choices_again.get(table.identity)
        fresh = misses = None
        if again is not None:
            fresh = Fresh(mean_t(again.val.mean(axis=1)), mean_t(again.test.mean(axis=1)))
            if b is not None and again.val.shape[1] > 1:
                misses = miss_probability(again.val, b, margin=MARGIN, b_error=error)
        strategy = strategy_figures(
            table.scores(), b=b, b_error=error, margin=MARGIN, bounds=(0.0, 1.0)
        )
        findings.append(
            ArmFinding(
                table=table,
                figures=f,
                rank=ranks[str(i)],
                seconds=sum(r.seconds for r in table.results),
                strategy=strategy,
                tried=find_tried(table, good),
                again=again,
                fresh=fresh,
                misses=misses,
                reasons=_reasons(b, again, of_days=table.of_days),
            )
        )
    return findings


def _reasons(b: float | None, again: Replayed | None, *, of_days: bool) -> dict[str, str]:
    """Why figures of an arm are missing, by name."""
    no_b = "b is not known, as the setup has no reference sample"
    reasons: dict[str, str] = {}
    if b is None:
        reasons |= {"regret": no_b, "trials_to_good": no_b}
    if again is None:
        untrained = "what was selected was not trained again, which analysis.fresh_seeds does"
        if of_days:
            untrained = (
                "days go on from each other, so that no configuration could be trained again"
            )
        reasons |= {"fresh_test_accuracy": untrained, "miss_probability": untrained}
    elif b is None:
        reasons["miss_probability"] = no_b
    elif again.val.shape[1] == 1:
        reasons["miss_probability"] = "one fresh seed does not show its noise; it needs 2 or more"
    return reasons
