"""How this process reaches Ray: its import, its environment, the connection; Ray keeps quiet."""

import contextlib
import importlib.util
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpsuite.losses import WorkerLost

# This process and the own clusters that it starts know each other by it.
_TOKEN = secrets.token_hex(32)


def imported() -> Any:
    """Ray; it reports no use of it to anybody, and starts nothing that it was not asked for."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
    import ray

    return ray


def is_installed() -> bool:
    """Whether Ray can be imported."""
    return importlib.util.find_spec("ray") is not None


def is_connected() -> bool:
    """Whether a cluster is at hand."""
    return "ray" in sys.modules and bool(imported().is_initialized())


def head_address() -> tuple[str, int]:
    """Where the head of the cluster at hand listens."""
    return host_and_port(gcs_address())


def local_address() -> tuple[str, int]:
    """Where Ray's process on this machine listens."""
    here = imported().get_runtime_context().get_node_id()
    node = next((node for node in imported().nodes() if node["NodeID"] == here), None)
    if node is None:
        raise WorkerLost("the cluster does not know this machine")
    return str(node["NodeManagerAddress"]), int(node["NodeManagerPort"])


def gcs_address() -> str:
    """Where the head of the cluster at hand listens, as `HOST:PORT`."""
    return str(imported().get_runtime_context().gcs_address)


def host_and_port(address: str) -> tuple[str, int]:
    """Of an address like `127.0.0.1:6379` or `[::1]:6379`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def init(**arguments: object) -> None:
    """Connect; what signals mean, and what is printed, stays hpsuite's own."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = imported()
    # A listener to errors of the cluster's prints what hpsuite says in its own words.
    ray._private.worker.print_to_stdstream = _ignore
    logging.getLogger("ray").setLevel(logging.CRITICAL + 1)
    utils = ray._private.utils
    theirs, utils.set_sigterm_handler = utils.set_sigterm_handler, _ignore
    try:
        with _silent():
            ray.init(
                configure_logging=False, logging_level="ERROR", log_to_driver=False, **arguments
            )
    finally:
        utils.set_sigterm_handler = theirs
        if threading.current_thread() is threading.main_thread():
            # Ray's core has put a handler of its own before Python's.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """While this lasts, what Ray's core writes to the standard error is not seen."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _ignore(*_: object, **__: object) -> None:
    """In the place of what Ray would do to this process."""


@contextlib.contextmanager
def own(folder: Path) -> Iterator[None]:
    """While this lasts, Ray starts what takes tasks of those alone who know this run's token.

    Its processes then share the cores with others as those of `executor=processes` do.
    """
    variables: dict[str, str | None] = {
        # Where nobody says otherwise, Ray sets this: a new cluster of this machine wants a token.
        "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE"),
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN", _TOKEN),
        "RAY_TMPDIR": str(folder / "ray"),
        # What its processes leave, as those do that end while they begin, goes with it.
        "TMPDIR": str(folder),
        "RAY_worker_niceness": "0",
    }
    with _environment(variables), this_machine_alone():
        yield


@contextlib.contextmanager
def this_machine_alone() -> Iterator[None]:
    """While this lasts, Ray takes 127.0.0.1 for an address, not for a name of one that others see.

    It has a switch for that, meant for systems whose firewalls ask about every listener.
    """
    with _environment({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}):
        constants = imported()._private.ray_constants
        before, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
        try:
            yield
        finally:
            constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _environment(own: Mapping[str, str | None]) -> Iterator[None]:
    """While this lasts, these variables begin with these values; None for none."""
    before = {name: os.environ.get(name) for name in own}
    _set(own)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
