"""What a batch costs: why some trials are put into one program, and others are not.

A program has work of its own in every step, however many trials it holds: that is what they share.
Filling narrow trials up to the widest, and waiting for the longest, is what it costs them. Only the
ratio of the two matters here.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch

Sizes = tuple[tuple[int, int, int], ...]


class Demand(NamedTuple):
    """What a trial needs: sizes of its layers (see `reading.Reading`), steps and rows of each."""

    sizes: Sizes
    steps: int
    rows: int


@dataclass(frozen=True)
class Economy:
    """Times of a device, in microseconds.

    Attributes:
        program: of a step, whatever it trains.
        layer: of each of its layers with weights.
        products: of a million multiply-adds.
        parameter: of a thousand parameters, their gradients and the optimizer's state.
        longest: the number of terms up to which a sum may be filled up with zeros: longer ones are
            mostly cut elsewhere then (see padding.py, which tries them); None for no such limit.
    """

    program: float
    layer: float
    products: float
    parameter: float
    longest: int | None = None


# One core of an AMD EPYC (family 25, model 17), torch 2.15, one thread, taped steps: 70 batches of
# perceptrons of digits, SGD and Adam, 1 to 4 hidden layers of 16 to 256 units, batch sizes 16 to
# 256, 1 to 12 at once; half of them are within 11% of it, nine tenths within 38%.
# `benchmarks/mixed_study.py` measures batches that are planned by them.
CPU = Economy(program=120, layer=30, products=27, parameter=0.8, longest=300)
# An estimate, not measured: launches cost about what operations do on a CPU that is asked for each
# by itself, and products little.
GPU = Economy(program=250, layer=210, products=0.1, parameter=0.01)


def economy_of(device: torch.device) -> Economy:
    """Times of a device."""
    return CPU if device.type == "cpu" else GPU


# A trial joins where what it wastes is less than so much of what it would pay for a program of its
# own: another batch might suit it better.
WORTH = 0.6


@dataclass(frozen=True)
class Load:
    """A batch in the making.

    Attributes:
        economy: times of the device.
        sizes: of the layers, filled up to the widest.
        n: trials.
        steps: of the longest.
        all_steps: of all trials together.
        own: microseconds that the trials would take without being filled up, programs apart.
        rows: of a step.
    """

    economy: Economy
    sizes: Sizes = ()
    n: int = 0
    steps: int = 0
    all_steps: int = 0
    own: float = 0.0
    rows: int = 0

    def with_one(self, demand: Demand) -> Self:
        """The same with one trial more."""
        sizes = demand.sizes if self.n == 0 else _widest(self.sizes, demand.sizes)
        return type(self)(
            self.economy,
            sizes,
            self.n + 1,
            max(self.steps, demand.steps),
            self.all_steps + demand.steps,
            self.own + self._of_a_step(demand.sizes, demand.rows) * demand.steps,
            demand.rows,
        )

    def cost(self) -> float:
        """Microseconds of the whole batch."""
        return (
            self._of_a_program(self.sizes) * self.steps
            + self._of_a_step(self.sizes, self.rows) * self.all_steps
        )

    def waste(self, demand: Demand) -> float:
        """What another trial adds beyond its own work, as a share of a program of its own."""
        alone = self._of_a_program(demand.sizes) * max(demand.steps, 1)
        own = self._of_a_step(demand.sizes, demand.rows) * demand.steps
        return (self.with_one(demand).cost() - self.cost() - own) / alone

    def accepts(self, demand: Demand) -> bool:
        """Whether another trial is better off here."""
        return not self._lengthens(demand) and self.waste(demand) < WORTH

    def _lengthens(self, demand: Demand) -> bool:
        """Whether sums would be filled up that are too long for it."""
        longest = self.economy.longest
        if longest is None or demand.sizes == self.sizes:
            return False
        widest = _widest(demand.sizes, self.sizes)
        sides = [
            (of_one[side], of_all[side], most[side])
            for of_one, of_all, most in zip(demand.sizes, self.sizes, widest, strict=True)
            for side in (0, 1)
        ]
        return any(m > longest and not own == theirs == m for own, theirs, m in sides)

    def growth(self) -> float:
        """Work of the trials as they are filled up, over their own."""
        filled = self._of_a_step(self.sizes, self.rows) * self.all_steps
        return filled / self.own if self.own else 1.0

    def _of_a_program(self, sizes: Sizes) -> float:
        return self.economy.program + self.economy.layer * len(sizes)

    def _of_a_step(self, sizes: Sizes, rows: int) -> float:
        """Forward, and backward for weights and for inputs; then the update."""
        products = 3 * rows * sum(o * i * places for o, i, places in sizes) / 1e6
        parameters = sum(o * i for o, i, _ in sizes) / 1e3
        return self.economy.products * products + self.economy.parameter * parameters


def _widest(a: Sizes, b: Sizes) -> Sizes:
    return tuple(
        (max(x[0], y[0]), max(x[1], y[1]), max(x[2], y[2])) for x, y in zip(a, b, strict=True)
    )
