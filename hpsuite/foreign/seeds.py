"""Seeds of one configuration: trials of the same hyperparameters, which count once."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpsuite.foreign.table import counted
from hpsuite.trials import Scalar

# Scales on which a random sample has no value twice.
CONTINUOUS = ("linear", "log", "one_minus_log")


@dataclass(frozen=True)
class Repeats:
    """Which trials of a group are seeds of one configuration.

    Attributes:
        of: int [n], the configuration of each trial, in order of their first trials.
        first: int [k], the first trial of each configuration.
        seeds: int [k], how many trials each configuration has.
        notes: what a reader should know of it.
    """

    of: NDArray[np.intp]
    first: NDArray[np.intp]
    seeds: NDArray[np.intp]
    notes: tuple[str, ...] = ()

    @property
    def noise_share(self) -> float:
        """The noise of a mean over a configuration's seeds, as a share of that of one, in (0, 1].

        The root of the mean variance: a configuration of a hundred seeds among singles is one.
        """
        return math.sqrt(float(np.mean(1 / self.seeds)))

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means over seeds: [n] to [k]."""
        # A single value is its own mean, to the last digit.
        return np.asarray(np.bincount(self.of, weights=values) / self.seeds)

    def all(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether all seeds of a configuration have a flag: [n] to [k]."""
        return np.asarray(np.bincount(self.of, weights=flags) == self.seeds)


def repeats(columns: Mapping[str, Sequence[Scalar]], continuous: Collection[str]) -> Repeats:
    """Which trials of a group are seeds of one configuration.

    Those that agree in all hyperparameters and have one that varies on a continuum, where no value
    is drawn twice by chance. Where all are discrete, equal trials may well be draws of their own:
    they stay, and a note says what to do if they are not.

    Args:
        columns: the hyperparameters' values, trial by trial; one column or more.
        continuous: names of those on a continuum.
    """
    varying = [
        i
        for i, (name, values) in enumerate(columns.items())
        if name in continuous and len(set(values) - {None}) > 1
    ]
    known: dict[tuple[Scalar, ...], int] = {}
    discrete: set[tuple[Scalar, ...]] = set()
    of: list[int] = []
    first: list[int] = []
    left = 0
    for key in zip(*columns.values(), strict=True):
        label = len(first)
        # One that lacks what varies on a continuum has discrete values alone.
        if any(key[i] is not None for i in varying):
            label = known.setdefault(key, label)
        else:
            discrete.add(key)
            left += 1
        if label == len(first):
            first.append(len(of))
        of.append(label)
    labels = np.array(of, np.intp)
    seeds = np.bincount(labels, minlength=len(first))
    notes = []
    if len(first) < len(of):
        notes.append(
            f"{counted(len(of), 'trial')} are {counted(len(first), 'configuration')}, of up to "
            f"{seeds.max()} seeds each, and count once each, with their mean"
        )
    if len(discrete) < left:
        notes.append(
            f"{counted(left, 'trial')} of {counted(len(discrete), 'configuration')}: right where "
            "they were drawn more than once by chance; where they were repeated with other seeds, "
            "give their mean"
        )
    return Repeats(labels, np.array(first, np.intp), seeds, tuple(notes))


def seed_noise(
    groups: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_], Repeats]],
) -> tuple[float, int]:
    """Standard deviation over seeds of a good configuration's score, and of how many it is.

    Of each group, the better half of the configurations with several seeds, none of which failed:
    the root of the median variance over seeds, each divided by the median of chi-squared over its
    degrees of freedom (as `analysis.best.pooled_noise`, but for unequal numbers of seeds).

    Args:
        groups: of each, the scores of all trials, which of them failed, and its repeats.

    Returns:
        0 of none where no configuration was repeated.
    """
    variances: list[NDArray[np.float64]] = []
    for scores, failed, found in groups:
        lost = np.bincount(found.of, weights=failed) > 0
        several = np.flatnonzero((found.seeds > 1) & ~lost)
        means = found.mean(scores)
        better = several[np.argsort(-means[several], kind="stable")][: math.ceil(len(several) / 2)]
        squares = np.bincount(found.of, weights=(scores - means[found.of]) ** 2)
        variances.append(squares[better] / stats.chi2.median(found.seeds[better] - 1))
    of_all = np.concatenate(variances) if variances else np.empty(0)
    return (math.sqrt(float(np.median(of_all))), len(of_all)) if len(of_all) else (0.0, 0)
