"""Fashion-MNIST: small files of its format (MNIST's), and what is not Fashion-MNIST."""

import gzip
import hashlib
import socket
from pathlib import Path

import numpy as np
import pytest

from hpsuite.datasets.fashion_mnist import fashion_mnist
from hpsuite.datasets.idx import FILES
from tests.datasets.small import idx, serve, write_idx


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A `data_dir` with 60 + 20 random images; returns its FashionMNIST/raw."""
    write_idx(tmp_path / "FashionMNIST" / "raw")
    return tmp_path / "FashionMNIST" / "raw"


def test_the_format(raw: Path) -> None:
    source = fashion_mnist(data_dir=str(raw.parents[1]))
    rng = np.random.default_rng(0)
    assert np.array_equal(source.x[:, 0], rng.integers(0, 256, (60, 28, 28)))
    assert source.x_test is not None
    assert np.array_equal(source.x_test[:, 0], rng.integers(0, 256, (20, 28, 28)))
    assert source.y.tolist() == [i % 10 for i in range(60)]
    assert (source.x.dtype, source.n_classes, source.scale) == (np.uint8, 10, 255)


def test_mnists_files_are_refused(raw: Path) -> None:
    """They have the same names, shapes and labels, but not as many images of each class."""
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, *range(1, 60)]) % 10))
    with pytest.raises(ValueError, match=r"^data_dir: found 5 to 7 images a class in ") as caught:
        fashion_mnist(data_dir=str(raw.parents[1]))
    assert "MNIST's files have the same names" in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^data_dir: no readable Fashion-MNIST in ") as caught:
        fashion_mnist(data_dir=str(tmp_path / "nowhere"), download=False)
    assert "FashionMNIST/raw" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its four files, compressed as published, in a folder; torchvision expects their sums."""
    from torchvision.datasets import FashionMNIST

    folder = tmp_path / "mirror"
    write_idx(folder)
    resources = []
    for name in FILES:
        content = gzip.compress((folder / name).read_bytes(), mtime=0)
        (folder / f"{name}.gz").write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        resources.append((f"{name}.gz", md5))
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    return folder


def test_it_is_fetched(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import FashionMNIST

    with serve(mirror) as address:
        monkeypatch.setattr(FashionMNIST, "mirrors", [address])
        source = fashion_mnist(data_dir=str(tmp_path / "new" / "data"))
    assert len(source.y) == 60
    raw = tmp_path / "new" / "data" / "FashionMNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES)
    assert sorted(path.name for path in (tmp_path / "new").rglob(".*")) == []
    assert socket.getdefaulttimeout() is None
    # The mirror is gone now, and not asked.
    assert np.array_equal(fashion_mnist(data_dir=str(tmp_path / "new" / "data")).x, source.x)


def test_what_is_not_as_published_is_not_kept(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FashionMNIST

    path = mirror / f"{FILES[3]}.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with serve(mirror) as address:
        monkeypatch.setattr(FashionMNIST, "mirrors", [address])
        with pytest.raises(ValueError, match=r"^data_dir: no readable Fashion-MNIST"):
            fashion_mnist(data_dir=str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mirror"]
