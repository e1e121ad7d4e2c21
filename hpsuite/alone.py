"""One run at a time trains an arm: a second one is refused before it disturbs the first.

Beside a record in a file lies a hidden one, in which a run locks a place for each arm that it
trains. The system gives the lock back when the process ends, however it does. On PostgreSQL the
record's own connection holds the locks (`ServedRecord`), and they are kept out of each other from
whichever machine. Other servers have neither: there a study notices trials that are not its own
(`StudyRun`).
"""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from optuna.storages import BaseStorage

from hpsuite.checks import UserError
from hpsuite.record import beside
from hpsuite.served import ServedRecord

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)

# Locks need no content; places are told apart by a part of an arm's hash.
_MOST_PLACES = 1 << 60
# How a folder says that nothing may be made in it.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def alone(
    address: str,
    labels: Mapping[str, str],
    *,
    wait: bool = False,
    storage: BaseStorage | None = None,
) -> Iterator[None]:
    """While this lasts, no other run trains these arms.

    Args:
        address: of the record, which exists.
        labels: of the arms, by their identities.
        wait: until other runs have trained them, rather than refuse. To be used by a run that holds
            no other lock: then none waits for another in a circle.
        storage: the record, where it is open.

    Raises:
        UserError: another run trains one of them.
    """
    if isinstance(storage, ServedRecord):
        with storage.alone(labels, wait=wait):
            yield
        return
    path = _lock_file(address)
    if path is None or sys.platform == "win32" or not path.parent.is_dir():
        yield
        return
    descriptor: int | None = None
    try:
        descriptor = _locked(path, labels, wait=wait)
    except OSError as error:
        if error.errno not in _READ_ONLY:  # there nobody trains
            raise
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):  # others hold places in it
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            os.close(descriptor)  # and with it goes each lock


def _locked(path: Path, labels: Mapping[str, str], *, wait: bool) -> int:
    """The descriptor of the file, with a place locked for each arm."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            for identity, label in sorted(labels.items()):
                _lock(descriptor, identity, label, wait=wait)
            # Another run may have removed the file in between.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock_file(address: str) -> Path | None:
    nowhere = Path("nowhere")
    beside_it = beside(address, ".running", otherwise=nowhere)
    return None if beside_it.parent == nowhere else beside_it.with_name(f".{beside_it.name}")


def _lock(descriptor: int, identity: str, label: str, *, wait: bool) -> None:
    place = int(identity, 16) % _MOST_PLACES
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return  # a file system without locks
        if wait:
            _log.warning("another run is training %r: waiting until it has", label)
            fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, place)
            return
        raise UserError(
            f"storage: another run is training {label!r}; accepted: to wait until it has ended, as "
            "the same command then goes on from what it found, or another storage="
        ) from error
