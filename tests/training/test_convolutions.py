"""Convolutional networks: against a plain loop, the same to the bit anywhere, and their layout."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.mnist import mnist
from hpsuite.executors import InlineExecutor, ProcessExecutor
from hpsuite.training import Planner, Resident, train, train_plain
from hpsuite.training.layout import CPU_IMAGE_ROWS
from hpsuite.training.loop import build_model
from hpsuite.training.plain import PlainTrial
from hpsuite.training.streams import dropout_key, dropout_mask, order_generator
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import largest_difference, trial

HERE = "tests.training.test_convolutions"
CONVNET, RESNET = "hpsuite.models.convnet", "hpsuite.models.resnet"
SGD = OptimizerSpec(learning_rate=0.02, momentum=0.9, weight_decay=1e-3)
ADAM = OptimizerSpec(kind="adam", learning_rate=0.002)
BN: dict[str, object] = {"normalization": "before"}


def placed(data: Data) -> Resident:
    return Resident.place(data, torch.device("cpu"))


def rows(data: Data, split: str) -> Tensor:
    return torch.tensor(getattr(data, f"x_{split}") * data.multiplier + data.offset)


def by_hand(model: nn.Module, spec: TrialSpec, data: Data) -> nn.Module:
    """The loop that anyone would write, in float64 and the usual layout."""
    model = model.double()
    x, y = rows(data, "train"), torch.tensor(data.y_train)
    given = spec.optimizer
    optimizer: torch.optim.Optimizer
    if given.kind == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=given.learning_rate)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(),
            lr=given.learning_rate,
            momentum=given.momentum,
            weight_decay=given.weight_decay,
        )
    order = order_generator(spec.seed, spec.number)

    def minibatches() -> Iterator[Tensor]:
        while True:
            parts = torch.from_numpy(order.permutation(len(x))).split(spec.batch_size)
            yield from (part for part in parts if len(part) > 1)

    assert spec.steps is not None
    for _, part in zip(range(spec.steps), minibatches(), strict=False):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()
    return model.eval()


def check(spec: TrialSpec, model: nn.Module, data: Data) -> None:
    """Predictions, weights and running statistics of the trainer beside those of the loop."""
    ours = PlainTrial(spec, placed(data))
    result = ours.train()
    theirs = by_hand(model, spec, data)
    with torch.no_grad():
        expected = theirs(rows(data, "val"))
    assert largest_difference(ours.predict(ours.resident.x_val), expected) < 1e-10
    accuracy = (expected.argmax(1).numpy() == data.y_val).mean()
    assert result.val_accuracy == pytest.approx(float(accuracy), abs=1e-12)
    states = zip(ours.model.state_dict().values(), theirs.state_dict().values(), strict=True)
    assert all(largest_difference(a.double(), b.double()) < 1e-10 for a, b in states)


def model_of(spec: TrialSpec, data: Data) -> nn.Module:
    return build_model(spec.model, data, seed=spec.seed, number=spec.number)


def check_200_steps(
    data: Data, target: str, norm: dict[str, object], optimizer: OptimizerSpec
) -> None:
    spec = trial(
        placed(data),
        3,
        target=target,
        model={**norm, "channels": 4, "activation": "tanh"},
        optimizer=optimizer,
        dtype="float64",
        batch_size=17,
        steps=200,  # 15 epochs of 13 mini-batches, the last of 12 rows, and 5 steps more
    )
    check(spec, model_of(spec, data), data)


NORMS: list[dict[str, object]] = [
    {},
    BN,
    {"normalization": "after"},
    {"normalization": "before", "normalizer": "layer"},
    {"normalization": "before", "normalizer": "group", "groups": 2},
]


# Each norm in each family, and each norm with each optimizer, at least once.
@pytest.mark.parametrize("target", [CONVNET, RESNET])
@pytest.mark.parametrize("place", range(5))
def test_a_plain_loop_over_200_steps(images: Data, target: str, place: int) -> None:
    is_adam = (place + (target == RESNET)) % 2
    check_200_steps(images, target, NORMS[place], ADAM if is_adam else SGD)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("target", [CONVNET, RESNET])
@pytest.mark.parametrize("place", range(5))
def test_the_whole_grid(images: Data, target: str, place: int, optimizer: OptimizerSpec) -> None:
    check_200_steps(images, target, NORMS[place], optimizer)


class Masked(nn.Module):
    """Dropout by the trial's masks, whose units are counted as [channel, height, width]."""

    def __init__(self, spec: TrialSpec, layer: int, rate: float) -> None:
        super().__init__()
        key = dropout_key(spec.seed, spec.number)
        self.key = torch.tensor([key], dtype=torch.int32)
        self.rate = torch.tensor([rate], dtype=torch.float64)
        self.layer, self.step = layer, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        (mask,) = dropout_mask(
            self.key,
            self.rate,
            step=self.step,
            layer=self.layer,
            units=x[0].numel(),
            rows=len(x),
            dtype=x.dtype,
        )
        self.step += 1
        return x * mask.T.reshape(x.shape)


def test_a_net_of_torchs_own_layers_with_dropout(images: Data) -> None:
    arguments: dict[str, object] = {"channels": (6, 5), "dropout": 0.3, **BN}
    spec = trial(
        placed(images),
        1,
        target=CONVNET,
        model=arguments,
        optimizer=SGD,
        dtype="float64",
        steps=100,
    )
    mine = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Masked(spec, 0, 0.3),
        nn.Conv2d(6, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Masked(spec, 1, 0.3),
        nn.Flatten(),
        nn.Linear(5 * 2 * 2, 10),
    )
    drawn = model_of(spec, images).state_dict()
    mine.load_state_dict(dict(zip(mine.state_dict(), drawn.values(), strict=True)))
    check(spec, mine, images)


@pytest.mark.parametrize("target", [CONVNET, RESNET])
def test_mnist(mnist_dir: Path, target: str) -> None:
    source = mnist(data_dir=str(mnist_dir), download=False)
    assert source.x_test is not None
    assert source.y_test is not None
    part = replace(source, x_test=source.x_test[:50], y_test=source.y_test[:50])
    data = prepare(
        part,
        split_seed=0,
        validation_size=100,
        train_fraction=0.02,
        input_normalization="channel",
    )
    spec = trial(
        placed(data),
        target=target,
        model={"channels": 4, **BN},
        optimizer=SGD,
        dtype="float64",
        batch_size=32,
        steps=25,
    )
    check(spec, model_of(spec, data), data)


def work(resident: Resident) -> list[TrialSpec]:
    """Trials of both families, of everything that their layers have."""
    arguments: list[tuple[str, dict[str, object]]] = [
        (CONVNET, {"channels": (7, 16)}),
        (CONVNET, {"channels": 16, "dropout": 0.2, "activation": "gelu", **BN}),
        (CONVNET, {"channels": 8, "normalizer": "layer", "global_pooling": True, **BN}),
        (RESNET, {"channels": 8, "activation": "elu"}),
        (RESNET, {"channels": 8, "dropout": 0.1, **BN}),
        (RESNET, {"channels": 8, "normalizer": "group", "groups": 4, **BN}),
    ]
    return [
        trial(
            resident,
            i,
            target=target,
            model=model,
            optimizer=ADAM if i % 2 else SGD,
            batch_size=50,
            steps=8,
        )
        for i, (target, model) in enumerate(arguments)
    ]


def digest(spec: TrialSpec, resident: Resident) -> str:
    """Of a trial's weights, running statistics, predictions and result."""
    trained = PlainTrial(spec, resident)
    result = replace(trained.train(), seconds=0)
    found = hashlib.sha256(repr(result).encode())
    for tensor in (*trained.model.state_dict().values(), trained.predict(resident.x_val)):
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def moved_in_memory(resident: Resident, offset: int) -> Resident:
    """The same data, at addresses that are no multiples of anything."""

    def move(x: Tensor) -> Tensor:
        values = x.numpy()
        buffer = bytearray(values.nbytes + 64 + offset)
        start = -np.frombuffer(buffer, dtype=np.uint8).ctypes.data % 64 + offset
        there = np.frombuffer(buffer, values.dtype, values.size, start).reshape(values.shape)
        there[...] = values
        return torch.from_numpy(there)

    x = {name: move(getattr(resident, name)) for name in ("x_train", "x_val", "x_test")}
    return replace(resident, **x)


def test_bits_are_the_specs_alone(images: Data, resident_images: Resident) -> None:
    specs = work(resident_images)
    expected = [digest(spec, resident_images) for spec in specs]
    assert len(set(expected)) == len(specs)
    # In another order, after other trials, from data at other places in memory.
    for offset in (1, 52):
        elsewhere = moved_in_memory(resident_images, offset)
        assert [digest(spec, elsewhere) for spec in specs[::-1]] == expected[::-1]
    # Of another study's name, in another process, as the executors train them.
    results = [train_plain(replace(spec, study="other"), resident_images) for spec in specs]
    datasets = {images.fingerprint: images}
    with InlineExecutor(datasets, torch.device("cpu")) as inline:
        for spec, result in zip(specs, results, strict=True):
            assert inline.submit([spec]).result()[0].same_outcome(result)
    with ProcessExecutor(datasets, 2) as pool:
        futures = [pool.submit([spec]) for spec in specs]
        for future, result in zip(futures, results, strict=True):
            assert future.result(timeout=300)[0].same_outcome(result)


PROGRAM = """
import json, sys, torch
from hpsuite.training.reproducible import reproducible
reproducible()
from hpsuite.datasets import prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident
from tests.training.test_convolutions import digest, work
data = prepare(digits(image=True), split_seed=0, validation_size=359, test_size=360,
               train_fraction=0.2, input_normalization="channel")
resident = Resident.place(data, torch.device("cpu"))
json.dump([digest(spec, resident) for spec in work(resident)[3:]], sys.stdout)
"""


def test_weights_of_a_fresh_process(resident_images: Resident) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {k: v for k, v in os.environ.items() if k != "MKL_CBWR"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    specs = work(resident_images)[3:]
    assert json.loads(done.stdout) == [digest(spec, resident_images) for spec in specs]


def is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


@pytest.mark.parametrize("norm", [{}, BN, {"normalizer": "group", "groups": 2, **BN}], ids=str)
@pytest.mark.parametrize("target", [CONVNET, RESNET])
def test_all_between_the_layers_has_channels_last(
    resident_images: Resident, target: str, norm: dict[str, object]
) -> None:
    model = {"channels": 4, "dropout": 0.1, **norm}
    spec = trial(resident_images, target=target, model=model, steps=2)
    trained = PlainTrial(spec, resident_images)
    assert trained.channels_last
    seen: list[tuple[str, bool]] = []

    def look(layer: nn.Module, args: object, output: Tensor) -> None:
        if output.dim() == 4 and output.shape[2] > 1:
            seen.append((str(layer), is_channels_last(output)))

    for layer in trained.model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(look)
    trained.train_epoch()
    assert resident_images.x_train.is_contiguous()
    assert len(seen) > 10
    assert all(right for _, right in seen), [layer for layer, right in seen if not right]


def test_the_layout_is_worth_rounding_alone(
    resident_images: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [replace(spec, epochs=None, steps=10) for spec in work(resident_images)]
    last = [PlainTrial(spec, resident_images) for spec in specs]
    monkeypatch.setattr("hpsuite.training.plain.wants_channels_last", lambda *_: False)
    first = [PlainTrial(spec, resident_images) for spec in specs]
    for ours, theirs in zip(last, first, strict=True):
        assert (ours.channels_last, theirs.channels_last) == (True, False)
        ours.train()
        theirs.train()
        found, expected = (t.predict(resident_images.x_val) for t in (ours, theirs))
        assert largest_difference(found, expected) < 1e-3


def test_linear_networks_stay_as_they_were(resident: Resident, resident_images: Resident) -> None:
    for of in (resident, resident_images):
        assert not PlainTrial(trial(of, model={"units": 8}), of).channels_last


def test_scores_come_from_batches_that_fit_the_caches(resident_images: Resident) -> None:
    trained = PlainTrial(trial(resident_images, target=CONVNET, steps=1), resident_images)
    sizes: list[int] = []
    trained.model.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    accuracy, loss = trained.score(resident_images.x_val, resident_images.y_val)
    assert sizes == [CPU_IMAGE_ROWS, CPU_IMAGE_ROWS, 359 - 2 * CPU_IMAGE_ROWS]
    outputs = trained.predict(resident_images.x_val)
    assert accuracy == int((outputs.argmax(1) == resident_images.y_val).sum()) / 359
    assert loss == pytest.approx(
        float(F.cross_entropy(outputs, resident_images.y_val, reduction="sum")), rel=1e-4
    )


class Viewing(nn.Module):
    """Asks for the usual strides, as many people's networks do."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.last = nn.Linear(4 * height * width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return self.last(x.view(len(x), -1))  # type: ignore[no-any-return]


class ViewingInTraining(Viewing):
    """Does so in training alone."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return self.last(torch.relu(self.conv(x)).flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["Viewing", "ViewingInTraining"])
def test_a_users_network_that_takes_the_usual_layout_alone(images: Data, name: str) -> None:
    resident = placed(images)
    spec = trial(resident, target=f"{HERE}.{name}", optimizer=SGD, dtype="float64", steps=30)
    state = torch.get_rng_state()
    assert not PlainTrial(spec, resident).channels_last
    assert torch.equal(torch.get_rng_state(), state)
    check(spec, model_of(spec, images), images)


def test_the_planner_names_the_layer_once(
    images: Data, resident_images: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    planner = Planner({images.fingerprint: images}, torch.device("cpu"), n_workers=2)
    with caplog.at_level(logging.WARNING):
        for i in range(4):
            model: dict[str, object] = {"channels": 4 + i, "dropout": 0.1 * i}
            planner.add(trial(resident_images, i, target=CONVNET, model=model))
        assert [len(planner.take()) for _ in range(5)] == [1, 1, 1, 1, 0]
    assert [record.getMessage() for record in caplog.records] == [
        "hpsuite.models.convnet trains one by one: convolutions are faster so on a CPU"
    ]
    spec = trial(resident_images, target=RESNET, model={"channels": 2})
    (result,) = train([spec], resident_images)
    assert result.same_outcome(train_plain(spec, resident_images))


def test_costs_count_the_places_of_an_image(images: Data, resident_images: Resident) -> None:
    planner = Planner({images.fingerprint: images}, torch.device("cpu"), n_workers=1)

    def cost(target: str, **model: object) -> float:
        return planner.cost(trial(resident_images, target=target, model=model, epochs=3))

    # Kernels at their 64 and 16 places; biases, gamma, beta and the last layer once.
    parameters = 9 * 5 + 5 + 9 * 5 * 6 + 6 + 6 * 4 * 10 + 10
    products = parameters + 63 * 9 * 5 + 15 * 9 * 5 * 6
    assert cost(CONVNET, channels=(5, 6)) == 3 * 12 * 64 * products
    kernels = 64 * 9 * 4 + 64 * 2 * 9 * 16 + 16 * (9 * 32 + 9 * 64) + 4 * (9 * 128 + 9 * 256)
    others = 4 + 2 * 4 + 2 * 8 + 2 * 16 + 160 + 10
    assert cost(RESNET, channels=4) == 3 * 12 * 64 * (kernels + others)
