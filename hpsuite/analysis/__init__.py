"""Numbers with honest uncertainty from tables of trials: arrays in, frozen dataclasses out."""

from hpsuite.analysis.arms import ArmFigures, arm_figures
from hpsuite.analysis.best import BestLevel, best_level, estimate_best
from hpsuite.analysis.edge import Edge, edges
from hpsuite.analysis.gate import Gate, gate, tuning_did_not_matter
from hpsuite.analysis.good_fraction import PairedDifference, good_fractions, paired_difference
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
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
from hpsuite.analysis.tuning_curve import (
    SelectedCurve,
    TuningCurve,
    selected_curve,
    trials_needed,
    tuning_curve,
)

__all__ = [
    "ArmFigures",
    "BestLevel",
    "Edge",
    "Gate",
    "Interval",
    "PairedDifference",
    "RankRange",
    "RateSweep",
    "RateWidth",
    "Regret",
    "SelectedCurve",
    "Sensitivity",
    "SplitSpread",
    "TuningCurve",
    "arm_figures",
    "best_level",
    "chance_limit",
    "edges",
    "estimate_best",
    "failed_fraction",
    "gate",
    "good_fractions",
    "mean_t",
    "paired_difference",
    "ranking",
    "rate_sweep",
    "regret",
    "sampled_width",
    "selected_curve",
    "sensitivity",
    "split_spread",
    "trials_needed",
    "tuning_curve",
    "tuning_did_not_matter",
    "welch",
    "wilson",
]
