"""Claims against the arms of an experiment, before anything is trained."""

from collections.abc import Mapping, Sequence

from hpsuite.cells import CellAxes, Names, arm_axes, primary_of, sides_of
from hpsuite.checks import UserError, refuse
from hpsuite.config import Arm
from hpsuite.declared import (
    ARM_STATISTICS,
    HYPERPARAMETER,
    TRANSFER_STATISTICS,
    Declared,
)
from hpsuite.findings import setup_axes


def check_claims(
    declared: Sequence[Declared], arms: Sequence[Arm], *, fresh_seeds: int = 0
) -> None:
    """Check that claims name what the experiment has, before anything is trained.

    Raises:
        UserError: a claim that names no setups or arms of the experiment, or cells without its
            primary one; a choice that cannot be used on the other side.
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
        sides = sides_of(f"claims[{place}]", claim, named)
        primary_of(f"claims[{place}]", claim, sides)
        if claim.at_step is not None:
            _check_curves(f"claims[{place}]", claim, sides)
        if claim.statistic in TRANSFER_STATISTICS:
            _check_transfer(f"claims[{place}]", claim, sides, fresh_seeds)


def _check_curves(key: str, claim: Declared, sides: Mapping[CellAxes, Sequence[object]]) -> None:
    """Check that a step is within the budgets that say how many they have."""
    for arm in (arm for found in sides.values() for arm in found):
        assert isinstance(arm, Arm)
        steps = arm.setup.steps
        if claim.at_step is not None and steps is not None and claim.at_step > steps:
            accepted = f"at most {steps}, the steps of {arm.label}"
            raise refuse(f"{key}.at_step", claim.at_step, accepted)


def _check_transfer(
    key: str, claim: Declared, sides: Mapping[CellAxes, Sequence[object]], fresh_seeds: int
) -> None:
    """Check that what one side chooses can be trained, with fresh seeds, on the other."""
    if fresh_seeds == 0:
        raise refuse(
            "analysis.fresh_seeds", 0, f"1 or more, which {claim.statistic} of {key} needs"
        )
    for found in sides.values():
        for today, before in zip(found[::2], found[1::2], strict=True):
            assert isinstance(today, Arm)
            assert isinstance(before, Arm)
            if today.setup.space != before.setup.space:
                raise UserError(
                    f"{key}.b: found a space of its own, {', '.join(before.setup.space.names)}; "
                    f"accepted: a's, {', '.join(today.setup.space.names)}, ranges and all, so that "
                    "what one side chose can be used on the other"
                )


def routes(declared: Sequence[Declared], arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """What claims ask to be carried over: (the arm that chose, the arm where it is used)."""
    found: list[tuple[Arm, Arm]] = []
    for place, claim in enumerate(declared):
        if claim.statistic not in TRANSFER_STATISTICS:
            continue
        named: list[tuple[Names, object]] = [(arm_axes(arm), arm) for arm in arms]
        for sides in sides_of(f"claims[{place}]", claim, named).values():
            for today, before in zip(sides[::2], sides[1::2], strict=True):
                assert isinstance(today, Arm)
                assert isinstance(before, Arm)
                if (before, today) not in found:
                    found.append((before, today))
    return found
