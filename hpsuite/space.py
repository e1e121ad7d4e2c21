"""The search space: hyperparameters, each with its range and scale, as Optuna distributions.

Two scales have no distribution of Optuna's own. On the log of 1 - x, `momentum` is stored as
`one_minus_momentum` on a log scale; of powers of two, `batch_size` is stored as `log2_batch_size`,
an integer. Both are shown everywhere else under their own names.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpsuite.checks import brief, show
from hpsuite.trials import Scalar

Scale = Literal[
    "linear", "log", "one_minus_log", "integer", "log_integer", "power_of_two", "choice"
]
SCALES: tuple[Scale, ...] = get_args(Scale)

_WHOLE = ("integer", "log_integer", "power_of_two")

# What stands before the name in Optuna's record, where what is stored is not the value itself.
_PREFIXES: dict[Scale, str] = {"one_minus_log": "one_minus_", "power_of_two": "log2_"}


@dataclass(frozen=True)
class Hyperparameter:
    """One dimension of a search space.

    Attributes:
        name: the field of the trial that it sets, such as `learning_rate`.
        scale: `linear` and `log` over [low, high]; `one_minus_log` is log in 1 - x, for x < 1;
            `integer` and `log_integer` over the integers from low to high; `power_of_two` over
            the powers of two among them, each as likely; `choice` of `choices`.
        low, high: both ends, inclusive, low < high; None for a choice.
        choices: the values of a choice, at least one.

    Raises:
        ValueError: naming the key, what was found and what is accepted.
    """

    name: str
    scale: Scale
    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] | None = None

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(self._refuse("scale", self.scale, ", ".join(SCALES)))
        if self.scale == "choice":
            if not self.choices or self.low is not None or self.high is not None:
                raise ValueError(
                    self._refuse("choices", self.choices, "a list of values, without low and high")
                )
            if len(set(self.choices)) < len(self.choices):
                raise ValueError(self._refuse("choices", list(self.choices), "each value once"))
            return
        if self.choices is not None:
            raise ValueError(self._refuse("choices", list(self.choices), f"none for {self.scale}"))
        self._check_ends()

    def _check_ends(self) -> None:
        for end, value in (("low", self.low), ("high", self.high)):
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ValueError(self._refuse(end, value, "a number"))
            if not math.isfinite(value):
                raise ValueError(self._refuse(end, value, "a finite number"))
            if self.scale in _WHOLE and value != int(value):
                raise ValueError(self._refuse(end, value, "an integer"))
            if self.scale == "power_of_two" and (value < 1 or int(value).bit_count() != 1):
                raise ValueError(self._refuse(end, value, "a power of two: 1, 2, 4, 8, ..."))
        assert self.low is not None
        assert self.high is not None
        if self.low >= self.high:
            found = f"{self.low} with high {self.high}"
            raise ValueError(self._refuse("low", found, "less than high"))
        if self.scale in ("log", "log_integer") and self.low <= 0:
            accepted = f"more than 0 on a {self.scale} scale, which has no 0"
            raise ValueError(self._refuse("low", self.low, accepted))
        if self.scale == "one_minus_log" and self.high >= 1:
            raise ValueError(self._refuse("high", self.high, "less than 1, as 1 - x is on a log"))

    def _refuse(self, key: str, found: object, accepted: str) -> str:
        shown = found if isinstance(found, str) else show(found)
        text = "nothing" if found is None else brief(shown)
        return f"space.{self.name}.{key}: found {text}; accepted: {accepted}"

    @property
    def stored_name(self) -> str:
        """Its name in Optuna's record."""
        return _PREFIXES.get(self.scale, "") + self.name

    def distribution(self) -> BaseDistribution:
        """What Optuna samples: on the hyperparameter's own scale."""
        if self.scale == "choice":
            assert self.choices is not None
            return CategoricalDistribution(self.choices)
        assert self.low is not None
        assert self.high is not None
        if self.scale in ("integer", "log_integer"):
            return IntDistribution(int(self.low), int(self.high), log=self.scale == "log_integer")
        if self.scale == "power_of_two":
            return IntDistribution(_log2(self.low), _log2(self.high))
        if self.scale == "one_minus_log":
            return FloatDistribution(_one_minus(self.high), _one_minus(self.low), log=True)
        return FloatDistribution(self.low, self.high, log=self.scale == "log")

    def value(self, stored: Scalar) -> Scalar:
        """The hyperparameter's own value, from the one in Optuna's record."""
        if self.scale == "one_minus_log":
            assert isinstance(stored, int | float)
            assert self.low is not None
            assert self.high is not None
            return min(max(1 - stored, self.low), self.high)
        if self.scale == "power_of_two":
            assert isinstance(stored, int)
            return 1 << stored
        return stored

    def stored(self, value: Scalar) -> Scalar:
        """The value in Optuna's record, from the hyperparameter's own."""
        if self.scale == "one_minus_log":
            assert isinstance(value, int | float)
            assert self.low is not None
            assert self.high is not None
            # 1 - .9999 is less than .0001 by rounding.
            return min(max(1 - value, _one_minus(self.high)), _one_minus(self.low))
        if self.scale == "power_of_two":
            assert isinstance(value, int)
            return _log2(value)
        return value

    def holds(self, value: object) -> bool:
        """Whether a trial of this space can have a value, of the hyperparameter's own."""
        if self.choices is not None:
            is_bool = isinstance(value, bool)  # which equals 0 or 1
            return any(isinstance(c, bool) == is_bool and c == value for c in self.choices)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        assert self.low is not None
        assert self.high is not None
        if not self.low <= value <= self.high:
            return False
        is_whole = self.scale not in _WHOLE or value == int(value)
        return is_whole and (self.scale != "power_of_two" or int(value).bit_count() == 1)

    def described(self) -> str:
        """Its range in words."""
        if self.choices is not None:
            return f"its choices, {', '.join(map(str, self.choices))}"
        kinds = {"power_of_two": "the powers of two from ", "integer": "the integers from "}
        kinds["log_integer"] = kinds["integer"]
        return f"{kinds.get(self.scale, '')}{self.low:g} to {self.high:g}"

    def ends(self) -> tuple[Scalar, ...]:
        """Values that stand for the whole range when a setting is checked."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None
        assert self.high is not None
        if self.scale in _WHOLE:
            return int(self.low), int(self.high)
        return float(self.low), float(self.high)


@dataclass(frozen=True)
class Space:
    """The hyperparameters that are searched, in order of their names."""

    hyperparameters: tuple[Hyperparameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters' own names."""
        return tuple(h.name for h in self.hyperparameters)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by stored name."""
        return {h.stored_name: h.distribution() for h in self.hyperparameters}

    def values(self, stored: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The hyperparameters' own values by their own names, from a record's parameters."""
        return {h.name: h.value(stored[h.stored_name]) for h in self.hyperparameters}


def _log2(x: float) -> int:
    """The exponent of a power of two."""
    return int(x).bit_length() - 1


def _one_minus(x: float) -> float:
    """1 - x for an end of a range, without the noise of binary fractions: .999 gives .001."""
    return float(f"{1 - x:.12g}")
