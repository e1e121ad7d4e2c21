"""Scales: what Optuna stores, and what it stands for."""

import itertools
import math
from typing import Literal

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsuite.space import SCALES, Hyperparameter, Scale, Space
from hpsuite.strategies import GridSampler
from hpsuite.strategies.unit_cube import to_value
from hpsuite.trials import Scalar

MOMENTUM = Hyperparameter("momentum", "one_minus_log", 0, 0.999)


def test_distributions() -> None:
    assert Hyperparameter("x", "linear", -1, 2).distribution() == FloatDistribution(-1, 2)
    assert Hyperparameter("x", "log", 1e-4, 10).distribution() == FloatDistribution(
        1e-4, 10, log=True
    )
    assert Hyperparameter("x", "integer", 0, 5).distribution() == IntDistribution(0, 5)
    assert Hyperparameter("x", "log_integer", 1, 64).distribution() == IntDistribution(
        1, 64, log=True
    )
    assert Hyperparameter("x", "choice", choices=("a", 1, None)).distribution() == (
        CategoricalDistribution(("a", 1, None))
    )
    assert MOMENTUM.distribution() == FloatDistribution(0.001, 1.0, log=True)


@pytest.mark.parametrize("high", [0.9, 0.99, 0.999, 0.9999, 0.95, 0.7])
@pytest.mark.parametrize("low", [-0.5, 0.0, 0.1, 0.5])
def test_ends_of_one_minus_are_exact(low: float, high: float) -> None:
    """1 - .999 is .0010000000000000009 in binary; the record says .001, and the table .999."""
    hyperparameter = Hyperparameter("momentum", "one_minus_log", low, high)
    stored = hyperparameter.distribution()
    assert isinstance(stored, FloatDistribution)
    assert repr(stored.low) == repr(float(f"{1 - high:.6g}"))
    assert hyperparameter.value(stored.low) == high
    assert hyperparameter.value(stored.high) == low
    assert hyperparameter.ends() == (low, high)


def test_one_minus_stays_in_its_range_and_comes_back() -> None:
    for k in range(1001):
        stored = 0.001 ** (k / 1000)
        value = MOMENTUM.value(stored)
        assert isinstance(value, float)
        assert 0 <= value <= 0.999
        assert 1 - value == pytest.approx(stored, rel=1e-12, abs=1e-16)


def test_the_middle_of_each_scale() -> None:
    """Half-way between the ends on its scale: arithmetic or geometric mean of x, or of 1 - x."""
    middle = math.sqrt(0.001 * 1.0)
    assert MOMENTUM.value(middle) == pytest.approx(1 - 10**-1.5)
    assert Hyperparameter("x", "log", 1e-4, 10).value(0.1) == 0.1


def test_names() -> None:
    space = Space((Hyperparameter("learning_rate", "log", 1e-4, 10), MOMENTUM))
    assert space.names == ("learning_rate", "momentum")
    assert list(space.distributions()) == ["learning_rate", "one_minus_momentum"]
    found = space.values({"learning_rate": 0.1, "one_minus_momentum": 0.1})
    assert found == {"learning_rate": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(("low", "high"), [(8, 256), (1, 2), (1, 1 << 20), (16.0, 32.0)])
def test_powers_of_two(low: float, high: float) -> None:
    """An integer in the record, in order; the values that it stands for everywhere else."""
    size = Hyperparameter("batch_size", "power_of_two", low, high)
    stored = size.distribution()
    assert stored == IntDistribution(round(math.log2(low)), round(math.log2(high)))
    values = [size.value(exponent) for exponent in range(stored.low, stored.high + 1)]
    assert values == [2**e for e in range(100) if low <= 2**e <= high]
    assert (values[0], values[-1]) == size.ends() == (low, high)
    assert {type(value) for value in [*values, *size.ends()]} == {int}
    space = Space((size,))
    assert space.names == ("batch_size",)
    assert list(space.distributions()) == ["log2_batch_size"]
    assert space.values({"log2_batch_size": stored.low}) == {"batch_size": low}


@pytest.mark.parametrize("scale", ["own", "linear"])
def test_powers_of_two_are_equally_likely_and_all_in_a_grid(
    scale: Literal["own", "linear"],
) -> None:
    size = Hyperparameter("batch_size", "power_of_two", 8, 64)
    stored = size.distribution()
    units = [(i + 0.5) / 400 for i in range(400)]
    drawn = [size.value(to_value(stored, unit, scale)) for unit in units]
    assert [drawn.count(2**e) for e in range(3, 7)] == [100] * 4
    assert drawn == sorted(drawn)  # type: ignore[type-var]
    for n, axis in ((4, (3, 4, 5, 6)), (100, (3, 4, 5, 6)), (2, (3, 6))):
        grid = GridSampler({"log2_batch_size": stored}, n, scale=scale, seed=0)
        assert grid.axes == {"log2_batch_size": axis}


@pytest.mark.parametrize(
    ("scale", "ends"),
    [
        ("linear", (1.0, 2.0)),
        ("log", (1.0, 2.0)),
        ("integer", (1, 2)),
        ("log_integer", (1, 2)),
        ("power_of_two", (1, 2)),
    ],
)
def test_ends_are_of_the_scales_type(scale: Scale, ends: tuple[object, object]) -> None:
    found = Hyperparameter("x", scale, 1, 2).ends()
    assert found == ends
    assert [type(end) for end in found] == [type(end) for end in ends]


@pytest.mark.parametrize(
    ("scale", "low", "high", "line"),
    [
        ("linear", 1, 1, "space.x.low: found 1 with high 1; accepted: less than high"),
        ("linear", 2, 1, "space.x.low: found 2 with high 1; accepted: less than high"),
        ("linear", None, 1, "space.x.low: found nothing; accepted: a number"),
        ("linear", 0, None, "space.x.high: found nothing; accepted: a number"),
        ("linear", 0, math.inf, "space.x.high: found inf; accepted: a finite number"),
        ("linear", math.nan, 1, "space.x.low: found nan; accepted: a finite number"),
        ("linear", False, 1, "space.x.low: found false; accepted: a number"),
        ("log", 0, 1, "space.x.low: found 0; accepted: more than 0 on a log scale, which has no 0"),
        ("log", -1, 1, "space.x.low: found -1; accepted: more than 0 on a log scale"),
        ("log_integer", 0, 8, "space.x.low: found 0; accepted: more than 0 on a log_integer scale"),
        ("integer", 0.5, 8, "space.x.low: found 0.5; accepted: an integer"),
        ("log_integer", 1, 8.5, "space.x.high: found 8.5; accepted: an integer"),
        ("one_minus_log", 0, 1, "space.x.high: found 1; accepted: less than 1, as 1 - x is on a l"),
        ("one_minus_log", 0, 1.5, "space.x.high: found 1.5; accepted: less than 1"),
        (
            "power_of_two",
            12,
            64,
            "space.x.low: found 12; accepted: a power of two: 1, 2, 4, 8, ...",
        ),
        ("power_of_two", 8, 100, "space.x.high: found 100; accepted: a power of two"),
        ("power_of_two", 0, 8, "space.x.low: found 0; accepted: a power of two"),
        ("power_of_two", -4, 8, "space.x.low: found -4; accepted: a power of two"),
        ("power_of_two", 0.5, 8, "space.x.low: found 0.5; accepted: an integer"),
        ("power_of_two", 8, 8, "space.x.low: found 8 with high 8; accepted: less than high"),
        ("choice", 0, 1, "space.x.choices: found nothing; accepted: a list of values, without low"),
        ("cubic", 0, 1, f"space.x.scale: found cubic; accepted: {', '.join(SCALES)}"),
    ],
)
def test_ranges_that_cannot_be(scale: Scale, low: float, high: float, line: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole text is compared)
        Hyperparameter("x", scale, low, high)
    assert str(caught.value).startswith(line)


def test_choices_that_cannot_be() -> None:
    for choices in ((), None):
        with pytest.raises(
            ValueError, match=r"^space.x.choices: found .*; accepted: a list of val"
        ):
            Hyperparameter("x", "choice", choices=choices)
    with pytest.raises(ValueError, match=r"^space.x.choices: found \[1, 1\]; accepted: each value"):
        Hyperparameter("x", "choice", choices=(1, 1))
    for scale in set(SCALES) - {"choice"}:
        with pytest.raises(ValueError, match=r"^space.x.choices: found \[1\]; accepted: none for "):
            Hyperparameter("x", scale, 0.5, 0.9, choices=(1,))  # type: ignore[arg-type]


def test_every_scale_keeps_its_ends() -> None:
    for scale, (low, high) in itertools.product(("linear", "log"), ((1e-4, 10), (0.1, 0.3))):
        stored = Hyperparameter("x", scale, low, high).distribution()  # type: ignore[arg-type]
        assert isinstance(stored, FloatDistribution)
        assert (stored.low, stored.high) == (low, high)


@pytest.mark.parametrize(
    ("hyperparameter", "held", "others"),
    [
        (Hyperparameter("x", "linear", 0, 1), [0, 0.5, 1.0], [-0.1, 1.1, True, "0.5", None, (0,)]),
        (Hyperparameter("x", "one_minus_log", 0, 0.9999), [0, 0.9, 0.9999], [0.99999, -0.1]),
        (Hyperparameter("x", "integer", 1, 9), [1, 9], [1.5, 0, 10, True, math.inf, math.nan]),
        (Hyperparameter("x", "log_integer", 1, 9), [1, 9], [1.5, 0, 10]),
        (Hyperparameter("x", "power_of_two", 4, 64), [4, 32, 64], [2, 20, 128, 8.5]),
        (Hyperparameter("x", "choice", choices=(False, True)), [False, True], [0, 1, None, "a"]),
        (Hyperparameter("x", "choice", choices=(0, "a", None)), [0, 0.0, "a", None], [False, "b"]),
    ],
)
def test_what_a_range_holds_comes_back_from_the_record(
    hyperparameter: Hyperparameter, held: list[Scalar], others: list[object]
) -> None:
    distribution = hyperparameter.distribution()
    for value in held:
        assert hyperparameter.holds(value)
        stored = hyperparameter.stored(value)
        assert distribution._contains(distribution.to_internal_repr(stored))
        expected = pytest.approx(value, rel=1e-12) if type(value) is float else value
        assert hyperparameter.value(stored) == expected
    assert not any(hyperparameter.holds(value) for value in others)
