"""What faults cost: small studies meet a full disk, lost workers, signals, each other.

    python -m benchmarks.faults --tries 10

Each fault comes at a random moment of a study that runs as `python -m hpsuite` runs it, with a
record in a journal or in SQLite. Where the fault ends the run, its exit status must be the one that
is documented, and what it says one line; the same command then continues it. In the end the record
must be that of a study that nothing disturbed: the same trials with the same results, to the bit,
none lost, none doubled. Anything else ends the benchmark with an error, and its folder stays.
"""

import contextlib
import functools
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from optuna.storages.journal._file import LOCK_FILE_SUFFIX

from benchmarks.disturbed import Child, Record, record, run_hpsuite
from benchmarks.kills import TORN
from benchmarks.measured import about, parser, say, table, write_results

STUDY = (
    *("name=disturbed", "+matrix.strategy=[log_random,tpe]", "space=rate_momentum"),
    *("model.layers=1", "model.units=16", "dataset.train_fraction=0.5", "budget.trials=8"),
    *("repeats=2", "device=cpu", "analysis.report=false", "tracking=none"),
)
INLINE = (*STUDY, "executor=inline", "budget.epochs=3")
# Batches that last long enough to lose the worker in them.
WORKERS = (*STUDY, "executor.workers=2", "budget.epochs=120")
SQLITE = (*INLINE, "storage=sqlite:///record.db")
FRAGILE = (
    *INLINE[:-2],
    *("executor.workers=2", "budget.epochs=2", "packages=[benchmarks]"),
    *("model._target_=benchmarks.fragile.fragile", "+model.ends=no", "space=rate_only"),
    "+space.units={low: 4, high: 8, scale: integer}",
)

# Bytes; what a run says goes to a file, too, and is to be read.
LEAST_ROOM = 5_000
# Seconds of processor time from which a worker trains; it needs much less to start.
AT_WORK = 0.3
# Seconds after that; training takes about so long.
MOST_LATER = 1.5


class Studies:
    """Studies that are disturbed, and the same ones undisturbed."""

    def __init__(self, scratch: Path, seed: int) -> None:
        """Nothing has run yet."""
        self.generator = random.Random(seed)
        self._scratch = scratch
        self._whole: dict[tuple[str, ...], tuple[Record, int, float]] = {}
        self._n = 0

    def folder(self) -> Path:
        """A new empty one."""
        self._n += 1
        made = self._scratch / str(self._n)
        made.mkdir()
        return made

    def whole(self, command: tuple[str, ...]) -> tuple[Record, int, float]:
        """Undisturbed: the record, its size in bytes, and seconds."""
        if command not in self._whole:
            folder, started = self.folder(), time.monotonic()
            expect(self.start(folder, command), 0)
            seconds = time.monotonic() - started
            self._whole[command] = record(folder), storage(folder).stat().st_size, seconds
        return self._whole[command]

    def start(
        self,
        folder: Path,
        command: Sequence[str],
        before: Callable[[], None] = lambda: None,
        output: str = "output.txt",
    ) -> Child:
        """Start a command; `before` is called in its process first."""

        def what() -> None:
            before()
            run_hpsuite(command)

        return Child(folder, what, output)

    def moment(self, child: Child, folder: Path, command: tuple[str, ...]) -> bool:
        """Wait until a random share of the record is written; False where it ended before."""
        size = self.generator.random() * self.whole(command)[1]
        while child.poll() is None:
            if storage(folder).exists() and storage(folder).stat().st_size >= size:
                return True
            time.sleep(0.001)
        return False

    def check(self, folder: Path, command: tuple[str, ...]) -> None:
        """Continue, and compare with what nothing disturbed."""
        child = self.start(folder, command)
        if child.wait() != 0:
            raise RuntimeError(f"cannot be continued:\n{child.said}")
        if record(folder) != self.whole(command)[0]:
            raise RuntimeError(f"the record in {folder} is not that of an undisturbed study")


def storage(folder: Path) -> Path:
    """The file of the record."""
    database = folder / "record.db"
    return database if database.exists() else folder / "hpsuite.journal"


def expect(child: Child, *accepted: int) -> None:
    """An exit status that is documented."""
    if (status := child.wait()) not in accepted:
        raise RuntimeError(f"exit status {status}; accepted: {accepted}; said:\n{child.said}")


def one_line(child: Child, words: str) -> None:
    """What ended a run is said in one line, without a traceback."""
    last = child.said.rstrip().splitlines()[-1]
    if "Traceback" in child.said or words not in last:
        raise RuntimeError(f"said:\n{child.said}")


def signalled(number: signal.Signals, status: int, studies: Studies) -> str:
    """An interrupt or a termination."""
    folder = studies.folder()
    child = studies.start(folder, INLINE)
    studies.moment(child, folder, INLINE)
    child.signal(number, alone=True)
    child.wait(30)
    expect(child, status, 0)
    if child.wait() == status:
        one_line(child, "the same command continues it")
    studies.check(folder, INLINE)
    return "too late" if child.wait() == 0 else f"status {status}, continued"


def interrupted_twice(studies: Studies) -> str:
    """Two interrupts, a moment apart."""
    folder = studies.folder()
    child = studies.start(folder, WORKERS)
    studies.moment(child, folder, WORKERS)
    child.signal(signal.SIGINT, alone=True)
    time.sleep(0.01 * studies.generator.random())
    child.signal(signal.SIGINT, alone=True)
    child.wait(5)
    expect(child, 130, -signal.SIGINT, 0)
    studies.check(folder, WORKERS)
    return "ended at once, continued"


def full(command: tuple[str, ...], words: str, studies: Studies) -> str:
    """No file may be larger than some size, as on a disk that is full."""
    folder = studies.folder()
    _, whole, _ = studies.whole(command)
    size = studies.generator.randint(LEAST_ROOM, whole - 1)
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    child = studies.start(folder, command, limit)
    expect(child, 1, 2)
    # A database that there is no room to create is one that cannot be opened.
    one_line(child, words if child.wait() == 1 else "cannot open")
    studies.check(folder, command)
    return f"status {child.wait()}, one line, continued when there was room"


def moved_away(studies: Studies) -> str:
    """The record is moved away, and comes back."""
    folder = studies.folder()
    child = studies.start(folder, INLINE)
    if not studies.moment(child, folder, INLINE):
        return "too late"
    aside = storage(folder).rename(folder / "aside")
    if child.wait() == 0:
        aside.rename(folder / "hpsuite.journal")
        studies.check(folder, INLINE)
        return "too late"
    expect(child, 1)
    one_line(child, "the same command continues it")
    if storage(folder).exists():
        raise RuntimeError("a journal was begun in the middle")
    aside.rename(storage(folder))
    studies.check(folder, INLINE)
    return "status 1, one line, continued when it was back"


def killed_with_sqlite(studies: Studies) -> str:
    """SIGKILL, the record in SQLite."""
    folder = studies.folder()
    _, _, seconds = studies.whole(SQLITE)
    child = studies.start(folder, SQLITE)
    time.sleep(studies.generator.random() * seconds)
    child.signal(signal.SIGKILL)
    expect(child, -signal.SIGKILL, 0)
    studies.check(folder, SQLITE)
    return "continued"


def torn_beside_another(studies: Studies) -> str:
    """A writer is killed within a line, and leaves the lock, while another one writes."""
    folder, other = studies.folder(), (*INLINE, "seed=1", "name=other")
    children = [
        (studies.start(folder, command, output=f"{i}.txt"), command)
        for i, command in enumerate((INLINE, other))
    ]
    done = False
    if studies.moment(children[0][0], folder, INLINE):
        journal = storage(folder)
        lock = journal.with_name(journal.name + LOCK_FILE_SUFFIX)
        while not done and children[0][0].poll() is None:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                time.sleep(0.0001)
                continue
            with journal.open("ab") as file:
                file.write(TORN[: studies.generator.randint(1, len(TORN))])
            done = True
    for child, _ in children:
        if child.wait() != 0:
            raise RuntimeError(child.said)
    expected = {**studies.whole(INLINE)[0], **studies.whole(other)[0]}
    if record(folder) != expected:
        raise RuntimeError(f"the record in {folder} is not that of undisturbed studies")
    if done != any(folder.glob("*.torn-*")):
        raise RuntimeError("the torn line is not kept")
    return "both went on after the lock's 5 s; the torn line is kept" if done else "too late"


def two_at_once(command: tuple[str, ...], studies: Studies) -> str:
    """The same command in two terminals."""
    folder = studies.folder()
    first = studies.start(folder, command, output="1.txt")
    time.sleep(studies.generator.random() * studies.whole(command)[2] / 2)
    second = studies.start(folder, command, output="2.txt")
    found = sorted((first.wait(), second.wait()))
    for child in (first, second):
        expect(child, 0, 2)
        if child.wait() == 2:
            one_line(child, "accepted: ")
    studies.check(folder, command)
    if found == [2, 2]:
        return "both refused to go on; continued"
    return "one went on, the other refused" if found == [0, 2] else "both ended"


def worker_lost(number: signal.Signals, studies: Studies) -> str:
    """A process of a run is killed, or stopped, and nobody wakes it."""
    command = (*WORKERS, "executor.idle_limit=2")
    folder = studies.folder()
    child = studies.start(folder, command)
    if workers := at_work(child, studies):
        with contextlib.suppress(psutil.NoSuchProcess):
            studies.generator.choice(workers).send_signal(number)
    expect(child, 0)
    again = "trained again" in child.said  # before what continues it says something there
    studies.check(folder, command)
    return "its trials trained again, status 0" if again else "it had no work; status 0"


def server_lost(studies: Studies) -> str:
    """All processes of a run but itself are killed."""
    folder = studies.folder()
    child = studies.start(folder, WORKERS)
    if at_work(child, studies):
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(child.pid).children(recursive=True):
                process.kill()
    expect(child, 0, 1)
    if child.wait():
        one_line(child, "the same command continues it")
    studies.check(folder, WORKERS)
    return "status 0" if child.wait() == 0 else "status 1, one line, continued"


def at_work(child: Child, studies: Studies) -> list[psutil.Process]:
    """Workers of a run that trains, at a random moment; empty where it ended before."""
    later = None
    while child.poll() is None:
        workers = []
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ends while it is looked at
            own = psutil.Process(child.pid).children(recursive=True)
            # Workers are children of the server that forks them.
            workers = [process for process in own if process.ppid() != child.pid]
        if later is None and any(_used(process) > AT_WORK for process in workers):
            later = time.monotonic() + studies.generator.random() * MOST_LATER
        if later is not None and time.monotonic() >= later:
            return workers
        time.sleep(0.01)
    return []


def _used(process: psutil.Process) -> float:
    """Seconds of processor time."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def cannot_be_trained(ends: str, studies: Studies) -> str:
    """Some trials end each worker that tries."""
    folder = studies.folder()
    command = (*FRAGILE, f"model.ends={ends}", f"seed={studies.generator.randint(0, 99)}")
    child = studies.start(folder, command)
    expect(child, 0)
    found = record(folder)
    alone = studies.folder()
    expect(studies.start(alone, (*command, "executor=inline")), 0)
    for name, trials in record(alone).items():
        sound = [t for t in trials if dict(t[2])["units"] != 5]  # type: ignore[call-overload]
        if found[name] != sound:
            raise RuntimeError(f"{name} of {folder} is not what it is where nothing ends")
    return "those trials marked as failed, all others the same, status 0"


FAULTS: dict[str, Callable[[Studies], str]] = {
    "SIGINT": functools.partial(signalled, signal.SIGINT, 130),
    "SIGTERM": functools.partial(signalled, signal.SIGTERM, 143),
    "SIGINT twice, with workers": interrupted_twice,
    "full disk under the journal": functools.partial(full, INLINE, "no room"),
    "full disk under SQLite": functools.partial(full, SQLITE, "as where there is no room"),
    "journal moved away": moved_away,
    "SIGKILL with SQLite": killed_with_sqlite,
    "torn line beside a living writer": torn_beside_another,
    "two runs of one study, journal": functools.partial(two_at_once, INLINE),
    "two runs of one study, SQLite": functools.partial(two_at_once, SQLITE),
    "worker killed": functools.partial(worker_lost, signal.SIGKILL),
    "worker stopped (idle_limit=2)": functools.partial(worker_lost, signal.SIGSTOP),
    "all workers killed, and their server": server_lost,
    "trials that kill their worker": functools.partial(cannot_be_trained, "killed"),
    "trials that memory does not hold": functools.partial(cannot_be_trained, "memory"),
}


def run(scratch: Path, faults: Sequence[str], tries: int, seed: int) -> dict[str, Counter[str]]:
    """Try each fault so often; returns what happened, by fault."""
    studies = Studies(scratch, seed)
    found: dict[str, Counter[str]] = {}
    for fault in faults:
        found[fault] = Counter(FAULTS[fault](studies) for _ in range(tries))
        say(f"{fault}: {_told(found[fault])}")
    return found


def _told(happened: Counter[str]) -> str:
    return "; ".join(f"{n} x {what}" for what, n in happened.most_common())


def main() -> None:
    """Disturb, and write what happened."""
    made = parser(__doc__ or "", quick="each fault once")
    made.add_argument("--tries", type=int, default=10, help="of each fault")
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    made.add_argument("--fault", nargs="+", choices=[*FAULTS], default=[*FAULTS])
    options = made.parse_args()
    tries = 1 if options.quick else options.tries
    begun = time.monotonic()
    # It stays where something is not right.
    scratch = Path(tempfile.mkdtemp())
    found = run(scratch, options.fault, tries, options.seed)
    shutil.rmtree(scratch)
    rows = [[fault, str(tries), _told(happened)] for fault, happened in found.items()]
    said = [
        "Faults at random moments of a study, what happened, and how often. Every study then "
        "ended with the record of one that nothing disturbed: no trial lost, none doubled, all "
        "results the same to the bit.",
        table(["fault", "tried", "what happened"], rows),
    ]
    results = {fault: dict(happened) for fault, happened in found.items()}
    write_results(options.output, "faults", about(begun, tries), results, "\n\n".join(said))


if __name__ == "__main__":
    sys.exit(main())
