"""How sensitive a setup is to its hyperparameters, from its reference sample.

The reference sample is i.i.d. random over the declared space, each hyperparameter on its proper
scale; these figures mean nothing for the trials of a grid, of TPE or of a linear-scale sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import checked_accuracies, checked_length
from hpsuite.analysis.good_fraction import (
    NOISE_SD,
    POINTS,
    RESAMPLES,
    TIE,
    best_level,
    good_fractions,
    n_best,
)
from hpsuite.analysis.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Figures of one setup's reference sample; accuracies and fractions in [0, 1].

    Attributes:
        n: configurations in the sample.
        b: the best that the setup can do, found as `b_rule` says.
        b_rule: how b was found, for a reader.
        above_chance: whether b is above the chance limit. Where it is not, the setup never
            trained, and its good fractions say nothing of its robustness.
        good_fractions: for each e in points of accuracy, the share of the space with a score of
            at least b - e. Diverged trials count, with the chance score.
        nonfinite_fraction: share of trials whose loss stopped being finite.
        chance_fraction: share of trials that stayed finite and scored no more than chance.
        best_val_accuracy: the best validation accuracy.
        test_accuracy: the test accuracy of that trial, the first among ties.
    """

    n: int
    b: float
    b_rule: str
    above_chance: bool
    good_fractions: Mapping[float, Interval]
    nonfinite_fraction: Interval
    chance_fraction: Interval
    best_val_accuracy: float
    test_accuracy: float


def sensitivity(
    scores: npt.ArrayLike,
    tests: npt.ArrayLike,
    nonfinite: npt.ArrayLike,
    chance_limit: float,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    noise_sd: float = NOISE_SD,
    resamples: int = RESAMPLES,
) -> Sensitivity:
    """The figures of a reference sample of n i.i.d. random configurations.

    Args:
        scores: shape [n], final validation accuracies in [0, 1]; a diverged trial's is its
            chance score.
        tests: shape [n], final test accuracies in [0, 1], in the same order.
        nonfinite: shape [n], whether a trial's loss stopped being finite.
        chance_limit: the largest accuracy that counts as chance, see `chance_limit`.
        generator: see `good_fractions`.
        points: see `good_fractions`.
        level: see `good_fractions`.
        noise_sd: see `good_fractions`.
        resamples: see `good_fractions`.

    Raises:
        ValueError: for arguments outside these ranges, NaN included, or of unequal lengths.
    """
    val = checked_accuracies("scores", scores)
    test = checked_accuracies("tests", tests)
    diverged = np.asarray(nonfinite)
    if diverged.dtype != np.bool_ or diverged.ndim != 1:
        found = f"{diverged.dtype} with shape {diverged.shape}"
        raise ValueError(f"nonfinite must be one axis of booleans; found {found}")
    n = len(val)
    checked_length("tests", len(test), n)
    checked_length("nonfinite", len(diverged), n)
    if not 0 <= chance_limit <= 1:
        raise ValueError(f"chance_limit must be an accuracy in [0, 1]; found {chance_limit}")

    good = good_fractions(
        val,
        generator=generator,
        points=points,
        level=level,
        noise_sd=noise_sd,
        resamples=resamples,
    )
    at_chance = ~diverged & (val <= chance_limit + TIE)
    b, selected, best = best_level(val), int(val.argmax()), n_best(n)
    return Sensitivity(
        n=n,
        b=b,
        b_rule=f"plain mean of the best 4% ({best} of {n} trials), not retrained: biased upwards",
        above_chance=b > chance_limit + TIE,
        good_fractions=good,
        nonfinite_fraction=wilson(int(diverged.sum()), n, level),
        chance_fraction=wilson(int(at_chance.sum()), n, level),
        best_val_accuracy=float(val[selected]),
        test_accuracy=float(test[selected]),
    )


def chance_limit(majority_share: float, n_val: int) -> float:
    """The largest accuracy not above the 97.5% binomial limit of the majority class.

    Args:
        majority_share: probability that the answer given always is right, in [0, 1].
        n_val: validation examples, >= 1.

    Returns:
        A multiple of 1/n_val in [0, 1].

    Raises:
        ValueError: for arguments outside these ranges.
    """
    if not (0 <= majority_share <= 1 and n_val >= 1):
        raise ValueError(
            f"majority_share must be in [0, 1] and n_val >= 1; found {majority_share} and {n_val}"
        )
    return float(stats.binom.ppf(0.975, n_val, majority_share)) / n_val
