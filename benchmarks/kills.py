"""What a kill costs: a study is killed again and again, in each phase, and continued each time.

    python -m benchmarks.kills --kills 200

A small study of four strategies, two of them with checkpoints, runs as `python -m hpsuite` runs it,
in a process group of its own. At a random call of the phase asked for, and within it, at a random
line of Python or, where it lasts, after a random time, the whole process group gets SIGKILL. That
the kill fell into the phase is read from a log that the process keeps: its last entry is that the
phase was entered. The same command then continues, to be killed in another phase, until nothing is
left to kill; then another study begins. After every third kill the journal also gets a torn line,
as of a write that the kill cut: half of a line, which is not of the study.

Checked after each kill: the record opens; trials are numbered without a gap or a double; all that
`StudyRun.tell` had returned for is told; and what is told is what a study that nobody killed was
told, to the bit. At the end of each study: the same trials.csv, whole folders of files alone, one
MLflow run each, with the same figures, and no checkpoint left.
"""

import functools
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.disturbed import Child, Outcome, Record, outcome, record, run_hpsuite
from benchmarks.measured import about, parser, say, table, write_results

# Where each phase is: module, owner within it, function.
PLACES: Mapping[str, tuple[str, str, str]] = {
    "asking": ("hpsuite.study", "StudyRun", "ask"),
    "training": ("hpsuite.executors", "", "train_batch"),
    "training in workers": ("hpsuite.attempts", "", "wait"),
    "telling": ("hpsuite.study", "StudyRun", "tell"),
    "writing the journal": ("hpsuite.journal", "Journal", "append_logs"),
    "saving a checkpoint": ("hpsuite.training.checkpoints", "Checkpoints", "save"),
    "writing the report": ("hpsuite.experiment", "", "write_files"),
    "writing to MLflow": ("hpsuite.experiment", "", "show_in_mlflow"),
}
# Those that last long enough for a timer; the others are killed at a line.
TIMED = {"training", "training in workers", "writing the report", "writing to MLflow"}
ONCE = {"writing the report", "writing to MLflow"}
# So many kills come before all is trained, where both are due.
EARLY = 0.8
STRATEGIES = ("log_random", "tpe", "panda", "population")
OVERRIDES = (
    *("name=killed", f"+matrix.strategy=[{','.join(STRATEGIES)}]", "space=rate_momentum"),
    *("model.layers=1", "model.units=16", "dataset.train_fraction=0.5", "budget.trials=8"),
    *("budget.epochs=2", "repeats=2", "device=cpu"),
)
LOG = "phases.log"
TORN = b'{"op_code":5,"worker_id":"somebody","trial_id":0,"user_a'
# Calls of a phase among which the one to kill in is drawn, and lines within it; both are drawn
# evenly in the logarithm.
MOST_CALLS = {"writing the journal": 60}
FEW_CALLS, MOST_LINES = 12, 3000


@dataclass(frozen=True)
class Plan:
    """Where a process is to be killed; `where` is in [0, 1), within the call."""

    phase: str
    call: int
    where: float
    seconds: float


@dataclass(frozen=True)
class Found:
    """What was seen after a kill, or at the end of a study."""

    lost: int = 0
    doubled: int = 0
    changed: int = 0


def child(plan: Plan | None) -> None:
    """Run the command in this process, which is killed as planned."""
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(**what: object) -> None:
        os.write(log, json.dumps(what).encode() + b"\n")

    for phase, (module, owner, name) in PLACES.items():
        place: Any = importlib.import_module(module)
        place = getattr(place, owner) if owner else place
        setattr(place, name, _watched(getattr(place, name), phase, plan, note))
    workers = plan is not None and plan.phase == "training in workers"
    own = f"executor={'processes' if workers else 'inline'}"
    run_hpsuite([*OVERRIDES, own, *(["executor.workers=2"] if workers else [])])


def _watched(
    real: Callable[..., Any], phase: str, plan: Plan | None, note: Callable[..., None]
) -> Callable[..., Any]:
    calls = 0

    def watched(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        begun = time.perf_counter()
        aimed = plan if plan is not None and (plan.phase, plan.call) == (phase, calls) else None
        if aimed is not None:
            note(entered=phase)
            _aim(aimed)
        returned = real(*args, **named)
        if aimed is not None:
            sys.settrace(None)
            note(left=phase)
            _kill()  # too late: the kill falls right behind the call
        if phase == "telling":
            note(told=args[0].name, n=args[0].n_told)
        if plan is None:
            note(phase=phase, seconds=time.perf_counter() - begun)
        return returned

    return watched


def _aim(plan: Plan) -> None:
    """Let the kill come."""
    if plan.phase in TIMED:
        timer = threading.Timer(plan.where * plan.seconds, _kill)
        timer.daemon = True
        timer.start()
        return
    left = int(MOST_LINES**plan.where)

    def trace(_: FrameType, event: str, __: object) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                _kill()
        return trace

    sys.settrace(trace)


def _kill() -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def start(folder: Path, plan: Plan | None) -> int:
    """Run a child to its end; returns its exit status."""
    (folder / LOG).unlink(missing_ok=True)
    made = Child(folder, functools.partial(child, plan))
    status = made.wait()
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"status {status}:\n{made.said}")
    return status


def notes(folder: Path) -> list[dict[str, Any]]:
    """What the last child logged."""
    path = folder / LOG
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def check_killed(folder: Path, expected: Record) -> Found:
    """The record that a kill left, against what was told before it and what would have been."""
    found = record(folder)
    lost = doubled = changed = 0
    for name, trials in found.items():
        numbers = [trial[0] for trial in trials]
        doubled += len(numbers) - len(set(numbers))
        changed += sum(trial != expected[name][trial[0]] for trial in trials)  # type: ignore[call-overload]
        changed += numbers != list(range(len(numbers)))
    told = {note["told"]: note["n"] for note in notes(folder) if "told" in note}
    for name, n in told.items():
        lost += max(0, n - len(found.get(name, [])))
    return Found(lost, doubled, changed)


@dataclass
class Harness:
    """Studies that are killed, one after the other."""

    scratch: Path
    generator: random.Random
    whole: Outcome
    seconds: Mapping[str, float]

    def __post_init__(self) -> None:
        self.kills: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.found: dict[str, Found] = {phase: Found() for phase in PLACES}
        self.torn = self.studies = 0
        self._folder: Path | None = None

    @classmethod
    def begin(cls, scratch: Path, seed: int) -> "Harness":
        """Run the study that nobody kills."""
        folder = scratch / "whole"
        folder.mkdir()
        if start(folder, None):
            raise RuntimeError("the study that nobody kills was killed")
        last: dict[str, float] = {}
        for note in notes(folder):
            if "phase" in note:
                last[note["phase"]] = max(note["seconds"], last.get(note["phase"], 0.0))
        # In workers a batch takes about as long as it does here.
        last["training in workers"] = last["training"]
        return cls(scratch, random.Random(seed), outcome(folder, "killed"), last)

    def kill(self, phase: str) -> bool:
        """Kill in a phase; False where the study ended before it came to that."""
        if self._folder is None:
            self.studies += 1
            self._folder = self.scratch / f"study{self.studies}"
            self._folder.mkdir()
        folder = self._folder
        call = 1 if phase in ONCE else self._draw_call(MOST_CALLS.get(phase, FEW_CALLS))
        plan = Plan(phase, call, self.generator.random(), self.seconds[phase])
        if start(folder, plan) == 0:
            self.finish()
            return False
        last = next((note for note in reversed(notes(folder)) if "told" not in note), {})
        if last != {"entered": phase}:
            self.missed[phase] += 1
        else:
            self.kills[phase] += 1
        found, new = self.found[phase], check_killed(folder, self.whole.record)
        self.found[phase] = Found(
            found.lost + new.lost, found.doubled + new.doubled, found.changed + new.changed
        )
        if sum(self.kills.values()) % 3 == 0 and (folder / "hpsuite.journal").exists():
            with (folder / "hpsuite.journal").open("ab") as file:
                file.write(TORN[: self.generator.randint(1, len(TORN))])
            self.torn += 1
        return True

    def _draw_call(self, most: int) -> int:
        # Evenly in the logarithm: a study that was killed before has few calls left.
        return int((most + 1) ** self.generator.random())

    def finish(self) -> None:
        """Let the study that was killed come to its end, and compare."""
        if self._folder is None:
            return
        folder, self._folder = self._folder, None
        if start(folder, None):
            raise RuntimeError("a study that nobody kills was killed")
        found = outcome(folder, "killed")
        for name in ("record", "trials", "files", "mlflow"):
            if getattr(found, name) != getattr(self.whole, name):
                raise RuntimeError(f"{name} of {folder} differs from that of a study not killed")


def run(scratch: Path, kills: Mapping[str, int], seed: int) -> Harness:
    """Kill so often in each phase, in random order; late phases end a study."""
    harness = Harness.begin(scratch, seed)
    tries = 0
    while any(harness.kills[phase] < n for phase, n in kills.items()):
        tries += 1
        if tries > 10 * sum(kills.values()) + 10:
            raise RuntimeError(f"phases that are never reached: {harness.kills}")
        due = [phase for phase, n in kills.items() if harness.kills[phase] < n]
        early = [phase for phase in due if phase not in ONCE]
        # Files and MLflow are written when all is trained: most kills come before.
        late = [phase for phase in due if phase in ONCE]
        is_early = early and (not late or harness.generator.random() < EARLY)
        phase = harness.generator.choice(early if is_early else late)
        if harness.kill(phase):
            done = sum(harness.kills.values())
            if done % 10 == 0:
                say(f"{done} of {sum(kills.values())} kills")
    harness.finish()
    return harness


def main() -> None:
    """Kill, and write what was found."""
    made = parser(__doc__ or "", quick="one kill in each phase")
    made.add_argument("--kills", type=int, default=200, help="kills in all")
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    options = made.parse_args()
    each = 1 if options.quick else -(-options.kills // len(PLACES))
    begun = time.monotonic()
    # It stays where something is not right.
    scratch = Path(tempfile.mkdtemp())
    harness = run(scratch, dict.fromkeys(PLACES, each), options.seed)
    shutil.rmtree(scratch)
    rows = [
        [phase, *map(str, (harness.kills[phase], *asdict(harness.found[phase]).values()))]
        for phase in PLACES
    ]
    total = sum(harness.kills.values())
    said = [
        "Kills by SIGKILL of the whole process group within a phase, and what was then in the "
        "record: trials lost that were told, trials doubled, results that differ from those of a "
        "study that nobody killed.",
        table(["killed while", "kills", "lost", "doubled", "changed"], rows),
        f"{total} kills in {harness.studies} studies, each of which ended as one that nobody "
        f"killed: the same trials.csv, files and MLflow runs. {harness.torn} times the journal got "
        f"a torn line besides. {sum(harness.missed.values())} more kills came right behind their "
        "phase; what they cost is counted beside.",
    ]
    found = {"kills": rows, "torn": harness.torn, "studies": harness.studies}
    write_results(options.output, "kills", about(begun, total), found, "\n\n".join(said))


if __name__ == "__main__":
    main()
