"""Grid search: every combination of a few values of each hyperparameter."""

import math
from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpsuite.strategies.base import PlannedSampler
from hpsuite.strategies.unit_cube import (
    Scale,
    Value,
    check_scale,
    level,
    n_levels,
    on_log_scale,
    to_value,
)


class GridSampler(PlannedSampler):
    """The largest grid that fits in the budget, or a grid of your own; each cell once.

    Cells come in an order shuffled by the seed, so that the best of the first k trials says
    something of grids and not of the order of loops. Unlike Optuna's own grid sampler it works
    under ask and tell too: the last tell raises nothing.

    Args:
        search_space: distribution by name.
        n_trials: the budget, >= 1; the grid plans `n_planned` trials, which may be fewer.
        scale: on which the points are evenly spaced: the `own` of each distribution, or `linear`
            in the raw value.
        points: points along each hyperparameter that is not a choice: one number for all, or one
            by name. None takes the largest number for all with which the grid fits in `n_trials`.
            Whatever it is, choices always take all their values, and so does a whole number (or a
            stepped float) that has fewer values than points.
        offset: False places points from one end of the range to the other, both included (a single
            point in the middle). True cuts the range into n equal cells and places one point in
            each, at (i + u) / n of the scale, with one u uniform in [0, 1) for each hyperparameter
            and seed: then each point is uniform over the range, and a good region of width W of the
            range is missed with probability max(0, 1 - n W).
        seed: >= 0; decides the order, and the offset where there is one.

    Attributes:
        points: how many values each hyperparameter takes, by name, choices included.
        axes: these values, by name, in ascending order (choices in their own); no duplicates.

    Raises:
        ValueError: what PlannedSampler raises; another scale; points < 1, for unknown names, for
            choices, or missing for a name; a grid larger than `n_trials`.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        scale: Scale = "own",
        points: int | Mapping[str, int] | None = None,
        offset: bool = False,
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        check_scale(scale)
        self.points = _resolved_points(self.search_space, n_trials, points)
        self.n_planned = math.prod(self.points.values())
        generator = np.random.default_rng(np.random.SeedSequence(seed))
        shifts = generator.random(len(self.search_space))
        self.axes = {
            name: _axis(distribution, self.points[name], scale, float(shift) if offset else None)
            for (name, distribution), shift in zip(self.search_space.items(), shifts, strict=True)
        }
        self._order = generator.permutation(self.n_planned)

    def shaped_by_budget(self) -> dict[str, object]:
        return {"points": dict(self.points)}

    def n_askable(self, n_told: int) -> int | None:
        return None

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        cell = np.unravel_index(self._order[trial.number], tuple(self.points.values()))
        return {
            name: axis[index] for (name, axis), index in zip(self.axes.items(), cell, strict=True)
        }


def _resolved_points(
    space: Mapping[str, BaseDistribution],
    n_trials: int,
    points: int | Mapping[str, int] | None,
) -> dict[str, int]:
    """How many values each hyperparameter takes, checked against the budget."""
    numeric = [n for n, d in space.items() if not isinstance(d, CategoricalDistribution)]
    if isinstance(points, Mapping):
        _check_names(points, numeric)
        wanted = dict(points)
    else:
        wanted = dict.fromkeys(numeric, 1 if points is None else points)
    for name, n in wanted.items():
        if n < 1:
            raise ValueError(f"points: found {n} for {name!r}; accepted: at least 1")

    resolved = _counts(space, wanted)
    size = math.prod(resolved.values())
    if size > n_trials:
        product = " x ".join(f"{n} ({name})" for name, n in resolved.items())
        advice = "fewer choices" if points is None else "fewer points"
        raise ValueError(
            f"points: found the grid of {product} = {size} trials for a budget of {n_trials}; "
            f"accepted: {advice} or at least {size} trials"
        )
    while points is None:
        larger = _counts(space, {name: n + 1 for name, n in wanted.items()})
        # Equal: every hyperparameter takes all the values that it has.
        if math.prod(larger.values()) > n_trials or larger == resolved:
            break
        wanted = {name: n + 1 for name, n in wanted.items()}
        resolved = larger
    return resolved


def _check_names(points: Mapping[str, int], numeric: list[str]) -> None:
    if unknown := sorted(set(points) - set(numeric)):
        raise ValueError(
            f"points: found {', '.join(map(repr, unknown))}; accepted: the hyperparameters that "
            f"are not choices: {', '.join(numeric) or 'none here'}"
        )
    if missing := sorted(set(numeric) - set(points)):
        found = f"nothing for {', '.join(map(repr, missing))}"
        raise ValueError(f"points: found {found}; accepted: a number for each hyperparameter")


def _counts(space: Mapping[str, BaseDistribution], wanted: Mapping[str, int]) -> dict[str, int]:
    counts = {}
    for name, distribution in space.items():
        n = n_levels(distribution)
        counts[name] = min(x for x in (n, wanted.get(name)) if x is not None)
    return counts


def _axis(
    distribution: BaseDistribution, n: int, scale: Scale, shift: float | None
) -> tuple[Value, ...]:
    """The n different values of one hyperparameter; `shift` in [0, 1) is the offset's u."""
    total = n_levels(distribution)
    if total == n:
        return tuple(level(distribution, index) for index in range(n))
    if shift is not None:
        # Rounding up to the next cell's edge is possible in the last bit.
        units = [min((i + shift) / n, 1.0) for i in range(n)]
    else:
        units = [i / (n - 1) for i in range(n)] if n > 1 else [0.5]
    if total is None:
        return tuple(to_value(distribution, unit, scale) for unit in units)

    if shift is not None:
        indices = [_index_of_cell(distribution, unit, scale, total) for unit in units]
    else:
        indices = [_index_between_ends(distribution, unit, scale, total) for unit in units]
    # At the low end of a logarithmic scale several points fall on one whole number: each moves up
    # to the next free one, leaving room below the high end for those that follow.
    previous = -1
    for i, index in enumerate(indices):
        previous = min(max(index, previous + 1), total - (n - i))
        indices[i] = previous
    return tuple(level(distribution, index) for index in indices)


def _index_of_cell(distribution: BaseDistribution, unit: float, scale: Scale, total: int) -> int:
    if not on_log_scale(distribution, scale):
        return min(int(unit * total), total - 1)
    assert isinstance(distribution, IntDistribution), distribution
    value = to_value(distribution, unit, scale)
    assert isinstance(value, int), value
    return value - distribution.low


def _index_between_ends(
    distribution: BaseDistribution, unit: float, scale: Scale, total: int
) -> int:
    # The scale from the first value to the last, where to_value's goes half a step beyond both:
    # with that, evenly spaced points of [0, 1] that include both ends would crowd in the middle.
    if not on_log_scale(distribution, scale):
        return round(unit * (total - 1))
    assert isinstance(distribution, IntDistribution), distribution
    low, high = math.log(distribution.low), math.log(distribution.high)
    return round(math.exp(low * (1 - unit) + high * unit)) - distribution.low
