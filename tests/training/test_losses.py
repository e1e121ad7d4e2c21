"""Validation losses before the first step and after the last: against torch, and at no cost."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training import Resident, train_fused, train_plain
from hpsuite.training.fused import FusedBatch
from hpsuite.training.loop import build_model
from hpsuite.training.plain import PlainTrial
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import trial

NORMALIZATIONS = ("none", "before", "after")


def spec_of(resident: Resident, number: int = 0, **model: object) -> TrialSpec:
    """A trial in float64 with all that a loss could be mistaken about."""
    return trial(
        resident,
        number,
        model={"units": (24, 17), "dropout": 0.3, **model},
        optimizer=OptimizerSpec(learning_rate=0.05 / (1 + number), label_smoothing=0.2),
        dtype="float64",
        epochs=2,
    )


def loss_of(model: nn.Module, resident: Resident) -> float:
    """Mean cross-entropy over the validation rows, by torch.nn at once."""
    data = resident.data
    x = torch.tensor(data.x_val, dtype=torch.float64)
    x = x * torch.tensor(data.multiplier) + torch.tensor(data.offset)
    with torch.no_grad():
        outputs = model.to(torch.float64).eval()(x)
        return float(F.cross_entropy(outputs, torch.tensor(data.y_val)))


@pytest.mark.parametrize("norm", NORMALIZATIONS)
def test_both_trainers_give_torchs(resident_few: Resident, norm: str) -> None:
    specs = [spec_of(resident_few, i, normalization=norm) for i in range(3)]
    fused = train_fused(specs, resident_few)
    for spec, result in zip(specs, fused, strict=True):
        initial = build_model(spec.model, resident_few.data, seed=spec.seed, number=spec.number)
        truth = loss_of(initial, resident_few)
        assert result.initial_loss == pytest.approx(truth, abs=1e-10)
        plain = PlainTrial(spec, resident_few)
        found = plain.train()
        assert found.initial_loss == pytest.approx(truth, abs=1e-10)
        assert found.val_loss is not None
        assert found.val_loss == pytest.approx(loss_of(plain.model, resident_few), abs=1e-10)
        assert result.val_loss == pytest.approx(found.val_loss, abs=1e-10)
        assert found.val_loss < truth


@pytest.mark.parametrize("norm", NORMALIZATIONS)
def test_the_first_look_changes_nothing_of_a_fused_trial(resident_few: Resident, norm: str) -> None:
    specs = [spec_of(resident_few, i, normalization=norm) for i in range(3)]
    looked = FusedBatch(specs, resident_few).train()
    batch = FusedBatch(specs, resident_few)
    while batch.step < batch.total_steps:
        batch.train_epoch()
    for i, result in enumerate(looked):
        other = batch.results[i]
        assert (result.val_curve, result.loss_curve) == (other.val_curve, other.loss_curve)
        assert (result.val_loss, result.test_accuracy) == (other.val_loss, other.test_accuracy)


class Fickle(nn.Module):
    """Scales by its first batch, counts its calls, and draws from torch's stream in evaluation."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(input_shape), n_classes)
        self.scale: Tensor | None = None
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            self.scale = x.abs().mean()
        self.calls += 1
        noise = 0.01 * torch.randn(len(x), x.shape[1])
        return self.linear(x / self.scale + noise * self.calls)  # type: ignore[no-any-return]


def test_nor_of_a_plain_one_that_is_easily_changed(
    resident_few: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = trial(resident_few, target=f"{__name__}.Fickle", epochs=2)
    looked = train_plain(spec, resident_few)
    assert looked.initial_loss is not None
    monkeypatch.setattr(PlainTrial, "_initial_loss", lambda self: looked.initial_loss)
    assert train_plain(spec, resident_few).same_outcome(looked)


def test_a_diverged_trial_has_an_initial_loss_and_no_other(resident_few: Resident) -> None:
    spec = trial(
        resident_few, model={"units": 16}, optimizer=OptimizerSpec(learning_rate=1e30), epochs=5
    )
    for result in (train_plain(spec, resident_few), *train_fused([spec], resident_few)):
        assert result.outcome == "nonfinite"
        assert result.val_loss is None
        assert result.initial_loss == pytest.approx(math.log(10), abs=2)


def test_a_loss_that_is_not_finite_is_none(resident_few: Resident) -> None:
    model = {"units": 16, "initialization": "gaussian", "sigma": 1e30}
    spec = trial(resident_few, model=model, epochs=1)
    for result in (train_plain(spec, resident_few), *train_fused([spec], resident_few)):
        assert (result.outcome, result.initial_loss) == ("nonfinite", None)
