"""Declared claims, judged: which setups or arms a claim compares, cell by cell, and its verdict."""

from collections.abc import Mapping, Sequence

from hpsuite.analysis.claims import Cell, Claim, Verdict
from hpsuite.analysis.intervals import Interval
from hpsuite.analysis.verdicts import verdict
from hpsuite.checks import UserError, show
from hpsuite.config import Arm
from hpsuite.declared import ARM_STATISTICS, HYPERPARAMETER, Declared, as_text, matches, rest
from hpsuite.findings import ArmFinding, Findings, SetupFinding, setup_axes
from hpsuite.measuring import (
    NotMeasured,
    difference_of,
    nothing,
    of_arms,
    of_hyperparameters,
    of_setups,
)
from hpsuite.space import Hyperparameter

Names = Mapping[str, str]
CellAxes = tuple[tuple[str, str], ...]
# The name of a cell that nothing tells from others.
ALL = "all"

# In words, units and factors for a reader.
_SHARE = ("points", 100.0)
WORDS: Mapping[str, tuple[str, tuple[str, float]]] = {
    **{
        f"good_fraction_{e}pt": (f"share of the space within {e} points of its own best", _SHARE)
        for e in (1, 2, 5)
    },
    **{
        f"good_fraction_{e}pt_common": (f"share within {e} points of the common best", _SHARE)
        for e in (1, 2, 5)
    },
    **{
        f"rate_width_{e}pt": (f"width of the rates within {e} points of the best", ("decades", 1.0))
        for e in (1, 2, 5)
    },
    "nonfinite_fraction": ("share of diverged trials", _SHARE),
    "chance_fraction": ("share of trials that stay at chance", _SHARE),
    "mean_val_accuracy": ("mean validation accuracy over the space", _SHARE),
    "largest_stable_rate": ("largest stable learning rate", ("decades", 1.0)),
    "rate_sensitivity": ("mean loss of accuracy over the swept rates", _SHARE),
    **{
        f"importance_{evaluator}": (f"share of the variance by {words}", _SHARE)
        for evaluator, words in (
            ("fanova", "fANOVA"),
            ("ped_anova_top10", "PED-ANOVA, best 10%"),
            ("ped_anova_top10_of_top50", "PED-ANOVA, best 10% of the best half"),
        )
    },
    "never_good": ("chance to try no good one", _SHARE),
    "trials_to_good": ("trials to a good one", ("trials", 1.0)),
    "best_val_accuracy": ("best validation accuracy", _SHARE),
    "test_accuracy": ("test accuracy of what validation selected", _SHARE),
    "area": ("area under the best-so-far curve", _SHARE),
    "true_accuracy": ("fresh-seed accuracy of what was selected", _SHARE),
    "miss_probability": ("chance to end on a configuration that is not good", _SHARE),
    "probability_better": ("chance to find a better one", ("%", 100.0)),
}


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
    sides = _sides(f"claims[{place}]", declared, named)
    primary = _primary(f"claims[{place}]", declared, sides)
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
        statistic=f"{words}, {_versus(declared)}",
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
        f"{_chosen(rest_of(a))}{after[0]} against {_chosen(rest_of(b))}{after[1]}" for a, b in pairs
    )


def check_claims(declared: Sequence[Declared], arms: Sequence[Arm]) -> None:
    """Check that claims name what the experiment has, before anything is trained.

    Raises:
        UserError: a claim that names no setups or arms of the experiment, or cells without its
            primary one.
    """
    for place, claim in enumerate(declared):
        axes = arm_axes if claim.statistic in ARM_STATISTICS else setup_axes
        # Setups once each, whatever the number of their arms.
        by_name = {tuple(axes(arm).items()): arm for arm in arms}
        named: list[tuple[Names, object]] = [(dict(names), arm) for names, arm in by_name.items()]
        if claim.of_hyperparameters:
            named = [
                ({**dict(names), HYPERPARAMETER: name}, arm)
                for names, arm in by_name.items()
                for name in arm.setup.space.names
            ]
        _primary(f"claims[{place}]", claim, _sides(f"claims[{place}]", claim, named))


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


def arm_axes(arm: Arm) -> Names:
    """What an arm is called, by axis of the matrix."""
    strategy = arm.strategy
    return {**setup_axes(arm), "strategy": strategy.name, **dict(strategy.variant)}


def _chosen(axes: Mapping[str, object]) -> str:
    return " ".join(
        str(v) if k in ("model", "strategy", "dataset", HYPERPARAMETER) else f"{k}={show(v)}"
        for k, v in axes.items()
    )


def cell_name(cell: CellAxes) -> str:
    """A cell in words: `dataset digits, optimizer.momentum 0.9`."""
    return ", ".join(f"{axis} {value}" for axis, value in cell) or ALL


def _sides(
    key: str, declared: Declared, named: Sequence[tuple[Names, object]]
) -> dict[CellAxes, list[object]]:
    """What is compared in each cell: one for each combination of the axes that nobody chose."""
    sides: dict[str, dict[CellAxes, object]] = {}
    for side in ("a", "b", "a_other", "b_other"):
        chosen: Mapping[str, object] | None = getattr(declared, side)
        if chosen is None:
            continue
        sides[side] = {}
        for names, it in named:
            if not matches(names, chosen):
                continue
            cell = rest(names, *_chosen_axes(declared))
            if cell in sides[side]:
                raise UserError(
                    f"{key}.{side}: found several for {show(dict(chosen))}; accepted: what chooses "
                    "one in each cell, by all axes that another side chooses by"
                )
            sides[side][cell] = it
        if not sides[side]:
            there = _some([_chosen(names) for names, _ in named])
            raise UserError(f"{key}.{side}: found none of {show(dict(chosen))}; accepted: {there}")
    first, *others = sides.values()
    cells = {
        cell: [it, *(other[cell] for other in others)]
        for cell, it in first.items()
        if all(cell in other for other in others)
    }
    if not cells:
        raise UserError(f"{key}.b: found no cell that has both; accepted: a and b of one cell")
    return cells


def _primary(key: str, declared: Declared, cells: Mapping[CellAxes, object]) -> CellAxes:
    """The cell whose verdict is the claim's: the one of just these axes, or with fewest more."""
    asked = {(axis, as_text(value)) for axis, value in declared.primary.items()}
    found = [cell for cell in cells if asked <= set(cell)]
    fewest = [cell for cell in found if len(cell) == min(map(len, found))]
    if len(fewest) != 1:
        there = _some([cell_name(cell) for cell in cells])
        raise UserError(
            f"{key}.primary: found {show(dict(declared.primary))}, {len(found)} cells; "
            f"accepted: what names one of {there}"
        )
    return fewest[0]


def _some(names: Sequence[str], most: int = 6) -> str:
    """The first names of several, each once."""
    different = list(dict.fromkeys(names))
    left = len(different) - most
    return "; ".join(different[:most]) + (f"; and {left} more" if left > 0 else "")


def _chosen_axes(declared: Declared) -> list[Mapping[str, object]]:
    sides = [c for c in (declared.a, declared.b, declared.a_other, declared.b_other) if c]
    # Where a claim says how much of each search it compares, their lengths are no cells.
    limited = any(limit.given for limit in declared.limits)
    return [*sides, {"budget.trials": None}] if limited else sides


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
    return of_arms(declared.statistic, a, b, declared.limits)
