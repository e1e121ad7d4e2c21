"""What the report speaks of: setups, whoever tried them, and their differences."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hpsuite.analysis import Interval
from hpsuite.analysis.gate import Gate
from hpsuite.analysis.rate_sweep import RateSweep
from hpsuite.evidence import SetupEvidence
from hpsuite.findings import Ladder
from hpsuite.report.telling_scores import Scores


@dataclass(frozen=True)
class Told:
    """A setup as the report speaks of it.

    Attributes:
        name: the setup's; each has its own.
        number: of its look.
        evidence: None where there is no reference sample; then `reason` says why.
        scores: how its scores are shown.
        gate: whether it trained beside the others; None where nobody can say.
        chance: the largest score that counts as chance; None where none is known.
        sweep, ladder: a sweep of the learning rate, and what it tried.
        without_default: by hyperparameter, why it has no default.
        axes: what tells the setup from others, by axis; empty where nobody can say.
    """

    name: str
    number: int
    evidence: SetupEvidence | None
    scores: Scores
    reason: str = ""
    gate: Gate | None = None
    chance: float | None = None
    sweep: RateSweep | None = None
    ladder: Ladder | None = None
    without_default: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)

    @property
    def trained(self) -> bool:
        """Whether nothing says that it did not train."""
        if self.evidence is not None and not self.evidence.sensitivity.above_chance:
            return False
        return self.gate is None or self.gate.trained or self.evidence is None

    @property
    def good_level(self) -> float:
        """The least score that is good at the headline's e, as it is drawn; nan for none."""
        if self.evidence is None or not self.trained:
            return math.nan
        best = float(self.scores.drawn(self.evidence.best.value))
        return best - self.scores.margin(self.evidence.headline)


@dataclass(frozen=True)
class Compared:
    """Good fractions of setup A minus those of B.

    Attributes:
        label: "A minus B".
        n: paired configurations; None where they are not paired.
        own: by e, each against its own best.
        common: by e, both against the higher of their bests; empty where not computed.
        remark: why the difference says nothing of sensitivity; empty where it may.
        names: those of A and B; None where only the label is known.
        only: by e, the shares of paired configurations that are good in A alone and in B alone;
            empty where they are not paired.
        versus: in what they differ; empty where that is not known.
        alike: the axes in which they do not.
    """

    label: str
    n: int | None
    own: Mapping[float, Interval]
    common: Mapping[float, Interval] = field(default_factory=dict)
    remark: str = ""
    names: tuple[str, str] | None = None
    only: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    versus: str = ""
    alike: Mapping[str, str] = field(default_factory=dict)
