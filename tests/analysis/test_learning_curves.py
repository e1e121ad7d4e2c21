"""Learning curves compared, against values worked out by hand and simulated runs."""

import numpy as np
import pytest

from hpsuite.analysis.intervals import welch
from hpsuite.analysis.learning_curves import (
    difference_of_repeats,
    fewer_steps,
    mean_band,
    nearest_evaluation,
    steps_to,
)

STEPS = [834.0, 1668.0, 2502.0, 3000.0]


def test_the_nearest_evaluation() -> None:
    assert [nearest_evaluation(STEPS, s) for s in (1, 1200, 1251, 1252, 2990, 3000)] == [
        *(0, 0, 0, 1, 3, 3)
    ]
    with pytest.raises(ValueError, match="at most 3000"):
        nearest_evaluation(STEPS, 3001)


def test_the_first_step_with_the_score() -> None:
    scores = [0.2, 0.9, 0.8, 0.95]
    assert steps_to(STEPS, scores, 0.9) == 1668
    assert steps_to(STEPS, scores, 0.2) == 834
    assert steps_to(STEPS, scores, 0.96) == 3000  # never: as many as there are


def test_pairs_take_what_seeds_share_out() -> None:
    generator = np.random.default_rng(1)
    shared = generator.normal(0, 1, 8)
    a, b = shared + 0.1, shared
    found = difference_of_repeats(a, b, paired=True)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    apart = difference_of_repeats(a, b, paired=False)
    assert apart == welch(a, b)
    assert apart.low < 0 < apart.high


def test_a_band_is_the_t_interval_of_each_evaluation() -> None:
    scores = np.array([[0.1, 0.5], [0.3, 0.5]])
    mean, low, high = mean_band(scores)
    assert mean == pytest.approx([0.2, 0.5])
    # t of one degree of freedom is 12.706; the standard error is .1.
    assert high == pytest.approx([0.2 + 1.2706, 0.5], abs=1e-4)
    assert low == pytest.approx([0.2 - 1.2706, 0.5], abs=1e-4)


@pytest.mark.parametrize("repeats", [5, 10])
def test_fewer_steps_covers(repeats: int) -> None:
    """Runs scored each 834 of 50,000 steps, log-normal times, some never there."""
    generator = np.random.default_rng(7)
    grid = np.append(np.arange(834, 50_000, 834), 50_000).astype(float)

    def run(middle: float, spread: float, n: int) -> np.ndarray:  # type: ignore[type-arg]
        times = middle * np.exp(spread * generator.standard_normal(n))
        return grid[np.minimum(np.searchsorted(grid, times), len(grid) - 1)]

    for (m1, s1), (m2, s2) in [((3e3, 0.3), (1e4, 0.3)), ((1e4, 0.5), (3e4, 0.5))]:
        truth = run(m1, s1, 400_000).mean() - run(m2, s2, 400_000).mean()
        hits = 0
        for _ in range(400):
            found = fewer_steps(run(m1, s1, repeats), run(m2, s2, repeats), (0.0, 50_000.0))
            hits += found.low <= truth <= found.high
        assert hits / 400 >= 0.92
