"""Overhead of a night: CPU time of a study that is not training, over that of its training.

    python -m benchmarks.nightly.overheads --output figures.json

As benchmarks/overhead.py measures it, with results made up, and training beside it, in turns.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measured import say
from benchmarks.nightly.figures import Figure, named
from benchmarks.overhead import STEPS, Study, apart, training
from hpsuite.training.reproducible import reproducible

TRIALS = (100, 1000)
# Training is measured over so small a part of a trial's steps.
_PART = 13


def measure(repeats: int, trials: Sequence[int]) -> list[Figure]:
    """All that is not training over training, for studies of so many trials."""
    logs: dict[int, list[float]] = {n: [] for n in trials}
    for turn in range(repeats):
        say(f"overhead: {turn + 1} of {repeats}")
        (cost,) = training(1, STEPS // _PART)
        for n in trials:
            study = Study(n, apart(n), _PART * cost)
            logs[n].append(math.log((study.whole - study.training) / study.training))
    return [
        Figure(
            named("overhead", f"time that is not training over training, {n} trials"),
            "overhead",
            math.exp(statistics.mean(own)),
            max(statistics.stdev(own) / math.sqrt(len(own)), 0.005),
            "log",
            "x",
            1,
        )
        for n, own in logs.items()
    ]


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--output", type=Path, required=True, help="file for the figures")
    options.add_argument("--repeats", type=int, default=4, help="2 or more (default: %(default)s)")
    options.add_argument("--trials", type=int, nargs="+", default=list(TRIALS))
    given = options.parse_args()
    reproducible()
    found = measure(given.repeats, given.trials)
    given.output.write_text(json.dumps([figure.as_json() for figure in found]), encoding="utf-8")


if __name__ == "__main__":
    main()
