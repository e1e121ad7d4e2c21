"""Contenders of benchmarks/throughput.py train the same problem to the same accuracy."""

import statistics
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from benchmarks.contenders import CONTENDERS, contenders_of
from benchmarks.problems import Case, operations
from hpsuite.datasets import Data

N_TRIALS = 4


def accuracies(case: Case, data: Data, name: str) -> list[float]:
    """Test accuracies of a contender's trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return CONTENDERS[name](case, data)(case.trials(N_TRIALS))


@pytest.mark.parametrize("normalization", ["none", "before"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_all_train_digits_to_the_same_accuracy(normalization: str, optimizer: str) -> None:
    case = Case("digits", normalization, "adam" if optimizer == "adam" else "sgd")
    data = case.data()
    means = {
        name: statistics.mean(accuracies(case, data, name))
        for name in [*contenders_of(case), "a, n_jobs"]
        if name != "b compiled"  # a minute of compiling; it computes what `b fused` does
    }
    # 360 test images and 4 trials: two standard errors of a difference are about .02.
    assert min(means.values()) > 0.9
    assert max(means.values()) - min(means.values()) < 0.025, means


def test_all_train_mnist_to_the_same_accuracy(mnist_dir: Path) -> None:
    case = Case("convnet", "before", "sgd", data_dir=str(mnist_dir))
    whole = case.data()
    data = replace(whole, x_test=whole.x_val[:256], y_test=whole.y_val[:256])
    means = {
        name: statistics.mean(CONTENDERS[name](case, data)(case.trials(1)))
        for name in contenders_of(case)
        if name != "b compiled"
    }
    assert min(means.values()) > 0.7, means
    assert max(means.values()) - min(means.values()) < 0.1, means


def test_operations_are_those_of_the_products() -> None:
    case = Case("digits", "none", "sgd")
    data = case.data()
    first, rest = 64 * 128, 128 * 128 + 128 * 10
    rows = len(data.y_train) / 17
    assert operations(case, data) == pytest.approx(2 * rows * (2 * first + 3 * rest))
