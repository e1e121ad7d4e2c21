"""The cache: never stale, never wrong, and never in the way."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpsuite.datasets import Source, cache
from hpsuite.datasets.cache import Arrays, cached
from hpsuite.datasets.image_folder import image_folder
from tests.datasets.small import encoded, pictures, write_folder, write_tar

X = np.random.default_rng(0).integers(0, 256, (7, 3, 2), dtype=np.uint8)
MADE: Arrays = {"x": X, "y": np.arange(7), "n": np.array(3)}


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self, arrays: Arrays = MADE) -> None:
        self.arrays, self.n = arrays, 0

    def __call__(self) -> Arrays:
        self.n += 1
        return dict(self.arrays)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that HPSUITE_CACHE names."""
    monkeypatch.setenv("HPSUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def check(arrays: Arrays, expected: Arrays = MADE) -> None:
    assert set(arrays) == set(expected)
    for name, array in arrays.items():
        assert np.array_equal(array, expected[name])
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)


def test_arrays_are_made_once(folder: Path, tmp_path: Path) -> None:
    make = Maker()
    for _ in range(3):
        check(cached("mine", {"a": 1}, tmp_path, make))
    assert make.n == 1
    (file,) = folder.iterdir()
    assert file.name.startswith("mine-")


def test_another_reason_is_another_entry(folder: Path, tmp_path: Path) -> None:
    other = Maker({"x": X + 1})
    cached("mine", {"a": 1}, tmp_path, Maker())
    check(cached("mine", {"a": 2}, tmp_path, other), other.arrays)
    check(cached("mine", {"a": 1}, tmp_path, other))
    assert other.n == 1
    assert len(list(folder.iterdir())) == 2


def test_a_file_of_another_key_is_not_used(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever moved it there."""
    cached("mine", {"a": 1}, tmp_path, Maker())
    (first,) = folder.iterdir()
    other = Maker({"x": X + 1})
    cached("mine", {"a": 2}, tmp_path, other)
    (second,) = set(folder.iterdir()) - {first}
    first.replace(second)
    check(cached("mine", {"a": 2}, tmp_path, other), other.arrays)
    assert other.n == 2
    assert "damaged: decoded anew" in caplog.text


@pytest.mark.parametrize("flip", [0xFF, 0x01])
def test_damage_anywhere_is_found_and_mended(folder: Path, tmp_path: Path, flip: int) -> None:
    cached("mine", {}, tmp_path, Maker())
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    n_made = 0
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= flip
        file.write_bytes(damaged)
        make = Maker()
        check(cached("mine", {}, tmp_path, make))  # right in any case
        n_made += make.n
        if make.n:
            assert file.read_bytes() == whole
    assert n_made > len(whole) / 3 * 0.5


@pytest.mark.parametrize("n_bytes", [0, 1, 100, -300, -1])
def test_a_file_that_was_cut_off(folder: Path, tmp_path: Path, n_bytes: int) -> None:
    cached("mine", {}, tmp_path, Maker())
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:n_bytes])
    make = Maker()
    check(cached("mine", {}, tmp_path, make))
    assert make.n == 1
    assert file.read_bytes() == whole


def test_no_pickle_is_ever_read(folder: Path, tmp_path: Path) -> None:
    cached("mine", {}, tmp_path, Maker())
    (file,) = folder.iterdir()
    with np.load(file) as arrays:
        key = arrays["key"]

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    with file.open("wb") as out:
        np.savez(out, key=key, x=np.array([Payload()], dtype=object))
    check(cached("mine", {}, tmp_path, Maker()))
    assert not (tmp_path / "sprung").exists()


def test_a_failure_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise ValueError("no image")

    with pytest.raises(ValueError, match="no image"):
        cached("mine", {}, tmp_path, fail)
    assert not folder.exists()


def test_an_interrupt_while_writing_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached("mine", {}, tmp_path, Maker())
    assert list(folder.iterdir()) == []


def test_what_killed_processes_left_is_removed_after_a_day(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    old, new = folder / ".old-1-ab.part", folder / ".new-2-cd.part"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    cached("mine", {}, tmp_path, Maker())
    assert not old.exists()
    assert new.exists()


# Where it is.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HPSUITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    return tmp_path / "home" / "cache" / "hpsuite"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_it_is_beside_the_data(home: Path, data_dir: Path) -> None:
    cached("mine", {}, data_dir, Maker())
    assert [path.parent.name for path in data_dir.rglob("*.npz")] == [".hpsuite-cache"]
    assert not home.exists()


def test_it_is_at_home_where_the_data_may_not_be_written(home: Path, data_dir: Path) -> None:
    """Also for the superuser, who could."""
    data_dir.chmod(0o555)
    make = Maker()
    for _ in range(2):
        check(cached("mine", {}, data_dir, make))
    assert make.n == 1
    assert list(data_dir.iterdir()) == []
    assert len(list(home.glob("mine-*.npz"))) == 1
    data_dir.chmod(0o755)


def test_one_that_may_only_be_read_is_read(home: Path, data_dir: Path) -> None:
    cached("mine", {}, data_dir, Maker())
    (data_dir / ".hpsuite-cache").chmod(0o555)
    data_dir.chmod(0o555)
    make = Maker()
    check(cached("mine", {}, data_dir, make))
    assert make.n == 0
    assert not home.exists()
    data_dir.chmod(0o755)
    (data_dir / ".hpsuite-cache").chmod(0o755)


def test_no_data_dir_is_made_for_it(home: Path, tmp_path: Path) -> None:
    cached("mine", {}, tmp_path / "nowhere", Maker())
    assert not (tmp_path / "nowhere").exists()
    assert len(list(home.iterdir())) == 1


def test_a_relative_home_is_ignored(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPSUITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cached("mine", {}, tmp_path / "nowhere", Maker())
    assert not (tmp_path / "relative").exists()
    assert len(list((tmp_path / ".cache" / "hpsuite").iterdir())) == 1


@pytest.mark.parametrize("where", ["/dev/null", "/proc/nothing/there"])
def test_without_any_place_it_works(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HPSUITE_CACHE", where)
    make = Maker()
    for _ in range(2):
        check(cached("mine", {}, data_dir, make))
    assert make.n == 2
    (record, _) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"mine is decoded anew each time: no cache can be written in {where} (" in caplog.text
    assert "HPSUITE_CACHE=" in caplog.text


def test_a_full_disk(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    check(cached("mine", {}, tmp_path, Maker()))
    assert list(folder.iterdir()) == []
    assert "(No space left on device)" in caplog.text


# Of images.


def load(place: Path, **options: object) -> Source:
    return image_folder(data_dir=str(place.parent), path=place.name, **options)  # type: ignore[arg-type]


@pytest.fixture
def n_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many images were decoded since it was asked last."""
    from hpsuite.datasets import image_folder as module

    count = 0
    plain = module.decode

    def counting(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        return plain(*arguments, **options)  # type: ignore[arg-type]

    def since() -> int:
        nonlocal count
        found, count = count, 0
        return found

    monkeypatch.setattr(module, "decode", counting)
    return since


@pytest.mark.parametrize("write", [write_folder, write_tar])
def test_new_content_of_the_same_size_and_time_is_seen(
    tmp_path: Path,
    write: Callable[[Path, dict[str, bytes]], Path],
    n_decoded: Callable[[], int],
) -> None:
    files = {
        f"{c}/{i}.bmp": encoded(np.full((4, 4, 3), i, np.uint8), "BMP")
        for c in "ab"
        for i in range(3)
    }
    place = write(tmp_path / "set", files)
    times = {path: path.stat() for path in [place, *place.rglob("*")]}
    before = load(place)
    assert n_decoded() == 6
    files["a/1.bmp"] = encoded(np.full((4, 4, 3), 99, np.uint8), "BMP")
    write(place, files)
    for path, was in times.items():
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    after = load(place)
    assert n_decoded() == 6
    assert (before.x[1].max(), after.x[1].max()) == (1, 99)
    load(place)
    assert n_decoded() == 0


@pytest.mark.parametrize("write", [write_folder, write_tar])
def test_all_that_decides_the_pixels_is_in_the_key(
    tmp_path: Path,
    write: Callable[[Path, dict[str, bytes]], Path],
    n_decoded: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = write(tmp_path / "set", pictures())
    sources = {}
    options: list[dict[str, object]] = [
        {},
        {"resize": (4, 4)},
        {"resize": (5, 4)},
        {"color": "grayscale"},
    ]
    for _ in range(2):
        for option in options:
            sources[str(option)] = load(place, **option)
    assert n_decoded() == 4 * 24
    assert len({source.x.shape for source in sources.values()}) == 4
    # Where it lies is not.
    place = place.rename(tmp_path / "moved")
    assert np.array_equal(load(place).x, sources["{}"].x)
    assert n_decoded() in (0, 24)  # a file's name begins with the place's
    # Another Pillow may decode to other pixels.
    monkeypatch.setattr("hpsuite.datasets.image_folder.versions", lambda: {"pil": "0.1"})
    load(place)
    assert n_decoded() == 24


def test_the_cache_gives_what_decoding_gives(tmp_path: Path, n_decoded: Callable[[], int]) -> None:
    place = write_tar(tmp_path / "set", pictures())
    made, kept = load(place), load(place)
    assert n_decoded() == 24
    for name in ("x", "y", "x_test", "y_test"):
        a, b = getattr(made, name), getattr(kept, name)
        assert np.array_equal(a, b)
        assert (a.dtype, a.flags.c_contiguous) == (b.dtype, b.flags.c_contiguous)
    assert (made.n_classes, made.scale) == (kept.n_classes, kept.scale)


RACE = """
import sys, hashlib
from hpsuite.datasets import cache
from hpsuite.datasets.image_folder import image_folder
sys.stdin.readline()
for _ in range(5):
    source = image_folder(data_dir=sys.argv[1], path="set.tar.gz")
    print(hashlib.sha256(source.x.tobytes() + source.y.tobytes()).hexdigest())
    for path in cache._folders(None)[0].glob("*.npz"):
        path.unlink(missing_ok=True)
"""


def test_processes_at_once(folder: Path, tmp_path: Path) -> None:
    """Each writes and removes what the others read, and all get the same."""
    write_tar(tmp_path / "set.tar.gz", pictures(n=30))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    lines: list[str] = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        out, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        lines += out.split()
    assert len(lines) == 15
    assert len(set(lines)) == 1
    assert [path.name for path in folder.iterdir() if path.suffix != ".npz"] == []


def test_names_are_good_for_any_system() -> None:
    assert cache._plain("my set/ä:*.tar.gz") == "my_set____.tar.gz"
    assert len(cache._plain("x" * 300)) == 64
