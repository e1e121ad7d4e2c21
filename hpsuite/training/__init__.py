"""Training: trial specs in, results out. Knows neither Optuna, nor MLflow, nor Hydra."""

from hpsuite.training.batches import train
from hpsuite.training.checkpoints import Checkpoints
from hpsuite.training.cohorts import Cohort, Lockstep
from hpsuite.training.layers import NotFusable
from hpsuite.training.lockstep import judged_afterwards, train_lockstep
from hpsuite.training.plain import train_plain
from hpsuite.training.planner import Planner
from hpsuite.training.pool import Pool
from hpsuite.training.resident import Resident
from hpsuite.training.together import train_fused

__all__ = [
    "Checkpoints",
    "Cohort",
    "Lockstep",
    "NotFusable",
    "Planner",
    "Pool",
    "Resident",
    "judged_afterwards",
    "train",
    "train_fused",
    "train_lockstep",
    "train_plain",
]
