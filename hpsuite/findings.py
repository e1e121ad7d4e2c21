"""What an experiment found: its trials as tables, and the figures that analysis/ makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpsuite.analysis import (
    ArmFigures,
    PairedDifference,
    RankRange,
    Sensitivity,
    arm_figures,
    chance_limit,
    paired_difference,
    ranking,
    sensitivity,
)
from hpsuite.config import Arm
from hpsuite.datasets import Data
from hpsuite.trials import Scalar, TrialResult

# Bootstraps draw from a stream of their own, always the same: figures of equal trials are equal.
_BOOTSTRAP_SEED = 20150211

# A setup whose best is further under the common best did not train.
GATE = 0.10


@dataclass(frozen=True)
class StudyTable:
    """The trials of one study, in order of number.

    Attributes:
        name: in the record.
        repeat, seed: which repeat of its arm, and its seed.
        values: hyperparameters under their own names.
        results: what came of them.
    """

    name: str
    repeat: int
    seed: int
    values: Sequence[Mapping[str, Scalar]]
    results: Sequence[TrialResult]

    @property
    def best(self) -> TrialResult:
        """The trial that validation selects: the first of the best."""
        return max(self.results, key=lambda result: (result.val_accuracy, -result.number))


@dataclass(frozen=True)
class ArmTable:
    """The trials of one arm.

    Attributes:
        arm, data: what was trained, on what.
        identity, setup_identity: hashes of all that decides its and its setup's trials.
        generation: of its studies.
        provenance: what the record says of where its trials come from.
        studies: its repeats.
    """

    arm: Arm
    data: Data
    identity: str
    setup_identity: str
    generation: int
    provenance: Mapping[str, object]
    studies: Sequence[StudyTable]

    @property
    def results(self) -> list[TrialResult]:
        """Of all repeats."""
        return [result for study in self.studies for result in study.results]


@dataclass(frozen=True)
class SetupFinding:
    """A setup's sensitivity, from its reference sample.

    Attributes:
        arms: the setup's arms.
        reference: the arm whose trials are the reference sample; None where there is none.
        sensitivity: None where there is no reference sample.
        reason: why there is none.
        trained: whether it learned: its best is above chance, and at most 10 points under the best
            of the experiment's setups on the same data. One that did not looks robust, as all of
            its space is as bad.
    """

    arms: Sequence[ArmTable]
    reference: ArmTable | None
    sensitivity: Sensitivity | None
    reason: str
    trained: bool = False


@dataclass(frozen=True)
class ArmFinding:
    """An arm's figures, and its rank among the arms of its setup.

    Attributes:
        table, figures, rank: see the classes.
        seconds: training time of all its trials together, in seconds of one worker.
    """

    table: ArmTable
    figures: ArmFigures
    rank: RankRange
    seconds: float

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
class Findings:
    """All that an experiment found."""

    setups: Sequence[SetupFinding]
    arms: Sequence[ArmFinding]
    differences: Sequence[Difference]


def find(tables: Sequence[ArmTable]) -> Findings:
    """Compute all figures of an experiment's arms."""
    by_setup: dict[str, list[ArmTable]] = {}
    for table in tables:
        by_setup.setdefault(table.setup_identity, []).append(table)
    setups = _gated([_setup(arms) for arms in by_setup.values()])
    arms = [finding for setup in by_setup.values() for finding in _arms(setup)]
    order = {id(table): place for place, table in enumerate(tables)}
    arms.sort(key=lambda finding: order[id(finding.table)])
    return Findings(setups, arms, _differences(setups))


def _setup(arms: list[ArmTable]) -> SetupFinding:
    reference = next((table for table in arms if table.arm.strategy.is_reference), None)
    if reference is None:
        reason = (
            "no reference sample: sensitivity is computed from a log_random arm, "
            "i.i.d. over the space on each hyperparameter's proper scale, and from nothing else"
        )
        return SetupFinding(arms, None, None, reason)
    results, data = reference.results, reference.data
    figures = sensitivity(
        [r.val_accuracy for r in results],
        [r.test_accuracy for r in results],
        [r.outcome == "nonfinite" for r in results],
        chance_limit(data.majority_share("val"), len(data.y_val)),
        generator=np.random.default_rng(_BOOTSTRAP_SEED),
    )
    return SetupFinding(arms, reference, figures, "")


def _gated(setups: Sequence[SetupFinding]) -> list[SetupFinding]:
    """The setups, each with whether it trained."""
    best: dict[str, float] = {}
    for setup in setups:
        data = setup.arms[0].data.fingerprint
        if setup.sensitivity is not None:
            best[data] = max(best.get(data, 0.0), setup.sensitivity.b)
    return [
        replace(
            setup,
            trained=setup.sensitivity is not None
            and setup.sensitivity.above_chance
            and setup.sensitivity.b >= best[setup.arms[0].data.fingerprint] - GATE,
        )
        for setup in setups
    ]


def _arms(arms: list[ArmTable]) -> list[ArmFinding]:
    figures = [
        arm_figures(
            [[r.val_accuracy for r in study.results] for study in table.studies],
            [[r.test_accuracy for r in study.results] for study in table.studies],
        )
        for table in arms
    ]
    # A strategy that plans fewer trials, as a grid may, is compared with as many of the others.
    n = min(len(study.results) for table in arms for study in table.studies)
    ranks = ranking(
        {
            str(i): [max(r.val_accuracy for r in study.results[:n]) for study in table.studies]
            for i, table in enumerate(arms)
        }
    )
    return [
        ArmFinding(table, f, ranks[str(i)], sum(r.seconds for r in table.results))
        for i, (table, f) in enumerate(zip(arms, figures, strict=True))
    ]


def _differences(setups: Sequence[SetupFinding]) -> list[Difference]:
    """Each setup against the first one that was tried on the same configurations and seeds."""
    differences = []
    firsts: list[SetupFinding] = []
    for setup in setups:
        if setup.reference is None:
            continue
        first = next((f for f in firsts if _paired(setup, f)), None)
        if first is None:
            firsts.append(setup)
            continue
        assert first.reference is not None
        differences.append(
            Difference(
                setup,
                first,
                paired_difference(
                    [r.val_accuracy for r in setup.reference.results],
                    [r.val_accuracy for r in first.reference.results],
                    generator=np.random.default_rng(_BOOTSTRAP_SEED),
                ),
            )
        )
    return differences


def _paired(a: SetupFinding, b: SetupFinding) -> bool:
    """Whether two reference samples tried the same configurations, seeds and data."""
    assert a.reference is not None
    assert b.reference is not None
    if a.reference.data.fingerprint != b.reference.data.fingerprint:
        return False
    studies = (a.reference.studies, b.reference.studies)
    mine, theirs = ([(s.seed, list(s.values)) for s in table] for table in studies)
    return mine == theirs
