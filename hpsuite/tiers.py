"""Tiers: one experiment in several sizes, quick, full and gpu, in one file.

    tiers:
      quick:
        matrix: {model: [mlp, mlp_bn]}
        repeats: 8
      full:
        matrix: {model: [mlp, mlp_bn], model.activation: [relu, sigmoid]}
        claims: [...]

What a tier says goes over the experiment, and the command line over both. `matrix` and `blocks` of
a tier take the place of the experiment's; its `claims` are added to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpsuite.checks import UserError, refuse
from hpsuite.overrides import as_override

# Keys that a tier gives whole.
_WHOLE = ("matrix", "blocks", "title", "left_out")
# They replace each other: who sets the one sets both.
LENGTHS = frozenset({"budget.epochs", "budget.steps"})


@dataclass(frozen=True)
class Tier:
    """A tier of an experiment.

    Attributes:
        name: None for an experiment without tiers.
        overrides: what it sets, as Hydra's overrides.
        whole: keys that take the place of the experiment's.
    """

    name: str | None = None
    overrides: tuple[str, ...] = ()
    whole: Mapping[str, object] = field(default_factory=dict)


def chosen_tier(config: Mapping[str, object], overridden: Sequence[str]) -> Tier:
    """The tier that a configuration asks for; the first of its tiers where it asks for none.

    Args:
        config: the whole composed configuration.
        overridden: the keys that the command line sets, which a tier leaves alone.

    Raises:
        UserError: a tier that there is not, or tiers that are no keys with values.
    """
    asked, tiers = config.get("tier"), config.get("tiers") or {}
    if not isinstance(tiers, Mapping):
        raise refuse("tiers", tiers, "keys with values")
    if not tiers:
        if asked is not None:
            raise refuse("tier", asked, "null, as this experiment has no tiers")
        return Tier()
    name = next(iter(tiers)) if asked is None else asked
    if name not in tiers:
        raise refuse("tier", name, ", ".join(map(str, tiers)))
    tier = tiers[name] or {}
    if not isinstance(tier, Mapping):
        raise refuse(f"tiers.{name}", tier, "keys with values")
    whole = {key: tier[key] for key in _WHOLE if key in tier and key not in overridden}
    given = {key.removeprefix("matrix.") for key in overridden if key.startswith("matrix.")}
    if given and "matrix" in whole:
        whole["matrix"] = _with_axes(config, whole["matrix"], given)
    if "claims" in tier:
        own, base = tier["claims"], config.get("claims") or []
        if not isinstance(own, list) or not isinstance(base, list):
            raise refuse(f"tiers.{name}.claims", own, "a list of claims")
        whole["claims"] = [*base, *own]
    taken = {*overridden, *(LENGTHS if LENGTHS.intersection(overridden) else ())}
    plain = {key: value for key, value in tier.items() if key not in (*_WHOLE, "claims")}
    overrides = tuple(
        f"{'' if isinstance(value, str) and '.' not in key else '++'}{key}={as_override(value)}"
        for key, value in leaves(plain)
        if key not in taken
    )
    return Tier(str(name), overrides, whole)


def _with_axes(config: Mapping[str, object], matrix: object, given: set[str]) -> object:
    """A tier's matrix with the axes that the command line gives."""
    composed = config.get("matrix")
    if not isinstance(matrix, Mapping) or not isinstance(composed, Mapping):
        raise UserError("matrix: found no axes; accepted: keys, each with a list of values")
    return {**matrix, **{key: values for key, values in leaves(composed) if key in given}}


def leaves(node: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """All values by dotted key; what is empty is a value."""
    for name, value in node.items():
        key = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, key)
        else:
            yield key, value
