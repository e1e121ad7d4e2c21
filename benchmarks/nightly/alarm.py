"""Which figures of a night lie outside what the nights before it leave to chance.

Each figure comes with a standard error, from repeats within its night. Nights differ by more, or by
less, than these errors say: intervals are approximate, and a machine's other work changes what a
night measures. So the noise of a figure is its typical standard error times a factor, and the
factor comes from the history: that of the figure alone, once there are many nights, and that of
all figures of its kind while there are few. In symbols, for values x_1, ..., x_n of earlier nights
with root mean square standard error s, and S^2 the variance of these values,

    r = S^2 / s^2,      v = (d0 f0 + (n - 1) r) / (d0 + n - 1),
    t = (x - mean) / sqrt(v (max(s, e)^2 + s^2 / n)),   on d0 + n - 1 degrees of freedom,

where e is this night's own standard error, which counts whole where the night was a noisy one:

the moderated t-statistic of Smyth, Linear models and empirical Bayes methods for assessing
differential expression (2004), Statistical Applications in Genetics and Molecular Biology 3(1):
d0 and f0 are those of the scaled inverse chi-squared distribution that the figures' factors seem to
come from, estimated by the mean and the variance of log r over the figures of a kind.

A figure is suspect where the chance of such a t, on one side, is under `CHANCE`. Then the part of
the night that it came from is run again with other seeds, up to twice, and what is suspect in the
same direction each time has moved. Independent looks multiply the chances of a false alarm, and
keep it small where errors are not normal. simulate.py measures how small.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import t as student

# On one side, of one figure, in one look.
CHANCE = 0.001
# What is taken for the factor's distribution where a kind has too few figures to tell.
FEW = 6
# Degrees of freedom of the factors' distribution: the least, and the most by how many nights there
# are to tell it from. Few nights make a wide distribution look narrow.
LEAST_DF, MOST_DF = 3.0, 30.0
CAUTIOUS_DF, CAUTIOUS_NIGHTS = 4.0, 8
# No factor is less: an interval that is too wide by three still has its say.
LEAST_FACTOR = 0.1
# What is not less on any scale.
_TINY = 1e-12


@dataclass(frozen=True)
class Value:
    """What one night found for a figure.

    Attributes:
        value: on the scale on which its noise is even: a logarithm for ratios of speeds.
        error: its standard error, from within the night; more than 0.
    """

    value: float
    error: float


@dataclass(frozen=True)
class Prior:
    """How the factors of a kind of figures are distributed: about `factor`, on `df` degrees."""

    factor: float
    df: float


# Of single figures of a kind. Speeds of one night share what else the machine did.
PRIORS: Mapping[str, Prior] = {
    "effect": Prior(1.0, 4.0),
    "share": Prior(1.0, 4.0),
    "speed": Prior(4.0, 4.0),
    "overhead": Prior(4.0, 4.0),
}


@dataclass(frozen=True)
class Judgement:
    """A figure of a night against those before it.

    Attributes:
        n: nights before it.
        mean: of theirs.
        noise: standard deviation of the difference between a night and that mean.
        t: the difference over its noise.
        limit: beyond which it is suspect.
    """

    n: int
    mean: float
    noise: float
    t: float
    limit: float

    def suspect(self, worse: int) -> bool:
        """Whether it moved beyond chance: down (-1), up (1), or either way (0)."""
        return abs(self.t) > self.limit and (worse == 0 or self.t * worse > 0)


def judge(
    found: Mapping[str, Value],
    history: Mapping[str, Sequence[Value]],
    kinds: Mapping[str, str],
    chance: float = CHANCE,
) -> dict[str, Judgement]:
    """Judge each figure that has a history.

    Args:
        found: this night's, by name.
        history: those of the nights before it that count as normal, in any order.
        kinds: of figures, keys of `PRIORS`.
        chance: on one side, in (0, .5).
    """
    known = {name: past for name, past in history.items() if past}
    priors = _priors(known, kinds)
    return {
        name: _judged(value, known[name], priors[kinds[name]], chance)
        for name, value in found.items()
        if name in known
    }


def _judged(new: Value, past: Sequence[Value], prior: Prior, chance: float) -> Judgement:
    values = np.array([one.value for one in past])
    n = len(values)
    scale = _scale(past)
    df = prior.df + n - 1
    ratio = float(np.var(values, ddof=1)) / scale**2 if n > 1 else 0.0
    factor = max((prior.df * prior.factor + (n - 1) * ratio) / df, LEAST_FACTOR)
    noise = math.sqrt(factor * (max(scale, new.error) ** 2 + scale**2 / n))
    mean = float(values.mean())
    return Judgement(n, mean, noise, (new.value - mean) / noise, _limit(chance, df))


@functools.cache
def _limit(chance: float, df: float) -> float:
    """Beyond which t of so many degrees of freedom lies with that chance."""
    return float(student.isf(chance, df))


def _scale(values: Sequence[Value]) -> float:
    """Their root mean square standard error."""
    squares = np.array([one.error for one in values]) ** 2
    return max(math.sqrt(float(squares.mean())), _TINY)


def _priors(history: Mapping[str, Sequence[Value]], kinds: Mapping[str, str]) -> dict[str, Prior]:
    """The factors' distribution, for each kind."""
    found: dict[str, list[tuple[float, int]]] = {kind: [] for kind in PRIORS}
    for name, past in history.items():
        if len(past) > 1 and name in kinds:
            variance = float(np.var([one.value for one in past], ddof=1))
            if variance > 0:
                ratio = variance / _scale(past) ** 2
                found[kinds[name]].append((ratio, len(past) - 1))
    return {
        kind: fitted(ratios) if len(ratios) >= FEW else PRIORS[kind]
        for kind, ratios in found.items()
    }


def fitted(ratios: Sequence[tuple[float, int]]) -> Prior:
    """The factors' distribution, from ratios of variances and their degrees of freedom.

    By the moments of log r, as in section 6.2 of Smyth 2004.

    Args:
        ratios: (r, n - 1) of each figure; r more than 0; two or more.
    """
    r = np.log([ratio for ratio, _ in ratios])
    half = np.array([df for _, df in ratios]) / 2
    centred = r - digamma(half) + np.log(half)
    excess = float(np.var(centred, ddof=1) - polygamma(1, half).mean())
    few = max(n for _, n in ratios) + 1 < CAUTIOUS_NIGHTS
    df = most = CAUTIOUS_DF if few else MOST_DF
    if excess > float(polygamma(1, most / 2)):
        least = float(polygamma(1, LEAST_DF / 2))
        df = LEAST_DF if excess >= least else 2 * _inverse_trigamma(excess)
    factor = math.exp(float(centred.mean()) + float(digamma(df / 2)) - math.log(df / 2))
    return Prior(factor, df)


def _inverse_trigamma(value: float) -> float:
    found = brentq(lambda x: float(polygamma(1, x)) - value, LEAST_DF / 2, MOST_DF / 2)
    return float(found)
