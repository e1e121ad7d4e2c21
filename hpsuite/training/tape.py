"""A step's operations on a CPU, taped once and played again into memory that is planned.

A step of small networks costs as much for what surrounds its operations as for them: autograd
builds a graph and walks it, each operation takes fresh memory, which a core's caches do not hold,
and the same views and constants are made anew. A tape has the operations alone. It is one run of
the step, forward, backward and update, as torch hands it to its kernels, whose order and operands
it keeps. Playing it calls the same kernels, so that values are the same to the bit:

- views are made once, and what depends on nothing that changes is not computed again;
- each result goes into a place of its own, which others take over when it is not needed any more
  (linear-scan allocation of Poletto and Sarkar 1999, with the place that was let go last first, as
  caches still have that); of one value per operand, an operation writes over its own operand;
- nothing is asked of autograd.

What it needs is what a CUDA graph needs: a step reads nothing but tensors that stay where they
are, and no number of Python's; what torch's kernels do not see, as `tolist`, `numpy` or a new
`data`, it must not do. Whoever uses it compares the first time it is played with the step itself
(`graphs.RecordedSteps`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from hpsuite.training.kernels import Call, Operand, call_of, traits

# What a step may make, in bytes, to be taped: all of that is held meanwhile. Larger networks are
# products for the most part, of which a tape saves nothing.
MOST_BYTES = 128 << 20
# Indices of these types are masks.
_MASKS = (torch.bool, torch.uint8)


@dataclass
class _Operation:
    """One operation, as torch was asked for it.

    Attributes:
        kernel: what was asked for.
        arguments, keywords: of it.
        results: the tensors it returned.
        reads, writes: memory by its key; an operation that fills fresh memory writes it.
        fresh: of `writes`, what did not exist before.
    """

    kernel: OpOverload
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    results: list[Tensor]
    reads: set[int] = field(default_factory=set)
    writes: set[int] = field(default_factory=set)
    fresh: set[int] = field(default_factory=set)


class NotWorthIt(RuntimeError):
    """A tape that would take more memory than it is worth."""


class _Taping(TorchDispatchMode):
    """Writes down what torch does meanwhile, and holds on to all that it made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[_Operation] = []
        self._bytes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled meanwhile; otherwise torch loads its compiler first, for a second."""
        return False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        _refuse(func, args)
        results = func(*args, **keywords)
        tensors = _tensors(results)
        self.operations.append(_Operation(func, tuple(args), keywords, tensors))
        operands = {_key(t) for t in _tensors([*args, *keywords.values()])}
        for tensor in tensors:
            if _key(tensor) not in operands:
                self._bytes += tensor.untyped_storage().nbytes()
        if self._bytes > MOST_BYTES:
            raise NotWorthIt(f"a step makes more than {MOST_BYTES >> 20} MB")
        return results


def _refuse(kernel: OpOverload, arguments: Sequence[Any]) -> None:
    """Raise where an operation cannot be played again.

    Raises:
        RuntimeError: it gives a number to Python, draws random numbers, finds as many values as
            its operand has of a kind, or changes its operand's shape.
    """
    known = traits(kernel)
    refused = known.refused
    if known.indices and any(t.dtype in _MASKS for t in _tensors(arguments[1])):
        refused = "has as many results as a mask has values"
    if refused is not None:
        raise RuntimeError(f"{kernel} {refused}")


def _tensors(values: object) -> list[Tensor]:
    """Those of an argument, as torch's kernels take them: alone or in lists."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, list | tuple):
        return [t for value in values for t in _tensors(value)]
    return []


def _key(tensor: Tensor) -> int:
    """Of a tensor's memory; the same as long as that is held."""
    return int(tensor.untyped_storage()._cdata)


def tape(body: Callable[[], None], varying: Iterable[Tensor]) -> Callable[[], None]:
    """Run a function once, and return what does the same again.

    Args:
        body: what only works on tensors that stay where they are.
        varying: tensors whose values change between one playing and the next, by `body` or by
            others. All others that it reads are taken for constants.

    Raises:
        RuntimeError: it does what cannot be played again; half of it may be done.
        NotWorthIt: it makes more than `MOST_BYTES`; likewise.
    """
    taping = _Taping()
    with taping:
        body()
    operations = taping.operations
    _see_memory(operations)
    constant = _constants(operations, {_key(t) for t in varying})
    calls = _Plan(_needed(operations, constant), constant).calls()

    def play() -> None:
        with torch.inference_mode():
            for function, arguments, keywords in calls:
                function(*arguments, **keywords)

    return play


def _see_memory(operations: Sequence[_Operation]) -> None:
    """Find what each operation reads and writes."""
    known: set[int] = set()
    for op in operations:
        for operand in traits(op.kernel).operands:
            keys = {_key(t) for t in _tensors(_value(op, operand))}
            if operand.is_written:
                op.writes |= keys
            if operand.is_read:
                op.reads |= keys
            known |= keys
        op.fresh = {_key(t) for t in op.results} - known
        op.writes |= op.fresh
        known |= op.fresh


def _value(op: _Operation, operand: Operand) -> object:
    if operand.place is not None and operand.place < len(op.arguments):
        return op.arguments[operand.place]
    return op.keywords.get(operand.name)


def _constants(operations: Sequence[_Operation], varying: set[int]) -> set[int]:
    """Memory whose content is the same whenever the tape is played.

    That which nobody writes, and that which is written once, of constants alone.
    """
    writers: dict[int, int] = {}
    fresh: set[int] = set()
    for op in operations:
        fresh |= op.fresh
        for key in op.writes:
            writers[key] = writers.get(key, 0) + (not traits(op.kernel).leaves_empty)
    changing = set(varying)
    changing |= {key for key, n in writers.items() if n > 1 or key not in fresh}
    before = -1
    while before != len(changing):
        before = len(changing)
        for op in operations:
            if op.reads & changing or op.writes & changing:
                changing |= op.writes
    read = {key for op in operations for key in op.reads}
    return (read | set(writers)) - changing


def _needed(operations: Sequence[_Operation], constant: set[int]) -> list[_Operation]:
    """Those which change what was there before, or lead to it."""
    fresh = {key for op in operations for key in op.fresh}
    found: list[_Operation] = []
    wanted: set[int] = set()
    for op in reversed(operations):
        changed = op.writes - constant
        if not traits(op.kernel).leaves_empty and (changed & wanted or changed - fresh):
            found.append(op)
            wanted |= op.reads
    return found[::-1]


class _Plan:
    """Where the results of operations lie, and the calls that put them there."""

    def __init__(self, operations: Sequence[_Operation], constant: set[int]) -> None:
        self._operations = operations
        # What lies where it lay: constants, and what was there before.
        fresh = {key for op in operations for key in op.fresh}
        self._placed = fresh - constant
        self._last: dict[int, int] = {}
        for i, op in enumerate(operations):
            for key in op.reads | op.writes:
                self._last[key] = i
        self._slots: dict[int, torch.UntypedStorage] = {}
        self._free: list[torch.UntypedStorage] = []
        self._moved: dict[int, Tensor] = {}

    def calls(self) -> list[Call]:
        """In order."""
        found: list[Call] = []
        for i, op in enumerate(self._operations):
            taken_over = self._take_places(i, op)
            found.append(self._call(op))
            for key in (op.reads | op.writes) - taken_over:
                if self._last[key] == i and key in self._slots:
                    self._free.append(self._slots[key])
        return found

    def _take_places(self, i: int, op: _Operation) -> set[int]:
        """Give places to an operation's results; returns the memory whose place was taken over."""
        taken_over: set[int] = set()
        for result in op.results:
            key = _key(result)
            if key not in op.fresh or key not in self._placed or key in self._slots:
                continue
            own = self._over_operand(i, op, result)
            if own is None:
                self._slots[key] = self._place(result.untyped_storage().nbytes())
            else:
                self._slots[key] = self._slots[own]
                taken_over.add(own)
        return taken_over

    def _over_operand(self, i: int, op: _Operation, result: Tensor) -> int | None:
        """The operand that an operation may write over, as nobody needs it afterwards."""
        if not traits(op.kernel).is_pointwise or len(op.results) > 1:
            return None
        operands = _tensors([*op.arguments, *op.keywords.values()])
        for operand in operands:
            key = _key(operand)
            if (
                key in self._slots
                and self._last[key] == i
                and sum(_key(t) == key for t in operands) == 1
                and _lies_alike(operand, result)
            ):
                return key
        return None

    def _place(self, n_bytes: int) -> torch.UntypedStorage:
        """Free memory of this size, or new; what was let go last comes first."""
        for at in range(len(self._free) - 1, -1, -1):
            if self._free[at].nbytes() == n_bytes:
                return self._free.pop(at)
        return torch.empty(n_bytes, dtype=torch.uint8).untyped_storage()

    def _call(self, op: _Operation) -> Call:
        arguments = tuple(self._all_there(value) for value in op.arguments)
        keywords = {name: self._all_there(value) for name, value in op.keywords.items()}
        results = [self._there(t) for t in op.results if _key(t) in op.fresh]
        return call_of(op.kernel, arguments, keywords, results)

    def _all_there(self, value: object) -> object:
        """An argument where its tensors lie when the tape is played."""
        if isinstance(value, Tensor):
            return self._there(value)
        if isinstance(value, list | tuple):
            return [self._all_there(part) for part in value]
        return value

    def _there(self, tensor: Tensor) -> Tensor:
        """A tensor where it lies when the tape is played."""
        if id(tensor) not in self._moved:
            slot = self._slots.get(_key(tensor))
            own = tensor.detach()
            if slot is not None:
                own = torch.empty(0, dtype=tensor.dtype).set_(
                    slot, tensor.storage_offset(), tensor.size(), tensor.stride()
                )
            self._moved[id(tensor)] = own
        return self._moved[id(tensor)]


def _lies_alike(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have all of their memory, and their values at the same places of it."""
    a_lies, b_lies = (
        (t.dtype, t.size(), t.stride(), t.storage_offset(), t.untyped_storage().nbytes())
        for t in (a, b)
    )
    return a_lies == b_lies
