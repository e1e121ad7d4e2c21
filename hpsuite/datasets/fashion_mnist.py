"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 + 10,000 images, read by torchvision."""

import numpy as np

from hpsuite.datasets.common import Source
from hpsuite.datasets.idx import read_idx


def fashion_mnist(*, data_dir: str, download: bool = True) -> Source:
    """60,000 images [1, 28, 28] with values 0 to 255, in 10 classes, and 10,000 for testing.

    Args:
        data_dir: folder that holds (or will hold) `FashionMNIST/raw/` in torchvision's layout.
        download: whether torchvision may fetch what is missing.

    Raises:
        ValueError: files that are missing and cannot be fetched, that cannot be read, or whose
            classes are not equally frequent: MNIST's files have the same names.
    """
    from torchvision.datasets import FashionMNIST  # costs a second: only who asks for it pays

    source = read_idx(FashionMNIST, "Fashion-MNIST", data_dir=data_dir, download=download)
    assert source.y_test is not None
    for labels in (source.y, source.y_test):
        counts = np.bincount(labels, minlength=10)
        # 6,000 of each class to train on and 1,000 to test (Xiao et al. 2017, section 2).
        if counts.min() != counts.max():
            raise ValueError(
                f"data_dir: found {counts.min()} to {counts.max()} images a class in "
                f"{data_dir}/FashionMNIST/raw; accepted: Fashion-MNIST, which has as many of each "
                "(MNIST's files have the same names)"
            )
    return source
