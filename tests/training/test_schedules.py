"""Learning rates of every step, against closed forms."""

import math

import pytest
import torch

from hpsuite.training.schedules import learning_rates
from hpsuite.trials import OptimizerSpec
from tests.ids import without_address

# 17 steps to an epoch, 40 steps in all: two epochs and a part of the third.
TOTAL, PER_EPOCH = 40, 17


@pytest.mark.parametrize(
    ("arguments", "rate_after"),
    [
        ({"schedule": "none"}, lambda s, t: 0.3),
        (
            {"schedule": "step", "decay_rate": 0.1, "decay_epochs": 2},
            lambda s, t: 0.3 if t < 2 else 0.03,
        ),
        ({"schedule": "step", "decay_rate": 0.5}, lambda s, t: 0.3 * 0.5**t),
        ({"schedule": "exponential", "decay_rate": 0.95}, lambda s, t: 0.3 * 0.95**t),
        ({"schedule": "inverse_time", "decay_rate": 2.0}, lambda s, t: 0.3 / (1 + 2 * t)),
        ({"schedule": "cosine"}, lambda s, t: 0.3 * (1 + math.cos(math.pi * s / TOTAL)) / 2),
    ],
    ids=without_address,
)
def test_closed_forms(arguments: dict[str, object], rate_after: object) -> None:
    spec = OptimizerSpec(learning_rate=0.3, **arguments)  # type: ignore[arg-type]
    rates = learning_rates(spec, total_steps=TOTAL, steps_per_epoch=PER_EPOCH)
    expected = [rate_after(step, step // PER_EPOCH) for step in range(TOTAL)]  # type: ignore[operator]
    assert rates.dtype == "float64"
    assert rates == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("fraction", "warmup"), [(0.1, 4), (0.33, 13), (0.5, 20), (0.99, 40)])
@pytest.mark.parametrize(
    ("arguments", "factor_after"),
    [
        ({"schedule": "none"}, lambda s, n: 1),
        (
            {"schedule": "step", "decay_rate": 0.1, "decay_epochs": 2},
            lambda s, n: 1 if s < 2 * PER_EPOCH else 0.1,
        ),
        ({"schedule": "exponential", "decay_rate": 0.95}, lambda s, n: 0.95 ** (s // PER_EPOCH)),
        (
            {"schedule": "inverse_time", "decay_rate": 2.0},
            lambda s, n: 1 / (1 + 2 * (s // PER_EPOCH)),
        ),
        ({"schedule": "cosine"}, lambda s, n: (1 + math.cos(math.pi * s / n)) / 2),
    ],
    ids=without_address,
)
def test_warmup_rises_to_the_rate_and_the_decay_begins_after_it(
    arguments: dict[str, object], factor_after: object, fraction: float, warmup: int
) -> None:
    spec = OptimizerSpec(learning_rate=0.3, warmup_fraction=fraction, **arguments)  # type: ignore[arg-type]
    rates = learning_rates(spec, total_steps=TOTAL, steps_per_epoch=PER_EPOCH)
    rising = [0.3 * (step + 1) / warmup for step in range(warmup)]
    n = TOTAL - warmup
    after = [0.3 * factor_after(step, n) for step in range(n)]  # type: ignore[operator]
    assert rates == pytest.approx(rising + after, rel=1e-14)
    assert rates[warmup - 1] == 0.3


def test_warmup_of_a_torch_schedule() -> None:
    """As torch's SequentialLR joins a linear warm-up and a cosine."""
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    warmup, scheduler = 8, torch.optim.lr_scheduler
    joined = scheduler.SequentialLR(
        optimizer,
        [
            scheduler.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1),
            scheduler.CosineAnnealingLR(optimizer, T_max=TOTAL - warmup),
        ],
        milestones=[warmup],
    )
    expected = []
    for _ in range(TOTAL):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        joined.step()
    spec = OptimizerSpec(learning_rate=0.3, schedule="cosine", warmup_fraction=0.2)
    rates = learning_rates(spec, total_steps=TOTAL, steps_per_epoch=PER_EPOCH)
    assert rates == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_warmup_of_hardly_any_steps(total: int) -> None:
    for fraction in (0.0, 0.1, 0.5, 0.999):
        for schedule in ("none", "cosine"):
            spec = OptimizerSpec(schedule=schedule, warmup_fraction=fraction)  # type: ignore[arg-type]
            rates = learning_rates(spec, total_steps=total, steps_per_epoch=PER_EPOCH)
            assert rates.shape == (total,)
            assert ((rates > 0) & (rates <= spec.learning_rate)).all()


def test_a_longer_budget_changes_no_earlier_rate_but_the_cosines() -> None:
    for schedule in ("none", "step", "exponential", "inverse_time"):
        spec = OptimizerSpec(schedule=schedule, decay_rate=0.7)  # type: ignore[arg-type]
        short = learning_rates(spec, total_steps=20, steps_per_epoch=PER_EPOCH)
        long = learning_rates(spec, total_steps=40, steps_per_epoch=PER_EPOCH)
        assert (long[:20] == short).all()
