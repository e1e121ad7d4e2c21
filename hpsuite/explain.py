"""Hydra's and OmegaConf's errors as one line each: the key, what was found, what is accepted."""

import re
from collections.abc import Sequence

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from hpsuite.checks import UserError, brief, one_line, refuse
from hpsuite.parsing import ARM_GROUPS

# What Hydra says where a key, or a choice of a group, is not there to be changed.
_NOT_THERE = re.compile(r"Could not (?:override|append to config|delete|delete from config)\b")
_NEEDED = re.compile(r"You must specify '([^']+)'")
# Hydra looks for a key as for a file, whose name cannot be longer.
_LONGEST_KEY = 250
_KEY = re.compile(r"'([^'=]+)[^']*'")
_LAUNCHERS = "pip install 'hpsuite[launchers]'"
_RAY = "pip install hydra-ray-launcher"


def explain(error: Exception, overrides: Sequence[str], config_name: str = "config") -> str:
    """An error of composition as one line. Hydra must be initialised.

    Args:
        error: what was raised.
        overrides: the command line's.
        config_name: of the file that holds the defaults.
    """
    first = str(error).strip().partition("\n")[0].rstrip(".")
    if line := _beside_an_axis(overrides, config_name):
        return line
    if isinstance(error, MissingMandatoryValue):
        return _missing(error, overrides)
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {first}; accepted: a key of the configuration, or oc.env:NAME"
    if needed := _NEEDED.match(first):  # a group whose option was overridden by `???`
        return str(refuse(needed[1], "???", ", ".join(_options(needed[1])) or "an option"))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_option(error.missing_cfg_file, error.options or ())
    if isinstance(error, UnicodeDecodeError):
        return f"found a configuration file that is not text ({first}); accepted: YAML in UTF-8"
    if hasattr(error, "problem_mark"):  # the YAML parser's, which names the file and the line
        return f"{one_line(error)}; accepted: a YAML file"
    return _in_a_file(error) or _bad_override(error, overrides, config_name) or one_line(error)


def _no_option(path: str, options: Sequence[str]) -> str:
    """The line for a group's option that there is not; it may have been looked for in a folder."""
    group, _, name = path.rpartition("/")
    while "/" in group and not _options(group):
        group, _, folder = group.rpartition("/")
        name = f"{folder}/{name}"
    accepted = ", ".join(options) or "no option"
    if group == "hydra/launcher":
        accepted = f"{accepted}; joblib and submitit_... come with {_LAUNCHERS}, ray with {_RAY}"
    return str(refuse(group or "defaults", _unescaped(name), accepted))


def _unescaped(option: str) -> str:
    """A group's option as it was meant; Hydra leaves an escaped `${` of it as it was typed."""
    return option.replace(r"\${", "${")


def _in_a_file(error: Exception) -> str:
    """The line for what a file holds that cannot be read or merged; empty for another error."""
    told = error
    while not str(told).strip() and isinstance(told.__cause__, Exception):  # Hydra has no words
        told = told.__cause__
    if told is not error and not one_line(told).startswith("Cannot merge"):
        reason, _, where = str(told).partition("full_key: ")
        key = where.partition("\n")[0] or "a file"
        accepted = "a text in which ${KEY} stands for that of another key, and \\${ for itself"
        return f"{key}: found what cannot be read ({brief(reason.strip())}); accepted: {accepted}"
    file, composing, reason = one_line(told).partition(" raised while composing config: ")
    file = file.removeprefix("In '").partition("'")[0] if composing else "experiment"
    if (reason or one_line(told)).startswith("Cannot merge"):
        found = "a list in the place of keys with values, or these in the place of a list"
        accepted = "keys with values for a group, matrix and tiers; lists for blocks and claims"
        return f"{file}: found {found}; accepted: {accepted}"
    if composing:
        return f"{file}: cannot be composed ({reason}); accepted: a file of keys with values"
    return ""


def _bad_override(error: Exception, overrides: Sequence[str], config_name: str) -> str:
    """The line for what Hydra says of an override."""
    lines = [line.rstrip(".") for line in str(error).splitlines() if line] or [""]
    first = lines[0]
    if isinstance(error, OverrideParseException):
        # Hydra's first line repeats the override where its second says what is wrong.
        reason = next(line for line in lines if not line.startswith("Error parsing override"))
        return (
            f"{brief(str(error.override))}: cannot be read ({brief(reason)}); accepted: key=value, "
            "with values that hold spaces or signs quoted twice, as in 'title=\"two words\"'; in a "
            "key within {...} each space and each of \\ ( ) [ ] { } : = , has a backslash before "
            "it, as in 'params={learning\\ rate: log}'"
        )
    if first.startswith("Ambiguous value for argument"):
        key, _, values = first.partition("'")[2].rstrip("'").partition("=")
        axis = f"matrix.{key}=[{brief(values)}] to compare them, "
        axis = axis if key.partition(".")[0] in ARM_GROUPS else ""
        return f"{key}: found several values; accepted: one, {axis}or -m to run them in turn"
    if first.startswith("Multiple values for "):
        group = first.removeprefix("Multiple values for ").partition(".")[0]
        return f"{group}: found a second choice; accepted: {group}=OPTION, which replaces the first"
    if first.startswith("force-add of config groups"):
        asked = first.rpartition(": ")[2].strip("'")
        return f"{asked}: found ++ with a group; accepted: {asked.lstrip('+')}"
    if "already at" in first:
        key = first.rpartition(" ")[2].strip("'")
        return f"{key}: found +{key}, and the key is there already; accepted: {key}=VALUE"
    if first.startswith("Error merging override "):
        key, _, value = first.removeprefix("Error merging override ").partition("=")
        accepted = "a list" if value.startswith("{") else "keys with values"
        return f"{key.lstrip('+')}: found {brief(value)}; accepted: {accepted}"
    return _not_there(_key(first), overrides, config_name) if _NOT_THERE.match(first) else ""


def check_choices(overrides: Sequence[str]) -> None:
    """Check that what a command line chooses of a group is one of its options, by name.

    Hydra itself takes a list, and merges its options; and a path that leads out of its folders.

    Raises:
        UserError: something else.
    """
    for override in _parsed(overrides):
        group = override.key_or_group
        if not group:
            raise refuse("override", override.input_line, "key=value")
        if len(group) > _LONGEST_KEY:
            found = f"a key of {len(group):,} characters"
            raise UserError(f"{brief(group)}: found {found}; accepted: at most {_LONGEST_KEY}")
        if override.is_delete() or override.is_sweep_override():  # which Hydra itself refuses
            continue
        options, value = _options(group), override.value()
        named = _is_name(value) if isinstance(value, str) else isinstance(value, dict)
        if options and not named:
            value = _unescaped(value) if isinstance(value, str) else value
            raise refuse(group, value, ", ".join(options))


def _is_name(text: str) -> bool:
    """Whether a text can name a file in a group's folder, or in one within it."""
    return text.isprintable() and all(
        part.strip(". ") and len(part) <= _LONGEST_KEY for part in text.split("/")
    )


def _missing(error: MissingMandatoryValue, overrides: Sequence[str]) -> str:
    if error.full_key == "name":
        if chosen := _chosen("experiment", overrides):
            return (
                f"name: found nothing in experiment={chosen}; accepted: name: NAME in its file, "
                "whose first line is # @package _global_"
            )
        return (
            "name: found nothing; accepted: +experiment=NAME for an experiment "
            f"({', '.join(_options('experiment'))}), or name=NAME for one arm of your own"
        )
    return f"{error.full_key}: found nothing; accepted: a value"


def _not_there(key: str, overrides: Sequence[str], config_name: str) -> str:
    if key == "experiment":
        return f"experiment: found no +; accepted: +experiment=NAME ({', '.join(_options(key))})"
    parent, _, _ = key.rpartition(".")
    option = _chosen(parent, overrides)
    where = f"in {parent}{option and f'={option}'}" if parent else "at the top level"
    siblings = _siblings(parent, overrides, config_name)
    if not siblings:
        return f"{key}: found no such key; accepted: none {where}"
    line = f"{key}: found no such key; accepted {where}: {', '.join(siblings)}"
    if option or parent not in _axes(overrides, config_name):
        return line
    # What stands outside of the matrix is composed with the option that is chosen without one.
    return f"{line}; of options of matrix.{parent}: 'matrix={{{parent}: [...], {key}: [...]}}'"


def _chosen(group: str, overrides: Sequence[str]) -> str:
    """The option that the command line chooses of a group; empty where it chooses none."""
    chosen = [o.value() for o in _parsed(overrides) if o.key_or_group == group]
    return next((text for text in reversed(chosen) if isinstance(text, str)), "")


def _axes(overrides: Sequence[str], config_name: str) -> set[str]:
    """The axes of the matrix that choose options."""
    parsed = _parsed(overrides)
    typed = {o.key_or_group.removeprefix("matrix.") for o in parsed if "matrix." in o.key_or_group}
    return typed | set(_siblings("matrix", overrides, config_name))


def _beside_an_axis(overrides: Sequence[str], config_name: str) -> str:
    """The line for an axis of keys within a group that has an axis itself; empty where none is.

    A dot on the command line leads into what is there, and a list of options has no keys.
    """
    keys = [o.key_or_group for o in _parsed(overrides)]
    if not any(key.startswith("matrix.") and key.count(".") > 1 for key in keys):
        return ""
    others = [o for o, key in zip(overrides, keys, strict=False) if key.count(".") < 2]
    try:
        matrix = OmegaConf.select(compose(config_name, overrides=others), "matrix")
    except (HydraException, OmegaConfBaseException):
        return ""
    axes = set(matrix) if isinstance(matrix, DictConfig) else set()
    for key in keys:
        start, _, axis = key.partition(".")
        group = axis.partition(".")[0]
        if start == "matrix" and group != axis and group in axes:
            return (
                f"{key}: found an axis beside matrix.{group}; accepted: both in braces, as in "
                f"'matrix={{{group}: [...], {axis}: [...]}}'"
            )
    return ""


def _siblings(parent: str, overrides: Sequence[str], config_name: str) -> list[str]:
    """The keys at a place, with the options that the command line chooses."""
    chosen = [
        str(override.input_line)
        for override in _parsed(overrides)
        if isinstance(override.value(), str) and override.value() in _options(override.key_or_group)
    ]
    try:
        config = compose(config_name, overrides=chosen)
        node = OmegaConf.select(config, parent) if parent else config
    except (HydraException, OmegaConfBaseException):
        return []
    return [str(key) for key in node] if isinstance(node, DictConfig) else []


def _parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return []


def _options(group: str) -> list[str]:
    return list(GlobalHydra.instance().config_loader().get_group_options(group))


def _key(text: str) -> str:
    found = _KEY.search(text)
    return found[1] if found else text
