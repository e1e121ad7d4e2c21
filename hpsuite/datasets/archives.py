"""The files of a tar (also compressed by gzip) or a zip, read where they lie.

Nothing is ever extracted to a disk. An archive is somebody else's: names that lead out of it,
links, devices and encrypted members are refused, and so is one that would expand without bounds
or that was cut off, which tarfile by itself would read as a shorter one.
"""

import contextlib
import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Self

from hpsuite.datasets.files import (
    MAX_FILE_BYTES,
    BadFiles,
    Files,
    FolderFiles,
    Listing,
    Parts,
    Reading,
    changed,
    shown,
    too_large,
)
from hpsuite.datasets.progress import Progress

# Bytes of all files together for each byte of the archive, at most, over a first 64 MiB: images
# hardly shrink, and zeros do a thousandfold.
MAX_EXPANSION = 200
_FREE_BYTES = 64 << 20
# Of the headers that tar puts before a member with a long name.
_MAX_HEADER_BYTES = 1 << 20

_ARCHIVE = "a whole .tar, .tar.gz or .zip, or a folder"
_BLOCK = 512
_PIECE = 1 << 20
# The records at the end of a zip, with the longest comment.
_ZIP_END_BYTES = 22 + 65_535 + 20 + 56


def open_files(place: Path) -> Files:
    """The files of a folder, a tar or a zip.

    Raises:
        BadFiles: what is none of these, or cannot be opened.
    """
    with Reading("an archive", _ARCHIVE):
        if place.is_dir():
            return FolderFiles(place)
        if not place.is_file():  # a pipe would never end
            raise BadFiles("neither a file nor a folder", _ARCHIVE)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(place.open("rb"))
            is_zip = file.read(4) in (b"PK\3\4", b"PK\5\6")
            files = ZipFiles(file) if is_zip else TarFiles(file)
            stack.pop_all()
            return files


class _ArchiveFiles:
    """What tar and zip have in common."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self._digest = ""

    def digest(self) -> str:
        with Reading("an archive", _ARCHIVE):
            self._digest = self._sum()
        return self._digest

    def _sum(self) -> str:
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()  # type: ignore[arg-type]

    def _check_same(self) -> None:
        """Check that nobody wrote to the archive while it was read."""
        if self._digest and self._sum() != self._digest:
            raise changed("an archive that")

    def _check_expansion(self, total: int) -> None:
        if total > MAX_EXPANSION * self._size + _FREE_BYTES:
            raise BadFiles(
                f"an archive that expands more than {MAX_EXPANSION}-fold",
                "less, or a folder of its files",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


class _Header(tarfile.TarInfo):
    """A header of a tar, refused before what it announces is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        plain = header.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
        if not 0 <= header.size <= (MAX_FILE_BYTES if plain else _MAX_HEADER_BYTES):
            raise too_large(header.name, header.size)
        return header


class TarFiles(_ArchiveFiles):
    """The files of a tar, as it is or compressed by gzip."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        # Where each file lies in the tar: first byte, number of bytes.
        self._spans: dict[Parts, tuple[int, int]] = {}

    @contextlib.contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        """The tar, not compressed, from its start."""
        self._file.seek(0)
        compressed = self._file.read(2) == b"\x1f\x8b"
        self._file.seek(0)
        if not compressed:
            yield self._file
            return
        with gzip.GzipFile(fileobj=self._file, mode="rb") as stream:
            yield stream  # type: ignore[misc]

    def listing(self) -> Listing:
        listing = Listing()
        self._spans.clear()
        progress = Progress("looking into an archive", None, "files")
        with Reading("an archive", _ARCHIVE), self._stream() as stream:
            end = 0
            with tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as archive:
                while (member := archive.next()) is not None:
                    self._add(listing, member)
                    size = 0 if member.isdir() else member.size
                    end = member.offset_data + -(-size // _BLOCK) * _BLOCK
                    self._check_expansion(end)
                    progress.advance()
                    archive.members.clear()  # type: ignore[attr-defined]  # else it keeps all
            self._check_end(stream, end)
        progress.finish()
        return listing

    def _add(self, listing: Listing, member: tarfile.TarInfo) -> None:
        if not 0 <= member.size <= MAX_FILE_BYTES:
            raise too_large(member.name, member.size)
        is_file = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
        if not is_file and not member.isdir():
            raise _no_file(member.name)
        parts = listing.add(member.name, is_folder=member.isdir())
        if parts is not None and is_file:
            self._spans[parts] = (member.offset_data, member.size)

    def _check_end(self, stream: IO[bytes], end: int) -> None:
        """Check that the archive ends where its members do.

        For tarfile, one that was cut off between members, or that has a damaged header, ends there.
        Reading on to the end of a gzip file has its sum checked.
        """
        stream.seek(end)
        if stream.read(_BLOCK) != bytes(_BLOCK):
            raise BadFiles("an archive that is cut off or damaged", _ARCHIVE)
        while piece := stream.read(_PIECE):
            if piece.count(0) != len(piece):
                raise BadFiles("something behind the archive's end", "one archive alone")
            self._check_expansion(stream.tell())

    def read(self, wanted: Collection[Parts]) -> Iterator[tuple[Parts, bytes]]:
        with self._stream() as stream:
            for parts in sorted(wanted, key=lambda parts: self._spans[parts]):
                start, size = self._spans[parts]
                with Reading(f"a file {shown('/'.join(parts))}"):
                    stream.seek(start)
                    content = stream.read(size)
                    if len(content) != size:
                        raise EOFError("it is cut off")
                yield parts, content
        self._check_same()


class ZipFiles(_ArchiveFiles):
    """The files of a zip."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._archive = zipfile.ZipFile(file)
        self._members: dict[Parts, zipfile.ZipInfo] = {}

    def listing(self) -> Listing:
        listing = Listing()
        self._members.clear()
        with Reading("an archive", _ARCHIVE):
            self._check_count()
        total = 0
        for member in self._archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_file(member.filename)
            if member.flag_bits & 1:
                raise BadFiles(f"{shown(member.filename)}, which is encrypted", "plain files")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadFiles(
                    f"{shown(member.filename)}, compressed in way {member.compress_type}",
                    "deflated or stored files",
                )
            if member.file_size > MAX_FILE_BYTES:
                raise too_large(member.filename, member.file_size)
            total += member.file_size
            self._check_expansion(total)
            parts = listing.add(member.filename, is_folder=member.is_dir())
            if parts is not None and not member.is_dir():
                self._members[parts] = member
        return listing

    def _check_count(self) -> None:
        """Check that the directory has as many entries as its end says, which zipfile does not.

        A damaged length in one entry can hide those behind it (APPNOTE 4.3.14 and 4.3.16).
        """
        start = max(0, self._size - _ZIP_END_BYTES)
        self._file.seek(start)
        end = self._file.read()
        at = end.rindex(b"PK\5\6")
        count = int.from_bytes(end[at + 10 : at + 12], "little")
        found = len(self._archive.infolist())
        long = end.rfind(b"PK\6\6", 0, at)
        if count == 0xFFFF and long >= 0:
            count = int.from_bytes(end[long + 32 : long + 40], "little")
        else:  # some programs count on from 0
            found &= 0xFFFF
        if found != count:
            raise BadFiles("an archive that is cut off or damaged", _ARCHIVE)

    def read(self, wanted: Collection[Parts]) -> Iterator[tuple[Parts, bytes]]:
        for parts in sorted(wanted, key=lambda parts: self._members[parts].header_offset):
            with Reading(f"a file {shown('/'.join(parts))}"):
                content = self._archive.read(self._members[parts])
            yield parts, content
        self._check_same()


def _no_file(name: str) -> BadFiles:
    return BadFiles(f"{shown(name)}, which is a link or no file", "files and folders alone")
