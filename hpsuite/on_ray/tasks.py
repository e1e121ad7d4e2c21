"""What a task does: it lets a worker process of its own machine train, and watches it.

So a task is told from outside when training hangs, crashes or lacks memory, in the words of other
workers, and itself lives on. The process stays for the tasks that come after. What is trained
passes through here as bytes, so that nothing of size is imported.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsuite import RESULTS_VERSION
from hpsuite.equipment import Equipment
from hpsuite.losses import BatchLost, Limits, WorkerLost
from hpsuite.provenance import processor, versions
from hpsuite.scratch import SharedScratch, shared_folder, write_arrays
from hpsuite.sweeping import Sweeper
from hpsuite.workers import Crew, kill_server

# What must be the same on all machines, as it decides a trial's bits.
DECIDING = ("torch", "numpy")


@dataclass(frozen=True)
class Job:
    """What all tasks of an executor have in common.

    Attributes:
        token: names it, and its folders.
        limits: when a worker hangs.
        software: versions of what decides results.
        on_gpu: whether it trains on the GPU that Ray gives it.
    """

    token: str
    limits: Limits
    software: tuple[tuple[str, str], ...]
    on_gpu: bool


@dataclass(frozen=True)
class Answer:
    """What comes of a task.

    Attributes:
        found: what came of training, see `serving.train_carried`; None where nothing did.
        lost: why the worker that trained was lost.
        unfit: why this machine can train nothing.
        error: what training raised.
        processor: the model of this machine's processor.
    """

    found: bytes | None = None
    lost: str = ""
    unfit: str = ""
    error: Exception | None = None
    processor: str = ""


def software() -> tuple[tuple[str, str], ...]:
    """Versions of what decides results, here."""
    found = versions()
    return (
        ("results", str(RESULTS_VERSION)),
        *((name, found.get(name, "none")) for name in DECIDING),
    )


def train(job: Job, sent: bytes, fingerprint: str, parcels: Mapping[str, Any]) -> Answer:
    """Train a batch on this machine.

    Args:
        job: of the executor.
        sent: the batch, see `serving.train_carried`.
        fingerprint: of its data.
        parcels: by fingerprint, where the cluster has the data's arrays.
    """
    if unfit := _differing(job):
        return Answer(unfit=unfit)
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "") if job.on_gpu else None
    try:
        bench = _bench(job, gpu)
        bench.fetch(fingerprint, parcels)
        found = bench.crew.call(_train_carried, sent).result()
    except BatchLost as error:
        return Answer(lost=str(error))
    except WorkerLost as error:
        return Answer(unfit=f"{os.uname().nodename}: {error.why}")
    except Exception as error:  # noqa: BLE001 (it is raised again by the main process)
        return Answer(error=error)
    return Answer(found, processor=processor())


def _train_carried(sent: bytes) -> bytes:
    """What the worker process calls."""
    from hpsuite.serving import train_carried

    return train_carried(sent)


class Bench:
    """A worker process, and the data sets that it maps.

    Attributes:
        key: of the executor whose it is, and the GPU.
        crew: the process, which is started with the first work.
    """

    def __init__(self, job: Job, gpu: str | None) -> None:
        """No data yet."""
        self.key = (job.token, gpu)
        # What the worker process would import as its main module is Ray's.
        vars(sys.modules["__main__"]).pop("__file__", None)
        os.environ["OMP_NUM_THREADS"] = "1"  # Ray sets it to a task's cores
        # First, as Ray ends this process at any moment, without a word.
        self._sweeper = Sweeper(shared_folder(job.token))
        try:
            self._scratch = SharedScratch(job.token)
            # Where the server of worker processes listens: what is elsewhere, nobody would remove.
            # There is no public way.
            own = multiprocessing.current_process()
            own._config["tempdir"] = str(self._scratch.folder)  # type: ignore[attr-defined]
            self.crew = Crew([Equipment(str(self._scratch.folder), gpu=gpu)], job.limits)
        except BaseException:
            self._sweeper.end()
            raise

    def fetch(self, fingerprint: str, parcels: Mapping[str, Any]) -> None:
        """Have a data set in a file: once on each machine, whose processes share its pages."""
        import ray

        def write(folder: Path) -> None:
            write_arrays(ray.get(parcels[fingerprint]), folder)

        if not (self._scratch.folder / fingerprint).exists():
            self._scratch.fill(fingerprint, write)

    def end(self) -> None:
        """End the process, and leave the data."""
        try:
            with contextlib.suppress(Exception):
                self.crew.end(at_once=True)
            kill_server()  # which listens there
            self._scratch.leave()
        finally:
            self._sweeper.end()


# The one of this process of Ray's, which does one task at a time.
_benches: list[Bench] = []


def _bench(job: Job, gpu: str | None) -> Bench:
    """The bench for a task; one for others before it ends."""
    if _benches and _benches[0].key != (job.token, gpu):
        _benches.pop().end()
    if not _benches:
        _benches.append(Bench(job, gpu))
    return _benches[0]


def _differing(job: Job) -> str:
    """What of this machine's software is not that of the main process; empty where all is."""
    for (name, theirs), (_, ours) in zip(job.software, software(), strict=True):
        if ours != theirs:
            return f"{os.uname().nodename} has {name} {ours}, the main process {theirs}"
    return ""
