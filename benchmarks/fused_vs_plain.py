"""How much faster the fused trainer is than one trial at a time, per core, as ratios.

Every repeat runs all contenders one after the other on one thread, so that whatever else the
machine does falls on all of them; times are CPU times, so that waiting for a core does not count;
a ratio is taken within a repeat, and its median and quartiles over the repeats are printed. The
contenders train quickstart's network, 64-128-128-10 on digits in
mini-batches of 64, validate after each epoch and test at the end:

- b: a well-written loop of torch.nn and torch.optim, its inputs normalised and resident in
  float32, with whichever of the optimizer's implementations (for-loop, foreach, fused) is fastest;
- plain: hpsuite's plain trainer, the oracle of the fused one;
- K = ...: hpsuite's fused trainer, per trial; `planner` is the K that the planner chooses.

Run `python benchmarks/fused_vs_plain.py --help` for its options. Recorded results: README.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Planner, Resident, train_fused, train_plain
from hpsuite.training.planner import CPU_MOST
from hpsuite.training.reproducible import MKL_MODE
from hpsuite.trials import ModelSpec, OptimizerKind, OptimizerSpec, TrialSpec, frozen_arguments

BATCH_SIZE = 64
STRICT_PAIRS = 6
IMPLEMENTATIONS: dict[str, dict[str, Any]] = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def trials(
    data: Data, k: int, optimizer: OptimizerKind, normalization: str, epochs: int
) -> list[TrialSpec]:
    """K trials at rates that train well, each with its own."""
    model = ModelSpec("hpsuite.models.mlp", frozen_arguments({"normalization": normalization}))
    largest = {"sgd": 0.02, "sgd_ema": 0.2, "adam": 0.002}[optimizer]
    return [
        TrialSpec(
            study="",
            number=i,
            seed=1,
            dataset=data.fingerprint,
            model=model,
            optimizer=OptimizerSpec(kind=optimizer, learning_rate=largest / (1 + i)),
            batch_size=BATCH_SIZE,
            epochs=epochs,
        )
        for i in range(k)
    ]


class WellWritten:
    """Baseline b: what someone who knows torch well writes for one trial."""

    def __init__(self, resident: Resident) -> None:
        self.splits = [
            (resident.inputs(x, torch.float32), y)
            for x, y in (
                (resident.x_train, resident.y_train),
                (resident.x_val, resident.y_val),
                (resident.x_test, resident.y_test),
            )
        ]

    def train(
        self, optimizer: OptimizerKind, normalization: str, epochs: int, implementation: str
    ) -> float:
        """Train and test one model; returns its test accuracy."""
        layers: list[nn.Module] = []
        for n_inputs in (64, 128):
            layers.append(nn.Linear(n_inputs, 128, bias=normalization != "before"))
            if normalization == "before":
                layers.append(nn.BatchNorm1d(128))
            layers.append(nn.ReLU())
        model = nn.Sequential(*layers, nn.Linear(128, 10))
        options = IMPLEMENTATIONS[implementation]
        descent: torch.optim.Optimizer
        if optimizer == "adam":
            descent = torch.optim.Adam(model.parameters(), lr=0.002, **options)
        else:
            descent = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, **options)
        (x, y), (x_val, y_val), (x_test, y_test) = self.splits
        for _ in range(epochs):
            model.train()
            for rows in torch.randperm(len(y)).split(BATCH_SIZE):
                loss = F.cross_entropy(model(x[rows]), y[rows])
                descent.zero_grad()
                loss.backward()
                descent.step()
            self.accuracy(model, x_val, y_val)
        return self.accuracy(model, x_test, y_test)

    @staticmethod
    def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
        model.eval()
        with torch.inference_mode():
            return float((model(x).argmax(1) == y).float().mean())


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """CPU seconds per trial of every contender, in every case and repeat; in this process."""
    torch.set_num_threads(1)
    data = prepare(
        digits(), split_seed=0, validation_size=359, test_size=360, input_normalization="feature"
    )
    resident = Resident.place(data, torch.device("cpu"))
    planner = Planner({data.fingerprint: data}, resident.device, n_workers=1)
    written = WellWritten(resident)
    cases = {}
    for optimizer in arguments.optimizers:
        for normalization in arguments.normalizations:
            specs = trials(
                data, max(*arguments.k, CPU_MOST), optimizer, normalization, arguments.epochs
            )
            chosen = planner.most_at_once(specs[0])
            contenders: dict[str, tuple[int, Callable[[], object]]] = {}
            for name in IMPLEMENTATIONS:
                train = partial(written.train, optimizer, normalization, arguments.epochs, name)
                contenders[f"b {name}"] = (1, train)
            contenders["plain"] = (1, partial(train_plain, specs[0], resident))
            for k in sorted({*arguments.k, chosen}):
                contenders[f"K = {k}"] = (k, partial(train_fused, specs[:k], resident))
            seconds = race(contenders, arguments.repeats)
            cases[f"{optimizer}, {normalization}"] = {"chosen": chosen, "seconds": seconds}
    return {"cases": cases}


def race(
    contenders: dict[str, tuple[int, Callable[[], object]]], repeats: int
) -> dict[str, list[float]]:
    """CPU seconds per trial of contenders, (trials, function) by name, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(-1, repeats):
        for name, (k, contender) in contenders.items():
            started = time.process_time()
            contender()
            if repeat >= 0:  # the first round warms up
                seconds[name].append((time.process_time() - started) / k)
    return seconds


def fastest(seconds: dict[str, list[float]]) -> str:
    """Baseline b's fastest implementation, by median."""
    return min(
        (name for name in seconds if name.startswith("b ")),
        key=lambda name: statistics.median(seconds[name]),
    )


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """Median and quartiles of a ratio, repeat by repeat."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def run_in(mode: str | None, *options: str) -> dict[str, Any]:
    """Measure in a process of its own, with or without MKL's strict mode."""
    environment = {k: v for k, v in os.environ.items() if k != "MKL_CBWR"}
    environment["OMP_NUM_THREADS"] = "1"
    if mode is not None:
        environment["MKL_CBWR"] = mode
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], *options, "--measure"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    cases: dict[str, Any] = json.loads(done.stdout)["cases"]
    return cases


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def print_results(arguments: argparse.Namespace) -> None:
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, one thread of "
        f"{processor()}, float32, MKL_CBWR={MKL_MODE}; n = {arguments.repeats} repeats, "
        f"interleaved; {arguments.epochs} epochs of 17 steps; median ratio (quartiles)\n"
    )
    cases = run_in(MKL_MODE)
    rows = []
    for case, found in cases.items():
        seconds = found["seconds"]
        best = fastest(seconds)
        for name, times in seconds.items():
            if name.startswith("b ") and name != best:
                continue
            mark = " (planner)" if name == f"K = {found['chosen']}" else ""
            rows.append(
                [
                    case,
                    name + mark,
                    f"{statistics.median(times) * 1e3:.1f}",
                    "1" if name == best else ratio(seconds[best], times),
                    "1" if name == "plain" else ratio(seconds["plain"], times),
                ]
            )
    print(
        table(
            ["optimizer, batch norm", "contender", "CPU ms a trial", "times b", "times plain"],
            rows,
        )
    )

    print(
        "\nWhat MKL's strict mode costs: CPU seconds with it over those without, each in "
        f"processes of its own; n = {STRICT_PAIRS} pairs of them, median ratio (quartiles)\n"
    )
    pairs = [run_pair(strict_first=i % 2 == 0) for i in range(STRICT_PAIRS)]
    rows = []
    for case, found in cases.items():
        row = [case]
        for name in (fastest(found["seconds"]), f"K = {found['chosen']}"):
            strict, free = (
                [statistics.median(pair[side][case]["seconds"][name]) for pair in pairs]
                for side in (0, 1)
            )
            row.append(ratio(strict, free))
        rows.append(row)
    print(table(["optimizer, batch norm", "b", "planner's K"], rows))


def run_pair(*, strict_first: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A short measurement with MKL's strict mode and one without, in turns going first."""
    options = ("--k", "1", "--repeats", "3", "--epochs", "2")
    if strict_first:
        strict = run_in(MKL_MODE, *options)
        return strict, run_in(None, *options)
    free = run_in(None, *options)
    return run_in(MKL_MODE, *options), free


def processor() -> str:
    """The processor's name, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=11, help="of every contender (default 11)")
    parser.add_argument("--epochs", type=int, default=5, help="of 17 steps (default 5)")
    parser.add_argument(
        "--k", type=int, nargs="+", default=[1, 4, 8, 16, 32], help="trials at once"
    )
    parser.add_argument("--optimizers", nargs="+", default=["sgd", "adam"])
    parser.add_argument("--normalizations", nargs="+", default=["none", "before"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = parse()
    if given.measure:
        json.dump(measure(given), sys.stdout)
    else:
        print_results(given)
