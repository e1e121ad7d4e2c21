"""Digits, resident, and MKL's reproducible mode, which it reads at its first call."""

import pytest
import torch

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident
from hpsuite.training.reproducible import reproducible

reproducible()


@pytest.fixture(scope="session")
def data() -> Data:
    """Digits as quickstart has them: 1078, 359 and 360 rows of 64 features."""
    return prepare(
        digits(), split_seed=0, validation_size=359, test_size=360, input_normalization="feature"
    )


@pytest.fixture(scope="session")
def few(data: Data) -> Data:
    """A fifth of the training rows: 216."""
    return prepare(
        digits(),
        split_seed=0,
        validation_size=359,
        test_size=360,
        train_fraction=0.2,
        input_normalization="feature",
    )


@pytest.fixture(scope="session")
def images() -> Data:
    """The same rows as in `few`, as images [1, 8, 8] with one mean and deviation."""
    return prepare(
        digits(image=True),
        split_seed=0,
        validation_size=359,
        test_size=360,
        train_fraction=0.2,
        input_normalization="channel",
    )


@pytest.fixture(scope="session")
def resident(data: Data) -> Resident:
    return Resident.place(data, torch.device("cpu"))


@pytest.fixture(scope="session")
def resident_few(few: Data) -> Resident:
    return Resident.place(few, torch.device("cpu"))


@pytest.fixture(scope="session")
def resident_images(images: Data) -> Resident:
    return Resident.place(images, torch.device("cpu"))
