"""Numbers with honest uncertainty from tables of trials: arrays in, frozen dataclasses out."""

from hpsuite.analysis.arms import ArmFigures, arm_figures
from hpsuite.analysis.best import BestLevel, best_level, estimate_best
from hpsuite.analysis.good_fraction import PairedDifference, good_fractions, paired_difference
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
from hpsuite.analysis.ranking import RankRange, ranking
from hpsuite.analysis.sensitivity import (
    Sensitivity,
    chance_limit,
    failed_fraction,
    sensitivity,
)

__all__ = [
    "ArmFigures",
    "BestLevel",
    "Interval",
    "PairedDifference",
    "RankRange",
    "Sensitivity",
    "arm_figures",
    "best_level",
    "chance_limit",
    "estimate_best",
    "failed_fraction",
    "good_fractions",
    "mean_t",
    "paired_difference",
    "ranking",
    "sensitivity",
    "welch",
    "wilson",
]
