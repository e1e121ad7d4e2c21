"""Searches whose chances are known in closed form, to hold samplers and figures against.

One hyperparameter is active and a region of it is good: a share w = W / R of its range, W wide of
R. The others are inert. Whether a search misses the region depends on where its trials fall along
the active one alone (Bergstra and Bengio 2012, figure 1).
"""

import math


def grid_misses(points: int, share: float) -> float:
    """Probability that a randomly offset grid has no trial in the good region.

    A grid of `points` values along the active hyperparameter places one in each of its equal
    cells, at one place u for all, uniform: the nearest two are 1 / points of the range apart, so
    the region holds one for a share `points * share` of all u. How many values the other
    hyperparameters take does not matter. max(0, 1 - points * share).

    Args:
        points: values along the active hyperparameter, >= 1; k for a k x k grid.
        share: of the range that is good, in [0, 1], one interval.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    _check("points", points, share)
    return max(0.0, 1 - points * share)


def random_misses(trials: int, share: float) -> float:
    """Probability that i.i.d. uniform trials all fall outside the good region: (1 - share)^trials.

    Args:
        trials: >= 1; k^2 for as many as a k x k grid.
        share: of the range that is good, in [0, 1], in one piece or several.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    _check("trials", trials, share)
    return (1 - share) ** trials


def random_hits_top(trials: int, share: float = 0.01) -> float:
    """Probability that i.i.d. trials hit the best `share` of the space: 1 - (1 - share)^trials.

    True of any space and any scores without ties.

    Args:
        trials: >= 1.
        share: in [0, 1]; .01 is the top 1%.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    return 1 - random_misses(trials, share)


def trials_to_hit(share: float, probability: float = 0.95) -> float:
    """I.i.d. trials that hit the best `share` of the space with a given probability.

    ln(1 - probability) / ln(1 - share), a fraction of trials included; inf for a share of 0, 1
    for a share of 1. 298.1 for the top 1%, 58.4 for the top 5%.

    Raises:
        ValueError: for a share outside [0, 1] or a probability outside (0, 1).
    """
    _check("trials", 1, share)
    if not 0 < probability < 1:
        raise ValueError(f"probability must be in (0, 1); found {probability}")
    if share in {0.0, 1.0}:
        return 1.0 if share else math.inf
    return math.log1p(-probability) / math.log1p(-share)


def _check(name: str, count: int, share: float) -> None:
    if count < 1:
        raise ValueError(f"{name} must be 1 or more; found {count}")
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1]; found {share}")
