import itertools
import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.probability_better import probability_better


def test_the_estimate_counts_all_pairs_ties_half() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 5, 7), generator.integers(0, 5, 11)
    wins = [1.0 if x > y else 0.5 if x == y else 0.0 for x, y in itertools.product(a, b)]
    assert probability_better(a, b).estimate == pytest.approx(np.mean(wins))
    # Mann and Whitney's U over the number of pairs.
    u = stats.mannwhitneyu(a, b).statistic
    assert probability_better(a, b).estimate == pytest.approx(u / 77)


def test_the_effective_size_is_that_of_brunner_and_munzel() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(0.3, 1, 12), generator.normal(0, 3, 9)
    found = probability_better(a, b)
    # scipy's statistic is (theta_b - 1/2) over its standard error, with Satterthwaite's df.
    statistic = stats.brunnermunzel(a, b).statistic
    theta = found.estimate
    error = (0.5 - theta) / statistic
    wins = a[:, None] > b
    va, vb = np.var(wins.mean(1), ddof=1) / 12, np.var(wins.mean(0), ddof=1) / 9
    t = stats.t.isf(0.025, (va + vb) ** 2 / (va**2 / 11 + vb**2 / 8))
    n = theta * (1 - theta) / error**2
    assert n < 3 * 12 * 9 / 21
    for p in (found.low, found.high):
        assert (theta - p) ** 2 == pytest.approx(t**2 * p * (1 - p) / n)


@pytest.mark.parametrize("paired", [False, True])
def test_mirrored_and_unit_free(paired: bool) -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(0.5, 1, 10), generator.normal(0, 1, 10)
    found, mirrored = (probability_better(x, y, paired=paired) for x, y in ((a, b), (b, a)))
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))
    # Any increasing transform leaves it alone.
    assert probability_better(np.exp(a), np.exp(b), paired=paired) == found


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_always_never_and_ties_stay_informative(paired: bool, n: int) -> None:
    low, high = np.zeros(n), np.ones(n)
    always = probability_better(high, low, paired=paired)
    assert always.estimate == always.high == 1
    assert 0 < always.low < 1
    never = probability_better(low, high, paired=paired)
    assert never.estimate == never.low == 0
    assert never.high == pytest.approx(1 - always.low)
    ties = probability_better(low, low, paired=paired)
    assert ties.estimate == 0.5
    assert 0 <= ties.low < 0.5 < ties.high <= 1


def test_one_repeat_cannot_tell() -> None:
    for paired in (False, True):
        found = probability_better([1.0], [0.0], paired=paired)
        assert (found.estimate, found.low, found.high) == (1, 0, 1)
        assert "one repeat" in found.method


def test_order_matters_for_pairs_alone() -> None:
    a, b = np.arange(6.0), np.arange(6.0)[::-1] + 0.5
    assert probability_better(a, b) == probability_better(a[::-1], b)
    assert probability_better(a, b - 1, paired=True) != probability_better(
        a[::-1], b - 1, paired=True
    )
    order = [3, 1, 5, 0, 2, 4]
    assert probability_better(a, b, paired=True) == probability_better(
        a[order], b[order], paired=True
    )


def test_bad_values_are_refused() -> None:
    for bad in ([], [math.nan], [[0.5]], [math.inf]):
        with pytest.raises(ValueError, match="a must"):
            probability_better(bad, [0.5])
        with pytest.raises(ValueError, match="b must"):
            probability_better([0.5], bad)
    with pytest.raises(ValueError, match="as many repeats as a"):
        probability_better([0.5], [0.5, 0.6], paired=True)
    with pytest.raises(ValueError, match="level must be"):
        probability_better([0.5], [0.5], level=0)


@pytest.mark.parametrize("sizes", [(5, 5), (10, 30), (30, 30)])
@pytest.mark.parametrize("theta", [0.5, 0.9, 0.98])
def test_coverage_under_unequal_spreads(sizes: tuple[int, int], theta: float) -> None:
    generator, simulations = np.random.default_rng(3), 200
    for spread in (0.02, 1, 5):
        shift = stats.norm.ppf(theta) * math.sqrt(1 + spread**2)
        hits = sum(
            i.low <= theta <= i.high
            for i in (
                probability_better(
                    generator.normal(shift, 1, sizes[0]), generator.normal(0, spread, sizes[1])
                )
                for _ in range(simulations)
            )
        )
        assert hits >= stats.binom.ppf(1e-6, simulations, 0.93), spread


def test_coverage_of_pairs_is_exact_by_enumeration() -> None:
    # All outcomes of 12 pairs: won, lost, tied.
    n = 12
    counts = [(w, x, n - w - x) for w in range(n + 1) for x in range(n + 1 - w)]
    ends = []
    for w, x, tied in counts:
        a, b = np.repeat([1, 0, 0], [w, x, tied]), np.repeat([0, 1, 0], [w, x, tied])
        found = probability_better(a, b, paired=True)
        ends.append((found.low, found.high))
    low, high = np.array(ends).T
    for p, q in ((0.5, 0.5), (0.9, 0.1), (0.3, 0.3), (0.05, 0.02), (0.6, 0.0), (0.35, 0.0)):
        theta = (1 + p - q) / 2
        chances = stats.multinomial.pmf(counts, n, [p, q, max(0.0, 1 - p - q)])
        inside = (low <= theta + 1e-12) & (theta - 1e-12 <= high)
        assert chances[inside].sum() >= 0.92, (p, q)
