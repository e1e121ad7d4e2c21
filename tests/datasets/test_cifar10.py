"""CIFAR-10: small batches in torchvision's format, and files that must never be unpickled."""

import hashlib
import os
import pickle
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hpsuite.datasets import prepare
from hpsuite.datasets.cifar10 import cifar10
from tests.datasets.small import BATCHES, publish_cifar10, serve, write_cifar10

FOLDER = "cifar-10-batches-py"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `data_dir` with 5 x 20 + 20 random images, whose sums are the published ones."""
    write_cifar10(tmp_path / FOLDER)
    publish_cifar10(monkeypatch, tmp_path / FOLDER)
    return tmp_path


def test_the_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = write_cifar10(tmp_path / FOLDER)
    publish_cifar10(monkeypatch, tmp_path / FOLDER)
    source = cifar10(data_dir=str(tmp_path), download=False)
    # A row is 1,024 reds, then as many greens and blues, each by rows of the image (the data
    # set's page).
    images = np.concatenate([batches[name][0] for name in BATCHES])
    x = np.array(
        [[row[c * 1024 : (c + 1) * 1024].reshape(32, 32) for c in range(3)] for row in images]
    )
    assert np.array_equal(source.x, x[:100])
    assert source.x_test is not None
    assert np.array_equal(source.x_test, x[100:])
    assert source.y.tolist() == [label for name in BATCHES[:5] for label in batches[name][1]]
    assert (source.x.dtype, source.n_classes, source.scale) == (np.uint8, 10, 255)
    assert source.x.flags.c_contiguous
    data = prepare(source, split_seed=0, validation_size=20, input_normalization="channel")
    assert data.multiplier.shape == (3, 1, 1)


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def check_refused(data_dir: Path, words: str, **arguments: bool) -> None:
    with pytest.raises(ValueError, match=r"^data_dir: no readable CIFAR-10 in ") as caught:
        cifar10(data_dir=str(data_dir), **arguments)
    line = str(caught.value)
    assert "\n" not in line
    assert words in line
    assert "HPSUITE_DATA" in line


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("name", [*BATCHES, "batches.meta"])
def test_a_file_of_somebody_else_is_never_unpickled(
    small: Path, monkeypatch: pytest.MonkeyPatch, name: str, download: bool, blind: bool
) -> None:
    payload = pickle.dumps(Payload(small / "sprung"))
    (small / FOLDER / name).write_bytes(payload)
    if blind:  # a torchvision that no longer looks
        from torchvision.datasets import CIFAR10

        monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    check_refused(small, f"{name} is not the published file", download=download)
    assert not (small / "sprung").exists()
    pickle.loads(payload)  # noqa: S301 (that the payload works)
    assert (small / "sprung").exists()


def test_small_files_without_their_sums_are_refused(tmp_path: Path) -> None:
    """The sums that are compared are those of torchvision, which are the published ones."""
    write_cifar10(tmp_path / FOLDER)
    check_refused(tmp_path, "MD5 sum is not c99cafc152244af753f735de768cd75f", download=False)


@pytest.mark.parametrize("name", [*BATCHES, "batches.meta"])
def test_missing_and_truncated(small: Path, name: str) -> None:
    path = small / FOLDER / name
    path.write_bytes(path.read_bytes()[:-1])
    check_refused(small, f"{name} is not the published file", download=False)
    path.unlink()
    check_refused(small, f"{name} is missing", download=False)


def test_nothing_there_and_nothing_left(tmp_path: Path) -> None:
    check_refused(tmp_path / "nowhere", "data_batch_1 is missing", download=False)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the archive as published."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "web"
    write_cifar10(folder / FOLDER)
    publish_cifar10(monkeypatch, folder / FOLDER)
    archive = folder / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / FOLDER, FOLDER)
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    return folder


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")
def test_it_is_fetched(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    data_dir = tmp_path / "new" / "data"
    with serve(published) as address:
        monkeypatch.setattr(CIFAR10, "url", address + CIFAR10.filename)
        source = cifar10(data_dir=str(data_dir))
        # One that was lost is fetched again.
        (data_dir / FOLDER / "data_batch_3").unlink()
        again = cifar10(data_dir=str(data_dir))
    assert np.array_equal(source.x, again.x)
    assert [path.name for path in data_dir.iterdir()] == [FOLDER]
    names = sorted(path.name for path in (data_dir / FOLDER).iterdir())
    assert names == sorted([*BATCHES, "batches.meta"])
    assert socket.getdefaulttimeout() is None


def test_what_is_not_as_published_is_not_kept(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    archive = published / CIFAR10.filename
    archive.write_bytes(archive.read_bytes()[:-1])
    with serve(published) as address:
        monkeypatch.setattr(CIFAR10, "url", address + CIFAR10.filename)
        check_refused(tmp_path / "new", "corrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["web"]


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{port}/x.tar.gz")
    check_refused(tmp_path / "a" / "b", "refused")
    assert list(tmp_path.iterdir()) == []
