"""Which hyperparameters matter, as far as the trials can tell.

Several evaluators answer different questions, so each figure names its own:

- `ped_anova_top10`: what decides whether a trial is among the best 10%;
- `ped_anova_top10_of_top50`: the same among the best half alone;
- `fanova`: what the variance of the scores comes from, failed trials included;
- `tuning_risk`: what is lost by leaving a hyperparameter at its default.

The sample must be random over the space, each hyperparameter on its proper scale; trials of TPE
or a grid say how their sampler looked, too. docs/statistics-importance.md has the measured
coverage of every interval, and how often P(rank 1) was right.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import checked_level
from hpsuite.analysis.fanova import Fanova, fanova_draws
from hpsuite.analysis.importance_figures import (
    EVALUATORS,
    Found,
    Importance,
    summarized,
    uncomputed,
)
from hpsuite.analysis.main_effect import Counts, resample_counts
from hpsuite.analysis.ped_anova import TOP, ped_anova_draws
from hpsuite.analysis.sample import Sample, checked_names, checked_sample
from hpsuite.analysis.tuning_risk import TuningRisk, sample_risk

RESAMPLES = 500
# With fewer, the best 10% are one or two trials.
MIN_TRIALS = 20
# Share of trials that tie at the lowest score from which a reader should know of it.
MANY_FAILED = 0.2
# Share of resamples that must have a result; where nearly all scores are the same, few do.
LEAST_DRAWN = 0.5


def importance(
    units: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    names: Sequence[str],
    generator: np.random.Generator,
    levels: Sequence[int | None] | None = None,
    defaults: Mapping[str, float] | None = None,
    evaluators: Sequence[str] = EVALUATORS,
    pairs: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> dict[str, Importance]:
    """The importance of each hyperparameter by each evaluator, with intervals and ranks.

    Args:
        units: shape [n, d], trials of a random sample, each hyperparameter on its proper scale
            mapped to [0, 1]; the value i of m is (i + .5) / m.
        scores: shape [n], finite, higher is better; a failed trial's is its failure score.
        names: length d.
        generator: draws resamples and forests; equal inputs and generators give equal results.
        levels: length d, numbers of values, None for a continuous hyperparameter (the default).
        defaults: for the tuning risk, defaults by name, in [0, 1] on the scale of units.
        evaluators: which of `EVALUATORS`; without defaults the tuning risk is not computable.
        pairs: whether fANOVA finds the interactions of all pairs too.
        level: confidence level, in (0, 1); also that of ranks, family-wise for each evaluator.
        resamples: bootstrap resamples, >= 50.

    Returns:
        For each of `evaluators` its figures, not computable ones included.

    Raises:
        ValueError: for arguments outside these ranges.
    """
    sample = checked_sample(units, scores, levels)
    names = checked_names(names, sample.d)
    at_default = _checked_defaults(defaults, names)
    unknown = [name for name in evaluators if name not in EVALUATORS]
    if unknown:
        raise ValueError(f"evaluators must be among {', '.join(EVALUATORS)}; found {unknown[0]}")
    if resamples < 50:
        raise ValueError(f"resamples must be at least 50; found {resamples}")
    checked_level(level)
    # A stream each, so that what one evaluator says does not depend on which others are asked.
    streams = dict(zip(("counts", *EVALUATORS), generator.spawn(5), strict=True))
    counts = resample_counts(sample.n_groups, resamples, streams["counts"])
    reason = _not_computable(sample)
    result = {}
    for evaluator in evaluators:
        found = reason or _evaluate(
            evaluator,
            sample,
            counts,
            at_default=at_default,
            pairs=pairs,
            generator=streams[evaluator],
        )
        if not isinstance(found, str) and found.drawn.mean() < LEAST_DRAWN:
            found = "too few different scores"
        result[evaluator] = (
            uncomputed(evaluator, sample.n, names, level, found)
            if isinstance(found, str)
            else summarized(evaluator, sample.n, names, level, found)
        )
    return result


def _evaluate(
    evaluator: str,
    sample: Sample,
    counts: Counts,
    *,
    at_default: Sequence[float | None],
    pairs: bool,
    generator: np.random.Generator,
) -> Found | str:
    """What an evaluator finds, or why it finds nothing."""
    if evaluator == "fanova":
        return _from_fanova(sample, fanova_draws(sample, counts, generator=generator, pairs=pairs))
    if evaluator == "tuning_risk":
        if all(default is None for default in at_default):
            return "no defaults given"
        risk = sample_risk(sample, at_default, generator=generator, resamples=len(counts) - 1)
        return _from_risk(risk)
    region = 1.0 if evaluator == "ped_anova_top10" else 0.5
    draws = ped_anova_draws(sample, counts, TOP, region)
    if np.isnan(draws[0]).any():
        return f"the best {region:.0%} of the trials have the same score"
    best = sample.scores[math.ceil(TOP * sample.n) - 1]
    ties = int((sample.scores == best).sum())
    note = f"{ties} trials tie at the cut, each counted in part" if ties > 1 else ""
    method = "percentile bootstrap of configurations, self-pairs left out"
    return Found(tuple(range(sample.d)), draws[0], draws[1:], method, note)


def _from_fanova(sample: Sample, found: Fanova) -> Found:
    notes = [
        f"{found.trees} trees of at most {found.trials_per_tree} of the trials each, corrected "
        f"with all {found.n}; R squared on trials not seen {found.r_squared:.2f}"
    ]
    failed = float((sample.scores == sample.scores[-1]).mean())
    if failed >= MANY_FAILED:
        notes.append(
            f"{failed:.0%} of the trials have the lowest score: much of the variance is whether "
            "a trial fails"
        )
    # The coverage of 95% intervals, in simulation (docs/statistics-importance.md).
    method = (
        "percentile bootstrap of forest-corrected scores, self-pairs left out, widened by a fifth; "
        "approximate, covers 94% or more, 98% on average"
    )
    pairs = {pair: (value, found.pair_draws[pair]) for pair, value in found.pairs.items()}
    columns = tuple(range(sample.d))
    return Found(columns, found.values, found.draws, method, "; ".join(notes), pairs)


def _from_risk(found: TuningRisk) -> Found:
    note = (
        f"surrogate: {found.surrogate}, R squared on trials not seen {found.r_squared:.2f}; "
        f"best level {found.best:.6g}"
    )
    # The coverage of 95% intervals, in simulation (docs/statistics-importance.md).
    method = (
        "half samples, allowing for a bias like that from whole to half; approximate, covers 94% "
        "or more, but 73% where the default is at a kink, and 88% at 128 trials with a cliff"
    )
    return Found(found.columns, found.values, found.draws, method, note)


def _not_computable(sample: Sample) -> str:
    """Why no evaluator can say anything, or nothing."""
    if sample.n_groups < MIN_TRIALS:
        return f"needs {MIN_TRIALS} different configurations, found {sample.n_groups}"
    if sample.scores[0] == sample.scores[-1]:
        return "all scores are the same"
    if not sample.varying().any():
        return "no hyperparameter varies"
    return ""


def _checked_defaults(
    defaults: Mapping[str, float] | None, names: Sequence[str]
) -> list[float | None]:
    given = dict(defaults or {})
    for name, value in given.items():
        if name not in names:
            raise ValueError(f"defaults must be of {', '.join(names)}; found {name}")
        if not 0 <= value <= 1:
            raise ValueError(f"defaults must be in [0, 1]; found {value} for {name}")
    return [given.get(name) for name in names]
