"""Taking models apart, and making sure that nothing was missed."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hpsuite.training.fused_models import FusedModels
from hpsuite.training.layers import NotFusable
from hpsuite.training.loop import DTYPES, build_model
from hpsuite.training.reading import Reading, describe
from hpsuite.training.resident import Resident
from hpsuite.training.steps import Shape, is_layer
from hpsuite.training.tracing import is_chain
from hpsuite.trials import TrialSpec


def read(model: nn.Module, input_shape: Shape) -> Reading:
    """Take a model apart.

    Args:
        model: as its builder gives it.
        input_shape: the shape of one input.

    Raises:
        NotFusable: naming the layer, or the way of joining layers, that only the plain trainer
            knows.
    """
    reading = describe(model, input_shape)
    if not is_chain(model):
        _check(model, reading, input_shape)
    return reading


def pays(model: nn.Module, device: torch.device) -> bool:
    """Whether models are faster fused than one by one: a function of the model and the device.

    On a CPU, convolutions one by one in channels_last are faster than any fused form that was
    tried (docs/fused-training.md).
    """
    return device.type != "cpu" or not any(isinstance(m, _ConvNd) for m in model.modules())


def build_all(
    specs: Sequence[TrialSpec], resident: Resident, *, where_it_pays: bool = False
) -> list[Reading]:
    """The models of trials with their initial weights, taken apart by layer.

    Args:
        specs: the trials.
        resident: their data.
        where_it_pays: whether to refuse models that are faster one by one.

    Raises:
        NotFusable: naming the layer that only the plain trainer knows.
    """
    readings = []
    for spec in specs:
        model = build_model(spec.model, resident.data, seed=spec.seed, number=spec.stream)
        if where_it_pays and not pays(model, resident.device):
            raise NotFusable(f"{type(model).__name__} that pays")
        readings.append(read(model, resident.data.input_shape))
        model.to(resident.device, DTYPES[spec.numerics.dtype])
    return readings


_checked: set[tuple[object, ...]] = set()


def _check(model: nn.Module, reading: Reading, input_shape: Shape) -> None:
    """Whether the steps that were found add up to what a user's module computes.

    A forward may do what symbols do not show, such as choosing by a number of axes, or stopping
    gradients. So each kind of module, with what it was given, is tried once on random rows, in
    training and in evaluation.

    Raises:
        NotFusable: one whose steps give something else.
    """
    key = (type(model), reading.signature, _settings(model))
    if key in _checked:
        return
    refused = NotFusable(f"{type(model).__name__}, whose layers do not tell all that it does")
    try:
        copied = copy.deepcopy(model).double().cpu()
    except Exception as error:
        raise refused from error
    for layer in copied.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    again = describe(copied, input_shape)
    fused = FusedModels([again], input_shape, torch.zeros(1, dtype=torch.int32))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, *input_shape, generator=generator, dtype=torch.float64)
    for training in (False, True):
        expected = copied.train(training)(x.clone())
        found = fused.forward(x.flatten(1).T[None], training=training)[0].T
        if expected.shape != found.shape or not _close(found, expected):
            raise refused
    if not (found.requires_grad and expected.requires_grad):
        raise refused
    theirs = [
        p
        for step in again.steps
        if step.module is not None
        for p in step.module.parameters(recurse=False)
        if p.requires_grad
    ]
    weights = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    ours: Sequence[Tensor | None] = torch.autograd.grad(
        (found * weights).sum(), fused.parameters(), allow_unused=True
    )
    wanted: Sequence[Tensor | None] = torch.autograd.grad(
        (expected * weights).sum(), theirs, allow_unused=True
    )
    for mine, own in zip(ours, wanted, strict=True):
        if mine is None or own is None or not _close(mine.view(own.shape), own):
            raise refused
    _checked.add(key)


def _settings(model: nn.Module) -> tuple[tuple[str, str, str], ...]:
    """What a user's modules hold beside weights and layers: their forward may go by it."""
    kinds = (bool, int, float, str, tuple, list, dict)
    of_all = vars(nn.Module())
    return tuple(
        (name, key, repr(value))
        for name, module in model.named_modules()
        if not is_layer(module)
        for key, value in vars(module).items()
        if key not in of_all and isinstance(value, kinds)
    )


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-9)
