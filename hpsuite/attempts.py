"""Batches that were lost: trained again, at most twice; then their trials are marked as failed.

A worker may be killed, hang, or lack memory because of one trial of many. So what was lost is
trained in halves, and then trial by trial, which costs the others nothing: no result depends on its
mates (docs/architecture.md, law 3).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hpsuite.datasets import Data
from hpsuite.executors import Executor
from hpsuite.losses import BatchLost, WorkerLost
from hpsuite.serving import Work, dataset_of
from hpsuite.training import Cohort, Lockstep, judged_afterwards
from hpsuite.training.loop import failed_result
from hpsuite.training.memory import out_of_memory
from hpsuite.trials import TrialResult, TrialSpec

T = TypeVar("T")

# How often a trial is trained again.
MOST_AGAIN = 2

_log = logging.getLogger(__name__)


class Attempts:
    """Work on its way.

    A trial is not marked as failed before any other was trained: what ends every worker is the
    machine's trouble, or ours, and is an error.
    """

    def __init__(self, executor: Executor, datasets: Mapping[str, Data], *, is_sound: bool) -> None:
        """Nothing is on its way; `is_sound` says that trials were trained before."""
        self._executor, self._datasets = executor, datasets
        self._is_sound = is_sound
        self._running: dict[Future[list[TrialResult]], Attempt] = {}
        self._given_up: list[tuple[Attempt, str]] = []

    def __len__(self) -> int:
        """How many batches are on their way."""
        return len(self._running)

    @property
    def is_doubtful(self) -> bool:
        """Whether a trial came to nothing before any was trained, and no more should be begun."""
        return bool(self._given_up)

    def any_done(self) -> bool:
        """Whether `wait` would return at once."""
        return any(future.done() for future in self._running)

    def submit(self, work: Work) -> None:
        """Let a worker train a batch."""
        self._running[self._executor.submit(work)] = Attempt(work)

    def wait(self) -> Iterator[Sequence[TrialResult]]:
        """Wait for some batch; the results of those that are done, of failed trials last.

        Raises:
            WorkerLost: nothing could be trained so far.
            Exception: whatever else ended a batch.
        """
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=lambda future: future.exception() is not None):
            attempt, reason = self._running.pop(future), lost_by(future.exception())
            if not reason:
                self._is_sound = True
                yield attempt.found(future.result(), self._datasets)
                continue
            again = attempt.again(reason)
            self._running |= {self._executor.submit(part.work): part for part in again}
            if not again:
                self._given_up.append((attempt, reason))
        yield from self._failed()

    def _failed(self) -> Iterator[Sequence[TrialResult]]:
        if not self._is_sound:
            if self._given_up and not self._running:
                raise WorkerLost(self._given_up[-1][1])
            return
        given_up, self._given_up = self._given_up, []
        for attempt, reason in given_up:
            _log.warning("%s failed: %s", _told(attempt.work), reason)
            yield attempt.found(attempt.failed(reason, self._datasets), self._datasets)


def lost_by(error: BaseException | None) -> str:
    """Why a batch was lost, by its future's error; empty for what is no such loss."""
    if isinstance(error, BatchLost):
        return str(error)
    if error is not None and out_of_memory(error):
        return "memory ran out"
    return ""


@dataclass
class Gathering:
    """Results of a cohort whose trials train by themselves, and are judged when all are there."""

    cohort: Cohort
    results: list[TrialResult] = field(default_factory=list)

    def add(self, results: Sequence[TrialResult], data: Data) -> Sequence[TrialResult]:
        """Take results in; returns those of the whole cohort with the last of them."""
        self.results += results
        if len(self.results) < len(self.cohort.specs):
            return ()
        return judged_afterwards([self.cohort], self.results, data)


@dataclass(frozen=True)
class Attempt:
    """Work for a worker.

    Attributes:
        work: what to train.
        n_lost: how often it was lost before.
        gathering: of the cohort that its trial is of, where it trains by itself.
    """

    work: Work
    n_lost: int = 0
    gathering: Gathering | None = None

    def found(
        self, results: Sequence[TrialResult], datasets: Mapping[str, Data]
    ) -> Sequence[TrialResult]:
        """What can be told, with the results of its trials."""
        if self.gathering is None:
            return results
        return self.gathering.add(results, datasets[dataset_of(self.work)])

    def again(self, reason: str) -> "list[Attempt]":
        """What to train when it was lost; nothing where that was once too often."""
        n_lost = self.n_lost + 1
        if n_lost > MOST_AGAIN:
            return []
        _log.warning("%s: %s; trained again", _told(self.work), reason)
        if n_lost == MOST_AGAIN:
            return [replace(part, n_lost=n_lost) for part in self._one_by_one()]
        return [Attempt(part, n_lost) for part in _halves(self.work)]

    def failed(self, reason: str, datasets: Mapping[str, Data]) -> list[TrialResult]:
        """Results of its trials, when it was lost for the last time."""
        return [failed_result(spec, datasets[spec.dataset], reason) for spec in specs_of(self.work)]

    def _one_by_one(self) -> "Iterator[Attempt]":
        if not isinstance(self.work, Lockstep):
            for spec in self.work:
                yield Attempt((spec,), gathering=self.gathering)
            return
        for cohort in self.work.cohorts:
            gathering = Gathering(cohort)
            for spec in cohort.specs:
                yield Attempt((spec,), gathering=gathering)


def specs_of(work: Work) -> list[TrialSpec]:
    """All trials of a work."""
    if isinstance(work, Lockstep):
        return [spec for cohort in work.cohorts for spec in cohort.specs]
    return list(work)


def _halves(work: Work) -> list[Work]:
    if not isinstance(work, Lockstep):
        return [*_in_two(work)]
    return [_of_cohorts(part, work) for part in _in_two(work.cohorts)]


def _in_two(parts: Sequence[T]) -> list[tuple[T, ...]]:
    """Both halves of a sequence; the one where it is of a single part."""
    half = (len(parts) + 1) // 2
    return [tuple(part) for part in (parts[:half], parts[half:]) if part]


def _of_cohorts(cohorts: tuple[Cohort, ...], work: Lockstep) -> Lockstep:
    """Some cohorts of a work, in its batches."""
    own = {(spec.study, spec.number) for cohort in cohorts for spec in cohort.specs}
    batches = (
        tuple(spec for spec in batch if (spec.study, spec.number) in own) for batch in work.batches
    )
    return Lockstep(cohorts, tuple(batch for batch in batches if batch))


def _told(work: Work) -> str:
    specs = specs_of(work)
    if len(specs) == 1:
        return f"trial {specs[0].number} of {specs[0].study!r}"
    return f"{len(specs)} trials"
