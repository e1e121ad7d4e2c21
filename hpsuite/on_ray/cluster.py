"""The cluster: one that is there, or one of this machine's own, for as long as a run takes."""

import contextlib
import gc
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import torch

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.config import ExecutorConfig
from hpsuite.devices import count_cores
from hpsuite.losses import WorkerLost
from hpsuite.on_ray.connection import (
    gcs_address,
    host_and_port,
    imported,
    init,
    is_connected,
    is_installed,
    own,
    this_machine_alone,
)
from hpsuite.scratch import Scratch
from hpsuite.texts import without_password

INSTALL = "pip install 'hpsuite[ray]'"
# Seconds in which the head of a cluster that is there takes a connection.
ANSWERS_WITHIN = 5.0
# How often one of this machine's own is started; a busy machine may be too slow for Ray's patience.
MOST_STARTS = 3
# Seconds that its processes have to end.
LEAVING_SECONDS = 5.0
# Bytes beside the data that the object store of an own cluster has room for.
ROOM = 256 << 20
# Ray's sockets lie so many characters below its folder, and their paths have 107 at most.
BELOW, LONGEST = len("/ray/session_2026-11-28_14-58-28_316463_4194304/sockets/plasma_store"), 107
LOOPBACK = ("127.0.0.1", "localhost")


def check_ray(config: ExecutorConfig, device: torch.device) -> None:
    """Check what can be checked without a cluster.

    Raises:
        UserError: Ray is not installed, or GPUs are asked for where trials train on the CPU.
    """
    if config.kind != "ray":
        return
    if not is_installed():
        raise UserError(
            f"executor: found 'ray', which is not installed; accepted: it after {INSTALL}, or "
            "inline, processes"
        )
    if config.gpus_per_task is not None and device.type != "cuda":
        raise refuse("executor.gpus_per_task", config.gpus_per_task, "null, as device is cpu")


@contextlib.contextmanager
def reached(config: ExecutorConfig, device: torch.device) -> Iterator[None]:
    """While this lasts, the cluster at the configuration's address is at hand, where it has one.

    It is left as it was. A process that is connected already stays so.

    Raises:
        UserError: no cluster there, or one without room for a single task.
    """
    if config.kind != "ray" or config.address is None:
        yield
        return
    ours = not is_connected()
    if ours:
        _connect(config.address)
    elif config.address not in ("auto", gcs_address()):
        accepted = f"{gcs_address()}, to which this process is connected"
        raise refuse("executor.address", config.address, accepted)
    try:
        if not places(config, device):
            raise UserError(
                f"executor: found a cluster none of whose machines has {needed(config, device)}; "
                "accepted: executor.cpus_per_task, executor.gpus_per_task and device that fit one"
            )
        yield
    finally:
        if ours:
            imported().shutdown()


@contextlib.contextmanager
def started(config: ExecutorConfig, device: torch.device, n_bytes: int) -> Iterator[None]:
    """While this lasts, there is a cluster: this machine alone, where none is at hand.

    It listens to this machine alone, and ends with this process, however that ends.

    Args:
        config, device: what its tasks need.
        n_bytes: of data for its object store.

    Raises:
        WorkerLost: it does not start.
    """
    if is_connected():
        yield
        return
    scratch = Scratch(_short_place())
    try:
        # Below a folder of this user's alone, as Ray lets all others into its own.
        _start(config, device, n_bytes, scratch.folder)
        yield
    finally:
        try:
            _end(scratch.folder)
        finally:
            scratch.remove()


def _start(config: ExecutorConfig, device: torch.device, n_bytes: int, folder: Path) -> None:
    """Start a cluster of this machine's own.

    Raises:
        WorkerLost: it does not start.
    """
    for n_left in reversed(range(MOST_STARTS)):
        _forget()
        try:
            with own(folder):
                init(
                    address="local",
                    num_cpus=_own_cores(config),
                    num_gpus=torch.cuda.device_count() if device.type == "cuda" else 0,
                    include_dashboard=False,
                    dashboard_host="127.0.0.1",
                    object_store_memory=n_bytes + ROOM,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(folder / "ray"),
                )
        except Exception as error:  # Ray has no class for what may go wrong here
            _end(folder)
            if not n_left:
                raise WorkerLost(f"Ray did not start: {one_line(error)}") from error
        else:
            return


def _end(folder: Path) -> None:
    """End a cluster of this machine's own, even one that only began to start, and wait for it."""
    family = _family(folder)
    try:
        imported().shutdown()
    finally:
        _, left = psutil.wait_procs(family, LEAVING_SECONDS)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, LEAVING_SECONDS)
        _forget()


def _forget() -> None:
    """Let go of processes that ended, of which Python warns, as Ray never asks whether they did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _family(folder: Path) -> list[psutil.Process]:
    """Processes of the cluster that has its files in a folder, which stands in their commands."""
    family = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(str(folder) in part for part in child.cmdline()):
                family += [child, *child.children(recursive=True)]
    return family


def count_tasks(config: ExecutorConfig, device: torch.device) -> int:
    """How many tasks are in flight: as configured, or as many as the cluster holds."""
    return config.workers or max(places(config, device), 1)


def places(config: ExecutorConfig, device: torch.device) -> int:
    """How many tasks the cluster at hand holds; of this machine, where there is none yet."""
    if is_connected():
        nodes = [node["Resources"] for node in imported().nodes() if node["Alive"]]
    else:
        cores = _own_cores(config)
        gpus = torch.cuda.device_count() if device.type == "cuda" else 0
        nodes = [{"CPU": cores, "GPU": gpus}]
    return sum(_holds(node, config, device) for node in nodes)


def _own_cores(config: ExecutorConfig) -> int:
    """Cores of a cluster of this machine's own: those that are there, or more, to be shared."""
    return max(count_cores(), (config.workers or 1) * config.cpus_per_task)


def _holds(node: Mapping[str, float], config: ExecutorConfig, device: torch.device) -> int:
    """How many tasks a machine holds, by its resources."""
    n = node.get("CPU", 0) / config.cpus_per_task
    if gpus := gpus_of(config, device):
        n = min(n, node.get("GPU", 0) / gpus)
    return int(n + 1e-9)


def gpus_of(config: ExecutorConfig, device: torch.device) -> float:
    """GPUs of a task."""
    if device.type != "cuda":
        return 0.0
    return 1.0 if config.gpus_per_task is None else config.gpus_per_task


def needed(config: ExecutorConfig, device: torch.device) -> str:
    """What a task needs, in words."""
    gpus = gpus_of(config, device)
    cores = f"{config.cpus_per_task} core{'s' if config.cpus_per_task > 1 else ''}"
    return f"{cores} and {gpus:g} GPU" if gpus else cores


def _connect(address: str) -> None:
    host = address.rpartition(":")[0]
    if address != "auto":
        try:
            # Ray itself would try for a minute, and say so in many lines.
            socket.create_connection(host_and_port(address), ANSWERS_WITHIN).close()
        except OSError as error:
            raise _no_cluster(address, str(error)) from error
    here = this_machine_alone() if host in LOOPBACK else contextlib.nullcontext()
    try:
        with here:
            init(address=address)
    except Exception as error:  # Ray has no class for what may go wrong here
        if is_connected():
            imported().shutdown()
        raise _no_cluster(address, f"{type(error).__name__}: {one_line(error)}") from error


def _no_cluster(address: str, why: str) -> UserError:
    return refuse(
        "executor.address",
        address,
        "the address of a Ray cluster that runs (ray start --head), of the same versions of Ray "
        "and Python, with its RAY_AUTH_MODE and RAY_AUTH_TOKEN here; or "
        f"null for one of this machine's own ({without_password(why)})",
    )


def _short_place() -> Path:
    """Where a folder's sockets have paths that are not too long."""
    place = Path(tempfile.gettempdir())
    own = len(str(place)) + len("/hpsuite-12345678")
    return place if own + BELOW <= LONGEST else Path("/tmp")
