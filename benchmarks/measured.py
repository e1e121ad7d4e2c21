"""What the benchmarks of speed share: times, ratios, what stands beside figures, files of results.

A ratio is taken within one round, in which contenders run one after the other, so that whatever
else the machine does falls on all of them; what is published is the median of the ratios with
their quartiles.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from hpsuite.provenance import commit, processor, versions

# As it is when a benchmark starts.
COMMIT = commit()
RESULTS = Path(__file__).resolve().parent / "results"
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of n values."""

    low: float
    median: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quartiles":
        """Of one value or more; with fewer than two there is no spread to tell."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(low, median, high, len(values))

    def text(self, digits: int = 2) -> str:
        """`1.50 (1.40 to 1.61)`, with so many decimals."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def ratios(slow: Sequence[float], fast: Sequence[float]) -> Quartiles:
    """Quartiles of a ratio, round by round."""
    return Quartiles.of([a / b for a, b in zip(slow, fast, strict=True)])


@dataclass(frozen=True)
class Cost:
    """What a call took: CPU and wall seconds, and the most memory that its process held, in MB.

    `peak_mb` is the peak of the resident set, of libraries too; None where the system does not
    tell.
    """

    cpu: float
    wall: float
    peak_mb: float | None


def cost_of(function: Callable[[], object]) -> Cost:
    """Call a function, and see what that takes in this process, all its threads together."""
    resettable = _forget_peak()
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(cpu, wall, _peak_mb() if resettable else None)


def _forget_peak() -> bool:
    """Let the peak of this process's resident set begin anew; whether the system can."""
    try:
        _CLEAR.write_text("5")  # Linux: proc(5), clear_refs
    except OSError:
        return False
    return _STATUS.exists()


def _peak_mb() -> float:
    lines = _STATUS.read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1024


class Clock:
    """CPU and wall seconds of this process by what they are spent on, each moment counted once."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._inside: list[str] = []
        self._since = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.process_time(), time.perf_counter()

    def _charge(self) -> None:
        now = self._now()
        if self._inside:
            own = self.seconds.setdefault(self._inside[-1], [0.0, 0.0])
            for i in range(2):
                own[i] += now[i] - self._since[i]
        self._since = now

    @contextmanager
    def __call__(self, label: str) -> Iterator[None]:
        """Count what is done inside, but for what is counted there as something else."""
        self._charge()
        self._inside.append(label)
        try:
            yield
        finally:
            self._charge()
            self._inside.pop()

    def timed(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        """The function, its calls counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            with self(label):
                return function(*arguments, **keywords)

        return call


def matmul_rate(seconds: float = 0.1, size: int = 1024) -> float:
    """Multiply-adds, counted as two operations each, that torch's own product does in a CPU second.

    In float32, of square matrices, on as many threads as torch has; in GFLOP/s.
    """
    a, b, out = (torch.ones(size, size) for _ in range(3))
    torch.mm(a, b, out=out)
    n, cpu = 0, time.process_time()
    while time.process_time() - cpu < seconds:
        torch.mm(a, b, out=out)
        n += 1
    return 2 * n * size**3 / (time.process_time() - cpu) / 1e9


def about(started: float, n: int, device: str = "") -> dict[str, object]:
    """What stands beside the figures of a benchmark.

    Args:
        started: by `time.monotonic`.
        n: rounds, or runs, of each figure.
        device: in words; by default the processor.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "-m", *_module(), *sys.argv[1:]]),
        "versions": versions(),
        "device": device or f"{os.cpu_count()} cores of {processor()}",
        "commit": COMMIT,
        "n": n,
        "seconds": round(time.monotonic() - started),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _module() -> list[str]:
    """The module that was started, as it is named on the command line."""
    return [f"benchmarks.{Path(sys.argv[0]).stem}"]


def heading(said: Mapping[str, object]) -> str:
    """What stands beside the figures, in a line of Markdown."""
    own = said["versions"]
    load = said["load_average"]
    assert isinstance(own, Mapping)
    assert isinstance(load, Sequence)
    named = ", ".join(f"{name} {own[name]}" for name in ("hpsuite", "torch", "optuna", "python"))
    return (
        f"`{said['command']}` of {str(said['created'])[:10]}, commit {said['commit']}: {named}; "
        f"{said['device']}; n = {said['n']}; load average {load[0]:.1f} at the end"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_results(
    folder: Path, name: str, said: Mapping[str, object], found: object, text: str
) -> None:
    """Write NAME-DATE.json and NAME-DATE.md into a folder.

    Args:
        folder: made where it is missing.
        name: of the benchmark.
        said: by `about`.
        found: all figures, as plain values.
        text: the tables, in Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{str(said['created'])[:10]}"
    whole = f"# {name}\n\n{heading(said)}\n\n{text}\n"
    content = json.dumps({**said, "found": found}, indent=1, allow_nan=False)
    (folder / f"{stem}.json").write_text(content + "\n", encoding="utf-8")
    (folder / f"{stem}.md").write_text(whole, encoding="utf-8")


def parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """The options that all of them have; `quick` says what that leaves of it."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--quick", action="store_true", help=f"{quick}, to see that it runs")
    made.add_argument(
        "--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)"
    )
    return made


def say(text: str) -> None:
    """Say how far it is, on the standard error."""
    print(text, file=sys.stderr, flush=True)
