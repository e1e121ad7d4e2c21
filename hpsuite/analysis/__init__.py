"""Numbers with honest uncertainty from tables of trials: arrays in, frozen dataclasses out."""

from hpsuite.analysis.across_setups import (
    interquartile_mean,
    interquartile_mean_difference,
    mean_probability_better,
    normalised,
)
from hpsuite.analysis.arms import ArmFigures, arm_figures
from hpsuite.analysis.claims import SMALLEST_EFFECTS, Cell, CellVerdict, Claim, Verdict
from hpsuite.analysis.comparisons import Comparison, compare_strategies
from hpsuite.analysis.contrasts import combined, contrast_of_means, difference_of_differences
from hpsuite.analysis.good_fraction import (
    PairedDifference,
    best_level,
    good_fractions,
    paired_difference,
)
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
from hpsuite.analysis.misses import Misses, miss_probability
from hpsuite.analysis.probability_better import probability_better
from hpsuite.analysis.ranking import RankRange, ranking
from hpsuite.analysis.sensitivity import Sensitivity, chance_limit, sensitivity
from hpsuite.analysis.strategies import Curve, StrategyFigures, strategy_figures
from hpsuite.analysis.transfer import Transfer, transfer_costs
from hpsuite.analysis.trials_to_good import TrialsToGood, trials_to_good
from hpsuite.analysis.verdicts import cell_of_interval, cell_of_t, verdict, whole_space

__all__ = [
    "SMALLEST_EFFECTS",
    "ArmFigures",
    "Cell",
    "CellVerdict",
    "Claim",
    "Comparison",
    "Curve",
    "Interval",
    "Misses",
    "PairedDifference",
    "RankRange",
    "Sensitivity",
    "StrategyFigures",
    "Transfer",
    "TrialsToGood",
    "Verdict",
    "arm_figures",
    "best_level",
    "cell_of_interval",
    "cell_of_t",
    "chance_limit",
    "combined",
    "compare_strategies",
    "contrast_of_means",
    "difference_of_differences",
    "good_fractions",
    "interquartile_mean",
    "interquartile_mean_difference",
    "mean_probability_better",
    "mean_t",
    "miss_probability",
    "normalised",
    "paired_difference",
    "probability_better",
    "ranking",
    "sensitivity",
    "strategy_figures",
    "transfer_costs",
    "trials_to_good",
    "verdict",
    "welch",
    "whole_space",
    "wilson",
]
