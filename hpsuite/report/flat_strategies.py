"""Figures of strategies compared, of what changes with the split and of environments, by name."""

from collections.abc import Iterator

from hpsuite.analysis import Interval, SplitSpread
from hpsuite.findings import (
    Across,
    ArmFinding,
    Carried,
    Environments,
    Findings,
    Learned,
    SearchPair,
    SplitFinding,
    StrategyAcross,
    against_baseline,
    setup_name,
)
from hpsuite.report.flat import arm_names, ends, setup_names


def strategy_sections(findings: Findings) -> Iterator[tuple[str, dict[str, object]]]:
    """What one run can show of all this: a prefix for each, and its figures by name.

    Searches against their baselines, strategies across setups, what changes with the split.
    """
    for pair in against_baseline(findings.pairs, findings.setups):
        a, b = (search_label(arm) for arm in (pair.a, pair.b))
        yield f"{setup_name(pair.a.table.arm)} {a} against {b}", pair_figures(pair)
    for i, across in enumerate(findings.across, start=1):
        prefix = "across setups" if len(findings.across) == 1 else f"across setups {i}"
        for label, strategy in across.strategies.items():
            yield f"{prefix} {label}", strategy_figures(strategy)
    for split in findings.splits:
        yield f"over splits {split.name}", split_figures(split)


def search_label(arm: ArmFinding) -> str:
    """A search's name, and what else tells it from others on its setup."""
    return arm.table.arm.strategy.label


def pair_figures(pair: SearchPair) -> dict[str, object]:
    """Search A against search B on one setup by name; differences are A minus B."""
    found = pair.comparison
    figures: dict[str, object] = {
        **setup_names(pair.a.table),
        "a": search_label(pair.a),
        "b": search_label(pair.b),
        "n_trials": found.n,
        "repeats_a": found.repeats[0],
        "repeats_b": found.repeats[1],
        **ends("probability_better", found.better),
        **ends("best_val_accuracy", found.best),
        **ends("area", found.area),
    }
    return figures if found.trials is None else figures | ends("trials_to_good", found.trials)


def across_figures(found: Across) -> dict[str, object]:
    """Strategies across setups by name."""
    return {
        "setups": list(found.setups),
        "n_trials": found.trials,
        "baseline": found.baseline,
        "strategies": [
            {"strategy": label, **strategy_figures(strategy)}
            for label, strategy in found.strategies.items()
        ],
    }


def strategy_figures(strategy: StrategyAcross) -> dict[str, object]:
    """One strategy across setups by name; null against itself for the baseline."""
    return {
        **ends("iqm_regret", strategy.regret),
        **_or_none("iqm_regret_difference", strategy.difference),
        **_or_none("probability_better", strategy.better),
    }


def _or_none(name: str, interval: Interval | None) -> dict[str, object]:
    if interval is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return ends(name, interval)


def split_figures(found: SplitFinding) -> dict[str, object]:
    """What changes with the split by name: of each figure the mean over splits, and its spread."""
    figures: dict[str, object] = {}
    for name, spread in found.figures.items():
        figures |= spread_figures(name, spread)
    return {
        "kind": found.kind,
        "name": found.name,
        "split_seeds": list(found.seeds),
        **figures,
        "not_computable": dict(found.reasons),
    }


def spread_figures(name: str, spread: SplitSpread) -> dict[str, object]:
    """One figure over splits by name."""
    return {
        **ends(name, spread.mean),
        **ends(f"{name}_split_sd", spread.spread),
        f"{name}_within_sd": spread.within_sd,
        f"{name}_between_sd": spread.between_sd,
        f"{name}_split_ratio": spread.ratio,
    }


def environment_figures(found: Environments) -> dict[str, object]:
    """Adkins' figures by name, in normalised scores."""
    return {
        "environments": list(found.environments),
        "seeds": found.seeds,
        "reason": found.reason,
        "algorithms": [
            {
                "algorithm": name,
                **ends("tuned", figures.tuned),
                **ends("cross", figures.cross),
                **ends("environment_sensitivity", figures.sensitivity),
                "environment_sensitivity_plain": figures.plain_sensitivity,
            }
            for name, figures in found.by_algorithm.items()
        ],
    }


def carried_figures(found: Carried) -> dict[str, object]:
    """What choices of one arm cost, and save, on the setup of another, by name."""
    figures: dict[str, object] = {
        "before": arm_names(found.before.table),
        "today": arm_names(found.today.table),
        "trials": found.budget,
        "same_choice": found.same,
        **ends("own_test_accuracy", found.own),
        **ends("old_test_accuracy", found.old),
        **ends("staleness", found.cost),
        **ends("median_staleness", found.median),
        **ends("relative_staleness", found.relative),
    }
    return figures if found.saved is None else figures | ends("trials_saved", found.saved)


def learned_figures(found: Learned) -> dict[str, object]:
    """The learning curve of one configuration over its seeds, by name."""
    figures: dict[str, object] = {
        **arm_names(found.arm.table),
        "seeds": len(found.arm.table.studies),
        "steps": found.steps.tolist(),
        "val_accuracy": found.mean.tolist(),
        "val_accuracy_low": found.low.tolist(),
        "val_accuracy_high": found.high.tolist(),
        "val_accuracy_lowest": found.lowest.tolist(),
        "val_accuracy_highest": found.highest.tolist(),
        "target": found.target,
        "reached": found.reached,
        **ends("steps_to_target", found.to_target),
    }
    if found.seen is None:
        return figures
    return {
        **figures,
        "probe_steps": found.seen.steps.tolist(),
        "probe_percentiles": found.seen.percentiles.tolist(),
        **ends("input_moves_by_evaluation", found.seen.step),
        **ends("input_moves_in_all", found.seen.range),
    }
