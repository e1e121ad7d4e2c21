"""Whether a setup's models can be built, and take its data: tried before anything is trained."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpsuite.checks import UserError, one_line, refuse, under
from hpsuite.config import Setup
from hpsuite.datasets import Data
from hpsuite.training.loop import build_model
from hpsuite.trials import ModelSpec, TrialSpec


def examples(setup: Setup, data: Data) -> list[TrialSpec]:
    """Trials at one end of all ranges, and with each hyperparameter in turn at another."""
    first = {h.name: h.ends()[0] for h in setup.space.hyperparameters}
    others = [(h.name, end) for h in setup.space.hyperparameters for end in h.ends()[1:]]
    cells = [first, *({**first, name: end} for name, end in others)]
    specs = [
        setup.spec(cell, study="", number=0, seed=0, dataset=data.fingerprint) for cell in cells
    ]
    return list({spec.model: spec for spec in specs}.values())


def checked_model(spec: ModelSpec, data: Data) -> nn.Module:
    """A model, once it was built, run and trained for a step on two rows of the data.

    Raises:
        UserError: a model that cannot be built, that does not take these inputs, whose outputs
            are not one for each class, or that cannot be trained.
    """
    try:
        model = build_model(spec, data, seed=0, number=0)
    except ValueError as error:
        raise under("model", error) from error
    except Exception as error:  # a user's code may fail in any way
        raise UserError(
            f"model: {spec.target} cannot be built ({one_line(error)}); "
            "accepted: other arguments, or another model"
        ) from error
    if not isinstance(model, nn.Module):
        raise refuse("model._target_", spec.target, "what returns a torch.nn.Module")
    if not any(p.requires_grad for p in model.parameters()):
        raise refuse("model._target_", spec.target, "a model that has parameters to train")
    x = _rows(data, 2)
    try:
        with torch.no_grad():
            y = model.eval()(x)
    except Exception as error:
        raise UserError(
            f"model: {spec.target} cannot take the data's inputs of shape {list(x.shape[1:])} "
            f"({one_line(error)}); accepted: another model or dataset"
        ) from error
    _check_outputs(y, len(x), data.n_classes)
    try:
        _step(model, x, data.n_classes)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"model: {spec.target} cannot be trained ({one_line(error)}); "
            "accepted: a model whose outputs have gradients"
        ) from error
    return model


def check_single_rows(model: nn.Module, data: Data, key: str) -> None:
    """Whether a model can be trained in mini-batches of one row.

    Batch norm needs two values of each unit or channel, which an image may have by itself.

    Args:
        model: one that `checked_model` has passed.
        data: what it takes.
        key: the config key of the batch size, for messages.

    Raises:
        UserError: a model that cannot.
    """
    try:
        _step(model, _rows(data, 1), data.n_classes)
    except Exception as error:
        has_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
        reason = "batch norm needs a variance" if has_norm else one_line(error)
        raise refuse(key, 1, f"2 or more, as {reason}") from error


def _rows(data: Data, n: int) -> Tensor:
    """The first rows of the training set, as they enter a network."""
    rows = data.x_train[:n].astype(np.float64) * data.multiplier + data.offset
    return torch.tensor(rows, dtype=torch.float32)


def _step(model: nn.Module, x: Tensor, n_classes: int) -> None:
    """Gradients of one mini-batch, with torch's random stream put back after."""
    with torch.random.fork_rng(devices=[]):
        y = model.train()(x)
        _check_outputs(y, len(x), n_classes)
        F.cross_entropy(y, torch.arange(len(x)) % n_classes).backward()


def _check_outputs(y: object, n_rows: int, n_classes: int) -> None:
    if not isinstance(y, Tensor):
        found = f"outputs of type {type(y).__name__}"
    elif y.shape[:1] != (n_rows,):
        found = f"outputs of shape {list(y.shape)} for {n_rows} rows"
    elif y.shape[1:] != (n_classes,):
        found = f"outputs of shape {list(y.shape[1:])}"
    else:
        return
    raise UserError(f"model: found {found}; accepted: [{n_classes}], one a class")
