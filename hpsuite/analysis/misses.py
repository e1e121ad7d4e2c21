"""How often a search ends on a configuration that is not good, judged by fresh seeds.

Each repeat's selected configuration is trained again with s fresh seeds, never with the one that
selected it. Repeat r misses where its true score mu_r, the mean over all seeds, is below b - e.
The mean m_r of s seeds is mu_r with noise of standard error tau, so the share of repeats with
m_r below the threshold is not the miss probability: where many mu_r lie within tau of the
threshold it is off by as much as half of them, towards 1/2.

The interval allows for that. Let t = b - e and a = 2 tau, so that noise exceeds a with probability
pi = .023. A repeat that does not miss has m_r < t - a with probability pi at most, whatever mu_r
is; so the number of repeats with m_r < t - a is at most binomial with p + (1 - p) pi, and a lower
end L for its share makes (L - pi) / (1 - pi) one for p. In the same way the number with m_r < t + a
is at least binomial with p (1 - pi), and its upper end U makes U / (1 - pi). With the ends of
Clopper and Pearson (1934) that holds whatever the mu_r are, for normal noise that is as large
everywhere. Nearer to the threshold than a the seeds cannot tell, and the interval says so.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpsuite.analysis.checks import checked_level, checked_number, checked_table
from hpsuite.analysis.intervals import Interval, wilson
from hpsuite.analysis.trials_to_good import tie_width

# How many standard errors of a repeat's mean the ends step aside. With fewer, pi takes more of the
# interval's width than the step saves; with more, the ends answer for another e than was asked.
STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class Misses:
    """Share of repeats whose selected configuration is not good.

    Attributes:
        threshold: b - margin, in the scores' unit.
        repeats, seeds: R and s.
        probability: the estimate is the share of repeats whose mean of s seeds is below the
            threshold (noise drives it towards 1/2); the ends allow for that.
        plain: the same share with Wilson's interval, as if a mean over seeds were the truth:
            approximate, and wrong where many are near the threshold.
        near: share of repeats whose mean is within 2 standard errors of the threshold: with more
            seeds these may change sides.
        noise_sd: standard deviation over seeds, pooled over repeats, or as given.
    """

    threshold: float
    repeats: int
    seeds: int
    probability: Interval
    plain: Interval
    near: float
    noise_sd: float


def miss_probability(
    scores: npt.ArrayLike,
    b: float,
    *,
    margin: float = 0.02,
    b_error: float = 0.0,
    noise_sd: float | None = None,
    level: float = 0.95,
) -> Misses:
    """Probability that a search ends on a configuration whose true score is below b - margin.

    Args:
        scores: shape [R, s], scores of each repeat's selected configuration with s fresh seeds
            (the seed that selected it left out); any unit, higher is better.
        b: the best that the setup can do, found independently of these repeats.
        margin: in the scores' unit, >= 0.
        b_error: standard error of b, >= 0; each end steps aside by two of them more, since an
            error of b moves all repeats at once.
        noise_sd: standard deviation of a score over seeds, >= 0; by default the root mean square
            over repeats of what the seeds show, which takes s >= 2.
        level: confidence level, in (0, 1).

    Raises:
        ValueError: for scores that are not finite or not [R, s], arguments out of range, or one
            seed without `noise_sd`.
    """
    table = checked_table("scores", scores, 2)
    checked_level(level)
    checked_number("b", b)
    checked_number("margin", margin, at_least=0)
    checked_number("b_error", b_error, at_least=0)
    repeats, seeds = table.shape
    df = math.inf
    if noise_sd is None:
        if seeds == 1:
            raise ValueError("scores must have 2 seeds or more a repeat, or noise_sd; found 1 seed")
        # Exactly 0 for equal scores, whose rounded mean can differ from them.
        spread = np.where(np.ptp(table, axis=1) == 0, 0.0, table.var(axis=1, ddof=1))
        noise_sd, df = math.sqrt(float(np.sort(spread).mean())), float(repeats * (seeds - 1))
    checked_number("noise_sd", noise_sd, at_least=0)

    # A mean on the threshold is good, up to rounding.
    below = b - margin - tie_width(b, margin)
    wrong = float(stats.norm.sf(STANDARD_ERRORS)) if noise_sd > 0 else 0.0
    # As much further as the noise is uncertain: Student's quantile.
    reach = float(stats.t.isf(stats.norm.sf(STANDARD_ERRORS), df))
    aside = reach * noise_sd / math.sqrt(seeds) + STANDARD_ERRORS * b_error
    means = np.sort(table.mean(axis=1))
    surely, perhaps = (int((means < edge).sum()) for edge in (below - aside, below + aside))
    # Clopper and Pearson's ends as quantiles of beta distributions.
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, surely, repeats - surely + 1)) if surely else 0.0
    high = float(stats.beta.isf(tail, perhaps + 1, repeats - perhaps)) if perhaps < repeats else 1.0
    return Misses(
        threshold=b - margin,
        repeats=repeats,
        seeds=seeds,
        probability=Interval(
            float(np.mean(means < below)),
            max(0.0, (low - wrong) / (1 - wrong)),
            min(1.0, high / (1 - wrong)),
            level,
            f"Clopper-Pearson, {STANDARD_ERRORS:g} standard errors of a repeat's mean aside",
        ),
        plain=wilson(int((means < below).sum()), repeats, level),
        near=float(np.mean(np.abs(means - below) <= aside)),
        noise_sd=noise_sd,
    )
