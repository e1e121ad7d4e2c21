"""MNIST (LeCun, Cortes, Burges 1998): 60,000 + 10,000 images, read by torchvision."""

from hpsuite.datasets.common import Source
from hpsuite.datasets.idx import read_idx


def mnist(*, data_dir: str, download: bool = True) -> Source:
    """60,000 images [1, 28, 28] with values 0 to 255, in 10 classes, and 10,000 for testing.

    Args:
        data_dir: folder that holds (or will hold) `MNIST/raw/` in torchvision's layout.
        download: whether torchvision may fetch what is missing.

    Raises:
        ValueError: files that are missing and cannot be fetched, or that cannot be read.
    """
    from torchvision.datasets import MNIST  # costs a second: only who asks for it pays

    return read_idx(MNIST, "MNIST", data_dir=data_dir, download=download)
