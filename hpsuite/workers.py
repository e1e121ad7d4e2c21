"""Worker processes: each trains one batch at a time, and may be lost alone.

A thread of the main process hands a worker its work and waits. So it is known which batch was lost
with a worker, and nothing of what the others do; a pool of the standard library's breaks as a
whole. The next batch goes to a new worker.

This module imports nothing of size: what only watches a worker stays small.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from hpsuite.equipment import Equipment
from hpsuite.losses import LOOK_SECONDS, BatchLost, Limits, Watch, WorkerLost, ending

# What worker processes do; imported by the server that they fork from.
SERVING = "hpsuite.serving"
# Seconds that a worker has to end by itself; a thread of a model's may keep it.
LEAVING_SECONDS = 5.0
# How often a process is started, where each ends before it takes work: one may be killed by chance.
MOST_STARTS = 3


def serve(connection: Connection, given: Equipment) -> None:
    """What a worker process does; see there."""
    from hpsuite import serving  # which imports all that trains

    serving.serve(connection, given)


class Crew:
    """Workers that take their tasks from one queue."""

    def __init__(self, given: Sequence[Equipment], limits: Limits) -> None:
        """A worker for each equipment; `limits` say when one hangs."""
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        context = start_server()
        self._workers = [Worker(self._tasks, context, own, limits) for own in given]

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Let a worker call a function that it can import."""
        task = Task(function, arguments, Future())
        self._tasks.put(task)
        return task.future

    def end(self, *, at_once: bool) -> None:
        """Cancel what was not begun, and end all workers: `at_once`, or after what they do."""
        with contextlib.suppress(queue.Empty):
            while task := self._tasks.get_nowait():
                task.future.cancel()
        for _ in self._workers:
            self._tasks.put(None)
        for worker in self._workers:
            worker.end(at_once=at_once)
        for worker in self._workers:
            worker.join()


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
        given: Equipment,
        limits: Limits,
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
                target=serve, args=(theirs, self._given), daemon=True
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

    def _wait(self, process: BaseProcess, connection: Connection, limits: Limits) -> None:
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


def start_server() -> BaseContext:
    """How worker processes start; on POSIX, by forks of a server that imported torch once.

    A start then costs milliseconds, and nothing of this process, such as its threads or its open
    record, is inherited.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    if multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods():
        # Workers are told the name of this process's own way, which joblib's loky invents.
        multiprocessing.set_start_method("spawn", force=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([SERVING])
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


def kill_server() -> None:
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
