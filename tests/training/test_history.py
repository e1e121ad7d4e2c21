"""Which results earlier versions would not repeat: those of what is fused only since then."""

import pytest
import torch

from hpsuite.training import Resident
from hpsuite.training.history import results_version
from hpsuite.training.loop import build_model
from tests.training.cases import trial

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
        ("tests.training.test_fallback.softplus", {}, 1, 1),
    ],
)
def test_version(
    resident_images: Resident, target: str, model: dict[str, object], on_cpu: int, on_cuda: int
) -> None:
    data = resident_images.data
    spec = trial(resident_images, target=target, model=model)
    shape = (64,) if target.endswith("softplus") else data.input_shape
    built = (
        torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Softplus(), torch.nn.Linear(8, 10))
        if target.endswith("softplus")
        else build_model(spec.model, data, seed=0, number=0)
    )
    assert results_version(built, shape, CPU, before=1) == on_cpu
    assert results_version(built, shape, CUDA, before=1) == on_cuda
