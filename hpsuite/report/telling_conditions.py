"""Under which conditions the figures of a report hold."""

from collections.abc import Iterator, Mapping, Sequence

from hpsuite.checks import show
from hpsuite.config import Setup
from hpsuite.evidence import SetupEvidence
from hpsuite.findings import Findings, SetupFinding
from hpsuite.report.telling_scores import listed, range_words
from hpsuite.trials import OptimizerSpec

FORMS = {
    "sgd": "SGD, v = momentum v + g",
    "sgd_ema": "SGD, v = momentum v + (1 - momentum) g",
    "adam": "Adam",
    "adamw": "AdamW",
}
OWN = {
    "sgd": ("momentum",),
    "sgd_ema": ("momentum",),
    "adam": ("beta1", "beta2", "epsilon"),
    "adamw": ("beta1", "beta2", "epsilon"),
}


def conditions(findings: Findings) -> dict[str, str]:
    """Data, space, optimizer, length, numerics, seeds: name to value."""
    parts = [_of_setup(setup) for setup in findings.setups]
    names = [f"{f.setup.dataset.name} {f.setup.label}" for f in findings.setups]
    found = {}
    for key in dict.fromkeys(key for part in parts for key in part):
        found[key] = _joined([part.get(key, "") for part in parts], names)
    arms = [arm.table.arm for arm in findings.arms]
    if arms:
        budgets = dict.fromkeys(
            f"{arm.repeats} x {len(a.table.studies[0].results)}"
            for arm, a in zip(arms, findings.arms, strict=True)
        )
        found["repeats x trials"] = ", ".join(budgets)
        found["seed"] = ", ".join(dict.fromkeys(str(arm.seed) for arm in arms))
    return found


def foreign_conditions(evidence: Mapping[str, SetupEvidence]) -> dict[str, str]:
    """What is known of trials that were read: how many, and over which ranges."""
    samples = {name: found.sample for name, found in evidence.items()}
    if not samples:
        return {}
    sizes = [f"{name} {len(sample)}" for name, sample in samples.items()]
    found = {"trials": listed(sizes, 12)}
    parts = [
        {h.name: range_words(h) for h in sample.hyperparameters} for sample in samples.values()
    ]
    for key in dict.fromkeys(key for part in parts for key in part):
        found[key] = _joined([part.get(key, "") for part in parts], list(samples))
    sample = next(iter(samples.values()))
    if sample.unit is not None:
        margins = [f"{e * sample.unit:g}" for e in sample.points]
        found["close to the best"] = f"within {listed(margins)}"
    found["better"] = "higher scores" if sample.higher_is_better else "lower scores"
    known = all(sample.random for sample in samples.values())
    found["drawn"] = "at random, as declared" if known else "unknown"
    return found


def _joined(values: Sequence[str], names: Sequence[str]) -> str:
    """One value where all agree; else each value with whose it is."""
    owners: dict[str, list[str]] = {}
    for value, name in zip(values, names, strict=True):
        if value:
            owners.setdefault(value, []).append(name)
    if len(owners) == 1 and len(next(iter(owners.values()))) == len(values):
        return next(iter(owners))
    return "; ".join(f"{value} ({listed(whose, 3)})" for value, whose in owners.items())


def _of_setup(finding: SetupFinding) -> dict[str, str]:
    setup, data = finding.setup, finding.arms[0].data
    searched = set(setup.space.names)
    found = dict(_data(finding))
    for h in setup.space.hyperparameters:
        found[f"searched: {h.name}"] = range_words(h)
    found["model"] = _model(setup)
    found["optimizer"] = optimizer_words(setup.optimizer, searched)
    if "batch_size" not in searched:
        found["batch size"] = f"mini-batches of {setup.batch_size}"
    if not searched & {"epochs", "steps"}:
        length = f"{setup.epochs} epochs" if setup.epochs is not None else f"{setup.steps} steps"
        found["length"] = length
    numerics = setup.numerics
    found["numbers"] = numerics.dtype + (", TF32 products" if numerics.tf32 else "")
    assert data.n_classes
    return found


def _data(finding: SetupFinding) -> Iterator[tuple[str, str]]:
    dataset, data = finding.setup.dataset, finding.arms[0].data
    sizes = " / ".join(f"{len(y):,}" for y in (data.y_train, data.y_val, data.y_test))
    yield (
        "data",
        f"{dataset.name}: {sizes} examples to train, validate and test, {data.n_classes} classes",
    )
    yield (
        "split",
        f"`split_seed={dataset.split_seed}`, one split: intervals say nothing of others",
    )


def _model(setup: Setup) -> str:
    searched = set(setup.space.names)
    given = [f"{k} {show(v)}" for k, v in setup.model.arguments if k not in searched]
    return ", ".join([setup.model_name, *given])


def optimizer_words(optimizer: OptimizerSpec, searched: set[str]) -> str:
    """The optimizer's form and what of it is not searched."""
    parts = [FORMS[optimizer.kind]]
    names = ["learning_rate", *OWN[optimizer.kind]]
    if optimizer.weight_decay or "weight_decay" in searched:
        names.append("weight_decay")
    if optimizer.label_smoothing:
        names.append("label_smoothing")
    if optimizer.warmup_fraction:
        names.append("warmup_fraction")
    parts += [f"{name} {show(getattr(optimizer, name))}" for name in names if name not in searched]
    if optimizer.schedule != "none":
        parts.append(f"{optimizer.schedule} schedule")
    if optimizer.nesterov:
        parts.append("nesterov")
    return ", ".join(parts)
