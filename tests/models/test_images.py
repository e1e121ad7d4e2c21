"""Networks for images: their layers in order, their sizes and initial weights, what is refused."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpsuite.models import convnet, resnet
from hpsuite.models.resnet import Residual, Scale

BOTH = (convnet, resnet)
MEAN_AND_LINEAR = ["AdaptiveAvgPool2d", "Flatten", "Linear"]


def make(function: object, shape: tuple[int, ...], seed: int = 0, **arguments: object) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    model: nn.Module = function(shape, 10, generator=generator, **arguments)  # type: ignore[operator]
    return model


def kinds(model: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in model.children()]


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def test_the_order_of_a_convnets_layers() -> None:
    shape = (1, 8, 8)
    assert kinds(make(convnet, shape, layers=1)) == (
        ["Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear"]
    )
    arguments = {"layers": 2, "pool_every": 2, "dropout": 0.1, "global_pooling": True}
    layer = ["Conv2d", "BatchNorm2d", "Tanh"]
    model = make(convnet, shape, normalization="before", activation="tanh", **arguments)
    assert kinds(model) == ([*layer, "Dropout", *layer, "MaxPool2d", "Dropout", *MEAN_AND_LINEAR])
    model = make(convnet, shape, layers=1, normalization="after", normalizer="group")
    assert kinds(model) == ["Conv2d", "ReLU", "GroupNorm", "MaxPool2d", "Flatten", "Linear"]


def test_the_order_of_a_resnets_layers() -> None:
    model = make(resnet, (3, 32, 32), normalization="before", dropout=0.1)
    assert kinds(model) == (
        ["Conv2d", "BatchNorm2d", "ReLU", *["Residual", "ReLU"] * 3, *MEAN_AND_LINEAR]
    )
    branch = ["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d", "BatchNorm2d"]
    first, second, third = (m for m in model.children() if isinstance(m, Residual))
    assert [kinds(block.branch) for block in (first, second, third)] == [branch] * 3
    assert isinstance(first.shortcut, nn.Identity)
    assert kinds(second.shortcut) == kinds(third.shortcut) == ["AvgPool2d", "ZeroPad3d"]
    plain = next(m for m in make(resnet, (3, 32, 32)).modules() if isinstance(m, Residual))
    assert kinds(plain.branch) == ["Conv2d", "ReLU", "Conv2d", "Scale"]
    after = make(resnet, (3, 32, 32), normalization="after")
    assert kinds(after) == (
        ["Conv2d", "ReLU", "BatchNorm2d", *["Residual", "ReLU"] * 3, *MEAN_AND_LINEAR]
    )
    block = next(m for m in after.modules() if isinstance(m, Residual))
    assert kinds(block.branch) == ["Conv2d", "ReLU", "BatchNorm2d", "Conv2d", "Scale"]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (4, 9, 23)])
@pytest.mark.parametrize("normalization", ["none", "before", "after"])
def test_shapes(shape: tuple[int, ...], normalization: str) -> None:
    for function in BOTH:
        model = make(function, shape, normalization=normalization)
        outputs = model(torch.randn(7, *shape))
        assert outputs.shape == (7, 10)
        assert torch.isfinite(outputs).all()
    for arguments in (
        {"global_pooling": True},
        {"pool_every": 2},
        {"pool_every": 9},
        {"layers": 1},
        {"channels": (4, 8)},
        {"channels": (5, 6), "layers": 2},
    ):
        model = make(convnet, shape, normalization=normalization, **arguments)
        assert model(torch.randn(2, *shape)).shape == (2, 10)


def test_the_resnet_has_the_papers_sizes() -> None:
    """Table 6 of He, Zhang, Ren and Sun 2015."""
    for blocks, layers, millions in ((3, 20, 0.27), (9, 56, 0.85), (18, 110, 1.7)):
        model = make(resnet, (3, 32, 32), blocks=blocks, normalization="before")
        weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(weighted) == layers
        assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.03)
    # Stages of 32, 16 and 8 places a side have 16, 32 and 64 channels.
    seen = []
    for block in (m for m in model.modules() if isinstance(m, Residual)):
        block.register_forward_hook(lambda module, args, output: seen.append(output.shape[1:]))
    with torch.no_grad():
        model(torch.randn(2, 3, 32, 32))
    assert seen == [(16, 32, 32)] * 18 + [(32, 16, 16)] * 18 + [(64, 8, 8)] * 18


def test_a_shortcut_takes_every_second_place_and_adds_zeros() -> None:
    for height, width in ((8, 8), (7, 5), (1, 3)):
        model = make(resnet, (2, height, width), channels=6)
        block = [m for m in model.modules() if isinstance(m, Residual)][1]
        x = torch.randn(3, 6, height, width)
        found = block.shortcut(x)
        expected = np.zeros((3, 12, -(-height // 2), -(-width // 2)), dtype=np.float32)
        expected[:, :6] = x.numpy()[:, :, ::2, ::2]
        assert np.array_equal(found.numpy(), expected)
        assert block(x).shape == found.shape


@pytest.mark.parametrize(
    ("scheme", "deviation"),
    [
        ("he", math.sqrt(2 / (9 * 48))),
        ("xavier", math.sqrt(2 / (9 * 48 + 9 * 64))),
        ("default", 1 / math.sqrt(3 * 9 * 48)),
        ("gaussian", 0.03),
    ],
)
def test_initial_weights_have_their_deviation(scheme: str, deviation: float) -> None:
    model = make(convnet, (48, 4, 4), seed=1, layers=1, channels=64, initialization=scheme)
    if scheme == "gaussian":
        model = make(
            convnet, (48, 4, 4), seed=1, layers=1, channels=64, initialization=scheme, sigma=0.03
        )
    (layer,) = convolutions(model)
    weights = layer.weight.detach().double()
    n = weights.numel()
    # Both estimates within six of their standard errors (at most those of a normal distribution).
    assert abs(float(weights.mean())) < 6 * deviation / math.sqrt(n)
    assert abs(float(weights.std()) / deviation - 1) < 6 / math.sqrt(2 * n)
    largest = float(weights.abs().max()) / deviation
    uniform = scheme in ("xavier", "default")
    assert largest < math.sqrt(3) + 1e-6 if uniform else 3.5 < largest < 7
    assert layer.bias is not None
    if scheme == "default":
        bound = 1 / math.sqrt(9 * 48)  # as in torch's own
        assert 0 < float(layer.bias.detach().abs().max()) <= bound
        assert float(nn.Conv2d(48, 64, 3).weight.detach().abs().max()) <= bound
    else:
        assert not layer.bias.any()


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("normalization", ["none", "before"])
def test_weights_come_from_the_generator_alone(function: object, normalization: str) -> None:
    state = torch.get_rng_state()
    models = [make(function, (1, 8, 8), seed, normalization=normalization) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    ours, same, other = (nn.utils.parameters_to_vector(m.parameters()) for m in models)
    assert torch.equal(ours, same)
    assert not torch.equal(ours, other)


@pytest.mark.parametrize("function", BOTH)
def test_gradients_reach_every_parameter_without_a_norm(function: object) -> None:
    model = make(function, (3, 16, 16))
    x = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    nn.functional.cross_entropy(model(x), torch.arange(40) % 10).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 1e-8, name


def scales(model: nn.Module, shape: tuple[int, ...]) -> tuple[float, float]:
    """Root mean square of a model's last hidden values, and of its first layer's gradient."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(24, *shape, generator=generator)
    seen: list[Tensor] = []
    list(model.children())[-1].register_forward_hook(lambda m, args, y: seen.append(args[0]))
    nn.functional.cross_entropy(model(x), torch.arange(24) % 10).backward()
    grad = convolutions(model)[0].weight.grad
    assert grad is not None
    return float(seen[0].detach().square().mean().sqrt()), float(grad.square().mean().sqrt())


@pytest.mark.parametrize("normalization", ["none", "before", "after"])
def test_activations_keep_their_scale_in_depth(normalization: str) -> None:
    shape = (3, 16, 16)
    for blocks in (1, 5, 18):
        deep = make(resnet, shape, blocks=blocks, channels=8, normalization=normalization)
        activations, gradients = scales(deep, shape)
        # Batch norm's branches have variance 1 each, and add up: to sqrt(54) at most.
        assert 0.1 < activations < 10, blocks
        assert 1e-4 < gradients < 1, blocks
    for layers in (2, 10, 20):
        arguments = {"layers": layers, "pool_every": 21, "normalization": normalization}
        activations, _ = scales(make(convnet, shape, channels=32, **arguments), shape)
        assert 0.05 < activations < 5, layers


def test_without_its_factor_a_deep_resnet_would_explode() -> None:
    model = make(resnet, (3, 16, 16), blocks=18, channels=8)
    factors = [m for m in model.modules() if isinstance(m, Scale)]
    assert [m.factor for m in factors] == [pytest.approx(1 / math.sqrt(54))] * 54
    for m in factors:
        m.factor = 1.0
    assert scales(model, (3, 16, 16))[0] > 1e4


@pytest.mark.parametrize(
    ("function", "shape", "arguments", "words"),
    [
        (
            convnet,
            (64,),
            {},
            r"found inputs of shape \[64\]; accepted: images \[channels, height, ",
        ),
        (
            resnet,
            (64,),
            {},
            r"found inputs of shape \[64\]; accepted: images \[channels, height, w",
        ),
        (convnet, (8, 8), {}, r"found inputs of shape \[8, 8\]; accepted: images"),
        (
            convnet,
            (1, 8, 8),
            {"layers": 4},
            "layers, pool_every: found 4 and 1, which halve images of 8 x 8 4 times; accepted: at "
            "most 3 times",
        ),
        (convnet, (1, 28, 28), {"layers": 10, "pool_every": 2}, "layers, pool_every: found 10 and"),
        (convnet, (1, 1, 9), {"layers": 1}, "layers, pool_every: found 1 and 1, which halve im"),
        (
            convnet,
            (1, 8, 8),
            {"channels": (5, 6), "layers": 3},
            r"channels: found \[5, 6\] for layers=3; accepted: one number, or one for each ",
        ),
    ],
)
def test_what_is_refused(
    function: object, shape: tuple[int, ...], arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        make(function, shape, **arguments)


def test_the_most_that_fits_is_accepted() -> None:
    for size, most in ((8, 3), (28, 4), (32, 5), (31, 4), (1, 0)):
        for layers in range(1, most + 1):
            make(convnet, (1, size, size), layers=layers, channels=2)
        with pytest.raises(ValueError, match="layers, pool_every"):
            make(convnet, (1, size, size), layers=most + 1, channels=2)
