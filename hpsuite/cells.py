"""The cells of claims: what is compared in each, by the axes of the matrix."""

from collections.abc import Mapping, Sequence

from hpsuite.checks import UserError, show
from hpsuite.config import Arm
from hpsuite.declared import HYPERPARAMETER, Declared, as_text, matches, rest
from hpsuite.findings import setup_axes

Names = Mapping[str, str]
CellAxes = tuple[tuple[str, str], ...]
# The name of a cell that nothing tells from others.
ALL = "all"


def arm_axes(arm: Arm) -> Names:
    """What an arm is called, by axis of the matrix."""
    strategy = arm.strategy
    return {**setup_axes(arm), "strategy": strategy.name, **dict(strategy.variant)}


def chosen_words(axes: Mapping[str, object]) -> str:
    """What a side chooses by, in words: `mlp_bn budget.epochs=12`."""
    return " ".join(
        str(v) if k in ("model", "strategy", "dataset", HYPERPARAMETER) else f"{k}={as_text(v)}"
        for k, v in axes.items()
    )


def cell_name(cell: CellAxes) -> str:
    """A cell in words: `dataset digits, optimizer.momentum 0.9`."""
    return ", ".join(f"{axis} {value}" for axis, value in cell) or ALL


def sides_of(
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
            there = _some([chosen_words(names) for names, _ in named])
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


def primary_of(key: str, declared: Declared, cells: Mapping[CellAxes, object]) -> CellAxes:
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
