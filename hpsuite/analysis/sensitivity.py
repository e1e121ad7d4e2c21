"""How sensitive a setup is to its hyperparameters, from its reference sample.

The reference sample is i.i.d. random over the declared space, each hyperparameter on its proper
scale; these figures mean nothing for the trials of a grid, of TPE or of a linear-scale sample.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.best import BestLevel, checked_in, estimate_best, tie_of
from hpsuite.analysis.checks import Bools, checked_length
from hpsuite.analysis.good_fraction import POINTS, RESAMPLES, good_fractions
from hpsuite.analysis.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Figures of one setup's reference sample; scores in their unit, fractions in [0, 1].

    Attributes:
        n: configurations in the sample.
        b: the best that the setup can do, found as `b_rule` says.
        b_rule: how b was found, for a reader.
        above_chance: whether b is above the chance limit; true where no such limit is known. Where
            it is not, the setup never trained, and its good fractions say nothing of its
            robustness.
        good_fractions: for each e in points, the share of the space with a score of at least
            b - e. Diverged trials count, with the chance score.
        nonfinite_fraction: share of trials whose loss stopped being finite, or that failed
            otherwise.
        chance_fraction: share of trials that stayed finite and scored no more than chance; nan,
            with the reason as its method, where no chance limit is known.
        best_val_accuracy: the best validation score.
        test_accuracy: the test score of that trial, the first among ties; nan without test scores.
        best: b with its noise, its bias and, where it was retrained, its standard error.
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
    best: BestLevel


def sensitivity(
    scores: npt.ArrayLike,
    tests: npt.ArrayLike | None,
    nonfinite: npt.ArrayLike,
    chance_limit: float | None,
    *,
    generator: np.random.Generator,
    points: Sequence[float] = POINTS,
    level: float = 0.95,
    noise_sd: float | None = None,
    resamples: int = RESAMPLES,
    unit: float | None = None,
    best: BestLevel | None = None,
) -> Sensitivity:
    """The figures of a reference sample of n i.i.d. random configurations.

    Args:
        scores: shape [n], final validation scores, higher is better: accuracies in [0, 1], or any
            finite numbers where `unit` is given; a diverged trial's is its chance score.
        tests: shape [n], final test scores of the same unit, in the same order; None without.
        nonfinite: shape [n], whether a trial's loss stopped being finite, or it failed otherwise.
        chance_limit: the largest score that counts as chance, see `chance_limit`; None where none
            is known.
        generator: see `good_fractions`.
        points: see `good_fractions`.
        level: see `good_fractions`.
        noise_sd: see `good_fractions`.
        resamples: see `good_fractions`.
        unit: see `good_fractions`.
        best: see `good_fractions`.

    Raises:
        ValueError: for arguments outside these ranges, NaN included, or of unequal lengths.
    """
    val = checked_in(unit, "scores", scores)
    test = np.full(len(val), math.nan) if tests is None else checked_in(unit, "tests", tests)
    diverged = _checked_flags("nonfinite", nonfinite)
    n = len(val)
    checked_length("tests", len(test), n)
    checked_length("nonfinite", len(diverged), n)
    if chance_limit is not None and unit is None and not 0 <= chance_limit <= 1:
        raise ValueError(f"chance_limit must be an accuracy in [0, 1]; found {chance_limit}")
    if chance_limit is not None and not math.isfinite(chance_limit):
        raise ValueError(f"chance_limit must be finite; found {chance_limit}")

    good = good_fractions(
        val,
        generator=generator,
        points=points,
        level=level,
        noise_sd=noise_sd,
        resamples=resamples,
        unit=unit,
        best=best,
    )
    if best is None:
        best = estimate_best(val, generator=generator, noise_sd=noise_sd, unit=unit)
    selected = int(val.argmax())
    if chance_limit is None:
        above, at_chance = True, Interval(math.nan, math.nan, math.nan, level, "no chance limit")
    else:
        limit = chance_limit + tie_of(unit, val)
        above = best.value > limit
        at_chance = wilson(int((~diverged & (val <= limit)).sum()), n, level)
    return Sensitivity(
        n=n,
        b=best.value,
        b_rule=best.rule,
        above_chance=above,
        good_fractions=good,
        nonfinite_fraction=wilson(int(diverged.sum()), n, level),
        chance_fraction=at_chance,
        best_val_accuracy=float(val[selected]),
        test_accuracy=float(test[selected]),
        best=best,
    )


def failed_fraction(failed: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The share of trials that failed, or whose score is missing, with Wilson's interval.

    For tables in which nothing tells a diverged trial from one that never learned.

    Args:
        failed: shape [n], whether a trial failed.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: where `failed` is not one axis of booleans, or empty, or for a level outside
            its range.
    """
    flags = _checked_flags("failed", failed)
    if flags.size == 0:
        raise ValueError("failed must have at least one trial; found none")
    return wilson(int(flags.sum()), len(flags), level)


def _checked_flags(name: str, values: npt.ArrayLike) -> Bools:
    flags = np.asarray(values)
    if flags.dtype != np.bool_ or flags.ndim != 1:
        found = f"{flags.dtype} with shape {flags.shape}"
        raise ValueError(f"{name} must be one axis of booleans; found {found}")
    return flags


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
