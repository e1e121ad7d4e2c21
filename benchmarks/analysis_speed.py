"""What the analysis costs: seconds of each part, of a made-up sample of n trials.

    python benchmarks/analysis_speed.py --n 512 5000

The sample has seven hyperparameters of mixed scales, an accuracy and a test accuracy, and failed
trials, as an experiment's reference sample has. Every part of `setup_evidence` is timed where it
is called, so that the rows are what a run waits for; then the difference between two setups on the
same configurations, and the report: told, drawn, written. Two times each: CPU, and by the wall,
which is longer on a busy machine and may be shorter where libraries use several threads. Prints
Markdown; docs/statistics.md quotes it.
"""

import argparse
import importlib
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hpsuite import evidence
from hpsuite.analysis import paired_difference
from hpsuite.evidence import SetupEvidence, setup_evidence
from hpsuite.report.telling import tell_samples
from hpsuite.report.told import Compared
from hpsuite.report.writing import write_report
from hpsuite.samples import Sample
from hpsuite.space import Hyperparameter

# The module; the package has a function of this name.
IMPORTANCE = importlib.import_module("hpsuite.analysis.importance")
LIBRARIES = ("numpy", "scipy", "scikit-learn", "opda", "matplotlib", "plotly")
CHANCE, CHANCE_LIMIT, N_VAL = 0.1, 0.13, 360
HYPERPARAMETERS = (
    Hyperparameter("learning_rate", "log", 1e-4, 10.0),
    Hyperparameter("momentum", "one_minus_log", 0.0, 0.999),
    Hyperparameter("dropout", "linear", 0.0, 0.8),
    Hyperparameter("batch_size", "power_of_two", 16, 512),
    Hyperparameter("width", "log_integer", 16, 1024),
    Hyperparameter("layers", "integer", 1, 5),
    Hyperparameter("activation", "choice", choices=("relu", "tanh", "sigmoid")),
)
# The parts of a setup's figures: where each is called, under which name, and what it is.
PARTS = (
    (evidence, "estimate_best", "b"),
    (evidence, "sensitivity", "good fractions, failures"),
    (evidence, "regret", "regret"),
    (evidence, "tuning_curve", "tuning curve"),
    (evidence, "selected_curve", "test score of the selected"),
    (evidence, "edges", "optima at the edge"),
    (IMPORTANCE, "ped_anova_draws", "PED-ANOVA, twice"),
    (IMPORTANCE, "fanova_draws", "fANOVA"),
)


class Clock:
    """CPU and wall seconds by what they were spent on, in order of first use."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def __call__(self, label: str) -> Iterator[None]:
        """Count what is done inside."""
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            before = self.seconds.get(label, (0.0, 0.0))
            self.seconds[label] = (
                before[0] + time.process_time() - cpu,
                before[1] + time.perf_counter() - wall,
            )

    def timed(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        """The function, its calls counted."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            with self(label):
                return function(*arguments, **keywords)

        return call


def sample(n: int, name: str, shift: float = 0.0) -> Sample:
    """A sample of n trials; of two with different shifts, the configurations are the same."""
    generator = np.random.default_rng(0)
    units = generator.random((n, len(HYPERPARAMETERS)))
    rate = -4 + 5 * units[:, 0] + 3 * units[:, 1] + shift
    accuracy = 0.97 - 0.03 * (rate + 0.3) ** 2 - 0.03 * (units[:, 2] - 0.3) ** 2
    accuracy = np.where(rate > 0.7, CHANCE, np.maximum(accuracy, CHANCE))
    val, test = (
        np.round(np.clip(accuracy + 0.01 * generator.standard_normal(n), 0, 1) * N_VAL) / N_VAL
        for _ in range(2)
    )
    return Sample(
        name=name,
        hyperparameters=HYPERPARAMETERS,
        values=[
            {h.name: value(h, float(u)) for h, u in zip(HYPERPARAMETERS, row, strict=True)}
            for row in units
        ],
        scores=val,
        failed=rate > 0.9,
        tests=test,
    )


def value(h: Hyperparameter, unit: float) -> float | int | str:
    """What stands at a point of a hyperparameter's range."""
    if h.choices is not None:
        return str(h.choices[int(unit * len(h.choices))])
    assert h.low is not None
    assert h.high is not None
    if h.scale == "integer":
        return int(h.low) + int(unit * (h.high - h.low + 1))
    if h.scale == "power_of_two":
        low, high = int(math.log2(h.low)), int(math.log2(h.high))
        return 2 ** (low + int(unit * (high - low + 1)))
    if h.scale == "one_minus_log":
        return 1 - (1 - h.low) * ((1 - h.high) / (1 - h.low)) ** unit
    if h.scale == "linear":
        return h.low + unit * (h.high - h.low)
    found = h.low * (h.high / h.low) ** unit
    return round(found) if h.scale == "log_integer" else found


def figures(clock: Clock, of: Sample) -> SetupEvidence:
    """A setup's figures, its parts timed where they are called."""
    untimed = [getattr(module, name) for module, name, _ in PARTS]
    of_units = Sample.units
    try:
        for (module, name, label), function in zip(PARTS, untimed, strict=True):
            setattr(module, name, clock.timed(function, label))
        Sample.units = clock.timed(of_units, "the unit cube")  # type: ignore[method-assign]
        with clock("all figures of a setup"):
            return setup_evidence(of, chance_limit=CHANCE_LIMIT)
    finally:
        for (module, name, _), function in zip(PARTS, untimed, strict=True):
            setattr(module, name, function)
        Sample.units = of_units  # type: ignore[method-assign]


def measure(n: int) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of each part."""
    one, other = sample(n, "one"), sample(n, "other", 0.3)
    clock, unseen = Clock(), Clock()
    found = {"one": figures(clock, one), "other": figures(unseen, other)}
    with clock("difference of two setups, paired"):
        difference = paired_difference(one.scores, other.scores, generator=np.random.default_rng(0))
    with clock("report of both: told"):
        compared = [Compared("one minus other", difference.n, difference.own, difference.common)]
    report = tell_samples(found, compared, {})
    with tempfile.TemporaryDirectory() as folder, clock("report of both: drawn and written"):
        write_report(Path(folder), report)
    return clock.seconds


def print_table(sizes: Sequence[int]) -> None:
    """Measure and print."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}, {versions}; "
        f"{os.cpu_count()} cores of {platform.machine()}, OMP_NUM_THREADS {threads}, load {load}; "
        f"{len(HYPERPARAMETERS)} hyperparameters; CPU seconds (wall)\n"
    )
    # Imported where they are first used; they would count as part of the first sample.
    for name in ("sklearn.tree", "opda.nonparametric", "matplotlib.figure", "plotly.graph_objects"):
        importlib.import_module(name)
    columns = [measure(n) for n in sizes]
    print("| part | " + " | ".join(f"n = {n:,}" for n in sizes) + " |")
    print("| --- |" + " --- |" * len(sizes))
    for label in columns[-1]:
        cells = [column.get(label, (math.nan, math.nan)) for column in columns]
        print(f"| {label} | " + " | ".join(f"{cpu:.2f} ({wall:.2f})" for cpu, wall in cells) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, nargs="+", default=[512, 5000], help="trials")
    parser.add_argument("--quick", action="store_true", help="128 trials, to see that it runs")
    options = parser.parse_args()
    print_table([128] if options.quick else options.n)


if __name__ == "__main__":
    main()
