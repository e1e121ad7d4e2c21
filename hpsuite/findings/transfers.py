"""What the best configurations of one setup cost on others that tried the same ones."""

from collections.abc import Sequence

from hpsuite.analysis.transfer import transfer_costs
from hpsuite.evidence import generator
from hpsuite.findings.found import SetupFinding, TransferFinding
from hpsuite.findings.tables import tried_by


def find_transfers(setups: Sequence[SetupFinding]) -> list[TransferFinding]:
    """Costs between setups that tried the same configurations, on any data, and that trained."""
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
        named: dict[str, SetupFinding] = {}
        for setup in group:
            name = f"{setup.setup.dataset.name} {setup.setup.label}"
            named[name if name not in named else f"{name} {setup.arms[0].setup_identity}"] = setup
        scores = {n: s.evidence.sample.scores for n, s in named.items() if s.evidence is not None}
        found.append(TransferFinding(named, transfer_costs(scores, generator=generator())))
    return found
