"""Confidence bands for a distribution function, from opda, as limits that depend on n alone."""

import functools
from collections.abc import MutableMapping, Sequence
from typing import Literal

import numpy as np

from hpsuite.analysis.checks import Floats, checked_level

Bands = Literal["ks", "tight"]
Cache = MutableMapping[str, Sequence[Sequence[float]]]


def band_limits(
    n: int, level: float, bands: Bands, cache: Cache | None = None
) -> tuple[Floats, Floats]:
    """Limits of the distribution function that n i.i.d. scores came from.

    Args:
        n: scores, >= 1.
        level: confidence level of the whole band, in (0, 1).
        bands: `ks` for the Kolmogorov-Smirnov band; `tight` for that of Learned-Miller and
            DeStefano (2008) with equal tails, which opda simulates.
        cache: where tight limits are looked up and left, as lists under a text; what is found
            there and cannot be a band is computed anew.

    Returns:
        The lower and the upper limit, each [n + 1]: entry i holds from the i-th smallest score up
        to the next, entry 0 below all.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more; found {n}")
    checked_level(level)
    if bands not in ("ks", "tight"):
        raise ValueError(f"bands must be ks or tight; found {bands!r}")
    if bands == "ks":
        return _opda_limits(n, level, "ks")
    key = f"ld_equal_tailed n={n} level={level!r}"
    if cache is not None and key in cache:
        found = cache[key]
        if [len(limits) for limits in found] == [n + 1, n + 1]:
            limits = np.array(found, dtype=np.float64)
            if _are_limits(limits):
                return limits[0], limits[1]
    lower, upper = _opda_limits(n, level, "ld_equal_tailed")
    if cache is not None:
        cache[key] = [lower.tolist(), upper.tolist()]
    return lower, upper


@functools.lru_cache(maxsize=256)
def _opda_limits(
    n: int, level: float, method: Literal["ks", "ld_equal_tailed"]
) -> tuple[Floats, Floats]:
    from opda.nonparametric import EmpiricalDistribution

    # Any n scores will do. The simulation's own error in 1 - level is at most about a tenth of it
    # (opda's documentation), and with this generator always the same.
    scores = np.arange(1, n + 1, dtype=np.float64)
    lower, _, upper = EmpiricalDistribution.confidence_bands(
        scores, level, generator=np.random.default_rng(0), method=method, n_jobs=1
    )
    at = np.arange(n + 1, dtype=np.float64)
    limits = np.asarray(lower.cdf(at)), np.asarray(upper.cdf(at))
    for limit in limits:
        limit.flags.writeable = False  # they are shared
    return limits


def _are_limits(limits: Floats) -> bool:
    """Whether limits [2, n + 1] are those of a band."""
    return (
        bool(((limits >= 0) & (limits <= 1)).all())
        and bool((np.diff(limits, axis=1) >= 0).all())
        and bool((limits[0] <= limits[1]).all())
    )
