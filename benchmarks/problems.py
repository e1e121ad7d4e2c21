"""What benchmarks/throughput.py trains: small networks on digits and MNIST, and their trials."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.datasets.mnist import mnist
from hpsuite.training.loop import build_model, count_steps
from hpsuite.trials import (
    ModelSpec,
    Numerics,
    OptimizerKind,
    OptimizerSpec,
    TrialSpec,
    Value,
    frozen_arguments,
)

# What numbers are computed in; all contenders can.
NUMERICS = {"float32": Numerics()}
# Rates at which all networks here learn, with and without batch norm.
RATES: dict[OptimizerKind, float] = {"sgd": 0.02, "adam": 0.002}
# Rows to validate and to test MNIST's trials on: of 10,000 each, for trials as short as these.
MNIST_SCORED = 640


@dataclass(frozen=True)
class Network:
    """A data set and a network.

    Attributes:
        title: in words.
        source: which data.
        model: dotted name of what builds it.
        arguments: its keyword arguments.
        batch_size: rows.
        epochs, steps: the budget of a trial; one of them.
    """

    title: str
    source: Literal["digits", "mnist"]
    model: str
    arguments: dict[str, Value]
    batch_size: int
    epochs: int | None = None
    steps: int | None = None


NETWORKS = {
    "digits": Network(
        "digits MLP 64-128-128-10, 85 steps", "digits", "hpsuite.models.mlp", {}, 64, epochs=5
    ),
    "digits_long": Network(
        "digits MLP 64-128-128-10, 1,105 steps", "digits", "hpsuite.models.mlp", {}, 64, epochs=65
    ),
    "mnist": Network(
        "MNIST MLP 784-256-256-10", "mnist", "hpsuite.models.mlp", {"units": 256}, 128, steps=40
    ),
    "convnet": Network(
        "MNIST convnet of 16-16 channels",
        "mnist",
        "hpsuite.models.convnet",
        {"channels": (16, 16)},
        128,
        steps=24,
    ),
}


@dataclass(frozen=True)
class Case:
    """What is trained: a network by its key, normalisation, optimizer, numerics, where MNIST is."""

    network: str
    normalization: str
    optimizer: OptimizerKind
    numerics: str = "float32"
    data_dir: str = "data"

    @property
    def of(self) -> Network:
        """Its network."""
        return NETWORKS[self.network]

    @property
    def title(self) -> str:
        """In words."""
        norm = "batch norm, " if self.normalization != "none" else ""
        kind = {"sgd": "SGD", "adam": "Adam"}[self.optimizer]
        tail = "" if self.numerics == "float32" else f", {self.numerics}"
        return f"{self.of.title}, {norm}{kind}{tail}"

    def data(self) -> Data:
        """Its data."""
        if self.of.source == "digits":
            return prepare(
                digits(),
                split_seed=0,
                validation_size=359,
                test_size=360,
                input_normalization="feature",
            )
        # As ToTensor gives them: divided by 255 alone.
        source = mnist(data_dir=self.data_dir, download=False)
        data = prepare(source, split_seed=0, validation_size=10000)
        return replace(
            data,
            x_val=data.x_val[:MNIST_SCORED],
            y_val=data.y_val[:MNIST_SCORED],
            x_test=data.x_test[:MNIST_SCORED],
            y_test=data.y_test[:MNIST_SCORED],
        )

    def trials(self, n: int, *, fingerprint: str = "") -> list[TrialSpec]:
        """Trials that differ in their seeds and learning rates, over a factor of two."""
        arguments = {**self.of.arguments, "normalization": self.normalization}
        return [
            TrialSpec(
                study="",
                number=i,
                seed=1,
                dataset=fingerprint,
                model=ModelSpec(self.of.model, frozen_arguments(arguments)),
                optimizer=OptimizerSpec(
                    kind=self.optimizer,
                    learning_rate=RATES[self.optimizer] * 2 ** -(i / max(n - 1, 1)),
                ),
                batch_size=self.of.batch_size,
                epochs=self.of.epochs,
                steps=self.of.steps,
                numerics=NUMERICS[self.numerics],
            )
            for i in range(n)
        ]


def operations(case: Case, data: Data) -> float:
    """Floating-point operations of a step's matrix products, forward and backward.

    Two for each multiply-add: of outputs, of the gradients of weights, and of inputs but for those
    of the first layer. A last, smaller mini-batch counts as what it is.
    """
    (spec,) = case.trials(1)
    model = build_model(spec.model, data, seed=0, number=0)
    products: list[int] = []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        products.append(weight.numel() * output[0, 0].numel())

    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *data.input_shape))
    _, per_epoch = count_steps(spec, len(data.y_train))
    rows = len(data.y_train) / per_epoch if spec.epochs else spec.batch_size
    return 2.0 * rows * (3 * sum(products) - products[0])
