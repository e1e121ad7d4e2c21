"""A PostgreSQL server of one's own, for tests and benchmarks: in a folder, on loopback alone.

It writes without waiting for the disk, so what it shows of speed is the server's and the client's.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

USER = "tester"
# Seconds for it to come up, and to end.
TO_START, TO_END = 60.0, 30.0


def binary(name: str) -> str | None:
    """A program of the server's, which Debian does not put where programs are looked for."""
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))


def missing() -> str:
    """Why no server can be started here; empty where one can."""
    lacking = [name for name in ("initdb", "postgres") if binary(name) is None]
    return f"needs a PostgreSQL server ({', '.join(lacking)} not found)" if lacking else ""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


class Server:
    """A server with one user, who needs a password over TCP.

    Attributes:
        password: of USER.
        port: on 127.0.0.1.
    """

    def __init__(self) -> None:
        """Make a database cluster; nothing runs yet."""
        self.password = secrets.token_hex(8)
        self.port = free_port()
        # A short path, as that of a socket may have 107 characters; pytest's are not for all users.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self._folder / "data"
        self._account = _account()
        if self._account:
            shutil.chown(self._folder, self._account)
        secret = self._folder / "password"
        secret.write_text(self.password)
        if self._account:
            shutil.chown(secret, self._account)
        self._process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(
            [
                *(str(binary("initdb")), "-D", str(self._data), "--no-sync", "-U", USER, "-E"),
                *("UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"),
                f"--pwfile={secret}",
            ],
            user=self._account,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(made.stderr)

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self, *options: str) -> Self:
        """Start it, with settings such as `max_connections=5`, and wait until it answers."""
        # Not by a helper of its own: it ends with its parent, should that be killed.
        settings = (
            *(f"unix_socket_directories={self._folder}", "listen_addresses=127.0.0.1"),
            *(f"port={self.port}", "fsync=off", "full_page_writes=off", "logging_collector=off"),
            *("shared_buffers=32MB", "max_connections=40", *options),
        )
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *(str(binary("postgres")), "-D", str(self._data)),
                *(part for setting in settings for part in ("-c", setting)),
            ],
            user=self._account,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + TO_START
        while True:
            try:
                psycopg.connect(self.address("postgres", over_tcp=False)).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()[-2000:]) from error
                time.sleep(0.05)
            else:
                return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends its connections first, SIGQUIT is like a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(TO_END)
        self._process = None

    def remove(self) -> None:
        """End it, and remove its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def address(self, database: str, *, over_tcp: bool = True, password: str = "") -> str:
        """The address of a database, as a user would give it."""
        secret = f":{password}" if password else ""
        database = quote(database)
        if over_tcp:
            return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{USER}@/{database}?host={self._folder}&port={self.port}"

    def create(self, name: str, *, over_tcp: bool = False) -> str:
        """Create a database; returns its address."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.address(name, over_tcp=over_tcp)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement; returns its rows."""
        address = self.address(database, over_tcp=False)
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def _account() -> str | None:
    """Whom to run it as: PostgreSQL refuses the superuser."""
    if sys.platform == "win32" or os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("no account to run PostgreSQL as")


@contextlib.contextmanager
def running(*options: str) -> Iterator[Server]:
    """A server that runs while this lasts."""
    server = Server()
    try:
        yield server.start(*options)
    finally:
        server.remove()
