"""Normalisation in every family: what it computes, what it leaves alone, and what is refused."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.models import convnet, mlp, resnet
from hpsuite.models.resnet import Scale

FAMILIES = {
    "mlp": (mlp, {"units": (16, 24), "groups": 4}),
    "convnet": (convnet, {"layers": 2, "channels": (8, 16), "groups": 4}),
    "resnet": (resnet, {"channels": 8, "groups": 2}),
}
NORMALIZERS = ("batch", "layer", "group")
CASES = list(itertools.product(FAMILIES, ("before", "after"), NORMALIZERS))
SHAPE = (3, 12, 10)


def build(family: str, seed: int = 0, **arguments: object) -> nn.Sequential:
    function, usual = FAMILIES[family]
    generator = torch.Generator().manual_seed(seed)
    return function(SHAPE, 5, generator=generator, **{**usual, **arguments})  # type: ignore[operator, no-any-return]


def inputs(n: int = 6, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)


def weighted(model: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def norms(model: nn.Module) -> list[nn.Module]:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
    return [m for m in model.modules() if isinstance(m, kinds)]


@pytest.mark.parametrize(("family", "where", "normalizer"), CASES)
@pytest.mark.parametrize("initialization", ["he", "default"])
def test_twins_draw_the_same_weights(
    family: str, where: str, normalizer: str, initialization: str
) -> None:
    def draws(**arguments: object) -> list[nn.Linear | nn.Conv2d]:
        return weighted(build(family, seed=3, initialization=initialization, **arguments))

    ours = draws()
    theirs = draws(normalization=where, normalizer=normalizer, dropout=0.3, activation="tanh")
    assert len(ours) == len(theirs) >= 3
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.weight, b.weight)
        if b.bias is not None:
            assert torch.equal(a.bias, b.bias)


@pytest.mark.parametrize(("family", "where", "normalizer"), CASES)
def test_a_bias_goes_where_a_norm_cancels_it_alone(
    family: str, where: str, normalizer: str
) -> None:
    model = build(family, normalization=where, normalizer=normalizer)
    *hidden, last = weighted(model)
    cancelled = where == "before" and normalizer == "batch"
    assert [layer.bias is None for layer in hidden] == [cancelled] * len(hidden)
    assert last.bias is not None
    # And truly: outputs depend on a bias if, and only if, it is there.
    model = build(family, normalization=where, normalizer=normalizer, seed=4).double()
    for norm in norms(model):
        norm.eps = 1e-30  # type: ignore[assignment]
    x, before = inputs(), model(inputs())
    first = weighted(model)[0]
    shift = torch.linspace(-1, 1, len(first.weight), dtype=torch.float64)
    first.bias = nn.Parameter(shift if first.bias is None else first.bias.detach() + shift)
    changed = float((model(x) - before).detach().abs().max())
    assert changed < 1e-12 if cancelled else changed > 1e-3


def test_a_group_of_one_channel_cancels_its_bias_too() -> None:
    model = build("convnet", channels=8, normalization="before", normalizer="group", groups=8)
    assert [layer.bias is None for layer in weighted(model)] == [True, True, False]
    model = build("convnet", channels=8, normalization="before", normalizer="group", groups=4)
    assert [layer.bias is None for layer in weighted(model)] == [False, False, False]


@pytest.mark.parametrize(("family", "where", "normalizer"), CASES)
def test_scales_that_a_norm_takes_away(family: str, where: str, normalizer: str) -> None:
    """Batch norm undoes any factor of each unit or channel, the others one that all share."""
    model = build(family, normalization=where, normalizer=normalizer).double()  # of relu
    for norm in norms(model):
        norm.eps = 1e-30  # type: ignore[assignment]
    before = model(inputs())
    first = weighted(model)[0]
    factors = torch.full((len(first.weight),), 3.0, dtype=torch.float64)
    if normalizer == "batch":
        factors = torch.linspace(0.5, 3, len(factors), dtype=torch.float64)
    with torch.no_grad():
        first.weight.mul_(factors.view(-1, *[1] * (first.weight.dim() - 1)))
        if first.bias is not None:
            first.bias.mul_(factors)
    assert torch.allclose(model(inputs()), before, rtol=0, atol=1e-11)
    if normalizer != "batch":
        with torch.no_grad():
            first.weight[0].mul_(2)
        assert not torch.allclose(model(inputs()), before, rtol=0, atol=1e-3)


def truth(z: Tensor, normalizer: str, groups: int) -> Tensor:
    """What a norm does to z [B, C, ...], from its definition; gamma is 1 and beta 0."""
    if normalizer == "batch":
        axes = tuple(axis for axis in range(z.dim()) if axis != 1)
        mean, variance = z.mean(axes, keepdim=True), z.var(axes, keepdim=True, correction=0)
        return (z - mean) / torch.sqrt(variance + 1e-5)
    parts = groups if normalizer == "group" else 1
    flat = z.reshape(len(z), parts, -1)
    mean, variance = flat.mean(2, keepdim=True), flat.var(2, keepdim=True, correction=0)
    return ((flat - mean) / torch.sqrt(variance + 1e-5)).reshape(z.shape)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_an_mlp_by_its_definition(normalizer: str) -> None:
    for where in ("before", "after"):
        model = build("mlp", normalization=where, normalizer=normalizer, groups=4).double()
        z = inputs().flatten(1)
        first, second, last = weighted(model)
        for layer in (first, second):
            z = F.linear(z, layer.weight, layer.bias)
            if where == "before":
                z = torch.relu(truth(z, normalizer, 4))
            else:
                z = truth(torch.relu(z), normalizer, 4)
        expected = F.linear(z, last.weight, last.bias)
        assert torch.allclose(model(inputs()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_a_convnet_by_its_definition(normalizer: str) -> None:
    for where in ("before", "after"):
        model = build("convnet", normalization=where, normalizer=normalizer, groups=4).double()
        z = inputs()
        first, second, last = weighted(model)
        for layer in (first, second):
            z = F.conv2d(z, layer.weight, layer.bias, padding=1)
            if where == "before":
                z = torch.relu(truth(z, normalizer, 4))
            else:
                z = truth(torch.relu(z), normalizer, 4)
            z = F.max_pool2d(z, 2)
        expected = F.linear(z.flatten(1), last.weight, last.bias)
        assert torch.allclose(model(inputs()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("normalizer", [*NORMALIZERS, None])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_resnet_by_its_definition(where: str, normalizer: str | None) -> None:
    arguments = {"blocks": 2, "groups": 2}
    if normalizer is not None:
        arguments |= {"normalization": where, "normalizer": normalizer}  # type: ignore[dict-item]
    model = build("resnet", **arguments).double()
    stem, *convs, last = weighted(model)

    def conv(x: Tensor, layer: nn.Linear | nn.Conv2d, stride: int = 1) -> Tensor:
        return F.conv2d(x, layer.weight, layer.bias, padding=1, stride=stride)

    def hidden(z: Tensor) -> Tensor:
        if normalizer is None:
            return torch.relu(z)
        if where == "before":
            return torch.relu(truth(z, normalizer, 2))
        return truth(torch.relu(z), normalizer, 2)

    x = hidden(conv(inputs(), stem))
    for block in range(6):
        stride = 2 if block in (2, 4) else 1
        branch = conv(hidden(conv(x, convs[2 * block], stride)), convs[2 * block + 1])
        if normalizer is None or where == "after":
            branch = branch / 6**0.5
        else:
            branch = truth(branch, normalizer, 2)
        shortcut = torch.zeros_like(branch)
        shortcut[:, : x.shape[1]] = x[:, :, ::stride, ::stride]
        x = torch.relu(branch + shortcut)
    expected = F.linear(x.mean((2, 3)), last.weight, last.bias)
    assert torch.allclose(model(inputs()), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("family", "where", "normalizer"), CASES)
def test_gamma_and_beta_are_learned_or_stay(family: str, where: str, normalizer: str) -> None:
    free = build(family, normalization=where, normalizer=normalizer)
    fixed = build(family, normalization=where, normalizer=normalizer, affine=False)
    assert norms(free)
    assert len(norms(free)) == len(norms(fixed))
    assert all(len(list(norm.parameters())) == 2 for norm in norms(free))
    assert not any(list(norm.parameters()) for norm in norms(fixed))
    # They start at 1 and 0, so that both are the same function.
    ours, theirs = (model.double()(inputs()) for model in (free, fixed))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("family", "where", "normalizer"), CASES)
def test_gradients_reach_every_parameter(family: str, where: str, normalizer: str) -> None:
    model = build(family, normalization=where, normalizer=normalizer)
    F.cross_entropy(model(inputs(30).float()), torch.arange(30) % 5).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert float(parameter.grad.abs().max()) > 1e-8, name


def test_images_have_layer_norm_as_group_norm_with_one_group() -> None:
    model = build("convnet", normalization="before", normalizer="layer")
    assert [(type(n), n.num_groups) for n in norms(model)] == [(nn.GroupNorm, 1)] * 2
    z = inputs()
    ours = nn.GroupNorm(1, 3).double()(z)
    assert torch.allclose(ours, F.layer_norm(z, z.shape[1:]), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("family", "arguments", "words"),
    [
        ("mlp", {"groups": 5}, "groups: found 5 for 16 units; accepted: 1, 2, 4, 8, as groups"),
        ("mlp", {"groups": 16}, "groups: found 16 for 16 units; accepted: 1, 2, 4, 8, as"),
        ("mlp", {"units": (16, 9)}, "groups: found 4 for 9 units; accepted: 1, 3, as"),
        ("mlp", {"units": 1}, "normalizer: found 'group' for a layer of a single value, wh"),
        ("mlp", {"units": 1, "normalizer": "layer"}, "normalizer: found 'layer' for a layer of a"),
        ("convnet", {"groups": 3}, "groups: found 3 for 8 channels; accepted: 1, 2, 4, 8, as"),
        ("resnet", {"groups": 16}, "groups: found 16 for 8 channels; accepted: 1, 2, 4, 8, as"),
    ],
)
def test_what_a_norm_cannot_take(family: str, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        build(family, **{"normalization": "before", "normalizer": "group", **arguments})
    # Unused, it does not matter.
    assert not norms(build(family, **{**arguments, "normalizer": "batch"}))


def test_a_place_of_one_channel_has_no_variance() -> None:
    generator = torch.Generator()
    for kind in ("layer", "group"):
        with pytest.raises(ValueError, match=f"^normalizer: found '{kind}' for a layer of a sing"):
            convnet(
                (1, 1, 1),
                3,
                generator=generator,
                layers=1,
                channels=1,
                pool_every=2,
                normalization="before",
                normalizer=kind,  # type: ignore[arg-type]
            )


def undo(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
    """Set gamma and beta to what undoes the norm, of the batch that it is about to see."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    (x,) = args
    over = [0, *range(2, x.ndim)]
    with torch.no_grad():
        norm.weight.copy_(torch.sqrt(x.var(over, unbiased=False) + norm.eps))
        norm.bias.copy_(x.mean(over))


@pytest.mark.parametrize(
    ("family", "where"), list(itertools.product(FAMILIES, ("before", "after")))
)
def test_gamma_and_beta_can_undo_batch_norm(family: str, where: str) -> None:
    # gamma = sqrt(variance + epsilon), beta = mean: the network computes what it does without.
    normed = build(family, normalization=where, normalizer="batch", affine=True).double().train()
    plain = build(family).double().train()
    for module in [*normed.modules(), *plain.modules()]:
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, Scale):  # of branches that no norm keeps small
            module.factor = 1.0
    x = inputs(n=32)
    assert not torch.allclose(normed(x), plain(x), atol=0.1)
    assert len(norms(normed)) >= 2
    for norm in norms(normed):
        norm.register_forward_pre_hook(undo)
    torch.testing.assert_close(normed(x), plain(x), rtol=0, atol=1e-11)
