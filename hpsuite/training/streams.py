"""Random streams: each trial's own, from (study seed, trial number, stream) alone.

Never from a place in a batch: trial 17 of repeat 3 draws the same weights and the same data order
in every arm, beside any mates, on any worker (docs/architecture.md, laws 2 and 3).
"""

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """What a trial draws random numbers for."""

    WEIGHTS = 0
    ORDER = 1
    DROPOUT = 2
    AUGMENTATION = 3


def study_seed(seed: int, repeat: int) -> int:
    """The seed, in [0, 2^63), of one repeat of every arm of an experiment."""
    words = np.random.SeedSequence(seed, spawn_key=(repeat,)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def fresh_seed(seed: int) -> int:
    """The seed, in [0, 2^63), of an experiment that tries again what one of `seed` selected."""
    words = np.random.SeedSequence(seed, spawn_key=(0, 1)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def _sequence(seed: int, number: int, stream: Stream) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(number, int(stream)))


def weight_generator(seed: int, number: int) -> torch.Generator:
    """Generator, on the CPU, of a trial's initial weights."""
    words = _sequence(seed, number, Stream.WEIGHTS).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]))


def order_generator(
    seed: int, number: int, *, n_rows: int = 0, first_epoch: int = 0
) -> np.random.Generator:
    """Generator of a trial's order of rows: one permutation per epoch.

    Args:
        seed, number: the study's and the trial's.
        n_rows: of the training set.
        first_epoch: the epoch to go on with.
    """
    generator = np.random.default_rng(_sequence(seed, number, Stream.ORDER))
    for _ in range(first_epoch):
        generator.permutation(n_rows)
    return generator


def dropout_key(seed: int, number: int) -> int:
    """A trial's dropout key, an int32."""
    return _key(seed, number, Stream.DROPOUT)


def augmentation_key(seed: int, number: int) -> int:
    """A trial's key of flips and shifts, an int32."""
    return _key(seed, number, Stream.AUGMENTATION)


def _key(seed: int, number: int, stream: Stream) -> int:
    words = _sequence(seed, number, stream).generate_state(1, np.uint32)
    return _int32(int(words[0]))


def dropout_mask(
    keys: Tensor,
    rates: Tensor,
    *,
    step: int | Tensor,
    layer: int,
    units: int,
    rows: int,
    dtype: torch.dtype,
) -> Tensor:
    """Inverted-dropout factors, by a hash of (trial's key, step, layer, unit, row).

    A counter-based hash needs no state and no draw in sequence, so that neither batch-mates nor
    interruptions change a mask.

    Args:
        keys: int32 [K], one per trial.
        rates: float64 [K], shares to drop, in [0, 1).
        step: the gradient step, of all trials or of each, int64 [K].
        layer: the dropout layer's index in its model.
        units, rows: the shape of the mask.
        dtype: of the result.

    Returns:
        [K, units, rows]: 0 with probability `rate`, else 1 / (1 - rate).
    """
    device = keys.device
    place = _place(step, layer)
    unit = torch.arange(units, dtype=torch.int32, device=device)
    row = _mix(torch.arange(rows, dtype=torch.int32, device=device) + 1)
    salt = _mix(_mix(keys ^ place) + 1)
    bits = _mix(_mix(salt[:, None] + unit)[:, :, None] ^ row)
    # 31 random bits, compared with the rate on the same scale.
    threshold = (rates * 2.0**31).to(torch.int64).to(torch.int32)
    kept = (bits & 0x7FFFFFFF) >= threshold[:, None, None]
    return kept.to(dtype) * (1 / (1 - rates)).to(dtype)[:, None, None]


def row_draws(keys: Tensor, rows: Tensor, *, epoch: int | Tensor, draw: int, n: int) -> Tensor:
    """Uniform draws for rows of a data set, by a hash of (trial's key, epoch, draw, row).

    They depend neither on where in its mini-batch a row stands, nor on what else is in it.

    Args:
        keys: int32 [K], one per trial.
        rows: int64 [K, B], places in the training set.
        epoch: the epoch, of all trials or of each, int64 [K].
        draw: which of a row's draws in it this is.
        n: number of outcomes, at least 1 and small beside 2^31.

    Returns:
        int64 [K, B], from 0 to n - 1.
    """
    place = _place(epoch, draw)
    salt = _mix(_mix(keys ^ place) + 1)
    bits = _mix(_mix(salt[:, None] ^ _mix(rows.to(torch.int32) + 1)))
    return ((bits & 0x7FFFFFFF).to(torch.int64) * n) >> 31


def _mix(x: Tensor) -> Tensor:
    """A bijection of int32 with good avalanche: `lowbias32` (Wellons 2018)."""
    x = x ^ ((x >> 16) & 0xFFFF)
    x = x * 0x7FEB352D
    x = x ^ ((x >> 15) & 0x1FFFF)
    x = x * _int32(0x846CA68B)
    return x ^ ((x >> 16) & 0xFFFF)


def _place(time: int | Tensor, which: int) -> int | Tensor:
    """A step or an epoch, and what is drawn in it, as int32: of all trials, or [K]."""
    if isinstance(time, Tensor):
        value = time * 0x9E3779B1 + which * 0x85EBCA77
        return ((value + 2**31) % 2**32 - 2**31).to(torch.int32)
    return _int32(time * 0x9E3779B1 + which * 0x85EBCA77)


def _int32(value: int) -> int:
    """An integer modulo 2^32, as an int32."""
    return (value + 2**31) % 2**32 - 2**31
