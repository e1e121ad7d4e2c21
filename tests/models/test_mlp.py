"""Multilayer perceptrons: their layers in order, their initial weights, and what is refused."""

import math

import pytest
import torch
from torch import nn

from hpsuite.models import mlp


def kinds(model: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in model.children()]


def build(seed: int = 0, **arguments: object) -> nn.Sequential:
    return mlp((64,), 10, generator=torch.Generator().manual_seed(seed), **arguments)  # type: ignore[arg-type]


def test_the_order_of_layers() -> None:
    assert kinds(build(layers=0)) == ["Flatten", "Linear"]
    assert kinds(build(layers=1)) == ["Flatten", "Linear", "ReLU", "Linear"]
    assert kinds(build(layers=1, normalization="before", dropout=0.1)) == (
        ["Flatten", "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    )
    assert kinds(build(layers=1, normalization="after", dropout=0.1, activation="gelu")) == (
        ["Flatten", "Linear", "GELU", "BatchNorm1d", "Dropout", "Linear"]
    )


def test_widths() -> None:
    def widths(model: nn.Module) -> list[tuple[int, int]]:
        return [
            (m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)
        ]

    assert widths(build()) == [(64, 128), (128, 128), (128, 10)]
    assert widths(build(units=7, layers=1)) == [(64, 7), (7, 10)]
    assert widths(build(units=(5, 6, 7))) == [(64, 5), (5, 6), (6, 7), (7, 10)]
    with pytest.raises(ValueError, match=r"units: found \[5, 6\] for layers=3; accepted"):
        build(units=(5, 6), layers=3)


def test_images_go_in() -> None:
    model = mlp((1, 4, 4), 3, generator=torch.Generator(), units=5, normalization="before")
    assert model(torch.rand(7, 1, 4, 4)).shape == (7, 3)


def test_batch_norm_takes_the_place_of_the_bias_before_it_alone() -> None:
    def biases(normalization: str) -> list[bool]:
        model = build(normalization=normalization)
        return [m.bias is not None for m in model.modules() if isinstance(m, nn.Linear)]

    assert biases("none") == [True, True, True]
    assert biases("after") == [True, True, True]
    assert biases("before") == [False, False, True]


@pytest.mark.parametrize(
    ("scheme", "deviation"),
    [
        ("he", math.sqrt(2 / 400)),
        ("xavier", math.sqrt(2 / (400 + 300))),
        ("default", 1 / math.sqrt(3 * 400)),
        ("gaussian", 0.03),
    ],
)
def test_initial_weights_have_their_deviation(scheme: str, deviation: float) -> None:
    model = mlp(
        (400,),
        10,
        generator=torch.Generator().manual_seed(1),
        units=300,
        initialization=scheme,  # type: ignore[arg-type]
        sigma=0.03,
    )
    layer = model[1]
    assert isinstance(layer, nn.Linear)
    weights = layer.weight.detach().double()
    n = weights.numel()
    # Both estimates within six of their standard errors (at most those of a normal distribution).
    assert abs(float(weights.mean())) < 6 * deviation / math.sqrt(n)
    assert abs(float(weights.std()) / deviation - 1) < 6 / math.sqrt(2 * n)
    largest = float(weights.abs().max()) / deviation
    uniform = scheme in ("xavier", "default")
    assert largest < math.sqrt(3) + 1e-6 if uniform else 3.5 < largest < 7
    if scheme == "default":
        assert 0 < float(layer.bias.detach().abs().max()) <= 1 / math.sqrt(400)
    else:
        assert not layer.bias.any()


def test_torchs_default_has_torchs_bounds() -> None:
    theirs = nn.Linear(400, 300).weight.detach()
    assert float(theirs.abs().max()) <= 1 / math.sqrt(400)  # what `default` says it does


def test_weights_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    a, b, c = build(seed=3), build(seed=3), build(seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    ours, same, other = (nn.utils.parameters_to_vector(m.parameters()) for m in (a, b, c))
    assert torch.equal(ours, same)
    assert not torch.equal(ours, other)


def test_scaled_initialisations_are_paired() -> None:
    """Deviations of one draw: `he` and `gaussian` differ by a factor alone."""
    he, gaussian = (build(seed=3, initialization=s, sigma=0.5) for s in ("he", "gaussian"))
    ratio = he[1].weight / gaussian[1].weight  # type: ignore[union-attr, operator]
    assert torch.allclose(ratio, torch.full_like(ratio, math.sqrt(2 / 64) / 0.5), rtol=1e-5)
