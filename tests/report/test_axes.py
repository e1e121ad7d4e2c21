"""Axes on hyperparameters' own scales, and numbers in words."""

import math

import numpy as np
import pytest

from hpsuite.report.axes import Axis, show
from hpsuite.report.figures.intervals import Estimate, limits_of, number

RATE = Axis("learning rate", scale="log", low=1e-4, high=10)
MOMENTUM = Axis("momentum", scale="one_minus_log", low=0, high=0.999)
PERCENT = Axis("accuracy", "%", scale="one_minus_log", top=100)
BATCH = Axis("batch size", scale="log_integer", low=8, high=256)
LAYERS = Axis("layers", scale="integer", low=1, high=5)
KIND = Axis("activation", scale="choice", choices=("relu", "tanh"))
PLAIN = Axis("accuracy", "%", low=83.2, high=98.7)
AXES = [RATE, MOMENTUM, BATCH, LAYERS, KIND, PLAIN]


@pytest.mark.parametrize("axis", [RATE, MOMENTUM, PERCENT, BATCH, LAYERS, PLAIN])
def test_a_position_leads_back_to_its_value(axis: Axis) -> None:
    for share in (0.001, 0.1, 0.5, 0.9, 0.99):
        value = 100 * share if axis is PERCENT else share
        assert axis.value(float(axis.place(value))) == pytest.approx(value, rel=1e-9)


def test_positions_are_even_on_the_own_scale() -> None:
    assert RATE.place([1e-3, 1e-2, 1e-1]) == pytest.approx([-3, -2, -1])
    assert MOMENTUM.place([0, 0.9, 0.99]) == pytest.approx([0, 1, 2])
    assert np.isnan(RATE.place([0.0, -1.0])).all()
    # All examples right: no place of its own, but shown.
    assert PERCENT.place(100.0) == pytest.approx(PERCENT.place(99.9))
    assert PERCENT.place(100.0) > PERCENT.place(99.0)


@pytest.mark.parametrize(
    ("axis", "names"),
    [
        (RATE, ["0.0001", "0.001", "0.01", "0.1", "1", "10"]),
        (MOMENTUM, ["0", "0.9", "0.99", "0.999"]),
        (BATCH, ["8", "16", "32", "64", "128", "256"]),
        (LAYERS, ["1", "2", "3", "4", "5"]),
        (KIND, ["relu", "tanh"]),
        (PLAIN, ["85", "90", "95"]),
        (Axis("x", scale="log", low=0.02, high=0.5), ["0.02", "0.05", "0.1", "0.2", "0.5"]),
        (
            Axis("x", scale="log", low=1e-10, high=1),
            ["1e-10", "1e-8", "1e-6", "0.0001", "0.01", "1"],
        ),
        (Axis("x", scale="one_minus_log", low=0.5, high=0.95), ["0.5", "0.8", "0.9", "0.95"]),
        (Axis("x", scale="integer", low=0.2, high=0.8), []),
    ],
)
def test_the_places_that_are_named(axis: Axis, names: list[str]) -> None:
    assert [tick.text for tick in axis.ticks(*axis.limits())] == names


def test_ticks_lie_within_the_axis_and_are_few() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        scale = generator.choice(["linear", "log", "integer", "log_integer", "one_minus_log"])
        low, high = np.sort(10 ** generator.uniform(-6, 6, 2))
        if scale == "log_integer":
            low, high = np.sort(10 ** generator.uniform(0, 6, 2))
        if scale == "one_minus_log":
            low, high = 1 - 10.0 ** -np.sort(generator.uniform(0, 6, 2))
        axis = Axis("x", scale=str(scale), low=float(low), high=float(high))  # type: ignore[arg-type]
        first, last = axis.limits()
        most = int(generator.integers(2, 9))
        ticks = axis.ticks(first, last, most)
        span = last - first
        assert len(ticks) <= most + 1, axis
        places = [tick.position for tick in ticks]
        assert places == sorted(set(places)), axis
        assert all(first - 1e-6 * span <= p <= last + 1e-6 * span for p in places), axis
        assert all(
            axis.value(tick.position) == pytest.approx(float(tick.text), rel=1e-4, abs=1e-9)
            for tick in ticks
        ), axis


def test_limits() -> None:
    assert Axis("x").limits() == pytest.approx((-0.03, 1.03))
    assert Axis("x").limits([1.0, 3.0], [2.0], pad=0.1) == pytest.approx((0.8, 3.2))
    assert Axis("x", low=0).limits([1.0, 3.0], pad=0.1) == pytest.approx((0, 3.3))
    assert Axis("x").limits([5.0])[0] < 5 < Axis("x").limits([5.0])[1]
    assert Axis("x").limits([math.nan, 2.0, 4.0], pad=0) == pytest.approx((2, 4))
    assert KIND.limits() == (-0.5, 1.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1e-4, "0.0001"),
        (9e-5, "9e-5"),
        (1e-10, "1e-10"),
        (0.999, "0.999"),
        (4096, "4096"),
        (123456, "123456"),
        (1e6, "1e6"),
        (-0.5, "-0.5"),
        (math.nan, "-"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("estimate", "signed", "text"),
    [
        (Estimate(13.04, 7.11, 19.23), True, "+13.0 [+7.1, +19.2]"),
        (Estimate(0.49, 0.41, 0.58), False, "0.49 [0.41, 0.58]"),
        (Estimate(-1.9, -2.8, math.inf), True, "-1.9 [-2.8, open]"),
        (Estimate(-1.9, -1.7e308, -1.0), True, "-1.9 [open, -1.0]"),
        (Estimate(0.0004, -0.01, 0.02), True, "+0.000 [-0.010, +0.020]"),
        (Estimate(-0.0004, -0.5, 0.5), True, "0.00 [-0.50, +0.50]"),
        (Estimate(97.2145), False, "97.2"),
        (Estimate(3.0, 3.0, 3.0), False, "3 [3, 3]"),
        (Estimate(math.nan), True, "-"),
    ],
)
def test_an_estimate_in_words(estimate: Estimate, signed: bool, text: str) -> None:
    assert estimate.text(signed=signed) == text


def test_one_vast_interval_does_not_hide_the_others() -> None:
    few = [Estimate(1, 0.5, 1.5), Estimate(2, 1.4, 2.6), Estimate(1.5, -900, math.inf)]
    first, last = limits_of(Axis("x"), few, 0.0)
    assert first < 0
    assert last < 20
    assert last > 2.6
    assert limits_of(Axis("x"), [Estimate(math.nan)], 0.0)[0] < 0.0
    assert number(-0.04, decimals=1) == "0.0"
