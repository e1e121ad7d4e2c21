"""What is found of an experiment, as it goes to files and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpsuite.analysis import (
    ArmFigures,
    Comparison,
    Interval,
    PairedDifference,
    RankRange,
    Sensitivity,
    SplitSpread,
)
from hpsuite.analysis.claims import Verdict
from hpsuite.analysis.environments import EnvironmentSensitivity
from hpsuite.analysis.gate import Gate
from hpsuite.analysis.misses import Misses
from hpsuite.analysis.rate_sweep import RateSweep
from hpsuite.analysis.strategies import StrategyFigures
from hpsuite.analysis.transfer import Transfer
from hpsuite.config import Setup
from hpsuite.evidence import SetupEvidence
from hpsuite.findings.tables import ArmTable, Replayed, setup_name
from hpsuite.findings.tried import Tried

Floats = NDArray[np.float64]
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
        gate: whether it learned: its best, that of its sample or else of its sweep, is above
            chance, and at most 10 points under the best of the experiment's setups on the same
            data. One that did not looks robust, as all of its space is as bad.
        sweep: figures of a sweep of the learning rate, where the setup has one.
        without_default: by hyperparameter, why it has no default (`untuned.py`).
    """

    arms: Sequence[ArmTable]
    reference: ArmTable | None
    evidence: SetupEvidence | None
    reason: str
    gate: Gate
    sweep: RateSweep | None = None
    without_default: Mapping[str, str] = field(default_factory=dict)

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


def by_name(setups: Sequence[SetupFinding]) -> dict[str, SetupFinding]:
    """Setups by their names, each of which has one of its own."""
    named: dict[str, SetupFinding] = {}
    for setup in setups:
        name = setup_name(setup.arms[0].arm)
        named[name if name not in named else f"{name} {setup.arms[0].setup_identity}"] = setup
    return named


@dataclass(frozen=True)
class Fresh:
    """What repeats selected, trained with fresh seeds: means over repeats of means over seeds."""

    val: Interval
    test: Interval


@dataclass(frozen=True)
class ArmFinding:
    """An arm's figures, and its rank among the arms of its setup.

    Attributes:
        table, figures, rank: see the classes.
        strategy: best so far, regret, trials to a good one.
        tried: distinct values, their spread, the chance to try nothing good.
        seconds: training time of all its trials together, in seconds of one worker.
        again: what each repeat selected, trained with fresh seeds; None where it was not.
        fresh: its accuracies; None where it was not.
        misses: how often that is not good; None where nothing was trained again or b is unknown.
        moved: what each repeat of another arm selected, trained with fresh seeds on this arm's
            setup, by the other arm's identity; of arms that claims name.
        reasons: why figures are missing, under their names in summary.json.
    """

    table: ArmTable
    figures: ArmFigures
    rank: RankRange
    seconds: float
    strategy: StrategyFigures
    tried: Tried
    again: Replayed | None = None
    fresh: Fresh | None = None
    misses: Misses | None = None
    moved: Mapping[str, Replayed] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

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
class Environments:
    """How much the best hyperparameters depend on the setup, after Adkins et al. 2024.

    Attributes:
        environments: what one setting of the hyperparameters is to serve: data sets and splits
            where each model was tried on all of them, else the setups themselves.
        by_algorithm: for each model (and what else tells setups of one environment apart) its
            figures, in normalised scores; a single one, "all", where setups are the environments.
            Empty where they are not defined.
        seeds: of each configuration.
        reason: why they are not defined; empty where they are.
    """

    environments: Sequence[str]
    by_algorithm: Mapping[str, EnvironmentSensitivity]
    seeds: int
    reason: str = ""


@dataclass(frozen=True)
class TransferFinding:
    """What the best configurations of one setup cost on the others, on shared configurations."""

    setups: Mapping[str, SetupFinding]
    transfer: Transfer
    environments: Environments


@dataclass(frozen=True, eq=False)
class Seen:
    """What a probe saw (see `training/probe.py`).

    Attributes:
        steps: gradient steps before each evaluation, from 0, shape [m].
        percentiles: of the first seed's unit, [m, 3].
        step, range: how far the median moves (`analysis/probes.py`), means over seeds.
    """

    steps: Floats
    percentiles: Floats
    step: Interval
    range: Interval


@dataclass(frozen=True, eq=False)
class Learned:
    """How the accuracy of one configuration grows with the steps, over its seeds.

    Attributes:
        arm: whose repeats are the seeds.
        steps: gradient steps before each evaluation, shape [m].
        mean, low, high: validation accuracy, and its pointwise 95% t interval, [m].
        lowest, highest: of the seeds, [m].
        first: the arm whose last accuracy is the target.
        target: a validation accuracy, in [0, 1].
        reached: seeds that reach it.
        to_target: steps until they do, at most all; mean over seeds.
        seen: what the probe saw; None where it was off.
    """

    arm: ArmFinding
    steps: Floats
    mean: Floats
    low: Floats
    high: Floats
    lowest: Floats
    highest: Floats
    first: ArmFinding
    target: float
    reached: int
    to_target: Interval
    seen: Seen | None = None


@dataclass(frozen=True)
class Carried:
    """One arm's choices on the setup of another.

    Attributes:
        before, today: the arm that chose, and the arm on whose setup that was used.
        own, old: mean test accuracies of today's own choices and of the old ones, in [0, 1].
        cost: own minus old, mean over repeats.
        median: the median of that: what most searches would see, where a few choices diverge.
        relative: the cost as a share of what choosing gains today at all, own minus the median of
            the reference sample; nan where that may be 0, or there is no such sample.
        saved: trials of a new random search that an old choice saves; None where there is no
            reference sample, a single trial in a repeat, or a single repeat.
        budget: trials of a repeat.
        same: repeats that chose the same configuration on both, whose cost is 0.
    """

    before: ArmFinding
    today: ArmFinding
    own: Interval
    old: Interval
    cost: Interval
    median: Interval
    relative: Interval
    saved: Interval | None
    budget: int
    same: int


@dataclass(frozen=True)
class SearchPair:
    """Search A against search B on one setup, after equally many trials."""

    a: ArmFinding
    b: ArmFinding
    comparison: Comparison


@dataclass(frozen=True)
class StrategyAcross:
    """One strategy over the setups of an `Across`.

    Attributes:
        regret: interquartile mean, over setups and repeats, of the regret as a share of what a
            search can gain there: (b - its best) / (b - chance).
        difference: that minus the baseline's; None for the baseline itself.
        better: P(better than the baseline), the mean over setups; None for the baseline.
    """

    regret: Interval
    difference: Interval | None
    better: Interval | None


@dataclass(frozen=True)
class Across:
    """Strategies over setups that have the same ones, with as many trials and repeats.

    Attributes:
        setups: by name.
        trials: of each repeat that are compared, those of the shortest search.
        baseline: the strategy that the others are compared with.
        strategies: by label.
    """

    setups: Mapping[str, SetupFinding]
    trials: int
    baseline: str
    strategies: Mapping[str, StrategyAcross]


@dataclass(frozen=True)
class SplitFinding:
    """What figures do over splits of the same data.

    Attributes:
        kind: `setup` for figures of a setup, `search` for those of an arm, `difference` for those
            of one setup minus another.
        name: of what, without its split.
        seeds: values of `split_seed`, ascending.
        figures: under the names of summary.json.
        reasons: why a figure has none, by its name.
    """

    kind: Literal["setup", "search", "difference"]
    name: str
    seeds: Sequence[int]
    figures: Mapping[str, SplitSpread]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Findings:
    """All that an experiment found.

    Attributes:
        setups, arms: a finding each.
        differences: setups compared.
        transfers: what hyperparameters cost elsewhere.
        verdicts: on what was claimed.
        pairs: searches compared, on each setup.
        across: strategies compared across setups.
        across_reason: why none is, where setups have several searches each.
        splits: what changes with the split; empty where no two setups differ by it alone.
        carried: choices of one setup used on another, where claims ask for it.
        learned: learning curves, of arms whose repeats are seeds of one configuration.
    """

    setups: Sequence[SetupFinding]
    arms: Sequence[ArmFinding]
    differences: Sequence[Difference]
    transfers: Sequence[TransferFinding] = ()
    verdicts: Sequence[Verdict] = field(default=())
    pairs: Sequence[SearchPair] = ()
    across: Sequence[Across] = ()
    across_reason: str = ""
    splits: Sequence[SplitFinding] = ()
    carried: Sequence[Carried] = ()
    learned: Sequence[Learned] = ()
