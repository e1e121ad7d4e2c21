"""Cohorts: trials of one study that train side by side, as a pruner compares them.

Here mates matter by design: which trials are stopped follows from all curves of the cohort and from
the results before it. What each of them computes until then does not.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Protocol

from hpsuite.trials import Judged, TrialSpec


class Judge(Protocol):
    """Says which trials of a cohort are stopped, epoch by epoch."""

    def losers(self, epoch: int, scores: Mapping[int, float], diverged: Set[int]) -> Set[int]:
        """Those that are stopped after an epoch.

        Args:
            epoch: epochs trained, from 1; each is asked for once, in order.
            scores: by number, the validation accuracy of each trial that was not stopped yet and
                has so many epochs; of one that diverged, its chance score.
            diverged: numbers of those that diverged.
        """

    def judged(self, number: int) -> Judged:
        """What was told of a trial, and noted."""


class Rules(Protocol):
    """All that decides a cohort's judgements but its curves; may be sent to another process."""

    def judge(self) -> Judge:
        """A judge that was told nothing of the cohort yet."""


@dataclass(frozen=True)
class Cohort:
    """Trials of one study that train side by side.

    Attributes:
        specs: in order of number, at least one; each with a budget of epochs.
        rules: who is stopped.
    """

    specs: tuple[TrialSpec, ...]
    rules: Rules


@dataclass(frozen=True)
class Lockstep:
    """Cohorts that a worker trains at once, all of one data set and kind of numerics.

    Attributes:
        cohorts: whose trials.
        batches: the same trials by what can be one program.
    """

    cohorts: tuple[Cohort, ...]
    batches: tuple[tuple[TrialSpec, ...], ...]

    @property
    def dataset(self) -> str:
        """Fingerprint of their data."""
        return self.cohorts[0].specs[0].dataset
