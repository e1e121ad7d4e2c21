"""Archives of somebody else: hostile, cut off, damaged; what they may hold, and where it goes."""

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hpsuite.datasets import archives, files
from hpsuite.datasets.archives import open_files
from hpsuite.datasets.files import BadFiles, Parts
from hpsuite.datasets.image_folder import image_folder
from tests.datasets.small import pictures, write_folder, write_tar, write_zip


def contents(place: Path) -> dict[Parts, bytes]:
    """All that a place holds."""
    with open_files(place) as found:
        found.digest()
        return dict(found.read(found.listing().files))


def refused(place: Path) -> str:
    with pytest.raises(BadFiles) as caught:
        contents(place)
    # As a user gets it, with nothing written, inside or outside.
    before = sorted(place.parent.rglob("*"))
    with pytest.raises(ValueError, match=r"^path: found ") as line:
        image_folder(data_dir=str(place.parent), path=place.name)
    assert caught.value.found in str(line.value)
    assert "\n" not in str(line.value)
    assert sorted(place.parent.rglob("*")) == before
    return caught.value.found


SOME = {"a/1.png": b"one", "b/2.png": b"two" * 1000, "c d/ü.png": b""}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tars_of_all_kinds(tmp_path: Path, mode: str, form: int) -> None:
    named = dict(SOME)
    if form != tarfile.USTAR_FORMAT:
        named["/".join(["long" * 30] * 3)] = b"3"
    with tarfile.open(tmp_path / "x", mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in named.items():
            folder = tarfile.TarInfo(name.rpartition("/")[0])
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert contents(tmp_path / "x") == {tuple(k.split("/")): v for k, v in named.items()}


def test_zips_and_folders(tmp_path: Path) -> None:
    expected = {tuple(name.split("/")): content for name, content in SOME.items()}
    assert contents(write_zip(tmp_path / "x", SOME)) == expected
    assert contents(write_folder(tmp_path / "folder", SOME)) == expected


@pytest.mark.slow
def test_zips_of_more_files_than_16_bits_count(tmp_path: Path) -> None:
    files = {f"a/{n}": b"" for n in range(66_000)}
    place = write_zip(tmp_path / "x", files)
    assert len(contents(place)) == 66_000
    content = bytearray(place.read_bytes())
    content[content.rindex(b"PK\6\6") + 32] ^= 1
    place.write_bytes(content)
    assert refused(place) == "an archive that is cut off or damaged"


def test_one_spelling_of_accents(tmp_path: Path) -> None:
    composed, apart = "\N{LATIN SMALL LETTER U WITH DIAERESIS}", "u\N{COMBINING DIAERESIS}"
    assert contents(write_zip(tmp_path / "x", {f"{apart}/1": b"1"})) == {(composed, "1"): b"1"}
    both = write_zip(tmp_path / "y", {f"{apart}/1": b"1", f"{composed}/1": b"2"})
    assert refused(both) == f"{composed}/1 twice"


UNSAFE = ["../x.png", "a/../../x.png", "/etc/x.png", "a\\..\\x.png", "C:/x.png", "a/.."]


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_names_that_lead_out(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    place = tmp_path / "inner" / "x"
    place.parent.mkdir()
    line = refused(write(place, {**pictures(), name: b"x"}))
    assert line == f"the name {files.shown(name)}"
    assert list(tmp_path.iterdir()) == [place.parent]


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
def test_tars_with_what_is_no_file(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "x", "w") as archive:
        archive.addfile(tarfile.TarInfo("a/1.png"))
        link = tarfile.TarInfo("a/2.png")
        link.type, link.linkname = kind, "/etc/passwd"
        archive.addfile(link)
    assert refused(tmp_path / "x") == "a/2.png, which is a link or no file"


def test_sparse_files(tmp_path: Path) -> None:
    """A few bytes that stand for many."""
    with tarfile.open(tmp_path / "x", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a/1.png")
        member.size = 3
        member.pax_headers = {"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,3"}
        archive.addfile(member, io.BytesIO(b"abc"))
    refused(tmp_path / "x")


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_zips_with_what_is_no_file(tmp_path: Path, mode: int) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        link = zipfile.ZipInfo("a/2.png")
        link.external_attr = mode << 16
        archive.writestr(link, "/etc/passwd")
    assert refused(tmp_path / "x") == "a/2.png, which is a link or no file"


def test_zips_of_other_kinds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/1.png", b"x" * 100)
    assert refused(tmp_path / "x") == "a/1.png, compressed in way 14"
    content = bytearray(write_zip(tmp_path / "y", {"a/1.png": b"x"}).read_bytes())
    central = content.index(b"PK\1\2")
    content[central + 8] |= 1  # general purpose bit 0 (APPNOTE 4.4.4)
    (tmp_path / "y").write_bytes(content)
    assert refused(tmp_path / "y") == "a/1.png, which is encrypted"


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_file_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("a/1.png", b"one")
        archive.writestr("./a//1.png", b"two")
    assert refused(tmp_path / "x") == "a/1.png twice"
    with tarfile.open(tmp_path / "y", "w") as tar:
        tar.addfile(tarfile.TarInfo("a/1.png"))
        tar.addfile(tarfile.TarInfo("a/1.png"))
    assert refused(tmp_path / "y") == "a/1.png twice"


# Cut off and damaged.


@pytest.mark.parametrize("write", [lambda p, f: write_tar(p, f, "w"), write_tar, write_zip])
def test_cut_off_anywhere(tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path]) -> None:
    whole = write(tmp_path / "x", SOME).read_bytes()
    end = len(whole.rstrip(b"\0")) if whole[:2] not in (b"PK", b"\x1f\x8b") else len(whole)
    # Between members too, where tarfile by itself sees a shorter archive.
    for cut in {*range(0, end, 37), *range(0, end, 512), end - 1}:
        (tmp_path / "x").write_bytes(whole[:cut])
        refused(tmp_path / "x")


def test_a_damaged_header_hides_no_files(tmp_path: Path) -> None:
    whole = bytearray(write_tar(tmp_path / "x", SOME, "w").read_bytes())
    with tarfile.open(tmp_path / "x") as archive:
        second = archive.getmembers()[1].offset
    whole[second + 5] ^= 1
    (tmp_path / "x").write_bytes(whole)
    with tarfile.open(tmp_path / "x") as archive:
        assert len(archive.getnames()) == 1  # which is why
    assert refused(tmp_path / "x") == "an archive that is cut off or damaged"


def test_two_archives_in_one_file(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "x", SOME, "w").read_bytes()
    (tmp_path / "x").write_bytes(one + one)
    assert refused(tmp_path / "x") == "something behind the archive's end"


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_damage_is_found_by_the_sums(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    """A changed byte changes nothing that is read, or is refused."""
    noise = random.Random(0).randbytes(300)
    whole = write(tmp_path / "x", {"a/1.png": noise, "b/2.png": noise[::-1]}).read_bytes()
    before = contents(tmp_path / "x")
    n_refused = 0
    for at in range(0, len(whole), 2):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        (tmp_path / "x").write_bytes(damaged)
        try:
            found = contents(tmp_path / "x")
        except BadFiles:
            n_refused += 1
        else:
            # Names in a zip have no sum of their own.
            assert sorted(found.values()) == sorted(before.values())
    assert n_refused > len(whole) / 2 * 0.6


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\3\4", b"\x1f\x8b", b"x" * 5000, bytes(100)])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    refused(tmp_path / "x")


def test_an_empty_archive(tmp_path: Path) -> None:
    assert contents(write_tar(tmp_path / "x", {})) == {}
    assert contents(write_zip(tmp_path / "y", {})) == {}


# Without bounds.


def test_tars_that_expand_without_bounds(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x", "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:  # type: ignore[call-overload]
        for n in range(3):
            member = tarfile.TarInfo(f"a/{n}.png")
            member.size = 40 << 20
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    assert (tmp_path / "x").stat().st_size < 200_000
    assert refused(tmp_path / "x") == "an archive that expands more than 200-fold"


def test_zeros_behind_an_archive(tmp_path: Path) -> None:
    """They are read to the end for the sum's sake, but not without bounds."""
    content = write_tar(tmp_path / "x", SOME, "w").read_bytes()
    with gzip.open(tmp_path / "x", "wb") as file:
        file.write(content + bytes(1 << 20))
    assert len(contents(tmp_path / "x")) == 3
    with gzip.open(tmp_path / "x", "wb") as file:
        file.write(content + bytes(100 << 20))
    assert refused(tmp_path / "x") == "an archive that expands more than 200-fold"


def test_zips_that_expand_without_bounds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(3):
            archive.writestr(f"a/{n}.png", bytes(40 << 20))
    assert refused(tmp_path / "x") == "an archive that expands more than 200-fold"


def test_files_without_bounds(tmp_path: Path) -> None:
    """Refused by what a header says, before anything of that size is read."""
    header = tarfile.TarInfo("a/1.png")
    header.size = 1 << 40
    (tmp_path / "x").write_bytes(header.tobuf() + bytes(1024))
    assert refused(tmp_path / "x") == "a/1.png of 1,099,511,627,776 bytes"
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.CHRTYPE):
        header.type, header.size = kind, 2 << 20
        (tmp_path / "x").write_bytes(header.tobuf() + bytes(4 << 20))
        assert refused(tmp_path / "x").startswith("a/1.png of 2,097,152 bytes")
    with tarfile.open(tmp_path / "x", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a/1.png")
        member.pax_headers = {"size": "-1024"}  # which would read in circles
        archive.addfile(member)
    refused(tmp_path / "x")
    content = bytearray(write_zip(tmp_path / "y", {"a/1.png": b"x"}).read_bytes())
    central = content.index(b"PK\1\2")
    content[central + 24 : central + 28] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "y").write_bytes(content)
    assert refused(tmp_path / "y") == "a/1.png of 1,073,741,824 bytes"


@pytest.mark.parametrize("write", [write_tar, write_zip, write_folder])
def test_files_without_number(
    tmp_path: Path,
    write: Callable[[Path, dict[str, bytes]], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    assert refused(write(tmp_path / "x", SOME)) == "more than 2 files"


def test_large_files_in_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", SOME)
    with (tmp_path / "x" / "a" / "1.png").open("r+b") as file:
        file.truncate(300 << 20)
    assert refused(tmp_path / "x") == "a/1.png of 314,572,800 bytes"


# Changing while it is read.


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_an_archive_that_changes(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    place = write(tmp_path / "x", SOME)
    with open_files(place) as found:
        found.digest()
        reading = iter(found.read(found.listing().files))
        next(reading)
        with place.open("ab") as file:
            file.write(b"more")
        with pytest.raises(BadFiles, match="an archive that changed while it was read"):
            list(reading)


def test_a_folder_that_changes(tmp_path: Path) -> None:
    place = write_folder(tmp_path / "x", SOME)
    with open_files(place) as found:
        found.digest()
        (place / "a" / "3.png").write_bytes(b"new")  # which is not looked for
        (place / "b" / "2.png").write_bytes(b"twO" * 1000)
        reading = found.read(found.listing().files)
        assert next(iter(reading)) == (("a", "1.png"), b"one")
        with pytest.raises(BadFiles, match=r"b/2\.png changed while it was read"):
            list(reading)


def test_a_tar_replaced_while_it_is_read(tmp_path: Path) -> None:
    """The file that was opened is read to its end."""
    place = write_tar(tmp_path / "x", SOME)
    with open_files(place) as found:
        found.digest()
        write_tar(tmp_path / "y", pictures()).replace(place)
        assert len(dict(found.read(found.listing().files))) == 3


def test_digests(tmp_path: Path) -> None:
    def digest(place: Path) -> str:
        with open_files(place) as found:
            return found.digest()

    one, same = (write_folder(tmp_path / name, SOME) for name in "xy")
    assert digest(one) == digest(same)
    found = {digest(one)}
    for name, content in (("a/1.png", b"One"), ("a/4.png", b"one"), ("d/.keep", b"")):
        write_folder(one, {name: content})
        found.add(digest(one))
    assert len(found) == 4
    (one / "a" / "4.png").rename(one / "a" / "5.png")
    assert digest(one) not in found


def test_limits_are_as_documented() -> None:
    assert (files.MAX_FILES, files.MAX_FILE_BYTES) == (2_000_000, 256 << 20)
    assert archives.MAX_EXPANSION == 200
