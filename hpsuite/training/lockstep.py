"""Cohorts in training: all trials side by side, an epoch at a time; those that lose leave.

Each program holds what can be fused, as the planner cut it; the others train one by one, an epoch
each in turn. A trial that leaves takes its place in the program with it (`FusedBatch.prune`), and
the rest go on to the results that they would have had alone.
"""

import logging
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import torch

from hpsuite.datasets import Data
from hpsuite.training.batches import train
from hpsuite.training.cohorts import Cohort, Lockstep
from hpsuite.training.fused import FusedBatch
from hpsuite.training.fusing import build_all
from hpsuite.training.layers import NotFusable
from hpsuite.training.loop import pruned_result
from hpsuite.training.memory import free_memory, out_of_memory
from hpsuite.training.plain import PlainTrial
from hpsuite.training.resident import Resident
from hpsuite.training.streams import dropout_key
from hpsuite.training.together import inexact
from hpsuite.trials import TrialResult, TrialSpec

Key = tuple[str, int]

_log = logging.getLogger(__name__)


def train_lockstep(work: Lockstep, resident: Resident) -> list[TrialResult]:
    """Train cohorts, and stop the trials that lose.

    Where memory does not hold all of them at once they are trained one batch after the other, each
    trial to its end, and cut off afterwards: the same results, and nothing saved.

    Args:
        work: the cohorts.
        resident: their data.

    Returns:
        The results, cohort by cohort, in order of number.
    """
    try:
        return _in_lockstep(work, resident)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    # Outside of the except clause, whose error holds on to all that was allocated.
    free_memory(resident.device)
    _log.warning("trials of a cohort do not fit into memory at once: each is trained to its end")
    return judged_afterwards(
        work.cohorts,
        [result for batch in work.batches for result in train(batch, resident)],
        resident.data,
    )


class Group(Protocol):
    """Trials that train as one.

    Attributes:
        specs: of all of them.
        results: of those that have ended, by their place in `specs`.
    """

    specs: Sequence[TrialSpec]
    results: dict[int, TrialResult]

    def training(self) -> list[int]:
        """Places of those that have not ended.

        One without a result that is not among them is to be trained by itself.
        """

    def train_epoch(self) -> None:
        """Train an epoch; end what diverged, and what is done."""

    def accuracy(self, place: int) -> float:
        """Validation accuracy in [0, 1] after the last epoch, of a trial in training."""

    def prune(self, places: Set[int]) -> None:
        """End trials in training."""


class Fused:
    """A program of trials; see `Group`."""

    def __init__(
        self, specs: Sequence[TrialSpec], resident: Resident, batch: FusedBatch | None = None
    ) -> None:
        """Trials whose models are built, or to be built."""
        self.specs = specs
        self._batch = FusedBatch(specs, resident) if batch is None else batch
        self._batch.begin()
        self.results = self._batch.results

    def training(self) -> list[int]:
        return [place for place in self._batch.alive if place not in self.results]

    def train_epoch(self) -> None:
        self._batch.start_clock()
        self._batch.train_epoch()

    def accuracy(self, place: int) -> float:
        return self._batch.accuracy(place)

    def prune(self, places: Set[int]) -> None:
        self._batch.prune(places)


class Plain:
    """A trial by itself, that shares torch's global random stream with others; see `Group`."""

    def __init__(self, spec: TrialSpec, resident: Resident) -> None:
        """Build it, and give it the stream that it would have alone."""
        started = time.perf_counter()
        self.specs: Sequence[TrialSpec] = (spec,)
        self.results: dict[int, TrialResult] = {}
        self._device = resident.device
        self._trial = PlainTrial(spec, resident)
        with self._own_stream():
            torch.manual_seed(dropout_key(spec.seed, spec.number) % 2**32)
            self._trial.begin()
            self._keep_stream()
        self._seconds = time.perf_counter() - started

    def training(self) -> list[int]:
        return [] if self.results else [0]

    def train_epoch(self) -> None:
        started, result = time.perf_counter(), None
        with self._own_stream():
            torch.set_rng_state(self._stream)
            if self._device.type == "cuda":
                torch.cuda.set_rng_state(self._device_stream, self._device)
            if not self._trial.train_epoch():
                result = self._trial.diverged()
            elif self._trial.is_done():
                result = self._trial.done()
            self._keep_stream()
        self._seconds += time.perf_counter() - started
        if result is not None:
            self.results[0] = replace(result, seconds=self._seconds)

    def accuracy(self, place: int) -> float:
        return self._trial.accuracy()

    def prune(self, places: Set[int]) -> None:
        if places:
            self.results[0] = replace(self._trial.pruned(), seconds=self._seconds)

    def _own_stream(self) -> AbstractContextManager[None]:
        devices = [self._device] if self._device.type == "cuda" else []
        return torch.random.fork_rng(devices=devices)

    def _keep_stream(self) -> None:
        self._stream = torch.get_rng_state()
        if self._device.type == "cuda":
            self._device_stream = torch.cuda.get_rng_state(self._device)


def _groups(specs: Sequence[TrialSpec], resident: Resident) -> list[Group]:
    """The trials of a batch as programs, or one by one."""
    if specs[0].numerics.trainer == "auto":
        try:
            readings = build_all(specs, resident, where_it_pays=True)
        except NotFusable:
            pass
        else:
            narrow = inexact(readings, specs, resident)
            parts: dict[Hashable, list[int]] = {}
            for i, reading in enumerate(readings):
                # Those that would not keep their bits beside wider ones stay by themselves.
                parts.setdefault((reading.signature,) if i in narrow else None, []).append(i)
            return [
                Fused(own, resident, FusedBatch(own, resident, [readings[i] for i in places]))
                for places in parts.values()
                for own in [[specs[i] for i in places]]
            ]
    return [Plain(spec, resident) for spec in specs]


def _in_lockstep(work: Lockstep, resident: Resident) -> list[TrialResult]:
    groups = [group for batch in work.batches for group in _groups(batch, resident)]
    courses = [Course(cohort) for cohort in work.cohorts]
    found: dict[Key, TrialResult] = {}
    by_themselves: set[Key] = set()
    epoch = 0
    while any(course.open for course in courses):
        epoch += 1
        for group in groups:
            group.train_epoch()
        lost = [spec for spec in _lost(groups) if _key(spec) not in by_themselves]
        by_themselves |= {_key(spec) for spec in lost}
        groups += [_caught_up(spec, resident, epoch) for spec in lost]
        scores: dict[Key, float] = {}
        for group in groups:
            scores |= _accuracies(group)
            found |= _results(group)
        losers: set[Key] = set()
        for course in courses:
            losers |= course.judge(epoch, scores, found)
        for group in groups:
            group.prune({p for p in group.training() if _key(group.specs[p]) in losers})
            found |= _results(group)
        groups = [group for group in groups if group.training()]
    return [result for course in courses for result in course.results(found)]


def _lost(groups: Iterable[Group]) -> list[TrialSpec]:
    """Trials that have to be trained by themselves (see together.py)."""
    return [
        spec
        for group in groups
        for place, spec in enumerate(group.specs)
        if place not in group.results and place not in group.training()
    ]


def _caught_up(spec: TrialSpec, resident: Resident, epochs: int) -> Group:
    """A trial by itself, after so many epochs or at its end."""
    group = Fused([spec], resident)
    for _ in range(epochs):
        if group.training():
            group.train_epoch()
    return group


def _accuracies(group: Group) -> dict[Key, float]:
    return {_key(group.specs[place]): group.accuracy(place) for place in group.training()}


def _results(group: Group) -> dict[Key, TrialResult]:
    return {_key(group.specs[place]): result for place, result in group.results.items()}


def _key(spec: TrialSpec) -> Key:
    return spec.study, spec.number


class Course:
    """A cohort on its way.

    Attributes:
        open: epochs by number, of the trials that are judged on.
    """

    def __init__(self, cohort: Cohort) -> None:
        """At the start."""
        self._cohort = cohort
        self._judge = cohort.rules.judge()
        self._study = cohort.specs[0].study
        self.open: dict[int, int] = {}
        for spec in cohort.specs:
            assert spec.epochs is not None, spec
            self.open[spec.number] = spec.epochs

    def judge(
        self, epoch: int, scores: Mapping[Key, float], ended: Mapping[Key, TrialResult]
    ) -> set[Key]:
        """Judge after an epoch.

        Args:
            epoch: epochs trained.
            scores: accuracies of trials in training.
            ended: results of the others; one that diverged is judged on by its chance score.

        Returns:
            Those that are to be stopped.
        """
        own, diverged = {}, set()
        for number in self.open:
            key = (self._study, number)
            own[number] = ended[key].val_accuracy if key in ended else scores[key]
            if key in ended and ended[key].came_to_nothing:
                diverged.add(number)
        losers = self._judge.losers(epoch, own, diverged)
        going_on = {number: epochs for number, epochs in self.open.items() if epochs > epoch}
        self.open = {n: epochs for n, epochs in going_on.items() if n not in losers}
        return {(self._study, n) for n in going_on if n in losers and n not in diverged}

    def results(self, found: Mapping[Key, TrialResult]) -> list[TrialResult]:
        """All results, in order of number, with what was judged."""
        return [
            replace(found[_key(spec)], judged=self._judge.judged(spec.number))
            for spec in self._cohort.specs
        ]


def judged_afterwards(
    cohorts: Sequence[Cohort], results: Iterable[TrialResult], data: Data
) -> list[TrialResult]:
    """What would have come of cohorts whose trials were all trained to their ends.

    Args:
        cohorts: the cohorts.
        results: of all their trials.
        data: theirs.

    Returns:
        The results, cohort by cohort, in order of number.
    """
    whole = {(result.study, result.number): result for result in results}
    judged = []
    for cohort in cohorts:
        course, found, epoch = Course(cohort), dict(whole), 0
        specs = {_key(spec): spec for spec in cohort.specs}
        while course.open:
            epoch += 1
            own = {key: whole[key] for key in specs}
            scores = {
                k: r.val_curve[epoch - 1] for k, r in own.items() if len(r.val_curve) >= epoch
            }
            ended = {k: r for k, r in own.items() if k not in scores}
            for key in course.judge(epoch, scores, ended):
                found[key] = _cut(specs[key], whole[key], epoch, data)
        judged += course.results(found)
    return judged


def _cut(spec: TrialSpec, whole: TrialResult, epochs: int, data: Data) -> TrialResult:
    """A result as it would be had the trial been stopped."""
    assert spec.epochs is not None
    return pruned_result(
        spec,
        data,
        val_curve=whole.val_curve[:epochs],
        loss_curve=whole.loss_curve[:epochs],
        steps=whole.steps // (len(whole.val_curve) + (whole.outcome == "nonfinite")) * epochs,
        seconds=whole.seconds,
        initial_loss=whole.initial_loss,
    )
