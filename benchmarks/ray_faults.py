"""What faults cost on a Ray cluster: nodes, tasks and main processes are killed.

    python -m benchmarks.ray_faults --tries 3

A real cluster of three nodes runs on this machine (two that train, and the head), each with
processes of its own. A small study runs on it as `python -m hpsuite executor=ray` runs it, and each
fault comes at a random moment. A run that survives must end with status 0, and one that does not
with the status that is documented, and the same command then continues it. In the end the record
must be that of the study in one process that nothing disturbed: the same trials with the same
results, to the bit, none lost, none doubled, and nothing of it may be left running. Anything else
ends the benchmark with an error, and its folder stays. Nothing else should use Ray on the machine
meanwhile: tasks are found by their name.
"""

import contextlib
import functools
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from benchmarks.disturbed import Record, record
from benchmarks.measured import about, parser, say, table, write_results
from benchmarks.ray_nodes import Nodes

STUDY = (
    *("name=disturbed", "+matrix.strategy=[log_random,tpe]", "space=rate_momentum"),
    *("model.layers=1", "model.units=16", "dataset.train_fraction=0.5", "budget.trials=8"),
    *("repeats=2", "device=cpu", "analysis.report=false", "tracking=none", "budget.epochs=60"),
)
FRAGILE = (
    *STUDY[:-1],
    *("budget.epochs=2", "packages=[benchmarks]", "model._target_=benchmarks.fragile.fragile"),
    *("+model.ends=no", "space=rate_only", "+space.units={low: 4, high: 8, scale: integer}"),
)
INLINE = "executor=inline"
# Seconds that any run may take, and that what was started may need to be gone.
MOST_SECONDS, GONE_WITHIN = 900.0, 60.0
N_NODES = 2
# Bytes that trials may fill.
ROOM = 2 << 30


class Run:
    """A main process; what it says goes to a file."""

    def __init__(self, folder: Path, command: Sequence[str], nodes: Nodes) -> None:
        """Start it in a folder."""
        self.folder = folder
        self._path = folder / "output.txt"
        with self._path.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hpsuite", *command],
                cwd=folder,
                env=nodes.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, *accepted: int) -> int:
        """Its status, which must be one that is accepted."""
        status = self.process.wait(MOST_SECONDS)
        if status not in accepted:
            raise RuntimeError(f"exit status {status}; accepted: {accepted}; said:\n{self.said}")
        return status

    @property
    def said(self) -> str:
        """What it said so far."""
        return self._path.read_text()

    def one_line(self, words: str) -> None:
        """What ended it is said in one line, without a traceback."""
        if "Traceback" in self.said or words not in self.said.rstrip().splitlines()[-1]:
            raise RuntimeError(f"said:\n{self.said}")


class Studies:
    """Studies that are disturbed, and the same ones undisturbed in one process."""

    def __init__(self, scratch: Path, nodes: Nodes, seed: int) -> None:
        """Nothing has run yet."""
        self.generator, self.nodes = random.Random(seed), nodes
        self._scratch = scratch
        self._whole: dict[tuple[str, ...], tuple[Record, int]] = {}

    def folder(self) -> Path:
        """A new empty one."""
        return Path(tempfile.mkdtemp(dir=self._scratch))

    def whole(self, command: tuple[str, ...]) -> tuple[Record, int]:
        """Undisturbed: the record, and its size in bytes."""
        if command not in self._whole:
            run = Run(self.folder(), (*command, INLINE), self.nodes)
            run.wait(0)
            size = (run.folder / "hpsuite.journal").stat().st_size
            self._whole[command] = record(run.folder), size
        return self._whole[command]

    def start(self, command: Sequence[str] = STUDY, *more: str, folder: Path | None = None) -> Run:
        """Start a run on the cluster."""
        place = ("executor=ray", f"executor.address={self.nodes.address}")
        return Run(folder or self.folder(), (*command, *place, *more), self.nodes)

    def moment(self, run: Run) -> bool:
        """Wait until a random share of the record is written; False where it ended before."""
        size = self.generator.random() * self.whole(STUDY)[1]
        journal = run.folder / "hpsuite.journal"
        while run.process.poll() is None:
            trains = any(process.children() for process in at_tasks())
            if trains and journal.exists() and journal.stat().st_size >= size:
                return True
            time.sleep(0.02)
        return False

    def check(self, run: Run) -> None:
        """Continue, compare with what nothing disturbed, and see that nothing is left."""
        self.start(STUDY, folder=run.folder).wait(0)
        if record(run.folder) != self.whole(STUDY)[0]:
            raise RuntimeError(f"the record in {run.folder} is not that of an undisturbed study")
        nothing_left()


def at_tasks() -> list[psutil.Process]:
    """Ray's processes that are at a task."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any("ray::train" in part for part in process.cmdline()):
                found.append(process)
    return found


def forked(task: psutil.Process) -> list[psutil.Process]:
    """The process that trains for a task: a child of the server that forked it."""
    return [process for child in task.children() for process in child.children()]


def nothing_left() -> None:
    """No task, and no folder of a run, outlives it."""
    deadline = time.monotonic() + GONE_WITHIN
    while left := [*at_tasks(), *Path(tempfile.gettempdir()).glob("hpsuite-????????????????")]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"left behind: {left}")
        time.sleep(0.1)


def node_killed(studies: Studies) -> str:
    """A node with a task on it is killed, and another one joins later."""
    run = studies.start()
    killed = studies.moment(run)
    if killed:
        studies.nodes.kill(studies.generator.randrange(N_NODES))
        time.sleep(2 * studies.generator.random())
        studies.nodes.add()
    run.wait(0)
    studies.check(run)
    return "status 0" if killed else "too late"


def all_nodes_killed(studies: Studies) -> str:
    """All nodes that train are killed, and others join later."""
    run = studies.start()
    killed = studies.moment(run)
    for place in (1, 0) if killed else ():
        studies.nodes.kill(place)
    for _ in range(N_NODES if killed else 0):
        studies.nodes.add()
    run.wait(0)
    studies.check(run)
    return "waited for others, status 0" if killed else "too late"


def head_lost(kill: Callable[[Nodes], None], studies: Studies) -> str:
    """The cluster's head is killed, and another cluster started."""
    run = studies.start()
    killed = studies.moment(run)
    if killed:
        kill(studies.nodes)
    found = run.wait(0, 1)
    if found:
        run.one_line("the same command continues it")
    if killed:
        studies.nodes.renew()
    studies.check(run)
    return "one line, status 1, continued on another one" if found else "too late"


def main_process(number: signal.Signals, status: int, studies: Studies) -> str:
    """The main process gets a signal."""
    run = studies.start()
    if not studies.moment(run):
        run.wait(0)
        return "too late"
    run.process.send_signal(number)
    found = run.wait(status, 0)
    if found > 0:
        run.one_line("the same command continues it")
    nothing_left()
    studies.check(run)
    return "too late" if found == 0 else f"status {found}, nothing left on the cluster, continued"


def process_lost(whose: str, number: signal.Signals, studies: Studies) -> str:
    """A process that trains, or the task that watches it, is killed or stopped."""
    run = studies.start(STUDY, "executor.idle_limit=2")
    victims: list[psutil.Process] = []
    if studies.moment(run):
        for task in studies.generator.sample(at_tasks(), k=1):
            with contextlib.suppress(psutil.Error):
                victims = [task] if whose == "task" else forked(task)
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.send_signal(number)
    run.wait(0)
    again = "trained again" in run.said
    studies.check(run)
    return "its trials trained again, status 0" if again else "it had no work; status 0"


def cannot_be_trained(ends: str, studies: Studies, *more: str, why: str = "") -> str:
    """Some trials end each process that tries, and why is told."""
    command = (*FRAGILE, f"model.ends={ends}", f"seed={studies.generator.randint(0, 99)}", *more)
    run = studies.start(command)
    run.wait(0)
    if why not in run.said:
        raise RuntimeError(f"said:\n{run.said}")
    found, (alone, _) = record(run.folder), studies.whole(command)
    for name, trials in alone.items():
        if found[name] != [t for t in trials if dict(t[2])["units"] != 5]:  # type: ignore[call-overload]
            raise RuntimeError(f"{name} of {run.folder} is not what it is where nothing ends")
    nothing_left()
    return "those trials marked as failed, all others the same, status 0"


def memory_full(studies: Studies) -> str:
    """Some trials fill what memory there is, and Ray kills tasks."""
    memory = psutil.virtual_memory()
    studies.nodes.renew((memory.total - memory.available + ROOM) / memory.total)
    try:
        return cannot_be_trained("fills", studies, "budget.trials=4", why="memory ran out")
    finally:
        studies.nodes.renew()


FAULTS: dict[str, Callable[[Studies], str]] = {
    "a node killed": node_killed,
    "all nodes that train killed": all_nodes_killed,
    "the head killed, and main process's node": functools.partial(head_lost, Nodes.kill_head),
    "the head's control process killed": functools.partial(head_lost, Nodes.kill_control),
    "main process killed (SIGKILL)": functools.partial(main_process, signal.SIGKILL, -9),
    "main process: SIGTERM": functools.partial(main_process, signal.SIGTERM, 143),
    "main process: SIGINT": functools.partial(main_process, signal.SIGINT, 130),
    "process that trains killed": functools.partial(process_lost, "own", signal.SIGKILL),
    "process that trains stopped (idle_limit=2)": functools.partial(
        process_lost, "own", signal.SIGSTOP
    ),
    "Ray's process of a task killed": functools.partial(process_lost, "task", signal.SIGKILL),
    "trials that kill their process": functools.partial(cannot_be_trained, "killed"),
    "trials that memory does not hold": functools.partial(cannot_be_trained, "memory"),
    "trials that fill the memory; Ray kills tasks": memory_full,
}


def run(nodes: Nodes, faults: Sequence[str], tries: int, seed: int) -> dict[str, Counter[str]]:
    """Try each fault so often; returns what happened, by fault."""
    # It stays where something is not right.
    scratch = Path(tempfile.mkdtemp())
    studies = Studies(scratch, nodes, seed)
    studies.whole(STUDY)  # not while one is disturbed
    found: dict[str, Counter[str]] = {}
    for fault in faults:
        found[fault] = Counter(FAULTS[fault](studies) for _ in range(tries))
        say(f"{fault}: {_told(found[fault])}")
    shutil.rmtree(scratch)
    return found


def _told(happened: Counter[str]) -> str:
    return "; ".join(f"{n} x {what}" for what, n in happened.most_common())


def main() -> None:
    """Disturb, and write what happened."""
    made = parser(__doc__ or "", quick="each fault once")
    made.add_argument("--tries", type=int, default=3, help="of each fault")
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    made.add_argument("--fault", nargs="+", choices=[*FAULTS], default=[*FAULTS])
    options = made.parse_args()
    tries = 1 if options.quick else options.tries
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="ray-") as folder,
        Nodes(Path(folder), N_NODES) as nodes,
    ):
        found = run(nodes, options.fault, tries, options.seed)
    rows = [[fault, str(tries), _told(happened)] for fault, happened in found.items()]
    said = [
        "Faults at random moments of a study on a Ray cluster, what happened, and how often. Every "
        "study then ended with the record of one in a single process that nothing disturbed: no "
        "trial lost, none doubled, all results the same to the bit; and nothing of it was left "
        f"running. The cluster: a head and {N_NODES} nodes of one core each, all on one machine.",
        table(["fault", "tried", "what happened"], rows),
    ]
    results = {fault: dict(happened) for fault, happened in found.items()}
    write_results(options.output, "ray_faults", about(begun, tries), results, "\n\n".join(said))


if __name__ == "__main__":
    sys.exit(main())
