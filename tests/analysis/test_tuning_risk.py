import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from hpsuite.analysis.tuning_risk import measured_risk, tuning_risk

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_risks_of_a_sum_of_peaks() -> None:
    # The best 4% of everywhere and of each slice, from a fine grid of the same function.
    def score(x: Floats) -> Floats:
        return -(3 * (x[:, 0] - 0.2) ** 2) - (x[:, 1] - 0.5) ** 2 - 0 * x[:, 2]

    defaults = [0.6, 0.5, 0.9]
    dense = seeded(1).random((400_000, 3))

    def best(x: Floats) -> float:
        return float(np.sort(score(x))[-16_000:].mean())

    slices = [np.where(np.arange(3) == j, default, dense) for j, default in enumerate(defaults)]
    exact = [best(dense) - best(x) for x in slices]
    x = seeded(2).random((500, 3))
    scores = score(x) + 0.02 * seeded(3).standard_normal(500)
    found = tuning_risk(x, scores, defaults, generator=seeded())
    assert found.columns == (0, 1, 2)
    assert found.values == pytest.approx(exact, abs=0.03)
    # Left at its optimum, the second is better off than searched.
    assert exact[1] < 0
    assert found.best == pytest.approx(best(dense), abs=0.03)
    low, high = np.quantile(found.draws, [0.005, 0.995], axis=0)
    assert ((low <= exact) & (exact <= high)).all()
    assert found.surrogate == "a forest on what a quadratic leaves"


def test_a_default_beyond_a_cliff_costs_all() -> None:
    # Nothing trains where x0 > .6; above it all scores are .1.
    x = seeded(4).random((400, 2))
    scores = np.where(x[:, 0] > 0.6, 0.1, 0.9 + 0.05 * x[:, 1])
    found = tuning_risk(x, scores, [0.95, 0.5], generator=seeded())
    assert found.values[0] == pytest.approx(0.9 + 0.05 * 0.98 - 0.1, abs=0.03)
    assert found.values[1] == pytest.approx(0.05 * 0.48, abs=0.015)


def test_choices_are_left_at_one_of_their_values() -> None:
    n = 300
    choice = seeded(5).integers(3, size=n)
    x = np.stack([(choice + 0.5) / 3, seeded(6).random(n)], axis=1)
    scores = np.array([0.0, 0.5, 1.0])[choice] + 0.1 * x[:, 1]
    arguments = {"levels": [3, None], "generator": seeded()}
    for default, exact in ((0.5 / 3, 1.0), (0.5, 0.5), (2.5 / 3, 0.0)):
        found = tuning_risk(x, scores, [default, None], **arguments)
        assert found.columns == (0,)
        # The best of a third of the space are .04 apart from the best of all in x1's part.
        assert found.values[0] == pytest.approx(exact, abs=0.03)


def test_an_irrelevant_one_costs_nothing() -> None:
    found = [
        tuning_risk(
            seeded(s).random((100, 2)), seeded(50 + s).random(100), [0.5, None], generator=seeded()
        ).values[0]
        for s in range(15)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(15) + 0.005


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, -3.0)])
def test_a_risk_has_the_unit_of_the_scores(scale: float, shift: float) -> None:
    x = seeded(7).random((150, 2))
    scores = x[:, 0] + 0.3 * x[:, 1]
    plain = tuning_risk(x, scores, [0.2, 0.9], generator=seeded())
    found = tuning_risk(x, scale * scores + shift, [0.2, 0.9], generator=seeded())
    assert found.values == pytest.approx(scale * plain.values, abs=0.05 * scale)
    assert found.best == pytest.approx(scale * plain.best + shift, abs=0.05 * scale)


def test_the_order_of_trials_does_not_matter() -> None:
    x, order = seeded(8).random((80, 2)), seeded(9).permutation(80)
    scores = x[:, 0] - x[:, 1] ** 2
    plain = tuning_risk(x, scores, [0.3, 0.3], generator=seeded(), resamples=20)
    found = tuning_risk(x[order], scores[order], [0.3, 0.3], generator=seeded(), resamples=20)
    assert (found.values == plain.values).all()
    assert (found.draws == plain.draws).all()


def test_a_measured_risk_is_the_difference_of_the_best_4_percent() -> None:
    scores = np.arange(100) / 100
    at_default = np.arange(50) / 100
    found = measured_risk(scores, at_default[::-1], generator=seeded())
    assert found.estimate == pytest.approx((0.99 + 0.98 + 0.97 + 0.96) / 4 - (0.49 + 0.48) / 2)
    assert found.low < found.estimate < found.high
    few = measured_risk(scores, at_default[:20], generator=seeded())
    assert math.isfinite(few.estimate)
    assert math.isnan(few.low)
    assert "needs 38 trials" in few.method


def test_measured_risks_cover_the_truth() -> None:
    # Uniform scores on [0, 1] and [0, .8]: the means of the best 4% are .98 and .784.
    generator, simulations, covered = seeded(10), 400, 0
    for _ in range(simulations):
        found = measured_risk(
            generator.random(200), 0.8 * generator.random(100), generator=generator, resamples=200
        )
        covered += found.low <= 0.98 - 0.784 <= found.high
    assert covered >= stats.binom.ppf(1e-6, simulations, 0.93), covered


def test_arguments_out_of_range_are_refused() -> None:
    x, scores = seeded(11).random((10, 2)), np.arange(10.0)
    for defaults in ([0.5], [0.5, 1.2], [math.nan, 0.5]):
        with pytest.raises(ValueError, match="defaults must be"):
            tuning_risk(x, scores, defaults, generator=seeded())
    with pytest.raises(ValueError, match="6 configurations"):
        tuning_risk(x[:5], scores[:5], [0.5, 0.5], generator=seeded())
    with pytest.raises(ValueError, match="scores must differ"):
        tuning_risk(x, np.ones(10), [0.5, 0.5], generator=seeded())
    with pytest.raises(ValueError, match="at_default must be"):
        measured_risk([1.0], [], generator=seeded())
    with pytest.raises(ValueError, match="level must be"):
        measured_risk([1.0], [1.0], generator=seeded(), level=95)
