"""Calls of torch's kernels that put their results into memory which is there already."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

# What is called, with which arguments and keywords.
Call = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]

# Copies, some into another type: by `Tensor.copy_`, which is the kernel behind them.
_COPIES = {"aten::clone", "aten::_to_copy"}
# Kernels whose own form with memory for the results would copy them there, by another that is
# behind them, and what that takes in addition.
_BEHIND: dict[str, tuple[Callable[..., object], tuple[Any, ...]]] = {
    "aten::relu": (torch.clamp_min, (0,)),
    "aten::div.Scalar": (torch.div, ()),
    "aten::mul.Scalar": (torch.mul, ()),
}
# What torch's own Python functions take as the kernels do. They are faster to call.
_FUNCTIONS: dict[str, Callable[..., object]] = {
    "aten::_log_softmax.out": torch._log_softmax,
    "aten::_log_softmax_backward_data.out": torch._log_softmax_backward_data,
    "aten::add.out": torch.add,
    "aten::add_.Tensor": Tensor.add_,
    "aten::addcmul.out": torch.addcmul,
    "aten::addcmul_": Tensor.addcmul_,
    "aten::bmm.out": torch.bmm,
    "aten::clamp_min.out": torch.clamp_min,
    "aten::copy_": Tensor.copy_,
    "aten::div.out": torch.div,
    "aten::div_.Tensor": Tensor.div_,
    "aten::exp.out": torch.exp,
    "aten::index_select.out": torch.index_select,
    "aten::lerp_.Tensor": Tensor.lerp_,
    "aten::mean.out": torch.mean,
    "aten::mul.out": torch.mul,
    "aten::mul_.Tensor": Tensor.mul_,
    "aten::neg.out": torch.neg,
    "aten::sqrt.out": torch.sqrt,
    "aten::sub.out": torch.sub,
    "aten::sum.IntList_out": torch.sum,
}
# Operations that change operands which their schemas do not say: their places.
_CHANGED_UNSAID = {"aten::native_batch_norm": (3, 4)}
# Memory whose content is not set yet.
_EMPTY = {"aten::empty", "aten::empty_like", "aten::new_empty", "aten::empty_strided"}
# What only takes the shape of an operand.
_SHAPED = {
    *("aten::empty_like", "aten::zeros_like", "aten::ones_like", "aten::full_like"),
    *("aten::new_empty", "aten::new_zeros", "aten::new_ones", "aten::new_full"),
}
# Of a mask, they find as many values as it has; of integers, as many as there are integers.
_INDEXED = {"aten::index", "aten::index_put", "aten::index_put_"}


class Operand(NamedTuple):
    """An argument of a kernel.

    Attributes:
        place: among the positional ones; None where it only has a name.
        name: of it.
        is_read, is_written: what the kernel does with it.
    """

    place: int | None
    name: str
    is_read: bool
    is_written: bool


class Traits(NamedTuple):
    """What is known of a kernel.

    Attributes:
        operands: arguments that are, or may hold, tensors.
        is_pointwise: whether each value of the result depends on the operands' at its place alone.
        leaves_empty: whether it takes memory and sets nothing.
        refused: why it cannot be played again; None where it can.
        indices: whether that depends on its second argument, of which masks are refused.
    """

    operands: tuple[Operand, ...]
    is_pointwise: bool
    leaves_empty: bool
    refused: str | None
    indices: bool


@functools.cache
def traits(kernel: OpOverload) -> Traits:
    """What is known of a kernel."""
    schema, tags = kernel._schema, kernel.tags
    unsaid = _CHANGED_UNSAID.get(schema.name, ())
    operands = [
        Operand(
            None if argument.kwarg_only else place,
            argument.name,
            not argument.is_out and schema.name not in _SHAPED,
            place in unsaid or (argument.alias_info is not None and argument.alias_info.is_write),
        )
        for place, argument in enumerate(schema.arguments)
        if "Tensor" in str(argument.type)
    ]
    indices = schema.name in _INDEXED
    refused: str | None = None
    if torch.Tag.data_dependent_output in tags:
        refused = "gives a number to Python"
    elif torch.Tag.nondeterministic_seeded in tags:
        refused = "draws random numbers"
    elif torch.Tag.dynamic_output_shape in tags and not indices:
        refused = "has as many results as its operand has of a kind"
    elif torch.Tag.inplace_view in tags:
        refused = "changes the shape of its operand"
    return Traits(
        tuple(operands), torch.Tag.pointwise in tags, schema.name in _EMPTY, refused, indices
    )


def call_of(
    kernel: OpOverload,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    results: Sequence[Tensor],
) -> Call:
    """The call of a kernel whose results go into these tensors; none where it changes operands.

    The same kernel runs, whichever way it is called.
    """
    named = dict(keywords)
    if not results:
        return _function(kernel), arguments, named
    if kernel._schema.name in _COPIES:
        return Tensor.copy_, (results[0], arguments[0]), {}
    behind = _BEHIND.get(_name(kernel))
    if behind is not None:
        function, added = behind
        return function, (*arguments, *added), named | {"out": results[0]}
    found = _into(kernel, len(results))
    if found is None:
        return _copied, (kernel, arguments, named, tuple(results)), {}
    into, names = found
    return _function(into), arguments, named | dict(zip(names, results, strict=True))


@functools.cache
def _function(kernel: OpOverload) -> Callable[..., object]:
    return _FUNCTIONS.get(_name(kernel), kernel._op)


@functools.cache
def _name(kernel: OpOverload) -> str:
    """`aten::name.overload`, without the dot where an overload has no name."""
    schema = kernel._schema
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else str(schema.name)


@functools.cache
def _into(kernel: OpOverload, n_results: int) -> tuple[OpOverload, tuple[str, ...]] | None:
    """The same kernel, which takes the memory for its results; and these arguments' names."""
    own = [(a.name, str(a.type)) for a in kernel._schema.arguments]
    packet = kernel.overloadpacket
    for name in packet.overloads():
        other: OpOverload = getattr(packet, name)
        taken = other._schema.arguments
        outs = [a.name for a in taken if a.is_out]
        rest = [(a.name, str(a.type)) for a in taken if not a.is_out]
        if len(outs) == n_results == len(kernel._schema.returns) and rest == own:
            return other, tuple(outs)
    return None


def _copied(
    kernel: OpOverload,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
    places: Sequence[Tensor],
) -> None:
    """Call a kernel that takes memory for its results itself, and copy them."""
    results = kernel(*arguments, **keywords)
    if isinstance(results, Tensor):
        results = (results,)
    for place, result in zip(places, (r for r in results if isinstance(r, Tensor)), strict=True):
        place.copy_(result)
