"""Two strategies on one setup, A minus B, after equally many trials."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.bounded import bounded_difference
from hpsuite.analysis.checks import Floats, checked_level, checked_table
from hpsuite.analysis.contrasts import EVERYWHERE
from hpsuite.analysis.intervals import Interval, mean_t, welch
from hpsuite.analysis.probability_better import probability_better
from hpsuite.analysis.strategies import areas
from hpsuite.analysis.trials_to_good import first_good


@dataclass(frozen=True, slots=True)
class Comparison:
    """A minus B over repeats; regrets are compared too, as both are against the same b.

    Attributes:
        repeats: R of A and of B.
        n: trials compared, those of the shorter search.
        paired: whether repeats were taken as pairs.
        best: difference of the mean best after n trials, in the scores' unit; minus it is the
            difference of the regrets. Student's t of pairs, or Welch's.
        area: difference of the mean areas under the best-so-far curve, likewise.
        better: P(A better than B) after n trials, ties half.
        trials: difference of the restricted means of the trials to a good one, in trials, below 0
            where A is faster; recovered from the intervals of both (`bounded_mean`, Zou and Donner
            2008), or t of pairs. None where no b is given.
    """

    repeats: tuple[int, int]
    n: int
    paired: bool
    best: Interval
    area: Interval
    better: Interval
    trials: Interval | None


def compare_strategies(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    paired: bool = False,
    b: float | None = None,
    margin: float = 0.02,
    level: float = 0.95,
) -> Comparison:
    """Compare two strategies.

    Pair where repeat i of both has one seed, so that they share their luck (a random search on
    two scales draws the same points of the unit cube); without shared luck pairing costs a few
    degrees of freedom and gains nothing.

    Args:
        scores_a: shape [R, n], final scores of R repeats of n trials, in order of trial number;
            any unit, higher is better.
        scores_b: shape [S, m], of B. Trials past the shorter of n and m are left out.
        paired: whether repeat i of A and of B share their seed; then S = R.
        b: the best that the setup can do.
        margin: a score of at least b - margin is good; in the scores' unit, >= 0.
        level: confidence level, in (0, 1).

    Returns:
        Intervals with nan ends for one repeat, but for `better`.

    Raises:
        ValueError: for scores that are not finite or not tables, pairs of unequal number, or
            arguments out of range.
    """
    first, second = checked_table("scores_a", scores_a, 2), checked_table("scores_b", scores_b, 2)
    checked_level(level)
    if paired and len(first) != len(second):
        found = f"{len(first)} and {len(second)}"
        raise ValueError(f"scores_a and scores_b must have as many repeats; found {found}")
    n = min(first.shape[1], second.shape[1])
    first, second = first[:, :n], second[:, :n]

    def difference(x: Floats, y: Floats) -> Interval:
        if paired:
            return mean_t(np.sort(x - y), level, EVERYWHERE)
        return welch(np.sort(x), np.sort(y), level)

    best_a, best_b = first.max(axis=1), second.max(axis=1)
    trials = None
    if b is not None:
        times = [np.minimum(first_good(table, b, margin), n) for table in (first, second)]
        if paired or n == 1 or min(map(len, times)) == 1:
            trials = difference(*times)
        else:  # most may be censored at n, where Student's t is narrow and wrong
            trials = bounded_difference(times[0], times[1], 1.0, float(n), level)
    return Comparison(
        repeats=(len(first), len(second)),
        n=n,
        paired=paired,
        best=difference(best_a, best_b),
        area=difference(areas(first), areas(second)),
        better=probability_better(best_a, best_b, paired=paired, level=level),
        trials=trials,
    )
