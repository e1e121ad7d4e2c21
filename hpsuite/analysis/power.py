"""How large an experiment must be for its verdict to be likely to come out.

A verdict asks more than a significance test. With smallest effect d and an interval that reaches h
to either side of the estimate, "supported" takes an estimate above d + h, and "no difference" one
within d - h of 0: where h > d it can never come out, whatever the truth. An estimate that is
normal with standard error se is supported with a given power from a true effect of
d + (z_level + z_power) se on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hpsuite.analysis.checks import checked_level, checked_number
from hpsuite.analysis.intervals import t_quantile

Wanted = Literal["supported", "no difference"]
# More repeats or configurations than any experiment here will have.
MOST = 100_000
# Equally likely quantiles of the estimated error, over which "no difference" is averaged.
QUANTILES = (np.arange(400) + 0.5) / 400


@dataclass(frozen=True, slots=True)
class Chances:
    """Probabilities of the verdicts on a claim of "greater"; they add up to 1."""

    supported: float
    contradicted: float
    no_difference: float
    inconclusive: float


def chances(
    effect: float,
    error: float,
    smallest_effect: float,
    *,
    df: float = math.inf,
    level: float = 0.95,
) -> Chances:
    """Probabilities of the verdicts where the estimate is normal and its error is estimated.

    Exact for t intervals: noncentral t for the one-sided ends, and for "no difference" (both ends
    inside: Schuirmann 1987's two one-sided tests) an average over the estimated error.

    Args:
        effect: the true value of the statistic, less its value without effect.
        error: true standard error of the estimate, > 0, in the same unit.
        smallest_effect: that would matter, >= 0, in the same unit.
        df: degrees of freedom of the estimated error, > 0; inf where it is known.
        level: confidence level of the interval, in (0, 1).

    Raises:
        ValueError: for arguments outside these ranges.
    """
    checked_level(level)
    checked_number("effect", effect)
    checked_number("smallest_effect", smallest_effect, at_least=0)
    checked_number("error", error, at_least=0)
    if not (error > 0 and df > 0):
        raise ValueError(f"error and df must be > 0; found {error} and {df}")
    above, below = (effect - smallest_effect) / error, (effect + smallest_effect) / error
    t = float(stats.t.isf((1 - level) / 2, df))
    if math.isinf(df):
        supported, contradicted = stats.norm.sf(t - above), stats.norm.cdf(-t - below)
        reach = np.array([t])
    else:
        # Mirrored, as scipy's noncentral t is accurate in its upper tail.
        supported, contradicted = stats.nct.sf(t, df, above), stats.nct.sf(t, df, -below)
        reach = t * np.sqrt(stats.chi2.ppf(QUANTILES, df) / df)
    inside = stats.norm.cdf(-reach - above) - stats.norm.cdf(reach - below)
    no_difference = float(np.maximum(0.0, inside).mean())
    rest = max(0.0, 1 - float(supported) - float(contradicted) - no_difference)
    return Chances(float(supported), float(contradicted), no_difference, rest)


def detectable_effect(
    error: float, smallest_effect: float, power: float = 0.8, level: float = 0.95
) -> float:
    """The true effect from which on "supported" comes out with a given power, error known.

    smallest_effect + (z_level + z_power) error. At an error of 2.5 points and a smallest effect of
    2 it is 9.0 points at 80% (the estimate must exceed 6.9), 10.1 at 90%.

    Raises:
        ValueError: for a negative error or smallest effect, or a power or level outside (0, 1).
    """
    checked_number("error", error, at_least=0)
    checked_number("smallest_effect", smallest_effect, at_least=0)
    return smallest_effect + (_z(level) + _power_z(power)) * error


def largest_error(smallest_effect: float, power: float = 0.8, level: float = 0.95) -> float:
    """The standard error up to which "no difference" comes out with a given power, if none is.

    smallest_effect / (z_level + z_(1 + power)/2), for a true effect of 0; with a power of 0, the
    error at which it becomes possible at all, smallest_effect / z_level: 1.02 points for 2 points.

    Raises:
        ValueError: for a negative smallest effect, or a power or level out of range.
    """
    checked_number("smallest_effect", smallest_effect, at_least=0)
    if not 0 <= power < 1:
        raise ValueError(f"power must be in [0, 1); found {power}")
    return smallest_effect / (_z(level) + float(stats.norm.ppf((1 + power) / 2)))


def repeats_for_means(
    effect: float,
    smallest_effect: float,
    sd: float,
    *,
    sd_other: float | None = None,
    wanted: Wanted = "supported",
    power: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """Repeats an arm for a difference of means by Welch's t.

    For pairs, give the standard deviation of their differences as `sd` and 0 as `sd_other`.

    Args:
        effect: true difference, in the scores' unit; 0 is usual for "no difference".
        smallest_effect: see `chances`.
        sd: standard deviation over repeats of the one arm, > 0.
        sd_other: of the other, >= 0; as `sd` by default.
        wanted: the verdict that is to come out.
        power: probability that it does, in (0, 1).
        level: confidence level, in (0, 1).

    Returns:
        The least number of repeats of each arm, 2 or more; None where 100,000 are too few, as
        they are for an effect that equals the smallest one.

    Raises:
        ValueError: for arguments out of range.
    """
    checked_number("sd", sd, at_least=0)
    other = sd if sd_other is None else checked_number("sd_other", sd_other, at_least=0)
    if sd == 0:
        raise ValueError(f"sd must be > 0; found {sd}")

    def chance(n: int) -> Chances:
        share = sd**2 / (sd**2 + other**2)
        df = (n - 1) / (share**2 + (1 - share) ** 2)
        error = math.sqrt((sd**2 + other**2) / n)
        return chances(effect, error, smallest_effect, df=df, level=level)

    return _least(chance, wanted, power)


def configurations_for_shares(
    effect: float,
    smallest_effect: float,
    discordant: float,
    *,
    wanted: Wanted = "supported",
    power: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """Paired configurations for a difference of shares, such as good fractions, both b known.

    As for McNemar's test: a pair counts where the configuration is good in one setup alone, and
    the difference has variance (discordant - effect^2) / n (Agresti 2013, section 11.1). The
    error of both b comes on top: `simulated` has that, and the power of the suite's own interval.

    Args:
        effect: true difference of the shares, in [-1, 1].
        smallest_effect: see `chances`.
        discordant: share of configurations that are good in one setup alone, in (0, 1], at least
            |effect|.
        wanted: see `repeats_for_means`.
        power: see `repeats_for_means`.
        level: see `repeats_for_means`.

    Raises:
        ValueError: for arguments out of range.
    """
    if not (0 < discordant <= 1 and abs(effect) <= discordant):
        raise ValueError(
            f"discordant must be in (0, 1] and at least |effect|; found {discordant}, {effect}"
        )
    # All discordant pairs on one side leave the spread of their number.
    spread = max(discordant - effect**2, 1e-12)
    return _least(
        lambda n: chances(effect, math.sqrt(spread / n), smallest_effect, level=level),
        wanted,
        power,
    )


def repeats_for_probability(
    probability: float,
    smallest_effect: float = 0.1,
    *,
    paired: bool = False,
    wanted: Wanted = "supported",
    power: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """Repeats an arm for P(A better than B) by `probability_better`, without ties.

    Its ends are Wilson's, so that it is the spread at the smallest effect which an estimate must
    overcome. The effective size is that of Hanley and McNeil (1982) for equal numbers, paired R;
    for 1/2 without a smallest effect the result is near Noether's (1987). Planned for a power of
    80%, the interval itself reached 70% to 88% in simulation, where 8 to 80 repeats were asked for;
    with two repeats more it was 79% or more.

    Args:
        probability: the true P(A better), in (0, 1).
        smallest_effect: how far from 1/2 would matter, in [0, 1/2).
        paired: whether repeats share their seeds.
        wanted: see `repeats_for_means`.
        power: see `repeats_for_means`.
        level: see `repeats_for_means`.

    Raises:
        ValueError: for arguments out of range.
    """
    if not (0 < probability < 1 and 0 <= smallest_effect < 0.5):
        found = f"{probability} and {smallest_effect}"
        raise ValueError(
            f"probability must be in (0, 1), smallest_effect in [0, .5); found {found}"
        )
    p, d = probability, smallest_effect

    def chance(n: int) -> Chances:
        df, factor = float(n - 1), 1.0
        if not paired:
            df, factor = 2.0 * n - 2, (1 + (n - 1) * ((1 - p) / (2 - p) + p / (1 + p))) / n
        root = math.sqrt(factor / n)
        reach = t_quantile(level, df) * math.sqrt((0.5 + d) * (0.5 - d)) * root
        error = math.sqrt(p * (1 - p)) * root
        supported = float(stats.norm.sf((0.5 + d + reach - p) / error))
        contradicted = float(stats.norm.cdf((0.5 - d - reach - p) / error))
        inside = float(
            np.diff(stats.norm.cdf((0.5 + np.array([-1, 1]) * (d - reach) - p) / error))[0]
        )
        inside = inside if reach < d else 0.0
        return Chances(supported, contradicted, inside, 1 - supported - contradicted - inside)

    return _least(chance, wanted, power)


def _least(chance: Callable[[int], Chances], wanted: Wanted, power: float) -> int | None:
    """The least n >= 2 whose chance of the wanted verdict is `power`; None past MOST."""
    if wanted not in ("supported", "no difference"):
        raise ValueError(f"wanted must be 'supported' or 'no difference'; found {wanted!r}")
    _power_z(power)

    def enough(n: int) -> bool:
        found = chance(n)
        return (found.supported if wanted == "supported" else found.no_difference) >= power

    return least_enough(enough, 2)


def least_enough(enough: Callable[[int], bool], start: int) -> int | None:
    """The least n >= start that is enough, if all larger ones are too; None past MOST."""
    if not enough(max(start, MOST)):
        return None
    low, high = start, start
    while not enough(high):
        low, high = high + 1, min(2 * high, max(start, MOST))
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _z(level: float) -> float:
    return float(stats.norm.isf((1 - checked_level(level)) / 2))


def _power_z(power: float) -> float:
    if not 0 < power < 1:
        raise ValueError(f"power must be in (0, 1), 0.8 for 80%; found {power}")
    return float(stats.norm.ppf(power))
