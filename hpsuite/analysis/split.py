"""How much of a figure belongs to the split of the data that it was measured on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hpsuite.analysis.checks import checked_finite, checked_level
from hpsuite.analysis.intervals import Interval, variance


@dataclass(frozen=True, slots=True)
class SplitSpread:
    """One figure over S splits of the same data, in the figure's unit.

    Attributes:
        splits: S.
        mean: mean over splits, with an interval for the mean over all splits that might have been
            drawn; it holds what varies between splits and within them.
        spread: standard deviation of the figure over splits, with a chi-squared interval; it
            holds what the trials of each split vary by themselves. Its ends are nan where all
            figures are equal.
        within_sd: root mean square standard error within a split, from the figures' own
            intervals; nan where one of them has no ends.
        between_sd: standard deviation that is the split's own: what of `spread` the error within
            splits does not explain. 0 where it explains all; nan for one split, or without
            `within_sd` where it is needed.
        ratio: `between_sd` / `within_sd`: how many times the error of one split's figure its
            split adds; above about 1, say nothing from one split.
    """

    splits: int
    mean: Interval
    spread: Interval
    within_sd: float
    between_sd: float
    ratio: float


def split_spread(
    figures: Sequence[Interval],
    *,
    same_configurations: bool,
    level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> SplitSpread:
    """What one figure does over splits.

    With configurations and seeds drawn afresh for every split, the figures are independent, and
    the interval of their mean is Student's t over splits, which contains all there is. Where all
    splits share their configurations, as they do where only `split_seed` varies, the error of
    having drawn just these is the same in all of them, and no number of splits shows it: the
    squared standard error within a split is then added to that of the mean, with Satterthwaite's
    degrees of freedom (1946). That is conservative, as part of the error within a split is not
    shared.

    Args:
        figures: the same figure on each split, with the interval that it has there (at one
            level); its error is taken as half its width over that of the normal distribution.
        same_configurations: whether the splits share configurations.
        level: confidence level, in (0, 1).
        bounds: what the figure can be at all, (0, 1) for fractions; the ends are clipped to it.

    Raises:
        ValueError: for no figures, estimates that are not finite, or a level outside its range.
    """
    estimates = checked_finite("figures", [figure.estimate for figure in figures])
    checked_level(level)
    count = len(estimates)
    errors = np.array([(f.high - f.low) / (2 * stats.norm.isf((1 - f.level) / 2)) for f in figures])
    within = float(np.sqrt(np.mean(errors**2)))
    mean = float(estimates.mean())
    shared = within**2 if same_configurations else 0.0
    method = "Student t over splits"
    if same_configurations:
        method += ", with the error within a split added, as all splits share their configurations"
    if count == 1:
        nan = math.nan
        only = Interval(mean, nan, nan, level, "one split: no interval over splits")
        return SplitSpread(1, only, Interval(nan, nan, nan, level, only.method), within, nan, nan)
    between = variance(estimates)
    tail = (1 - level) / 2
    low = high = math.nan
    if math.isfinite(shared):
        squared = between / count + shared
        # Satterthwaite's: the shared error counts as known.
        df = (count - 1) * (squared / (between / count)) ** 2 if between > 0 else math.inf
        half = float(stats.t.isf(tail, df)) * math.sqrt(squared)
        low, high = max(bounds[0], mean - half), min(bounds[1], mean + half)
    else:
        method += ": not computable, as a figure has no interval"
    spread = math.sqrt(between)
    chi = [float(stats.chi2.isf(q, count - 1)) for q in (tail, 1 - tail)]
    if same_configurations:
        own = spread
    else:
        own = math.nan if math.isnan(within) else math.sqrt(max(0.0, between - within**2))
    return SplitSpread(
        splits=count,
        mean=Interval(mean, low, high, level, method),
        spread=Interval(
            spread,
            spread * math.sqrt((count - 1) / chi[0]),
            spread * math.sqrt((count - 1) / chi[1]),
            level,
            "chi-squared over splits, for figures that vary normally",
        )
        if spread > 0
        # Figures on a lattice that agree by chance.
        else Interval(0.0, math.nan, math.nan, level, "no interval: the figures are all equal"),
        within_sd=within,
        between_sd=own,
        ratio=own / within if within > 0 else math.nan,
    )
