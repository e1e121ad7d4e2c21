"""`plan=true`: what would be done, and how long it would take on this machine."""

import time
from collections.abc import Sequence
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
from hpsuite.training import Planner, Resident, train
from hpsuite.training.loop import count_steps
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import Scalar, TrialSpec

MEASURED_STEPS = 20


def print_plan(
    console: Console,
    settings: Settings,
    planned: Sequence[PlannedArm],
    planner: Planner,
    device: torch.device,
) -> None:
    """Print arms, trials and the predicted time; write nothing.

    A few steps of one batch of each setup are trained to see how long they take.
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
    """Seconds that a trial of an arm takes of one worker, from a few steps of a full batch."""
    reproducible()
    resident = Resident.place(planned.data, device)
    example = _example(planned)
    k = planner.most_at_once(example)
    steps, per_epoch = count_steps(example, len(planned.data.y_train))
    short = [
        replace(example, number=i, epochs=None, steps=MEASURED_STEPS, study="") for i in range(k)
    ]
    train([replace(spec, steps=2) for spec in short], resident)  # the first call warms up
    started = time.perf_counter()
    train([replace(spec, steps=1) for spec in short], resident)
    once = time.perf_counter() - started  # building, one step, validation and test
    started = time.perf_counter()
    train(short, resident)
    per_step = (time.perf_counter() - started - once) / (MEASURED_STEPS - 1)
    epochs = -(-steps // per_epoch)
    return (max(per_step, 0) * steps + once * (1 + epochs) / 2) / k


def _example(planned: PlannedArm) -> TrialSpec:
    """A trial with each hyperparameter at the start of its range, where nothing diverges."""
    setup = planned.arm.setup
    values: dict[str, Scalar] = {h.name: h.ends()[0] for h in setup.space.hyperparameters}
    return setup.spec(values, study="", number=0, seed=0, dataset=planned.data.fingerprint)


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
