"""CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 images, read by torchvision.

Its files are pickles, which could run anything when they are read: the one exception to hpsuite's
rule against unpickling. torchvision reads them only where their MD5 sums are the published ones;
so that this does not rest on its version, they are checked here first.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from hpsuite.datasets.common import Source
from hpsuite.datasets.fetching import READING_FAILS, fetch, first_line


def cifar10(*, data_dir: str, download: bool = True) -> Source:
    """50,000 images [3, 32, 32] with values 0 to 255, in 10 classes, and 10,000 for testing.

    Nothing is unpickled before the MD5 sum of every file was found to be the published one, with
    and without a download.

    Args:
        data_dir: folder that holds (or will hold) `cifar-10-batches-py/`, as published.
        download: whether torchvision may fetch what is missing.

    Raises:
        ValueError: files that are missing and cannot be fetched, or that are not the published
            ones.
    """
    from torchvision.datasets import CIFAR10  # costs a second: only who asks for it pays

    root = Path(data_dir).expanduser()
    folder = root / CIFAR10.base_folder
    where = (
        f"data_dir: no readable CIFAR-10 in {folder}; put there what {CIFAR10.filename} holds "
        f"({CIFAR10.url}), or set data_dir= or HPSUITE_DATA to the folder that holds "
        f"{CIFAR10.base_folder}"
    )
    sums = _published(CIFAR10)
    try:
        if download and not all((folder / name).is_file() for name in sums):
            fetch(folder, root, [*sums], lambda scratch: CIFAR10(scratch, download=True))
        _check_sums(folder, sums)
        parts = [CIFAR10(str(root), train=train, download=False) for train in (True, False)]
    except READING_FAILS as error:
        raise ValueError(f"{where} ({first_line(error)})") from error
    # torchvision's images are [height, width, channel] views of what the files have.
    (x, y), (x_test, y_test) = (
        (
            np.ascontiguousarray(np.asarray(part.data).transpose(0, 3, 1, 2)),
            np.asarray(part.targets, dtype=np.int64),
        )
        for part in parts
    )
    return Source(x=x, y=y, n_classes=10, scale=255.0, x_test=x_test, y_test=y_test)


def _published(dataset: Any) -> dict[str, str]:
    """The published MD5 sum of each file that torchvision unpickles."""
    meta = dataset.meta
    sums = dict([*dataset.train_list, *dataset.test_list, (meta["filename"], meta["md5"])])
    # torchvision takes any file where it has no sum.
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in sums.values())
    return sums


def _check_sums(folder: Path, sums: dict[str, str]) -> None:
    """Check that files are the published ones, without reading what they mean.

    Raises:
        RuntimeError: one that is missing or another.
    """
    from torchvision.datasets.utils import check_integrity

    for name, md5 in sums.items():
        if not (folder / name).is_file():
            raise RuntimeError(f"{name} is missing")
        if not check_integrity(folder / name, md5):
            raise RuntimeError(f"{name} is not the published file: its MD5 sum is not {md5}")
