"""Best so far by what trials cost, where they do not cost alike: in epochs, or in seconds."""

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats


def n_within(costs: npt.ArrayLike, budget: float) -> int:
    """How many of a search's first trials a budget pays.

    Args:
        costs: shape [n], of each trial, >= 0, in order.
        budget: in the same unit.
    """
    return int((np.cumsum(np.asarray(costs, dtype=np.float64)) <= budget).sum())


def best_within(scores: npt.ArrayLike, costs: npt.ArrayLike, budgets: npt.ArrayLike) -> Floats:
    """Each repeat's best score among the first trials that each budget pays.

    Args:
        scores: shape [R, n], higher is better.
        costs: shape [R, n], of each trial, >= 0, in order.
        budgets: shape [m], ascending, in the costs' unit.

    Returns:
        [R, m]; nan where a budget pays no trial.

    Raises:
        ValueError: for scores and costs of unequal shapes.
    """
    values = np.asarray(scores, dtype=np.float64)
    spent = np.cumsum(np.asarray(costs, dtype=np.float64), axis=1)
    if values.shape != spent.shape:
        raise ValueError(
            f"costs must have the shape of scores, {values.shape}; found {spent.shape}"
        )
    best = np.maximum.accumulate(values, axis=1)
    found = np.full((len(values), len(np.asarray(budgets))), np.nan)
    for row, (own, cost) in enumerate(zip(best, spent, strict=True)):
        n = np.searchsorted(cost, np.asarray(budgets, dtype=np.float64), side="right")
        found[row, n > 0] = own[n[n > 0] - 1]
    return found
