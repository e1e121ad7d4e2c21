"""What declared claims measure: each statistic of two setups, two arms or two hyperparameters."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from hpsuite.analysis.bounded import bounded_difference
from hpsuite.analysis.by_cost import n_within
from hpsuite.analysis.claims import Cell
from hpsuite.analysis.comparisons import Comparison, compare_strategies
from hpsuite.analysis.contrasts import EVERYWHERE, combined
from hpsuite.analysis.intervals import Interval, mean_t, welch, wilson
from hpsuite.analysis.learning_curves import (
    difference_of_repeats,
    fewer_steps,
    nearest_evaluation,
    steps_to,
)
from hpsuite.analysis.probability_better import probability_better
from hpsuite.analysis.rate_sweep import RateSweep
from hpsuite.analysis.trials_to_good import first_good
from hpsuite.analysis.unpaired import unpaired_difference
from hpsuite.analysis.verdicts import whole_space
from hpsuite.analysis.warm_start import trials_saved
from hpsuite.declared import ARM_STATISTICS, Limit
from hpsuite.evidence import generator
from hpsuite.findings import (
    MARGIN,
    ArmFinding,
    SetupFinding,
    courses,
    difference,
    paired,
    tried_alike,
)


class NotMeasured(Exception):
    """A statistic that these setups or arms cannot have; the message says why."""


def of_setups(statistic: str, a: object, b: object) -> Cell:
    """Two setups compared."""
    assert isinstance(a, SetupFinding)
    assert isinstance(b, SetupFinding)
    trained = a.trained and b.trained
    if statistic.startswith(("rate_width", "rate_sensitivity", "largest_stable_rate")):
        return _of_sweeps(statistic, a, b, trained=trained)
    if a.evidence is None or b.evidence is None:
        raise NotMeasured("no reference sample")
    one, two = a.evidence, b.evidence
    n = min(len(one.sample), len(two.sample))
    good = [e.sensitivity.good_fractions[2.0] for e in (one, two)]
    if statistic.startswith("good_fraction"):
        e = float(statistic.split("_")[2].removesuffix("pt"))
        common = statistic.endswith("_common")

        def interval_at(level: float) -> Interval:
            if paired(a, b):
                found = difference(a, b, level)
                return (found.common if common else found.own)[e]
            apart = unpaired_difference(
                one.sample.scores, two.sample.scores, generator=generator(), level=level
            )
            return (apart.common if common else apart.own)[e]

        return Cell(n, interval_at, trained or common, whole_space(good), (-1.0, 1.0))
    if statistic in ("nonfinite_fraction", "chance_fraction"):
        pair = [getattr(x.sensitivity, statistic) for x in (one, two)]
        return Cell(n, lambda level: difference_of(pair, level), bounds=(-1.0, 1.0))
    if statistic == "mean_val_accuracy":
        scores = [x.sample.scores for x in (one, two)]
        if paired(a, b):
            apart = np.sort(scores[0] - scores[1])
            return Cell(n, lambda level: mean_t(apart, level, EVERYWHERE), bounds=(-1.0, 1.0))
        return Cell(n, lambda level: welch(scores[0], scores[1], level), bounds=(-1.0, 1.0))
    raise AssertionError(statistic)


def of_hyperparameters(statistic: str, setup: object, a: str, b: str) -> Cell:
    """How much more one hyperparameter of a setup matters than another, by one evaluator."""
    assert isinstance(setup, SetupFinding)
    if setup.evidence is None:
        raise NotMeasured("no reference sample")
    evaluator = statistic.removeprefix("importance_")
    found = setup.evidence.importance.get(evaluator)
    if found is None or not {a, b} <= set(found.by_name):
        raise NotMeasured(f"{evaluator} was not computed for {a} and {b}")
    if not len(found.draws):
        raise NotMeasured(found.note)
    return Cell(
        found.n, lambda level: found.difference(a, b, level), setup.trained, bounds=(-1.0, 1.0)
    )


def _of_sweeps(statistic: str, a: SetupFinding, b: SetupFinding, *, trained: bool) -> Cell:
    if a.sweep is None or b.sweep is None:
        raise NotMeasured("no sweep of the learning rate")
    n = min(a.sweep.seeds, b.sweep.seeds)
    if statistic == "rate_sensitivity":
        pair = [a.sweep.sensitivity, b.sweep.sensitivity]
        return Cell(n, lambda level: difference_of(pair, level), trained, bounds=(-1.0, 1.0))
    if statistic == "largest_stable_rate":
        if any(math.isnan(sweep.largest_stable_rate.estimate) for sweep in (a.sweep, b.sweep)):
            raise NotMeasured("at the best rate itself half of the seeds fail")
        pair = [_log_rate(a.sweep), _log_rate(b.sweep)]
    else:
        e = float(statistic.split("_")[2].removesuffix("pt")) / 100
        pair = [a.sweep.widths[e].width, b.sweep.widths[e].width]
    return Cell(n, lambda level: difference_of(pair, level), trained, bounds=(-20.0, 20.0))


def _log_rate(sweep: RateSweep) -> Interval:
    """The largest stable rate in decades; an end beyond the rates that were swept is open."""
    rate = sweep.largest_stable_rate
    lower = math.log10(rate.low) if rate.low > 0 else -math.inf
    return Interval(
        math.log10(rate.estimate), lower, math.log10(rate.high), rate.level, rate.method
    )


ALL = (Limit(), Limit())


def of_arms(statistic: str, a: object, b: object, limits: tuple[Limit, Limit] = ALL) -> Cell:
    """Two arms compared, over their repeats, each after so many trials or epochs."""
    assert isinstance(a, ArmFinding)
    assert isinstance(b, ArmFinding)
    assert statistic in ARM_STATISTICS, statistic
    n = min(a.figures.repeats, b.figures.repeats)
    if limits != ALL:
        return _after(statistic, a, b, n, limits)
    if statistic in ("miss_probability", "true_accuracy"):
        return _of_fresh_seeds(statistic, a, b, n)
    if statistic == "test_accuracy":
        tests = [np.array(x.figures.test_by_repeat) for x in (a, b)]
        return Cell(n, lambda level: welch(tests[0], tests[1], level), bounds=(-1.0, 1.0))
    if statistic in ("trials_to_good", "never_good"):
        return _of_good_ones(statistic, a, b, n)
    scores = [x.table.scores() for x in (a, b)]
    field: Callable[[Comparison], Interval] = {
        "best_val_accuracy": lambda found: found.best,
        "area": lambda found: found.area,
        "probability_better": lambda found: found.better,
    }[statistic]
    bounds = (0.0, 1.0) if statistic == "probability_better" else (-1.0, 1.0)
    return Cell(n, lambda level: field(compare_strategies(*scores, level=level)), bounds=bounds)


def _after(
    statistic: str, a: ArmFinding, b: ArmFinding, n: int, limits: tuple[Limit, Limit]
) -> Cell:
    """What both have after numbers of trials, or of epochs, of their own."""
    selected = [
        [study.best_of(k) for study, k in zip(arm.table.studies, _first(arm, limit), strict=True)]
        for arm, limit in zip((a, b), limits, strict=True)
    ]
    field = "test_accuracy" if statistic == "test_accuracy" else "val_accuracy"
    one, two = (np.sort([getattr(result, field) for result in side]) for side in selected)
    if statistic == "probability_better":
        return Cell(n, lambda level: probability_better(one, two, level=level), bounds=(0.0, 1.0))
    return Cell(n, lambda level: welch(one, two, level), bounds=(-1.0, 1.0))


def _first(arm: ArmFinding, limit: Limit) -> list[int | None]:
    """How many first trials of each repeat count; None for all."""
    label, studies = arm.table.arm.label, arm.table.studies
    if limit.trials is not None and limit.trials > min(len(s.results) for s in studies):
        raise NotMeasured(f"{label} has fewer than {limit.trials} trials in each repeat")
    if limit.epochs is None:
        return [limit.trials] * len(studies)
    planned = arm.table.arm.setup.epochs
    if planned is not None and planned * min(len(s.results) for s in studies) < limit.epochs:
        raise NotMeasured(f"{label} has fewer than {limit.epochs} epochs in each repeat")
    counts = [n_within([r.epochs for r in study.results], limit.epochs) for study in studies]
    if min(counts) == 0:
        raise NotMeasured(f"{label} has no trial within {limit.epochs} epochs")
    return list(counts)


def _of_fresh_seeds(statistic: str, a: ArmFinding, b: ArmFinding, n: int) -> Cell:
    """What both selected, trained again."""
    if a.again is None or b.again is None:
        raise NotMeasured("nothing was trained again")
    if statistic == "miss_probability":
        if a.misses is None or b.misses is None:
            raise NotMeasured("nothing tells what is good, or there is one fresh seed")
        pair = [a.misses.probability, b.misses.probability]
        return Cell(n, lambda level: difference_of(pair, level), bounds=(-1.0, 1.0))
    means = [x.test.mean(axis=1) for x in (a.again, b.again)]
    return Cell(n, lambda level: welch(means[0], means[1], level), bounds=(-1.0, 1.0))


def _of_good_ones(statistic: str, a: ArmFinding, b: ArmFinding, n: int) -> Cell:
    """Trials until a good one, after as many trials as the shorter search has."""
    if a.strategy.b is None or b.strategy.b is None:
        raise NotMeasured("no reference sample, which tells what is good")
    best = (a.strategy.b, b.strategy.b)
    scores = [x.table.scores() for x in (a, b)]
    k = min(table.shape[1] for table in scores)
    first = [
        first_good(table[:, :k], good, MARGIN) for table, good in zip(scores, best, strict=True)
    ]
    if statistic == "never_good":
        missed = [int((trials > k).sum()) for trials in first]

        def missing(level: float) -> Interval:
            pair = [wilson(m, len(f), level) for m, f in zip(missed, first, strict=True)]
            return difference_of(pair, level)

        return Cell(n, missing, bounds=(-1.0, 1.0))
    if k == 1:
        raise NotMeasured("a budget of one trial")
    times = [np.minimum(trials, k) for trials in first]
    # Most may be censored at k, where Student's t is narrow and wrong.
    return Cell(
        n,
        lambda level: bounded_difference(times[0], times[1], 1.0, float(k), level),
        bounds=(1.0 - k, k - 1.0),
    )


def of_choices(statistic: str, today: object, before: object) -> Cell:
    """What was chosen before, used today: its cost, or the trials that it saves."""
    assert isinstance(today, ArmFinding)
    assert isinstance(before, ArmFinding)
    moved = today.moved.get(before.table.identity)
    if today.again is None or moved is None:
        raise NotMeasured("nothing was trained again")
    old = moved.test.mean(axis=1)
    if statistic == "staleness":
        costs = np.sort(today.again.test.mean(axis=1) - old)
        return Cell(len(costs), lambda level: mean_t(costs, level, EVERYWHERE), bounds=(-1.0, 1.0))
    if not today.table.arm.strategy.is_reference:
        raise NotMeasured("no reference sample, which tells how many are as good")
    sample = [result.test_accuracy for result in today.table.results]
    budget = len(today.table.studies[0].results)
    if not 1 < budget < len(sample):
        raise NotMeasured("a budget of one trial, or one repeat")
    return Cell(
        len(old),
        lambda level: trials_saved(sample, old, budget, level),
        bounds=(0.0, budget - 1.0),
    )


def of_scores_at(at_step: int, a: object, b: object) -> Cell:
    """The best of each repeat's trials after so many steps."""
    assert isinstance(a, ArmFinding)
    assert isinstance(b, ArmFinding)
    try:
        one, two = (
            np.array(
                [
                    max(c.accuracy[nearest_evaluation(c.steps, at_step)] for c in repeat)
                    for repeat in courses(arm.table)
                ]
            )
            for arm in (a, b)
        )
    except ValueError as error:
        raise NotMeasured(str(error)) from error
    alike = tried_alike(a.table, b.table)
    return Cell(
        min(len(one), len(two)),
        lambda level: difference_of_repeats(one, two, paired=alike, level=level),
        bounds=(-1.0, 1.0),
    )


def of_steps_to(target: float, a: object, b: object) -> Cell:
    """The steps until the first of each repeat's trials reaches an accuracy, at most all."""
    assert isinstance(a, ArmFinding)
    assert isinstance(b, ArmFinding)
    sides = [courses(arm.table) for arm in (a, b)]
    last = min(c.steps[-1] for side in sides for repeat in side for c in repeat)
    one, two = (
        np.array(
            [min(min(steps_to(c.steps, c.accuracy, target), last) for c in each) for each in side]
        )
        for side in sides
    )
    return Cell(
        min(len(one), len(two)),
        lambda level: fewer_steps(one, two, (0.0, last), level),
        bounds=(-last, last),
    )


def difference_of(pair: Sequence[Interval], level: float) -> Interval:
    """The first of two independent figures minus the second; no ends where one has none.

    Figures of another level are widened or narrowed in proportion to normal quantiles.
    """
    one, two = (at_level(interval, level) for interval in pair)
    for interval in (one, two):
        if not all(map(math.isfinite, (interval.estimate, interval.low, interval.high))):
            nan, estimate = float("nan"), one.estimate - two.estimate
            known = estimate if math.isfinite(estimate) else 0.0
            return Interval(known, nan, nan, level, interval.method)
    return combined([one, two], [1.0, -1.0])


def at_level(interval: Interval, level: float) -> Interval:
    """An interval at another level: its ends moved in proportion to normal quantiles."""
    if interval.level == level:
        return interval
    asked, given = (NormalDist().inv_cdf((1 + x) / 2) for x in (level, interval.level))
    low, high = (
        interval.estimate + (end - interval.estimate) * asked / given
        for end in (interval.low, interval.high)
    )
    return Interval(interval.estimate, low, high, level, interval.method)


def nothing(reason: str) -> Cell:
    """A cell that says nothing: its interval is all that the statistic can be."""
    nan = float("nan")
    return Cell(1, lambda level: Interval(0.0, nan, nan, level, reason), bounds=(-1.0, 1.0))
