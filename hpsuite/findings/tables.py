"""The trials of arms as tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsuite.config import Arm
from hpsuite.datasets import Data
from hpsuite.samples import Sample
from hpsuite.trials import Day, Scalar, TrialResult


@dataclass(frozen=True)
class StudyTable:
    """The trials of one study, in order of number.

    Attributes:
        name: in the record.
        repeat, seed: which repeat of its arm, and its seed.
        values: hyperparameters under their own names.
        results: what came of them.
        days: what day of a model each is; empty where trials stand by themselves.
    """

    name: str
    repeat: int
    seed: int
    values: Sequence[Mapping[str, Scalar]]
    results: Sequence[TrialResult]
    days: Sequence[Day | None] = ()

    @property
    def best(self) -> TrialResult:
        """The trial that validation selects: the first of the best.

        Of days it is the last of them: a day that is no worse than those before is kept.
        """
        return self.best_of(None)

    def best_of(self, n: int | None) -> TrialResult:
        """The one that it selects of the first n trials; None takes all."""
        results = self.results[:n]
        return max(reversed(results) if self.days else results, key=lambda r: r.merit[:2])


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
        """Validation accuracies [R, n] of the first n trials of each repeat; None takes all.

        A trial that was pruned found nothing: it has the chance score.
        """
        return np.array([[self._score(r) for r in study.results[:n]] for study in self.studies])

    def _score(self, result: TrialResult) -> float:
        pruned = result.outcome == "pruned"
        return self.data.majority_share("val") if pruned else result.val_accuracy

    @property
    def of_days(self) -> bool:
        """Whether its trials are days of models, which go on from each other."""
        return any(study.days for study in self.studies)

    @property
    def n_pruned(self) -> int:
        """Trials of all repeats that were pruned."""
        return sum(result.outcome == "pruned" for result in self.results)

    @property
    def n_failed(self) -> int:
        """Trials of all repeats that could not be trained."""
        return sum(result.outcome == "failed" for result in self.results)

    @property
    def failures(self) -> str:
        """How many trials of all repeats could not be trained, and why; empty for none."""
        reasons = Counter(r.reason for r in self.results if r.outcome == "failed")
        return "; ".join(f"{n} failed ({reason})" for reason, n in reasons.most_common())

    @property
    def epochs(self) -> int:
        """Epochs that all trials of all repeats trained."""
        return sum(result.epochs for result in self.results)


@dataclass(frozen=True)
class Replayed:
    """Configurations trained again: m of them by s fresh seeds, accuracies in [0, 1].

    Attributes:
        val, test: [m, s]; one that diverged has its chance score.
    """

    val: NDArray[np.float64]
    test: NDArray[np.float64]


def setup_axes(arm: Arm) -> dict[str, str]:
    """What a setup is called: the names of its options, and what else tells it apart, by axis."""
    setup = arm.setup
    return {"dataset": setup.dataset.name, "model": setup.model_name, **dict(setup.variant)}


def setup_name(arm: Arm) -> str:
    """A setup's name: data set, model, and what else tells it apart."""
    return f"{arm.setup.dataset.name} {arm.setup.label}"


def sample_of(table: ArmTable) -> Sample:
    """The trials of all repeats of an arm as one sample."""
    setup = table.arm.setup
    return Sample(
        name=setup_name(table.arm),
        hyperparameters=setup.space.hyperparameters,
        values=[values for study in table.studies for values in study.values],
        scores=np.array([r.val_accuracy for r in table.results]),
        failed=np.array([r.came_to_nothing for r in table.results]),
        tests=np.array([r.test_accuracy for r in table.results]),
        random=table.arm.strategy.is_reference,
    )


def tried_by(table: ArmTable) -> list[tuple[int, list[Mapping[str, Scalar]]]]:
    """What an arm tried: the seed of each repeat, and its configurations in order."""
    return [(study.seed, list(study.values)) for study in table.studies]


def tried_alike(a: ArmTable, b: ArmTable) -> bool:
    """Whether repeat i of two arms has one seed, and as many trials, in both."""
    return [(s.seed, len(s.results)) for s in a.studies] == [
        (s.seed, len(s.results)) for s in b.studies
    ]
