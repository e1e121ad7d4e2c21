"""All figures of one setup, from one sample of trials: hpsuite's own or anyone's.

The figures themselves are computed in analysis/; here a sample becomes its arrays.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hpsuite.analysis import BestLevel, Interval, Sensitivity, estimate_best, sensitivity
from hpsuite.analysis.bands import Bands
from hpsuite.analysis.edge import Edge, edges
from hpsuite.analysis.gate import tuning_did_not_matter
from hpsuite.analysis.importance import importance
from hpsuite.analysis.importance_figures import Importance
from hpsuite.analysis.regret import Regret, regret
from hpsuite.analysis.tuning_curve import (
    SelectedCurve,
    TuningCurve,
    selected_curve,
    trials_needed,
    tuning_curve,
)
from hpsuite.samples import Sample

# Bootstraps draw from a stream of their own, always the same: figures of equal trials are equal.
BOOTSTRAP_SEED = 20150211
# From so many trials on the best of k is drawn for k up to 64.
MOST_TRIALS = 64
# Those that need no default of each hyperparameter.
EVALUATORS = ("fanova", "ped_anova_top10", "ped_anova_top10_of_top50")


@dataclass(frozen=True)
class SetupEvidence:
    """What one sample says of its setup.

    Attributes:
        sample: what it is computed from.
        best: b, the best that the setup can do.
        sensitivity: good fractions, failures.
        regret: what is lost untuned.
        curve: the best of k random trials.
        selected: the test score of what validation selects among k; None without test scores.
        trials_needed: for each e, random trials for a 95% chance of a good one.
        edges: where the best trials lie in each range.
        did_not_matter: whether nearly all of the space was shown to be good at `headline`.
        headline: the e of figures that are given for one e alone, in points.
        importance: by evaluator; empty for a single hyperparameter.
    """

    sample: Sample
    best: BestLevel
    sensitivity: Sensitivity
    regret: Regret
    curve: TuningCurve
    selected: SelectedCurve | None
    trials_needed: Mapping[float, Interval]
    edges: tuple[Edge, ...]
    did_not_matter: bool
    headline: float
    importance: Mapping[str, Importance] = field(default_factory=dict)


def headline_of(points: Sequence[float]) -> float:
    """The e of figures that are given for one e alone, in points: 2, or the first."""
    return 2.0 if 2.0 in points else points[0]


def generator() -> np.random.Generator:
    """A new bootstrap generator."""
    return np.random.default_rng(BOOTSTRAP_SEED)


def setup_evidence(
    sample: Sample,
    *,
    chance_limit: float | None = None,
    retrained: npt.ArrayLike | None = None,
    default: npt.ArrayLike | None = None,
    default_reason: str = "",
    defaults: Mapping[str, float] | None = None,
    bands: Bands = "ks",
) -> SetupEvidence:
    """All figures of a sample.

    Args:
        sample: of trials.
        chance_limit: the largest score that counts as chance; None where there is none.
        retrained: scores [m, s] of the best 4% with fresh seeds; None where nothing was retrained.
        default: the score, or scores by seed, of the default configuration; None for none.
        default_reason: why there is no `default`, in words.
        defaults: of hyperparameters that have one, in [0, 1] on the scale of the sample's units:
            for the tuning risk, which is not asked for where this is None.
        bands: of the tuning curve: `ks` takes milliseconds, `tight` minutes.
    """
    unit = sample.unit
    noise = sample.noise_sd if retrained is None else None
    best = estimate_best(sample.scores, retrained, generator=generator(), unit=unit, noise_sd=noise)
    figures = sensitivity(
        sample.scores,
        sample.tests,
        sample.failed,
        chance_limit,
        generator=generator(),
        points=sample.points,
        unit=unit,
        best=best,
    )
    headline = headline_of(sample.points)
    units = sample.units()
    ks = range(1, min(MOST_TRIALS, len(sample)) + 1)
    bounds = (0.0, 1.0) if unit is None else (-math.inf, math.inf)
    lost = regret(sample.scores, default, generator=generator(), best=best, unit=unit)
    if default is None and default_reason:
        nothing = replace(lost.default, method=f"not computable: {default_reason}")
        lost = replace(lost, default=nothing)
    return SetupEvidence(
        sample=sample,
        best=best,
        sensitivity=figures,
        regret=lost,
        curve=tuning_curve(sample.scores, ks=ks, bands=bands, bounds=bounds),
        selected=None
        if sample.tests is None
        else selected_curve(
            sample.scores, sample.tests, generator=generator(), ks=ks, bounds=bounds
        ),
        trials_needed={e: trials_needed(g) for e, g in figures.good_fractions.items()},
        edges=edges(units, sample.scores, sample.names, sample.levels, ordered=sample.ordered)
        if sample.hyperparameters
        else (),
        did_not_matter=tuning_did_not_matter(
            figures.good_fractions[headline], trained=figures.above_chance
        ),
        headline=headline,
        importance=importance(
            units,
            sample.scores,
            names=sample.names,
            generator=generator(),
            levels=sample.levels,
            defaults=defaults,
            evaluators=EVALUATORS if defaults is None else (*EVALUATORS, "tuning_risk"),
        )
        if len(sample.names) > 1
        else {},
    )
