"""The states in which trials end, and from which others go on: taken, put back, kept.

A state is all that training changes: parameters, running statistics, what the optimizer remembers,
and how far the random streams are that are not computed from a position. It is plain tensors in
lists and dictionaries, so that a file of it can be read without running code.

A lineage says how its state came about (`trials.Lineage`), so that a state that is missing is found
by training again: no result depends on what was kept (docs/architecture.md, law 3).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from hpsuite.training.fused_models import FusedModels
from hpsuite.training.optimizers import FusedOptimizer, PlainOptimizer
from hpsuite.training.reading import BATCH_NORMS, Reading
from hpsuite.trials import Lineage, TrialSpec

State = Mapping[str, object]


class States(Protocol):
    """Where the states are in which days ended."""

    def load(self, spec: TrialSpec) -> State | None:
        """The state in which a day ended; None where it is not there."""

    def save(self, spec: TrialSpec, state: State) -> None:
        """Keep the state in which a day ended."""


class Held:
    """States in memory, over others that are slower to reach."""

    def __init__(self, below: States | None = None) -> None:
        """None yet; those that are not here are looked for below."""
        self._below = below
        self._held: dict[str, State] = {}

    def load(self, spec: TrialSpec) -> State | None:
        """The state in which a day ended; None where it is nowhere."""
        name = state_name(spec)
        if name not in self._held and self._below is not None:
            found = self._below.load(spec)
            if found is not None:
                self._held[name] = found
        return self._held.get(name)

    def save(self, spec: TrialSpec, state: State) -> None:
        """Keep the state in which a day ended, here and below."""
        self._held[state_name(spec)] = state
        if self._below is not None:
            self._below.save(spec, state)


def state_name(spec: TrialSpec) -> str:
    """The name of the state in which a day ends: 32 hexadecimal digits, from all that decides it.

    Its number does not: days of one lineage that are alike end alike.
    """
    parts = replace(spec, study="", number=spec.stream, lineage=Lineage(spec.stream, spec.before))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def start_of(spec: TrialSpec, states: States | None) -> State | None:
    """The state that a trial begins with; None for one that begins with initial weights."""
    if not spec.before:
        return None
    assert states is not None, spec
    found = states.load(spec.ancestor)
    assert found is not None, f"no state of the days before trial {spec.number} of {spec.study}"
    return found


def check_sum(value: object) -> str:
    """A hash of a state's values, 64 hexadecimal digits; of tensors by type, shape and bits."""
    digest = hashlib.sha256()

    def add(part: object) -> None:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype} {tuple(part.shape)} ".encode())
            digest.update(part.detach().cpu().contiguous().view(-1).numpy().tobytes())
        elif isinstance(part, Mapping):
            for key in sorted(part):
                digest.update(f"{key}:".encode())
                add(part[key])
        elif isinstance(part, list | tuple):
            digest.update(f"{len(part)} ".encode())
            for entry in part:
                add(entry)
        else:
            digest.update(f"{part!r} ".encode())

    add(value)
    return digest.hexdigest()


class Shapes(NamedTuple):
    """A model's own sizes, which in a program may be filled up, in the program's order."""

    parameters: Sequence[torch.Size]
    statistics: Sequence[torch.Size]

    @classmethod
    def of(cls, reading: Reading) -> "Shapes":
        """Of a model that was taken apart."""
        return cls([p.shape for p in _trained(reading)], [t.shape for t in _statistics(reading)])


def _trained(reading: Reading) -> list[nn.Parameter]:
    modules = [step.module for step in reading.steps if step.module is not None]
    return [p for m in modules for p in m.parameters(recurse=False) if p.requires_grad]


def _statistics(reading: Reading) -> list[Tensor]:
    norms = [step.module for step in reading.steps if isinstance(step.module, BATCH_NORMS)]
    found = [t for norm in norms for t in (norm.running_mean, norm.running_var)]
    assert all(isinstance(t, Tensor) for t in found)
    return [t for t in found if t is not None]


def restore_reading(reading: Reading, state: State) -> None:
    """Put a state into the layers of a model that was taken apart."""
    with torch.no_grad():
        for mine, saved in (
            *zip(_trained(reading), _tensors(state, "parameters"), strict=True),
            *zip(_statistics(reading), _tensors(state, "statistics"), strict=True),
        ):
            mine.copy_(saved)


def restore_memory(
    optimizer: FusedOptimizer, place: int, models: FusedModels, state: State
) -> None:
    """Put a state into what a program's optimizer remembers of one trial."""
    memory = optimizer.memory(place)
    with torch.no_grad():
        for name, averages in memory.averages.items():
            saved = _tensors(state, name)
            for flat, p, own in zip(averages, models.parameters(), saved, strict=True):
                part = _own(flat.view(p.shape[1:]), own.shape)
                part.copy_(own.view(part.shape))
        for name, number in memory.numbers.items():
            (own,) = _tensors(state, name)
            number.copy_(own)


def fused_state(
    models: FusedModels, optimizer: FusedOptimizer, place: int, shapes: Shapes
) -> State:
    """The state of one trial of a program.

    Args:
        models, optimizer: of the program.
        place: of the trial among those in training.
        shapes: its own.
    """
    memory = optimizer.memory(place)
    parameters = [p[place] for p in models.parameters()]
    statistics = [t[place] for t in models.statistics()]
    return {
        "parameters": _copied(parameters, shapes.parameters),
        "statistics": _copied(statistics, shapes.statistics),
        **{
            name: _copied(
                [flat.view(p.shape) for flat, p in zip(averages, parameters, strict=True)],
                shapes.parameters,
            )
            for name, averages in memory.averages.items()
        },
        **{name: [number.detach().cpu().clone()] for name, number in memory.numbers.items()},
    }


def _copied(wholes: Sequence[Tensor], shapes: Sequence[torch.Size]) -> list[Tensor]:
    return [
        _own(whole.detach(), shape).reshape(shape).cpu().clone()
        for whole, shape in zip(wholes, shapes, strict=True)
    ]


def _own(whole: Tensor, shape: Sequence[int]) -> Tensor:
    """What of a tensor is a trial's own, and not filled up."""
    for axis, n in enumerate(shape):
        whole = whole.narrow(axis, 0, n)
    return whole


def plain_state(
    model: nn.Module,
    optimizer: PlainOptimizer,
    *,
    dropout_steps: Sequence[int],
    device: torch.device,
) -> State:
    """The state of a model that trains by itself.

    Args:
        model, optimizer: of the trial.
        dropout_steps: masks that each keyed dropout layer drew.
        device: where it trains; torch's global streams there and on the CPU belong to it.
    """
    streams = [torch.get_rng_state()]
    if device.type == "cuda":
        streams.append(torch.cuda.get_rng_state(device))
    remembered = [optimizer.optimizer.state.get(p, {}) for p in model.parameters()]
    return {
        "parameters": [p.detach().cpu().clone() for p in model.parameters()],
        "buffers": [b.detach().cpu().clone() for b in model.buffers()],
        "remembered": [
            {k: v.detach().cpu().clone() for k, v in own.items() if isinstance(v, Tensor)}
            for own in remembered
        ],
        "dropout_steps": torch.tensor(dropout_steps, dtype=torch.int64),
        "streams": streams,
    }


def restore_plain(model: nn.Module, optimizer: PlainOptimizer, state: State) -> list[int]:
    """Put a state into a model that trains by itself; returns the steps of its dropout layers.

    Torch's global streams are for `restore_streams`, once nothing else is drawn from them.
    """
    remembered = state["remembered"]
    assert isinstance(remembered, list)
    with torch.no_grad():
        for name, mine in (("parameters", model.parameters()), ("buffers", model.buffers())):
            for tensor, saved in zip(mine, _tensors(state, name), strict=True):
                tensor.copy_(saved)
    for p, own in zip(model.parameters(), remembered, strict=True):
        if own:
            # In the parameter's own layout, as torch makes them.
            optimizer.optimizer.state[p] = {
                k: torch.empty_like(p, requires_grad=False).copy_(v)
                if v.shape == p.shape
                else v.clone()
                for k, v in own.items()
            }
    steps = state["dropout_steps"]
    assert isinstance(steps, Tensor)
    return [int(step) for step in steps]


def restore_streams(state: State, device: torch.device) -> None:
    """Set torch's global streams as they were."""
    of_cpu, *of_device = _tensors(state, "streams")
    torch.set_rng_state(of_cpu)
    for stream in of_device:
        torch.cuda.set_rng_state(stream, device)


def _tensors(state: State, name: str) -> list[Tensor]:
    found = state[name]
    assert isinstance(found, list), (name, found)
    return found
