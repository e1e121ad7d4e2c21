"""The tables that a run ends with."""

import math
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpsuite.analysis import Interval
from hpsuite.analysis.wording import under
from hpsuite.config import Setup, labelled
from hpsuite.findings import ArmFinding, Difference, Findings, SetupFinding

SETUP_LEGEND = (
    "good: share of the space, sampled on its proper scales, whose validation accuracy is",
    "within 2 points of the setup's best 4%; [95% interval, approximate], given one split;",
    "best trial: the highest validation accuracy of all n, and that trial's test accuracy",
)
ARM_LEGEND = (
    "best val: mean over repeats of each one's best validation accuracy, [95% t interval,",
    "approximate: too narrow where few repeats missed what others may]; test: of the trial",
    "that validation selected; rank: among the setup's arms, by Welch",
    "tests of all pairs, Holm-corrected, after as many trials as the shortest arm has;",
    "seconds: of one worker",
)
PRUNED_LEGEND = (
    "pruned: trials that were stopped early, which are no search's best; epochs: trained by all",
    "trials, as trials of a search that prunes are no measure of its budget",
)


def print_tables(findings: Findings, console: Console) -> None:
    """Print verdicts, setups, their differences, and arms."""
    # All verdicts of an experiment hold under the same conditions, which are said once.
    held = ""
    for verdict in findings.verdicts:
        held = under(verdict.conditions)
        sentence = verdict.sentence.replace(f" {held}", "") if held else verdict.sentence
        console.print(f"[bold]{escape(verdict.claim)}[/bold]", highlight=False, soft_wrap=True)
        console.print(sentence, highlight=False, soft_wrap=True, markup=False)
        console.print()
    if held:
        console.print(f"{held}\n", style="dim", highlight=False, soft_wrap=True, markup=False)
    console.print(setup_table(findings.setups))
    for line in difference_lines(findings.differences):
        console.print(line, highlight=False, soft_wrap=True)
    reasons = dict.fromkeys(setup.reason for setup in findings.setups if setup.reason)
    for line in (*SETUP_LEGEND, *reasons):
        console.print(line, style="dim", highlight=False, soft_wrap=True)
    console.print()
    console.print(arm_table(findings.arms))
    for line in (*ARM_LEGEND, *(PRUNED_LEGEND if any_prunes(findings.arms) else ())):
        console.print(line, style="dim", highlight=False, soft_wrap=True)
    for line in failure_lines(findings.arms):
        text = f"{line}: counted as diverged"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def failure_lines(arms: Sequence[ArmFinding]) -> list[str]:
    """Which arms have trials that could not be trained, how many, and why."""
    return [f"{arm.table.arm.label}: {arm.table.failures}" for arm in arms if arm.table.failures]


def setup_table(setups: Sequence[SetupFinding]) -> Table:
    """How sensitive each setup is to its hyperparameters."""
    table = make_table("Setups: how much of the search space is good?")
    for column in ("dataset", "model"):
        table.add_column(column, overflow="fold")
    for column in ("n", "good within 2 points", "diverged", "at chance", "best trial", "its test"):
        table.add_column(column, justify="right")
    for setup in setups:
        names = _names(setup.arms[0].arm.setup)
        found = setup.sensitivity
        if found is None:
            table.add_row(*names, "-", "-", "-", "-", "-", "-")
            continue
        table.add_row(
            *names,
            str(found.n),
            with_ends(found.good_fractions[2]) + ("" if setup.trained else " (did not train)"),
            percent(found.nonfinite_fraction.estimate, 0),
            percent(found.chance_fraction.estimate, 0),
            percent(found.best_val_accuracy, 1),
            percent(found.test_accuracy, 1),
        )
    return table


def difference_lines(differences: Sequence[Difference]) -> list[str]:
    """Setups compared on the same configurations and seeds, a line each."""
    lines = []
    for pair in differences:
        a, b = (_title(setup) for setup in (pair.a, pair.b))
        found = pair.difference.own[2]
        flat = [t for t, setup in ((a, pair.a), (b, pair.b)) if not setup.trained]
        if flat:
            verdict = f"{' and '.join(flat)} did not train, so this says nothing of sensitivity"
        elif found.low > 0:
            verdict = f"{a} is less sensitive"
        elif found.high < 0:
            verdict = f"{b} is less sensitive"
        else:
            verdict = "too few trials to tell which is less sensitive"
        lines.append(
            f"{a} minus {b}: {points(found)}, {pair.difference.n} paired trials; {verdict}"
        )
    return lines


def arm_table(arms: Sequence[ArmFinding]) -> Table:
    """How good a configuration each strategy found."""
    table = make_table("Arms: which search found a good one?")
    for column in ("dataset", "model", "strategy"):
        table.add_column(column, overflow="fold")
    pruned = any_prunes(arms)
    counted = ("pruned", "epochs") if pruned else ()
    for column in ("trials", *counted, "best val", "test", "rank", "seconds"):
        table.add_column(column, justify="right")
    previous = None
    for arm in arms:
        setup = arm.table.arm.setup
        if previous is not None and previous != arm.table.setup_identity:
            table.add_section()
        previous = arm.table.setup_identity
        figures = arm.figures
        each = figures.n_trials // figures.repeats
        table.add_row(
            *_names(setup),
            arm.table.arm.strategy.label,
            f"{figures.repeats} x {each}",
            *((str(arm.table.n_pruned), str(arm.table.epochs)) if pruned else ()),
            with_ends(figures.best_val_accuracy),
            with_ends(figures.test_accuracy),
            arm.rank.text,
            f"{arm.seconds:.1f}",
        )
    return table


def any_prunes(arms: Iterable[ArmFinding]) -> bool:
    """Whether some search stops trials early."""
    return any(arm.table.arm.strategy.pruning is not None for arm in arms)


def percent(value: float, digits: int) -> str:
    """A share as a percentage."""
    return "-" if math.isnan(value) else f"{100 * value:.{digits}f}%"


def with_ends(interval: Interval) -> str:
    """A share with its interval, in percent."""
    if math.isnan(interval.low):
        return percent(interval.estimate, 1)
    low, high = 100 * interval.low, 100 * interval.high
    return f"{percent(interval.estimate, 1)} [{low:.1f}, {high:.1f}]"


def points(interval: Interval) -> str:
    """A difference of shares with its interval, in points, with its sign."""
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.estimate:+.1f} points [{low:+.1f}, {high:+.1f}]"


def make_table(title: str) -> Table:
    """A table with a title and no lines but one."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )


def _names(setup: Setup) -> tuple[str, str]:
    return setup.dataset.name, labelled(setup.model_name, setup.variant)


def _title(setup: SetupFinding) -> str:
    return " ".join(_names(setup.arms[0].arm.setup))
