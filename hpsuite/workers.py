"""Worker processes on the CPU: each trains one batch at a time, and may be lost alone.

A thread of the main process hands a worker its work and waits. So it is known which batch was lost
with a worker, and nothing of what the others do; a pool of the standard library's breaks as a
whole. The next batch goes to a new worker.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

import psutil

from hpsuite import serving
from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.scratch import Scratch
from hpsuite.serving import Work, save, serve, train_here
from hpsuite.training import Checkpoints, Lockstep
from hpsuite.trials import TrialResult

# Seconds between two looks at a worker that trains.
LOOK_SECONDS = 1.0
# Seconds of processor time, of a worker in that long, from which it counts as at work.
BUSY_SECONDS = 0.01
# Seconds that a worker has to end by itself; a thread of a model's may keep it.
LEAVING_SECONDS = 5.0
# How often a process is started, where each ends before it takes work: one may be killed by chance.
MOST_STARTS = 3


class BatchLost(Exception):
    """A worker process ended before its batch was done; the message says why, in a few words."""


class WorkerLost(Exception):
    """Nothing can be trained: worker processes cannot be started, or all that was tried is lost."""

    def __init__(self, why: str) -> None:
        """Of why that is, in a few words."""
        super().__init__(
            f"nothing can be trained here ({why}); what was told is in the record, and the same "
            "command continues it"
        )


class ProcessExecutor:
    """Trains in single-threaded processes on the CPU, which share the pages of the data.

    A script that makes one needs the usual `if __name__ == "__main__":`, as the workers import it.
    """

    def __init__(
        self,
        datasets: Mapping[str, Data],
        n_workers: int,
        checkpoints: Checkpoints | None = None,
        limits: ExecutorConfig | None = None,
    ) -> None:
        """Datasets by fingerprint, where the states of days are kept, and when a worker hangs."""
        self.n_workers = n_workers
        self._scratch = Scratch()
        try:
            for fingerprint, data in datasets.items():
                save(data, self._scratch.folder / fingerprint)
        except BaseException:  # no room for it, say
            self._scratch.remove()
            raise
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        context = start_server()
        asked = ExecutorConfig("processes") if limits is None else limits
        given = (str(self._scratch.folder), checkpoints)
        self._workers = [Worker(self._tasks, context, given, asked) for _ in range(n_workers)]

    def submit(self, batch: Work) -> Future[list[TrialResult]]:
        """Let a worker train a batch; its future raises BatchLost where the worker ended first."""
        return self.call(train_here, batch if isinstance(batch, Lockstep) else tuple(batch))

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Let a worker call a function that it can import."""
        task = Task(function, arguments, Future())
        self._tasks.put(task)
        return task.future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and not issubclass(kind, Exception):  # an interrupt, at any place
                _kill_server()  # first, as it may be about to fork a worker
            with contextlib.suppress(queue.Empty):
                while task := self._tasks.get_nowait():
                    task.future.cancel()
            for _ in self._workers:
                self._tasks.put(None)
            for worker in self._workers:
                worker.end(at_once=kind is not None)
            for worker in self._workers:
                worker.join()
        finally:
            self._scratch.remove()


@dataclass(frozen=True)
class Task:
    """A call, and where its result goes."""

    function: Callable[..., Any]
    arguments: tuple[object, ...]
    future: Future[Any]


class Worker:
    """A worker process, started when there is work, and again after it was lost."""

    def __init__(
        self,
        tasks: "queue.SimpleQueue[Task | None]",
        context: BaseContext,
        given: tuple[str, Checkpoints | None],
        limits: ExecutorConfig,
    ) -> None:
        """Takes tasks until it gets None; `given` is what each process begins with."""
        self._tasks, self._context, self._given, self._limits = tasks, context, given, limits
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name="hpsuite-worker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                found = self._call(task)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is the future's)
                task.future.set_exception(error)
            else:
                task.future.set_result(found)
        self._leave()

    def end(self, *, at_once: bool) -> None:
        """Start no process any more; `at_once` kills the one that there is."""
        with self._lock:
            self._is_ended = True
            if at_once and self._process is not None:
                self._process.kill()

    def join(self) -> None:
        """Wait until it is gone."""
        self._thread.join()

    def _call(self, task: Task) -> Any:
        process, connection = self._begun(task)
        try:
            self._wait(process, connection, self._limits)
            succeeded, found = connection.recv()
        except (EOFError, OSError, psutil.Error) as error:
            raise BatchLost(self._lost()) from error
        if not succeeded:
            raise found
        return found

    def _begun(self, task: Task) -> tuple[BaseProcess, Connection]:
        """Hand a task to the worker; one that was killed while it waited costs nothing."""
        n_starts = 0
        while True:
            n_starts += self._process is None
            try:
                process, connection = self._started()
                connection.send((task.function, task.arguments))
                self._hear(process, connection)
            except BatchLost as error:  # it hung
                why = str(error)
            except (EOFError, OSError, psutil.Error):
                why = self._lost()
            else:
                return process, connection
            if n_starts >= MOST_STARTS:
                raise WorkerLost(f"{why} before it began")

    def _started(self) -> tuple[BaseProcess, Connection]:
        with self._lock:
            if self._is_ended:
                raise EOFError
            if self._process is not None and self._connection is not None:
                return self._process, self._connection
            ours, theirs = self._context.Pipe()
            process = self._context.Process(  # type: ignore[attr-defined]
                target=serve, args=(theirs, *self._given), daemon=True
            )
            process.start()
            theirs.close()
            self._process, self._connection = process, ours
        self._hear(process, ours)
        return process, ours

    def _hear(self, process: BaseProcess, connection: Connection) -> None:
        """Wait for a word of the worker's, which it says as soon as it can; or for its end."""
        self._wait(process, connection, replace(self._limits, time_limit=None))
        connection.recv()

    def _wait(self, process: BaseProcess, connection: Connection, limits: ExecutorConfig) -> None:
        """Wait for an answer, or for the worker's end; one that hangs is killed."""
        watch = Watch(process.pid, limits)
        while not multiprocessing.connection.wait((connection, process.sentinel), LOOK_SECONDS):
            if reason := watch.look():
                process.kill()
                process.join()
                self._leave()
                raise BatchLost(reason)

    def _lost(self) -> str:
        """Forget a worker that ended; returns why it did."""
        process = self._process
        self._leave()
        return "a worker process is missing" if process is None else ending(process.exitcode)

    def _leave(self) -> None:
        """Let the process end, if it has not."""
        with self._lock:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.send(None)
            connection.close()
        if process is not None:
            process.join(LEAVING_SECONDS)
            process.kill()
            process.join()


class Watch:
    """Tells a worker that hangs from one that trains for long.

    Looks are counted, not seconds: while this process sleeps itself, as with a laptop's lid closed,
    nothing counts.
    """

    def __init__(self, pid: int | None, limits: ExecutorConfig) -> None:
        """Of a process that begins its work now."""
        self._process = psutil.Process(pid)
        self._limits = limits
        self._used = 0.0
        self._n_looks = self._n_idle = 0

    def look(self) -> str:
        """Look after `LOOK_SECONDS` more; returns why it hangs, or nothing."""
        self._n_looks += 1
        try:
            times = self._process.cpu_times()
        except psutil.Error:  # it is about to end: that will be seen
            return ""
        used = times.user + times.system
        self._n_idle = self._n_idle + 1 if used - self._used < BUSY_SECONDS else 0
        self._used = used
        idle, whole = self._limits.idle_limit, self._limits.time_limit
        if idle is not None and self._n_idle * LOOK_SECONDS >= idle:
            return f"its worker used no processor for {idle:g} s (executor.idle_limit)"
        if whole is not None and self._n_looks * LOOK_SECONDS >= whole:
            return f"its batch took more than {whole:g} s (executor.time_limit)"
        return ""


def ending(code: int | None) -> str:
    """A process's end in words, by its exit code."""
    if code is None or code >= 0:
        return f"its worker ended with status {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"its worker was killed by {name}" + (
            " (memory may have run out)" if name == "SIGKILL" else ""
        )
    return f"its worker was killed by signal {-code}"


def start_server() -> BaseContext:
    """How worker processes start; on POSIX, by forks of a server that imported torch once.

    A start then costs milliseconds, and nothing of this process, such as its threads or its open
    record, is inherited.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([serving.__name__])
    # The main process decides what an interrupt means. The server inherits that it ignores them,
    # and the workers do from it; set later, one during the imports would end it.
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    try:
        forkserver.ensure_running()
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    return context


def _kill_server() -> None:
    """Let the server of worker processes fork no more; the next executor starts another one."""
    if os.name != "posix":
        return
    from multiprocessing import forkserver

    # There is no public way; without this, an interrupt waits for the end of its imports.
    server = forkserver._forkserver
    pid: int | None = getattr(server, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        server._stop()  # type: ignore[attr-defined]
