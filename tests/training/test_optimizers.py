"""torch's optimizers as we set them up, against loops written from the papers and the course."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpsuite.training.optimizers import PlainOptimizer, fused_optimizer
from hpsuite.trials import OptimizerSpec

# A quadratic bowl with unequal curvatures: the gradient at p is CURVATURES p.
CURVATURES = np.array([1.0, 10.0, 0.1, 3.0])
START = np.array([1.0, -2.0, 3.0, -0.5])
RATES = 0.05 / (1 + 0.1 * np.arange(30))

KINDS: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd"},
    "sgd_ema": {"kind": "sgd_ema"},
    "adam": {"kind": "adam"},
    "adamw": {"kind": "adamw"},
    "sgd_nesterov": {"kind": "sgd", "nesterov": True},
}


def run_plain(spec: OptimizerSpec) -> np.ndarray:
    p = nn.Parameter(torch.tensor(START))
    curvatures = torch.tensor(CURVATURES)
    optimizer = PlainOptimizer(spec, [p])
    for rate in RATES:
        optimizer.step(0.5 * (curvatures * p * p).sum(), float(rate))
    return p.detach().numpy()


def run_fused(specs: list[OptimizerSpec]) -> np.ndarray:
    p = torch.tensor(np.stack([START] * len(specs)), requires_grad=True)
    curvatures = torch.tensor(CURVATURES)
    optimizer = fused_optimizer(specs, [p])
    for rate in RATES:
        optimizer.step(
            [p], [curvatures * p.detach()], torch.full((len(specs),), rate, dtype=torch.float64)
        )
    return p.detach().numpy()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_sgd_ema_is_the_courses_average(momentum: float, weight_decay: float) -> None:
    spec = OptimizerSpec(kind="sgd_ema", momentum=momentum, weight_decay=weight_decay)
    p, v = START.copy(), np.zeros(4)
    for rate in RATES:
        g = CURVATURES * p + weight_decay * p
        v = momentum * v + (1 - momentum) * g
        p = p - rate * v
    assert run_plain(spec) == pytest.approx(p, rel=0, abs=1e-14)
    assert run_fused([spec, spec])[1] == pytest.approx(p, rel=0, abs=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_adds_the_gradient_whole(momentum: float) -> None:
    spec = OptimizerSpec(kind="sgd", momentum=momentum)
    p, v = START.copy(), np.zeros(4)
    for rate in RATES:
        v = momentum * v + CURVATURES * p
        p = p - rate * v
    assert run_plain(spec) == pytest.approx(p, rel=0, abs=1e-14)
    assert run_fused([spec, spec])[0] == pytest.approx(p, rel=0, abs=1e-14)


@pytest.mark.parametrize("kind", ["sgd", "sgd_ema"])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_nesterov_looks_ahead(kind: str, momentum: float, weight_decay: float) -> None:
    """Where momentum has carried the parameters is where the next step's begins."""
    spec = OptimizerSpec(
        kind=kind,  # type: ignore[arg-type]
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=True,
    )
    new = 1 - momentum if kind == "sgd_ema" else 1.0
    p, v = START.copy(), np.zeros(4)
    for rate in RATES:
        g = CURVATURES * p + weight_decay * p
        v = momentum * v + new * g
        p = p - rate * (new * g + momentum * v)
    assert run_plain(spec) == pytest.approx(p, rel=0, abs=1e-14)
    assert run_fused([spec, spec])[1] == pytest.approx(p, rel=0, abs=1e-14)
    if momentum == 0:
        without = OptimizerSpec(kind="sgd", momentum=0.0, weight_decay=weight_decay)
        assert (run_plain(spec) == run_plain(without)).all()
        assert (run_fused([spec]) == run_fused([without])).all()


@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 2.0])
def test_adamw_takes_the_decay_off_the_parameters(weight_decay: float) -> None:
    spec = OptimizerSpec(kind="adamw", beta2=0.99, weight_decay=weight_decay)
    p, m, v = START.copy(), np.zeros(4), np.zeros(4)
    for t, rate in enumerate(RATES, start=1):
        g = CURVATURES * p
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * g * g
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        p = p - rate * (step + weight_decay * p)
    assert run_plain(spec) == pytest.approx(p, rel=0, abs=1e-13)
    assert run_fused([spec, spec])[1] == pytest.approx(p, rel=0, abs=1e-13)
    adam = OptimizerSpec(kind="adam", beta2=0.99, weight_decay=weight_decay)
    assert (run_plain(spec) == run_plain(adam)).all() == (weight_decay == 0)


TORCHS = {
    "sgd": lambda p, s: torch.optim.SGD(
        [p], lr=0.1, momentum=s.momentum, weight_decay=s.weight_decay, nesterov=s.nesterov
    ),
    "adam": lambda p, s: torch.optim.Adam(
        [p], lr=0.1, betas=(s.beta1, s.beta2), eps=s.epsilon, weight_decay=s.weight_decay
    ),
    "adamw": lambda p, s: torch.optim.AdamW(
        [p], lr=0.1, betas=(s.beta1, s.beta2), eps=s.epsilon, weight_decay=s.weight_decay
    ),
}


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("kind", TORCHS)
def test_each_step_is_torchs(kind: str, weight_decay: float, *, nesterov: bool) -> None:
    """Step by step from the same gradients, whatever they are."""
    spec = OptimizerSpec(
        kind=kind,  # type: ignore[arg-type]
        momentum=0.9,
        beta1=0.8,
        beta2=0.95,
        epsilon=1e-3,
        weight_decay=weight_decay,
        nesterov=nesterov,
    )
    generator = torch.Generator().manual_seed(5)
    start = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    theirs, plains = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    ours = start[None].repeat(2, 1, 1).requires_grad_()
    torchs = TORCHS[kind](theirs, spec)
    plain = PlainOptimizer(spec, [plains])
    fused = fused_optimizer([spec, spec], [ours])
    rates = torch.full((2,), 0.1, dtype=torch.float64)
    for _ in range(6):
        grad = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        theirs.grad = grad.clone()
        torchs.step()
        plain.step((grad * plains).sum(), 0.1)
        fused.step([ours], [grad.expand(2, 3, 4)], rates)
        assert torch.equal(plains, theirs)
        for row in ours.detach():
            assert row.numpy() == pytest.approx(theirs.detach().numpy(), rel=0, abs=1e-15)


@pytest.mark.parametrize(
    ("beta1", "beta2", "epsilon", "weight_decay"),
    [(0.9, 0.999, 1e-8, 0.0), (0.0, 0.9, 1e-8, 0.0), (0.5, 0.3, 0.1, 0.2), (0.9, 0.99, 1, 0.0)],
)
def test_adam_is_algorithm_1(
    beta1: float, beta2: float, epsilon: float, weight_decay: float
) -> None:
    spec = OptimizerSpec(
        kind="adam", beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay
    )
    p, m, v = START.copy(), np.zeros(4), np.zeros(4)
    for t, rate in enumerate(RATES, start=1):
        g = CURVATURES * p + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        p = p - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    assert run_plain(spec) == pytest.approx(p, rel=0, abs=1e-13)
    assert run_fused([spec, spec])[1] == pytest.approx(p, rel=0, abs=1e-13)


def test_adams_steps_under_a_constant_gradient_are_the_rate() -> None:
    """Bias correction makes both averages g and g^2 from the first step on (their section 2.1)."""
    p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = PlainOptimizer(OptimizerSpec(kind="adam", epsilon=1e-12), [p])
    for t in range(1, 6):
        optimizer.step(7.0 * p.sum(), 0.01)
        assert p.item() == pytest.approx(-0.01 * t, rel=1e-9)


def test_each_trial_has_its_own_hyperparameters() -> None:
    specs = [
        OptimizerSpec(kind="adam", beta1=0.5 + 0.1 * i, beta2=0.99, epsilon=10.0**-i)
        for i in range(4)
    ]
    together = run_fused(specs)
    for row, spec in zip(together, specs, strict=True):
        assert row == pytest.approx(run_plain(spec), rel=0, abs=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_dropping_trials_keeps_the_others_state(kind: str) -> None:
    specs = [
        OptimizerSpec(**KINDS[kind], momentum=0.1 * i, beta1=0.1 * i, weight_decay=0.01 * (1 + i))
        for i in range(5)
    ]
    curvatures = torch.tensor(CURVATURES)

    def run(places: list[int], *, drop_at: int | None) -> torch.Tensor:
        p = torch.tensor(np.stack([START] * len(places)), requires_grad=True)
        optimizer = fused_optimizer([specs[i] for i in places], [p])
        for step in range(20):
            if step == drop_at:
                kept = torch.tensor([1, 3])
                optimizer.keep(kept)
                p = p.detach()[kept].requires_grad_()
            optimizer.step(
                [p], [curvatures * p.detach()], torch.full((len(p),), 0.02, dtype=torch.float64)
            )
        return p.detach()

    assert torch.equal(run([0, 1, 2, 3, 4], drop_at=7), run([1, 3], drop_at=None))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trials_bits_are_its_own(kind: str, dtype: torch.dtype) -> None:
    """Powers and roots of vectors of hyperparameters, too, whatever their length."""
    rng = np.random.default_rng(0)
    specs = [
        OptimizerSpec(
            **KINDS[kind],
            momentum=rng.uniform(0, 0.99),
            beta1=rng.uniform(0, 0.99),
            beta2=rng.uniform(0.5, 0.9999),
            epsilon=10 ** rng.uniform(-8, 0),
            weight_decay=10 ** rng.uniform(-4, -1),
        )
        for _ in range(17)
    ]
    rates = torch.tensor(10 ** rng.uniform(-4, -1, 17))
    start = torch.tensor(rng.standard_normal((17, 5, 7)), dtype=dtype)
    grads = torch.tensor(rng.standard_normal((60, 17, 5, 7)), dtype=dtype)

    def run(places: list[int]) -> torch.Tensor:
        p = start[places].requires_grad_()
        optimizer = fused_optimizer([specs[i] for i in places], [p])
        for grad in grads:
            optimizer.step([p], [grad[places]], rates[places])
        return p.detach()

    together = run(list(range(17)))
    for places in ([0], [16], [3, 9], [12, 5, 7], list(range(8))):
        assert torch.equal(run(places), together[places])
