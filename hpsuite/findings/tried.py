"""What searches tried: distinct values, how they spread over decades, and the chance to miss."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hpsuite.analysis import Interval
from hpsuite.analysis.oracles import grid_misses, random_misses
from hpsuite.findings.tables import ArmTable
from hpsuite.space import Hyperparameter
from hpsuite.strategies.grid import GridSampler
from hpsuite.trials import Scalar

GRID = f"{GridSampler.__module__}.{GridSampler.__qualname__}"


@dataclass(frozen=True)
class Tried:
    """What an arm tried.

    Attributes:
        distinct: by hyperparameter, distinct values in one repeat, the mean over repeats.
        decades: by hyperparameter on a log scale, the share of all its trials in each decade, or
            part of one, that its range covers; of x, or of 1 - x for those on the log of 1 - x.
            Keys are both ends.
        oracle: the chance that a repeat tries nothing good, from the share of the space that is
            good and its interval: `analysis.oracles`. None where no closed form is known.
        oracle_of: what the closed form is of.
    """

    distinct: Mapping[str, float]
    decades: Mapping[str, Mapping[tuple[float, float], float]]
    oracle: Interval | None = None
    oracle_of: str = ""


def find_tried(table: ArmTable, good: Interval | None) -> Tried:
    """What an arm tried.

    Args:
        table: its trials.
        good: the share of the setup's space that is good, in [0, 1]; None where it is not known.
    """
    hyperparameters = table.arm.setup.space.hyperparameters
    distinct = {
        h.name: float(np.mean([len({v[h.name] for v in s.values}) for s in table.studies]))
        for h in hyperparameters
    }
    decades = {
        h.name: _decades(table, h)
        for h in hyperparameters
        if h.scale in ("log", "one_minus_log", "log_integer")
    }
    oracle, of = None, ""
    if good is not None and not math.isnan(good.estimate):
        oracle, of = _oracle(table, distinct, good)
    return Tried(distinct, decades, oracle, of)


def _decades(table: ArmTable, h: Hyperparameter) -> dict[tuple[float, float], float]:
    low, high = sorted(_on_log(h, end) for end in h.ends())
    between = range(math.floor(math.log10(low) + 1e-9) + 1, math.ceil(math.log10(high) - 1e-9))
    edges = [low, *(10.0**power for power in between), high]
    tried = [_on_log(h, values[h.name]) for study in table.studies for values in study.values]
    places = np.clip(np.searchsorted(edges, tried, side="right") - 1, 0, len(edges) - 2)
    counts = Counter(places.tolist())
    return {
        both: counts[place] / len(tried) for place, both in enumerate(itertools.pairwise(edges))
    }


def _on_log(h: Hyperparameter, value: Scalar) -> float:
    """What is even on its log scale: x, or 1 - x."""
    stored = h.stored(value)
    assert isinstance(stored, int | float)
    return float(stored)


def _oracle(
    table: ArmTable, distinct: Mapping[str, float], good: Interval
) -> tuple[Interval | None, str]:
    """The chance of a miss in closed form; the more is good, the smaller."""
    strategy, n = table.arm.strategy, len(table.studies[0].results)
    if strategy.is_reference:
        return _of(lambda share: random_misses(n, share), good), "independent trials"
    points = set(distinct.values())
    offset = strategy.target == GRID and dict(strategy.arguments).get("offset") is True
    if offset and len(distinct) > 1 and len(points) == 1:
        k = int(points.pop())
        return _of(lambda share: grid_misses(k, share), good), "one hyperparameter mattering"
    return None, ""


def _of(misses: Callable[[float], float], good: Interval) -> Interval:
    return Interval(
        misses(good.estimate), misses(good.high), misses(good.low), good.level, good.method
    )
