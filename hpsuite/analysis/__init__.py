"""Numbers with honest uncertainty from tables of trials: arrays in, frozen dataclasses out."""

from hpsuite.analysis.across_setups import (
    interquartile_mean,
    interquartile_mean_difference,
    mean_probability_better,
    normalised,
)
from hpsuite.analysis.arms import ArmFigures, arm_figures
from hpsuite.analysis.best import BestLevel, best_level, estimate_best
from hpsuite.analysis.claims import SMALLEST_EFFECTS, Cell, CellVerdict, Claim, Verdict
from hpsuite.analysis.comparisons import Comparison, compare_strategies
from hpsuite.analysis.contrasts import combined, contrast_of_means, difference_of_differences
from hpsuite.analysis.edge import Edge, edges
from hpsuite.analysis.gate import Gate, gate, tuning_did_not_matter
from hpsuite.analysis.good_fraction import PairedDifference, good_fractions, paired_difference
from hpsuite.analysis.importance import importance
from hpsuite.analysis.importance_figures import EVALUATORS, HyperparameterImportance, Importance
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
from hpsuite.analysis.marginals import MarginalCurve, MarginalGrid, marginal_curve, marginal_grid
from hpsuite.analysis.misses import Misses, miss_probability
from hpsuite.analysis.probability_better import probability_better
from hpsuite.analysis.ranking import RankRange, ranking
from hpsuite.analysis.rate_sweep import RateSweep, rate_sweep, sampled_width
from hpsuite.analysis.rate_width import RateWidth
from hpsuite.analysis.regret import Regret, regret
from hpsuite.analysis.sensitivity import (
    Sensitivity,
    chance_limit,
    failed_fraction,
    sensitivity,
)
from hpsuite.analysis.split import SplitSpread, split_spread
from hpsuite.analysis.strategies import Curve, StrategyFigures, strategy_figures
from hpsuite.analysis.transfer import Transfer, transfer_costs
from hpsuite.analysis.trials_to_good import TrialsToGood, trials_to_good
from hpsuite.analysis.tuning_curve import (
    SelectedCurve,
    TuningCurve,
    selected_curve,
    trials_needed,
    tuning_curve,
)
from hpsuite.analysis.verdicts import cell_of_interval, cell_of_t, verdict, whole_space

__all__ = [
    "EVALUATORS",
    "SMALLEST_EFFECTS",
    "ArmFigures",
    "BestLevel",
    "Cell",
    "CellVerdict",
    "Claim",
    "Comparison",
    "Curve",
    "Edge",
    "Gate",
    "HyperparameterImportance",
    "Importance",
    "Interval",
    "MarginalCurve",
    "MarginalGrid",
    "Misses",
    "PairedDifference",
    "RankRange",
    "RateSweep",
    "RateWidth",
    "Regret",
    "SelectedCurve",
    "Sensitivity",
    "SplitSpread",
    "StrategyFigures",
    "Transfer",
    "TrialsToGood",
    "TuningCurve",
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
    "edges",
    "estimate_best",
    "failed_fraction",
    "gate",
    "good_fractions",
    "importance",
    "interquartile_mean",
    "interquartile_mean_difference",
    "marginal_curve",
    "marginal_grid",
    "mean_probability_better",
    "mean_t",
    "miss_probability",
    "normalised",
    "paired_difference",
    "probability_better",
    "ranking",
    "rate_sweep",
    "regret",
    "sampled_width",
    "selected_curve",
    "sensitivity",
    "split_spread",
    "strategy_figures",
    "transfer_costs",
    "trials_needed",
    "trials_to_good",
    "tuning_curve",
    "tuning_did_not_matter",
    "verdict",
    "welch",
    "whole_space",
    "wilson",
]
