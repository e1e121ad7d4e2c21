"""Declared claims, judged: which setups or arms a claim compares, cell by cell, and its verdict."""

from collections.abc import Mapping, Sequence

from hpsuite.analysis.claims import Cell, Claim, Verdict
from hpsuite.analysis.intervals import Interval
from hpsuite.analysis.verdicts import verdict
from hpsuite.cells import CellAxes, Names, arm_axes, cell_name, chosen_words, primary_of, sides_of
from hpsuite.checks import show
from hpsuite.declared import (
    HYPERPARAMETER,
    TRANSFER_STATISTICS,
    WORDS,
    Declared,
    as_text,
)
from hpsuite.findings import ArmFinding, Findings, SetupFinding, setup_axes
from hpsuite.measuring import (
    NotMeasured,
    difference_of,
    nothing,
    of_arms,
    of_choices,
    of_hyperparameters,
    of_scores_at,
    of_setups,
    of_steps_to,
)
from hpsuite.space import Hyperparameter


def judge(
    declared: Sequence[Declared],
    setups: Sequence[SetupFinding],
    arms: Sequence[ArmFinding],
    conditions: Mapping[str, str],
) -> tuple[Verdict, ...]:
    """The verdict on each declared claim.

    Raises:
        UserError: a claim that names no setups or arms of the experiment, or cells without its
            primary one.
    """
    return tuple(_judge(i, claim, setups, arms, conditions) for i, claim in enumerate(declared))


def _judge(
    place: int,
    declared: Declared,
    setups: Sequence[SetupFinding],
    arms: Sequence[ArmFinding],
    conditions: Mapping[str, str],
) -> Verdict:
    named: list[tuple[Names, object]]
    if declared.of_hyperparameters:
        named = [
            ({**setup_axes(s.arms[0].arm), HYPERPARAMETER: name}, (s, name))
            for s in setups
            for name in s.setup.space.names
        ]
    elif declared.of_setups:
        named = [(setup_axes(s.arms[0].arm), s) for s in setups]
    else:
        named = [(arm_axes(arm.table.arm), arm) for arm in arms]
    sides = sides_of(f"claims[{place}]", declared, named)
    primary = primary_of(f"claims[{place}]", declared, sides)
    # What all cells of the claim share is no name of one, but a condition.
    shared = set.intersection(*(set(cell) for cell in sides))

    def name(cell: CellAxes) -> str:
        return cell_name(tuple(axis for axis in cell if axis not in shared))

    cells = {}
    for cell, found in sides.items():
        try:
            cells[name(cell)] = _cell(declared, found)
        except NotMeasured as error:
            # Where another block of the matrix asks another question, this one has no answer.
            if cell == primary:
                cells[name(cell)] = nothing(str(error))
    words, (unit, factor) = WORDS[declared.statistic]
    claim = Claim(
        text=declared.claim,
        statistic=f"{words}{_place(declared)}, {_versus(declared)}",
        direction=declared.direction,
        smallest_effect=declared.smallest_effect,
        primary=name(primary),
        n=declared.n,
        alpha=declared.alpha,
        null=0.5 if declared.statistic == "probability_better" else 0.0,
        unit=unit,
        factor=factor,
    )
    agreed = {axis: as_text(value) for axis, value in _agreed(declared).items()}
    return verdict(claim, cells, {**agreed, **_said(primary, shared), **conditions})


def _place(declared: Declared) -> str:
    """Of a learning curve, where on it."""
    if declared.at_step is not None:
        return f" after {declared.at_step:,} steps"
    return "" if declared.target is None else f" of {100 * declared.target:g}%"


def _agreed(declared: Declared) -> Mapping[str, object]:
    """What all sides of a claim choose alike: where it is made, not what is compared."""
    sides = [s for s in (declared.a, declared.b, declared.a_other, declared.b_other) if s]
    alike = {
        axis: value
        for axis, value in declared.a.items()
        if all(axis in side and side[axis] == value for side in sides)
    }
    # One search after so many of its trials and after others: it is what is compared.
    return {} if len(alike) == len(declared.a) else alike


def _said(primary: CellAxes, shared: set[tuple[str, str]]) -> dict[str, str]:
    """What all cells of a claim share, in the order of its primary one."""
    return {axis: value for axis, value in primary if (axis, value) in shared}


def _versus(declared: Declared) -> str:
    """What is compared, in words."""
    agreed = _agreed(declared)
    after = [limit.words for limit in declared.limits]

    def rest_of(side: Mapping[str, object]) -> dict[str, object]:
        return {axis: value for axis, value in side.items() if axis not in agreed}

    pairs = [(declared.a, declared.b)]
    if declared.a_other is not None and declared.b_other is not None:
        pairs.append((declared.a_other, declared.b_other))
    return " less that of ".join(
        f"{chosen_words(rest_of(a))}{after[0]} against {chosen_words(rest_of(b))}{after[1]}"
        for a, b in pairs
    )


def conditions(findings: Findings) -> dict[str, str]:
    """What all setups of an experiment have in common: what its verdicts hold under."""
    setups = [finding.setup for finding in findings.setups]
    parts = [
        {
            "dataset": setup.dataset.name,
            "optimizer": setup.optimizer.kind,
            "batch size": str(setup.batch_size),
            "length": f"{setup.epochs} epochs" if setup.epochs else f"{setup.steps} steps",
            "split": f"split_seed {setup.dataset.split_seed}",
            **{key: show(value) for key, value in setup.model.arguments},
            # What is searched has no value of its own.
            **{h.name: _range(h) for h in setup.space.hyperparameters},
        }
        for setup in setups
    ]
    searched = {name for setup in setups for name in setup.space.names}
    shared = {
        key: value
        for key, value in parts[0].items()
        if all(part.get(key) == value for part in parts)
    }
    return {
        key: value
        for key, value in shared.items()
        if not (key == "batch size" and "batch_size" in searched)
    }


def _range(h: Hyperparameter) -> str:
    if h.choices is not None:
        return ", ".join(show(c) for c in h.choices)
    return f"{h.low:g} to {h.high:g} ({h.scale.replace('_', ' ')})"


def _cell(declared: Declared, found: Sequence[object]) -> Cell:
    """One comparison: its sample size, and its interval at any level."""
    pairs = [found[:2], found[2:]] if len(found) == 4 else [found]
    parts = [_measured(declared, *pair) for pair in pairs]
    first = parts[0]

    def interval_at(level: float) -> Interval:
        if len(parts) == 1:
            return first.interval_at(level)
        return difference_of([part.interval_at(level) for part in parts], level)

    return Cell(
        n=min(part.n for part in parts),
        interval_at=interval_at,
        trained=all(part.trained for part in parts),
        all_good=all(part.all_good for part in parts),
        bounds=_bounds(parts),
    )


def _bounds(parts: Sequence[Cell]) -> tuple[float, float]:
    """What a statistic, or the difference of two, can be at all."""
    (low, high), *others = [part.bounds for part in parts]
    for other_low, other_high in others:
        low, high = low - other_high, high - other_low
    return low, high


def _measured(declared: Declared, a: object, b: object) -> Cell:
    """One pair compared."""
    if declared.of_hyperparameters:
        assert isinstance(a, tuple)
        assert isinstance(b, tuple)
        return of_hyperparameters(declared.statistic, a[0], a[1], b[1])
    if declared.of_setups:
        return of_setups(declared.statistic, a, b)
    if declared.statistic in TRANSFER_STATISTICS:
        return of_choices(declared.statistic, a, b)
    if declared.at_step is not None:
        return of_scores_at(declared.at_step, a, b)
    if declared.target is not None:
        return of_steps_to(declared.target, a, b)
    return of_arms(declared.statistic, a, b, declared.limits)
