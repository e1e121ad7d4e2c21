"""What waits for a worker: trials by themselves, and cohorts."""

import heapq
import itertools
from collections.abc import Sequence

from hpsuite.training.cohorts import Cohort, Lockstep
from hpsuite.training.planner import Planner
from hpsuite.trials import TrialSpec


class Pool:
    """Trials and cohorts of all studies that wait.

    Several cohorts share a worker where they are small, as those of one trial each are; no result
    depends on it.
    """

    def __init__(self, planner: Planner) -> None:
        """A planner's trials, and no cohorts yet."""
        self.planner = planner
        # By the number of their first trial.
        self._cohorts: list[tuple[int, int, Cohort]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many trials wait."""
        return len(self.planner) + self._n_in_cohorts()

    def _n_in_cohorts(self) -> int:
        return sum(len(cohort.specs) for _, _, cohort in self._cohorts)

    def add(self, asked: TrialSpec | Cohort) -> None:
        """Let a trial or a cohort wait."""
        if isinstance(asked, Cohort):
            entry = (asked.specs[0].number, next(self._order), asked)
            heapq.heappush(self._cohorts, entry)
        else:
            self.planner.add(asked)

    def most_at_once(self, asked: TrialSpec | Cohort) -> int:
        """How many trials like these to fuse on the device."""
        spec = asked.specs[0] if isinstance(asked, Cohort) else asked
        return self.planner.most_at_once(spec)

    def has_full_batch(self) -> bool:
        """Whether there are trials enough of one bucket, or cohorts enough."""
        return self.planner.has_full_batch() or self._has_full_cohorts()

    def _has_full_cohorts(self) -> bool:
        return bool(self._cohorts) and self._n_in_cohorts() >= self.most_at_once(
            self._cohorts[0][2]
        )

    def take(self, n_idle: int | None = None) -> Sequence[TrialSpec] | Lockstep:
        """What a worker does next; see `Planner.take`."""
        if not self._cohorts or (self.planner.has_full_batch() and not self._has_full_cohorts()):
            return self.planner.take(n_idle)
        workers = self.planner.n_workers if n_idle is None else max(n_idle, 1)
        share = -(-len(self._cohorts) // workers)
        _, _, first = heapq.heappop(self._cohorts)
        chosen, left = [first], []
        n, most = len(first.specs), self.most_at_once(first)
        for entry in sorted(self._cohorts):
            cohort = entry[2]
            fits = len(chosen) < share and n + len(cohort.specs) <= most
            if fits and _kind(cohort) == _kind(first):
                chosen.append(cohort)
                n += len(cohort.specs)
            else:
                left.append(entry)
        self._cohorts = left  # sorted, and so a heap
        return self._in_batches(chosen)

    def _in_batches(self, cohorts: Sequence[Cohort]) -> Lockstep:
        planner = self.planner.afresh()
        for cohort in cohorts:
            for spec in cohort.specs:
                planner.add(spec)
        batches = []
        while len(planner):
            batches.append(tuple(planner.take(1)))
        return Lockstep(tuple(cohorts), tuple(batches))


def _kind(cohort: Cohort) -> tuple[object, ...]:
    """Equal for cohorts that one worker can train at once."""
    return cohort.specs[0].dataset, cohort.specs[0].numerics
