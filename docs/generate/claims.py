"""What the claims of conf/experiment declare, and what results/ found of them."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.generate.tables import table
from hpsuite.checks import show
from hpsuite.declared import WORDS
from hpsuite.report.figures.intervals import Estimate, number
from hpsuite.report.view import counted

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = (
    "batchnorm_robustness",
    "batchnorm_placement",
    "grid_vs_random",
    "search_scale",
    "coarse_to_fine",
    "importance_order",
    "bergstra_bengio_2012",
    "ioffe_szegedy_2015",
    "staleness",
    "panda_vs_caviar",
)
# What the README tells: the advice in a few words, the experiment, and the claim that tests it.
TOLD = (
    (
        "Batch norm makes more hyperparameters work",
        "batchnorm_robustness",
        "With batch norm a larger share of the space works well.",
    ),
    (
        "... and larger learning rates train",
        "batchnorm_robustness",
        "With batch norm larger learning rates are stable.",
    ),
    (
        "Normalise z rather than a",
        "batchnorm_placement",
        "Of networks that normalise z a larger share of the space works well than of those that "
        "normalise a.",
    ),
    (
        "Batch norm is ahead on MNIST (2015)",
        "ioffe_szegedy_2015",
        "After 50,000 steps the network with batch norm is ahead.",
    ),
    (
        "The learning rate matters most",
        "importance_order",
        "The learning rate matters more than momentum.",
    ),
    (
        "... then momentum, before layers",
        "importance_order",
        "Momentum matters more than the number of layers.",
    ),
    (
        "n x n random points beat an n x n grid",
        "grid_vs_random",
        "9 random configurations miss the good region less often than a 3 x 3 grid.",
    ),
    (
        "8 random trials match a grid of 128 (2012)",
        "bergstra_bengio_2012",
        "8 random trials do.",
    ),
    (
        "Draw learning rates on a log scale",
        "search_scale",
        "Learning rates drawn on a log scale find a better one.",
    ),
    (
        "Search coarse to fine",
        "coarse_to_fine",
        "Three rounds of zooming find a better configuration than one round of random search.",
    ),
    ("... then the scale matters less", "coarse_to_fine", "Zooming, the log scale gains less."),
    (
        "Choices go stale: from SGD to Adam",
        "staleness",
        "With Adam, the learning rate that was chosen for SGD costs a point or more.",
    ),
    (
        "... with longer training",
        "staleness",
        "With 64 epochs, what was chosen for 12 costs a point or more.",
    ),
    (
        "Little compute: babysit one model",
        "panda_vs_caviar",
        "With the epochs of one model, babysitting it finds a better one than leaving it alone.",
    ),
    (
        "Much compute: train many",
        "panda_vs_caviar",
        "With the epochs of 64 models, training 64 finds a better one than babysitting one.",
    ),
)


def told() -> str:
    """The table of the README."""
    rows = []
    for advice, name, text in TOLD:
        claim, verdict = next(pair for pair in _claims(name) if pair[0]["claim"] == text)
        measured = f"{_statistic(claim)}, {_sides(claim)}"
        page = f"[{advice}](docs/claims/{name}.md)"
        rows.append([page, f"**{verdict['verdict']}**", measured, _found(claim, verdict)])
    return table(["advice", "verdict", "measured", "found, 95% interval"], rows)


def experiments() -> str:
    """The table of all experiments, for the overview of claims."""
    rows = []
    for name in EXPERIMENTS:
        verdicts = Counter(verdict["verdict"] for _, verdict in _claims(name))
        words = ", ".join(f"{n} {word}" for word, n in verdicts.items())
        rows.append([f"[{name}](claims/{name}.md)", _summary(name)["title"], words])
    return table(["experiment", "asks", "verdicts of its claims"], rows)


def declared(name: str) -> str:
    """What an experiment declares."""
    rows = [
        [
            claim["claim"],
            f"`{claim['statistic']}`: {_statistic(claim)}, {_sides(claim)}",
            _asked(claim),
            f"{claim['n']:,}",
            "the only one" if _cell(verdict) == "all" else _cell(verdict),
        ]
        for claim, verdict in _claims(name)
    ]
    header = ["claim", "statistic", "supported if all of the interval is", "n", "primary cell"]
    return table(header, rows)


def found(name: str) -> str:
    """What was found of it, and where."""
    rows = []
    for claim, verdict in _claims(name):
        others = Counter(c["verdict"] for c in verdict["cells"] if c["cell"] != _cell(verdict))
        words = ", ".join(f"{n} {word}" for word, n in others.items()) or "none"
        settles = f"{verdict['settles_at']:,}" if verdict["settles_at"] else ""
        if verdict["verdict"] == "inconclusive":
            settles = settles or "over 100,000"
        row = [claim["claim"], f"**{verdict['verdict']}**", _found(claim, verdict)]
        rows.append([*row, f"{verdict['n']:,}", settles, words])
    header = ["claim", "verdict", "found, 95% interval", "n", "n to settle it", "other cells"]
    return f"{table(header, rows)}\n\n{_run(name)}"


def _run(name: str) -> str:
    """What was run, where and when."""
    summary = _summary(name)
    arms = summary["arms"]
    trials = sum(arm["n_trials"] for arm in arms)
    minutes = sum(arm["seconds"] for arm in arms) / 60
    versions = summary["versions"]
    return (
        f"`{summary['command']}`, {summary['created'][:10]}: {trials:,} trials in "
        f"{len(arms)} arms, {minutes:.0f} minutes of one worker; {summary['device']}, "
        f"hpsuite {versions['hpsuite']}, torch {versions['torch']}, optuna {versions['optuna']}, "
        f"python {versions['python']}, commit {summary['commit']}; one split of the data."
    )


def _claims(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each claim of tier=full as declared, beside its verdict.

    Raises:
        ValueError: results that are of other claims than those declared now.
    """
    path = ROOT / "conf" / "experiment" / f"{name}.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    claims = [*config["claims"], *config["tiers"]["full"].get("claims", [])]
    verdicts = _summary(name)["verdicts"]
    for claim, verdict in zip(claims, verdicts, strict=True):
        for key in ("claim", "direction", "smallest_effect"):
            if claim[key] != verdict[key]:
                raise ValueError(
                    f"results/{name}: found {verdict[key]!r}; accepted: {claim[key]!r}, as declared"
                )
    return list(zip(claims, verdicts, strict=True))


def _summary(name: str) -> dict[str, Any]:
    path = ROOT / "results" / name / "summary.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _cell(verdict: Mapping[str, Any]) -> str:
    return str(verdict["primary_cell"])


def _statistic(claim: Mapping[str, Any]) -> str:
    words, _ = WORDS[claim["statistic"]]
    if claim["statistic"] == "val_accuracy_at":
        return f"{words} after {claim['at_step']:,} steps"
    if claim["statistic"] == "steps_to_accuracy":
        return f"{words} of {100 * claim['target']:g}%"
    return words


def _sides(claim: Mapping[str, Any]) -> str:
    """What is compared, in words."""
    text = f"{_side(claim, 'a')} against {_side(claim, 'b')}"
    if "a_other" in claim:
        text += f", less that of {_side(claim, 'a_other')} against {_side(claim, 'b_other')}"
    return text


def _side(claim: Mapping[str, Any], side: str) -> str:
    chosen = {key.rpartition(".")[2]: value for key, value in claim[side].items()}
    named = ("model", "strategy", "hyperparameter", "optimizer", "dataset", "space")
    words = [
        show_plain(value) if key in named else f"{key}={show_plain(value)}"
        for key, value in chosen.items()
    ]
    letter = side[0]
    if trials := claim.get(f"trials_{letter}"):
        words.append(f"after {trials} trials")
    if epochs := claim.get(f"epochs_{letter}"):
        words.append(f"after {epochs} epochs")
    return f"`{' '.join(words)}`"


def show_plain(value: object) -> str:
    """A value as it is written in a configuration."""
    return value if isinstance(value, str) else show(value)


def _asked(claim: Mapping[str, Any]) -> str:
    """What an interval must be for the claim to be supported."""
    _, (unit, factor) = WORDS[claim["statistic"]]
    effect = factor * claim["smallest_effect"]
    if claim["statistic"] == "probability_better":
        signs = {"greater": 1, "less": -1}
        side = "above" if claim["direction"] == "greater" else "below"
        return f"{side} {number(50 + signs[claim['direction']] * effect)}%"
    words = counted(number(effect), unit)
    return {
        "greater": f"above +{words}",
        "less": f"below -{words}",
        "equivalent": f"within {words} of 0",
        "not_less": f"above -{words}",
    }[claim["direction"]]


def _found(claim: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """The estimate with its interval and unit."""
    _, (unit, factor) = WORDS[claim["statistic"]]
    is_share = claim["statistic"] == "probability_better"
    estimate = Estimate(*(factor * verdict[key] for key in ("estimate", "low", "high")))
    return f"{estimate.text(signed=not is_share)}{'' if is_share else ' '}{unit}"
