"""hpsuite against loops that train one trial at a time: trial-steps per second, as ratios.

    python -m benchmarks.throughput --data-dir data

Contenders and what they train are in contenders.py and problems.py. In a first part each runs in
one process on one thread; what counts is CPU time, so that waiting for a core does not. In a second
part each has the whole machine: loops of b and hpsuite in a process per core, a in one process with
torch's own number of threads, with one, and with `study.optimize(n_jobs=...)`, a job per core; what
counts is time on the wall.
MKL's strict mode, which hpsuite needs, is set in its processes alone. Those of b keep freed memory,
as hpsuite's do (hpsuite/training/allocation.py); those of a are as users have them. A product of
large matrices, timed in the same rounds, is the device's measured peak; the share of it counts
operations of the networks' own products alone, per second of all that training takes.
"""

import argparse
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import optuna
import torch

from benchmarks.contenders import CONTENDERS, Contender, at_once, contenders_of
from benchmarks.measured import (
    Cost,
    Quartiles,
    about,
    cost_of,
    matmul_rate,
    parser,
    ratios,
    say,
    table,
    write_results,
)
from benchmarks.problems import NETWORKS, NUMERICS, Case, operations
from hpsuite.datasets import Data
from hpsuite.training.allocation import keep_memory
from hpsuite.training.loop import count_steps
from hpsuite.training.reproducible import MKL_MODE

CORES = os.cpu_count() or 1
# On the whole machine: contender, trials and torch's threads.
EXAMPLES = {
    "a, torch's threads": ("a", 1, CORES),
    "a, one thread": ("a", 1, 1),
    f"a, n_jobs={CORES}": ("a, n_jobs", CORES, 1),
}

_data: dict[str, Data] = {}
_made: dict[str, Contender] = {}


def _prepare(case: Case, name: str, data: Data | None) -> None:
    """Make a contender in this process, and train a trial with it; None is the data of before."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if data is not None:
        _data[case.of.source] = data
    _made[name] = CONTENDERS[name](case, _data[case.of.source])
    _made[name](case.trials(1))


def _train(case: Case, name: str, n: int, threads: int = 1) -> Cost:
    """Train n trials in this process."""
    torch.set_num_threads(threads)
    return cost_of(lambda: _made[name](case.trials(n)))


def _start(name: str) -> None:
    """Begin a process of a contender: one thread, and MKL's mode before its first call."""
    os.environ.pop("MKL_CBWR", None)
    if name == "hpsuite":
        os.environ["MKL_CBWR"] = MKL_MODE
    if not name.startswith("a"):
        keep_memory()
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    torch.set_num_threads(1)


class Crew:
    """The processes of one contender, a core's each; one starts when it is first needed."""

    def __init__(self, name: str) -> None:
        context = get_context("forkserver" if os.name == "posix" else "spawn")
        if os.name == "posix":
            context.set_forkserver_preload(["benchmarks.contenders"])
        self.name = name
        self._processes = [ProcessPoolExecutor(1, context, _start, (name,)) for _ in range(CORES)]
        self._prepared: dict[int, Case] = {}
        self._has: set[tuple[int, str]] = set()

    def prepare(self, case: Case, size: int, data: Data) -> list[Future[None]]:
        """Let `size` processes make themselves ready for a case, where they are not."""
        begun = []
        for place in range(size):
            if self._prepared.get(place) == case:
                continue
            self._prepared[place] = case
            key = (place, case.of.source)
            sent = None if key in self._has else data
            self._has.add(key)
            begun.append(self._processes[place].submit(_prepare, case, self.name, sent))
        return begun

    def train(self, case: Case, n: int, *, size: int = 1, threads: int = 1) -> list[Cost]:
        """Let `size` processes train n trials each at the same time."""
        futures = [p.submit(_train, case, self.name, n, threads) for p in self._processes[:size]]
        return [future.result() for future in futures]

    def peak(self) -> float:
        """The first process's rate of large products."""
        return self._processes[0].submit(matmul_rate).result()

    def end(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.shutdown()


def measure(case: Case, data: Data, crews: dict[str, Crew], rounds: int) -> dict[str, Any]:
    """All figures of a case, as plain values."""
    (spec,) = case.trials(1)
    steps, _ = count_steps(spec, len(data.y_train))
    chosen = at_once(case, data)
    names = contenders_of(case)
    begun = [f for name in names for f in crew_of(crews, name).prepare(case, 1, data)]
    for future in begun:
        future.result()
    n_of = {name: chosen if name.startswith("hpsuite") else 1 for name in names}
    per_core: dict[str, list[Cost]] = {name: [] for name in names}
    peaks = []
    for _ in range(rounds):
        for name in names:
            per_core[name] += crews[name].train(case, n_of[name])
        peaks.append(crews["a"].peak())
    rates = {
        name: [n_of[name] * steps / cost.cpu for cost in costs] for name, costs in per_core.items()
    }
    best = max((name for name in rates if name.startswith("b ")), key=lambda n: _middle(rates[n]))
    return {
        "case": case.title,
        "network": case.network,
        "numerics": case.numerics,
        "steps": steps,
        "at_once": chosen,
        "operations_per_step": operations(case, data),
        "peak_gflops": peaks,
        "best": best,
        "per_core": rates,
        "peak_mb": {name: _peak_mb(costs) for name, costs in per_core.items()},
        "machine": measure_machine(
            case, data, crews, best=best, chosen=chosen, steps=steps, rounds=rounds
        ),
    }


def measure_machine(
    case: Case,
    data: Data,
    crews: dict[str, Crew],
    *,
    best: str,
    chosen: int,
    steps: int,
    rounds: int,
) -> dict[str, list[float]]:
    """Trial-steps per second of the wall, of contenders that have the whole machine."""
    rates: dict[str, list[float]] = {name: [] for name in (*EXAMPLES, best, "hpsuite")}
    for name in rates:
        own, _, _ = EXAMPLES.get(name, (name, 1, 1))
        size = 1 if name in EXAMPLES else CORES
        for future in crew_of(crews, own).prepare(case, size, data):
            future.result()
    for _ in range(rounds):
        for name, found in rates.items():
            own, n, threads = EXAMPLES.get(name, (name, 1, 1))
            n, size = chosen if name == "hpsuite" else n, 1 if name in EXAMPLES else CORES
            begun = time.perf_counter()
            crews[own].train(case, n, size=size, threads=threads)
            found.append(size * n * steps / (time.perf_counter() - begun))
    return rates


def crew_of(crews: dict[str, Crew], name: str) -> Crew:
    """A contender's crew, which is made where it is not there."""
    if name not in crews:
        crews[name] = Crew(name)
    return crews[name]


def _peak_mb(costs: Sequence[Cost]) -> float | None:
    found = [cost.peak_mb for cost in costs if cost.peak_mb is not None]
    return _middle(found) if found else None


def _middle(values: Sequence[float]) -> float:
    return Quartiles.of(values).median


def fastest_example(rates: Mapping[str, Sequence[float]]) -> str:
    """The fastest way to run a on the whole machine."""
    return max(EXAMPLES, key=lambda name: _middle(rates[name]))


def ratio(found: Mapping[str, Any], part: str, other: str) -> Quartiles:
    """How many times as many trial-steps per second as another contender hpsuite makes."""
    rates = found[part]
    return ratios(rates["hpsuite"], rates[other])


def tables(cases: Sequence[Mapping[str, Any]]) -> str:
    """What was found, in Markdown."""
    summary = []
    for found in cases:
        machine, best = found["machine"], found["best"]
        plain = "b fused" if found["network"] == "convnet" else None
        summary.append(
            [
                found["case"],
                str(found["at_once"]),
                ratio(found, "per_core", "a").text(1),
                f"{ratio(found, 'per_core', best).text()}; {best[2:]}",
                "" if plain is None else ratio(found, "per_core", plain).text(),
                f"{ratio(found, 'machine', fastest_example(machine)).text(1)}; "
                f"{fastest_example(machine)[3:]}",
                ratio(found, "machine", best).text(),
            ]
        )
    header = ["case", "K", "a core: times a", "times the best b", "times b in NCHW"]
    header += ["machine: times the fastest a", "times the best b"]
    return "\n\n".join(
        [
            "hpsuite's trial-steps per second over those of others, median of ratios (quartiles)",
            table(header, summary),
            "One core, one thread",
            table(*_per_core(cases)),
            "The whole machine",
            table(*_machine(cases)),
        ]
    )


def _per_core(cases: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for found in cases:
        for name, rates in found["per_core"].items():
            gflops = _middle(rates) * found["operations_per_step"] / 1e9
            memory = found["peak_mb"][name]
            rows.append(
                [
                    found["case"],
                    name,
                    f"{_middle(rates):,.0f}",
                    ratio(found, "per_core", name).text(),
                    f"{gflops / _middle(found['peak_gflops']):.0%}",
                    "" if memory is None else f"{memory:,.0f}",
                ]
            )
    header = ["case", "contender", "trial-steps per CPU second", "hpsuite's, times that"]
    return [*header, "share of the matmul peak", "peak memory, MB"], rows


def _machine(cases: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [found["case"], name, f"{_middle(rates):,.0f}", ratio(found, "machine", name).text()]
        for found in cases
        for name, rates in found["machine"].items()
    ]
    return ["case", "contender", "trial-steps per second", "hpsuite's, times that"], rows


def main() -> None:
    """Measure and write."""
    options = parser(__doc__, "one round of a case of each network")
    options.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    options.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    options.add_argument("--normalizations", nargs="+", default=["none", "before"])
    options.add_argument("--optimizers", nargs="+", default=["sgd", "adam"])
    options.add_argument("--numerics", nargs="+", default=["float32"], choices=list(NUMERICS))
    options.add_argument("--data-dir", default=os.environ.get("HPSUITE_DATA", "data"))
    given = options.parse_args()
    started, rounds = time.monotonic(), 1 if given.quick else given.rounds
    cases: list[dict[str, Any]] = []
    crews: dict[str, Crew] = {}
    sources: dict[str, Data] = {}
    try:
        for case in wanted(given):
            say(f"{time.monotonic() - started:.0f} s: {case.title}")
            if case.of.source not in sources:
                sources[case.of.source] = case.data()
            cases.append(measure(case, sources[case.of.source], crews, rounds))
            write(given, cases, started, rounds)
    finally:
        for crew in crews.values():
            crew.end()
    print(tables(cases))


def write(
    given: argparse.Namespace, cases: Sequence[Mapping[str, Any]], started: float, rounds: int
) -> None:
    """Write what was found so far."""
    said = about(started, rounds)
    peak = Quartiles.of([rate for found in cases for rate in found["peak_gflops"]])
    text = f"{tables(cases)}\n\nMeasured peak of a core: {peak.text(1)} GFLOP/s, n = {peak.n}."
    own = [] if given.networks == list(NETWORKS) else given.networks
    write_results(given.output, "-".join(["throughput", *own]), said, cases, text)


def wanted(given: argparse.Namespace) -> list[Case]:
    """The cases that are asked for."""
    axes = (given.networks, given.normalizations, given.optimizers, given.numerics)
    cases = [
        Case(*axes_of_one, data_dir=given.data_dir) for axes_of_one in itertools.product(*axes)
    ]
    if given.quick:
        first = {case.network: case for case in reversed(cases)}
        return list(reversed(first.values()))
    return cases


if __name__ == "__main__":
    main()
