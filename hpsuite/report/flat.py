"""All figures by name: the same in summary.json, in MLflow and in what `hpsuite.fit` returns.

A figure with an interval is three numbers, `<figure>`, `<figure>_low` and `<figure>_high`.
Accuracies and fractions are in [0, 1], widths in decades, e in points: `good_fraction_2pt`.
"""

import math
from collections.abc import Mapping

from hpsuite.analysis import Interval
from hpsuite.analysis.claims import Verdict
from hpsuite.analysis.rate_sweep import RateSweep
from hpsuite.cells import arm_axes
from hpsuite.evidence import SetupEvidence
from hpsuite.findings import (
    ArmFinding,
    ArmTable,
    Difference,
    SetupFinding,
    TransferFinding,
    setup_axes,
)

# Numbers of trials for which the tuning curve's values are named.
CURVE_KS = (1, 4, 16, 64)


def setup_names(table: ArmTable) -> dict[str, object]:
    """What a setup is called: the names of the options, and what else tells it apart."""
    return dict(setup_axes(table.arm))


def arm_names(table: ArmTable) -> dict[str, object]:
    """What an arm is called."""
    return dict(arm_axes(table.arm))


def setup_figures(setup: SetupFinding) -> dict[str, object]:
    """A setup's figures by name; null where it has no reference sample."""
    names = setup_names(setup.arms[0])
    sweep = {} if setup.sweep is None else _sweep(setup.sweep)
    if setup.evidence is None or setup.reference is None:
        empty = dict.fromkeys(
            (
                *("good_fraction_2pt", "good_fraction_2pt_low", "good_fraction_2pt_high"),
                *("nonfinite_fraction", "chance_fraction", "best_val_accuracy", "test_accuracy"),
            )
        )
        return {**names, "n_trials": 0, **empty, **sweep, "reason": setup.reason}
    return {
        **names,
        "strategy": setup.reference.arm.strategy.name,
        "repeats": len(setup.reference.studies),
        **sample_figures(setup.evidence),
        **sweep,
        "trained": setup.trained,
        "gate": setup.gate.reason,
        "identity": setup.reference.setup_identity,
    }


def sample_figures(evidence: SetupEvidence) -> dict[str, object]:
    """The figures of one sample by name."""
    found = evidence.sensitivity
    figures: dict[str, object] = {"n_trials": found.n}
    for e in sorted(found.good_fractions):
        figures |= ends(f"good_fraction_{e:g}pt", found.good_fractions[e])
        figures |= ends(f"trials_needed_{e:g}pt", evidence.trials_needed[e])
    figures |= {
        "good_fraction_method": found.good_fractions[evidence.headline].method,
        **ends("nonfinite_fraction", found.nonfinite_fraction),
        **ends("chance_fraction", found.chance_fraction),
        "best_val_accuracy": found.best_val_accuracy,
        "test_accuracy": found.test_accuracy,
        "b": found.b,
        "b_rule": found.b_rule,
        "b_noise_sd": found.best.noise_sd,
        "b_standard_error": found.best.standard_error,
        **ends("regret_median", evidence.regret.median),
        **ends("regret_mean", evidence.regret.mean),
        **ends("regret_default", evidence.regret.default),
        "tuning_did_not_matter": evidence.did_not_matter,
        "not_computable": _unknown_of(evidence),
    }
    curve = evidence.curve
    for i, k in enumerate(curve.ks):
        if k in CURVE_KS:
            figures[f"expected_best_of_{k}"] = curve.expected[i]
            figures |= {
                f"median_best_of_{k}": curve.median[i],
                f"median_best_of_{k}_low": curve.low[i],
                f"median_best_of_{k}_high": curve.high[i],
            }
    if evidence.selected is not None:
        selected = evidence.selected
        for i, k in enumerate(selected.ks):
            if k in CURVE_KS:
                interval = Interval(
                    selected.expected[i], selected.low[i], selected.high[i], selected.level, ""
                )
                figures |= ends(f"test_of_best_of_{k}", interval)
    figures |= {f"edge_{edge.name}": edge.side for edge in evidence.edges}
    for evaluator, importance in evidence.importance.items():
        for name, found_of in importance.by_name.items():
            figures |= ends(f"importance_{evaluator}_{name}", found_of.value)
            figures[f"importance_{evaluator}_{name}_p_first"] = found_of.p_first
        figures[f"importance_{evaluator}_order"] = importance.order
    return figures


def _unknown_of(evidence: SetupEvidence) -> dict[str, str]:
    """Why figures of a sample have no number, or no interval."""
    lost = evidence.regret
    reasons = not_computable(
        {
            **{f"good_fraction_{e:g}pt": g for e, g in evidence.sensitivity.good_fractions.items()},
            "chance_fraction": evidence.sensitivity.chance_fraction,
            "regret_median": lost.median,
            "regret_mean": lost.mean,
            "regret_default": lost.default,
        }
    )
    for evaluator, importance in evidence.importance.items():
        if importance.order == "not computable":
            reasons[f"importance_{evaluator}"] = importance.note
    return reasons


def _sweep(sweep: RateSweep) -> dict[str, object]:
    """The figures of a sweep of the learning rate."""
    figures: dict[str, object] = {"sweep_seeds": sweep.seeds, "sweep_rates": sweep.rates}
    for margin, width in sweep.widths.items():
        name = f"rate_width_{100 * margin:g}pt"
        figures |= {
            **ends(name, width.width),
            **ends(f"{name}_from", width.lower_edge),
            **ends(f"{name}_to", width.upper_edge),
            f"{name}_censored_low": width.censored_low,
            f"{name}_censored_high": width.censored_high,
        }
    return figures | {
        "best_rate": sweep.best_rate,
        **ends("largest_stable_rate", sweep.largest_stable_rate),
        **ends("rate_sensitivity", sweep.sensitivity),
        **ends("rate_sensitivity_nats", sweep.sensitivity_nats),
        "sweep_not_computable": not_computable(
            {
                "largest_stable_rate": sweep.largest_stable_rate,
                "rate_sensitivity": sweep.sensitivity,
                "rate_sensitivity_nats": sweep.sensitivity_nats,
            }
        ),
    }


def arm_figures(arm: ArmFinding) -> dict[str, object]:
    """An arm's figures by name."""
    found, strategy = arm.figures, arm.strategy
    figures: dict[str, object] = {
        "repeats": found.repeats,
        "n_trials": found.n_trials,
        **ends("best_val_accuracy", found.best_val_accuracy),
        "best_val_accuracy_sd": found.best_val_accuracy_sd,
        **ends("test_accuracy", found.test_accuracy),
        "test_accuracy_sd": found.test_accuracy_sd,
        **ends("area", strategy.area),
        **ends("median_best", strategy.median_best),
        **ends("tenth_percentile", strategy.tenth_percentile),
        "rank": arm.rank.text,
        "rank_low": arm.rank.low,
        "rank_high": arm.rank.high,
        "seconds": arm.seconds,
        "trials_per_second": arm.trials_per_second,
        "best_so_far": list(found.best_so_far),
    }
    if arm.table.arm.strategy.pruning is not None:
        figures |= {"n_pruned": arm.table.n_pruned, "epochs": arm.table.epochs}
    if arm.table.n_failed:
        figures["n_failed"] = arm.table.n_failed
    if strategy.regret is not None:
        figures |= ends("regret", strategy.regret)
    if strategy.to_good is not None:
        figures |= ends("trials_to_good", strategy.to_good.restricted_mean)
        figures |= ends("reached_good", strategy.to_good.reached)
    for name, distinct in arm.tried.distinct.items():
        figures[f"distinct_{name}"] = distinct
    if arm.tried.oracle is not None:
        figures |= ends("expected_never_good", arm.tried.oracle)
    intervals = {
        "best_val_accuracy": found.best_val_accuracy,
        "test_accuracy": found.test_accuracy,
        "area": strategy.area,
        "median_best": strategy.median_best,
        "tenth_percentile": strategy.tenth_percentile,
    }
    if arm.fresh is not None:
        intervals |= {"fresh_val_accuracy": arm.fresh.val, "fresh_test_accuracy": arm.fresh.test}
        figures |= ends("fresh_val_accuracy", arm.fresh.val)
        figures |= ends("fresh_test_accuracy", arm.fresh.test)
    if arm.misses is not None:
        figures |= ends("miss_probability", arm.misses.probability)
    return figures | {"not_computable": {**not_computable(intervals), **arm.reasons}}


def comparison_figures(pair: Difference) -> dict[str, object]:
    """Setup A minus setup B by name."""
    found = pair.difference
    return {
        "a": setup_names(pair.a.arms[0]),
        "b": setup_names(pair.b.arms[0]),
        "n": found.n,
        **difference_of_shares(found.own, found.common, found.only),
    }


def difference_of_shares(
    own: Mapping[float, Interval],
    common: Mapping[float, Interval],
    only: Mapping[float, tuple[float, float]],
) -> dict[str, object]:
    """Good fractions of A minus those of B by name, by e: see `PairedDifference`."""
    figures: dict[str, object] = {}
    for e in sorted(own):
        figures |= ends(f"good_fraction_{e:g}pt", own[e])
        figures |= ends(f"good_fraction_{e:g}pt_common", common[e])
        if e in only:
            figures[f"good_in_a_only_{e:g}pt"], figures[f"good_in_b_only_{e:g}pt"] = only[e]
    return figures


def transfer_figures(found: TransferFinding) -> dict[str, object]:
    """What one setup's best costs on another, and how stale it is, by name."""
    return {
        "costs": [
            {"tuned_on": route[0], "used_on": route[1], **ends("cost", cost)}
            for route, cost in found.transfer.costs.items()
        ],
        "staleness": [
            {"setup": name, **ends("staleness", cost)}
            for name, cost in found.transfer.staleness.items()
        ],
    }


def verdict_figures(verdict: Verdict) -> dict[str, object]:
    """A verdict by name; its estimate and both ends are finite."""
    return {
        "claim": verdict.claim,
        "statistic": verdict.statistic,
        "direction": verdict.direction,
        "verdict": verdict.verdict,
        "sentence": verdict.sentence,
        "estimate": verdict.estimate,
        "low": verdict.low,
        "high": verdict.high,
        "level": verdict.level,
        "n": verdict.n,
        "planned_n": verdict.planned_n,
        "smallest_effect": verdict.smallest_effect,
        "settles_at": verdict.settles_at,
        "conditions": dict(verdict.conditions),
        "primary_cell": verdict.primary,
        "exceptions": list(verdict.exceptions),
        "cells": [
            {
                "cell": name,
                "verdict": cell.verdict,
                "estimate": cell.estimate,
                "low": cell.low,
                "high": cell.high,
                "level": cell.level,
                "n": cell.n,
            }
            for name, cell in verdict.cells.items()
        ],
    }


def ends(name: str, interval: Interval) -> dict[str, object]:
    """A figure with its interval as three numbers."""
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def not_computable(figures: Mapping[str, Interval]) -> dict[str, str]:
    """Why figures have no number, or no interval, by name."""
    return {
        name: interval.method.removeprefix("not computable: ")
        for name, interval in figures.items()
        if any(math.isnan(v) for v in (interval.estimate, interval.low, interval.high))
    }


def metrics(figures: Mapping[str, object]) -> dict[str, float]:
    """Those of the figures that are finite numbers, for MLflow."""
    return {
        name: float(value)
        for name, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
