"""MLflow's UI on this machine alone, over a database of runs: `make ui`.

    python -m hpsuite.tracking.ui [DATABASE] [--port PORT]

It starts MLflow's own server, waits until that answers, prints the pages to open, and ends it with
all its helpers on Ctrl-C or SIGTERM.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from hpsuite.texts import without_password
from hpsuite.tracking.address import (
    KIND,
    artifact_address,
    check_database,
    page_address,
    quiet,
    reason,
    resolve_uri,
)
from hpsuite.tracking.failures import TrackingError
from hpsuite.tracking.files import FILES
from hpsuite.tracking.pages import PREFIX
from hpsuite.tracking.reading import check_tables

HOST, PORT = "127.0.0.1", 5000
# Seconds that the server may take to answer, and to end.
TO_START, TO_END = 180.0, 10.0
# Saved views in the order in which they are told, and what each is called here.
VIEWS = {"setup": "setups", "arm": "searches", "trial": "trials"}
# Of so many experiments, the last ones written, the pages are told.
MOST = 5


def database(asked: str | None, folder: Path) -> str:
    """The address of the database to show.

    Args:
        asked: a path or an address; None takes MLFLOW_TRACKING_URI, or mlflow.db in the folder.
        folder: the current one.

    Raises:
        TrackingError: there is none, it cannot be read, or it is not MLflow's.
    """
    if asked is not None and "://" not in asked:
        asked = f"sqlite:///{(folder / asked).resolve().as_posix()}"
    uri = resolve_uri(asked, folder)
    if re.match(r"https?://", uri):
        text = f"{without_password(uri)} is a server already: open it in a browser"
        raise TrackingError(f"{text}; accepted: a database, such as mlflow.db")
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.is_file():
        text = f"found no {path.name} in {path.parent}; accepted: a folder in which an experiment"
        raise TrackingError(f"{text} was run (make quickstart runs the first), or a path")
    try:
        with quiet():
            check_database(uri)
            check_tables(uri)
    except TrackingError:
        raise
    except Exception as error:  # drivers raise unrelated types, as in `sync`
        text = f"MLflow at {uri} cannot be read ({reason(error)})"
        raise TrackingError(without_password(text)) from error
    return uri


def find_port(asked: int | None) -> int:
    """A port that nobody listens on: the one asked for, else MLflow's usual, else any.

    Raises:
        TrackingError: the one asked for is taken.
    """
    wanted = PORT if asked is None else asked
    if _is_free(wanted):
        return wanted
    if asked is not None:
        raise TrackingError(f"port {asked} is taken; accepted: another one, or none for a free one")
    with socket.socket() as any_port:
        any_port.bind((HOST, 0))
        return int(any_port.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        if client.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as server:
        # A server that has just ended keeps nobody away.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def server(uri: str, port: int, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's server for one user, with its helpers in a group of processes that ends with it."""
    command = [sys.executable, "-m", "mlflow", "server", f"--host={HOST}", f"--port={port}"]
    others = {name: value for name, value in os.environ.items() if name != "MLFLOW_STATIC_PREFIX"}
    environment = others | {
        # Not on the command line, where all users of the machine would see a password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Helpers for language models: some hundred MB, and nothing that is shown here.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    process = subprocess.Popen(
        [*command, "--workers=1"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        # Ctrl-C reaches us alone, and we end it.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left
                os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(TO_END)


def wait_for(process: subprocess.Popen[bytes], port: int, stop: threading.Event) -> str:
    """Wait until a server answers, or a stop is asked for; returns what went wrong."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever is set
    for _ in range(int(TO_START / 0.2)):
        if process.poll() is not None:
            return f"it ended with status {process.returncode}"
        try:
            direct.open(f"http://{HOST}:{port}/health", timeout=2).close()
        except OSError:  # urllib's errors too
            pass
        else:
            return ""
        if stop.wait(0.2):
            return ""
    return f"no answer in {TO_START:g} s"


def last_line(log: IO[bytes]) -> str:
    """The last line of a log that says something."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def page_lines(uri: str, place: str) -> list[str]:
    """The pages to open, experiment by experiment, the last one written first.

    Args:
        uri: of the database.
        place: of the server.
    """
    with quiet():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        found = client.search_experiments(order_by=["last_update_time DESC"])
        ours = [e for e in found if any(tag.startswith(PREFIX) for tag in e.tags)]
        lines: list[str] = []
        for experiment in ours[:MOST]:
            lines += ["", experiment.name]
            for kind, name in VIEWS.items():
                page = experiment.tags.get(f"{PREFIX}hpsuite-{kind}")
                if page is not None and _is_whole(page):
                    lines.append(
                        f"  {name:<9} {place}/{page_address(experiment.experiment_id, kind)}"
                    )
            condition = f"tags.`{KIND}` = 'comparison'"
            for run in client.search_runs([experiment.experiment_id], condition, max_results=1):
                if FILES in run.data.tags:
                    page = artifact_address(
                        experiment.experiment_id, run.info.run_id, "report.html"
                    )
                    lines.append(f"  {'report':<9} {place}/{page}")
    if len(ours) > MOST:
        lines += ["", f"and {len(ours) - MOST} more experiments"]
    return lines


def _is_whole(page: str) -> bool:
    try:
        return bool(json.loads(page)["state"])
    except (ValueError, KeyError, TypeError):
        return False


def show(asked: str | None, asked_port: int | None) -> int:
    """Serve the UI until somebody stops it; returns the exit status."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup it stays; a shell lets what it starts in the background ignore Ctrl-C, too.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    try:
        uri, port = database(asked, Path.cwd()), find_port(asked_port)
    except TrackingError as error:
        return _complain(str(error), status=2)
    place = f"http://{HOST}:{port}"
    print(f"Starting MLflow on {without_password(uri)} ...", flush=True)
    with tempfile.TemporaryFile() as log, server(uri, port, log) as process:
        trouble = wait_for(process, port, stop)
        if trouble:
            return _complain(f"MLflow did not start: {trouble}: {last_line(log)}", status=1)
        if not stop.is_set():
            print(f"MLflow answers at {place}; Ctrl-C stops it.", flush=True)
            print("\n".join(page_lines(uri, place)), flush=True)
        while not stop.wait(0.2):
            if process.poll() is not None:
                text = f"MLflow ended with status {process.returncode}: {last_line(log)}"
                return _complain(text, status=1)
    print("Stopped.")
    return 0


def _complain(text: str, *, status: int) -> int:
    print(f"hpsuite: {text}", file=sys.stderr)
    return status


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"found {text}; accepted: 1 to 65535")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hpsuite.tracking.ui",
        description="MLflow's UI on this machine alone, until Ctrl-C.",
    )
    text = "path or address of MLflow's database (MLFLOW_TRACKING_URI, else mlflow.db here)"
    parser.add_argument("database", nargs="?", help=text)
    text = f"port to listen on ({PORT}, or any where that is taken)"
    parser.add_argument("--port", type=_port, help=text)
    asked = parser.parse_args(arguments)
    return show(asked.database, asked.port)


if __name__ == "__main__":
    sys.exit(main())
