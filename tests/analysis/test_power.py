import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.power import (
    chances,
    configurations_for_shares,
    detectable_effect,
    largest_error,
    repeats_for_means,
    repeats_for_probability,
)
from hpsuite.analysis.probability_better import probability_better


@pytest.mark.parametrize("df", [3, 20, math.inf])
@pytest.mark.parametrize(
    ("effect", "smallest"), [(0, 1), (0, 3), (2, 0.5), (-4, 1), (5, 1), (1, 1), (0, 8)]
)
def test_chances_agree_with_simulation(effect: float, smallest: float, df: float) -> None:
    generator, n = np.random.default_rng(0), 400_000
    estimate = effect + generator.standard_normal(n)
    error = np.ones(n) if math.isinf(df) else np.sqrt(generator.chisquare(df, n) / df)
    half = stats.t.isf(0.025, df) * error
    low, high = estimate - half, estimate + half
    found = chances(effect, 1.0, smallest, df=df)
    assert found.supported == pytest.approx((low > smallest).mean(), abs=0.004)
    assert found.contradicted == pytest.approx((high < -smallest).mean(), abs=0.004)
    inside = ((low > -smallest) & (high < smallest)).mean()
    assert found.no_difference == pytest.approx(inside, abs=0.004)
    total = found.supported + found.contradicted + found.no_difference + found.inconclusive
    assert total == pytest.approx(1)


def test_the_remark_on_a_standard_error_of_two_and_a_half_points() -> None:
    # With d = 2 points, "no difference" cannot come out: the interval is wider than 2 d.
    found = chances(0, 2.5, 2)
    assert found.no_difference == 0
    assert largest_error(2, power=0) == pytest.approx(2 / 1.95996, abs=1e-4)
    # "Supported" comes out in 80% from a true effect of 9 on; the estimate must exceed 6.9.
    assert detectable_effect(2.5, 2) == pytest.approx(9.0, abs=0.01)
    assert chances(9.004, 2.5, 2).supported == pytest.approx(0.8, abs=0.001)
    assert chances(6.9, 2.5, 2).supported == pytest.approx(0.5, abs=0.001)


def test_largest_error_gives_no_difference_its_power() -> None:
    for power in (0.5, 0.8, 0.9):
        error = largest_error(5, power)
        assert chances(0, error, 5).no_difference == pytest.approx(power)


def test_means_are_those_of_tables() -> None:
    # Cohen (1988), table 2.4.1: d = .5 at 80%, two-sided 5%, takes 64 a group; 90% takes 85 or 86.
    assert repeats_for_means(0.5, 0, 1) == 64
    assert repeats_for_means(0.5, 0, 1, power=0.9) in (85, 86)
    assert repeats_for_means(0.8, 0, 1) == 26
    # Pairs: d = .5 takes 34.
    assert repeats_for_means(0.5, 0, 1, sd_other=0) == 34


def test_sizes_are_the_least_that_do() -> None:
    for wanted, effect in (("supported", 1.2), ("no difference", 0.0)):
        n = repeats_for_means(effect, 0.5, 1, wanted=wanted)
        assert n is not None
        rates = []
        for size in (n, n - 1):
            found = chances(effect, math.sqrt(2 / size), 0.5, df=2 * size - 2)
            rates.append(found.supported if wanted == "supported" else found.no_difference)
        assert rates[0] >= 0.8 > rates[1]


def test_shares_are_mcnemars() -> None:
    # Normal theory without a smallest effect: (z_a + z_b)^2 (discordant - effect^2) / effect^2.
    n = configurations_for_shares(0.1, 0, 0.3)
    expected = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) ** 2 * (0.3 - 0.01) / 0.01
    assert n == math.ceil(expected)
    assert configurations_for_shares(0.1, 0.1, 0.3) is None
    alone = configurations_for_shares(0.2, 0.05, 0.2)
    assert alone is not None
    assert alone < configurations_for_shares(0.2, 0.05, 0.5)


def test_probability_is_near_noethers() -> None:
    # Noether (1987): (z_a + z_b)^2 / (6 (p - 1/2)^2) in each of two equal groups.
    n = repeats_for_probability(0.7, 0)
    assert n is not None
    expected = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) ** 2 / (6 * 0.2**2)
    assert n == pytest.approx(expected, rel=0.05)
    assert repeats_for_probability(0.6, 0.1) is None
    assert repeats_for_probability(0.9) < repeats_for_probability(0.75)
    # Without shared luck pairs need more: each repeat meets one other, not all.
    assert repeats_for_probability(0.8, paired=True) > repeats_for_probability(0.8)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(("probability", "wanted"), [(0.8, "supported"), (0.5, "no difference")])
def test_the_interval_itself_has_the_power_that_was_planned(
    probability: float, wanted: str, paired: bool
) -> None:
    effect = 0.1 if wanted == "supported" else 0.2
    n = repeats_for_probability(probability, effect, wanted=wanted, paired=paired)
    assert n is not None
    generator, experiments, hits = np.random.default_rng(3), 500, 0
    shift = stats.norm.ppf(probability) * math.sqrt(2)
    for _ in range(experiments):
        a, b = generator.normal(shift, 1, n), generator.normal(0, 1, n)
        found = probability_better(a, b, paired=paired)
        if wanted == "supported":
            hits += found.low > 0.5 + effect
        else:
            hits += found.low > 0.5 - effect and found.high < 0.5 + effect
    assert hits / experiments == pytest.approx(0.8, abs=0.09)


def test_bad_arguments_are_refused() -> None:
    for arguments in ((math.nan, 1, 1), (0, 0, 1), (0, -1, 1), (0, 1, -1)):
        with pytest.raises(ValueError, match="must be"):
            chances(*arguments)
    with pytest.raises(ValueError, match="error and df"):
        chances(0, 1, 1, df=0)
    with pytest.raises(ValueError, match="power must be"):
        repeats_for_means(1, 0, 1, power=1)
    with pytest.raises(ValueError, match="wanted must be"):
        repeats_for_means(1, 0, 1, wanted="contradicted")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sd must be"):
        repeats_for_means(1, 0, 0)
    with pytest.raises(ValueError, match="discordant must be"):
        configurations_for_shares(0.3, 0.05, 0.2)
    with pytest.raises(ValueError, match="probability must be"):
        repeats_for_probability(1.0)
    with pytest.raises(ValueError, match="power must be"):
        largest_error(1, 1)
