"""Under which conditions the figures of a report hold."""

from collections.abc import Iterator, Mapping, Sequence

from hpsuite.checks import show
from hpsuite.config import Setup
from hpsuite.evidence import SetupEvidence
from hpsuite.findings import Findings, SetupFinding, unsplit
from hpsuite.report.tables import failure_lines
from hpsuite.report.telling_scores import listed, range_words
from hpsuite.trials import Numerics, OptimizerSpec

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
    seeds: dict[Setup, list[int]] = {}
    for f in findings.setups:
        seeds.setdefault(unsplit(f.setup), []).append(f.setup.dataset.split_seed)
    parts = [_of_setup(f, sorted(set(seeds[unsplit(f.setup)]))) for f in findings.setups]
    names = [f"{f.setup.dataset.name} {f.setup.label}" for f in findings.setups]
    models = _models([finding.setup for finding in findings.setups])
    for part, model in zip(parts, models, strict=True):
        part["model"] = model
    found = {}
    for key in dict.fromkeys(key for part in parts for key in part):
        found[key] = _joined([part.get(key, "") for part in parts], names)
    shared = _shared([finding.setup for finding in findings.setups]) if parts else {}
    if shared:
        found["all models"] = ", ".join(f"{k} {v}" for k, v in shared.items())
    arms = [arm.table.arm for arm in findings.arms]
    if arms:
        budgets = dict.fromkeys(
            f"{arm.repeats} x {len(a.table.studies[0].results)}"
            for arm, a in zip(arms, findings.arms, strict=True)
        )
        found["repeats x trials"] = ", ".join(budgets)
        found["seed"] = ", ".join(dict.fromkeys(str(arm.seed) for arm in arms))
    if failed := failure_lines(findings.arms):
        found["could not be trained"] = f"{'; '.join(failed)}: they count as diverged"
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


def _of_setup(finding: SetupFinding, split_seeds: Sequence[int]) -> dict[str, str]:
    setup = finding.setup
    searched = set(setup.space.names)
    found = dict(_data(finding, split_seeds))
    for h in setup.space.hyperparameters:
        found[f"searched: {h.name}"] = range_words(h)
    found["optimizer"] = optimizer_words(setup.optimizer, searched)
    if "batch_size" not in searched:
        found["batch size"] = f"mini-batches of {setup.batch_size}"
    if not searched & {"epochs", "steps"}:
        length = f"{setup.epochs} epochs" if setup.epochs is not None else f"{setup.steps} steps"
        found["length"] = length
    found["numbers"] = _numbers(setup.numerics)
    return found


def _numbers(numerics: Numerics) -> str:
    products = ["TF32"] if numerics.tf32 else []
    if numerics.autocast != "none":
        products.append(numerics.autocast)
    found = [numerics.dtype, *(f"{kind} products" for kind in products)]
    if numerics.convolutions != "auto":
        found.append(f"convolutions by {numerics.convolutions.replace('grouped', 'groups')}")
    if numerics.compiled == "yes":
        found.append("compiled updates")
    if numerics.deterministic:
        found.append("deterministic kernels")
    return ", ".join(found)


def _data(finding: SetupFinding, split_seeds: Sequence[int]) -> Iterator[tuple[str, str]]:
    dataset, data = finding.setup.dataset, finding.arms[0].data
    sizes = " / ".join(f"{len(y):,}" for y in (data.y_train, data.y_val, data.y_test))
    yield (
        "data",
        f"{dataset.name}: {sizes} examples to train, validate and test, {data.n_classes} classes",
    )
    if len(split_seeds) == 1:
        yield "split", f"`split_seed={dataset.split_seed}`, one split: others may say otherwise"
    else:
        tried = listed([str(seed) for seed in split_seeds], 12)
        yield "split", f"`split_seed` {tried}: each setup's figures are given its own split"


def _arguments(setup: Setup) -> dict[str, str]:
    """A model's arguments that are not searched, in words."""
    searched = set(setup.space.names)
    return {
        k: v if isinstance(v, str) else show(v)
        for k, v in setup.model.arguments
        if k not in searched
    }


def _shared(setups: Sequence[Setup]) -> dict[str, str]:
    """The arguments that the models of all setups have in common."""
    first, *others = [_arguments(setup) for setup in setups]
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _models(setups: Sequence[Setup]) -> list[str]:
    """Each setup's model, with the arguments that others do not have."""
    shared = _shared(setups) if setups else {}
    found = []
    for setup in setups:
        own = [f"{k} {v}" for k, v in _arguments(setup).items() if k not in shared]
        found.append(", ".join([setup.model_name, *own]))
    return found


def optimizer_words(optimizer: OptimizerSpec, searched: set[str]) -> str:
    """The optimizer's form and what of it is not searched."""
    form, own = FORMS[optimizer.kind], OWN[optimizer.kind]
    if "kind" in searched:
        form, own = "its form is searched", tuple(dict.fromkeys(n for o in OWN.values() for n in o))
    parts = [form]
    names = ["learning_rate", *own]
    if optimizer.weight_decay or "weight_decay" in searched:
        names.append("weight_decay")
    if optimizer.label_smoothing:
        names.append("label_smoothing")
    if optimizer.warmup_fraction:
        names.append("warmup_fraction")
    parts += [f"{name} {show(getattr(optimizer, name))}" for name in names if name not in searched]
    if optimizer.schedule != "none" and "schedule" not in searched:
        parts.append(f"{optimizer.schedule} schedule")
    if optimizer.nesterov and "nesterov" not in searched:
        parts.append("nesterov")
    return ", ".join(parts)
