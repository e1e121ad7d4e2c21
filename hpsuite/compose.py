"""Hydra: composing the matrix of an experiment over the command line's own overrides.

DictConfig stops here: what goes on is plain dictionaries, to config.py.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from hpsuite.checks import UserError, refuse, show
from hpsuite.claim_checks import check_claims
from hpsuite.config import Arm, Settings
from hpsuite.explain import check_choices, explain
from hpsuite.overrides import as_override, into_matrix, without_backslashes
from hpsuite.parsing import ARM_GROUPS, parse_arm, parse_settings
from hpsuite.places import check_places
from hpsuite.samplers import check_sampler
from hpsuite.tiers import LENGTHS, chosen_tier

# Axes that choose an option of a group have a place of their own in tables.
_NAMED = ("dataset", "model", "strategy")
_AXES = (*ARM_GROUPS, "split_seed")

Variant = tuple[tuple[str, str], ...]
Cell = tuple[Mapping[str, object], Mapping[str, str], Variant]


@dataclass(frozen=True)
class Composed:
    """What a command line asks for, its matrix not crossed yet.

    Attributes:
        overrides: the command line's.
        config_name: of the file that holds the defaults.
        config: the configuration, as plain values.
        choices: the chosen option of each group.
    """

    overrides: tuple[str, ...]
    config_name: str
    config: Mapping[str, object]
    choices: Mapping[str, str]

    @property
    def overridden(self) -> list[str]:
        """The keys that the command line sets."""
        return overridden(self.overrides)


def composed(overrides: Sequence[str], config_name: str = "config") -> Composed:
    """Compose the configuration of a command line.

    Args:
        overrides: the command line's.
        config_name: of the file that holds the defaults.

    Raises:
        UserError: what cannot be composed.
    """
    overrides = into_matrix(overrides)
    return Composed(tuple(overrides), config_name, *_compose(config_name, overrides))


def compose_experiment(
    overrides: Sequence[str], config_name: str = "config"
) -> tuple[Settings, list[Arm]]:
    """The settings and all arms of an experiment, composed and checked.

    Args:
        overrides: the command line's.
        config_name: of the file that holds the defaults.

    Raises:
        UserError: on the first mistake, before anything is written.
    """
    return crossed(composed(overrides, config_name))


def crossed(asked: Composed) -> tuple[Settings, list[Arm]]:
    """The settings and all arms of an experiment, checked.

    Raises:
        UserError: on the first mistake, before anything is written.
    """
    overrides, config_name = asked.overrides, asked.config_name
    config, choices = dict(asked.config), asked.choices
    tier = chosen_tier(config, asked.overridden)
    if tier.overrides:
        overrides = (*tier.overrides, *overrides)
        config, choices = _compose(config_name, overrides)
    config |= tier.whole
    settings = parse_settings(config | {"tier": tier.name})
    cells = list(_cells(config_name, config, choices, overrides))
    # What all cells have in common tells none apart: a tier may have one value where a larger one
    # has more.
    shared = set.intersection(*(set(variant) for _, _, variant in cells)) if tier.name else set()
    arms = [
        parse_arm(cell, choices=cell_choices, variant=tuple(v for v in variant if v not in shared))
        for cell, cell_choices, variant in cells
    ]
    claims = tuple(claim.without(shared) for claim in settings.claims)
    settings = replace(settings, claims=claims)
    labels = [arm.label for arm in arms]
    for arm in arms:
        if labels.count(arm.label) > 1:
            raise UserError(f"matrix: found {arm.label} twice; accepted: each cell once")
        check_sampler(arm)
    check_claims(settings.claims, arms, fresh_seeds=settings.analysis.fresh_seeds)
    check_places(settings)
    return settings, arms


def _cells(
    config_name: str,
    config: Mapping[str, object],
    choices: Mapping[str, str],
    overrides: Sequence[str],
) -> Iterator[Cell]:
    """Each cell of the matrix: its configuration, its choices, and what else tells it apart."""
    taken = set(overridden(overrides))
    if taken & LENGTHS:
        taken |= LENGTHS
    done: list[Mapping[str, object]] = []
    for block in _blocks(config, overrides):
        axes = [[(key, value) for value in values] for key, values in block if key not in taken]
        if not axes:
            cells: Iterator[Cell] = iter([(config, choices, ())])
        else:
            cells = _crossed(config_name, axes, overrides)
        # What the command line took out of two blocks may have been all that told them apart.
        new = [cell for cell in cells if cell[0] not in done]
        done += [cell[0] for cell in new]
        yield from new


def _crossed(
    config_name: str, axes: Sequence[Sequence[tuple[str, object]]], overrides: Sequence[str]
) -> Iterator[Cell]:
    for cell in itertools.product(*axes):
        own = [f"{key}={as_override(value)}" for key, value in cell]
        cell_config, cell_choices = _compose(config_name, [*overrides, *own])
        variant = tuple(
            (key.lstrip("+"), value if isinstance(value, str) else show(value))
            for key, value in cell
            if key not in _NAMED
        )
        yield cell_config, cell_choices, variant


def _blocks(
    config: Mapping[str, object], overrides: Sequence[str]
) -> list[list[tuple[str, list[object]]]]:
    """The matrix and further blocks, each as (key, values) to cross by itself.

    An axis of the matrix that the command line gives replaces that of every block that has it.
    """
    matrix = list(_axes("matrix", config.get("matrix", {})))
    blocks = config.get("blocks", [])
    if not isinstance(blocks, list):
        raise refuse("blocks", blocks, "a list of matrices")
    further = [list(_axes(f"blocks[{i}]", block)) for i, block in enumerate(blocks)]
    given = {key.removeprefix("matrix.") for key in overridden(overrides) if "matrix." in key}
    replaced = {key: values for key, values in matrix if key in given}
    further = [[(key, replaced.get(key, values)) for key, values in block] for block in further]
    return [*([matrix] if matrix or not further else []), *further]


def _axes(path: str, matrix: object) -> Iterator[tuple[str, list[object]]]:
    """The axes of a matrix, as (key, values); `{optimizer: {momentum: [...]}}` has one too."""
    if not isinstance(matrix, Mapping):
        raise refuse(path, matrix, "keys, each with a list of values")
    for name, values in matrix.items():
        key = f"{path}.{name}"
        if isinstance(values, Mapping):
            yield from _axes(key, values)
            continue
        axis = re.sub(r"^(matrix|blocks\[\d+\])\.", "", key)
        if axis.lstrip("+").partition(".")[0] not in _AXES:
            raise UserError(
                f"{key}: found no such axis; accepted: {', '.join(_AXES)}, or their keys"
            )
        if not isinstance(values, list) or not values:
            raise refuse(key, values, "a list of one value or more")
        yield axis, values


def _compose(
    config_name: str, overrides: Sequence[str]
) -> tuple[dict[str, object], dict[str, str]]:
    """A composed configuration as plain values, and the chosen option of each group."""
    check_choices(overrides)
    try:
        overrides = [*overrides, *_replaced_length(overrides)]
        config = compose(config_name, overrides=list(overrides), return_hydra_config=True)
        assert isinstance(config, DictConfig)
        chosen = OmegaConf.to_container(config.hydra.runtime.choices)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except Exception as error:  # all of it is the user's: what was asked cannot be composed
        raise UserError(explain(error, overrides, config_name)) from error
    assert isinstance(plain, dict)
    assert isinstance(chosen, dict)
    choices = {str(group): str(option) for group, option in chosen.items()}
    return {str(key): value for key, value in plain.items()}, choices


def overridden(overrides: Sequence[str]) -> list[str]:
    """The keys that a command line sets."""
    return [o.key_or_group for o in OverridesParser.create().parse_overrides(list(overrides))]


def _replaced_length(overrides: Sequence[str]) -> list[str]:
    """Epochs and steps replace each other: the one that is set alone takes the other's place."""
    given = LENGTHS.intersection(overridden(overrides))
    return [f"{key}=null" for key in LENGTHS - given] if len(given) == 1 else []


def unescaped(override: str) -> str:
    """The same override without backslashes, where it means the same: `-m` puts in many."""
    plain = without_backslashes(override)
    parser = OverridesParser.create()
    try:
        same = parser.parse_override(plain).value() == parser.parse_override(override).value()
    except HydraException:
        return override
    return plain if same else override
