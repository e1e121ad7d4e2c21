"""What was decoded, kept for the next time: arrays in one file without pickles.

A file is found by a hash of all that decides its arrays, the content of what they were decoded
from among it, so it is never out of date. Its own sums (CRC-32, of the zip format) are checked
whenever it is read, and a damaged one is made anew. It is written beside its place and renamed, so
that several processes may do so at once. Whatever is in a cache may be removed at any time.
"""

import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[np.generic]]

# Of the files' layout; another one is never read.
FORMAT = 1
_UNFINISHED = ".part"
_DAY = 86_400.0


def cached(
    name: str, decided_by: Mapping[str, object], data_dir: Path, make: Callable[[], Arrays]
) -> Arrays:
    """Arrays from the cache, or made now and put there.

    The cache is the folder that HPSUITE_CACHE names; else `.hpsuite-cache` in `data_dir`, where
    that can be written; else `hpsuite` in XDG_CACHE_HOME, which is ~/.cache. Without any, arrays
    are made every time.

    Args:
        name: begins the file's name, for those who tidy up.
        decided_by: all that decides the arrays, as plain values.
        data_dir: folder of the data sets' files.
        make: makes them.
    """
    text = json.dumps({"format": FORMAT, **decided_by}, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    folders = _folders(data_dir)
    file_name = f"{_plain(name)}-{key[:16]}.npz"
    for folder in folders:
        found = _read(folder / file_name, key)
        if found is not None:
            return found
    arrays = make()
    reasons = []
    for folder in folders:
        try:
            _write(folder, file_name, {**arrays, "key": np.array(key)})
            break
        except OSError as error:
            reasons.append(f"{folder} ({error.strerror or error})")
    else:
        _log.warning(
            "%s is decoded anew each time: no cache can be written in %s; HPSUITE_CACHE= may name "
            "another folder",
            name,
            " or ".join(reasons) or "this home",
        )
    return arrays


def _folders(data_dir: Path) -> list[Path]:
    """Where a cache may be, the best place first."""
    with contextlib.suppress(RuntimeError):  # a home that nobody knows
        own = os.environ.get("HPSUITE_CACHE")
        if own:
            return [Path(own).expanduser()]
    folders = [data_dir / ".hpsuite-cache"] if data_dir.is_dir() else []
    with contextlib.suppress(RuntimeError):
        home = Path(os.environ.get("XDG_CACHE_HOME") or "")
        # A relative one is to be ignored (XDG Base Directory Specification 0.8).
        folders.append((home if home.is_absolute() else Path("~/.cache").expanduser()) / "hpsuite")
    return folders


def _plain(name: str) -> str:
    """A name that is good for a file's in any system."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[:64]


def _read(path: Path, key: str) -> Arrays | None:
    """The arrays of a file; None where there is none, or none that is whole."""
    try:
        # Opened here: numpy would leave a damaged one open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if str(arrays.pop("key")) == key:
            return arrays
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (
        OSError,
        ValueError,
        LookupError,
        EOFError,
        RuntimeError,
        MemoryError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        _log.info("%s: %s", path, error)
    _log.warning("%s cannot be read or is damaged: decoded anew", path)
    return None


def _write(folder: Path, name: str, arrays: Arrays) -> None:
    """Put arrays into a file, all or nothing.

    Raises:
        OSError: a folder that cannot be written, or a full disk.
    """
    _check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _tidy(folder)
    scratch = folder / f".{name}-{os.getpid()}-{secrets.token_hex(4)}{_UNFINISHED}"
    try:
        with scratch.open("xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder / name)
    finally:
        scratch.unlink(missing_ok=True)


def _check_writable(folder: Path) -> None:
    """Check that a folder may be written, or made in its parent.

    Raises:
        PermissionError: one that nobody may write, or that this user may not.
    """
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    # The superuser could write where nobody should.
    if not there.stat().st_mode & 0o222 or not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(13, "may not be written", str(there))


def _tidy(folder: Path) -> None:
    """Remove what processes that were killed left unfinished."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _DAY:
                path.unlink()
