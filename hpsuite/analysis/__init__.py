"""Numbers with honest uncertainty from tables of trials: arrays in, frozen dataclasses out."""

from hpsuite.analysis.arms import ArmFigures, arm_figures
from hpsuite.analysis.good_fraction import (
    PairedDifference,
    best_level,
    good_fractions,
    paired_difference,
)
from hpsuite.analysis.importance import importance
from hpsuite.analysis.importance_figures import EVALUATORS, HyperparameterImportance, Importance
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
from hpsuite.analysis.marginals import MarginalCurve, MarginalGrid, marginal_curve, marginal_grid
from hpsuite.analysis.ranking import RankRange, ranking
from hpsuite.analysis.sensitivity import Sensitivity, chance_limit, sensitivity
from hpsuite.analysis.tuning_risk import measured_risk

__all__ = [
    "EVALUATORS",
    "ArmFigures",
    "HyperparameterImportance",
    "Importance",
    "Interval",
    "MarginalCurve",
    "MarginalGrid",
    "PairedDifference",
    "RankRange",
    "Sensitivity",
    "arm_figures",
    "best_level",
    "chance_limit",
    "good_fractions",
    "importance",
    "marginal_curve",
    "marginal_grid",
    "mean_t",
    "measured_risk",
    "paired_difference",
    "ranking",
    "sensitivity",
    "welch",
    "wilson",
]
