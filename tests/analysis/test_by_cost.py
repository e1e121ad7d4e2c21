"""Best so far by cost, against counting trial by trial."""

import numpy as np
import pytest

from hpsuite.analysis.by_cost import best_within, n_within


def test_against_counting() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random((5, 30))
    costs = generator.integers(0, 5, (5, 30))
    budgets = np.arange(0, 80, 3)
    found = best_within(scores, costs, budgets)
    for row in range(5):
        for place, budget in enumerate(budgets):
            spent, best, n = 0, float("nan"), 0
            for score, cost in zip(scores[row], costs[row], strict=True):
                spent += cost
                if spent > budget:
                    break
                best, n = score if n == 0 else max(best, score), n + 1
            assert n_within(costs[row], budget) == n
            np.testing.assert_equal(found[row, place], best)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="costs must have the shape of scores"):
        best_within(np.zeros((2, 3)), np.zeros((2, 2)), [1])
