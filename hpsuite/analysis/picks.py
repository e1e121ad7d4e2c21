"""Costs of transfer from scores with fresh seeds of what was chosen on each setup.

The best evidence there is: what was chosen is trained again, on each setup, with seeds that had no
part in choosing it. Then no selection flatters, and a plain t interval holds.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats, checked_finite, checked_level
from hpsuite.analysis.contrasts import EVERYWHERE, contrast_of_means
from hpsuite.analysis.intervals import Interval, mean_t
from hpsuite.analysis.transfer import Route, Transfer


def costs_of_picks(
    scores: Mapping[Route, npt.ArrayLike], *, paired: bool, level: float = 0.95
) -> Transfer:
    """Costs from what each setup's choice scores on every setup.

    Args:
        scores: for each (tuned on, used on), the same setup twice included, shape [m]: scores
            with m fresh seeds of one choice, and the costs are those of these choices; or one
            score (or mean over seeds) for each of m repeats of the search, each with a choice of
            its own, and they are those of the search. Any unit, higher is better.
        paired: whether score i of all routes onto a setup belongs together (one seed, or one
            repeat): Student's t of the differences. Else Satterthwaite's, and m may differ.
        level: confidence level, in (0, 1).

    Returns:
        Costs with ends that are nan for m = 1; no relative staleness.

    Raises:
        ValueError: for fewer than two setups, a route that is missing, scores that are not
            finite, pairs of unequal number, or a level outside its range.
    """
    checked_level(level)
    names = sorted({name for route in scores for name in route})
    if len(names) < 2:
        raise ValueError(f"scores must have two setups or more; found {names}")
    routes = [(a, b) for a in names for b in names]
    if missing := [route for route in routes if route not in scores]:
        raise ValueError(f"scores must have every (tuned on, used on); missing {missing}")
    values = {r: checked_finite(f"scores of {' on '.join(r)}", scores[r]) for r in routes}

    costs, stale = {}, {}
    for name in names:
        own = values[name, name]
        others = [values[other, name] for other in names if other != name]
        if paired and any(len(other) != len(own) for other in others):
            found = [len(own), *map(len, others)]
            raise ValueError(f"scores onto {name} must be as many where paired; found {found}")
        for other, used in zip([n for n in names if n != name], others, strict=True):
            costs[other, name] = _cost(own, [used], paired, level)
        stale[name] = _cost(own, others, paired, level)
    return Transfer(costs, stale, {})


def _cost(own: Floats, others: list[Floats], paired: bool, level: float) -> Interval:
    """Mean of `own` minus the mean of the others' means."""
    if paired:
        return mean_t(np.sort(own - np.mean(others, axis=0)), level, EVERYWHERE)
    return contrast_of_means([own, *others], [1.0] + [-1 / len(others)] * len(others), level)
