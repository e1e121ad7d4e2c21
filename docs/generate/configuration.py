"""docs/reference/config.md: every group, option and key of the configuration."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from optuna.samplers import BaseSampler

from docs.generate.schema import accepted, attributes, comments, parameters, show_plain
from docs.generate.tables import table
from hpsuite.analyze import AnalyzeSettings
from hpsuite.checks import defaults, resolve
from hpsuite.config import (
    AnalysisConfig,
    Budget,
    Counts,
    ExecutorConfig,
    MiniBatch,
    Settings,
    TrackingConfig,
)
from hpsuite.datasets import prepare
from hpsuite.declared import STATISTICS, Declared
from hpsuite.foreign.request import Request
from hpsuite.overrides import config_dir
from hpsuite.parsing_space import TO_MODEL
from hpsuite.space import Hyperparameter
from hpsuite.strategies import PerTrialSeeded, PlannedSampler
from hpsuite.sync import SyncSettings
from hpsuite.tiers import leaves
from hpsuite.trials import Numerics, OptimizerSpec

CONF = config_dir()
# Given by hpsuite itself.
_TO_SAMPLER = ("search_space", "n_trials", "seed", "defaults", "factory", "self")
_TO_DATASET = ("data_dir", "source", "split_seed")

_WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def page() -> str:
    """The page."""
    parts = [
        _WORDS["head"].strip(),
        _settings(),
        _datasets(),
        _models(),
        _optimizers(),
        _spaces(),
        _strategies(),
    ]
    parts += [_small("budget", Budget), _small("executor", ExecutorConfig)]
    parts += [_small("tracking", TrackingConfig), _experiments(), _claims()]
    parts += [_special("analyze", Request, AnalyzeSettings), _special("sync", SyncSettings)]
    return "\n\n".join(parts) + "\n"


def options(group: str) -> dict[str, Path]:
    """The files of a group by option."""
    return {path.stem: path for path in sorted((CONF / group).glob("*.yaml"))}


def loaded(group: str, option: str) -> dict[str, Any]:
    """An option's keys, with those of the options that it builds on."""
    node = yaml.safe_load((CONF / group / f"{option}.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for base in node.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":
            found |= loaded(group, base)
    return found | node


def base_of(group: str, option: str) -> str | None:
    """The option that another one builds on."""
    node = yaml.safe_load((CONF / group / f"{option}.yaml").read_text(encoding="utf-8"))
    return next((base for base in node.get("defaults", []) if base != "_self_"), None)


def said(group: str, option: str) -> dict[str, str]:
    """The comment above each key, of the option or of those that it builds on."""
    base = base_of(group, option)
    earlier = said(group, base) if base is not None else {}
    return earlier | comments(options(group)[option])[1]


def _options(group: str) -> str:
    """A table of a group's options."""
    rows = []
    for option, path in options(group).items():
        what, base = comments(path)[0], base_of(group, option)
        own = yaml.safe_load(path.read_text(encoding="utf-8"))
        own.pop("defaults", None)
        sets = ", ".join(f"`{key}: {show_plain(value)}`" for key, value in leaves(own))
        rows.append(
            [f"`{group}={option}`", what, f"as `{base}`" + (f", with {sets}" if sets else "")]
        )
        if base is None:
            rows[-1][2] = ""
    if not any(row[2] for row in rows):
        return table(["option", "what it is"], [row[:2] for row in rows])
    return table(["option", "what it is", "from"], rows)


def _keys(
    prefix: str,
    accepts: Mapping[str, object],
    values: Mapping[str, Mapping[str, object]],
    words: Mapping[str, str],
    otherwise: Mapping[str, object],
) -> str:
    """A table of keys.

    Args:
        prefix: the group's name and a dot.
        accepts: annotation by key.
        values: by option and key, what its file has.
        words: what each key is.
        otherwise: defaults of keys that no file has.
    """
    rows = [
        [
            f"`{prefix}{key}`",
            accepted(annotation),
            _values(
                {option: found.get(key, _MISSING) for option, found in values.items()},
                key,
                otherwise,
            ),
            words.get(key, ""),
        ]
        for key, annotation in accepts.items()
    ]
    return table(["key", "accepted", "default", "what it is"], rows)


_MISSING = object()


def _values(by_option: Mapping[str, object], key: str, otherwise: Mapping[str, object]) -> str:
    """A key's value in each option: once where all agree."""
    texts: dict[str, list[str]] = {}
    for option, value in by_option.items():
        if value is not _MISSING:
            texts.setdefault("needed" if value == "???" else f"`{show_plain(value)}`", []).append(
                option
            )
    if not texts:
        return f"`{show_plain(otherwise[key])}`" if key in otherwise else "needed"
    if len(texts) == 1:
        return next(iter(texts))
    return "; ".join(f"{text} ({', '.join(of)})" for text, of in texts.items())


def _settings() -> str:
    """Keys of the top level, and of analysis and numerics."""
    config = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    words = comments(CONF / "config.yaml")[1]
    parts = ["## Top level", "Defaults of groups: " + _default_groups(config) + "."]
    kinds: tuple[Callable[..., object], ...] = (Settings, Counts)
    accepts = {name: note for kind in kinds for name, note in parameters(kind, ()).items()}
    for name in ("executor", "tracking", "analysis", "claims"):
        del accepts[name]
    spelled = {"tier", "left_out", *accepts}
    docs = attributes(Settings) | words
    own = {key: value for key, value in config.items() if key in spelled}
    parts.append(_keys("", accepts, {"config": own}, docs, {}))
    rows = [[f"`{key}`", words[key]] for key in ("matrix", "blocks", "tiers", "claims")]
    parts.append(table(["key", "what it is"], rows))
    for name, kind in (("analysis", AnalysisConfig), ("numerics", Numerics)):
        documented = attributes(kind) | _under(words, name)
        table_of = _keys(
            f"{name}.", parameters(kind, ()), {name: config[name]}, documented, defaults(kind)
        )
        parts += [f"### {name}", table_of]
    return "\n\n".join(parts)


def _default_groups(config: Mapping[str, Any]) -> str:
    chosen = (entry for entry in config["defaults"] if isinstance(entry, dict))
    pairs = [next(iter(entry.items())) for entry in chosen]
    return ", ".join(f"`{g}={o}`" for g, o in pairs if not g.startswith("override"))


def _under(words: Mapping[str, str], name: str) -> dict[str, str]:
    return {
        key.removeprefix(f"{name}."): text
        for key, text in words.items()
        if key.startswith(f"{name}.")
    }


def _by_target(group: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """The options of a group by `_target_`."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for option in options(group):
        keys = loaded(group, option)
        found.setdefault(str(keys.pop("_target_", "")), {})[option] = keys
    yield from found.items()


def _datasets() -> str:
    parts = ["## dataset", "What must lie where: [data](../data.md).", _options("dataset")]
    split = parameters(prepare, _TO_DATASET)
    everywhere = [[f"`dataset.{k}`", accepted(a), attributes(prepare)[k]] for k, a in split.items()]
    parts.append("Keys of all data sets:")
    parts.append(table(["key", "accepted", "what it is"], everywhere))
    for target, by_option in _by_target("dataset"):
        function = resolve("dataset._target_", target)
        own = {k: a for k, a in parameters(function, _TO_DATASET).items() if k not in split}
        (option,) = list(by_option)[:1]
        words = attributes(function) | said("dataset", option)
        used = ", ".join(f"`{option}`" for option in by_option)
        rows = [
            [f"`dataset.{k}`", _values({o: v[k] for o, v in by_option.items()}, k, {})]
            for k in split
        ]
        parts.append(f"### {used}\n\n{table(['key', 'default'], rows)}")
        if own:
            parts.append(_keys("dataset.", own, by_option, words, defaults(function)))
    return "\n\n".join(parts)


def _models() -> str:
    parts = ["## model", "More of each: [models](../models.md).", _options("model")]
    for target, by_option in _by_target("model"):
        function = resolve("model._target_", target)
        option = next(iter(by_option))
        words = attributes(function) | said("model", option)
        words["sigma"] = "Deviation of the first weights, where `initialization` is `gaussian`."
        first = {option: by_option[option]}
        parts.append(f"### {option}, and its twins")
        parts.append(
            _keys("model.", parameters(function, TO_MODEL), first, words, defaults(function))
        )
    return "\n\n".join(parts)


def _optimizers() -> str:
    (by_option,) = (found for _, found in _by_target("optimizer"))
    accepts = parameters(OptimizerSpec, ()) | parameters(MiniBatch, ())
    words = attributes(OptimizerSpec) | {"batch_size": "Rows of a mini-batch."}
    head = "Formulas: [hyperparameters](../hyperparameters.md). `kind` comes with the option."
    return "\n\n".join(
        [
            "## optimizer",
            head,
            _options("optimizer"),
            _keys("optimizer.", accepts, by_option, words, {}),
        ]
    )


def _spaces() -> str:
    words = attributes(Hyperparameter)
    accepts = parameters(Hyperparameter, ("name",))
    parts = [
        "## space",
        "What each hyperparameter is: [hyperparameters](../hyperparameters.md). An entry is a name "
        "with these keys:",
        _keys("space.NAME.", accepts, {}, words, defaults(Hyperparameter)),
    ]
    for option, path in options("space").items():
        what, notes = comments(path)
        rows = []
        for name, entry in loaded("space", option).items():
            scale = str(entry["scale"])
            over = (
                show_plain(entry["choices"])
                if "choices" in entry
                else f"{entry['low']} to {entry['high']}"
            )
            rows.append([f"`{name}`", scale, over, notes.get(name, "")])
        parts.append(
            f"### {option}\n\n{what}\n\n{table(['hyperparameter', 'scale', 'over', 'why'], rows)}"
        )
    return "\n\n".join(parts)


def _strategies() -> str:
    parts = [
        "## strategy",
        "When to take which: [strategies](../samplers.md).",
        _options("strategy"),
    ]
    for target, by_option in _by_target("strategy"):
        sampler = resolve("strategy._target_", target)
        names = ", ".join(f"`{option}`" for option in by_option)
        flat = {option: dict(leaves(keys)) for option, keys in by_option.items()}
        words = attributes(sampler)
        for option in by_option:
            words |= said("strategy", option)
        accepts = dict(_of_sampler(sampler, {k for keys in flat.values() for k in keys}))
        parts.append(f"### {names}\n\n`{target}`")
        if not (isinstance(sampler, type) and issubclass(sampler, PlannedSampler)):
            parts[-1] += ", which takes its other arguments as keys, too"
        parts[-1] += "."
        for keys in by_option.values():
            if "pruner" in keys:
                pruner = parameters(resolve("strategy.pruner", keys["pruner"]["_target_"]), ())
                accepts |= {
                    f"pruner.{key}": a for key, a in pruner.items() if key in keys["pruner"]
                }
                accepts |= {"pruner._target_": str, "cohort": int}
        own = defaults(sampler) | defaults(PerTrialSeeded)
        if accepts:
            parts.append(_keys("strategy.", accepts, flat, words, own))
    return "\n\n".join(parts)


def _of_sampler(sampler: Callable[..., object], written: set[str]) -> Iterator[tuple[str, object]]:
    """Keys of a sampler: all of hpsuite's own; of others those that a file of ours has."""
    asking = parameters(PerTrialSeeded, _TO_SAMPLER)
    is_foreign = isinstance(sampler, type) and issubclass(sampler, BaseSampler)
    is_foreign = is_foreign and not issubclass(sampler, PlannedSampler)  # type: ignore[arg-type]
    for name, annotation in parameters(sampler, _TO_SAMPLER).items():
        if name in written or not is_foreign:
            yield name, annotation
    for name in sorted(written):
        if name in asking:
            yield name, asking[name]


def _small(group: str, kind: Callable[..., object]) -> str:
    """A group with one class."""
    by_option = {option: loaded(group, option) for option in options(group)}
    words = attributes(kind) | (_WORDS["budget"] if kind is Budget else {})
    for option in by_option:
        words |= said(group, option)
    parts = [f"## {group}"]
    if len(by_option) > 1:
        parts.append(_options(group))
    parts.append(_keys(f"{group}.", parameters(kind, ()), by_option, words, defaults(kind)))
    return "\n\n".join(parts)


def _experiments() -> str:
    rows = []
    for name, path in options("experiment").items():
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
        tiers = ", ".join(f"`{tier}`" for tier in node.get("tiers", {}))
        rows.append([f"`+experiment={name}`", node["title"], tiers])
    listed = table(["option", "asks", "tiers, the first is the default"], rows)
    return f"## experiment\n\nAny key above may stand in one ([claims](../claims.md)).\n\n{listed}"


def _claims() -> str:
    words = attributes(Declared)
    needed = {f.name: f for f in fields(Declared)}
    accepts = parameters(Declared, ())
    rows = [
        [f"`{name}`", accepted(a), words.get(name, "")]
        for name, a in accepts.items()
        if name in needed
    ]
    listed = ", ".join(f"`{name}` ({unit})" for name, unit in STATISTICS.items())
    keys = table(["key", "accepted", "what it is"], rows)
    return (
        "### claims\n\nThe entries of `claims:` in an experiment ([how](../claims.md)).\n\n"
        f"{keys}\n\nStatistics, with their units: {listed}."
    )


def _special(name: str, *kinds: Callable[..., object]) -> str:
    """Keys of an experiment that trains nothing."""
    path = CONF / "experiment" / f"{name}.yaml"
    node = yaml.safe_load(path.read_text(encoding="utf-8"))
    words = comments(path)[1]
    own: dict[str, object] = {}
    for kind in kinds:
        words = attributes(kind) | words
        own |= {k: a for k, a in parameters(kind, ()).items() if k not in own}
    accepts = {k: a for k, a in own.items() if k in node and k not in ("name", "title")}
    how = {"analyze": "[your own trials](../analyze.md)", "sync": "[MLflow](../mlflow.md)"}[name]
    return f"### {name}\n\n{how}.\n\n{_keys('', accepts, {name: node}, words, {})}"
