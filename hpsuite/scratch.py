"""A folder for data that workers map, which no kill leaves behind for long.

It goes with the run. Where that is killed, and all of its workers with it, the next run removes it:
a file in it, locked by the run that uses it, tells whether that lives.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PREFIX, IN_USE = "hpsuite-", ".in-use"
# Seconds in which a new folder may not be locked yet.
YOUNG = 60.0


class Scratch:
    """A new folder in the system's place for temporary files.

    Attributes:
        folder: where it is.
    """

    def __init__(self) -> None:
        """Make it, and remove those that killed runs left."""
        _tidy()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._descriptor = os.open(self.folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
        _lock(self._descriptor)

    def remove(self) -> None:
        """Remove it, and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file; whether nobody else has."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _tidy() -> None:
    """Remove the folders of this user's whose runs are gone."""
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < YOUNG:
                continue
            # No link is followed, nor a file made.
            descriptor = os.open(folder / IN_USE, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if not folder.is_symlink() and _lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
