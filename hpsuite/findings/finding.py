"""From the tables of an experiment's arms to all that is found of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpsuite.analysis.bands import Bands
from hpsuite.findings.carried import find_carried
from hpsuite.findings.found import Findings
from hpsuite.findings.learned import find_learned
from hpsuite.findings.searches import find_arms
from hpsuite.findings.setups import find_differences, find_setup, gated_setups
from hpsuite.findings.splits import find_splits
from hpsuite.findings.strategies import find_across, find_pairs
from hpsuite.findings.tables import ArmTable, Replayed
from hpsuite.findings.transfers import find_transfers


def find(
    tables: Sequence[ArmTable],
    *,
    best_again: Mapping[str, Replayed] | None = None,
    choices_again: Mapping[str, Replayed] | None = None,
    defaults: Mapping[str, Replayed] | None = None,
    moved: Mapping[tuple[str, str], Replayed] | None = None,
    bands: Bands = "ks",
) -> Findings:
    """Compute all figures of an experiment's arms.

    Args:
        tables: the arms.
        best_again: by the identity of a reference arm, its best 4% with fresh seeds.
        choices_again: by the identity of an arm, what each repeat selected with fresh seeds.
        defaults: by the identity of a reference arm, its setup's default configuration with fresh
            seeds.
        moved: by the identities of two arms, what each repeat of the first selected with fresh
            seeds on the setup of the second.
        bands: of tuning curves: `ks` takes milliseconds, `tight` minutes.
    """
    by_setup: dict[str, list[ArmTable]] = {}
    for table in tables:
        by_setup.setdefault(table.setup_identity, []).append(table)
    setups = gated_setups(
        [find_setup(arms, best_again or {}, defaults or {}, bands) for arms in by_setup.values()]
    )
    arms = [
        replace(finding, moved=_onto(finding.table.identity, moved or {}))
        for setup in setups
        for finding in find_arms(list(setup.arms), setup.evidence, choices_again or {})
    ]
    order = {id(table): place for place, table in enumerate(tables)}
    arms.sort(key=lambda finding: order[id(finding.table)])
    differences = find_differences(setups)
    across, reason = find_across(setups)
    return Findings(
        setups,
        arms,
        differences,
        find_transfers(setups, best_again or {}),
        pairs=find_pairs(arms, setups),
        across=across,
        across_reason=reason,
        splits=find_splits(setups, arms, differences),
        carried=find_carried(arms),
        learned=find_learned(arms),
    )


def _onto(identity: str, moved: Mapping[tuple[str, str], Replayed]) -> dict[str, Replayed]:
    """What was carried over to an arm's setup, by the arm that it comes from."""
    return {source: again for (source, target), again in moved.items() if target == identity}
