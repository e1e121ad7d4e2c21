"""Models that cannot be fused train one by one, and say so once, by name."""

import logging

import pytest
import torch
from torch import Tensor, nn

from hpsuite.datasets import Data
from hpsuite.training import NotFusable, Planner, Resident, train, train_fused, train_plain
from hpsuite.training.fused import FusedBatch
from hpsuite.training.fusing import read
from hpsuite.training.plain import PlainTrial
from tests.training.cases import largest_difference, trial

HERE = "tests.training.test_fallback"


class SkipNet(nn.Module):
    """A skip connection, and a factor that is a weight, which only the plain trainer knows."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, units: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(input_shape[0], units)
        self.second = nn.Linear(units, units)
        self.last = nn.Linear(units, n_classes)
        self.drop = nn.Dropout(0.1)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = x + self.gain * torch.relu(self.second(self.drop(x)))
        return self.last(x)  # type: ignore[no-any-return]


def softplus(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(input_shape[0], 8), nn.Softplus(), nn.Linear(8, n_classes))


def shared_activation(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    """One nn.Tanh in two places, as people write it."""
    act = nn.Tanh()
    return nn.Sequential(
        nn.Sequential(nn.Linear(input_shape[0], 12), act),
        nn.Sequential(nn.Linear(12, 9), act, nn.Identity()),
        nn.Linear(9, n_classes, bias=False),
    )


def frozen(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    """A layer of random features that is not trained; batch norm without gamma and beta."""
    first = nn.Linear(input_shape[0], 30).requires_grad_(False)
    return nn.Sequential(
        first, nn.BatchNorm1d(30, affine=False, momentum=0.3), nn.ELU(0.5), nn.Linear(30, n_classes)
    )


def test_a_skip_connection_trains_one_by_one_and_says_so_once(
    few: Data, resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    planner = Planner({few.fingerprint: few}, torch.device("cpu"), n_workers=2)
    specs = [trial(resident_few, i, target=f"{HERE}.SkipNet", epochs=3) for i in range(3)]
    with caplog.at_level(logging.WARNING):
        for spec in specs:
            planner.add(spec)
        batches = [planner.take() for _ in range(3)]
    assert [len(batch) for batch in batches] == [1, 1, 1]
    assert len(planner) == 0
    [record] = caplog.records
    assert record.getMessage() == (
        f"{HERE}.SkipNet trains one by one: no fused form of gain, a tensor used outside of "
        "torch's own layers"
    )
    results = [result for batch in batches for result in train(batch, resident_few)]
    for spec, result in zip(specs, results, strict=True):
        assert result.same_outcome(train_plain(spec, resident_few))
        assert result.val_curve[-1] > 0.3


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Softplus()), "Softplus"),
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=None)), "momentum"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), "running statistics"),
        (nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(1)), "two features or more"),
        (nn.Sequential(nn.Linear(4, 4), nn.Flatten(0)), "Flatten"),
        (nn.Bilinear(4, 4, 2), "Bilinear"),
    ],
    ids=lambda value: str(value).split("\n", maxsplit=1)[0],
)
def test_the_layer_is_named(model: nn.Module, words: str) -> None:
    with pytest.raises(NotFusable, match=words) as caught:
        read(model, (4,))
    assert "\n" not in str(caught.value)


def test_weights_in_two_places_are_not_fused() -> None:
    layer = nn.Linear(4, 4)
    with pytest.raises(NotFusable, match="two places"):
        read(nn.Sequential(layer, nn.ReLU(), layer), (4,))
    drop = nn.Dropout()
    with pytest.raises(NotFusable, match="two places"):
        read(nn.Sequential(drop, nn.Linear(4, 4), drop), (4,))


def test_hooks_are_not_fused() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].register_forward_hook(lambda module, args, output: 2 * output)
    with pytest.raises(NotFusable, match="Linear with hooks"):
        read(model, (4,))
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].register_full_backward_pre_hook(lambda module, grads: (2 * grads[0],))
    with pytest.raises(NotFusable, match="Linear with hooks"):
        read(model, (4,))
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].weight.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(2))
    with pytest.raises(NotFusable, match="hooks of its parameters"):
        read(model, (4,))


def test_images_need_a_flatten_first() -> None:
    layers = (nn.Linear(4, 3), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(NotFusable, match="Flatten"):
        read(nn.Sequential(*layers), (4, 4))
    assert len(read(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), (4, 4)).steps) == 2


def test_the_fused_trainer_refuses_by_itself(resident_few: Resident) -> None:
    spec = trial(resident_few, target=f"{HERE}.softplus")
    with pytest.raises(NotFusable, match="Softplus"):
        train_fused([spec], resident_few)
    assert train([spec], resident_few)[0].same_outcome(train_plain(spec, resident_few))


def test_what_is_asked_to_be_plain_is_plain(few: Data, resident_few: Resident) -> None:
    from dataclasses import replace

    spec = trial(resident_few, model={"units": 8})
    spec = replace(spec, numerics=replace(spec.numerics, trainer="plain"))
    planner = Planner({few.fingerprint: few}, torch.device("cpu"), n_workers=1)
    planner.add(spec)
    planner.add(replace(spec, number=1))
    assert [len(planner.take()) for _ in range(2)] == [1, 1]
    assert train([spec], resident_few)[0].same_outcome(train_plain(spec, resident_few))


@pytest.mark.parametrize("name", ["shared_activation", "frozen"])
def test_a_users_sequential_is_fused_as_it_stands(resident_few: Resident, name: str) -> None:
    specs = [
        trial(resident_few, i, target=f"{HERE}.{name}", dtype="float64", steps=60) for i in range(3)
    ]
    batch = FusedBatch(specs, resident_few)
    batch.train()
    predictions = batch.predict(resident_few.x_val)
    for k, spec in enumerate(specs):
        plain = PlainTrial(spec, resident_few)
        plain.train()
        expected = plain.predict(resident_few.x_val)
        assert largest_difference(predictions[k].T, expected) < 1e-10


def alpha(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    """Draws from torch's global stream while it trains."""
    return nn.Sequential(
        nn.Linear(input_shape[0], 8), nn.SELU(), nn.AlphaDropout(0.3), nn.Linear(8, n_classes)
    )


def test_a_model_that_draws_while_it_trains_draws_the_same_again(resident_few: Resident) -> None:
    specs = [trial(resident_few, number, target=f"{HERE}.alpha", epochs=2) for number in (0, 1)]
    before = torch.random.get_rng_state()
    (first,), (other,) = train(specs[:1], resident_few), train(specs[1:], resident_few)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(7)  # whatever else its process did in between
    (again,) = train(specs[:1], resident_few)
    assert first.same_outcome(again)
    assert first.loss_curve != other.loss_curve
