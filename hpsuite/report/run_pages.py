"""What MLflow's UI shows first of an experiment: pages set up beforehand, and the runs' colours."""

from collections.abc import Mapping, Sequence

from hpsuite.findings import Findings
from hpsuite.report.style import PALETTE
from hpsuite.tracking import Page, RunView

# Of the parameters in which runs differ, so many go into a table, before its figures.
MOST_PARAMS = 3
# Of hyperparameters, so many axes fit beside each other.
MOST_AXES = 8
# How far the first of several setups is from its strategy's own colour, towards white.
PALEST = 0.6


def run_pages(views: Sequence[RunView]) -> tuple[Page, ...]:
    """The pages of an experiment's runs; the figures' names are those of `flat.py`."""
    pages = [
        Page(
            "setup",
            "Setups: how much of the space is good",
            (
                *("good_fraction_2pt", "good_fraction_2pt_low", "good_fraction_2pt_high"),
                *("n_trials", "b", "regret_median", "nonfinite_fraction", "chance_fraction"),
            ),
            dict.fromkeys(
                (
                    *("good_fraction_2pt", "good_fraction_2pt_low", "good_fraction_2pt_high"),
                    *("b", "regret_median", "trials_needed_2pt"),
                    *("nonfinite_fraction", "chance_fraction", "rate_width_2pt"),
                ),
                False,
            ),
            heading="Share of the space within 2 points of the best",
            params=_differing([view for view in views if view.kind == "setup"]),
        ),
        Page(
            "arm",
            "Searches: which found a good one",
            (
                *("best_val_accuracy", "best_val_accuracy_low", "best_val_accuracy_high"),
                *("test_accuracy", "rank_low", "rank_high", "regret", "repeats", "seconds"),
            ),
            {
                "best_so_far": True,
                "best_val_accuracy": False,
                "test_accuracy": False,
                "best_val_accuracy_low": False,
                "best_val_accuracy_high": False,
                "regret": False,
                "rank_low": False,
                "rank_high": False,
                "seconds": False,
            },
            heading="Best validation accuracy so far, by trial",
            beside=2,
            params=_differing([view for view in views if view.kind == "arm"]),
        ),
    ]
    trials = [trial for view in views for trial in view.children]
    if trials:
        tried = _shared([trial.params for trial in trials])[:MOST_AXES]
        pages.append(
            Page(
                "trial",
                "Trials: the best of each search",
                ("val_accuracy", "test_accuracy"),
                {"val_curve": True, "loss_curve": True, "val_accuracy": False},
                heading="The best trials: values and learning curves",
                beside=2,
                params=tried,
                parallel=(tried, ("val_accuracy", "test_accuracy")),
                best="val_accuracy",
            )
        )
    return (*pages, Page("comparison", "The report, and differences", (), {}))


def _differing(views: Sequence[RunView]) -> tuple[str, ...]:
    """The first parameters in which runs differ, what was found not being one."""
    names = _shared([view.params for view in views])
    return tuple(
        name for name in names if ":" not in name and len({view.params[name] for view in views}) > 1
    )[:MOST_PARAMS]


def _shared(all_params: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Names of the parameters that all have, in the order of the first."""
    if not all_params:
        return ()
    first, *others = all_params
    return tuple(name for name in first if all(name in other for other in others))


def run_colors(findings: Findings) -> list[str]:
    """A colour for each arm: the hue tells the strategy, and from pale to full the setup."""
    strategies = list(dict.fromkeys(arm.table.arm.strategy.label for arm in findings.arms))
    setups = list(dict.fromkeys(arm.table.setup_identity for arm in findings.arms))
    last = max(len(setups) - 1, 1)
    colors = []
    for arm in findings.arms:
        hue = PALETTE[strategies.index(arm.table.arm.strategy.label) % len(PALETTE)]
        nth = setups.index(arm.table.setup_identity)
        pale = PALEST * (1 - nth / last) if len(setups) > 1 else 0.0
        colors.append(_paler(hue, pale))
    return colors


def _paler(color: str, share: float) -> str:
    """A colour mixed with so much white."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)
