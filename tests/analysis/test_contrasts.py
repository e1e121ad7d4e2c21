import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.contrasts import combined, contrast_of_means, difference_of_differences
from hpsuite.analysis.intervals import Interval, welch, wilson


def groups(*sizes: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(i, 1 + i, size) for i, size in enumerate(sizes)]


def test_two_groups_are_welchs() -> None:
    a, b = groups(7, 12)
    found, expected = contrast_of_means([a, b], [1, -1]), welch(a, b)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )
    # A group of weight 0 takes no part, however few its repeats.
    ignored = contrast_of_means([a, [1.0], b], [1, 0, -1])
    assert ignored.low == pytest.approx(expected.low)


def test_satterthwaite_by_hand() -> None:
    arrays, weights = groups(5, 6, 7, 8), [1, -1, -1, 1]
    found = contrast_of_means(arrays, weights)
    parts = [np.var(x, ddof=1) / len(x) for x in arrays]
    df = sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, arrays, strict=True))
    half = stats.t.isf(0.025, df) * math.sqrt(sum(parts))
    assert found.high - found.estimate == pytest.approx(half)
    assert found.estimate == pytest.approx(
        sum(w * x.mean() for w, x in zip(weights, arrays, strict=True))
    )


def test_difference_of_differences_by_its_pairing() -> None:
    a, b, c, d = groups(8, 8, 8, 8)
    none = difference_of_differences(a, b, c, d, paired="none")
    assert none == contrast_of_means([a, b, c, d], [1, -1, -1, 1])
    within = difference_of_differences(a, b, c, d, paired="within")
    assert within.low == pytest.approx(welch(a - b, c - d).low)
    every = difference_of_differences(a, b, c, d, paired="all")
    double = (a - b) - (c - d)
    expected = stats.t.interval(0.95, 7, double.mean(), double.std(ddof=1) / math.sqrt(8))
    assert (every.low, every.high) == pytest.approx(expected)
    for found in (within, every):
        assert found.estimate == pytest.approx(none.estimate)


def test_pairing_takes_out_shared_luck() -> None:
    generator = np.random.default_rng(1)
    luck = generator.normal(size=30)
    a, b, c, d = (luck + 0.05 * generator.normal(size=30) for _ in range(4))
    widths = [
        found.high - found.low
        for found in (
            difference_of_differences(a, b, c, d, paired=p) for p in ("none", "within", "all")
        )
    ]
    assert widths[1] < widths[0] / 5
    assert widths[2] < widths[0] / 5


def test_degenerate_groups() -> None:
    single = contrast_of_means([[1.0], [2.0, 3.0]], [1, -1])
    assert single.estimate == -1.5
    assert math.isnan(single.low)
    flat = contrast_of_means([[0.1] * 3, [0.3] * 4], [1, -1])
    assert flat.low == flat.high == flat.estimate == pytest.approx(-0.2)
    assert math.isnan(difference_of_differences([1], [2], [3], [4], paired="all").low)


def test_combined_is_newcombes_square_and_add() -> None:
    # Newcombe (1998), method 10, of 56/70 - 48/80: .2 [.0524, .3339].
    found = combined([wilson(56, 70), wilson(48, 80)], [1, -1])
    assert found.estimate == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_combined_normal_intervals_are_normal() -> None:
    parts = [
        Interval(m, m - 1.96 * s, m + 1.96 * s, 0.95, "x") for m, s in ((1, 2), (5, 1), (2, 3))
    ]
    found = combined(parts, [0.5, -2, 1])
    half = 1.96 * math.sqrt((0.5 * 2) ** 2 + (2 * 1) ** 2 + 3**2)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (-7.5, -7.5 - half, -7.5 + half)
    )


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="weights must be one a group"):
        contrast_of_means([[1.0, 2.0]], [1, 2])
    with pytest.raises(ValueError, match=r"groups\[1\] must be"):
        contrast_of_means([[1.0], [math.nan]], [1, 1])
    with pytest.raises(ValueError, match="paired must be"):
        difference_of_differences([1], [2], [3], [4], paired="some")  # type: ignore[arg-type]
    for paired in ("within", "all"):
        with pytest.raises(ValueError, match="as many repeats"):
            difference_of_differences([1], [2, 3], [3], [4], paired=paired)
    with pytest.raises(ValueError, match="all four"):
        difference_of_differences([1], [2], [3, 4], [4, 5], paired="all")
    with pytest.raises(ValueError, match="one level"):
        combined([wilson(1, 2), wilson(1, 2, 0.9)], [1, 1])
    with pytest.raises(ValueError, match="finite estimates"):
        combined([welch([1.0], [2.0, 3.0])], [1])
    with pytest.raises(ValueError, match="one an interval"):
        combined([wilson(1, 2)], [1, 2])


def test_coverage_of_combined_shares() -> None:
    generator, simulations, shares = np.random.default_rng(2), 400, (0.05, 0.3, 0.6, 0.9)
    truth = float(np.dot(shares, [1, -1, -1, 1]))
    hits = 0
    for counts in generator.binomial(40, shares, (simulations, 4)):
        found = combined([wilson(int(c), 40) for c in counts], [1, -1, -1, 1])
        hits += found.low <= truth <= found.high
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.94)
