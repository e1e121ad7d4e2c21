"""Learning rates of every step, against closed forms."""

import math

import pytest

from hpsuite.training.schedules import learning_rates
from hpsuite.trials import OptimizerSpec

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
    ids=str,
)
def test_closed_forms(arguments: dict[str, object], rate_after: object) -> None:
    spec = OptimizerSpec(learning_rate=0.3, **arguments)  # type: ignore[arg-type]
    rates = learning_rates(spec, total_steps=TOTAL, steps_per_epoch=PER_EPOCH)
    expected = [rate_after(step, step // PER_EPOCH) for step in range(TOTAL)]  # type: ignore[operator]
    assert rates.dtype == "float64"
    assert rates == pytest.approx(expected, rel=1e-14)


def test_a_longer_budget_changes_no_earlier_rate_but_the_cosines() -> None:
    for schedule in ("none", "step", "exponential", "inverse_time"):
        spec = OptimizerSpec(schedule=schedule, decay_rate=0.7)  # type: ignore[arg-type]
        short = learning_rates(spec, total_steps=20, steps_per_epoch=PER_EPOCH)
        long = learning_rates(spec, total_steps=40, steps_per_epoch=PER_EPOCH)
        assert (long[:20] == short).all()
