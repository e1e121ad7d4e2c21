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

from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.intervals import Interval, t_quantile, variance, wilson_roots


def trials_until_as_good(n_as_good: npt.ArrayLike, n_sample: int, budget: int) -> Floats:
    """The expected number of random trials until one is as good, at most a budget.

    (1 - p)^k is estimated without bias by the chance that k configurations drawn from the sample
    without putting back are all worse, C(N - m, k) / C(N, k) (Hoeffding 1948): so is the sum.

    Args:
        n_as_good: m configurations of the sample that are at least as good, in [0, N]; any shape.
        n_sample: N, >= 1.
        budget: n, in [1, N].

    Returns:
        Of that shape, in [1, n].

    Raises:
        ValueError: for arguments out of range.
    """
    m = np.asarray(n_as_good)
    if (m < 0).any() or (m > n_sample).any():
        raise ValueError(f"n_as_good must be in [0, {n_sample}]; found {m}")
    if not 1 <= budget <= n_sample:
        raise ValueError(f"budget must be in [1, {n_sample}], the sample's size; found {budget}")
    k = np.arange(budget - 1)
    still_worse = np.maximum(n_sample - m[..., None] - k, 0) / (n_sample - k)
    return np.asarray(1 + np.cumprod(still_worse, axis=-1).sum(axis=-1), np.float64)


def trials_saved(
    sample: npt.ArrayLike, choices: npt.ArrayLike, budget: int, level: float = 0.95
) -> Interval:
    """The mean number of trials that the choices of an old search save a new one.

    In [0, n - 1], by Wilson's interval with an effective n, as `bounded.bounded_mean`: its variance
    is that over the old search's repeats, and that of the finite sample, by the jackknife over its
    configurations. Approximate: the sample's noise makes good configurations seem more common than
    they are (docs/statistics-verdicts.md).

    Args:
        sample: scores [N] of i.i.d. random configurations of today's space, higher is better.
        choices: [R], what each repeat's old choice scores today, best as a mean of fresh seeds.
        budget: trials of the new search, in [2, N - 1].
        level: confidence level, in (0, 1).

    Returns:
        The interval; all of the range for one repeat.

    Raises:
        ValueError: for no scores, scores that are not finite, or a budget or level out of range.
    """
    scores = np.sort(checked_finite("sample", sample))
    picks = np.sort(checked_finite("choices", choices))
    checked_level(level)
    size, repeats, most = len(scores), len(picks), budget - 1.0
    if not 2 <= budget < size:
        raise ValueError(f"budget must be in [2, {size - 1}], below the sample; found {budget}")
    as_good = size - np.searchsorted(scores, picks, side="left")
    saved = trials_until_as_good(as_good, size, budget) - 1
    mean = float(saved.mean())
    method = "Wilson with the effective n of a bounded mean, jackknife over the sample"
    if repeats == 1:
        return Interval(mean, 0.0, most, level, f"{method}: one repeat cannot tell")
    # Without one configuration, which was as good as the first of the choices, in ascending order.
    left = trials_until_as_good(np.arange(size), size - 1, budget)
    fewer, as_many = (
        np.append(0.0, np.cumsum(left[np.clip(as_good - taken, 0, size - 1)])) for taken in (1, 0)
    )
    beaten = np.searchsorted(picks, scores, side="right")
    means = (fewer[beaten] + as_many[-1] - as_many[beaten]) / repeats
    error = variance(saved) / repeats + (size - 1) / size * float(
        ((means - means.mean()) ** 2).sum()
    )
    place = min(1.0, max(0.0, mean / most))
    effective = place * (1 - place) / (error / most**2) if error > 0 else float(repeats)
    low, high = wilson_roots(place, effective, t_quantile(level, repeats - 1))
    return Interval(mean, min(mean, most * low), max(mean, most * high), level, method)


def saved_by_random(budget: int) -> float:
    """Trials that a configuration drawn at random saves: H_n - 1."""
    return math.fsum(1 / k for k in range(2, budget + 1))


def saved_by_best(budget: int) -> float:
    """Trials that the best of as many random trials saves: n (1/n + ... + 1/(2n - 1)) - 1."""
    return budget * math.fsum(1 / k for k in range(budget, 2 * budget)) - 1
