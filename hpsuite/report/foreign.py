"""What is shown and written of trials that hpsuite did not make: tables, figures, MLflow runs."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from hpsuite.evidence import SetupEvidence, headline_of
from hpsuite.foreign import Foreign, GroupDifference
from hpsuite.report.files import SCHEMA
from hpsuite.report.flat import difference_of_shares, metrics, sample_figures
from hpsuite.report.markdown import escape as escape_markdown
from hpsuite.report.runs import (
    COMPARISON,
    attached_pictures,
    metric_prefixes,
    written_files,
)
from hpsuite.report.tables import make_table, with_ends
from hpsuite.report.telling import tell_samples
from hpsuite.report.telling_scores import Scores, range_words
from hpsuite.report.told import Compared
from hpsuite.report.view import Report
from hpsuite.samples import Sample
from hpsuite.tracking import Page, RunView

# Figures that are scores, and so have a loss's own sign, by what they are called there.
_SCORES = {
    "best_val_accuracy": "best_score",
    "test_accuracy": "best_test_score",
    "b": "b",
}
# What MLflow's UI shows first.
_FIRST = ("good_fraction_1pt", "good_fraction_1pt_low", "good_fraction_1pt_high")
PAGES = (
    Page(
        "setup",
        "Groups: how much of the space is good",
        (*_FIRST, "n_trials", "best_score", "b", "regret_median", "nonfinite_fraction"),
        dict.fromkeys((*_FIRST, "best_score", "b", "regret_median", "trials_needed_1pt"), False),
    ),
    Page("comparison", "The report, and differences", (), {}),
)
_SCORE = re.compile(r"(?:expected|median)_best_of_\d+|test_of_best_of_\d+")


@dataclass(frozen=True)
class ForeignFindings:
    """What was found of trials that hpsuite did not make.

    Attributes:
        trials: what was read.
        evidence: by group.
        reasons: why groups have none, by group.
        differences: between groups.
        about: what a summary says besides; see `telling.tell`.
    """

    trials: Foreign
    evidence: Mapping[str, SetupEvidence]
    reasons: Mapping[str, str]
    differences: Sequence[GroupDifference]
    about: Mapping[str, object] = field(default_factory=dict)

    def report(self) -> Report:
        """The report."""
        compared = [self._compared(pair) for pair in self.differences]
        return tell_samples(self.evidence, compared, self.about, reasons=self.reasons)

    def _compared(self, pair: GroupDifference) -> Compared:
        # Sentences on which is easier to tune are for random samples alone.
        random = all(self.evidence[name].sample.random for name in (pair.a, pair.b))
        names = (pair.a, pair.b) if random else None
        n = pair.n[0] if pair.paired else None
        remark = ""
        if all(self.evidence[name].did_not_matter for name in (pair.a, pair.b)):
            remark = "tuning did not matter"
        return Compared(pair.label, n, pair.own, pair.common, remark, names, pair.only)

    def summary(self) -> dict[str, object]:
        """The figures, in the layout of every summary; scores have their own sign and unit."""
        setups = [
            {"group": name, **foreign_figures(found)} for name, found in self.evidence.items()
        ]
        missing = [
            {"group": name, "n_trials": len(sample), "reason": self.reasons[name]}
            for name, sample in _by_name(self.trials).items()
            if name in self.reasons
        ]
        return {
            "schema": SCHEMA,
            "source": self.trials.source,
            "score": self.trials.score,
            "verdicts": [],
            "setups": [*setups, *missing],
            "comparisons": [difference_figures(pair) for pair in self.differences],
            "transfers": [],
            "arms": [],
            "studies": [],
        }

    def views(
        self, name: str, report: Report | None = None, folder: Path | None = None
    ) -> list[RunView]:
        """A run of MLflow's for each group, and one for their differences and the report.

        Args:
            name: of the analysis.
            report: what was written; None for none.
            folder: that of the files that were written; None attaches none.
        """
        pictures = attached_pictures(report, folder)
        views = []
        for number, (group, found) in enumerate(self.evidence.items()):
            sample = found.sample
            params = {h.name: range_words(h) for h in sample.hyperparameters}
            views.append(
                RunView(
                    key=f"setup:{name}:{group}:{_content(sample)}",
                    kind="setup",
                    name=f"{group} · {self.trials.source}",
                    metrics=metrics(foreign_figures(found)),
                    params=params | {"points": ", ".join(f"{m:g}" for m in _margins(sample))},
                    tags={"hpsuite.group": group, "hpsuite.source": self.trials.source},
                    note=escape_markdown(self.sentence(group)),
                    files=pictures.get(number, {}),
                )
            )
        prefixes = metric_prefixes([pair.label for pair in self.differences])
        found_of = {
            f"{prefix}/{figure}": value
            for prefix, pair in zip(prefixes, self.differences, strict=True)
            for figure, value in metrics(difference_figures(pair)).items()
        }
        contents = [_content(sample) for sample in self.trials.samples]
        key = hashlib.sha256(" ".join(contents).encode()).hexdigest()
        comparison = RunView(
            key=f"comparison:{name}:{key}",
            kind="comparison",
            name=COMPARISON,
            metrics=found_of,
            note=self.note(),
            files={} if folder is None else written_files(folder, report, pictures),
        )
        return [*views, comparison]

    def note(self) -> str:
        """What was found, in Markdown, for the experiment's page."""
        lines = [self.sentence(group) for group in self.evidence]
        lines += [self.difference(pair) for pair in self.differences]
        title = escape_markdown(str(self.about.get("title") or ""))
        listed = "\n".join(f"- {escape_markdown(line)}" for line in lines)
        return "\n\n".join(part for part in (f"**{title}**" if title else "", listed) if part)

    def sentence(self, group: str) -> str:
        """How much of a group's space is good."""
        found = self.evidence[group]
        share = with_ends(found.sensitivity.good_fractions[found.headline])
        scores = Scores.of(found.sample, self.trials.score)
        text = (
            f"{group}: {share} of {found.sensitivity.n} {self.trials.noun(group)} "
            f"{scores.within(found.headline)} of the best"
        )
        if not found.sample.random:
            text += (
                " (nothing says that they were drawn at random, and the interval holds for random "
                "ones alone)"
            )
        return f"{text}."

    def difference(self, pair: GroupDifference) -> str:
        """How much more of one group's space is good than of another's."""
        e = headline_of(tuple(pair.own))
        sample = self.evidence[pair.a].sample
        found, within = pair.own[e], Scores.of(sample, self.trials.score).within(e)
        nouns = {self.trials.noun(name) for name in (pair.a, pair.b)}
        noun = "trials" if nouns == {"trials"} else "configurations"
        n = f"{pair.n[0]} paired" if pair.paired else f"{pair.n[0]} and {pair.n[1]}"
        tells = found.low > 0 or found.high < 0
        return (
            f"{pair.label}: {100 * found.estimate:+.1f} percentage points "
            f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}] of the "
            f"{'space' if sample.random else 'trials'} {within} of each one's own best, {n} {noun}"
            + ("" if tells else "; too few to tell which is less sensitive")
        )


def print_groups(findings: ForeignFindings, console: Console) -> None:
    """Print a table of the groups, how they differ, and what the figures rest on."""
    trials = findings.trials
    shown = list(findings.evidence.values())
    random = all(sample.random for sample in trials.samples)
    of = "how much of the space" if random else "what share of the trials"
    table = make_table(f"{trials.source}: {of} is good?")
    table.add_column(escape(trials.group) if trials.group else "")
    table.add_column("n", justify="right")
    if shown:
        scores = Scores.of(shown[0].sample, trials.score)
        for e in shown[0].sample.points:
            table.add_column(f"good {scores.within(e)}", justify="right")
    tests = any(found.sample.tests is not None for found in shown)
    ranked = any(found.importance for found in shown)
    columns = ["failed", f"best {trials.score}", *(["its test score"] if tests else [])]
    for column in (*columns, *(["most important"] if ranked else [])):
        table.add_column(escape(column), justify="right")
    for name, sample in _by_name(trials).items():
        if name not in findings.evidence:
            table.add_row(escape(name), str(len(sample)), *["-"] * (len(table.columns) - 2))
            continue
        found = findings.evidence[name]
        figures = found.sensitivity
        cells = [with_ends(figures.good_fractions[e]) for e in sample.points]
        cells.append(f"{100 * figures.nonfinite_fraction.estimate:.0f}%")
        scores = Scores.of(sample, trials.score)
        cells.append(scores.score(figures.best_val_accuracy).text)
        if tests:
            cells.append(scores.score(figures.test_accuracy).text)
        if ranked:
            cells.append(most_important(found))
        table.add_row(escape(name), str(len(sample)), *map(escape, cells))
    console.print(table)
    for pair in findings.differences:
        console.print(findings.difference(pair), highlight=False, soft_wrap=True, markup=False)
    for line in _legend(findings):
        console.print(line, style="dim", highlight=False, soft_wrap=True, markup=False)


def most_important(found: SetupEvidence) -> str:
    """The hyperparameter that fANOVA puts first; `?` where it cannot be told."""
    importance = found.importance.get("fanova")
    if importance is None:
        return "-"
    return importance.first or ("?" if math.isfinite(importance.total.estimate) else "-")


def foreign_figures(found: SetupEvidence) -> dict[str, object]:
    """A group's figures by name: as `flat.sample_figures`, with scores as they were read.

    `pt` is a multiple of the first of `points`, whose value is `point`.
    """
    sample = found.sample
    figures = dict(sample_figures(found))
    sign = 1.0 if sample.higher_is_better else -1.0
    own: dict[str, object] = {}
    for name, value in figures.items():
        stem = name.removesuffix("_low").removesuffix("_high")
        if not (name in _SCORES or _SCORE.fullmatch(stem)) or not isinstance(value, float):
            own[name] = value
            continue
        end = name[len(stem) :]
        if sign < 0 and end:
            # The lower end of a score is the upper end of the loss.
            end = "_high" if end == "_low" else "_low"
        own[_SCORES.get(stem, stem) + end] = sign * value
    return {
        "point": sample.unit,
        "higher_is_better": sample.higher_is_better,
        "random": sample.random,
        **own,
        "notes": list(sample.notes),
    }


def difference_figures(pair: GroupDifference) -> dict[str, object]:
    """Group A minus group B by name."""
    return {
        "a": {"group": pair.a},
        "b": {"group": pair.b},
        "n": pair.n[0] if pair.paired else min(pair.n),
        "paired": pair.paired,
        **difference_of_shares(pair.own, pair.common, pair.only),
    }


def _legend(findings: ForeignFindings) -> Iterator[str]:
    shown = list(findings.evidence.values())
    if shown:
        if not shown[0].sample.random:
            yield (
                "nothing says that the configurations were drawn at random (sampled=random does): "
                "shares are of the trials and tell where the search looked, and importance too; "
                "intervals hold for random ones alone"
            )
        if any(found.best.noise_sd == 0 for found in shown):
            yield (
                "the noise of seeds is not known (noise=): nothing is allowed for the luck of the "
                "best, so that good fractions are too low"
            )
        yield (
            f"good: share of the trials that close to b, the mean {findings.trials.score} of a "
            "group's best 4%; [95% interval]"
        )
        if any(found.importance for found in shown):
            yield "most important: by fANOVA; ? where the trials cannot tell"
    noted: dict[str, list[str]] = {}
    samples = findings.trials.samples
    for sample in samples:
        for note in sample.notes:
            noted.setdefault(note, []).append(sample.name)
    for note, names in noted.items():
        whose = f"{', '.join(names)}: " if len(names) < len(samples) else ""
        yield f"{whose}{note}"
    for name, reason in findings.reasons.items():
        yield f"{name}: {reason}"


def _by_name(trials: Foreign) -> dict[str, Sample]:
    return {sample.name: sample for sample in trials.samples}


def _margins(sample: Sample) -> list[float]:
    assert sample.unit is not None
    return [e * sample.unit for e in sample.points]


def _content(sample: Sample) -> str:
    """A hash of all that a sample's figures come from, 16 hexadecimal digits."""
    parts = (sample.names, list(map(dict, sample.values)), sample.scores.tolist(), sample.unit)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
