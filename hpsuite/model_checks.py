"""Whether a setup's models can be built, and take its data: tried before anything is trained."""

import numpy as np
import torch
from torch import nn

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
    """A model, once it was built and run on two rows of the data.

    Raises:
        UserError: a model that cannot be built, that does not take these inputs, or whose outputs
            are not one for each class.
    """
    try:
        model = build_model(spec, data, seed=0, number=0)
    except ValueError as error:
        raise under("model", error) from error
    except (TypeError, RuntimeError, MemoryError) as error:
        raise UserError(
            f"model: {spec.target} cannot be built ({one_line(error)}); "
            "accepted: other arguments, or another model"
        ) from error
    if not isinstance(model, nn.Module):
        raise refuse("model._target_", spec.target, "what returns a torch.nn.Module")
    rows = data.x_train[:2].astype(np.float64) * data.multiplier + data.offset
    x = torch.tensor(rows, dtype=torch.float32)
    try:
        with torch.no_grad():
            y = model.eval()(x)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise UserError(
            f"model: {spec.target} cannot take the data's inputs of shape {list(x.shape[1:])} "
            f"({one_line(error)}); accepted: another model or dataset"
        ) from error
    if tuple(y.shape) != (2, data.n_classes):
        found = f"outputs of shape {list(y.shape[1:])}"
        raise UserError(f"model: found {found}; accepted: [{data.n_classes}], one a class")
    return model
