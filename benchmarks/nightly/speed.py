"""Speed of a night: ratios against loops of one trial at a time, in turns in the same minutes.

    python -m benchmarks.nightly.speed --output figures.json

A contender trains for about `SECONDS` at a time; a round has each of them once. What is compared is
CPU time on one core, and time on the wall where both have all cores. With `--device cuda` hpsuite's
fused trainer is compared with a plain loop on the same GPU.
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.contenders import at_once
from benchmarks.measured import say
from benchmarks.nightly.figures import Figure, named
from benchmarks.problems import Case
from benchmarks.throughput import CORES, Crew
from hpsuite.datasets import Data
from hpsuite.training import Planner, Resident, train
from hpsuite.training.loop import count_steps

# Of a contender in a round.
SECONDS = 0.8
# (network, normalisation); each with SGD.
CASES = (("digits", "none"), ("digits", "before"), ("mnist", "none"), ("convnet", "before"))
# A loop of one trial that does not depend on a compiler: hpsuite must not fall behind it.
OTHERS = ("a", "b fused")
# The standard error of a median of normal values, over that of their mean.
_OF_MEDIAN = math.sqrt(math.pi / 2)


def ratio_figure(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """The median over rounds of a ratio of speeds, and its error by the rounds."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    # By the median absolute deviation: a round beside other work says nothing of the others.
    middle = statistics.median(logs)
    sd = 1.4826 * statistics.median(abs(log - middle) for log in logs)
    error = max(_OF_MEDIAN * sd / math.sqrt(len(logs)), 0.005)
    return Figure(name, "speed", math.exp(middle), error, "log", "x", -1)


def of_case(case: Case, data: Data, crews: dict[str, Crew], rounds: int) -> list[Figure]:
    """Hpsuite's speed over those of others, on a core and on all of them."""
    names = ["hpsuite", *OTHERS]
    for begun in [crews[name].prepare(case, CORES, data) for name in names]:
        for future in begun:
            future.result()
    (spec,) = case.trials(1)
    steps, _ = count_steps(spec, len(data.y_train))
    most = at_once(case, data)
    n_of = dict.fromkeys(names, 1) | {"hpsuite": most}
    for name in names:
        cost = crews[name].train(case, n_of[name])[0].cpu
        n_of[name] *= max(1, round(SECONDS / cost))
    core: dict[str, list[float]] = {name: [] for name in names}
    machine: dict[str, list[float]] = {name: [] for name in ("hpsuite", "b fused")}
    for _ in range(rounds):
        for name in names:
            core[name].append(n_of[name] * steps / _cpu(crews[name], case, n_of[name], most))
        for name, found in machine.items():
            begun_at = time.perf_counter()
            _whole(crews[name], case, n_of[name], most)
            found.append(CORES * n_of[name] * steps / (time.perf_counter() - begun_at))
    title = case.title
    against = [
        ratio_figure(named("speed", title, f"a core, times {other}"), core["hpsuite"], core[other])
        for other in OTHERS
    ]
    name = named("speed", title, "all cores, times b fused")
    return [*against, ratio_figure(name, machine["hpsuite"], machine["b fused"])]


def _parts(crew: Crew, n: int, most: int) -> list[int]:
    """Hpsuite trains in batches, others one by one."""
    if crew.name != "hpsuite":
        return [n]
    return [most] * (n // most)


def _cpu(crew: Crew, case: Case, n: int, most: int) -> float:
    return sum(crew.train(case, part)[0].cpu for part in _parts(crew, n, most))


def _whole(crew: Crew, case: Case, n: int, most: int) -> None:
    for part in _parts(crew, n, most):
        crew.train(case, part, size=CORES)


def on_gpu(case: Case, data: Data, rounds: int, device: torch.device) -> Figure:
    """Hpsuite's fused trainer over a plain loop on the same device, by time on the wall."""
    resident = Resident.place(data, device)
    planner = Planner({data.fingerprint: data}, device, n_workers=1)
    (one,) = case.trials(1, fingerprint=data.fingerprint)
    most = planner.most_at_once(one)
    own = case.trials(most, fingerprint=data.fingerprint)
    steps, _ = count_steps(one, len(data.y_train))
    plain = replace(one, numerics=replace(one.numerics, trainer="plain"))

    def timed(train_them: Callable[[], object]) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begun = time.perf_counter()
        train_them()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begun

    ours, theirs = [], []
    for turn in range(rounds + 1):
        fused, alone = timed(lambda: train(own, resident)), timed(lambda: train([plain], resident))
        if turn:  # the first one warms up
            ours.append(most * steps / fused)
            theirs.append(steps / alone)
    name = named("speed_gpu", case.title, "times one by one")
    return ratio_figure(name, ours, theirs)


def measure(device: str, rounds: int, cases: Sequence[tuple[str, str]]) -> list[Figure]:
    """All figures of a device."""
    folder = os.environ.get("HPSUITE_DATA", "data")
    found: list[Figure] = []
    crews = {} if device != "cpu" else {name: Crew(name) for name in ("hpsuite", *OTHERS)}
    sources: dict[str, Data] = {}
    try:
        for network, normalization in cases:
            case = Case(network, normalization, "sgd", data_dir=folder)
            say(f"speed: {case.title}")
            if case.of.source not in sources:
                sources[case.of.source] = case.data()
            data = sources[case.of.source]
            if device == "cpu":
                found += of_case(case, data, crews, rounds)
            else:
                found.append(on_gpu(case, data, rounds, torch.device(device)))
    finally:
        for crew in crews.values():
            crew.end()
    return found


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--output", type=Path, required=True, help="file for the figures")
    options.add_argument("--rounds", type=int, default=11, help="(default: %(default)s)")
    options.add_argument("--device", default="cpu", help="(default: %(default)s)")
    options.add_argument("--networks", nargs="+", default=sorted({one for one, _ in CASES}))
    given = options.parse_args()
    cases = [case for case in CASES if case[0] in given.networks]
    found = measure(given.device, given.rounds, cases)
    given.output.write_text(json.dumps([figure.as_json() for figure in found]), encoding="utf-8")


if __name__ == "__main__":
    main()
