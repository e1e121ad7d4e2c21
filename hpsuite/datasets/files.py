"""Files by name: what a folder holds, and the rules for what an archive (archives.py) may hold.

Files that systems leave by themselves (.DS_Store, __MACOSX and the like) are passed over.
"""

import hashlib
import os
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

# A file's or folder's path, in parts.
Parts = tuple[str, ...]

# What there may be at most: files, and bytes of one of them.
MAX_FILES = 2_000_000
MAX_FILE_BYTES = 256 << 20
# Folders in folders; more than any layout of images has.
_MAX_DEPTH = 6

_PASSED_OVER = ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir")
_READING_FAILS = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
    OverflowError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)


class BadFiles(ValueError):
    """What was found among files, and what would be accepted."""

    def __init__(self, found: str, accepted: str) -> None:
        super().__init__(found)
        self.found, self.accepted = found, accepted


class Reading:
    """A context manager that lets all that fails in reading be BadFiles."""

    def __init__(self, what: str, accepted: str = "a whole one") -> None:
        """What is read, and what would be accepted."""
        self._what, self._accepted = what, accepted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, _READING_FAILS) and not isinstance(error, BadFiles):
            known = error.strerror if isinstance(error, OSError) else None
            reason = " ".join((known or str(error)).split()) or type(error).__name__
            found = f"{self._what} that cannot be read ({shown(reason)})"
            raise BadFiles(found, self._accepted) from error


def shown(name: str) -> str:
    """A name for a line of text, whatever is in it."""
    return name if name.isprintable() else ascii(name)[1:-1]


class Listing:
    """What there is: files, and folders, among them those that hold nothing."""

    def __init__(self) -> None:
        self.files: set[Parts] = set()
        self.folders: set[Parts] = set()

    def add(self, name: str, *, is_folder: bool) -> Parts | None:
        """Take in a name; returns its parts, None for what is passed over.

        Raises:
            BadFiles: a name that leads elsewhere, or that is there already.
        """
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if (
            name.startswith("/")
            or ".." in parts
            or "\\" in name
            or "\0" in name
            or name[1:2] == ":"
        ):
            raise BadFiles(
                f"the name {shown(name)}", "names that stay inside, with / between folders"
            )
        # One spelling for accents, which systems write in two ways.
        parts = tuple(unicodedata.normalize("NFC", part) for part in parts)
        if not parts or any(part.startswith(".") or part in _PASSED_OVER for part in parts):
            return None
        if is_folder:
            self.folders.update(parts[:n] for n in range(1, len(parts) + 1))
            return parts
        if parts in self.files:
            raise BadFiles(f"{shown('/'.join(parts))} twice", "each file once")
        if len(self.files) == MAX_FILES:
            raise BadFiles(f"more than {MAX_FILES:,} files", "fewer")
        self.files.add(parts)
        self.folders.update(parts[:n] for n in range(1, len(parts)))
        return parts


class Files(Protocol):
    """The files of a folder or archive. A context manager: what it opened ends with it.

    All that its methods raise for what cannot be read is BadFiles.
    """

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that decides what the files are."""

    def listing(self) -> Listing:
        """All of them, once their names and sizes were checked."""

    def read(self, wanted: Collection[Parts]) -> Iterator[tuple[Parts, bytes]]:
        """The content of each, in the order in which they lie; `listing` comes first.

        Were they not those of the digest, if it was asked for, this ends with BadFiles.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class FolderFiles:
    """The files of a folder. Links are followed: it is the user's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listing: Listing | None = None
        self._paths: dict[Parts, Path] = {}
        self._sums: dict[Parts, bytes] = {}

    def listing(self) -> Listing:
        if self._listing is None:
            listing = Listing()
            with Reading("a folder", "one that may be read"):
                self._scan(self._folder, "", listing)
            self._listing = listing
        return self._listing

    def _scan(self, folder: Path, above: str, listing: Listing) -> None:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            name = above + entry.name
            if entry.is_dir():
                if listing.add(name, is_folder=True) is None:
                    continue
                if name.count("/") >= _MAX_DEPTH:
                    raise BadFiles(f"folders as deep as {shown(name)}", "folders of images")
                self._scan(Path(entry.path), name + "/", listing)
                continue
            if not entry.is_file():
                raise BadFiles(f"{shown(name)}, which is no file", "files and folders alone")
            parts = listing.add(name, is_folder=False)
            if parts is not None:
                if entry.stat().st_size > MAX_FILE_BYTES:
                    raise too_large(name, entry.stat().st_size)
                self._paths[parts] = Path(entry.path)

    def digest(self) -> str:
        listing = self.listing()
        whole = hashlib.sha256()
        for parts in sorted(listing.folders | listing.files):
            own = b""
            if parts in listing.files:
                own = hashlib.sha256(self._content(parts)).digest()
                self._sums[parts] = own
            name = "/".join(parts).encode("utf-8", "surrogateescape")
            whole.update(len(name).to_bytes(8, "big") + name + bytes([len(own)]) + own)
        return whole.hexdigest()

    def read(self, wanted: Collection[Parts]) -> Iterator[tuple[Parts, bytes]]:
        for parts in sorted(wanted):
            content = self._content(parts)
            if self._sums and self._sums[parts] != hashlib.sha256(content).digest():
                raise changed("/".join(parts))
            yield parts, content

    def _content(self, parts: Parts) -> bytes:
        with Reading(f"a file {shown('/'.join(parts))}"):
            return self._paths[parts].read_bytes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def too_large(name: str, size: int) -> BadFiles:
    """The error for a file."""
    return BadFiles(
        f"{shown(name)} of {size:,} bytes", f"files of up to {MAX_FILE_BYTES >> 20} MiB"
    )


def changed(what: str) -> BadFiles:
    """The error for what somebody writes to."""
    return BadFiles(f"{shown(what)} changed while it was read", "what stays as it is")
