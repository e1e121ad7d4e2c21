"""What the probe sees is what plain torch sees, and it changes nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hpsuite.record import attribute_of
from hpsuite.training import Resident
from hpsuite.training.fused import FusedBatch
from hpsuite.training.loop import build_model
from hpsuite.training.plain import train_plain
from hpsuite.training.probe import PERCENTILES, ProbeCourse, last_activation, percentiles
from hpsuite.training.streams import order_generator
from hpsuite.trials import Numerics, OptimizerSpec, TrialSpec, deciding
from tests.training.cases import trial

SIGMOID = {"units": (12, 7), "activation": "sigmoid"}


def probed(spec: TrialSpec) -> TrialSpec:
    return replace(spec, numerics=replace(spec.numerics, probe=True))


def by_hand(spec: TrialSpec, resident: Resident) -> list[list[float]]:
    """Percentiles before the first step and after each epoch, with nothing of the trainers."""
    model = build_model(spec.model, resident.data, seed=spec.seed, number=spec.number).double()
    assert isinstance(model, nn.Sequential)
    last = max(i for i, layer in enumerate(model) if isinstance(layer, nn.Sigmoid))
    x_train, x_val = (resident.inputs(x, torch.float64) for x in (resident.x_train, resident.x_val))
    optimizer = torch.optim.SGD(model.parameters(), lr=spec.optimizer.learning_rate, momentum=0.9)
    order = order_generator(spec.seed, spec.number)
    found = []
    for epoch in range((spec.epochs or 0) + 1):
        if epoch:
            model.train()
            for rows in np.array_split(order.permutation(len(x_train)), 1):
                for start in range(0, len(rows), spec.batch_size):
                    part = torch.from_numpy(rows[start : start + spec.batch_size])
                    optimizer.zero_grad()
                    F.cross_entropy(model(x_train[part]), resident.y_train[part]).backward()
                    optimizer.step()
        model.eval()
        with torch.no_grad():
            z = model[:last](x_val)[:, 0].numpy()
        found.append([float(np.percentile(z, q)) for q in PERCENTILES])
    return found


@pytest.mark.parametrize("normalization", ["none", "before"])
def test_probe_sees_what_a_model_trained_by_hand_has(
    resident: Resident, normalization: str
) -> None:
    model = {**SIGMOID, "normalization": normalization}
    specs = [
        probed(
            trial(
                resident,
                number,
                model=model,
                optimizer=OptimizerSpec(learning_rate=0.05 * (number + 1)),
                dtype="float64",
                batch_size=49,
                epochs=2,
            )
        )
        for number in range(3)
    ]
    fused = FusedBatch(specs, resident).train()
    for spec, result in zip(specs, fused, strict=True):
        expected = by_hand(spec, resident)
        plain = train_plain(spec, resident)
        assert result.probe is not None
        assert plain.probe is not None
        np.testing.assert_allclose(result.probe, expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(plain.probe, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("normalization", ["none", "before", "after"])
def test_probe_changes_no_other_result_by_a_bit(resident: Resident, normalization: str) -> None:
    model = {**SIGMOID, "normalization": normalization}
    specs = [trial(resident, n, model=model, epochs=1 + n % 2) for n in range(5)]
    # Widths are mixed, and one diverges.
    specs[1] = trial(resident, 1, model={**model, "units": (9, 5)}, epochs=2)
    wild = OptimizerSpec(learning_rate=1e38)
    specs.append(
        trial(resident, 6, model={**model, "activation": "relu"}, optimizer=wild, epochs=2)
    )
    for train in (one_by_one, together):
        without = train(specs, resident)
        seen = train([probed(spec) for spec in specs], resident)
        for a, b in zip(without, seen, strict=True):
            assert a.probe is None
            assert b.probe is not None
            assert replace(b, probe=None).same_outcome(a)
        assert without[-1].outcome == "nonfinite"


def one_by_one(specs: list[TrialSpec], resident: Resident) -> list:  # type: ignore[type-arg]
    return [train_plain(spec, resident) for spec in specs]


def together(specs: list[TrialSpec], resident: Resident) -> list:  # type: ignore[type-arg]
    from hpsuite.training.together import train_fused

    return train_fused(specs, resident)


def test_what_is_not_probed_is_identified_and_recorded_as_before(resident: Resident) -> None:
    assert "probe" not in deciding(Numerics())
    assert deciding(Numerics(probe=True))["probe"] is True
    spec = trial(resident, model=SIGMOID)
    assert "probe" not in attribute_of(train_plain(spec, resident))
    assert "probe" in attribute_of(train_plain(probed(spec), resident))


def test_a_course_ends_where_it_is_not_finite() -> None:
    course = ProbeCourse()
    course.add((0.0, 1.0, 2.0))
    course.add((0.0, float("inf"), float("nan")))
    course.add((1.0, 2.0, 3.0))
    assert course.course() == ((0.0, 1.0, 2.0),)


def test_percentiles_of_known_values() -> None:
    values = torch.arange(101.0)[None] * torch.tensor([[1.0], [-1.0]])
    assert percentiles([values[:, :50], values[:, 50:]]) == [
        (15.0, 50.0, 85.0),
        (-85.0, -50.0, -15.0),
    ]


def test_the_last_activation_is_found() -> None:
    last = nn.Tanh()
    assert last_activation(nn.Sequential(nn.ReLU(), nn.Linear(2, 2), last, nn.Linear(2, 2))) is last
    assert last_activation(nn.Sequential(nn.Linear(2, 2))) is None
