"""What both trainers do alike: count steps, cut epochs into mini-batches, build models, score.

Shapes: N rows.
"""

import inspect
import math
import pkgutil
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from hpsuite.datasets import Data
from hpsuite.training.probe import Course
from hpsuite.training.streams import weight_generator
from hpsuite.trials import ModelSpec, Numerics, TrialResult, TrialSpec

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# Rows scored at once. A constant, so that a trial's scores cannot depend on its mates.
EVALUATION_ROWS = 1024


def minibatches(n_rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each mini-batch of an epoch starts and stops.

    The last partial one is kept, unless it would be a single row, of which batch norm knows no
    variance: that row sits out the epoch, with and without batch norm, so that both stay paired.
    """
    starts = range(0, n_rows, batch_size)
    parts = [(start, min(start + batch_size, n_rows)) for start in starts]
    if len(parts) > 1 and batch_size > 1 and parts[-1][1] - parts[-1][0] == 1:
        parts.pop()
    return parts


def count_steps(spec: TrialSpec, n_rows: int) -> tuple[int, int]:
    """(total gradient steps, steps per epoch) of a trial on n_rows of training data."""
    per_epoch = len(minibatches(n_rows, spec.batch_size))
    total = spec.steps if spec.steps is not None else (spec.epochs or 0) * per_epoch
    return total, per_epoch


def count_sizes(total: int, n_rows: int, batch_size: int) -> Counter[int]:
    """How many of the first `total` gradient steps have so many rows."""
    sizes = [stop - start for start, stop in minibatches(n_rows, batch_size)]
    epochs, rest = divmod(total, len(sizes))
    return Counter({size: n * epochs for size, n in Counter(sizes).items()}) + Counter(sizes[:rest])


def builder(spec: ModelSpec) -> Callable[..., nn.Module]:
    """The function or class that builds a model."""
    function: Callable[..., nn.Module] = pkgutil.resolve_name(_with_colon(spec.target))
    return function


def build_model(spec: ModelSpec, data: Data, *, seed: int, number: int) -> nn.Module:
    """A trial's model with its initial weights, on the CPU in float32 or torch's default type."""
    build = builder(spec)
    generator = weight_generator(seed, number)
    arguments: dict[str, object] = dict(spec.arguments)
    if "generator" in inspect.signature(build).parameters:
        arguments["generator"] = generator
    # A module that draws from torch's global stream, perhaps beside the generator, gets that
    # stream set, and put back after.
    with torch.random.fork_rng(devices=[]):
        # Of the CPU alone: `torch.manual_seed` also keeps, for ever, a call for each device.
        torch.default_generator.manual_seed(generator.initial_seed())
        model = build(data.input_shape, data.n_classes, **arguments)
        _settle(model, data.input_shape)
    return model


def _settle(model: object, input_shape: tuple[int, ...]) -> None:
    """Let lazy layers see an input, from which they take their shapes, and draw their weights."""
    if isinstance(model, nn.Module) and any(is_lazy(p) for p in model.parameters()):
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape))
        model.train()


def finite_result(
    spec: TrialSpec,
    *,
    test_accuracy: float,
    val_curve: Sequence[float],
    loss_curve: Sequence[float],
    steps: int,
    seconds: float,
    initial_loss: float,
    val_loss: float,
    probe: Course | None = None,
) -> TrialResult:
    """The result of a trial that trained to the end."""
    return TrialResult(
        study=spec.study,
        number=spec.number,
        outcome="finite",
        val_accuracy=val_curve[-1],
        test_accuracy=test_accuracy,
        val_curve=tuple(val_curve),
        loss_curve=tuple(loss_curve),
        steps=steps,
        seconds=seconds,
        initial_loss=_finite(initial_loss),
        val_loss=_finite(val_loss),
        probe=probe,
    )


def nonfinite_result(
    spec: TrialSpec,
    data: Data,
    *,
    val_curve: Sequence[float],
    loss_curve: Sequence[float],
    steps: int,
    seconds: float,
    initial_loss: float,
    probe: Course | None = None,
) -> TrialResult:
    """The result of a trial whose loss stopped being a finite number: the chance score."""
    return TrialResult(
        study=spec.study,
        number=spec.number,
        outcome="nonfinite",
        val_accuracy=data.majority_share("val"),
        test_accuracy=data.majority_share("test"),
        val_curve=tuple(val_curve),
        loss_curve=tuple(loss for loss in loss_curve if math.isfinite(loss)),
        steps=steps,
        seconds=seconds,
        initial_loss=_finite(initial_loss),
        probe=probe,
    )


def failed_result(spec: TrialSpec, data: Data, reason: str) -> TrialResult:
    """The result of a trial that could not be trained: the chance score."""
    return TrialResult(
        study=spec.study,
        number=spec.number,
        outcome="failed",
        val_accuracy=data.majority_share("val"),
        test_accuracy=data.majority_share("test"),
        val_curve=(),
        loss_curve=(),
        steps=0,
        seconds=0.0,
        reason=reason,
    )


def pruned_result(
    spec: TrialSpec,
    data: Data,
    *,
    val_curve: Sequence[float],
    loss_curve: Sequence[float],
    steps: int,
    seconds: float,
    initial_loss: float | None,
    probe: Course | None = None,
) -> TrialResult:
    """The result of a trial that was stopped before its last epoch."""
    return TrialResult(
        study=spec.study,
        number=spec.number,
        outcome="pruned",
        val_accuracy=val_curve[-1],
        test_accuracy=data.majority_share("test"),
        val_curve=tuple(val_curve),
        loss_curve=tuple(loss_curve),
        steps=steps,
        seconds=seconds,
        initial_loss=None if initial_loss is None else _finite(initial_loss),
        probe=probe,
    )


# Whether a study before this one asked for it.
_deterministic: list[bool] = []


def _finite(loss: float) -> float | None:
    """A loss as a record can hold it."""
    return loss if math.isfinite(loss) else None


def set_numerics(numerics: Numerics) -> None:
    """Apply a study's numerics to this process."""
    torch.backends.cuda.matmul.allow_tf32 = numerics.tf32
    torch.backends.cudnn.allow_tf32 = numerics.tf32
    # Sums of bfloat16 products are float32 to their ends (`numerics.autocast`).
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    # Its fastest convolutions may add up in another order in each run.
    torch.backends.cudnn.deterministic = True
    if torch.cuda.is_available() and (numerics.deterministic or _deterministic):
        # Where torch has none, it warns: it names some that are, as losses that are not summed up.
        torch.use_deterministic_algorithms(numerics.deterministic, warn_only=True)
        _deterministic[:] = [True] if numerics.deterministic else []


def _with_colon(target: str) -> str:
    """`package.module.name` as pkgutil wants it: `package.module:name`."""
    module, _, name = target.rpartition(".")
    return f"{module}:{name}"
