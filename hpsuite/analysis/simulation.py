"""How often an experiment comes to each verdict, by simulation: A/A checks and power curves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpsuite.analysis.claims import Cell, Claim
from hpsuite.analysis.intervals import Interval, wilson
from hpsuite.analysis.verdicts import verdict


@dataclass(frozen=True, slots=True)
class VerdictShares:
    """Shares of simulated experiments that came to each verdict, with Wilson's intervals.

    Attributes:
        experiments: how many were simulated.
        supported, contradicted, no_difference, inconclusive: of all experiments.
        wrong: supported or contradicted together: what an A/A check must keep under 1%.
        mean_width: mean width of the primary interval, in the statistic's unit.
    """

    experiments: int
    supported: Interval
    contradicted: Interval
    no_difference: Interval
    inconclusive: Interval
    wrong: Interval
    mean_width: float


def simulated(
    claim: Claim,
    experiment: Callable[[np.random.Generator], Cell],
    experiments: int,
    *,
    generator: np.random.Generator,
) -> VerdictShares:
    """Run an experiment many times and judge each.

    An A/A check draws both arms alike with fresh seeds in the second: with the same
    configurations and seeds the difference is exactly 0, a check that cannot fail.

    Args:
        claim: what is judged.
        experiment: draws one experiment and gives its primary cell.
        experiments: how many, >= 1.
        generator: handed to each experiment in turn.

    Raises:
        ValueError: for fewer than one experiment.
    """
    if experiments < 1:
        raise ValueError(f"experiments must be 1 or more; found {experiments}")
    found = [verdict(claim, {claim.primary: experiment(generator)}) for _ in range(experiments)]
    counts = {
        finding: sum(one.verdict == finding for one in found)
        for finding in ("supported", "contradicted", "no difference", "inconclusive")
    }
    shares = {finding: wilson(count, experiments) for finding, count in counts.items()}
    return VerdictShares(
        experiments=experiments,
        supported=shares["supported"],
        contradicted=shares["contradicted"],
        no_difference=shares["no difference"],
        inconclusive=shares["inconclusive"],
        wrong=wilson(counts["supported"] + counts["contradicted"], experiments),
        mean_width=float(np.mean([one.high - one.low for one in found])),
    )
