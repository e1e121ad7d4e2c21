"""Strategies compared: pairs of searches on one setup, and strategies across setups."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpsuite.analysis import (
    compare_strategies,
    interquartile_mean,
    interquartile_mean_difference,
    mean_probability_better,
    normalised,
)
from hpsuite.evidence import generator
from hpsuite.findings.found import (
    Across,
    ArmFinding,
    SearchPair,
    SetupFinding,
    StrategyAcross,
    by_name,
)
from hpsuite.findings.searches import MARGIN
from hpsuite.findings.tables import ArmTable

Scores = NDArray[np.float64]


def baseline_of(tables: Sequence[ArmTable]) -> ArmTable:
    """The search that the others are compared with: random search over the space, or the first.

    It is chosen before there are results: against the best of several, chosen by its luck, all
    the others look worse than they are.
    """
    return next((table for table in tables if table.arm.strategy.is_reference), tables[0])


def find_pairs(arms: Sequence[ArmFinding], setups: Sequence[SetupFinding]) -> list[SearchPair]:
    """All pairs of searches on each setup, those against its baseline first."""
    pairs = []
    for setup in setups:
        own = {id(table) for table in setup.arms}
        baseline = baseline_of(setup.arms)
        found = [arm for arm in arms if id(arm.table) in own]
        found.sort(key=lambda arm: arm.table is not baseline)  # stable
        level = None if setup.evidence is None else setup.evidence.best.value
        for b, a in itertools.combinations(found, 2):
            comparison = compare_strategies(
                a.table.scores(), b.table.scores(), b=level, margin=MARGIN
            )
            pairs.append(SearchPair(a, b, comparison))
    return pairs


def against_baseline(
    pairs: Sequence[SearchPair], setups: Sequence[SetupFinding]
) -> list[SearchPair]:
    """The pairs of each search with the baseline of its setup."""
    baselines = {id(baseline_of(setup.arms)) for setup in setups}
    return [pair for pair in pairs if id(pair.b.table) in baselines]


def find_across(setups: Sequence[SetupFinding]) -> tuple[list[Across], str]:
    """Strategies across setups, and why there is nothing where there might be.

    Compared are setups with the same strategies, each with as many trials and repeats, whose b
    lies above chance: regrets are put on one scale by both. Repeats are those of the best scores
    that searches saw.
    """
    several = [setup for setup in setups if len(setup.arms) > 1]
    groups: dict[tuple[tuple[str, int, int], ...], list[SetupFinding]] = {}
    for setup in several:
        if setup.evidence is not None and setup.trained:
            groups.setdefault(_budgets(setup), []).append(setup)
    found = [_across(group) for group in groups.values() if len(group) > 1]
    if found or len(several) < 2:
        return found, ""
    return [], (
        "no two setups have a reference sample, trained, and had the same searches with as many "
        "trials and repeats"
    )


def _budgets(setup: SetupFinding) -> tuple[tuple[str, int, int], ...]:
    """Each search's label, trials and repeats, in order of the labels."""
    return tuple(
        sorted(
            (table.arm.strategy.label, len(table.studies[0].results), len(table.studies))
            for table in setup.arms
        )
    )


def _across(group: Sequence[SetupFinding]) -> Across:
    named = by_name(group)
    labels = [table.arm.strategy.label for table in group[0].arms]
    trials = min(n for _, n, _ in _budgets(group[0]))
    regrets: dict[str, dict[str, Scores]] = {label: {} for label in labels}
    for name, setup in named.items():
        assert setup.evidence is not None
        b, chance = setup.evidence.best.value, setup.arms[0].data.majority_share("val")
        for table in setup.arms:
            best = table.scores(trials).max(axis=1)
            regrets[table.arm.strategy.label][name] = 1 - normalised(best, chance, b)
    baseline = baseline_of(group[0].arms).arm.strategy.label
    # Seeds are those of the experiment and the repeat, whatever the setup.
    seeds = {tuple(s.seed for s in table.studies) for setup in group for table in setup.arms}
    shared = len(seeds) == 1
    strategies = {
        label: _strategy(own, None if label == baseline else regrets[baseline], shared)
        for label, own in regrets.items()
    }
    return Across(named, trials, baseline, strategies)


def _strategy(
    own: Mapping[str, Scores], baseline: Mapping[str, Scores] | None, shared: bool
) -> StrategyAcross:
    regret = interquartile_mean(own, generator=generator(), shared=shared)
    if baseline is None:
        return StrategyAcross(regret, None, None)
    return StrategyAcross(
        regret,
        interquartile_mean_difference(own, baseline, generator=generator(), shared=shared),
        # A regret is better where it is smaller.
        mean_probability_better(
            {name: -values for name, values in own.items()},
            {name: -values for name, values in baseline.items()},
            shared=shared,
        ),
    )
