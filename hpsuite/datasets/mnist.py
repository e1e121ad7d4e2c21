"""MNIST (LeCun, Cortes, Burges 1998): 60,000 + 10,000 images, read by torchvision."""

import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np

from hpsuite.datasets.common import Source


def mnist(*, data_dir: str, download: bool = True) -> Source:
    """60,000 images [1, 28, 28] with values 0 to 255, in 10 classes, and 10,000 for testing.

    Args:
        data_dir: folder that holds (or will hold) `MNIST/raw/` in torchvision's layout.
        download: whether torchvision may fetch what is missing.

    Raises:
        ValueError: files that are missing and cannot be fetched, or that cannot be read.
    """
    from torchvision.datasets import MNIST  # costs a second: only who asks for it pays

    root = Path(data_dir).expanduser()
    raw = root / "MNIST" / "raw"
    where = (
        f"data_dir: no readable MNIST in {raw}; put torchvision's four files there "
        "(train-images-idx3-ubyte, train-labels-idx1-ubyte and the two of t10k), "
        "or set data_dir= or HPSUITE_DATA to the folder that holds MNIST/raw"
    )
    try:
        if download and not all(_exists(raw, kind) for kind in _KINDS):
            _fetch(raw)
        parts = [MNIST(str(root), train=train, download=False) for train in (True, False)]
    except _READING_FAILS as error:
        raise ValueError(f"{where} ({_first_line(error)})") from error
    (x, y), (x_test, y_test) = (
        (np.asarray(part.data)[:, None], np.asarray(part.targets, dtype=np.int64)) for part in parts
    )
    for images, labels in ((x, y), (x_test, y_test)):
        if len(images) != len(labels) or images.shape[1:] != (1, 28, 28) or len(images) == 0:
            raise ValueError(f"{where} (found {images.shape} images for {len(labels)} labels)")
        if labels.max() > 9:
            raise ValueError(f"{where} (found a label {labels.max()}, not 0 to 9)")
    return Source(x=x, y=y, n_classes=10, scale=255.0, x_test=x_test, y_test=y_test)


# What torchvision raises for files that are missing, cut off or of another format.
_READING_FAILS = (OSError, RuntimeError, ValueError, TypeError, LookupError, AssertionError)

# Of each attempt to connect and each read, in seconds; torchvision itself would wait for ever.
DOWNLOAD_TIMEOUT = 10.0

_KINDS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _exists(raw: Path, kind: str) -> bool:
    return (raw / kind).is_file()


def _fetch(raw: Path) -> None:
    """Let torchvision fetch MNIST beside its final place, and move it there when it is whole."""
    from torchvision.datasets import MNIST

    anchor = next(folder for folder in raw.parents if folder.is_dir())
    with tempfile.TemporaryDirectory(dir=anchor, prefix=".mnist-") as scratch:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # torchvision takes no timeout
        try:
            MNIST(scratch, train=True, download=True)
        finally:
            socket.setdefaulttimeout(before)
        raw.mkdir(parents=True, exist_ok=True)
        for kind in _KINDS:
            shutil.move(Path(scratch) / "MNIST" / "raw" / kind, raw / kind)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
