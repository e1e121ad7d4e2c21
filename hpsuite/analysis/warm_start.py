"""How many trials of a new random search an old choice saves.

Let p be the share of today's space that is at least as good as the old choice, and T the number of
random trials until one is. T is geometric, and of a budget of n trials

    E[min(T, n)] = sum over k < n of P(T > k) = sum over k < n of (1 - p)^k = (1 - (1 - p)^n) / p

are spent until then (n where p = 0). The old choice costs a trial itself, so it saves one fewer.
A choice that is itself a random trial saves H_n - 1 on average, with H_n = 1 + 1/2 + ... + 1/n, as
its p is uniform: 2.4 trials of 16. One that is the best of n random trials, as today's own choice
is, saves n (1/n + ... + 1/(2n - 1)) - 1, as its p is Beta(1, n): 10.3 of 16.

Shapes: N configurations of a reference sample, R repeats of the old search.
"""

import math

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.bounded import bounded_mean
from hpsuite.analysis.checks import Floats, checked_finite
from hpsuite.analysis.intervals import Interval


def trials_until_as_good(n_as_good: int, n_sample: int, budget: int) -> float:
    """The expected number of random trials until one is as good, at most a budget.

    (1 - p)^k is estimated without bias by the chance that k configurations drawn from the sample
    without putting back are all worse, C(N - m, k) / C(N, k) (Hoeffding 1948): so is the sum.

    Args:
        n_as_good: m configurations of the sample that are at least as good, in [0, N].
        n_sample: N, >= 1.
        budget: n, in [1, N].

    Returns:
        In [1, n].

    Raises:
        ValueError: for arguments out of range.
    """
    if not 0 <= n_as_good <= n_sample:
        raise ValueError(f"n_as_good must be in [0, {n_sample}]; found {n_as_good}")
    if not 1 <= budget <= n_sample:
        raise ValueError(f"budget must be in [1, {n_sample}], the sample's size; found {budget}")
    k = np.arange(budget - 1)
    still_worse = np.maximum(n_sample - n_as_good - k, 0) / (n_sample - k)
    return float(1 + np.cumprod(still_worse).sum())


def trials_saved(
    sample: npt.ArrayLike, choices: npt.ArrayLike, budget: int, level: float = 0.95
) -> Interval:
    """The mean number of trials that the choices of an old search save a new one.

    Bounded in [0, n - 1], by `bounded_mean` over the repeats of the old search. Approximate: that
    the sample is finite is not in the interval, and the sample's noise makes good configurations
    seem more common than they are (docs/statistics-verdicts.md).

    Args:
        sample: scores [N] of i.i.d. random configurations of today's space, higher is better.
        choices: [R], what each repeat's old choice scores today, best as a mean of fresh seeds.
        budget: trials of the new search, in [2, N].
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for no scores, scores that are not finite, or a budget or level out of range.
    """
    scores = np.sort(checked_finite("sample", sample))
    picks = checked_finite("choices", choices)
    if not 2 <= budget <= len(scores):
        raise ValueError(f"budget must be in [2, {len(scores)}], the sample's size; found {budget}")
    as_good = len(scores) - np.searchsorted(scores, picks, side="left")
    saved: Floats = np.array(
        [trials_until_as_good(int(m), len(scores), budget) - 1 for m in as_good]
    )
    return bounded_mean(saved, 0.0, budget - 1.0, level)


def saved_by_random(budget: int) -> float:
    """Trials that a configuration drawn at random saves: H_n - 1."""
    return math.fsum(1 / k for k in range(2, budget + 1))


def saved_by_best(budget: int) -> float:
    """Trials that the best of as many random trials saves: n (1/n + ... + 1/(2n - 1)) - 1."""
    return budget * math.fsum(1 / k for k in range(budget, 2 * budget)) - 1
