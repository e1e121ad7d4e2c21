"""What a setup trains with where nothing is searched: the default of each hyperparameter.

A hyperparameter's default is the value that the setup's own configuration has for it, which the
search replaces: that of `optimizer=`, `model=` and `budget.`, or of the model's signature. It must
lie in the range that is searched, so that the search could have found it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from hpsuite.checks import defaults, resolve, show
from hpsuite.config import Setup
from hpsuite.samples import unit_of
from hpsuite.space import Hyperparameter
from hpsuite.trials import OptimizerSpec, Scalar, Value
from hpsuite.values import layer_of

_WHOLE = ("integer", "log_integer", "power_of_two")


@dataclass(frozen=True)
class Untuned:
    """The default configuration of a setup.

    Attributes:
        values: the defaults by name, of hyperparameters that have one in their range.
        point: all of them as the record has them, in order of their stored names; None where one
            has no default.
        units: the defaults in [0, 1], each on its hyperparameter's own scale.
        reasons: by name, why a hyperparameter has no default.
    """

    values: Mapping[str, Scalar]
    point: tuple[Scalar, ...] | None
    units: Mapping[str, float]
    reasons: Mapping[str, str]

    @property
    def reason(self) -> str:
        """Why there is no default configuration, in words; empty where there is one."""
        return "; ".join(self.reasons.values())


def untuned(setup: Setup) -> Untuned:
    """The default configuration of a setup, as far as there is one."""
    values: dict[str, Scalar] = {}
    reasons: dict[str, str] = {}
    for h in setup.space.hyperparameters:
        found = _own(setup, h.name)
        if isinstance(found, _Missing):
            reasons[h.name] = f"{h.name} has no default: {found.reason}"
            continue
        value = _in_range(h, found)
        if isinstance(value, _Missing):
            reasons[h.name] = f"the default of {h.name}, {show(found)}, is {value.reason}"
            continue
        values[h.name] = value
    point = None
    if not reasons:
        stored = {h.stored_name: h.stored(values[h.name]) for h in setup.space.hyperparameters}
        point = tuple(stored[name] for name in sorted(stored))
    known = [h for h in setup.space.hyperparameters if h.name in values]
    return Untuned(values, point, {h.name: unit_of(h, values[h.name]) for h in known}, reasons)


@dataclass(frozen=True)
class _Missing:
    """No value, and why."""

    reason: str


def _own(setup: Setup, name: str) -> Value | _Missing:
    """The value that a setup has of a hyperparameter where it is not searched."""
    if name in {f.name for f in fields(OptimizerSpec)}:
        own: Value = getattr(setup.optimizer, name)
        return own
    if name == "batch_size":
        return setup.batch_size
    if name in ("epochs", "steps"):
        length: int | None = getattr(setup, name)
        return _Missing(f"budget.{name} is not set") if length is None else length
    target = setup.model.target
    arguments = {**defaults(resolve("model._target_", target)), **dict(setup.model.arguments)}
    place = layer_of(target, name)
    argument = name if place is None else place.argument
    if argument not in arguments:
        return _Missing(f"{setup.model_name} has none")
    value = arguments[argument]
    if place is not None and isinstance(value, list | tuple):
        if place.layer > len(value):
            return _Missing(f"the default network has no layer {place.layer}")
        value = value[place.layer - 1]
    if isinstance(value, list):
        value = tuple(value)
    if value is None or isinstance(value, bool | int | float | str | tuple):
        return value
    return _Missing(f"that of {setup.model_name} is no plain value")


def _in_range(h: Hyperparameter, value: Value) -> Scalar | _Missing:
    """A default as a value of its hyperparameter, or what is wrong with it."""
    if h.choices is not None:
        # True is 1 to Python.
        same = [
            c for c in h.choices if c == value and isinstance(c, bool) == isinstance(value, bool)
        ]
        return same[0] if same else _Missing(f"none of {', '.join(show(c) for c in h.choices)}")
    assert h.low is not None
    assert h.high is not None
    outside = _Missing(f"outside of its range, {h.low:g} to {h.high:g}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return _Missing("no number")
    if not h.low <= value <= h.high:
        return outside
    if h.scale not in _WHOLE:
        return float(value)
    if value != int(value):
        return _Missing("no integer")
    if h.scale == "power_of_two" and int(value).bit_count() != 1:
        return _Missing("no power of two")
    return int(value)
