"""What the best configurations of one setup cost on others that tried the same ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from hpsuite.analysis.best import n_best
from hpsuite.analysis.environments import (
    PERCENTILES,
    environment_sensitivity,
    percentile_normalised,
)
from hpsuite.analysis.transfer import transfer_costs
from hpsuite.config import labelled
from hpsuite.evidence import generator
from hpsuite.findings.found import Environments, SetupFinding, TransferFinding, by_name
from hpsuite.findings.tables import ArmTable, Replayed, setup_axes, tried_by
from hpsuite.trials import Scalar


def find_transfers(
    setups: Sequence[SetupFinding], best_again: Mapping[str, Replayed] | None = None
) -> list[TransferFinding]:
    """Costs between setups that tried the same configurations, on any data, and that trained.

    Args:
        setups: with and without reference samples.
        best_again: by the identity of a reference arm, its best with fresh seeds; where all setups
            compared have it, a setup's own best is known from seeds that did not choose it.
    """
    groups: list[list[SetupFinding]] = []
    for setup in setups:
        if setup.reference is None or not setup.trained:
            continue
        tried = tried_by(setup.reference)
        group = next(
            (g for g in groups if g[0].reference and tried_by(g[0].reference) == tried), None
        )
        if group is None:
            groups.append([setup])
        else:
            group.append(setup)
    found = []
    for group in groups:
        if len(group) < 2:
            continue
        named = by_name(group)
        scores = {n: s.evidence.sample.scores for n, s in named.items() if s.evidence is not None}
        own = {n: _own_best(s, best_again or {}) for n, s in named.items()}
        known = {n: level for n, level in own.items() if level is not None}
        transfer = transfer_costs(
            scores, generator=generator(), best=known if len(known) == len(named) else None
        )
        found.append(TransferFinding(named, transfer, find_environments(named)))
    return found


def _own_best(
    setup: SetupFinding, best_again: Mapping[str, Replayed]
) -> tuple[float, float] | None:
    """The mean of what a sample chose over fresh seeds, and its standard error."""
    again = None if setup.reference is None else best_again.get(setup.reference.identity)
    if again is None or again.val.shape[1] < 2 or setup.evidence is None:
        return None
    # Twice as many were trained again, in the order in which the sample has them.
    val = again.val[: n_best(len(setup.evidence.sample))]
    return float(val.mean()), float(np.sqrt(val.var(axis=1, ddof=1).mean() / val.size))


def find_environments(named: Mapping[str, SetupFinding]) -> Environments:
    """Adkins' sensitivity of setups that tried the same configurations.

    Where they have an arm whose repeats all tried the same ones, as those of a grid do, it gives
    several seeds of each configuration; else the reference samples give one.
    """
    repeated = _repeated(list(named.values()))
    if repeated is not None:
        # [n, s]: configurations by seeds.
        scores = {n: table.scores().T for n, table in zip(named, repeated, strict=True)}
    else:
        references = {n: setup.reference for n, setup in named.items()}
        scores = {n: t.scores().reshape(-1, 1) for n, t in references.items() if t is not None}
    places, of = _grouped(named)
    stacked = {
        algorithm: np.stack([scores[name] for name in names]) for algorithm, names in of.items()
    }
    seeds = next(iter(stacked.values())).shape[2]
    means = np.concatenate([table.mean(axis=2) for table in stacked.values()], axis=1)
    low, high = np.percentile(means, PERCENTILES, axis=1)
    flat = [place for place, a, b in zip(places, low, high, strict=True) if not a < b]
    if flat:
        return Environments(
            places, {}, seeds, f"the 5th and the 95th percentile of scores are equal on {flat[0]}"
        )
    found = {
        algorithm: environment_sensitivity(table)
        for algorithm, table in percentile_normalised(stacked).items()
    }
    return Environments(places, {algorithm: found[algorithm] for algorithm in of}, seeds)


def _repeated(setups: Sequence[SetupFinding]) -> list[ArmTable] | None:
    """Of each setup an arm whose repeats all tried the same configurations, the same everywhere."""
    for first in setups[0].arms:
        tried = _settings(first)
        if tried is None:
            continue
        others = [
            next((table for table in setup.arms if _settings(table) == tried), None)
            for setup in setups
        ]
        found = [table for table in others if table is not None]
        if len(found) == len(setups) and len({len(table.studies) for table in found}) == 1:
            return found
    return None


def _settings(table: ArmTable) -> list[Mapping[str, Scalar]] | None:
    """The configurations of every repeat of an arm, where all have the same in the same order."""
    first, *others = [list(study.values) for study in table.studies]
    return first if others and all(other == first for other in others) else None


def _grouped(named: Mapping[str, SetupFinding]) -> tuple[list[str], dict[str, list[str]]]:
    """Environments, and the setups of each algorithm in their order."""
    of: dict[str, dict[str, str]] = {}
    for name, setup in named.items():
        axes = setup_axes(setup.arms[0].arm)
        place = [axes.pop("dataset")]
        place += [f"{key}={axes.pop(key)}" for key in list(axes) if is_environment(key)]
        model = labelled(axes.pop("model"), tuple(axes.items()))
        of.setdefault(model, {})[" ".join(place)] = name
    places = list(next(iter(of.values())))
    if len(places) > 1 and all(set(found) == set(places) for found in of.values()):
        return places, {model: [found[place] for place in places] for model, found in of.items()}
    return list(named), {"all": list(named)}


def is_environment(key: str) -> bool:
    """Whether an axis of the matrix says on what is trained, not what."""
    return key == "split_seed" or key.partition(".")[0] == "dataset"
