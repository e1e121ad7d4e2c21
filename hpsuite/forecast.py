"""`plan=true`: what would be done, and how long it would take on this machine."""

import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace

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
from hpsuite.training.loop import count_steps
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialSpec

MEASURED_STEPS = 20
# Trials that are drawn to see how many share a batch, and so many of them, or seconds, to measure.
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
    seconds_per_trial: dict[str, float] = {}
    total_seconds, total_trials = 0.0, 0
    console.print()
    for p in planned:
        if p.setup_identity not in seconds_per_trial:
            seconds_per_trial[p.setup_identity] = measure(p, planner, device)
        trials = p.n_planned * p.arm.repeats
        there = done.get(p.identity, 0)
        seconds = seconds_per_trial[p.setup_identity] * (trials - there) / workers
        total_seconds += seconds
        total_trials += trials - there
        found = f", {there} in the record" if there else ""
        console.print(
            f"{escape(p.arm.label)}: {p.arm.repeats} x {p.n_planned} = {trials} trials{found}, "
            f"about {duration(seconds)}",
            highlight=False,
        )
    console.print(
        f"to train: {total_trials} trials, about {duration(total_seconds)} on {workers} "
        f"worker{'s' if workers > 1 else ''}, measured now; nothing was written",
        highlight=False,
    )


def measure(planned: PlannedArm, planner: Planner, device: torch.device) -> float:
    """Seconds that a trial of an arm takes of one worker: the mean of some, of a few steps each."""
    reproducible()
    resident = Resident.place(planned.data, device)
    drawn = [
        _example(planned, i) for i in range(min(planned.n_planned * planned.arm.repeats, DRAWN))
    ]
    buckets = [planner.bucket(spec) for spec in drawn]
    mates = Counter(buckets)
    seconds: dict[Hashable, float] = {}
    of_each = []
    started = time.perf_counter()
    for spec, bucket in list(zip(drawn, buckets, strict=True))[:MEASURED]:
        if bucket not in seconds:
            if seconds and time.perf_counter() - started > MEASURED_SECONDS:
                break
            k = min(mates[bucket], planner.most_at_once(spec))
            seconds[bucket] = _seconds(spec, k, resident)
        of_each.append(seconds[bucket])
    return sum(of_each) / len(of_each)


def _seconds(spec: TrialSpec, k: int, resident: Resident) -> float:
    """Seconds of a trial that is trained among k of its like."""
    total, per_epoch = count_steps(spec, len(resident.y_train))
    steps = max(2, min(MEASURED_STEPS, per_epoch))
    short = [replace(spec, number=i, epochs=None, steps=steps) for i in range(k)]
    train([replace(spec, steps=2) for spec in short], resident)  # the first call warms up
    started = time.perf_counter()
    train([replace(spec, steps=1) for spec in short], resident)
    once = time.perf_counter() - started  # building, one step, validation and test
    started = time.perf_counter()
    train(short, resident)
    per_step = (time.perf_counter() - started - once) / (steps - 1)
    epochs = -(-total // per_epoch)
    return (max(per_step, 0) * total + once * (1 + epochs) / 2) / k


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
