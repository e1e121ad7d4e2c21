"""Random streams: whose they are, and that dropout's masks are as random as they must be."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from hpsuite.training import Resident
from hpsuite.training.loop import build_model
from hpsuite.training.streams import (
    dropout_key,
    dropout_mask,
    order_generator,
    study_seed,
    weight_generator,
)
from hpsuite.trials import ModelSpec, frozen_arguments

# Each statistical test may cry wolf once in a billion runs.
FALSE_ALARM = 1e-9


def keys(n: int, seed: int = 11) -> Tensor:
    return torch.tensor([dropout_key(seed, i) for i in range(n)], dtype=torch.int32)


def mask(
    n: int = 1,
    rate: float = 0.5,
    *,
    step: int = 0,
    layer: int = 0,
    units: int = 512,
    rows: int = 512,
    seed: int = 11,
) -> Tensor:
    rates = torch.full((n,), rate, dtype=torch.float64)
    return dropout_mask(
        keys(n, seed), rates, step=step, layer=layer, units=units, rows=rows, dtype=torch.float32
    )


@pytest.mark.parametrize("initialization", ["he", "xavier", "default", "gaussian"])
@pytest.mark.parametrize("normalization", ["before", "after"])
def test_twins_draw_the_same_weights(
    resident: Resident, initialization: str, normalization: str
) -> None:
    def weights(**arguments: object) -> list[Tensor]:
        spec = ModelSpec(
            "hpsuite.models.mlp",
            frozen_arguments({"units": (20, 30), "initialization": initialization, **arguments}),
        )
        model = build_model(spec, resident.data, seed=4, number=17)
        return [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]

    ours, theirs = weights(), weights(normalization=normalization, dropout=0.5, activation="tanh")
    assert len(ours) == 3
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_streams_are_the_seeds_and_the_numbers_alone() -> None:
    pairs = list(itertools.product((0, 1, 2**62), (0, 1, 1000)))
    orders = {tuple(order_generator(*pair).permutation(20)) for pair in pairs}
    weights = {weight_generator(*pair).initial_seed() for pair in pairs}
    masks = {dropout_key(*pair) for pair in pairs}
    assert len(orders) == len(weights) == len(masks) == len(pairs)
    again = order_generator(1, 1000)
    assert (again.permutation(20) == order_generator(1, 1000).permutation(20)).all()
    assert all(-(2**31) <= key < 2**31 for key in masks)


def test_study_seeds_differ_and_fit_into_63_bits() -> None:
    seeds = {study_seed(seed, repeat) for seed in range(20) for repeat in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 0.5, 0.9])
def test_masks_keep_their_share_and_scale(rate: float) -> None:
    found = mask(rate=rate)
    kept = int((found > 0).sum())
    low, high = stats.binom.interval(1 - FALSE_ALARM, found.numel(), 1 - rate)
    assert low <= kept <= high
    assert set(found.unique().tolist()) <= {0.0, float(np.float32(1 / (1 - rate)))}


def test_a_rate_of_0_keeps_all() -> None:
    assert (mask(rate=0.0) == 1).all()


def test_every_unit_and_row_keeps_its_share() -> None:
    kept = (mask(rate=0.3, units=400, rows=500)[0] > 0).double()
    limit = stats.norm.isf(FALSE_ALARM / 2 / 900)  # 900 sums, each binomial
    for axis, n in ((0, 400), (1, 500)):
        z = (kept.sum(axis) - 0.7 * n) / math.sqrt(n * 0.7 * 0.3)
        assert float(z.abs().max()) < limit
        # And together they vary as much as independent ones do.
        chi2 = float((z * z).sum())
        low, high = stats.chi2.interval(1 - FALSE_ALARM, len(z))
        assert low < chi2 < high


def correlation(a: Tensor, b: Tensor) -> float:
    """Correlation of two masks of rate 1/2, in standard errors."""
    x, y = (2 * (m.flatten() > 0).double() - 1 for m in (a, b))
    return abs(float((x * y).sum())) / math.sqrt(len(x))


def test_masks_are_independent_of_each_other() -> None:
    base = mask()
    others = [mask(step=s) for s in (1, 2, 3, 17, 1000, 65536)]
    others += [mask(layer=layer) for layer in (1, 2, 7)]
    others += [mask(step=1, layer=1), mask(step=2, layer=1), mask(seed=12)]
    others += list(mask(6)[1:])
    limit = stats.norm.isf(FALSE_ALARM / 2 / len(others))
    assert all(correlation(base, other) < limit for other in others)


def test_units_and_rows_are_independent_of_their_neighbours() -> None:
    m = mask(units=600, rows=600)[0]
    shifts = [(du, dr) for du in (0, 1, 2, 3, 8, 64) for dr in (0, 1, 2, 3, 8, 64) if du or dr]
    limit = stats.norm.isf(FALSE_ALARM / 2 / (2 * len(shifts)))
    for du, dr in shifts:
        assert correlation(m[du:, dr:], m[: 600 - du, : 600 - dr]) < limit
        assert correlation(m[du:, : 600 - dr], m[: 600 - du, dr:]) < limit
    # Neither is a row the sum of others: the parity over rectangles is as random.
    square = [m[:-1, :-1], m[1:, :-1], m[:-1, 1:], m[1:, 1:]]
    signs = torch.stack([2 * (part > 0).double() - 1 for part in square]).prod(0)
    disjoint = signs[::2, ::2]
    assert abs(float(disjoint.sum())) / math.sqrt(disjoint.numel()) < limit


def test_one_units_mask_over_steps_is_random() -> None:
    over_steps = torch.stack([mask(step=s, units=8, rows=8)[0].flatten() for s in range(2000)])
    kept = (over_steps > 0).double()
    limit = stats.norm.isf(FALSE_ALARM / 2 / (64 * 4))
    assert float((kept.sum(0) - 1000).abs().max()) / math.sqrt(500) < limit
    for lag in (1, 2, 3):
        x = 2 * kept - 1
        z = (x[lag:] * x[:-lag]).sum(0) / math.sqrt(2000 - lag)
        assert float(z.abs().max()) < limit


def test_a_mask_is_the_same_beside_any_mates() -> None:
    together = mask(9, units=33, rows=21, step=5, layer=2)
    all_keys, rates = keys(9), torch.full((9,), 0.5, dtype=torch.float64)
    for chosen in ([0], [8], [3, 1], [2, 5, 7]):
        alone = dropout_mask(
            all_keys[chosen],
            rates[chosen],
            step=5,
            layer=2,
            units=33,
            rows=21,
            dtype=torch.float32,
        )
        assert torch.equal(alone, together[chosen])


def test_a_smaller_layer_or_batch_sees_a_part_of_the_same_mask() -> None:
    whole = mask(2, units=40, rows=30)
    assert torch.equal(mask(2, units=25, rows=11), whole[:, :25, :11])
