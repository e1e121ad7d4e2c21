"""Small data sets in the formats of the real ones, made for tests."""

import hashlib
import http.server
import io
import pickle
import random
import socketserver
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the idx format: two zeros, type 8, dimensions, sizes, values."""
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_idx(raw: Path, n_train: int = 60, n_test: int = 20) -> None:
    """Random images in MNIST's four files, as many of each class."""
    rng = np.random.default_rng(0)
    raw.mkdir(parents=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        images = rng.integers(0, 256, (n, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n) % 10))


BATCHES = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")


def write_cifar10(folder: Path, n: int = 20) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Random images in CIFAR-10's files, `n` a batch: batch -> images [n, 3072] and labels."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    batches = {}
    for name in BATCHES:
        images = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        labels = [i % 10 for i in range(n)]
        batches[name] = (images, labels)
        content = {"batch_label": name, "labels": labels, "data": images, "filenames": ["x"] * n}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    meta = {"num_cases_per_batch": n, "label_names": list("abcdefghij"), "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return batches


def publish_cifar10(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the MD5 sums of the files in a folder be the published ones."""
    from torchvision.datasets import CIFAR10

    def md5(name: str) -> str:
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(name)] for name in BATCHES[:-1]])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, md5(name)] for name in BATCHES[-1:]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5("batches.meta")}
    monkeypatch.setattr(CIFAR10, "meta", meta)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """Pixels [H, W] or [H, W, 3] as an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def pictures(
    n: int = 4, classes: str = "abc", splits: tuple[str, ...] = ("train/", "test/"), seed: int = 0
) -> dict[str, bytes]:
    """Random images of 6 x 5 pixels by name: `n` of each class in each split, as PNG."""
    rng = np.random.default_rng(seed)
    return {
        f"{split}{name}/{i:02}.png": encoded(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
        for split in splits
        for name in classes
        for i in range(n)
    }


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Files as a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w:gz", seed: int = 0) -> Path:
    """Files as a tar, in random order."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in shuffled(files, seed):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: Mapping[str, bytes], seed: int = 0) -> Path:
    """Files as a zip, in random order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in shuffled(files, seed):
            archive.writestr(name, content)
    return path


def shuffled(files: Mapping[str, bytes], seed: int) -> list[tuple[str, bytes]]:
    items = list(files.items())
    random.Random(seed).shuffle(items)
    return items


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A web server of a folder on this machine; its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def _fashion_mnist(data_dir: Path, _: pytest.MonkeyPatch) -> list[str]:
    write_idx(data_dir / "FashionMNIST" / "raw")
    return ["dataset.validation_size=20"]


def _cifar10(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write_cifar10(data_dir / "cifar-10-batches-py")
    publish_cifar10(monkeypatch, data_dir / "cifar-10-batches-py")
    return ["dataset.validation_size=20"]


def _cifar10_jpeg(data_dir: Path, _: pytest.MonkeyPatch) -> list[str]:
    rng = np.random.default_rng(0)
    files = {
        f"cifar10_jpeg/{split}/{name}/{i}.jpg": encoded(
            rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), "JPEG"
        )
        for split, n in (("train", 6), ("test", 2))
        for name in "abcdefghij"
        for i in range(n)
    }
    write_tar(data_dir / "cifar10_jpeg.tar.gz", files)
    return ["dataset.validation_size=20"]


def _image_folder(data_dir: Path, _: pytest.MonkeyPatch) -> list[str]:
    write_folder(data_dir / "mine", pictures(n=20, splits=("",)))
    return ["dataset.path=mine"]


def _arrays(data_dir: Path, _: pytest.MonkeyPatch) -> list[str]:
    x = np.random.default_rng(0).normal(size=(60, 2, 3))
    np.savez(data_dir / "mine.npz", x=x, y=np.arange(60) % 3)
    return ["dataset.path=mine.npz"]


# Option of conf/dataset/ -> what writes a small one into a `data_dir`, and returns the overrides
# that it takes. The others are tested as they are.
SMALL: dict[str, Callable[[Path, pytest.MonkeyPatch], list[str]]] = {
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "cifar10_jpeg": _cifar10_jpeg,
    "image_folder": _image_folder,
    "arrays": _arrays,
}
