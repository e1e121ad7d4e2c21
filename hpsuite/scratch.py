"""Folders for data that workers map, which no kill leaves behind for long.

One goes with the run. Where that is killed, and all of its workers with it, the next run removes
it: a file in it, locked by the run that uses it, tells whether that lives.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl

PREFIX, IN_USE, WRITING = "hpsuite-", ".in-use", ".writing"
# Seconds in which a new folder may not be locked yet.
YOUNG = 60.0
# Seconds that the system may need to give back the locks of a process that was killed.
LATE = 1.0


class Scratch:
    """A new folder in the system's place for temporary files.

    Attributes:
        folder: where it is.
    """

    def __init__(self, within: Path | None = None) -> None:
        """Make it, perhaps `within` another place, and remove those that killed runs left."""
        place = Path(tempfile.gettempdir()) if within is None else within
        _tidy(place)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        self._descriptor = os.open(self.folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
        _lock(self._descriptor)

    def remove(self) -> None:
        """Remove it, and all that is in it."""
        _clear(self.folder)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class SharedScratch:
    """A folder that all processes of a run on this machine share; the last one removes it.

    Attributes:
        folder: where it is.
    """

    def __init__(self, token: str) -> None:
        """Make it, or join those that have; `token` is the run's own, and nobody's to guess.

        What killed runs left is removed.
        """
        self.folder = shared_folder(token)
        _tidy(self.folder.parent)
        while True:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the last one has just removed it
                self._descriptor = os.open(self.folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
                _share(self._descriptor)
                if _is_at(self._descriptor, self.folder / IN_USE):
                    return
                os.close(self._descriptor)

    def fill(self, name: str, write: Callable[[Path], None]) -> None:
        """Let one process write a folder in it, unless one did; the others wait."""
        whole, half = self.folder / name, self.folder / f".{name}"
        descriptor = os.open(self.folder / WRITING, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _wait_for(descriptor)
            if not whole.exists():
                shutil.rmtree(half, ignore_errors=True)  # of one that was killed
                write(half)
                half.rename(whole)
        finally:
            os.close(descriptor)

    def leave(self) -> None:
        """Leave it, and remove it where no other process uses it."""
        os.close(self._descriptor)
        remove_unused(self.folder, patience=0.0)


def shared_folder(token: str) -> Path:
    """Where the `SharedScratch` of a token is, on this machine."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{token}"


def write_arrays(arrays: "Mapping[str, NDArray[np.generic]]", folder: Path) -> None:
    """Write arrays to files of a new folder, `NAME.npy` each."""
    import numpy as np  # which those that only remove folders do without

    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def remove_unused(folder: Path, patience: float = LATE) -> None:
    """Remove a folder that no process uses.

    Args:
        folder: of a `Scratch` or a `SharedScratch`.
        patience: seconds in which its processes may have come to their ends.
    """
    deadline = time.monotonic() + patience
    while folder.exists() and not _removed(folder) and time.monotonic() < deadline:
        time.sleep(0.05)


def _removed(folder: Path) -> bool:
    if sys.platform == "win32":
        shutil.rmtree(folder, ignore_errors=True)
        return True
    try:
        # No link is followed, nor a file made.
        descriptor = os.open(folder / IN_USE, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # where it was just made, or all but removed
        return True
    try:
        if _lock(descriptor):
            _clear(folder)
            return True
        return False
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    """Remove a folder, last the file by which others know it, should this process be killed."""
    for path in [*folder.iterdir()] if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != IN_USE:
            with contextlib.suppress(OSError):
                path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that lies there."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    return False


def _share(descriptor: int) -> None:
    """Lock a file together with others that do."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _wait_for(descriptor: int) -> None:
    """Lock a file, when nobody else has."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _lock(descriptor: int) -> bool:
    """Lock a file; whether nobody else has."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _tidy(place: Path) -> None:
    """Remove the folders of this user's whose runs are gone."""
    if sys.platform == "win32":
        return
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < YOUNG:
                continue
            if not folder.is_symlink() and (folder / IN_USE).exists():
                _removed(folder)
