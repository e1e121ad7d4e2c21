"""The main process's side: batches become tasks, and their results come as they are ready."""

import contextlib
import logging
import pickle
import queue
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import torch

from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.losses import BatchLost, Limits, WorkerLost
from hpsuite.on_ray.cluster import count_tasks, gpus_of, needed, places, started
from hpsuite.on_ray.connection import imported
from hpsuite.on_ray.tasks import Answer, Job, software, train
from hpsuite.on_ray.watching import ClusterWatch, listeners
from hpsuite.provenance import processor
from hpsuite.serving import Work, arrays_of, dataset_of, packed, unpacked
from hpsuite.training import Checkpoints, Lockstep
from hpsuite.training.states import State, state_name
from hpsuite.trials import TrialResult, TrialSpec

# Seconds between two looks at a task that is not done.
LOOK_SECONDS = 5.0
# Seconds that a cluster may have no machine for a task; one that grows by itself needs minutes.
PATIENCE = 600.0
# How often a batch may lose its machine; machines end for other reasons than trials.
MOST_MACHINES = 10
# Seconds to wait before a batch is trained again whose task Ray killed for memory.
PAUSES = (2.0, 4.0)
# Seconds for what is at work to end, when the executor does.
LEAVING_SECONDS = 10.0

Results = Future[list[TrialResult]]

_log = logging.getLogger(__name__)


class MemoryShort(BatchLost):
    """Ray killed a task, as its machine had no memory left: perhaps for what its neighbours hold.

    Ray kills the task that was started last, whoever it is that holds the memory.
    """


class RayExecutor:
    """Trains by tasks on a Ray cluster; see `Executor`.

    A thread hands over one batch at a time and waits, so that it is known which one is lost, and
    why. The states of days travel with the batches: the main process alone reads and writes them.
    """

    def __init__(
        self,
        datasets: Mapping[str, Data],
        device: torch.device,
        checkpoints: Checkpoints | None,
        config: ExecutorConfig,
    ) -> None:
        """Start a cluster on this machine where none is at hand, and give it the data.

        Args:
            datasets: by fingerprint.
            device: the kind that tasks train on.
            checkpoints: where the states of days are kept, here.
            config: of the executor.
        """
        self._config, self._device, self._checkpoints = config, device, checkpoints
        self._batches: queue.SimpleQueue[tuple[Work, Results] | None] = queue.SimpleQueue()
        self._state_lock = threading.Lock()
        # Futures that have not ended, and tasks that run; Ray may never answer who holds a lock.
        self._lock, self._task_lock = threading.Lock(), threading.Lock()
        self._open: set[Results] = set()
        self._running: set[Any] = set()
        self._ended = threading.Event()
        self._gone: WorkerLost | None = None
        self._other_processors: set[str] = set()
        self._stack = contextlib.ExitStack()
        parcels = {name: arrays_of(data) for name, data in datasets.items()}
        n_bytes = sum(array.nbytes for parcel in parcels.values() for array in parcel.values())
        self._stack.enter_context(started(config, device, n_bytes))
        try:
            self.n_workers = count_tasks(config, device)
            ray = imported()
            self._parcels = {name: ray.put(parcel) for name, parcel in parcels.items()}
            gpus = gpus_of(config, device)
            # Lost batches are attempts.py's. A process stays for the next task, on a GPU too.
            self._task = ray.remote(
                max_retries=0, max_calls=0, num_cpus=config.cpus_per_task, num_gpus=gpus
            )(train)
            limits = Limits(config.idle_limit, config.time_limit)
            self._job = Job(secrets.token_hex(8), limits, software(), gpus > 0)
            self._watch = ClusterWatch(listeners(), self._lose)
        except BaseException:
            self._stack.close()
            raise
        self._threads = [
            threading.Thread(target=self._run, name="hpsuite-task", daemon=True)
            for _ in range(self.n_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Work) -> Results:
        """Let a task train a batch.

        Its future raises BatchLost where its worker ended first, WorkerLost where the cluster did.
        """
        future: Results = Future()
        with self._lock:
            self._open.add(future)
        if self._gone is not None:
            self._settle(future, self._gone)
        self._batches.put((batch if isinstance(batch, Lockstep) else tuple(batch), future))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        try:
            with contextlib.suppress(queue.Empty):
                while entry := self._batches.get_nowait():
                    self._cancel(entry[1])
            for _ in self._threads:
                self._batches.put(None)
            if self._gone is None:
                self._leave()
        finally:
            self._watch.end()
            self._parcels.clear()
            self._stack.close()

    def _leave(self) -> None:
        """End tasks, and wait for the threads; without a cluster both may take for ever."""
        running: list[Any] = []
        if self._task_lock.acquire(timeout=LEAVING_SECONDS):
            running += self._running
            self._task_lock.release()
        for task in running:
            with contextlib.suppress(Exception):  # the cluster may be what is lost
                imported().cancel(task, force=True)
        deadline = time.monotonic() + LEAVING_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _lose(self, why: str) -> None:
        """Give all batches up, as the cluster is gone; who trains them may never hear of it."""
        _log.warning("%s", why)  # now, as to leave a cluster that is gone may take long
        with self._lock:
            self._gone = WorkerLost(why)
            waiting = list(self._open)
        for future in waiting:
            self._settle(future, self._gone)
        self._ended.set()  # last: threads tell of a run that ended as of lost batches

    def _cancel(self, future: Results) -> None:
        with self._lock:
            self._open.discard(future)
        future.cancel()

    def _settle(self, future: Results, found: list[TrialResult] | Exception) -> None:
        """End a future, unless it has ended."""
        with self._lock:
            if future not in self._open:
                return
            self._open.remove(future)
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)

    def _run(self) -> None:
        while (entry := self._batches.get()) is not None:
            batch, future = entry
            if self._gone is not None:
                self._settle(future, self._gone)
                continue
            try:
                found: list[TrialResult] | Exception = self._train(batch)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is the future's)
                found = error
            self._settle(future, found)

    def _train(self, batch: Work) -> list[TrialResult]:
        """Train a batch, again where its task was killed for memory.

        Raises:
            BatchLost: its worker was.
            WorkerLost: a machine that can train nothing, or no machine any more.
            Exception: what training raised.
        """
        sent = pickle.dumps((batch, self._begun(batch)))
        for pause in PAUSES:
            try:
                return self._on_some_machine(batch, sent)
            except MemoryShort:
                self._ended.wait(pause)
        return self._on_some_machine(batch, sent)

    def _on_some_machine(self, batch: Work, sent: bytes) -> list[TrialResult]:
        """Train a batch, on another machine where the first one is lost.

        Args:
            batch: to train.
            sent: the same, as a task is given it.

        Raises:
            MemoryShort: Ray killed the task for memory.
        """
        for _ in range(MOST_MACHINES):
            answer = self._answer(dataset_of(batch), sent)
            if answer is None:
                continue
            if answer.error is not None:
                raise answer.error
            if answer.lost:
                raise BatchLost(answer.lost)
            if answer.found is None:
                raise WorkerLost(answer.unfit)
            self._compare(answer.processor)
            results: list[TrialResult]
            results, ended = pickle.loads(answer.found)  # noqa: S301 (of its own tasks)
            self._keep(batch, ended)
            return results
        raise BatchLost(f"its machine was lost {MOST_MACHINES} times")

    def _answer(self, fingerprint: str, sent: bytes) -> Answer | None:
        """What comes of a task with a batch; None where its machine was lost."""
        ray = imported()
        failures = ray.exceptions
        try:
            alive = _machines()
            with self._task_lock:
                if self._ended.is_set():
                    raise BatchLost("the run ended")
                own = {fingerprint: self._parcels[fingerprint]}
                task = self._task.remote(self._job, sent, fingerprint, own)
                self._running.add(task)
        except (failures.RayError, ConnectionError, RuntimeError) as error:
            raise WorkerLost(f"the cluster is gone: {_last_line(error)}") from error
        try:
            self._wait(task)
            answer: Answer = ray.get(task)
        except (failures.NodeDiedError, failures.ObjectLostError):
            return None
        except failures.OutOfMemoryError as error:
            raise MemoryShort("memory ran out") from error
        except failures.WorkerCrashedError as error:
            if alive - _machines():
                return None
            raise BatchLost("its worker was killed (memory may have run out)") from error
        except failures.RayTaskError as error:  # it could not even begin: nothing to import, say
            raise WorkerLost(_last_line(error)) from error
        except failures.TaskCancelledError as error:
            raise BatchLost("its task was cancelled") from error
        except failures.RayError as error:  # of the cluster itself: no trial's fault
            raise WorkerLost(f"{type(error).__name__}: {_last_line(error)}") from error
        finally:
            with self._task_lock:
                self._running.discard(task)
        return answer

    def _wait(self, task: Any) -> None:
        """Wait until a task is done.

        Raises:
            WorkerLost: the cluster has no machine for it any more, and gets none.
        """
        ray = imported()
        missing_since = None
        while not ray.wait([task], timeout=LOOK_SECONDS)[0]:
            if places(self._config, self._device):
                missing_since = None
                continue
            missing_since = time.monotonic() if missing_since is None else missing_since
            if time.monotonic() - missing_since >= PATIENCE:
                ray.cancel(task, force=True)
                raise WorkerLost(
                    f"no machine of the cluster has {needed(self._config, self._device)} any more"
                )

    def _begun(self, batch: Work) -> bytes | None:
        """States that a batch's days begin with: of the nearest days before them that have one."""
        if isinstance(batch, Lockstep) or all(spec.lineage is None for spec in batch):
            return None
        found: dict[str, State] = {}
        for spec in batch:
            for day in _days_before(spec):
                state = None if self._checkpoints is None else self._checkpoints.load(day)
                if state is not None:
                    found[state_name(day)] = state
                    break
        return packed(found)

    def _keep(self, batch: Work, sent: bytes | None) -> None:
        """Keep the states that came with results."""
        if sent is None or self._checkpoints is None or isinstance(batch, Lockstep):
            return
        days = {state_name(day): day for spec in batch for day in (spec, *_days_before(spec))}
        for name, state in unpacked(sent).items():
            with self._state_lock:  # days that are alike end in one file
                self._checkpoints.save(days[name], state)

    def _compare(self, theirs: str) -> None:
        """Say once of each kind of processor that it is not this machine's."""
        if theirs == processor() or theirs in self._other_processors or self._device.type != "cpu":
            return
        self._other_processors.add(theirs)
        _log.warning(
            "machines of the cluster have different processors (%s; here %s): results repeat to "
            "the last bit on machines of one kind alone",
            theirs,
            processor(),
        )


def _days_before(spec: TrialSpec) -> list[TrialSpec]:
    """The days that a day goes on from, the last one first."""
    days = []
    while spec.before:
        spec = spec.ancestor
        days.append(spec)
    return days


def _machines() -> set[str]:
    return {node["NodeID"] for node in imported().nodes() if node["Alive"]}


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
