"""From findings to a report: what is said, in which order, and in which words.

All figures are in the findings; here they become tables, pictures and sentences, and no sentence
claims what an interval does not show.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from hpsuite.analysis import chance_limit
from hpsuite.analysis.claims import Verdict as Found
from hpsuite.declared import WORDS
from hpsuite.evidence import SetupEvidence
from hpsuite.findings import Difference, Findings, SetupFinding, ladder, setup_axes
from hpsuite.report.short_names import shared_axes, versus_words
from hpsuite.report.telling_answers import answers, foreign_answers
from hpsuite.report.telling_arms import arms_section
from hpsuite.report.telling_carried import carried_section
from hpsuite.report.telling_conditions import conditions, foreign_conditions
from hpsuite.report.telling_days import days_section
from hpsuite.report.telling_importance import importance_section
from hpsuite.report.telling_learned import learned_section
from hpsuite.report.telling_scores import Scores
from hpsuite.report.telling_setups import setups_section
from hpsuite.report.telling_splits import splits_section
from hpsuite.report.telling_strategies import strategy_blocks
from hpsuite.report.telling_transfer import transfer_section
from hpsuite.report.telling_verdicts import card
from hpsuite.report.told import Compared, Told
from hpsuite.report.view import Report, Section

About = Mapping[str, object]


def tell(findings: Findings, about: About) -> Report:
    """The report of an experiment.

    Args:
        findings: what was found.
        about: what the findings do not hold: `experiment`, `title`, `created`, `seconds` (that the
            run took), `trained` (trials of this run; others were in the record), `tier`,
            `left_out`, `versions`, `device`, `commit`, `command`, `warnings`; all may be missing.
    """
    names = _names(findings.setups)
    told = [_told(setup, name, i) for i, (setup, name) in enumerate(names)]
    by_table = {id(table): name for setup, name in names for table in setup.arms}
    by_setup = {
        t.name: [a for a in findings.arms if by_table.get(id(a.table)) == t.name] for t in told
    }
    by_finding = {id(setup): t for (setup, _), t in zip(names, told, strict=True)}
    compared = [_compared(pair, by_finding) for pair in findings.differences]
    sections = []
    if told:
        sections = [
            setups_section(told, compared, _zone(findings.verdicts)),
            importance_section(told),
            learned_section(findings.learned, told, by_table),
            carried_section(findings.carried),
            arms_section(told, by_setup, strategy_blocks(findings, by_table)),
            days_section(told, by_setup),
            splits_section(findings.splits),
            transfer_section(findings.transfers),
        ]
    return _report(
        about,
        answers=tuple(answers(findings.verdicts, told, compared, by_setup, findings.splits)),
        findings=findings.verdicts,
        sections=sections,
        conditions={**_size(about), **conditions(findings)},
        took=_took(findings, about),
    )


def tell_samples(
    evidence: Mapping[str, SetupEvidence],
    compared: Sequence[Compared],
    about: About,
    *,
    reasons: Mapping[str, str] | None = None,
) -> Report:
    """The report of trials that hpsuite did not make.

    Args:
        evidence: of each group of trials, by name.
        compared: good fractions of groups compared.
        about: as for `tell`; `score` is what the scores are called.
        reasons: why groups have no evidence, by name.
    """
    told = []
    for i, (name, found) in enumerate(evidence.items()):
        default = "score" if found.sample.higher_is_better else "loss"
        scores = Scores.of(found.sample, str(about.get("score") or default))
        told.append(Told(name, i, found, scores))
    for name, reason in (reasons or {}).items():
        scores = told[0].scores if told else Scores()
        told.append(Told(name, len(told), None, scores, reason))
    sections = [setups_section(told, compared), importance_section(told)] if told else []
    return _report(
        about,
        answers=tuple(foreign_answers(told, compared)),
        findings=(),
        sections=sections,
        conditions=foreign_conditions(evidence),
    )


def _report(
    about: About,
    *,
    answers: tuple[str, ...],
    findings: Sequence[Found],
    sections: Sequence[Section | None],
    conditions: Mapping[str, str],
    took: str = "",
) -> Report:
    versions, warnings = about.get("versions"), about.get("warnings")
    experiment = _text(about, "experiment", "hpsuite")
    return Report(
        experiment=experiment,
        title=_text(about, "title", experiment),
        answers=answers,
        verdicts=tuple(card(found) for found in findings),
        sections=tuple(s for s in sections if s is not None and (s.prose or s.blocks)),
        conditions=conditions,
        versions={str(k): str(v) for k, v in versions.items()}
        if isinstance(versions, Mapping)
        else {},
        device=_text(about, "device", "unknown"),
        commit=_text(about, "commit", "unknown"),
        created=moment(_text(about, "created", "unknown")),
        took=took or _seconds(about),
        command=_text(about, "command", ""),
        warnings=tuple(str(w) for w in warnings) if isinstance(warnings, Sequence) else (),
    )


def _size(about: About) -> dict[str, str]:
    """Which size of an experiment it is, and what that leaves out."""
    found = {"tier": str(about["tier"])} if about.get("tier") else {}
    left_out = about.get("left_out")
    if isinstance(left_out, Sequence) and left_out:
        found["left out"] = "; ".join(map(str, left_out))
    return found


def _took(findings: Findings, about: About) -> str:
    """How long the run took; where trials were in the record, how long all of them trained."""
    trained = about.get("trained")
    total = sum(arm.figures.n_trials for arm in findings.arms)
    if not isinstance(trained, int) or trained >= total:
        return _seconds(about)
    training = duration(sum(arm.seconds for arm in findings.arms))
    return (
        f"{_seconds(about)}, with {total - trained:,} of {total:,} trials in the record before; "
        f"all trained {training} of one worker"
    )


def _seconds(about: About) -> str:
    seconds = about.get("seconds")
    return duration(seconds) if isinstance(seconds, int | float) else "unknown"


def duration(seconds: float) -> str:
    """A time in words: 3 min 5 s."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((i for i, (value, _) in enumerate(parts) if value), 2)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2])


def moment(text: str) -> str:
    """A time as it is read: 2026-11-25 02:49 UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _text(about: About, key: str, default: str) -> str:
    value = about.get(key)
    return default if value is None or value == "" else str(value)


def _names(setups: Sequence[SetupFinding]) -> list[tuple[SetupFinding, str]]:
    """Each setup with a name of its own."""
    found: list[tuple[SetupFinding, str]] = []
    taken: set[str] = set()
    for setup in setups:
        plain = name = f"{setup.setup.dataset.name} {setup.setup.label}"
        n = 1
        while name in taken:
            n += 1
            name = f"{plain} ({n})"
        taken.add(name)
        found.append((setup, name))
    return found


def _told(setup: SetupFinding, name: str, number: int) -> Told:
    data = setup.arms[0].data
    tried = None
    if setup.sweep is not None:
        tried = next((found for table in setup.arms if (found := ladder(table))), None)
    return Told(
        name=name,
        number=number,
        evidence=setup.evidence,
        scores=Scores(),
        reason=setup.reason,
        gate=setup.gate,
        chance=chance_limit(data.majority_share("val"), len(data.y_val)),
        sweep=setup.sweep,
        ladder=tried,
        without_default=setup.without_default,
        axes=setup_axes(setup.arms[0].arm),
    )


def _compared(pair: Difference, told: Mapping[int, Told]) -> Compared:
    a, b = told[id(pair.a)], told[id(pair.b)]
    remark = ""
    if not (a.trained and b.trained):
        remark = "did not train"
    elif all(t.evidence is not None and t.evidence.did_not_matter for t in (a, b)):
        remark = "tuning did not matter"
    found = pair.difference
    label = f"{a.name} minus {b.name}"
    names = (a.name, b.name)
    alike = shared_axes([a.axes, b.axes])
    versus = versus_words(*({k: v for k, v in t.axes.items() if k not in alike} for t in (a, b)))
    return Compared(
        label, found.n, found.own, found.common, remark, names, found.only, versus, alike
    )


def _zone(verdicts: Sequence[Found]) -> float:
    """The smallest effect that was declared of good fractions, in points; nan where none was."""
    words, (_, factor) = WORDS["good_fraction_2pt"]
    declared = {v.smallest_effect * factor for v in verdicts if v.statistic.startswith(f"{words},")}
    return declared.pop() if len(declared) == 1 else math.nan
