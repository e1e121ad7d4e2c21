"""Update rules for K trials at once, in torch's order of operations; and torch's own, their oracle.

torch.optim takes no per-trial hyperparameters: its learning rate has one element. The rules here
hold each hyperparameter as float64 [K] and cast last. Every operation that a compiler might
contract to a fused multiply-add has a per-trial operand, so that each trial's row is computed
by itself and no batch-mate can change its last bit.

Shapes: K trials, P elements of one parameter.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from hpsuite.trials import OptimizerKind, OptimizerSpec


class FusedOptimizer(Protocol):
    """Updates parameters in place, each trial with its own hyperparameters."""

    def step(self, parameters: Sequence[Tensor], grads: Sequence[Tensor], rates: Tensor) -> None:
        """One update.

        Args:
            parameters, grads: [K, ...] each.
            rates: this step's learning rates, float64 [K].
        """

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the trials alone: int64 indices [K']."""

    def memory(self, place: int) -> "Memory":
        """What it remembers of a trial, by its place; to be read or written to."""

    def changing(self) -> list[Tensor]:
        """What a step changes in place beside the parameters."""


class Memory(NamedTuple):
    """What an update rule remembers of one trial, as views.

    Attributes:
        averages: by name, one tensor [P] for each parameter.
        numbers: by name, float64 [].
    """

    averages: Mapping[str, Sequence[Tensor]]
    numbers: Mapping[str, Tensor]


class _Choice:
    """Which trials do one thing, and which another: nothing is computed twice where all agree.

    Attributes:
        of_any, of_all: whether some, or all, do the first.
    """

    def __init__(self, first: Sequence[bool], device: torch.device) -> None:
        self.of_any, self.of_all = any(first), all(first)
        self._first = list(first)
        self._mask = torch.tensor(self._first, device=device)

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Of [K, ...] each trial's own; both are taken as they are, to the bit."""
        if self.of_all or not self.of_any:
            return first if self.of_all else second
        return torch.where(self._mask.view(-1, *(1,) * (first.dim() - 1)), first, second)

    def kept(self, kept: Tensor) -> "_Choice":
        """The same for some of the trials."""
        return _Choice([self._first[place] for place in kept.tolist()], kept.device)


class FusedSGD:
    """v = momentum v + g, p = p - rate v, as torch.optim.SGD.

    With Nesterov's look ahead, p = p - rate (g + momentum v), which is SGD where momentum is 0.

    The average v = momentum v + (1 - momentum) g is the same rule at a rate (1 - momentum) times
    as large, with v scaled by 1 / (1 - momentum): that is how `sgd_ema` is done.

    Trials may differ in both.
    """

    def __init__(self, specs: Sequence[OptimizerSpec], parameters: Sequence[Tensor]) -> None:
        device = parameters[0].device
        self.momentum = _per_trial([s.momentum for s in specs], device)
        self.weight_decay = _per_trial([s.weight_decay for s in specs], device)
        factors = [1 - s.momentum if s.kind == "sgd_ema" else 1.0 for s in specs]
        self.factors = _per_trial(factors, device)
        self.decays = specs[0].weight_decay > 0
        self.nesterov = _Choice([s.nesterov for s in specs], device)
        self.velocities = [torch.zeros_like(p.detach()).flatten(1) for p in parameters]

    def step(self, parameters: Sequence[Tensor], grads: Sequence[Tensor], rates: Tensor) -> None:
        dtype = grads[0].dtype
        step_size = (-(rates * self.factors)).to(dtype)[:, None]
        momentum = self.momentum.to(dtype)[:, None]
        decay = self.weight_decay.to(dtype)[:, None]
        with torch.no_grad():
            for parameter, grad, velocity in zip(parameters, grads, self.velocities, strict=True):
                p, g = parameter.flatten(1), grad.flatten(1)
                if self.decays:
                    g = torch.addcmul(g, p, decay)
                torch.addcmul(g, velocity, momentum, out=velocity)
                way = velocity
                if self.nesterov.of_any:
                    way = self.nesterov(torch.addcmul(g, velocity, momentum), velocity)
                p.addcmul_(way, step_size)

    def keep(self, kept: Tensor) -> None:
        self.momentum, self.weight_decay = self.momentum[kept], self.weight_decay[kept]
        self.factors = self.factors[kept]
        self.nesterov = self.nesterov.kept(kept)
        self.velocities = [v[kept] for v in self.velocities]

    def memory(self, place: int) -> Memory:
        return Memory({"velocities": [v[place] for v in self.velocities]}, {})

    def changing(self) -> list[Tensor]:
        return list(self.velocities)


class FusedAdam:
    """Adam (Kingma and Ba 2014, algorithm 1), as torch.optim.Adam.

    AdamW, as torch.optim.AdamW, takes the weight decay off the parameters instead of adding it to
    the gradient: p = (1 - rate decay) p before each step (Loshchilov and Hutter 2019, algorithm 2,
    whose lambda is the initial rate times this decay). Trials may differ in that.
    """

    def __init__(self, specs: Sequence[OptimizerSpec], parameters: Sequence[Tensor]) -> None:
        device = parameters[0].device
        self.beta1 = _per_trial([s.beta1 for s in specs], device)
        self.beta2 = _per_trial([s.beta2 for s in specs], device)
        self.epsilon = _per_trial([s.epsilon for s in specs], device)
        self.weight_decay = _per_trial([s.weight_decay for s in specs], device)
        self.decays = specs[0].weight_decay > 0
        self.decoupled = _Choice([s.kind == "adamw" for s in specs], device)
        self.means = [torch.zeros_like(p.detach()).flatten(1) for p in parameters]
        self.squares = [torch.zeros_like(p.detach()).flatten(1) for p in parameters]
        # beta^t as running products: torch's power of a vector depends on the vector's length.
        self.power1, self.power2 = torch.ones_like(self.beta1), torch.ones_like(self.beta2)

    def step(self, parameters: Sequence[Tensor], grads: Sequence[Tensor], rates: Tensor) -> None:
        self.power1.mul_(self.beta1)
        self.power2.mul_(self.beta2)
        dtype = grads[0].dtype
        step_size = (-rates / (1 - self.power1)).to(dtype)[:, None]
        root = torch.sqrt(1 - self.power2).to(dtype)[:, None]
        new1 = (1 - self.beta1).to(dtype)[:, None]
        beta2 = self.beta2.to(dtype)[:, None]
        new2 = (1 - self.beta2).to(dtype)[:, None]
        epsilon = self.epsilon.to(dtype)[:, None]
        decay = self.weight_decay.to(dtype)[:, None]
        with torch.no_grad():
            if self.decays and self.decoupled.of_any:
                factors = 1 - rates * self.weight_decay
                shrink = self.decoupled(factors, torch.ones_like(factors)).to(dtype)[:, None]
                for parameter in parameters:
                    parameter.flatten(1).mul_(shrink)
            rows = zip(parameters, grads, self.means, self.squares, strict=True)
            for parameter, grad, mean, square in rows:
                p, g = parameter.flatten(1), grad.flatten(1)
                if self.decays and not self.decoupled.of_all:
                    g = self.decoupled(g, torch.addcmul(g, p, decay))
                mean.lerp_(g, new1)
                square.mul_(beta2).addcmul_(g * g, new2)
                denominator = square.sqrt().div_(root).add_(epsilon)
                p.addcmul_(mean.div(denominator), step_size)

    def keep(self, kept: Tensor) -> None:
        self.beta1, self.beta2 = self.beta1[kept], self.beta2[kept]
        self.power1, self.power2 = self.power1[kept], self.power2[kept]
        self.epsilon, self.weight_decay = self.epsilon[kept], self.weight_decay[kept]
        self.decoupled = self.decoupled.kept(kept)
        self.means = [m[kept] for m in self.means]
        self.squares = [s[kept] for s in self.squares]

    def memory(self, place: int) -> Memory:
        return Memory(
            {
                "means": [m[place] for m in self.means],
                "squares": [s[place] for s in self.squares],
            },
            {"power1": self.power1[place], "power2": self.power2[place]},
        )

    def changing(self) -> list[Tensor]:
        return [*self.means, *self.squares, self.power1, self.power2]


_FUSED: dict[OptimizerKind, type[FusedSGD] | type[FusedAdam]] = {
    "sgd": FusedSGD,
    "sgd_ema": FusedSGD,
    "adam": FusedAdam,
    "adamw": FusedAdam,
}


def update_rule(spec: OptimizerSpec) -> tuple[object, ...]:
    """What of an optimizer K trials must share to be updated at once: which operations it has."""
    return _FUSED[spec.kind].__name__, spec.weight_decay > 0


class MixedOptimizer:
    """Several update rules, each for the trials that have it, which stand beside each other."""

    def __init__(self, specs: Sequence[OptimizerSpec], parameters: Sequence[Tensor]) -> None:
        self._parts: list[tuple[int, int, FusedOptimizer]] = []
        start = 0
        for _, group in itertools.groupby(specs, update_rule):
            own = list(group)
            stop = start + len(own)
            views = [p.detach()[start:stop] for p in parameters]
            self._parts.append((start, stop, _FUSED[own[0].kind](own, views)))
            start = stop

    def step(self, parameters: Sequence[Tensor], grads: Sequence[Tensor], rates: Tensor) -> None:
        for start, stop, optimizer in self._parts:
            optimizer.step(
                [p.detach()[start:stop] for p in parameters],
                [g[start:stop] for g in grads],
                rates[start:stop],
            )

    def keep(self, kept: Tensor) -> None:
        places, parts, begin = kept.tolist(), [], 0
        assert places == sorted(places), places
        for start, stop, optimizer in self._parts:
            own = [place - start for place in places if start <= place < stop]
            if own:
                optimizer.keep(torch.tensor(own, dtype=torch.int64, device=kept.device))
                parts.append((begin, begin + len(own), optimizer))
                begin += len(own)
        self._parts = parts

    def memory(self, place: int) -> Memory:
        ((start, optimizer),) = [
            (start, optimizer) for start, stop, optimizer in self._parts if start <= place < stop
        ]
        return optimizer.memory(place - start)

    def changing(self) -> list[Tensor]:
        return [tensor for _, _, optimizer in self._parts for tensor in optimizer.changing()]


def fused_optimizer(specs: Sequence[OptimizerSpec], parameters: Sequence[Tensor]) -> FusedOptimizer:
    """The optimizer of K trials, in which those of one `update_rule` stand beside each other.

    Args:
        specs: one per trial.
        parameters: [K, ...] each.
    """
    if len({update_rule(spec) for spec in specs}) == 1:
        return _FUSED[specs[0].kind](specs, parameters)
    return MixedOptimizer(specs, parameters)


class PlainOptimizer:
    """torch.optim's optimizer of one model, with the learning rate set before each step."""

    def __init__(self, spec: OptimizerSpec, parameters: Iterable[nn.Parameter]) -> None:
        self.factor = 1.0
        self.optimizer: torch.optim.Optimizer
        if spec.kind in ("adam", "adamw"):
            kind = torch.optim.AdamW if spec.kind == "adamw" else torch.optim.Adam
            self.optimizer = kind(
                parameters,
                betas=(spec.beta1, spec.beta2),
                eps=spec.epsilon,
                weight_decay=spec.weight_decay,
            )
            return
        if spec.kind == "sgd_ema":  # see FusedSGD
            self.factor = 1 - spec.momentum
        self.optimizer = torch.optim.SGD(
            parameters,
            momentum=spec.momentum,
            weight_decay=spec.weight_decay,
            # torch refuses to look ahead without momentum, which is plain SGD.
            nesterov=spec.nesterov and spec.momentum > 0,
        )

    def step(self, loss: Tensor, rate: float) -> None:
        """One step down the gradient of a loss at a learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.factor
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def _per_trial(values: Sequence[float], device: torch.device) -> Tensor:
    """Float64 [K]."""
    return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(device)
