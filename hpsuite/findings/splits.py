"""How much of what was found changes with the split of the data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from hpsuite.analysis import Interval, SplitSpread, split_spread
from hpsuite.config import Setup
from hpsuite.findings.found import ArmFinding, Difference, SetupFinding, SplitFinding
from hpsuite.findings.tables import tried_by

# Standard errors to the end of a 95% interval, for b, which has an error and no interval.
NORMAL = 1.96
SHARE, DIFFERENCE, ANY = (0.0, 1.0), (-1.0, 1.0), (-math.inf, math.inf)

# What one split says: by name the figure, or why there is none; and what it can be at all.
Figures = Mapping[str, tuple[Interval | str, tuple[float, float]]]


def find_splits(
    setups: Sequence[SetupFinding], arms: Sequence[ArmFinding], differences: Sequence[Difference]
) -> list[SplitFinding]:
    """Figures of setups, searches and differences of setups over splits of the same data.

    Setups are taken together where they differ in nothing but `split_seed`.
    """
    groups: dict[Setup, list[SetupFinding]] = {}
    for setup in setups:
        groups.setdefault(unsplit(setup.setup), []).append(setup)
    found = []
    for key, group in groups.items():
        if len(group) > 1:
            group.sort(key=_seed)
            seeds = [_seed(setup) for setup in group]
            own = [_of_setup(setup) for setup in group]
            found.append(_spread("setup", _name(key), seeds, own, same=_same(group)))
            found += _searches(_name(key), group, arms)
    pairs: dict[tuple[Setup, Setup], list[Difference]] = {}
    for pair in differences:
        pairs.setdefault((unsplit(pair.a.setup), unsplit(pair.b.setup)), []).append(pair)
    for (a, b), compared in pairs.items():
        if len(compared) > 1 and a != b:
            compared.sort(key=lambda pair: _seed(pair.a))
            seeds = [_seed(pair.a) for pair in compared]
            own = [_of_difference(pair) for pair in compared]
            same = _same([pair.a for pair in compared])
            name = f"{_name(a)} minus {_name(b)}"
            found.append(_spread("difference", name, seeds, own, same=same))
    return found


def unsplit(setup: Setup) -> Setup:
    """A setup without its split: equal for setups that differ in nothing else."""
    return replace(
        setup,
        dataset=replace(setup.dataset, split_seed=0),
        variant=tuple((key, value) for key, value in setup.variant if key != "split_seed"),
    )


def _searches(
    name: str, group: Sequence[SetupFinding], arms: Sequence[ArmFinding]
) -> list[SplitFinding]:
    """The searches that a setup has on all splits."""
    by_table = {id(arm.table): arm for arm in arms}
    found = []
    for label in dict.fromkeys(table.arm.strategy.label for table in group[0].arms):
        own = [
            by_table[id(table)]
            for setup in group
            for table in setup.arms
            if table.arm.strategy.label == label
        ]
        if len(own) == len(group):
            # Repeats that share their seeds share configurations, or some of them.
            same = len({tuple(study.seed for study in arm.table.studies) for arm in own}) == 1
            seeds = [_seed(setup) for setup in group]
            figures = [_of_search(arm) for arm in own]
            found.append(_spread("search", f"{name} {label}", seeds, figures, same=same))
    return found


def _spread(
    kind: Literal["setup", "search", "difference"],
    name: str,
    seeds: Sequence[int],
    splits: Sequence[Figures],
    *,
    same: bool,
) -> SplitFinding:
    figures: dict[str, SplitSpread] = {}
    reasons: dict[str, str] = {}
    for figure, (_, bounds) in splits[0].items():
        intervals = []
        for seed, split in zip(seeds, splits, strict=True):
            found = split[figure][0] if figure in split else "not found there"
            if isinstance(found, Interval) and math.isfinite(found.estimate):
                intervals.append(found)
                continue
            why = found.method if isinstance(found, Interval) else found
            reasons.setdefault(figure, f"split_seed {seed}: {why}")
        if len(intervals) == len(splits):
            figures[figure] = split_spread(intervals, same_configurations=same, bounds=bounds)
    return SplitFinding(kind, name, tuple(seeds), figures, reasons)


def _of_setup(setup: SetupFinding) -> Figures:
    evidence = setup.evidence
    figures: dict[str, tuple[Interval | str, tuple[float, float]]] = {}
    if evidence is None:
        figures["good_fraction_2pt"] = setup.reason, SHARE
    else:
        reason = "" if setup.trained else f"did not train: {setup.gate.reason}"
        for e, share in sorted(evidence.sensitivity.good_fractions.items()):
            figures[f"good_fraction_{e:g}pt"] = reason or share, SHARE
        best = evidence.best
        half = NORMAL * best.standard_error
        method = "normal, with the standard error of fresh seeds"
        if not best.retrained:
            method = "no interval in one split: not trained again"
        b = Interval(best.value, best.value - half, best.value + half, 0.95, method)
        figures["b"] = b, SHARE
        figures["regret_median"] = reason or evidence.regret.median, ANY
        figures["nonfinite_fraction"] = evidence.sensitivity.nonfinite_fraction, SHARE
    if setup.sweep is not None:
        for margin, width in setup.sweep.widths.items():
            figures[f"rate_width_{100 * margin:g}pt"] = width.width, (0.0, math.inf)
    return figures


def _of_search(arm: ArmFinding) -> Figures:
    figures: dict[str, tuple[Interval | str, tuple[float, float]]] = {
        "best_val_accuracy": (arm.figures.best_val_accuracy, SHARE),
        "test_accuracy": (arm.figures.test_accuracy, SHARE),
    }
    if arm.strategy.regret is not None:
        figures["regret"] = arm.strategy.regret, ANY
    return figures


def _of_difference(pair: Difference) -> Figures:
    flat = [setup for setup in (pair.a, pair.b) if not setup.trained]
    reason = f"did not train: {flat[0].gate.reason}" if flat else ""
    return {
        f"good_fraction_{e:g}pt": (reason or interval, DIFFERENCE)
        for e, interval in sorted(pair.difference.own.items())
    }


def _seed(setup: SetupFinding) -> int:
    return setup.setup.dataset.split_seed


def _name(setup: Setup) -> str:
    return f"{setup.dataset.name} {setup.label}"


def _same(group: Sequence[SetupFinding]) -> bool:
    """Whether all reference samples tried the same configurations; so too where there are none."""
    tried = [None if s.reference is None else tried_by(s.reference) for s in group]
    return all(other == tried[0] for other in tried)
