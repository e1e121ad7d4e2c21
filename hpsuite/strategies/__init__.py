"""Search strategies as Optuna samplers, for hpsuite and for any other Optuna study."""

from hpsuite.strategies.base import PlannedSampler
from hpsuite.strategies.coarse_to_fine import CoarseToFineSampler
from hpsuite.strategies.grid import GridSampler
from hpsuite.strategies.population import PopulationSampler
from hpsuite.strategies.random import ScaledRandomSampler
from hpsuite.strategies.replay import ReplaySampler
from hpsuite.strategies.seeded import PerTrialSeeded
from hpsuite.strategies.staged import StagedSampler

__all__ = [
    "CoarseToFineSampler",
    "GridSampler",
    "PerTrialSeeded",
    "PlannedSampler",
    "PopulationSampler",
    "ReplaySampler",
    "ScaledRandomSampler",
    "StagedSampler",
]
