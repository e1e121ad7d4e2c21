"""MNIST: the real files, small ones of the same format, and every way they can be broken."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpsuite.datasets import prepare
from hpsuite.datasets.mnist import mnist
from tests.datasets.small import idx, write_idx

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A `data_dir` with 60 + 20 random images; returns its MNIST/raw."""
    write_idx(tmp_path / "MNIST" / "raw")
    return tmp_path / "MNIST" / "raw"


def test_the_real_one(mnist_dir: Path) -> None:
    source = mnist(data_dir=str(mnist_dir), download=False)
    assert source.x.shape == (60_000, 1, 28, 28)
    assert source.x.dtype == np.uint8
    assert source.x_test is not None
    assert source.x_test.shape == (10_000, 1, 28, 28)
    # Counts of each digit, as published with the data.
    assert np.bincount(source.y).tolist() == (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    )
    # Mean and deviation of the training pixels, as widely quoted: .1307 and .3081.
    assert source.x.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert source.x.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    data = prepare(source, split_seed=0, validation_size=10_000, input_normalization="channel")
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == (50_000, 10_000, 10_000)
    assert data.x_train.dtype == np.uint8


def test_the_format(small: Path) -> None:
    source = mnist(data_dir=str(small.parents[1]))
    assert source.x.shape == (60, 1, 28, 28)
    assert source.y.tolist() == [i % 10 for i in range(60)]
    expected = np.random.default_rng(0).integers(0, 256, (60, 28, 28))
    assert np.array_equal(source.x[:, 0], expected)


def check_refused(data_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"^data_dir: no readable MNIST in ") as caught:
        mnist(data_dir=str(data_dir), download=False)
    assert "\n" not in str(caught.value)
    assert "HPSUITE_DATA" in str(caught.value)


@pytest.mark.parametrize("kind", ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_missing(small: Path, kind: str) -> None:
    (small / kind).unlink()
    check_refused(small.parents[1])


def test_nothing_there_and_nothing_left(tmp_path: Path) -> None:
    check_refused(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_bytes", [0, 3, 4, 9, 16, 100, -1])
@pytest.mark.parametrize("kind", [IMAGES, LABELS])
def test_truncated(small: Path, kind: str, n_bytes: int) -> None:
    path = small / kind
    whole = path.read_bytes()
    path.write_bytes(whole[:n_bytes])
    if len(whole[:n_bytes]) < len(whole):
        check_refused(small.parents[1])


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        (IMAGES, lambda whole: b"<html>sign in first</html>" * 40),
        (IMAGES, lambda whole: bytes(1) * len(whole)),
        (IMAGES, lambda whole: b"\0\0\x0a\x03" + whole[4:]),  # a type that does not exist
        (IMAGES, lambda whole: b"\0\0\x0d\x03" + whole[4:]),  # floats
        (IMAGES, lambda whole: b"\0\0\x08\x02" + whole[4:]),
        (IMAGES, lambda whole: idx(np.zeros((60, 14, 56)))),
        (IMAGES, lambda whole: idx(np.zeros((59, 28, 28)))),
        (LABELS, lambda whole: idx(np.arange(61) % 10)),
        (LABELS, lambda whole: idx(np.arange(60))),
        (LABELS, lambda whole: b"\0\0\x0c\x01" + whole[4:]),  # 32-bit integers
        (LABELS, lambda whole: idx(np.zeros((0,)))),
    ],
)
def test_corrupt(small: Path, kind: str, spoil: Callable[[bytes], bytes]) -> None:
    path = small / kind
    path.write_bytes(spoil(path.read_bytes()))
    check_refused(small.parents[1])


@pytest.fixture
def closed_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send torchvision to a port of this machine where nobody listens."""
    from torchvision.datasets import MNIST

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])


@pytest.mark.usefixtures("closed_mirror")
def test_a_failed_download_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^data_dir: no readable MNIST in ") as caught:
        mnist(data_dir=str(tmp_path / "a" / "b"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("closed_mirror")
def test_a_failed_download_keeps_what_was_there(small: Path) -> None:
    (small / LABELS).unlink()
    before = sorted(small.iterdir())
    with pytest.raises(ValueError, match=r"^data_dir: "):
        mnist(data_dir=str(small.parents[1]))
    assert sorted(small.iterdir()) == before
    assert [path.name for path in small.parents[1].iterdir()] == ["MNIST"]


def test_a_server_that_never_answers_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr("hpsuite.datasets.fetching.DOWNLOAD_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        started = time.monotonic()
        with pytest.raises(ValueError, match=r"^data_dir: "):
            mnist(data_dir=str(tmp_path))
        assert time.monotonic() - started < 5
    assert list(tmp_path.iterdir()) == []
