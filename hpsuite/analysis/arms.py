"""Figures of one arm (one strategy on one setup) over its independent repeats."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_accuracies
from hpsuite.analysis.intervals import Interval, mean_t, variance


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """What R repeats of an arm reached; accuracies in [0, 1].

    Attributes:
        repeats: R.
        n_trials: trials of all repeats together.
        best_val_accuracy: mean over repeats of each one's best validation accuracy; the
            interval's ends are nan for one repeat.
        best_val_accuracy_sd: its standard deviation over repeats; nan for one repeat.
        test_accuracy: mean over repeats of the test accuracy of the trial that validation
            selected, the first among ties.
        test_accuracy_sd: its standard deviation over repeats.
        best_by_repeat: length R, each repeat's best validation accuracy.
        test_by_repeat: length R, the test accuracy of that trial.
        best_so_far: entry i is the mean over repeats of the best among trials 0..i.
    """

    repeats: int
    n_trials: int
    best_val_accuracy: Interval
    best_val_accuracy_sd: float
    test_accuracy: Interval
    test_accuracy_sd: float
    best_by_repeat: tuple[float, ...]
    test_by_repeat: tuple[float, ...]
    best_so_far: tuple[float, ...]


def arm_figures(
    scores: npt.ArrayLike, tests: npt.ArrayLike, level: float = 0.95, *, latest: bool = False
) -> ArmFigures:
    """The figures of an arm.

    Args:
        scores: shape [R, n], final validation accuracies in [0, 1] of R repeats of n trials, in
            order of trial number; a diverged trial's is its chance score.
        tests: shape [R, n], final test accuracies in [0, 1].
        level: confidence level, in (0, 1).
        latest: whether the last among ties is selected, not the first.

    Raises:
        ValueError: for values outside these ranges, NaN included, or shapes that differ.
    """
    val, test = checked_accuracies("scores", scores, 2), checked_accuracies("tests", tests, 2)
    if val.shape != test.shape:
        raise ValueError(f"tests must have the shape of scores, {val.shape}; found {test.shape}")
    # argmax takes the first among ties.
    selected = val.argmax(axis=1)[:, None]
    if latest:
        selected = val.shape[1] - 1 - val[:, ::-1].argmax(axis=1)[:, None]
    best = np.take_along_axis(val, selected, axis=1)[:, 0]
    test_of_best = np.take_along_axis(test, selected, axis=1)[:, 0]
    return ArmFigures(
        repeats=len(val),
        n_trials=val.size,
        best_val_accuracy=mean_t(best, level),
        best_val_accuracy_sd=_standard_deviation(best),
        test_accuracy=mean_t(test_of_best, level),
        test_accuracy_sd=_standard_deviation(test_of_best),
        best_by_repeat=tuple(best.tolist()),
        test_by_repeat=tuple(test_of_best.tolist()),
        best_so_far=tuple(np.maximum.accumulate(val, axis=1).mean(axis=0).tolist()),
    )


def _standard_deviation(values: Floats) -> float:
    return math.sqrt(variance(values)) if len(values) > 1 else math.nan
