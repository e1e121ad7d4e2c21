"""Which results earlier versions would not repeat: those of what is fused only since then."""

import math

import pytest
import torch
from torch import nn

from hpsuite.training import Resident
from hpsuite.training.history import results_version
from hpsuite.training.loop import build_model
from tests.training.cases import trial


def softplus(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    """A layer that only the plain trainer knows."""
    n_inputs = math.prod(input_shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, n_classes), nn.Softplus())


CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("target", "model", "on_cpu", "on_cuda"),
    [
        ("hpsuite.models.mlp", {}, 1, 1),
        ("hpsuite.models.mlp", {"normalization": "before", "dropout": 0.1}, 1, 1),
        ("hpsuite.models.mlp", {"normalization": "before", "normalizer": "layer"}, 2, 2),
        ("hpsuite.models.mlp", {"normalization": "after", "normalizer": "group"}, 2, 2),
        ("hpsuite.models.convnet", {"channels": 2}, 1, 2),
        ("hpsuite.models.resnet", {"channels": 2}, 1, 2),
        ("tests.training.users.SkipNet", {}, 2, 2),
        (f"{__name__}.softplus", {}, 1, 1),
    ],
)
def test_version(
    resident_images: Resident, target: str, model: dict[str, object], on_cpu: int, on_cuda: int
) -> None:
    data = resident_images.data
    spec = trial(resident_images, target=target, model=model)
    built = build_model(spec.model, data, seed=0, number=0)
    assert results_version(built, data.input_shape, CPU, before=1) == on_cpu
    assert results_version(built, data.input_shape, CUDA, before=1) == on_cuda
