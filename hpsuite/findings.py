"""What an experiment found: its trials as tables, and the figures that analysis/ makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hpsuite.analysis import (
    ArmFigures,
    PairedDifference,
    RankRange,
    Sensitivity,
    arm_figures,
    chance_limit,
    paired_difference,
    ranking,
)
from hpsuite.analysis.bands import Bands
from hpsuite.analysis.claims import Verdict
from hpsuite.analysis.gate import Gate, gate
from hpsuite.analysis.misses import Misses, miss_probability
from hpsuite.analysis.rate_sweep import RateSweep, rate_sweep
from hpsuite.analysis.strategies import StrategyFigures, strategy_figures
from hpsuite.analysis.transfer import Transfer, transfer_costs
from hpsuite.config import Arm, Setup
from hpsuite.datasets import Data
from hpsuite.evidence import SetupEvidence, generator, setup_evidence
from hpsuite.samples import Sample
from hpsuite.trials import Scalar, TrialResult

# What counts as close where one margin is given, in accuracy: e = 2 points.
MARGIN = 0.02
# Of a setup that nothing is known of.
UNKNOWN = Gate(False, "no reference sample")
# A sweep of the learning rate needs so many seeds, and steps of at most so many decades.
SWEEP_SEEDS, SWEEP_STEP = 5, 0.2


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

    def scores(self, n: int | None = None) -> NDArray[np.float64]:
        """Validation accuracies [R, n] of the first n trials of each repeat; None takes all."""
        return np.array([[r.val_accuracy for r in study.results[:n]] for study in self.studies])


@dataclass(frozen=True)
class Replayed:
    """Configurations trained again: m of them by s fresh seeds, accuracies in [0, 1].

    Attributes:
        val, test: [m, s]; one that diverged has its chance score.
    """

    val: NDArray[np.float64]
    test: NDArray[np.float64]


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


def find(
    tables: Sequence[ArmTable],
    *,
    best_again: Mapping[str, Replayed] | None = None,
    choices_again: Mapping[str, Replayed] | None = None,
    bands: Bands = "ks",
) -> Findings:
    """Compute all figures of an experiment's arms.

    Args:
        tables: the arms.
        best_again: by the identity of a reference arm, its best 4% with fresh seeds.
        choices_again: by the identity of an arm, what each repeat selected with fresh seeds.
        bands: of tuning curves: `ks` takes milliseconds, `tight` minutes.
    """
    by_setup: dict[str, list[ArmTable]] = {}
    for table in tables:
        by_setup.setdefault(table.setup_identity, []).append(table)
    setups = _gated([_setup(arms, best_again or {}, bands) for arms in by_setup.values()])
    arms = [
        finding
        for setup in setups
        for finding in _arms(list(setup.arms), setup.evidence, choices_again or {})
    ]
    order = {id(table): place for place, table in enumerate(tables)}
    arms.sort(key=lambda finding: order[id(finding.table)])
    return Findings(setups, arms, _differences(setups), _transfers(setups))


def _setup(arms: list[ArmTable], best_again: Mapping[str, Replayed], bands: Bands) -> SetupFinding:
    reference = next((table for table in arms if table.arm.strategy.is_reference), None)
    sweep = next((found for table in arms if (found := _sweep(table)) is not None), None)
    if reference is None:
        reason = (
            "no reference sample: sensitivity is computed from a log_random arm, "
            "i.i.d. over the space on each hyperparameter's proper scale, and from nothing else"
        )
        return SetupFinding(arms, None, None, reason, UNKNOWN, sweep)
    data = reference.data
    again = best_again.get(reference.identity)
    evidence = setup_evidence(
        sample_of(reference),
        chance_limit=chance_limit(data.majority_share("val"), len(data.y_val)),
        retrained=None if again is None else again.val,
        bands=bands,
    )
    return SetupFinding(arms, reference, evidence, "", UNKNOWN, sweep)


def setup_axes(arm: Arm) -> dict[str, str]:
    """What a setup is called: the names of its options, and what else tells it apart, by axis."""
    setup = arm.setup
    return {"dataset": setup.dataset.name, "model": setup.model_name, **dict(setup.variant)}


def sample_of(table: ArmTable) -> Sample:
    """The trials of all repeats of an arm as one sample."""
    setup = table.arm.setup
    return Sample(
        name=f"{setup.dataset.name} {setup.label}",
        hyperparameters=setup.space.hyperparameters,
        values=[values for study in table.studies for values in study.values],
        scores=np.array([r.val_accuracy for r in table.results]),
        failed=np.array([r.outcome == "nonfinite" for r in table.results]),
        tests=np.array([r.test_accuracy for r in table.results]),
        random=table.arm.strategy.is_reference,
    )


@dataclass(frozen=True)
class Ladder:
    """What an arm tried that swept the learning rate.

    Attributes:
        rates: [m], ascending.
        scores, failed: [m, s] for s seeds.
    """

    rates: NDArray[np.float64]
    scores: NDArray[np.float64]
    failed: NDArray[np.bool_]


def ladder(table: ArmTable) -> Ladder | None:
    """The sweep of an arm that tries the same rates, close enough, with enough seeds."""
    names = table.arm.setup.space.names
    if names != ("learning_rate",) or len(table.studies) < SWEEP_SEEDS:
        return None
    by_study = [
        sorted(
            (float(v["learning_rate"] or 0.0), r.val_accuracy, r.outcome == "nonfinite")
            for v, r in zip(study.values, study.results, strict=True)
        )
        for study in table.studies
    ]
    ladders = {tuple(rate for rate, _, _ in rows) for rows in by_study}
    if len(ladders) != 1:
        return None
    (rates,) = ladders
    steps = np.diff(np.log10(rates))
    if len(rates) < 3 or steps.min() <= 0 or steps.max() > SWEEP_STEP + 1e-9:
        return None
    scores = np.array([[score for _, score, _ in rows] for rows in by_study]).T
    failed = np.array([[bad for _, _, bad in rows] for rows in by_study]).T
    return Ladder(np.array(rates), scores, failed)


def _sweep(table: ArmTable) -> RateSweep | None:
    """The figures of an arm that swept the learning rate."""
    tried = ladder(table)
    if tried is None:
        return None
    return rate_sweep(tried.rates, tried.scores, failed=tried.failed)


def _gated(setups: Sequence[SetupFinding]) -> list[SetupFinding]:
    """The setups, each with whether it trained beside the others on the same data."""
    gated = list(setups)
    by_data: dict[str, list[int]] = {}
    for i, setup in enumerate(setups):
        if setup.evidence is not None:
            by_data.setdefault(setup.arms[0].data.fingerprint, []).append(i)
    for places in by_data.values():
        found = [e for i in places if (e := setups[i].evidence) is not None]
        gates = gate([e.best.value for e in found], [e.sensitivity.above_chance for e in found])
        for i, judged in zip(places, gates, strict=True):
            gated[i] = replace(setups[i], gate=judged)
    return gated


def _arms(
    arms: list[ArmTable], evidence: SetupEvidence | None, choices_again: Mapping[str, Replayed]
) -> list[ArmFinding]:
    figures = [
        arm_figures(
            table.scores(), [[r.test_accuracy for r in study.results] for study in table.studies]
        )
        for table in arms
    ]
    # A strategy that plans fewer trials, as a grid may, is compared with as many of the others.
    n = min(len(study.results) for table in arms for study in table.studies)
    ranks = ranking({str(i): table.scores(n).max(axis=1) for i, table in enumerate(arms)})
    b = None if evidence is None else evidence.best.value
    error = 0.0
    if evidence is not None and evidence.best.retrained:
        error = evidence.best.standard_error
    findings = []
    for i, (table, f) in enumerate(zip(arms, figures, strict=True)):
        again = choices_again.get(table.identity)
        misses = None
        if again is not None and b is not None and again.val.shape[1] > 1:
            misses = miss_probability(again.val, b, margin=MARGIN, b_error=error)
        strategy = strategy_figures(
            table.scores(), b=b, b_error=error, margin=MARGIN, bounds=(0.0, 1.0)
        )
        seconds = sum(r.seconds for r in table.results)
        findings.append(ArmFinding(table, f, ranks[str(i)], seconds, strategy, again, misses))
    return findings


def _differences(setups: Sequence[SetupFinding]) -> list[Difference]:
    """Each setup against the first one that was tried on the same configurations and seeds."""
    differences = []
    firsts: list[SetupFinding] = []
    for setup in setups:
        if setup.reference is None:
            continue
        first = next((f for f in firsts if paired(setup, f)), None)
        if first is None:
            firsts.append(setup)
            continue
        differences.append(Difference(setup, first, difference(setup, first)))
    return differences


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
    return _tried(a.reference) == _tried(b.reference)


def _tried(table: ArmTable) -> list[tuple[int, list[Mapping[str, Scalar]]]]:
    return [(study.seed, list(study.values)) for study in table.studies]


def _transfers(setups: Sequence[SetupFinding]) -> list[TransferFinding]:
    """Costs between setups that tried the same configurations, on any data, and that trained."""
    groups: list[list[SetupFinding]] = []
    for setup in setups:
        if setup.reference is None or not setup.trained:
            continue
        tried = _tried(setup.reference)

        def same(other: ArmTable, tried: object = tried) -> bool:
            return _tried(other) == tried

        group = next(
            (g for g in groups if g[0].reference and _tried(g[0].reference) == tried), None
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
