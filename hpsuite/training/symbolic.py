"""A module that is more than a chain of layers, run once with symbols in place of tensors.

Shapes are those of a row, without the axis of rows (see steps.py).
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.training.layers import NotFusable
from hpsuite.training.steps import (
    TRIED_ROWS,
    Shape,
    Step,
    Trying,
    dropout_places,
    is_layer,
    named,
)

# What len() of a tensor is while a module is traced: no number that a network would hold.
LEN = 1_000_003


class _RowsProxy(torch.fx.Proxy):
    def __len__(self) -> int:
        return LEN


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_layer(m)

    def proxy(self, node: torch.fx.Node) -> torch.fx.Proxy:
        return _RowsProxy(node, self)


class _Run(torch.fx.Interpreter):
    """Runs a traced model, and remembers what each node gave."""

    def __init__(self, model: nn.Module, graph: torch.fx.Graph) -> None:
        super().__init__(model, garbage_collect_values=False, graph=graph)
        self.values: dict[torch.fx.Node, object] = {}
        self.n_rows = 0

    def fetch_args_kwargs_from_env(
        self, n: torch.fx.Node
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        args, kwargs = super().fetch_args_kwargs_from_env(n)

        def counted(value: Any) -> Any:
            is_len = isinstance(value, int) and value == LEN
            return self.n_rows if is_len else value

        found: Any = torch.fx.node.map_aggregate((args, kwargs), counted)
        return found[0], found[1]

    def run_node(self, n: torch.fx.Node) -> object:
        value = super().run_node(n)
        self.values[n] = value
        return value


class Traced:
    """A module that is more than a chain of layers."""

    def __init__(self, model: nn.Module, input_shape: Shape) -> None:
        """Trace and try it.

        Raises:
            NotFusable: a module whose forward depends on more than shapes.
        """
        self.model, self.input_shape = model, input_shape
        name = type(model).__name__
        modes = [(m, m.training) for m in model.modules()]
        try:
            graphs = []
            for training in (True, False):
                model.train(training)
                graphs.append(_Tracer().trace(model))
        except Exception as error:  # a user's code may fail in any way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise NotFusable(f"{name}, which cannot be traced ({reason})") from error
        finally:
            for module, was in modes:
                module.training = was
        self.graph, other = graphs
        if _written(self.graph) != _written(other):
            raise NotFusable(f"{name}, which does other things in training than in evaluation")
        self.shapes: dict[torch.fx.Node, Shape] = {}
        first, second = (self._run(n) for n in TRIED_ROWS)
        # Sizes: they go into a view's arguments, and are seen in what that gives.
        self.numbers = {n for n in self.graph.nodes if isinstance(first[n], int | torch.Size)}
        for node in self.graph.nodes:
            tensors = (first[node], second[node])
            if all(isinstance(t, Tensor) and t.dim() > 0 for t in tensors):
                a, b = (tuple(t.shape) for t in tensors)  # type: ignore[attr-defined]
                if (a[0], b[0]) == TRIED_ROWS and a[1:] == b[1:]:
                    self.shapes[node] = a[1:]

    def _run(self, n_rows: int) -> dict[torch.fx.Node, object]:
        with Trying(self.model) as rows:
            run = _Run(self.model, self.graph)
            run.n_rows = n_rows
            try:
                run.run(rows(self.input_shape, n_rows))
            except Exception as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                name = type(self.model).__name__
                raise NotFusable(f"{name}, which cannot be traced ({reason})") from error
        return run.values

    def steps(self) -> list[Step]:
        """Its steps in order.

        Raises:
            NotFusable: naming what stands in the way.
        """
        self._places = dropout_places(self.model)
        self._index: dict[torch.fx.Node, int] = {}
        self._steps: list[Step] = []
        needed = self._needed()
        for node in self.graph.nodes:
            if node not in needed:
                continue
            if node.op == "placeholder":
                if self._index or node.args:
                    raise NotFusable(f"{type(self.model).__name__} of several inputs")
                self._index[node] = 0
            elif node.op == "get_attr":
                raise NotFusable(f"{node.target}, a tensor used outside of torch's own layers")
            elif node.op == "call_module":
                module = self.model.get_submodule(str(node.target))
                self._layer(node, module, in_place=getattr(module, "inplace", False))
            elif node.op == "output":
                self._output(node)
            elif not self._joins(node):
                raise NotFusable(f"{_function_name(node)}()")
        return self._steps

    def _needed(self) -> set[torch.fx.Node]:
        """The inputs, and all that the output comes from: the rest is computed in vain."""
        needed = {node for node in self.graph.nodes if node.op in ("placeholder", "output")}
        for node in reversed(self.graph.nodes):
            if node in needed:
                needed.update(node.all_input_nodes)
        return needed

    def _output(self, node: torch.fx.Node) -> None:
        (value,) = node.args
        if not isinstance(value, torch.fx.Node) or value not in self._index:
            raise NotFusable(f"{type(self.model).__name__}, whose output is no tensor")
        if self._index[value] != len(self._steps) or not self._steps:
            raise NotFusable(f"{type(self.model).__name__}, whose output is not its last value")

    def _add(self, node: torch.fx.Node, step: Step) -> None:
        self._steps.append(step)
        self._index[node] = len(self._steps)

    def _input(self, node: torch.fx.Node, value: object) -> tuple[int, Shape]:
        if not isinstance(value, torch.fx.Node) or value not in self._index:
            raise NotFusable(f"{_function_name(node)}() of what is not one value a row")
        if value not in self.shapes or node not in self.shapes:
            raise NotFusable(f"{_function_name(node)}(), which mixes rows")
        return self._index[value], self.shapes[value]

    def _layer(self, node: torch.fx.Node, module: nn.Module, *, in_place: bool) -> None:
        value = node.args[0] if node.args else None
        if len(node.args) != 1 or (node.op == "call_module" and node.kwargs):
            raise NotFusable(f"{named(module)} of several arguments")
        self._only_user(node, value, in_place=in_place)
        index, shape = self._input(node, value)
        place = self._places.get(id(module), 0)
        self._add(node, Step("module", (index,), self.shapes[node], (shape,), module, place))

    def _only_user(self, node: torch.fx.Node, value: object, *, in_place: bool) -> None:
        if in_place and isinstance(value, torch.fx.Node) and len(value.users) > 1:
            raise NotFusable(f"{_function_name(node)}, in place, of a value that is used twice")

    def _joins(self, node: torch.fx.Node) -> bool:
        """Take in a function or method; whether it is known."""
        target = node.target
        if node in self.numbers:
            return True
        if target is operator.getitem:
            return self._item(node)
        if target in _AS_LAYERS:
            self._as_layer(node)
        elif target in _ARITHMETIC:
            self._arithmetic(node, *_ARITHMETIC[target])
        elif target in _RESHAPES:
            index, shape = self._input(node, node.args[0])
            if math.prod(shape) != math.prod(self.shapes[node]):
                raise NotFusable(f"{_function_name(node)}(), which mixes rows")
            self._add(node, Step("reshape", (index,), self.shapes[node], (shape,)))
        elif target in _MEANS:
            self._mean(node)
        elif target in _CATS:
            self._cat(node)
        else:
            return target in _CHUNKS
        return True

    def _as_layer(self, node: torch.fx.Node) -> None:
        """A function that is a layer without weights."""
        kwargs = {k: v for k, v in node.kwargs.items() if k != "inplace"}
        in_place = bool(node.kwargs.get("inplace")) or _function_name(node).endswith("_")
        try:
            module = _AS_LAYERS[node.target](*node.args[1:], **kwargs)
        except Exception as error:
            raise NotFusable(f"{_function_name(node)}() with such arguments") from error
        self._only_user(node, node.args[0], in_place=in_place)
        index, shape = self._input(node, node.args[0])
        self._add(node, Step("module", (index,), self.shapes[node], (shape,), module))

    def _cat(self, node: torch.fx.Node) -> None:
        values = node.args[0]
        assert isinstance(values, Sequence)
        inputs = [self._input(node, value) for value in values]
        if _axis(node, len(inputs[0][1])) != 1:
            raise NotFusable("cat() along another axis than the first of a row's")
        indices, shapes = zip(*inputs, strict=True)
        self._add(node, Step("cat", indices, self.shapes[node], shapes))

    def _arithmetic(self, node: torch.fx.Node, name: str, in_place: bool) -> None:
        numbers: list[object] = []
        inputs = []
        if len(node.args) != 2 or node.kwargs:
            raise NotFusable(f"{_function_name(node)}() with such arguments")
        self._only_user(node, node.args[0], in_place=in_place)
        for value in node.args:
            is_number = isinstance(value, int | float) and value != LEN
            numbers.append(value if is_number else None)
            if not is_number:
                inputs.append(self._input(node, value))
        indices, shapes = zip(*inputs, strict=True)
        if set(shapes) != {self.shapes[node]}:
            raise NotFusable(f"{_function_name(node)}() of shapes {shapes}")
        self._add(node, Step(name, indices, self.shapes[node], shapes, None, 0, tuple(numbers)))

    def _mean(self, node: torch.fx.Node) -> None:
        """The mean over all places of an image."""
        index, shape = self._input(node, node.args[0])
        dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        given = (dims,) if isinstance(dims, int) else dims
        n = len(shape) + 1
        if not isinstance(given, Sequence) or {d % n for d in given} != set(range(2, n)):  # type: ignore[operator]
            raise NotFusable("mean() over anything but all places of an image")
        self._add(node, Step("mean", (index,), self.shapes[node], (shape,)))

    def _item(self, node: torch.fx.Node) -> bool:
        source, which = node.args
        if not isinstance(source, torch.fx.Node):
            return False
        if source.target not in _CHUNKS or not isinstance(which, int):
            return False
        index, shape = self._input(node, source.args[0])
        n = source.args[1] if len(source.args) > 1 else source.kwargs.get("chunks")
        if _axis(source, len(shape), 2) != 1 or not isinstance(n, int):
            raise NotFusable("chunk() along another axis than the first of a row's")
        self._add(node, Step("chunk", (index,), self.shapes[node], (shape,), None, 0, (n, which)))
        return True


def _axis(node: torch.fx.Node, n_dims: int, place: int = 1) -> int:
    """The axis that a function works along, counted with that of rows."""
    axis = node.args[place] if len(node.args) > place else node.kwargs.get("dim", 0)
    return axis % (n_dims + 1) if isinstance(axis, int) else -1


def _function_name(node: torch.fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _written(graph: torch.fx.Graph) -> list[str]:
    return [node.format_node() or "" for node in graph.nodes]


_AS_LAYERS: dict[object, Callable[..., nn.Module]] = {
    **dict.fromkeys((torch.relu, F.relu, F.relu_, torch.relu_, "relu", "relu_"), nn.ReLU),
    **dict.fromkeys((torch.sigmoid, F.sigmoid, "sigmoid", "sigmoid_"), nn.Sigmoid),
    **dict.fromkeys((torch.tanh, F.tanh, "tanh", "tanh_"), nn.Tanh),
    F.leaky_relu: nn.LeakyReLU,
    F.elu: nn.ELU,
    F.gelu: nn.GELU,
    F.silu: nn.SiLU,
    F.selu: nn.SELU,
    F.mish: nn.Mish,
    F.hardswish: nn.Hardswish,
    F.relu6: nn.ReLU6,
    F.max_pool1d: nn.MaxPool1d,
    F.max_pool2d: nn.MaxPool2d,
    F.avg_pool1d: nn.AvgPool1d,
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}
_ARITHMETIC: dict[object, tuple[str, bool]] = {
    **dict.fromkeys((operator.add, torch.add, "add"), ("add", False)),
    **dict.fromkeys((operator.iadd, "add_"), ("add", True)),
    **dict.fromkeys((operator.sub, torch.sub, "sub"), ("sub", False)),
    **dict.fromkeys((operator.mul, torch.mul, "mul"), ("mul", False)),
    **dict.fromkeys((operator.imul, "mul_"), ("mul", True)),
    **dict.fromkeys((operator.truediv, torch.div, "div"), ("truediv", False)),
}
_RESHAPES: tuple[object, ...] = (
    *("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze", "contiguous"),
    *(torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze),
)
_MEANS = (torch.mean, "mean")
_CATS = (torch.cat, torch.concat)
_CHUNKS = ("chunk", torch.chunk)
