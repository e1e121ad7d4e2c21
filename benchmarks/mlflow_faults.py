"""What MLflow's failures cost: a study runs against each of them, and MLflow is brought up to date.

    python -m benchmarks.mlflow_faults --tries 3

A small study of two strategies runs as `python -m hpsuite` runs it, with an MLflow that fails: a
SQLite file that is read-only, locked or grows beyond what it may, and a real tracking server behind
a small proxy, which refuses, delays, cuts off or loses answers from a random request on. The run
must end with status 0, say once what failed, and leave the record and the files whole. Then the
fault is taken away, and `+experiment=sync` must leave the same active runs, with the same figures,
as an MLflow that never failed; a second sync, and the study's own command, must change nothing.
"""

import http.client
import json
import multiprocessing
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.disturbed import Record, record
from benchmarks.measured import about, parser, say, table, write_results

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STRATEGIES = ("log_random", "tpe")
OVERRIDES = (
    *(f"+matrix.strategy=[{','.join(STRATEGIES)}]", "model.layers=1", "model.units=4"),
    *("dataset.train_fraction=0.1", "budget.trials=4", "budget.epochs=1", "repeats=2"),
    *("device=cpu", "executor=inline", "tracking.best_trials=2", "analysis.report=false"),
)
NAME = "faulty"
# A server that does not answer is given up after this; MLflow's own retries come on top.
TIMEOUT = "2"
SYNC = ("+experiment=sync",)
# How each of MLflow's failures begins.
SAID = ("MLflow was not updated:", "MLflow refused", "MLflow lacks a file:")
# And what follows them, once.
LATER = "Nothing is lost;"
# Of runs refused, and of files that cannot be written.
MOST_SAID = 3


# --- hpsuite, as a process of its own


def _child(folder: Path, arguments: Sequence[str], most_bytes: int | None) -> None:
    """Run the command in this process; its output goes to a file."""
    os.chdir(folder)
    out = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": TIMEOUT, "COLUMNS": "200"}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.argv = ["hpsuite", *arguments]
    from hpsuite.__main__ import main

    main()


@dataclass(frozen=True)
class Ended:
    """How a process ended: its status, what it printed, and how long it took."""

    status: int | None
    out: str
    seconds: float


def hpsuite(folder: Path, *arguments: str, most_bytes: int | None = None) -> Ended:
    """Run `python -m hpsuite` in a folder, perhaps with a largest size of files."""
    folder.mkdir(exist_ok=True)
    # Forked from a process that has imported what takes seconds.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["hpsuite.experiment", "hpsuite.sync", "mlflow"])
    begun = time.monotonic()
    process = processes.Process(target=_child, args=(folder, arguments, most_bytes))
    process.start()
    process.join()
    seconds = time.monotonic() - begun
    return Ended(process.exitcode, (folder / "output.txt").read_text(), seconds)


# --- a server of MLflow's, and a proxy before it


class Server:
    """A tracking server of our own on the loopback; it starts helpers, so its group is ended."""

    def __init__(self, folder: Path) -> None:
        """Start it; it keeps all in a folder."""
        self._folder = folder
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, again perhaps, on the same port and database."""
        command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1"]
        command += [f"--port={self.port}", "--workers=1"]
        command += [f"--backend-store-uri=sqlite:///{self._folder / 'server.db'}"]
        command += [f"--artifacts-destination={self._folder / 'served'}"]
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError((self._folder / "server.log").read_text())

    def kill(self) -> None:
        """End it at once, as by a power cut."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass(frozen=True)
class Request:
    """What came to the proxy: the how manieth it is, from 1, its path and its body."""

    n: int
    path: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer of the proxy's own."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class Lost(Exception):
    """The server gets the request, and nobody its answer."""


# Does what it does to a request, and lets it pass, or returns an answer in its place.
Fault = Callable[[Request], Answer | None]


def harmless(_: Request) -> None:
    """Let all requests pass."""


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, but for what a fault does to them.

    Attributes:
        fault: what is done to each request.
        n: requests so far.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        """Listen on a port of the loopback, before a server at `port`."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.fault: Fault = harmless
        self.n = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def begin(self, fault: Fault) -> None:
        """From now on this is done, to requests that are counted anew."""
        self.fault, self.n = fault, 0

    def handle_error(self, *_: object) -> None:
        """Clients that leave are no errors."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.n += 1
            request = Request(self.server.n, self.path, body)
        try:
            answer = self.server.fault(request)
        except ConnectionError:
            self.close_connection = True
            return
        except Lost:
            self._ask(body)
            self.close_connection = True
            return
        if answer is not None:
            self._answer(answer.status, b"<html>refused</html>", answer.headers)
            return
        try:
            status, headers, content = self._ask(body)
        except OSError:
            self.close_connection = True
            return
        self._answer(status, content, headers)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        with closing(connection):
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            kind = response.headers.get("Content-Type", "application/json")
            return response.status, {"Content-Type": kind}, response.read()

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


# --- what MLflow shows


def client_of(uri: str) -> "MlflowClient":
    """MLflow's client, without its messages."""
    from hpsuite.tracking.address import quiet

    with quiet():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


def runs_of(uri: str, name: str) -> list["Run"]:
    """All runs of an experiment, as MLflow has them."""
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return []  # asking would make it
    client = client_of(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], max_results=5000))


def all_runs(uri: str, name: str) -> list[tuple[object, ...]]:
    """All runs of an experiment as they are, the superseded ones too; nothing of files."""
    found = []
    for run in runs_of(uri, name):
        tags = {k: v for k, v in run.data.tags.items() if k.startswith("hpsuite.")}
        own = sorted((k, v) for k, v in tags.items() if k != "hpsuite.files")
        said = (sorted(run.data.metrics.items()), sorted(run.data.params.items()), own)
        found.append((run.info.run_id, run.info.status, tags["hpsuite.key"], json.dumps(said)))
    return sorted(found, key=str)


def active_runs(uri: str, name: str) -> list[tuple[object, ...]]:
    """What the UI shows: each run's key, kind, name, state and figures, but for seconds."""
    found, runs = [], {run.info.run_id: run for run in runs_of(uri, name)}
    for run in runs.values():
        tags = run.data.tags
        if tags["hpsuite.kind"].startswith("superseded-"):
            continue
        metrics = {k: v for k, v in run.data.metrics.items() if "second" not in k}
        parent = tags.get("mlflow.parentRunId")
        over = runs[parent].data.tags["hpsuite.key"] if parent else ""
        files = sorted(file.path for file in client_of(uri).list_artifacts(run.info.run_id))
        said = (metrics, run.data.params, files)
        of = (tags["hpsuite.key"], over, tags["hpsuite.kind"], run.info.run_name, run.info.status)
        found.append((*of, json.dumps(said, sort_keys=True)))
    return sorted(found)


# --- faults


@dataclass
class Bench:
    """What the faults happen to.

    Attributes:
        scratch: a folder.
        generator: of the moments.
        server, proxy: a server of MLflow's, and what stands before it.
        requests: how many the study makes of an MLflow that works.
        empty: a database with MLflow's tables.
        grown: bytes that the study adds to that.
    """

    scratch: Path
    generator: random.Random
    server: Server
    proxy: Proxy
    requests: int = 0
    empty: Path = Path()
    grown: int = 0

    def moment(self) -> int:
        """A request of those that write, drawn evenly; the first few open the experiment."""
        return self.generator.randint(8, self.requests - 1)


@dataclass(frozen=True)
class Case:
    """A fault that is there.

    Attributes:
        arguments: of the study's command, that meet it.
        healed: of the sync, where an address is what was wrong.
        uri: where MLflow is afterwards.
        most_bytes: the largest size of files.
        says: how often the run must say that MLflow failed.
        most: lines in which it may say so; more than one where a server fails at each file.
    """

    arguments: tuple[str, ...]
    uri: str
    healed: tuple[str, ...] = ()
    most_bytes: int | None = None
    says: int = 1
    most: int = 1


@contextmanager
def _proxied(
    bench: Bench, fault: Fault, *more: str, says: int = 1, most: int = 1
) -> Iterator[Case]:
    bench.proxy.begin(fault)
    try:
        arguments = (f"tracking.uri={bench.proxy.uri}", *more)
        yield Case(arguments, bench.proxy.uri, says=says, most=most)
    finally:
        bench.proxy.begin(harmless)


@contextmanager
def down(bench: Bench) -> Iterator[Case]:
    """Nobody listens."""
    uri = f"tracking.uri={bench.proxy.uri}"
    yield Case((f"tracking.uri=http://127.0.0.1:{free_port()}",), bench.proxy.uri, (uri,))


@contextmanager
def killed(bench: Bench) -> Iterator[Case]:
    """The server is killed in the middle."""
    moment = bench.moment()

    def fault(request: Request) -> None:
        if request.n == moment:
            bench.server.kill()

    with _proxied(bench, fault) as case:
        yield case
    bench.server.start()


@contextmanager
def cut(bench: Bench) -> Iterator[Case]:
    """Connections are cut from a request on."""
    moment = bench.moment()

    def fault(request: Request) -> None:
        if request.n >= moment:
            raise ConnectionError

    with _proxied(bench, fault) as case:
        yield case


@contextmanager
def silent(bench: Bench) -> Iterator[Case]:
    """Requests are taken and not answered, from one on."""
    moment, over = bench.moment(), threading.Event()

    def fault(request: Request) -> None:
        if request.n >= moment:
            over.wait()
            raise ConnectionError

    with _proxied(bench, fault) as case:
        yield case
        over.set()


@contextmanager
def answer_lost(bench: Bench) -> Iterator[Case]:
    """A run is made, but the answer is lost, so that MLflow's client asks again."""
    which, seen = bench.generator.randint(1, 8), 0

    def fault(request: Request) -> None:
        nonlocal seen
        if request.path.endswith("runs/create"):
            seen += 1
            if seen == which:
                raise Lost

    with _proxied(bench, fault, says=0) as case:
        yield case


@contextmanager
def slow(bench: Bench) -> Iterator[Case]:
    """Each call takes a while, and time runs out."""
    seconds = 0.3 + 0.7 * bench.generator.random()

    def fault(_: Request) -> None:
        time.sleep(seconds)

    with _proxied(bench, fault, f"tracking.time_limit={seconds * bench.moment():.2f}") as case:
        yield case


def _refusing(status: int, path: str) -> Callable[[Bench], object]:
    @contextmanager
    def refused(bench: Bench) -> Iterator[Case]:
        which = f'"{bench.generator.choice(STRATEGIES)} '.encode()
        ids: set[str] = set()

        def fault(request: Request) -> Answer | None:
            if path == "runs/create":
                hit = request.path.endswith(path) and which in request.body
                return Answer(status) if hit else None
            if request.path.endswith("runs/log-batch"):
                run = json.loads(request.body)["run_id"]
                ids.update([] if ids else [run])
                return Answer(status) if run in ids else None
            return None

        with _proxied(bench, fault) as case:
            yield case

    return refused


def _all(status: int, headers: Mapping[str, str], *, at_once: bool) -> Callable[[Bench], object]:
    @contextmanager
    def full(bench: Bench) -> Iterator[Case]:
        moment = 1 if at_once else bench.moment()

        def fault(request: Request) -> Answer | None:
            writes = "search" not in request.path and "get" not in request.path
            return Answer(status, headers) if request.n >= moment and (writes or at_once) else None

        with _proxied(bench, fault, most=1 if at_once else 2 * MOST_SAID) as case:
            yield case

    return full


def _database(bench: Bench) -> Path:
    path = bench.scratch / f"database{bench.generator.randrange(10**9)}.db"
    path.write_bytes(bench.empty.read_bytes())
    return path


@contextmanager
def full_disk(bench: Bench) -> Iterator[Case]:
    """The file cannot grow beyond a size."""
    path = _database(bench)
    uri = f"sqlite:///{path}"
    most = path.stat().st_size + bench.generator.randrange(bench.grown // 2)
    yield Case((f"tracking.uri={uri}",), uri, most_bytes=most)


@contextmanager
def no_disk(bench: Bench) -> Iterator[Case]:
    """There is no room for the tables."""
    uri = f"sqlite:///{bench.scratch / f'none{bench.generator.randrange(10**9)}.db'}"
    most = bench.generator.randrange(bench.empty.stat().st_size // 2, bench.empty.stat().st_size)
    yield Case((f"tracking.uri={uri}",), uri, most_bytes=most)


@contextmanager
def read_only(bench: Bench) -> Iterator[Case]:
    """The file may only be read."""
    path = _database(bench)
    uri = f"sqlite:///{path}"
    closed = f"tracking.uri='sqlite:///file:{path}?mode=ro&uri=true'"
    yield Case((closed,), uri, (f"tracking.uri={uri}",))


@contextmanager
def locked(bench: Bench) -> Iterator[Case]:
    """Another process holds the file."""
    path = _database(bench)
    uri = f"sqlite:///{path}"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield Case((f"tracking.uri={uri}",), uri)


# All of them, by what the table calls them.
FAULTS: Mapping[str, Callable[[Bench], object]] = {
    "server down at the start": down,
    "server killed while it is written to": killed,
    "connections cut from a request on": cut,
    "requests taken and never answered": silent,
    "answer lost after a run was made": answer_lost,
    "slow, until time is up": slow,
    "403 to making one arm's run": _refusing(403, "runs/create"),
    "413 to one run's figures": _refusing(413, "runs/log-batch"),
    "500 to one run's figures": _refusing(500, "runs/log-batch"),
    "507 to all that writes, from a request on": _all(507, {}, at_once=False),
    "503 to all, to be tried in an hour": _all(503, {"Retry-After": "3600"}, at_once=True),
    "SQLite: disk full while it is written to": full_disk,
    "SQLite: disk full before the tables are made": no_disk,
    "SQLite: read-only": read_only,
    "SQLite: locked by another process": locked,
}


# --- the harness


@dataclass
class Found:
    """What was seen of a fault, in so many tries."""

    tries: int = 0
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0
    missing: list[int] = field(default_factory=list)

    def row(self, name: str) -> list[str]:
        """Of the table."""
        spread = f"{min(self.missing)} to {max(self.missing)}" if self.missing else ""
        good = self.tries - len(self.failures)
        return [name, str(self.tries), spread, f"{self.longest:.0f}", f"{good} of {self.tries}"]


@dataclass(frozen=True)
class Whole:
    """What a study leaves whose MLflow does not fail."""

    record: Record
    runs: list[tuple[object, ...]]
    seconds: float


def begin(scratch: Path, seed: int, *, with_server: bool) -> tuple[Bench, Whole]:
    """Run the study with an MLflow that works, on SQLite, and on a server where one is wanted."""
    generator = random.Random(seed)
    empty = scratch / "empty.db"
    client_of(f"sqlite:///{empty}").search_experiments()
    grows = scratch / "grows.db"
    grows.write_bytes(empty.read_bytes())
    uri = f"sqlite:///{grows}"
    hpsuite(scratch / "warm", "--version")  # the first process waits for imports
    folder = scratch / "whole"
    ended = hpsuite(folder, *OVERRIDES, f"name={NAME}", f"tracking.uri={uri}")
    if ended.status:
        raise RuntimeError(ended.out)
    whole = Whole(record(folder), active_runs(uri, NAME), ended.seconds)
    grown = grows.stat().st_size - empty.stat().st_size
    if not with_server:
        return Bench(scratch, generator, None, None, 0, empty, grown), whole  # type: ignore[arg-type]
    server = Server(scratch)
    proxy = Proxy(server.port)
    bench = Bench(scratch, generator, server, proxy, 0, empty, grown)
    served = hpsuite(scratch / "served whole", *OVERRIDES, f"name={NAME}", _uri(proxy))
    if active_runs(proxy.uri, NAME) != whole.runs:
        raise RuntimeError(f"a server shows something else than SQLite:\n{served.out}")
    bench.proxy.begin(harmless)
    hpsuite(scratch / "counted", *OVERRIDES, "name=counted", _uri(proxy))
    bench.requests = proxy.n
    return bench, whole


def _uri(proxy: Proxy) -> str:
    return f"tracking.uri={proxy.uri}"


def attempt(bench: Bench, whole: Whole, fault: Callable[[Bench], object], found: Found) -> None:
    """Run a study with a fault, and bring MLflow up to date; what is not as it must be is noted."""
    found.tries += 1
    name = f"{NAME} {bench.generator.randrange(10**9)}"
    folder = bench.scratch / name
    wrong: list[str] = []

    def must(holds: bool, what: str) -> None:
        if not holds:
            wrong.append(what)

    with fault(bench) as case:  # type: ignore[attr-defined]
        command = [*OVERRIDES, f"name='{name}'", *case.arguments]
        ended = hpsuite(folder, *command, most_bytes=case.most_bytes)
        must(ended.status == 0, f"status {ended.status}")
        said = [line for line in ended.out.splitlines() if line.startswith(SAID)]
        must(ended.out.count(LATER) == case.says, f"says something else:\n{ended.out}")
        must(case.says <= len(said) <= case.most, f"says {len(said)} times:\n{ended.out}")
        must(record(folder) == whole.record, "the record differs")
        files = sorted(path.name for path in folder.glob(f"outputs/{name}/*/*"))
        must(files == ["summary.json", "trials.csv"], f"files {files}")
    found.longest = max(found.longest, ended.seconds - whole.seconds)
    there = [run for run in active_runs(case.uri, name) if run[4] == "FINISHED" and not run[1]]
    found.missing.append(sum(not run[1] for run in whole.runs) - len(there))

    synced = hpsuite(folder, *SYNC, *case.healed)
    must(synced.status == 0, f"sync ended with {synced.status}:\n{synced.out}")
    must(active_runs(case.uri, name) == whole.runs, "runs differ from those of a whole MLflow")
    before = all_runs(case.uri, name)
    again = hpsuite(folder, *SYNC, *case.healed)
    must(again.status == 0, f"second sync ended with {again.status}:\n{again.out}")
    must(all_runs(case.uri, name) == before, "a second sync changed something")
    same = hpsuite(folder, *OVERRIDES, f"name='{name}'", f"tracking.uri={case.uri}")
    must(same.status == 0, f"the command again ended with {same.status}:\n{same.out}")
    must(all_runs(case.uri, name) == before, "the command again changed something")
    if wrong:
        found.failures.append("; ".join(wrong))


def run(scratch: Path, names: Sequence[str], tries: int, seed: int) -> dict[str, Found]:
    """Meet each fault so many times."""
    with_server = any(not name.startswith("SQLite") for name in names)
    bench, whole = begin(scratch, seed, with_server=with_server)
    found = {name: Found() for name in names}
    try:
        for name in names:
            for _ in range(tries):
                attempt(bench, whole, FAULTS[name], found[name])
            say(f"{name}: {found[name].row(name)[1:]} {found[name].failures}")
    finally:
        if with_server:
            bench.server.kill()
            bench.proxy.shutdown()
            bench.proxy.server_close()
    return found


def main() -> None:
    """Meet all faults, and write what was found."""
    made = parser(__doc__, quick="each fault once")
    made.add_argument("--tries", type=int, default=3, help="of each fault")
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    made.add_argument("--only", nargs="*", help="faults whose names hold one of these words")
    options = made.parse_args()
    tries = 1 if options.quick else options.tries
    words = options.only or [""]
    names = [name for name in FAULTS if any(word in name for word in words)]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        found = run(Path(scratch), names, tries, options.seed)
    header = [
        "fault",
        "tries",
        "top-level runs missing then",
        "seconds more, most",
        "as it must be",
    ]
    rows = [each.row(name) for name, each in found.items()]
    failures = {name: each.failures for name, each in found.items() if each.failures}
    text = "\n\n".join(
        [
            "Studies of 16 trials with an MLflow that fails. As it must be: status 0, the failure "
            "said once (but for the lost answer, which MLflow's client asks for again), record and "
            "files whole; then +experiment=sync leaves the active runs of an MLflow that never "
            "failed, with their figures; a second sync, and the command itself, change nothing.",
            table(header, rows),
            *(f"{name}: {lines}" for name, lines in failures.items()),
        ]
    )
    write_results(
        options.output,
        "mlflow_faults",
        about(begun, tries),
        {"rows": rows, "failures": failures},
        text,
    )
    say(text)


if __name__ == "__main__":
    main()
