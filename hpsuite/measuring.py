"""What declared claims measure: each statistic of two setups, two arms or two hyperparameters."""

import math
from collections.abc import Callable

import numpy as np

from hpsuite.analysis.claims import Cell
from hpsuite.analysis.comparisons import Comparison, compare_strategies
from hpsuite.analysis.contrasts import EVERYWHERE, combined
from hpsuite.analysis.intervals import Interval, mean_t, welch
from hpsuite.analysis.rate_sweep import RateSweep
from hpsuite.analysis.verdicts import whole_space
from hpsuite.declared import ARM_STATISTICS
from hpsuite.findings import MARGIN, ArmFinding, SetupFinding, difference, paired


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
            if not paired(a, b):
                if common:
                    return Interval(np.nan, np.nan, np.nan, level, "not paired")
                pair = [x.sensitivity.good_fractions[e] for x in (one, two)]
                return combined(pair, [1.0, -1.0])
            found = difference(a, b, level)
            return (found.common if common else found.own)[e]

        return Cell(n, interval_at, trained or common, whole_space(good), (-1.0, 1.0))
    if statistic in ("nonfinite_fraction", "chance_fraction"):
        pair = [getattr(x.sensitivity, statistic) for x in (one, two)]
        return Cell(n, lambda level: combined(pair, [1.0, -1.0]), bounds=(-1.0, 1.0))
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
        return Cell(n, lambda level: combined(pair, [1.0, -1.0]), trained, bounds=(-1.0, 1.0))
    if statistic == "largest_stable_rate":
        if any(math.isnan(sweep.largest_stable_rate.estimate) for sweep in (a.sweep, b.sweep)):
            raise NotMeasured("at the best rate itself half of the seeds fail")
        pair = [_log_rate(a.sweep, a), _log_rate(b.sweep, b)]
    else:
        e = float(statistic.split("_")[2].removesuffix("pt")) / 100
        pair = [a.sweep.widths[e].width, b.sweep.widths[e].width]
    return Cell(n, lambda level: combined(pair, [1.0, -1.0]), trained, bounds=(-20.0, 20.0))


def _log_rate(sweep: RateSweep, setup: SetupFinding) -> Interval:
    """The largest stable rate in decades, within the rates that were swept."""
    (h,) = setup.setup.space.hyperparameters
    low, high = (float(end or 0) for end in h.ends())
    rate = sweep.largest_stable_rate
    middle, lower, upper = (
        math.log10(min(max(v, low), high)) for v in (rate.estimate, rate.low, rate.high)
    )
    return Interval(middle, lower, upper, rate.level, rate.method)


def of_arms(statistic: str, a: object, b: object) -> Cell:
    """Two arms compared, over their repeats."""
    assert isinstance(a, ArmFinding)
    assert isinstance(b, ArmFinding)
    assert statistic in ARM_STATISTICS, statistic
    n = min(a.figures.repeats, b.figures.repeats)
    if statistic == "miss_probability":
        if a.misses is None or b.misses is None:
            raise NotMeasured("nothing was trained again")
        pair = [a.misses.probability, b.misses.probability]
        return Cell(n, lambda level: combined(pair, [1.0, -1.0]), bounds=(-1.0, 1.0))
    if statistic == "true_accuracy":
        if a.again is None or b.again is None:
            raise NotMeasured("nothing was trained again")
        means = [x.again.test.mean(axis=1) for x in (a, b) if x.again is not None]
        return Cell(n, lambda level: welch(means[0], means[1], level), bounds=(-1.0, 1.0))
    if statistic == "test_accuracy":
        tests = [np.array(x.figures.test_by_repeat) for x in (a, b)]
        return Cell(n, lambda level: welch(tests[0], tests[1], level), bounds=(-1.0, 1.0))
    scores = [x.table.scores() for x in (a, b)]
    if statistic == "trials_to_good":
        if a.strategy.b is None:
            raise NotMeasured("no reference sample, which tells what is good")
        n_trials = float(min(table.shape[1] for table in scores))

        def later(level: float) -> Interval:
            found = compare_strategies(*scores, b=a.strategy.b, margin=MARGIN, level=level).trials
            assert found is not None
            return found

        return Cell(n, later, bounds=(-n_trials, n_trials))
    field: Callable[[Comparison], Interval] = {
        "best_val_accuracy": lambda found: found.best,
        "area": lambda found: found.area,
        "probability_better": lambda found: found.better,
    }[statistic]
    bounds = (0.0, 1.0) if statistic == "probability_better" else (-1.0, 1.0)
    return Cell(n, lambda level: field(compare_strategies(*scores, level=level)), bounds=bounds)


def nothing(reason: str) -> Cell:
    """A cell that says nothing: its interval is all that the statistic can be."""
    nan = float("nan")
    return Cell(1, lambda level: Interval(0.0, nan, nan, level, reason), bounds=(-1.0, 1.0))
