"""scikit-learn's 8 x 8 digits: 1,797 rows, always there, no download (Alpaydin, Kaynak 1998)."""

import numpy as np
from sklearn.datasets import load_digits

from hpsuite.datasets.common import Source


def digits(*, image: bool = False) -> Source:
    """1,797 images [64] with values 0 to 16, in 10 classes.

    Args:
        image: whether inputs are [1, 8, 8], for networks that want images.
    """
    bunch = load_digits()
    x = bunch.data.astype(np.uint8)
    return Source(
        x=x.reshape(-1, 1, 8, 8) if image else x,
        y=bunch.target.astype(np.int64),
        n_classes=10,
        scale=16.0,
    )
