"""What faults cost a record on PostgreSQL: small studies, a real server, and what happens to both.

    python -m benchmarks.postgres_faults --tries 5

Each fault comes at a random moment of a study that runs as `python -m hpsuite` runs it. Where the
run ends by it, its status must be the documented one, what it says one line, and the same command
then continues it. In the end the record must be that of a study in a journal that nothing
disturbed: the same trials with the same results, to the bit, none lost, none doubled, and no others
in the database. Anything else ends the benchmark with an error, and its folder stays.
"""

import functools
import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.disturbed import Child, Record, record, run_hpsuite
from benchmarks.faults import STUDY, expect, one_line
from benchmarks.measured import about, parser, say, table, write_results
from benchmarks.postgres_server import Server, missing, running

INLINE = (*STUDY, "executor=inline", "budget.epochs=3")
WITH_MLFLOW = (*STUDY[:-1], "executor=inline", "budget.epochs=3")
# Trials of a study, and processes at once.
TRIALS, MANY = 32, 8


class Studies:
    """Studies on a server, each in a database of its own."""

    def __init__(self, scratch: Path, seed: int, server: Server) -> None:
        """Nothing has run yet."""
        self.generator = random.Random(seed)
        self.server = server
        self._scratch = scratch
        self._whole: dict[tuple[str, ...], Record] = {}
        self._n = 0

    def folder(self) -> Path:
        """A new one, empty."""
        self._n += 1
        made = self._scratch / str(self._n)
        made.mkdir()
        return made

    def database(self) -> str:
        """The address of a new one, empty."""
        self._n += 1
        return self.server.create(f"study{self._n}", over_tcp=True)

    def whole(self, command: tuple[str, ...]) -> Record:
        """Undisturbed, in a journal."""
        if command not in self._whole:
            folder = self.folder()
            expect(self.start(folder, command), 0)
            self._whole[command] = record(folder)
        return self._whole[command]

    def start(
        self, folder: Path, command: Sequence[str], *, patience: float = 60, output: str = "out.txt"
    ) -> Child:
        """Start a command, which waits so many seconds for a server that is gone."""

        def what() -> None:
            from hpsuite import lasting

            lasting.PATIENCE, lasting.PAUSE = patience, 0.1
            run_hpsuite(command)

        return Child(folder, what, output)

    def moment(self, child: Child, address: str) -> bool:
        """Wait until some trials, one at least, are told; False where it ended before."""
        n = self.generator.randrange(1, TRIALS)
        while child.poll() is None:
            if self.told(address) >= n:
                time.sleep(0.02 * self.generator.random())
                return child.poll() is None
            time.sleep(0.005)
        return False

    def told(self, address: str) -> int:
        """Trials in a database that have ended."""
        name = name_of(address)
        there = self.server.execute("SELECT to_regclass('trials')::text", name)
        if there == [(None,)]:
            return 0
        ((n,),) = self.server.execute("SELECT count(*) FROM trials WHERE state != 'RUNNING'", name)
        assert isinstance(n, int)
        return n

    def check(self, folder: Path, address: str, *commands: tuple[str, ...]) -> None:
        """Continue, and compare with what nothing disturbed."""
        expected: Record = {}
        for command in commands:
            child = self.start(folder, (*command, f"storage={address}"))
            if child.wait() != 0:
                raise RuntimeError(f"cannot be continued:\n{child.said}")
            expected |= self.whole(command)
        if record(folder, address) != expected:
            raise RuntimeError(f"the record of {folder} is not that of an undisturbed study")
        if self.told(address) != (n := sum(map(len, expected.values()))):
            raise RuntimeError(f"{self.told(address)} trials, not {n}")


def name_of(address: str) -> str:
    """The database's."""
    return address.partition("?")[0].rpartition("/")[2]


def killed(studies: Studies) -> str:
    """SIGKILL, continued, and again."""
    folder, address = studies.folder(), studies.database()
    n = 0
    for _ in range(2):
        child = studies.start(folder, (*INLINE, f"storage={address}"))
        studies.moment(child, address)
        child.signal(signal.SIGKILL)
        expect(child, -signal.SIGKILL, 0)
        n += child.wait() != 0
    studies.check(folder, address, INLINE)
    return f"killed {n} times, continued"


def restarted(how: signal.Signals, studies: Studies) -> str:
    """The server ends, and is back after a while."""
    folder, address = studies.folder(), studies.database()
    child = studies.start(folder, (*INLINE, f"storage={address}"))
    late = not studies.moment(child, address)
    studies.server.stop(how)
    time.sleep(2 * studies.generator.random())
    studies.server.start()
    expect(child, 0)
    waited = child.said.count("waiting for it")
    if waited > 1 or "Traceback" in child.said:
        raise RuntimeError(child.said)
    studies.check(folder, address, INLINE)
    return "waited, told once, status 0" if waited and not late else "too late"


def away(studies: Studies) -> str:
    """The server is gone for longer than anybody waits."""
    folder, address = studies.folder(), studies.database()
    child = studies.start(folder, (*INLINE, f"storage={address}"), patience=1)
    studies.moment(child, address)
    studies.server.stop()
    status = child.wait()
    studies.server.start()
    expect(child, 0, 1)
    if status:
        one_line(child, "the same command continues it")
    studies.check(folder, address, INLINE)
    return "status 1, one line, continued" if status else "too late"


def cut(studies: Studies) -> str:
    """Its connection is ended, again and again."""
    folder, address = studies.folder(), studies.database()
    child = studies.start(folder, (*INLINE, f"storage={address}"))
    n = 0
    while not studies.told(address) and child.poll() is None:
        time.sleep(0.01)
    while child.poll() is None:
        time.sleep(0.3 * studies.generator.random())
        cuts = studies.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            f"'{name_of(address)}' AND backend_type = 'client backend'"
        )
        n += len(cuts)
    expect(child, 0)
    studies.check(folder, address, INLINE)
    return "ended three times or more, status 0" if n > 2 else "too late"


def at_once(commands: Sequence[tuple[str, ...]], studies: Studies) -> str:
    """Several processes on one new database."""
    folder, address = studies.folder(), studies.database()
    children = [
        studies.start(folder, (*command, f"storage={address}"), output=f"{i}.txt")
        for i, command in enumerate(commands)
    ]
    statuses = Counter(child.wait() for child in children)
    for child in children:
        expect(child, 0, *([2] if len(set(commands)) < len(commands) else []))
        if child.wait() == 2:
            one_line(child, "another run")
    if not statuses[0]:
        raise RuntimeError("all refused to go on")
    studies.check(folder, address, *dict.fromkeys(commands))
    refused = f", {statuses[2]} refused in a line" if statuses[2] else ""
    return f"{statuses[0]} ended with status 0{refused}"


def moved_on(studies: Studies) -> str:
    """The server restarts, and a second run of the same study is there first."""
    folder, address = studies.folder(), studies.database()
    command = (*INLINE, f"storage={address}")
    first = studies.start(folder, command, output="1.txt")
    studies.moment(first, address)
    studies.server.stop()
    second = studies.start(folder, command, output="2.txt")
    time.sleep(studies.generator.random())
    studies.server.start()
    for child in (first, second):
        expect(child, 0, 2)
        if child.wait() == 2:
            one_line(child, "accepted: ")
    studies.check(folder, address, INLINE)
    return f"first: status {first.wait()}, second: status {second.wait()}"


def mlflow_too(studies: Studies) -> str:
    """Two runs at once whose MLflow is one new database; one is killed while it writes there."""
    folder, address = studies.folder(), studies.database()
    uri = studies.database()
    commands = [
        (*WITH_MLFLOW, f"storage={address}", f"tracking.uri={uri}", f"seed={i}", f"name=two{i}")
        for i in range(2)
    ]
    children = [
        studies.start(folder, command, output=f"{i}.txt") for i, command in enumerate(commands)
    ]
    killer = threading.Event()
    while not killer.wait(0.01) and children[0].poll() is None:
        there = studies.server.execute("SELECT count(*) FROM pg_tables", name_of(uri))
        if there[0][0] != studies.server.execute("SELECT count(*) FROM pg_tables")[0][0]:
            time.sleep(3 * studies.generator.random())
            children[0].signal(signal.SIGKILL)
            killer.set()
    expect(children[0], -signal.SIGKILL, 0)
    expect(children[1], 0)
    again = studies.start(folder, commands[0], output="again.txt")
    expect(again, 0)
    for child in (children[1], again):
        if "MLflow was not updated" in child.said:
            raise RuntimeError(child.said)
    runs = studies.server.execute(
        "SELECT count(*) FROM runs r JOIN experiments e USING (experiment_id) WHERE "
        "r.status = 'FINISHED' AND e.name LIKE 'two%' AND NOT EXISTS (SELECT 1 FROM tags t WHERE "
        "t.run_uuid = r.run_uuid AND t.key IN ('hpsuite.superseded_by', 'mlflow.parentRunId'))",
        name_of(uri),
    )
    if runs != [(8,)]:  # of each: two arms, their setup, the report
        raise RuntimeError(f"{runs} runs in MLflow")
    return "both are shown in full"


_SEEDS = [(*INLINE, f"seed={i}") for i in range(MANY)]
FAULTS: dict[str, Callable[[Studies], str]] = {
    "SIGKILL, twice": killed,
    "server restarted": functools.partial(restarted, signal.SIGINT),
    "server crashed, and recovers": functools.partial(restarted, signal.SIGQUIT),
    "server gone for longer than is waited": away,
    "connections ended by the server, again and again": cut,
    f"{MANY} studies at once, new database": functools.partial(at_once, _SEEDS),
    f"one study {MANY} times at once, new database": functools.partial(at_once, [INLINE] * MANY),
    "server restarted, a second run of the study waits": moved_on,
    "MLflow in a new database, one of two killed": mlflow_too,
}


def run(scratch: Path, faults: Sequence[str], tries: int, seed: int) -> dict[str, Counter[str]]:
    """Try each fault so often; returns what happened, by fault."""
    found: dict[str, Counter[str]] = {}
    with running() as server:
        os.environ["PGPASSWORD"] = server.password
        studies = Studies(scratch, seed, server)
        for fault in faults:
            found[fault] = Counter(FAULTS[fault](studies) for _ in range(tries))
            say(f"{fault}: {_told(found[fault])}")
    return found


def _told(happened: Counter[str]) -> str:
    return "; ".join(f"{n} x {what}" for what, n in happened.most_common())


def main() -> None:
    """Disturb, and write what happened."""
    made = parser(__doc__ or "", quick="each fault once")
    made.add_argument("--tries", type=int, default=5, help="of each fault")
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    made.add_argument("--only", nargs="+", default=[""], help="faults that hold one of these words")
    made.add_argument("--add", type=Path, help="to what an earlier run of this benchmark wrote")
    options = made.parse_args()
    if why := missing():
        raise SystemExit(why)
    tries = 1 if options.quick else options.tries
    begun = time.monotonic()
    # It stays where something is not right.
    scratch = Path(tempfile.mkdtemp())
    faults = [fault for fault in FAULTS if any(word in fault for word in options.only)]
    found = run(scratch, faults, tries, options.seed)
    shutil.rmtree(scratch)
    earlier = json.loads(options.add.read_text())["found"] if options.add else {}
    for fault, happened in earlier.items():
        found[fault] = found.get(fault, Counter()) + Counter(happened)
    found = {fault: found[fault] for fault in FAULTS if fault in found}
    rows = [
        [fault, str(sum(happened.values())), _told(happened)] for fault, happened in found.items()
    ]
    said = [
        "Faults at random moments of a study whose record is on PostgreSQL, what happened, and how "
        "often. Every study then ended with the record of one in a journal that nothing disturbed: "
        "no trial lost, none doubled, all results the same to the bit.",
        table(["fault", "tried", "what happened"], rows),
    ]
    results = {fault: dict(happened) for fault, happened in found.items()}
    write_results(
        options.output, "postgres_faults", about(begun, tries), results, "\n\n".join(said)
    )


if __name__ == "__main__":
    main()
