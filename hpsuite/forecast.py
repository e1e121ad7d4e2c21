"""`plan=true`: what would be done, and how long it would take on this machine."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.markup import escape

from hpsuite.arms import PlannedArm
from hpsuite.config import Settings
from hpsuite.executors import count_workers
from hpsuite.record import (
    count_told,
    generations,
    newest_generation,
    open_storage,
    storage_exists,
)
from hpsuite.report.progress import duration
from hpsuite.strategies.base import trial_generator
from hpsuite.strategies.unit_cube import to_value
from hpsuite.training import Planner, Resident, train
from hpsuite.training.autotune import steps_to_record
from hpsuite.training.loop import count_steps
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialSpec

# Steps to measure, where one takes so many seconds that nothing around it counts.
FEW_STEPS, LONG_STEP = 6, 0.25
# Trials that are drawn to see how they share batches, and so many of these, or seconds, to measure.
DRAWN = 1024
MEASURED = 16
MEASURED_SECONDS = 5.0


def print_plan(
    console: Console,
    settings: Settings,
    planned: Sequence[PlannedArm],
    planner: Planner,
    device: torch.device,
) -> None:
    """Print arms, trials and the predicted time; write nothing.

    A few steps of some trials of each setup are trained to see how long they take.
    """
    workers = count_workers(settings.executor, device)
    done = _in_record(settings, planned)
    measured: dict[str, Measured] = {}
    total_seconds, total_trials = 0.0, 0
    console.print()
    for p in planned:
        is_first = p.setup_identity not in measured
        if is_first:
            measured[p.setup_identity] = measure(p, planner, device)
        found_out = measured[p.setup_identity]
        trials = p.n_planned * p.arm.repeats
        there = done.get(p.identity, 0)
        seconds = found_out.seconds * (trials - there) / workers
        total_seconds += seconds
        total_trials += trials - there
        found = f", {there} in the record" if there else ""
        at_most = "" if p.arm.strategy.pruning is None else "at most "
        console.print(
            f"{escape(p.arm.label)}: {p.arm.repeats} x {p.n_planned} = {trials} trials{found}, "
            f"{at_most}about {duration(seconds)}",
            highlight=False,
        )
        if is_first:
            console.print(f"  {found_out.programs}", highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"to train: {total_trials} trials, about {duration(total_seconds)} on {workers} "
        f"worker{'s' if workers > 1 else ''}, measured now; nothing was written",
        highlight=False,
    )


@dataclass(frozen=True)
class Measured:
    """What a setup's trials would take.

    Attributes:
        seconds: of one trial, of one worker: the mean of some, of a few steps each.
        programs: how they would be put together, in words.
    """

    seconds: float
    programs: str


def measure(planned: PlannedArm, planner: Planner, device: torch.device) -> Measured:
    """Plan trials of an arm as `log_random` draws them, and train some of the batches a little."""
    reproducible()
    resident = Resident.place(planned.data, device)
    n = min(planned.n_planned * planned.arm.repeats, DRAWN)
    batches = planned_batches([_example(planned, i) for i in range(n)], planner)
    # Spread over all, as the first ones are the fullest.
    every = -(-len(batches) // MEASURED)
    seconds, trials = 0.0, 0
    started = time.perf_counter()
    for batch in batches[::every]:
        if trials and time.perf_counter() - started > MEASURED_SECONDS:
            break
        seconds += _seconds(batch, resident, planner)
        trials += len(batch)
    return Measured(seconds / trials, _in_words(batches, planner))


def planned_batches(specs: Sequence[TrialSpec], planner: Planner) -> list[list[TrialSpec]]:
    """How a planner would cut trials into batches that all waited at once."""
    afresh, batches = planner.afresh(), []
    for spec in specs:
        afresh.add(spec)
    while len(afresh):
        batches.append(afresh.take())
    return batches


def _in_words(batches: Sequence[Sequence[TrialSpec]], planner: Planner) -> str:
    """Numbers of programs and of trials in them, and what the largest one is."""
    sizes = [len(batch) for batch in batches]
    if max(sizes) == 1:
        return f"one by one; such as {planner.explain(batches[0])}"
    count = f"{len(sizes)} program{'s' if len(sizes) > 1 else ''} of"
    largest = planner.explain(max(batches, key=len))
    if min(sizes) == max(sizes):
        return f"{count} {sizes[0]} trials; such as {largest}"
    mean = sum(sizes) / len(sizes)
    return f"{count} {min(sizes)} to {max(sizes)} trials, mean {mean:.1f}; such as {largest}"


def _seconds(batch: Sequence[TrialSpec], resident: Resident, planner: Planner) -> float:
    """Seconds of a batch, from a few steps of it."""

    def took(n_steps: int) -> float:
        started = time.perf_counter()
        train([replace(spec, epochs=None, steps=n_steps) for spec in batch], resident)
        return time.perf_counter() - started

    took(2)  # the first call warms up
    once = took(1)  # building, one step, and scoring three times
    _, per_epoch = count_steps(batch[0], len(resident.y_train))
    some = steps_to_record(per_epoch) if once < LONG_STEP else FEW_STEPS
    total = planner.n_full_steps(batch)
    if total <= some:
        return took(max(1, round(total)))
    # Whole epochs have their validation; of longer ones it is added.
    is_short = per_epoch <= 2 * some
    more = per_epoch * math.ceil(some / per_epoch) if is_short else some
    begun = took(some)
    per_step = max(took(some + more) - begun, 0) / more
    seconds = max(begun + per_step * (total - some), once)
    return seconds if is_short else seconds + once / 2 * max(total / per_epoch - 1, 0)


def _example(planned: PlannedArm, number: int) -> TrialSpec:
    """A trial as log_random draws it, at a learning rate with which nothing diverges."""
    setup = planned.arm.setup
    distributions = setup.space.distributions()
    units = trial_generator(0, number).random(len(distributions))
    values = setup.space.values(
        {
            name: to_value(distribution, float(unit), "own")
            for (name, distribution), unit in zip(distributions.items(), units, strict=True)
        }
    )
    lowest = {h.name: h.ends()[0] for h in setup.space.hyperparameters if h.name == "learning_rate"}
    return setup.spec(
        {**values, **lowest}, study="", number=number, seed=0, dataset=planned.data.fingerprint
    )


def _in_record(settings: Settings, planned: Sequence[PlannedArm]) -> dict[str, int]:
    """Trials that the record has of each arm's newest generation; an absent record has none."""
    if settings.fresh or not storage_exists(settings.storage):
        return {}
    storage = open_storage(settings.storage, writing=False)
    found = generations(storage)
    counts: dict[str, int] = {}
    for p in planned:
        names = found.get((p.identity, newest_generation(found, p.identity)), {})
        counts[p.identity] = sum(
            min(count_told(storage, name), p.n_planned)
            for repeat, name in names.items()
            if repeat < p.arm.repeats
        )
    return counts
