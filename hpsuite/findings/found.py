"""What is found of an experiment, as it goes to files and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpsuite.analysis import ArmFigures, PairedDifference, RankRange, Sensitivity
from hpsuite.analysis.claims import Verdict
from hpsuite.analysis.gate import Gate
from hpsuite.analysis.misses import Misses
from hpsuite.analysis.rate_sweep import RateSweep
from hpsuite.analysis.strategies import StrategyFigures
from hpsuite.analysis.transfer import Transfer
from hpsuite.config import Setup
from hpsuite.evidence import SetupEvidence
from hpsuite.findings.tables import ArmTable, Replayed

# Of a setup that nothing is known of.
UNKNOWN = Gate(False, "no reference sample")


@dataclass(frozen=True)
class SetupFinding:
    """A setup's figures, from its reference sample.

    Attributes:
        arms: the setup's arms.
        reference: the arm whose trials are the reference sample; None where there is none.
        evidence: None where there is no reference sample.
        reason: why there is none.
        gate: whether it learned: its best is above chance, and at most 10 points under the best
            of the experiment's setups on the same data. One that did not looks robust, as all of
            its space is as bad.
        sweep: figures of a sweep of the learning rate, where the setup has one.
    """

    arms: Sequence[ArmTable]
    reference: ArmTable | None
    evidence: SetupEvidence | None
    reason: str
    gate: Gate
    sweep: RateSweep | None = None

    @property
    def setup(self) -> Setup:
        """What was trained."""
        return self.arms[0].arm.setup

    @property
    def trained(self) -> bool:
        """Whether it learned."""
        return self.gate.trained

    @property
    def sensitivity(self) -> Sensitivity | None:
        """Its good fractions and failures; None where there is no reference sample."""
        return None if self.evidence is None else self.evidence.sensitivity


@dataclass(frozen=True)
class ArmFinding:
    """An arm's figures, and its rank among the arms of its setup.

    Attributes:
        table, figures, rank: see the classes.
        strategy: best so far, regret, trials to a good one.
        seconds: training time of all its trials together, in seconds of one worker.
        again: what each repeat selected, trained with fresh seeds; None where it was not.
        misses: how often that is not good; None where nothing was trained again or b is unknown.
    """

    table: ArmTable
    figures: ArmFigures
    rank: RankRange
    seconds: float
    strategy: StrategyFigures
    again: Replayed | None = None
    misses: Misses | None = None

    @property
    def trials_per_second(self) -> float:
        """Trials that one worker trains in a second."""
        return self.figures.n_trials / self.seconds if self.seconds > 0 else float("nan")


@dataclass(frozen=True)
class Difference:
    """Setup A minus setup B, on the same configurations and seeds."""

    a: SetupFinding
    b: SetupFinding
    difference: PairedDifference


@dataclass(frozen=True)
class TransferFinding:
    """What the best configurations of one setup cost on the others, on shared configurations."""

    setups: Mapping[str, SetupFinding]
    transfer: Transfer


@dataclass(frozen=True)
class Findings:
    """All that an experiment found."""

    setups: Sequence[SetupFinding]
    arms: Sequence[ArmFinding]
    differences: Sequence[Difference]
    transfers: Sequence[TransferFinding] = ()
    verdicts: Sequence[Verdict] = field(default=())
