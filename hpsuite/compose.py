"""Hydra: composing the matrix of an experiment over the command line's own overrides.

DictConfig stops here: what goes on is plain dictionaries, to config.py.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from hpsuite.checks import UserError, refuse, show
from hpsuite.config import Arm, Settings
from hpsuite.parsing import parse_arm, parse_settings

# Axes that choose an option of a group have a place of their own in tables.
_GROUPS = ("dataset", "model", "strategy")


def config_dir() -> Path:
    """The folder conf/: inside an installed package, or beside it in a clone."""
    here = Path(__file__).resolve().parent
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parent / "conf"


def compose_experiment(overrides: Sequence[str]) -> tuple[Settings, list[Arm]]:
    """The settings and all arms of an experiment, composed and checked.

    Args:
        overrides: the command line's.

    Raises:
        UserError: on the first mistake, before anything is written.
    """
    overrides = [*overrides, *_replaced_budget(overrides)]
    config, choices = _compose(overrides)
    settings = parse_settings(config)
    arms = [
        parse_arm(cell, choices=cell_choices, variant=variant)
        for cell, cell_choices, variant in _cells(config, choices, overrides)
    ]
    labels = [arm.label for arm in arms]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"matrix: found {label} twice; accepted: each cell once")
    return settings, arms


def _cells(
    config: Mapping[str, object], choices: Mapping[str, str], overrides: Sequence[str]
) -> Iterator[tuple[Mapping[str, object], Mapping[str, str], tuple[tuple[str, str], ...]]]:
    """Each cell of the matrix: its configuration, its choices, and what else tells it apart."""
    matrix = config["matrix"]
    if not isinstance(matrix, Mapping):
        raise refuse("matrix", matrix, "keys, each with a list of values")
    taken = set(_keys(overrides))
    axes: list[list[tuple[str, object]]] = []
    for key, values in matrix.items():
        if not isinstance(values, list) or not values:
            raise refuse(f"matrix.{key}", values, "a list of one value or more")
        if key not in taken:
            axes.append([(key, value) for value in values])
    if not axes:
        yield config, choices, ()
        return
    for cell in itertools.product(*axes):
        own = [f"{key}={_typed(value)}" for key, value in cell]
        cell_config, cell_choices = _compose([*overrides, *own])
        variant = tuple((key, show(value)) for key, value in cell if key not in _GROUPS)
        yield cell_config, cell_choices, variant


def _compose(overrides: Sequence[str]) -> tuple[dict[str, object], dict[str, str]]:
    """A composed configuration as plain values, and the chosen option of each group."""
    try:
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
        assert isinstance(config, DictConfig)
        choices = {k: str(v) for k, v in config.hydra.runtime.choices.items()}
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        if "name" in str(error):
            raise UserError(
                "name: found nothing; accepted: +experiment=NAME for an experiment "
                f"({', '.join(options('experiment'))}), or name=NAME for one arm of your own"
            ) from error
        raise UserError(explain(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, choices


def explain(error: Exception) -> str:
    """An error of Hydra's or OmegaConf's as one line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return str(refuse(group, name, ", ".join(error.options)))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = lines[0].removeprefix("Could not override '").rstrip(".").removesuffix("'")
    if lines[0].startswith("Could not override '"):
        parent, _, name = key.rpartition(".")
        siblings = _siblings(parent)
        if siblings:
            where = parent or "the top level"
            return f"{key}: found no such key; accepted in {where}: {', '.join(siblings)}"
    return " ".join(lines)


def options(group: str) -> list[str]:
    """The options of a config group that come with hpsuite."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def _siblings(parent: str) -> list[str]:
    """The keys that the default configuration has at a place."""
    try:
        node = OmegaConf.select(compose("config"), parent) if parent else compose("config")
    except (HydraException, OmegaConfBaseException):
        return []
    return [str(key) for key in node] if isinstance(node, DictConfig) else []


def _keys(overrides: Sequence[str]) -> list[str]:
    """The keys that a command line sets."""
    return [o.key_or_group for o in OverridesParser.create().parse_overrides(list(overrides))]


def _replaced_budget(overrides: Sequence[str]) -> list[str]:
    """Epochs and steps replace each other: the one that is set alone takes the other's place."""
    given = {"budget.epochs", "budget.steps"}.intersection(_keys(overrides))
    if len(given) != 1:
        return []
    other = "budget.steps" if "budget.epochs" in given else "budget.epochs"
    return [f"{other}=null"]


def _typed(value: object) -> str:
    """A value of the matrix in Hydra's override grammar."""
    if isinstance(value, str):
        plain = value.replace("_", "").replace("-", "").isalnum()
        return value if plain else "'" + value.replace("'", "\\'") + "'"
    return show(value)
