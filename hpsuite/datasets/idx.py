"""Images and labels in MNIST's format (idx), read by torchvision: what its relatives share."""

from pathlib import Path
from typing import Any

import numpy as np

from hpsuite.datasets.common import Source
from hpsuite.datasets.fetching import READING_FAILS, fetch, first_line

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read_idx(dataset: Any, name: str, *, data_dir: str, download: bool) -> Source:
    """Images [1, 28, 28] with values 0 to 255, in 10 classes, and a test set of their own.

    Args:
        dataset: torchvision's class, which names the folder that its files are in.
        name: of the data set, for messages.
        data_dir: folder that holds (or will hold) that folder.
        download: whether torchvision may fetch what is missing.

    Raises:
        ValueError: files that are missing and cannot be fetched, or that cannot be read.
    """
    root = Path(data_dir).expanduser()
    raw = root / dataset.__name__ / "raw"
    where = (
        f"data_dir: no readable {name} in {raw}; put torchvision's four files there "
        "(train-images-idx3-ubyte, train-labels-idx1-ubyte and the two of t10k), "
        f"or set data_dir= or HPSUITE_DATA to the folder that holds {dataset.__name__}/raw"
    )
    try:
        if download and not all((raw / file).is_file() for file in FILES):
            fetch(raw, root, FILES, lambda scratch: dataset(scratch, train=True, download=True))
        parts = [dataset(str(root), train=train, download=False) for train in (True, False)]
    except READING_FAILS as error:
        raise ValueError(f"{where} ({first_line(error)})") from error
    (x, y), (x_test, y_test) = (
        (np.asarray(part.data)[:, None], np.asarray(part.targets, dtype=np.int64)) for part in parts
    )
    for images, labels in ((x, y), (x_test, y_test)):
        if len(images) != len(labels) or images.shape[1:] != (1, 28, 28) or len(images) == 0:
            raise ValueError(f"{where} (found {images.shape} images for {len(labels)} labels)")
        if labels.max() > 9:
            raise ValueError(f"{where} (found a label {labels.max()}, not 0 to 9)")
    return Source(x=x, y=y, n_classes=10, scale=255.0, x_test=x_test, y_test=y_test)
