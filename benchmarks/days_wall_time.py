"""How many epochs many models get in the time of one: babysitting one against training K at once.

    python benchmarks/days_wall_time.py

One worker, one thread. A day of one model begins with its checkpoint and leaves one; K models are
one program. A layer of 64 units on digits, days of 2 epochs, models of 8; medians of `--runs` runs
in turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from hpsuite.datasets import prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Checkpoints, Resident, train
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import Block, Lineage, ModelSpec, OptimizerSpec, TrialSpec, frozen_arguments

DAY, WHOLE = 2, 8
SIZES = (1, 8, 64)


def main() -> None:
    """Measure, and print a line for each number of models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs: int = parser.parse_args().runs
    reproducible()
    torch.set_num_threads(1)
    source = digits()
    data = prepare(
        source, split_seed=0, validation_size=359, test_size=360, input_normalization="feature"
    )
    resident = Resident.place(data, torch.device("cpu"))
    model = ModelSpec("hpsuite.models.mlp", frozen_arguments({"units": 64}))
    specs = [
        TrialSpec("s", i, 0, data.fingerprint, model, OptimizerSpec(), 64, WHOLE)
        for i in range(max(SIZES))
    ]
    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoints(Path(folder))
        lineage = Lineage(0, (Block(OptimizerSpec(), DAY),))
        day = TrialSpec(
            "s", 1, 0, data.fingerprint, model, OptimizerSpec(), 64, DAY, lineage=lineage
        )
        train([day], resident, kept)
        timed: dict[str, list[float]] = {}
        for _ in range(runs):
            add(timed, "a day", lambda: train([day], resident, kept))
            for size in SIZES:
                # As the planner does: up to 24 of them in a program.
                parts = [specs[i : min(i + 24, size)] for i in range(0, size, 24)]
                add(timed, str(size), lambda parts=parts: [train(p, resident) for p in parts])
    one = statistics.median(timed["a day"]) / DAY
    print(f"one model, day by day: {1000 * one:.1f} ms an epoch, n = {runs}")
    for size in SIZES:
        epoch = statistics.median(timed[str(size)]) / WHOLE / size
        print(
            f"{size:2} models at once: {1000 * epoch:.1f} ms an epoch of one: {one / epoch:.1f} "
            "epochs in the time of one"
        )


def add(timed: dict[str, list[float]], name: str, work: Callable[[], object]) -> None:
    """Time a piece of work, in seconds of this process."""
    started = time.process_time()
    work()
    timed.setdefault(name, []).append(time.process_time() - started)


if __name__ == "__main__":
    main()
