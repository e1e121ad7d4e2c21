import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from hpsuite.analysis import best_level, estimate_best
from hpsuite.analysis.regret import regret

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_regret_of_a_sample_by_hand() -> None:
    # The best 4% of 50 are the best two, .98 on average.
    scores = np.append([0.99, 0.97], np.full(48, 0.5))
    scores[10:20] = 0.1
    found = regret(scores, [0.9, 0.94], generator=seeded())
    assert found.n == 50
    assert found.median.estimate == pytest.approx(0.98 - 0.5)
    assert found.mean.estimate == pytest.approx(0.98 - scores.mean())
    assert found.default.estimate == pytest.approx(0.98 - 0.92)
    for interval in (found.median, found.mean, found.default):
        assert interval.low <= interval.estimate <= interval.high
    assert found.default.method.startswith("Welch t of b's bootstrap error and 2 seeds")
    assert regret(scores, 0.99, generator=seeded()).default.estimate == pytest.approx(-0.01)


def test_without_noise_the_medians_ends_are_its_order_statistics() -> None:
    # b does not move: in every resample the best 4% are .9 (48 of 60 are).
    scores = np.append(np.linspace(0.1, 0.5, 12), np.full(48, 0.9))
    found = regret(scores, generator=seeded(), noise_sd=0).median
    assert (found.estimate, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-12)
    spread = np.append(np.linspace(0.1, 0.5, 45), np.full(15, 0.9))
    found = regret(spread, generator=seeded(), noise_sd=0).median
    # 22 or more of 60 are below the median in 97.5% of samples, and as many above.
    assert stats.binom.cdf(21, 60, 0.5) < 0.025 <= stats.binom.cdf(22, 60, 0.5)
    assert (found.low, found.high) == pytest.approx((0.9 - spread[38], 0.9 - spread[21]))


def test_a_retrained_best_is_used() -> None:
    generator = seeded(1)
    scores = generator.beta(8, 1, 80)
    best = estimate_best(scores, generator.normal(0.9, 0.004, (6, 3)), generator=seeded())
    plain, found = regret(scores, generator=seeded()), regret(scores, generator=seeded(), best=best)
    moved = best.value - best_level(scores)
    assert found.median.estimate == pytest.approx(plain.median.estimate + moved)
    assert found.mean.estimate == pytest.approx(plain.mean.estimate + moved)


def test_scores_may_have_any_unit() -> None:
    scores = seeded(2).random(64)
    plain = regret(scores, [0.5, 0.25], generator=seeded())
    scaled = regret(64 * scores - 128, [-96.0, -112.0], generator=seeded(), unit=0.64)
    for name in ("median", "mean", "default"):
        one, other = getattr(plain, name), getattr(scaled, name)
        assert (other.estimate, other.low, other.high) == pytest.approx(
            (64 * one.estimate, 64 * one.low, 64 * one.high)
        )


def test_one_seed_of_the_default_has_the_error_of_the_noise() -> None:
    scores = np.full(500, 0.9)
    found = regret(scores, 0.85, generator=seeded(), noise_sd=0.01).default
    bias = estimate_best(scores, generator=seeded(), noise_sd=0.01).bias
    half = stats.norm.isf(0.025) * 0.01
    assert found.high == pytest.approx(0.05 + half)
    assert found.low == pytest.approx(0.05 - half - bias, abs=0.001)


def test_the_order_of_the_trials_does_not_matter() -> None:
    scores = seeded(3).random(70)
    mixed = seeded(4).permutation(scores)
    assert regret(scores, 0.5, generator=seeded()) == regret(mixed, 0.5, generator=seeded())


def test_what_cannot_be_computed_says_why() -> None:
    equal = regret(np.full(30, 0.1), generator=seeded())
    assert equal.median.estimate == 0
    assert equal.mean.estimate == pytest.approx(0, abs=1e-12)
    assert equal.mean.method == "b is not above the mean: no interval"
    assert math.isnan(equal.mean.low)
    assert math.isnan(equal.default.estimate)
    assert equal.default.method == "no default was given"
    few = regret([0.1, 0.5, 0.9], 0.5, generator=seeded())
    assert few.median.method == "3 trials: too few for a median"
    assert math.isnan(few.median.high)
    one = regret([0.5], 0.4, generator=seeded())
    assert one.default.estimate == pytest.approx(0.1)
    assert all(math.isnan(i.low) for i in (one.median, one.mean, one.default))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="scores must be accuracies"):
        regret([1.5], generator=seeded())
    with pytest.raises(ValueError, match="default must be finite"):
        regret([0.5], math.nan, generator=seeded())
    with pytest.raises(ValueError, match="default must have 1 axes, none empty"):
        regret([0.5], [], generator=seeded())
    best = estimate_best([0.5], generator=seeded())
    with pytest.raises(ValueError, match="best must have as many trials"):
        regret([0.5, 0.6], generator=seeded(), best=best)
    with pytest.raises(ValueError, match="level must be"):
        regret([0.5], generator=seeded(), level=95)


@pytest.mark.parametrize("simulations", [250, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("again", [False, True])
def test_regrets_cover_the_truth(again: bool, simulations: int) -> None:
    generator, n = seeded(5), 80
    # Expected scores .98 - .2 x, a fifth of them at chance: the best 4% are the best 5% of the
    # others, .975 on average; the median is where 3/8 of the others are left below.
    truth = (0.975 - (0.98 - 0.2 * 5 / 8), 0.975 - (0.8 * 0.88 + 0.2 * 0.1), 0.975 - 0.95)
    covered = np.zeros(3)
    for _ in range(simulations):
        x = generator.random(n)
        expected = np.where(generator.random(n) < 0.2, 0.1, 0.98 - 0.2 * x)
        scores = expected + 0.004 * generator.standard_normal(n)
        best = None
        if again:
            chosen = np.argsort(-scores)[:6]
            fresh = expected[chosen, None] + 0.004 * generator.standard_normal((6, 3))
            best = estimate_best(scores, fresh, generator=generator)
        default = 0.95 + 0.004 * generator.standard_normal(5)
        found = regret(scores, default, generator=generator, best=best, resamples=200)
        covered += [
            i.low <= t <= i.high
            for i, t in zip((found.median, found.mean, found.default), truth, strict=True)
        ]
    assert (covered >= stats.binom.ppf(1e-6, simulations, 0.93)).all(), covered
