"""Letting torchvision fetch a data set: beside its final place, and moved there when whole."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# Of each attempt to connect and each read, in seconds; torchvision itself would wait for ever.
DOWNLOAD_TIMEOUT = 10.0

# What torchvision raises for files that are missing, cut off or of another format.
READING_FAILS = (OSError, RuntimeError, ValueError, TypeError, LookupError, AssertionError)


def fetch(
    folder: Path, root: Path, names: Sequence[str], download: Callable[[str], object]
) -> None:
    """Download the files of a data set.

    Args:
        folder: where they belong, below `root`.
        root: folder of all data sets' files.
        names: of the files.
        download: downloads them into the same place below another root.

    Raises:
        what `download` raises; then nothing is left behind, and what was there is as it was.
    """
    anchor = next(parent for parent in folder.parents if parent.is_dir())
    with tempfile.TemporaryDirectory(dir=anchor, prefix=".hpsuite-download-") as scratch:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # torchvision takes no timeout
        try:
            download(scratch)
        finally:
            socket.setdefaulttimeout(before)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.move(Path(scratch) / folder.relative_to(root) / name, folder / name)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
