"""The figures of setups, from their reference samples, and setups compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpsuite.analysis import PairedDifference, chance_limit, paired_difference
from hpsuite.analysis.bands import Bands
from hpsuite.analysis.gate import gate
from hpsuite.evidence import generator, setup_evidence
from hpsuite.findings.found import UNKNOWN, Difference, SetupFinding
from hpsuite.findings.sweeps import sweep_of
from hpsuite.findings.tables import ArmTable, Replayed, sample_of, setup_axes, tried_by
from hpsuite.untuned import untuned


def find_setup(
    arms: list[ArmTable],
    best_again: Mapping[str, Replayed],
    defaults: Mapping[str, Replayed],
    bands: Bands,
) -> SetupFinding:
    """The figures of one setup, from its arms."""
    reference = next((table for table in arms if table.arm.strategy.is_reference), None)
    sweep = next((found for table in arms if (found := sweep_of(table)) is not None), None)
    if reference is None:
        reason = (
            "no reference sample: sensitivity is computed from a log_random arm, "
            "i.i.d. over the space on each hyperparameter's proper scale, and from nothing else"
        )
        return SetupFinding(arms, None, None, reason, UNKNOWN, sweep)
    data = reference.data
    again, default = (found.get(reference.identity) for found in (best_again, defaults))
    own = untuned(reference.arm.setup)
    evidence = setup_evidence(
        sample_of(reference),
        chance_limit=chance_limit(data.majority_share("val"), len(data.y_val)),
        # One seed would not show the noise.
        retrained=None if again is None or again.val.shape[1] < 2 else again.val,
        default=None if default is None else default.val[0],
        default_reason=own.reason or "it was not trained, which analysis.fresh_seeds does",
        defaults=own.units,
        bands=bands,
    )
    return SetupFinding(arms, reference, evidence, "", UNKNOWN, sweep, own.reasons)


def gated_setups(setups: Sequence[SetupFinding]) -> list[SetupFinding]:
    """The setups, each with whether it trained beside the others on the same data."""
    gated = list(setups)
    by_data: dict[str, dict[int, tuple[float, bool]]] = {}
    for i, setup in enumerate(setups):
        found = _reached(setup)
        if found is not None:
            by_data.setdefault(setup.arms[0].data.fingerprint, {})[i] = found
    for reached in by_data.values():
        bests, above_chance = zip(*reached.values(), strict=True)
        for i, judged in zip(reached, gate(bests, above_chance), strict=True):
            gated[i] = replace(setups[i], gate=judged)
    return gated


def _reached(setup: SetupFinding) -> tuple[float, bool] | None:
    """The best of a setup, and whether it is above chance; of a sweep where it has no sample."""
    if setup.evidence is not None:
        return setup.evidence.best.value, setup.evidence.sensitivity.above_chance
    if setup.sweep is not None:
        data, best = setup.arms[0].data, setup.sweep.best.estimate
        return best, best > chance_limit(data.majority_share("val"), len(data.y_val))
    return None


def find_differences(setups: Sequence[SetupFinding]) -> list[Difference]:
    """Each setup against that earlier one that is most like it.

    Of those that were tried on the same configurations and seeds, the first of those that differ
    from it in the fewest axes.
    """
    differences = []
    earlier: list[SetupFinding] = []
    for setup in setups:
        if setup.reference is None:
            continue
        others = [other for other in earlier if paired(setup, other)]
        if others:
            like = min(others, key=lambda other: len(_apart(setup, other)))
            differences.append(Difference(setup, like, difference(setup, like)))
        earlier.append(setup)
    return differences


def _apart(a: SetupFinding, b: SetupFinding) -> set[str]:
    """The axes in which two setups differ."""
    one, two = (setup_axes(setup.arms[0].arm) for setup in (a, b))
    return {axis for axis in {*one, *two} if one.get(axis) != two.get(axis)}


def difference(a: SetupFinding, b: SetupFinding, level: float = 0.95) -> PairedDifference:
    """Good fractions of A minus those of B, of paired reference samples."""
    assert a.evidence is not None
    assert b.evidence is not None
    one, two = a.evidence, b.evidence
    retrained = one.best.retrained and two.best.retrained
    return paired_difference(
        one.sample.scores,
        two.sample.scores,
        generator=generator(),
        level=level,
        best_a=one.best if retrained else None,
        best_b=two.best if retrained else None,
    )


def paired(a: SetupFinding, b: SetupFinding) -> bool:
    """Whether two reference samples tried the same configurations, seeds and data."""
    if a.reference is None or b.reference is None:
        return False
    if a.reference.data.fingerprint != b.reference.data.fingerprint:
        return False
    return tried_by(a.reference) == tried_by(b.reference)
