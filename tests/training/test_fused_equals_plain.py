"""The fused trainer against torch.nn and torch.optim, in float64, over hundreds of steps."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from hpsuite.training import Resident
from hpsuite.training.fused import FusedBatch
from hpsuite.training.plain import PlainTrial
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import largest_difference, rounded, states, trial

ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu")
NORMALIZATIONS = ("none", "before", "after")
KINDS = ("sgd", "sgd_ema", "adam", "adamw")

# Unequal in everything that trials of one batch may differ in.
SCHEDULES = (
    {"schedule": "none"},
    {"schedule": "step", "decay_rate": 0.5, "decay_epochs": 3},
    {"schedule": "exponential", "decay_rate": 0.9},
    {"schedule": "inverse_time", "decay_rate": 0.2},
    {"schedule": "cosine"},
)
INITIALIZATIONS = ("he", "xavier", "default", "gaussian", "he")
MOMENTA = (0.9, 0.0, 0.5, 0.95, 0.8)
BETAS = ((0.9, 0.999), (0.8, 0.99), (0.0, 0.9), (0.95, 0.9999), (0.9, 0.5))
EPSILONS = (1e-8, 1e-8, 1e-3, 1e-6, 1e-1)
SMOOTHING = (0.1, 0.01, 0.3, 0.05, 0.9)
WARMUPS = (0.1, 0.0, 0.33, 0.5, 0.015)


def five(
    resident: Resident,
    kind: str,
    normalization: str,
    activation: str,
    *,
    dropout: bool,
    weight_decay: bool,
    more: bool = False,
    **budget: int,
) -> list[TrialSpec]:
    """Five trials of one bucket with nothing else in common, at stable rates.

    With `more`, they look ahead (where the kind can), smooth their labels and warm up.
    """
    specs = []
    for i in range(5):
        largest = {"sgd": 0.02, "sgd_ema": 0.1}.get(kind, 0.003)
        optimizer = OptimizerSpec(
            kind=kind,  # type: ignore[arg-type]
            learning_rate=largest / (1 + i),
            momentum=MOMENTA[i],
            beta1=BETAS[i][0],
            beta2=BETAS[i][1],
            epsilon=EPSILONS[i],
            weight_decay=10.0 ** (-1 - i) if weight_decay else 0.0,
            nesterov=more,
            label_smoothing=SMOOTHING[i] if more else 0.0,
            warmup_fraction=WARMUPS[i] if more else 0.0,
            **SCHEDULES[i],  # type: ignore[arg-type]
        )
        model = {
            "units": (24, 17),
            "activation": activation,
            "normalization": normalization,
            "dropout": 0.1 * (i + 1) if dropout else 0.0,
            "initialization": INITIALIZATIONS[i],
            "sigma": 0.1,
        }
        specs.append(
            trial(resident, 7 * i, model=model, optimizer=optimizer, dtype="float64", **budget)
        )
    return specs


def plain_states(trained: PlainTrial) -> list[torch.Tensor]:
    tensors = [p.detach() for p in trained.model.parameters()]
    for layer in trained.model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            tensors += [layer.running_mean, layer.running_var]
    return tensors


def check(specs: list[TrialSpec], resident: Resident, tolerance: float = 1e-10) -> None:
    """Predictions, weights, running statistics, losses and scores, each trial beside its oracle."""
    batch = FusedBatch(specs, resident)
    results = batch.train()
    assert batch.alive == list(range(len(specs)))
    predictions = batch.predict(resident.x_val)
    for k, spec in enumerate(specs):
        plain = PlainTrial(spec, resident)
        expected = plain.train()
        assert largest_difference(predictions[k].T, plain.predict(resident.x_val)) < tolerance
        for ours, theirs in zip(states(batch), plain_states(plain), strict=True):
            assert largest_difference(ours[k], theirs) < tolerance
        assert results[k].loss_curve == pytest.approx(expected.loss_curve, rel=0, abs=tolerance)
        assert rounded(results[k]) == rounded(expected)


# Each kind of optimizer with each normalisation, and each activation, at least once.
@pytest.mark.parametrize(
    ("kind", "normalization", "activation", "dropout", "weight_decay", "more"),
    [
        ("sgd", "none", "relu", False, True, False),
        ("sgd", "before", "sigmoid", True, False, False),
        ("sgd", "after", "tanh", False, True, True),
        ("sgd_ema", "none", "leaky_relu", True, True, False),
        ("sgd_ema", "before", "elu", False, False, True),
        ("sgd_ema", "after", "gelu", True, True, False),
        ("adam", "none", "silu", False, False, False),
        ("adam", "before", "relu", True, True, True),
        ("adam", "after", "sigmoid", True, False, False),
        ("adamw", "none", "tanh", True, True, True),
        ("adamw", "before", "silu", False, True, False),
    ],
)
def test_after_200_steps(
    resident: Resident,
    *,
    kind: str,
    normalization: str,
    activation: str,
    dropout: bool,
    weight_decay: bool,
    more: bool,
) -> None:
    specs = five(
        resident,
        kind,
        normalization,
        activation,
        dropout=dropout,
        weight_decay=weight_decay,
        more=more,
        steps=200,  # 11 epochs of 17 mini-batches, the last of 54 rows, and 13 steps more
    )
    check(specs, resident)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "normalization", "activation", "dropout", "weight_decay", "more"),
    [
        *itertools.product(KINDS, NORMALIZATIONS, ACTIVATIONS, *[(False, True)] * 2, [False]),
        *itertools.product(KINDS, NORMALIZATIONS, ["tanh"], *[(False, True)] * 2, [True]),
    ],
)
def test_the_whole_grid(
    resident: Resident,
    *,
    kind: str,
    normalization: str,
    activation: str,
    dropout: bool,
    weight_decay: bool,
    more: bool,
) -> None:
    specs = five(
        resident,
        kind,
        normalization,
        activation,
        dropout=dropout,
        weight_decay=weight_decay,
        more=more,
        steps=200,
    )
    check(specs, resident)


@pytest.mark.parametrize(
    ("batch_size", "normalization"),
    # Batch norm needs a variance, and so more than one row.
    [(1, "none"), *itertools.product((5, 43, 216, 500), ("none", "after"))],
)
def test_any_batch_size_in_epochs(
    resident_few: Resident, batch_size: int, normalization: str
) -> None:
    # 216 rows: 5 leaves a single row over, which sits out; 43 leaves one, too.
    specs = five(
        resident_few,
        "sgd_ema",
        normalization,
        "tanh",
        dropout=True,
        weight_decay=False,
        batch_size=batch_size,
        epochs=1 if batch_size == 1 else 3,
    )
    check(specs, resident_few)


@pytest.mark.parametrize(
    "model",
    [
        {"layers": 0},
        {"layers": 1, "units": 1, "activation": "tanh"},
        {"layers": 3, "units": (5, 1, 3), "activation": "gelu"},
        {"layers": 6, "units": 8, "normalization": "before"},
    ],
    ids=str,
)
def test_any_depth_and_width(resident_few: Resident, model: dict[str, object]) -> None:
    specs = [
        trial(
            resident_few,
            i,
            model=model,
            optimizer=OptimizerSpec(learning_rate=0.01 * (i + 1)),
            dtype="float64",
            steps=50,
        )
        for i in range(3)
    ]
    check(specs, resident_few)


# Not AdamW with batch norm before: some gradients there are rounding noise alone, which without a
# penalty added to them makes Adam's first steps as large as any others.
@pytest.mark.parametrize(
    ("kind", "normalization"),
    [
        *itertools.product(("sgd", "sgd_ema", "adam"), NORMALIZATIONS),
        *[("adamw", "none"), ("adamw", "after")],
    ],
)
def test_float32_agrees_over_ten_steps(resident: Resident, kind: str, normalization: str) -> None:
    specs = [
        replace(spec, numerics=replace(spec.numerics, dtype="float32"))
        for spec in five(
            resident,
            kind,
            normalization,
            "tanh",
            dropout=True,
            weight_decay=True,
            more=kind != "sgd",
            steps=10,
        )
    ]
    batch = FusedBatch(specs, resident)
    batch.train()
    predictions = batch.predict(resident.x_val)
    for k, spec in enumerate(specs):
        plain = PlainTrial(spec, resident)
        plain.train()
        assert largest_difference(predictions[k].T, plain.predict(resident.x_val)) < 1e-4


def test_images_are_flattened() -> None:
    """Inputs [1, 8, 8] in bytes, with a mean and deviation for their only channel."""
    from hpsuite.datasets import Source, prepare
    from hpsuite.datasets.digits import digits

    flat = digits()
    images = Source(flat.x.reshape(-1, 1, 8, 8), flat.y, flat.n_classes, flat.scale)
    data = prepare(
        images, split_seed=1, validation_size=200, test_size=100, input_normalization="channel"
    )
    resident = Resident.place(data, torch.device("cpu"))
    check(
        [
            trial(resident, i, model={"units": 12}, dtype="float64", epochs=2, batch_size=100)
            for i in range(3)
        ],
        resident,
    )
