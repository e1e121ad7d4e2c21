"""A/A checks: two arms alike, fresh seeds in the second, must not come out different."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis import paired_difference
from hpsuite.analysis.across_setups import interquartile_mean_difference
from hpsuite.analysis.claims import SMALLEST_EFFECTS, Cell, Claim
from hpsuite.analysis.comparisons import compare_strategies
from hpsuite.analysis.simulation import simulated

N_VAL = 359
Experiment = Callable[[np.random.Generator], Cell]


def claim(effect: float, null: float = 0.0) -> Claim:
    return Claim("A differs from B", "A minus B", "greater", effect, "primary", 1, null=null)


def trained(rate: np.ndarray, width: float, generator: np.random.Generator) -> np.ndarray:
    """Accuracies on the lattice: a plateau of log rates, and a cliff to chance beyond."""
    accuracy = 0.97 - 0.03 * np.maximum(0.0, np.abs(rate) - width) ** 2
    noisy = accuracy + 0.005 * generator.standard_normal(rate.shape)
    lattice = np.round(N_VAL * np.clip(noisy, 0.1, 1)) / N_VAL
    return np.where(rate > width + 0.5 + 0.03 * generator.standard_normal(rate.shape), 0.1, lattice)


def good_fractions(n: int, width: float, kind: str) -> Experiment:
    """Good fractions on the same configurations, fresh seeds in the second arm."""

    def experiment(generator: np.random.Generator) -> Cell:
        rate = generator.uniform(-3, 3, n)
        a, b = trained(rate, width, generator), trained(rate, width, generator)
        found = paired_difference(a, b, generator=generator, points=[2], resamples=200)
        return Cell(n, lambda level: getattr(found, kind)[2])

    return experiment


def strategies(repeats: int, figure: str, paired: bool = False) -> Experiment:
    """Random searches of 16 trials, each repeat with seeds of its own."""

    def experiment(generator: np.random.Generator) -> Cell:
        a, b = (trained(generator.uniform(-3, 3, (repeats, 16)), 0.6, generator) for _ in range(2))
        found = compare_strategies(a, b, paired=paired)
        return Cell(repeats, lambda level: getattr(found, figure))

    return experiment


def across(repeats: int) -> Experiment:
    """Interquartile means over three setups."""

    def experiment(generator: np.random.Generator) -> Cell:
        arms = [
            {
                str(setup): trained(
                    generator.uniform(-3, 3, (repeats, 16)), 0.3 * setup, generator
                ).max(axis=1)
                for setup in range(3)
            }
            for _ in range(2)
        ]
        found = interquartile_mean_difference(*arms, generator=generator, resamples=100)
        return Cell(repeats, lambda level: found)

    return experiment


CHECKS: dict[str, tuple[Claim, Experiment]] = {
    "own best": (claim(SMALLEST_EFFECTS["good fraction"]), good_fractions(256, 0.6, "own")),
    "common best": (claim(SMALLEST_EFFECTS["good fraction"]), good_fractions(256, 0.6, "common")),
    "plateau": (claim(SMALLEST_EFFECTS["good fraction"]), good_fractions(80, 1.5, "own")),
    "best": (claim(SMALLEST_EFFECTS["accuracy"]), strategies(30, "best")),
    "best of pairs": (claim(SMALLEST_EFFECTS["accuracy"]), strategies(30, "best", True)),
    "area": (claim(SMALLEST_EFFECTS["area under the accuracy curve"]), strategies(30, "area")),
    "better": (claim(SMALLEST_EFFECTS["probability better"], 0.5), strategies(30, "better")),
    "setups": (claim(SMALLEST_EFFECTS["normalised score"]), across(30)),
}


@pytest.mark.parametrize("name", CHECKS)
def test_arms_alike_come_out_different_in_under_1_percent(name: str) -> None:
    declared, experiment = CHECKS[name]
    found = simulated(declared, experiment, 100, generator=np.random.default_rng(0))
    assert round(100 * found.wrong.estimate) <= stats.binom.isf(1e-6, 100, 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_arms_alike_come_out_different_in_under_1_percent_of_many(name: str) -> None:
    declared, experiment = CHECKS[name]
    found = simulated(declared, experiment, 1000, generator=np.random.default_rng(1))
    # Not only compatible with 1%: shown to be under it.
    assert (
        stats.beta.ppf(0.95, 1000 * found.wrong.estimate + 1, 1000 * (1 - found.wrong.estimate))
        < 0.01
    )


def test_the_check_can_fail() -> None:
    # With next to no smallest effect, the intervals' own 5% are wrong verdicts.
    found = simulated(claim(1e-9), strategies(30, "best"), 400, generator=np.random.default_rng(2))
    wrong = round(400 * found.wrong.estimate)
    assert stats.binom.ppf(1e-6, 400, 0.05) <= wrong <= stats.binom.isf(1e-6, 400, 0.05)
    assert found.no_difference.estimate == 0


def test_a_true_effect_is_found() -> None:
    def experiment(generator: np.random.Generator) -> Cell:
        rate = generator.uniform(-3, 3, 256)
        a, b = trained(rate, 1.5, generator), trained(rate, 0.3, generator)
        found = paired_difference(a, b, generator=generator, points=[2], resamples=200)
        return Cell(256, lambda level: found.own[2])

    found = simulated(claim(0.05), experiment, 30, generator=np.random.default_rng(3))
    assert found.supported.estimate > 0.9
    total = (found.supported, found.contradicted, found.no_difference, found.inconclusive)
    assert sum(share.estimate for share in total) == pytest.approx(1)
    with pytest.raises(ValueError, match="experiments must be"):
        simulated(claim(0.05), experiment, 0, generator=np.random.default_rng(3))
