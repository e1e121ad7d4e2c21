"""From the unit interval to the values of an Optuna distribution, and back.

On a distribution's `own` scale, equal parts of [0, 1] are equal parts of the range as the
distribution declares it: of the logarithm where it says `log=True`, else of the value. On the
`linear` scale they are equal parts of the raw value, whatever the distribution says. Whole numbers
and stepped ranges are cut into one cell a value; choices are equal cells on either scale.
"""

import math
from typing import Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Scale = Literal["own", "linear"]
Value = bool | int | float | str | None


def check_scale(scale: str) -> None:
    """Raise ValueError where `scale` is neither `own` nor `linear`."""
    if scale not in {"own", "linear"}:
        raise ValueError(f"scale: found {scale!r}; accepted: 'own' or 'linear'")


def on_log_scale(distribution: BaseDistribution, scale: Scale) -> bool:
    """Whether equal parts of the unit interval are equal parts of the logarithm."""
    declared = isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log
    return declared and scale == "own"


def n_levels(distribution: BaseDistribution) -> int | None:
    """How many different values a distribution has; None where they are a continuum."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    assert isinstance(distribution, FloatDistribution), distribution
    if distribution.low == distribution.high:
        return 1
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1


def level(distribution: BaseDistribution, index: int) -> Value:
    """The value number `index`, in [0, n_levels), of a distribution that has levels."""
    n = n_levels(distribution)
    assert n is not None, distribution
    assert 0 <= index < n, (index, n)
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    if isinstance(distribution, IntDistribution):
        return distribution.low + index * distribution.step
    assert isinstance(distribution, FloatDistribution), distribution
    # Adding up steps may round past the end, or end just below it.
    if index == n - 1:
        return distribution.high
    return distribution.low + index * (distribution.step or 0.0)


def to_value(distribution: BaseDistribution, unit: float, scale: Scale) -> Value:
    """The value at a point of the unit interval.

    Args:
        distribution: of Optuna: float, int or categorical.
        unit: in [0, 1]; of a continuous range, 0 is exactly its low end and 1 its high end.
        scale: `own` or `linear` (see the module).

    Returns:
        A float in [low, high], an int in [low, high] on the step, or one of the choices. A uniform
        `unit` makes all ints equally likely on the linear scale; on the logarithmic one, an int i
        has the share of [i - 1/2, i + 1/2] in [log(low - 1/2), log(high + 1/2)].
    """
    assert 0 <= unit <= 1, unit
    n = n_levels(distribution)
    log = on_log_scale(distribution, scale)
    if n is not None and not log:
        return level(distribution, min(int(unit * n), n - 1))
    assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        whole = round(math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), unit)))
        return min(max(whole, distribution.low), distribution.high)
    # exp(log(x)) may differ from x in the last bit, and the ends are part of the range.
    if unit in {0.0, 1.0}:
        return high if unit else low
    value = (
        math.exp(_between(math.log(low), math.log(high), unit))
        if log
        else _between(low, high, unit)
    )
    return min(max(value, low), high)


def to_unit(distribution: BaseDistribution, value: Value, scale: Scale) -> float:
    """The point of the unit interval at which a value lies; values outside go to the nearest end.

    Of an int on a linear scale, a stepped float or a choice it is the middle of its cell, so that
    `to_value(distribution, to_unit(distribution, value, scale), scale)` gives the value back.

    Args:
        distribution: of Optuna: float, int or categorical.
        value: a value of it, as in `trial.params`.
        scale: `own` or `linear` (see the module).

    Returns:
        A float in [0, 1].

    Raises:
        ValueError: a categorical value that is not among the choices.
    """
    n = n_levels(distribution)
    if isinstance(distribution, CategoricalDistribution):
        assert n is not None
        return (distribution.to_internal_repr(value) + 0.5) / n
    assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
    assert isinstance(value, int | float), value
    if n == 1:
        return 0.5
    low, high = float(distribution.low), float(distribution.high)
    number = min(max(float(value), low), high)
    if on_log_scale(distribution, scale):
        half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
        low, high, number = math.log(low - half), math.log(high + half), math.log(number)
    elif n is not None:
        step = distribution.step or 1.0
        return (round((number - low) / step) + 0.5) / n
    # Halves, for the same reason as in _between.
    return min(max((number / 2 - low / 2) / (high / 2 - low / 2), 0.0), 1.0)


def _between(low: float, high: float, unit: float) -> float:
    # Not low + unit (high - low), which overflows where the range is as wide as the floats.
    return low * (1 - unit) + high * unit
