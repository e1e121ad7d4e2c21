"""b, the best that a setup can do: what it is, how it is estimated, and how far it is off.

The estimand b* is the mean, over the best 4% of the space, of a configuration's expected score
over seeds. From one noisy score a configuration it is estimated by the plain mean of the best 4%
of the sample, which is too high by the luck of the selected, however large the sample. Trained
again with fresh seeds, the luck is gone. docs/statistics-sensitivity.md has what was measured.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import Floats, checked_accuracies, checked_scores, checked_unit

POINT = 0.01
TOP_SHARE = 0.04
# An assumed seed-to-seed standard deviation of good configurations on a few hundred validation
# images; quickstart's best show .5 to 1.1, median .64 (benchmarks/seed_noise.py).
NOISE_SD = 0.005
# The same for scores of any unit: half a point.
NOISE_POINTS = 0.5
# Scores are multiples of 1/n_val, so exact ties with b - e are common and must count as good. It
# exceeds the rounding of float32 accuracies (6e-8), and is far below 1/n_val.
TIE = 1e-7
# What b gains when noise is added once more, as a share of what it gained from its own noise, in a
# space where all is equally good: noise of sqrt(2) instead of 1. Where the space slopes steeply
# compared with the noise it is 1.
FLAT_GAIN = math.sqrt(2) - 1


@dataclass(frozen=True, slots=True)
class BestLevel:
    """The level b of a setup, in the score's unit.

    Attributes:
        value: b.
        rule: how it was found, for a reader.
        n: configurations in the reference sample.
        n_retrained: how many of them were trained again, 0 for the plain mean.
        seeds: fresh seeds of each of those, 0 for the plain mean.
        standard_error: of `value`, from the seeds alone, given the configurations; nan for the
            plain mean.
        noise_sd: standard deviation of a good configuration's score over seeds: measured on the
            retrained, assumed for the plain mean.
        bias: about how far `value` lies above b* by the luck of the selected, as found by adding
            the noise once more; exact for a space that is flat at its best. Not subtracted.
    """

    value: float
    rule: str
    n: int
    n_retrained: int
    seeds: int
    standard_error: float
    noise_sd: float
    bias: float

    @property
    def retrained(self) -> bool:
        """Whether fresh seeds went into it."""
        return self.n_retrained > 0


def n_best(n: int) -> int:
    """How many of n trials are the best 4%: the nearest whole number, at least 1."""
    return max(1, round(TOP_SHARE * n))


def best_level(scores: npt.ArrayLike, *, unit: float | None = None) -> float:
    """b, the plain mean of the best 4% of `scores`, shape [n].

    Args:
        scores: accuracies in [0, 1], or any finite numbers where `unit` is given.
        unit: what a point is in the score's unit; None for accuracies, where it is .01.

    Raises:
        ValueError: for scores that are not accuracies, or not finite.
    """
    return float(best_levels(checked_in(unit, "scores", scores)))


def estimate_best(
    scores: npt.ArrayLike,
    retrained: npt.ArrayLike | None = None,
    *,
    generator: np.random.Generator,
    noise_sd: float | None = None,
    unit: float | None = None,
) -> BestLevel:
    """The level b, from a reference sample and fresh seeds of its best where there are any.

    Without `retrained`, the plain mean of the best 4%. With it, the mean over seeds of each
    retrained configuration, and of these means the best 4% of n: where just the best 4% were
    retrained, the mean of all that was. That has no luck left, but where the best is next to a
    cliff, some of the selected diverge with fresh seeds, and b is points too low; so retrain twice
    as many (`2 * n_best(n)`), each with 3 seeds or more: the half that does not hold its place then
    drops out, for a little luck in return (`bias`).

    The measured noise is the root of the median variance over seeds, divided by the median of
    chi-squared over its degrees of freedom: a few configurations that sometimes diverge do not
    enter it.

    Args:
        scores: shape [n], scores of i.i.d. random configurations, higher is better; see
            `best_level`.
        retrained: shape [m, s], scores of the m configurations with the highest of `scores`, each
            with s >= 2 fresh seeds; m from n_best(n) to n. The order of the rows does not matter.
        generator: draws the noise that finds the bias.
        noise_sd: for the plain mean, the assumed standard deviation over seeds of a good
            configuration's score, in the score's unit; half a point by default.
        unit: see `best_level`.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    sample = np.sort(checked_in(unit, "scores", scores))
    n, best = len(sample), n_best(len(sample))
    if retrained is None:
        sd = checked_noise(noise_sd, unit)
        return BestLevel(
            value=float(best_levels(sample)),
            rule=plain_rule(n),
            n=n,
            n_retrained=0,
            seeds=0,
            standard_error=math.nan,
            noise_sd=sd,
            bias=noise_allowance(sample, sd, generator) / FLAT_GAIN,
        )
    if noise_sd is not None:
        raise ValueError(f"noise_sd is measured where retrained is given; found {noise_sd}")
    fresh = checked_in(unit, "retrained", retrained, 2)
    m, seeds = fresh.shape
    if not best <= m <= n:
        raise ValueError(f"retrained must have {best} to {n} configurations of {n}; found {m}")
    if seeds < 2:
        raise ValueError(f"retrained must have at least 2 seeds a configuration; found {seeds}")
    # Sorted, so that the order of configurations and seeds cannot matter.
    means = np.sort(np.sort(fresh, axis=1).mean(axis=1))
    sd = pooled_noise(fresh)
    error = sd / math.sqrt(seeds)
    luck = noise_allowance(means, error, generator, best) if m > best else 0.0
    chosen = f"the best {best} of {m} by" if m > best else f"{m}, by"
    return BestLevel(
        value=float(best_levels(means, best)),
        rule=f"mean of the best 4% of {n} trials, retrained: {chosen} {seeds} fresh seeds each",
        n=n,
        n_retrained=m,
        seeds=seeds,
        standard_error=error / math.sqrt(best),
        noise_sd=sd,
        bias=luck / FLAT_GAIN,
    )


def plain_rule(n: int) -> str:
    """How b is found where nothing was retrained, for a reader."""
    return f"plain mean of the best 4% ({n_best(n)} of {n} trials), not retrained: biased upwards"


def pooled_noise(scores: Floats) -> float:
    """Standard deviation over seeds, pooled over configurations [m, s] by the median; s >= 2."""
    seeds = scores.shape[1]
    # The rounded mean of equal values can differ from them.
    spread = np.where(np.ptp(scores, axis=1) == 0, 0.0, np.var(scores, axis=1, ddof=1))
    return math.sqrt(float(np.median(spread)) / float(stats.chi2.median(seeds - 1) / (seeds - 1)))


def best_levels(scores: Floats, best: int | None = None) -> Floats:
    """Mean of the best 4%, or of the best `best`, along the last axis: [..., n] to [...]."""
    n = scores.shape[-1]
    k = n_best(n) if best is None else best
    return np.asarray(np.partition(scores, n - k, axis=-1)[..., n - k :].mean(axis=-1))


def noise_allowance(
    scores: Floats, noise_sd: float, generator: np.random.Generator, best: int | None = None
) -> float:
    """What b gains, on average, when seed noise is added to every score once more; >= 0.

    The first step of simulation-extrapolation (Cook and Stefanski 1994).
    """
    if noise_sd == 0:
        return 0.0
    # Half of the draws mirror the other half, which takes out most of the simulation's error;
    # 200 leave b's gain uncertain by a few hundredths of a point.
    half = generator.normal(0.0, noise_sd, (100, len(scores)))
    noisy = scores + np.concatenate([half, -half])
    return max(0.0, float(best_levels(noisy, best).mean() - best_levels(scores, best)))


def point_of(unit: float | None) -> float:
    """What a point is in the score's unit."""
    return POINT if unit is None else checked_unit(unit)


def tie_of(unit: float | None, scores: Floats) -> float:
    """By how much a score may miss a level and still count as reaching it."""
    if unit is None:
        return TIE
    # No less than a few roundings of the scores themselves, which may be large.
    return max(TIE * (unit / POINT), 8 * float(np.spacing(np.abs(scores).max())))


def checked_in(unit: float | None, name: str, values: npt.ArrayLike, ndim: int = 1) -> Floats:
    """Accuracies where there is no unit, else finite scores.

    Raises:
        ValueError: where they are not.
    """
    if unit is None:
        return checked_accuracies(name, values, ndim)
    checked_unit(unit)
    return checked_scores(name, values, ndim)


def checked_noise(noise_sd: float | None, unit: float | None) -> float:
    """A standard deviation over seeds in the score's unit; half a point by default.

    Raises:
        ValueError: where it is negative or not finite, or above 1 for accuracies.
    """
    if noise_sd is None:
        return NOISE_POINTS * point_of(unit)
    most = 1.0 if unit is None else math.inf
    if not (0 <= noise_sd <= most and math.isfinite(noise_sd)):
        accepted = "in [0, 1] (.005 is half a point)" if unit is None else ">= 0 and finite"
        raise ValueError(f"noise_sd must be {accepted}; found {noise_sd}")
    return noise_sd
