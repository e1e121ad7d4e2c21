"""The journal: the record in a file, opened, mended and written in few waits for the disk."""

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import LOCK_FILE_SUFFIX, BaseJournalFileLock, get_lock_file

from hpsuite.checks import UserError
from hpsuite.served import ServedRecord

# Seconds after which the lock of a killed process is taken away. An append holds it for
# milliseconds; Optuna's own default, 30, is what a resumed run would have to wait.
LOCK_GRACE_SECONDS = 5

_log = logging.getLogger(__name__)


def is_journal(path: Path) -> bool:
    """Whether a file begins as a journal of Optuna's does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except (OSError, ValueError):  # no file, a folder, or no path at all
        return False


def open_journal(path: Path, writing: bool) -> JournalStorage:
    """Open a journal.

    Args:
        path: of the file.
        writing: False for one that exists and is only to be read: then nothing is made or mended.

    Raises:
        UserError: a file that is no journal, a damaged journal.
    """
    if writing:
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(path, LOCK_GRACE_SECONDS)
    if writing and path.exists():
        mend(path, lock)
    try:
        return JournalStorage(Journal(path, lock))
    except ValueError as error:  # of JSON, or of its encoding
        with path.open("rb") as file:
            damaged = (number for number, line in enumerate(file, 1) if not _is_whole(line))
            number = next(damaged, None)
        if number is None:
            raise
        raise UserError(
            f"storage: line {number} of {path} is damaged, as by a crash, and others follow it; "
            "accepted: a journal of whole lines; take that line out of a copy, or use another "
            "storage="
        ) from error


class Lock(BaseJournalFileLock):
    """A file beside the journal that is there while some process writes, as of Optuna's open lock.

    Optuna's own has the same file, so that both keep out each other; but an interrupt while it
    waits makes it remove the lock of another process, and one while it releases becomes an error.
    Its lock by a symbolic link waits without an end for one that points nowhere.
    """

    def __init__(self, journal: Path, grace: float) -> None:
        """A lock that was left by a killed process is taken away after so many seconds."""
        self._path = journal.with_name(journal.name + LOCK_FILE_SUFFIX)
        self._grace = grace

    def acquire(self) -> bool:
        """Wait for the lock, and take it."""
        seen, since, pause = -1, time.monotonic(), 0.001
        while True:
            try:
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):
                    made = self._path.lstat().st_mtime_ns
                    if made != seen:
                        seen, since = made, time.monotonic()
                if time.monotonic() - since > self._grace:
                    _log.warning(
                        "%s was left for %g s, as by a process that was killed, and is removed",
                        self._path,
                        self._grace,
                    )
                    self._path.unlink(missing_ok=True)
                    since = time.monotonic()
                time.sleep(pause)
                pause = min(2 * pause, 0.1)
            else:
                return True

    def release(self) -> None:
        """Let others write.

        Raises:
            RuntimeError: somebody took it away.
        """
        try:
            self._path.unlink()
        except FileNotFoundError as error:
            raise RuntimeError(f"{self._path} was removed by somebody else") from error


class Journal(JournalFileBackend):
    """A journal that can hold lines back, and wait for the disk once for many.

    Optuna's own waits for the disk after each line, which is most of what recording a trial costs.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        """Open a journal; an empty file is made where there is none."""
        super().__init__(str(path), lock_obj=lock)
        self._path = path
        self._held: list[dict[str, object]] | None = None
        self._is_lax = self._has_unsynced = False
        self._end = 0

    def append_logs(self, logs: list[dict[str, object]]) -> None:
        """Write lines to the file, so that others see them and a kill of this process loses none.

        Unless `rarely_synced` lasts, they are on the disk on return.

        Raises:
            OSError: the file is gone, or shorter than it was; none is begun in its middle.
        """
        if self._held is not None:
            self._held += logs
            return
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), _opened(self._path) as file:
            if _to_whole_end(file, self._path) < self._end:
                gone = "is shorter than it was, as if another file had taken its place"
                raise OSError(errno.ESTALE, gone, str(self._path))
            file.write(text.encode())
            file.flush()
            self._end = file.tell()
            self._has_unsynced = True
            if not self._is_lax:
                self._sync(file)

    def _sync(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())
        self._has_unsynced = False

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        if self._has_unsynced:
            with _opened(self._path) as file:
                self._sync(file)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write all lines at the end, in one go."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self.append_logs(held)

    @contextlib.contextmanager
    def rarely_synced(self) -> Iterator[Callable[[], None]]:
        """Sync where `sync`, which is yielded, is called, and at the end."""
        self._is_lax = True
        try:
            yield self.sync
        finally:
            self._is_lax = False
            self.sync()


def together(storage: BaseStorage) -> contextlib.AbstractContextManager[None]:
    """While this lasts, a record that can collects what is written; nothing of it is read back."""
    if isinstance(storage, ServedRecord):
        return storage.together()
    journal = _journal_of(storage)
    return contextlib.nullcontext() if journal is None else journal.together()


def rarely_synced(
    storage: BaseStorage,
) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """While this lasts, lines of a journal survive a power cut once what is yielded was called.

    They survive the end of this process, of any kind, as soon as they are written. At the end, all
    are on the disk. Other storages keep their own ways.
    """
    journal = _journal_of(storage)
    return contextlib.nullcontext(_nothing) if journal is None else journal.rarely_synced()


def _nothing() -> None:
    pass


def _journal_of(storage: BaseStorage) -> Journal | None:
    backend = getattr(storage, "_backend", None)
    return backend if isinstance(backend, Journal) else None


def mend(path: Path, lock: Lock) -> None:
    """Cut a journal's torn end off, and keep it in a file beside the journal.

    Optuna reads past a torn line, but appends to it, and can never open the journal again. The
    lock keeps this from cutting the line that a living process is writing.

    Raises:
        UserError: a file that is no journal; it stays as it is.
    """
    with get_lock_file(lock), path.open("rb+") as file:
        _cut(file, path)


def _cut(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    content = file.read()
    start = _torn_from(content)
    torn = content[start:]
    if not torn:
        return
    if start == 0 and not (torn.startswith(_BEGIN) or _BEGIN.startswith(torn)):
        raise UserError(
            f"storage: {path} is no journal of Optuna's; accepted: the path of a journal file, "
            "new or old, or an address such as sqlite:///record.db"
        )
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    copy = path.with_name(f"{path.name}.torn-{stamp}")
    copy.write_bytes(torn)
    file.truncate(start)
    os.fsync(file.fileno())
    _log.warning(
        "%s ended in a torn line of %d bytes, as after a crash; it is now in %s",
        path,
        len(torn),
        copy.name,
    )


def _opened(path: Path) -> BinaryIO:
    """A journal to read and write; never made, and always written at its end."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND), "rb+")


def _to_whole_end(file: BinaryIO, path: Path) -> int:
    """Go to a journal's end, which is returned.

    What another writer, killed since, left of a line is cut off.
    """
    if file.seek(0, os.SEEK_END) == 0:
        return 0
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        _cut(file, path)
    return file.seek(0, os.SEEK_END)


# How Optuna begins each line of a journal.
_BEGIN = b'{"op_code":'


def _torn_from(content: bytes) -> int:
    """Where the part after a journal's last whole line starts."""
    end = len(content)
    while end > 0:
        start = content.rfind(b"\n", 0, end - 1) + 1
        if _is_whole(content[start:end]):
            break
        end = start
    return end


def _is_whole(line: bytes) -> bool:
    """Whether this is a line of a journal, with its end."""
    try:
        log = json.loads(line)
    except ValueError:  # of JSON, or of its encoding
        return False
    return line.endswith(b"\n") and isinstance(log, dict) and "op_code" in log
