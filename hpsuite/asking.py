"""What `hpsuite.fit` is given, as the overrides that a command line would have.

So there is one way in which configurations are composed and checked, and a model, a sampler or
arrays that are passed become names and files like any other.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.overrides import as_override

Builder = Callable[..., object]
Arrays = tuple[npt.ArrayLike, npt.ArrayLike]


def ask_value(key: str, value: object) -> list[str]:
    """The override of a key; none for None."""
    return [] if value is None else [f"{key}={as_override(value)}"]


def ask_choice(group: str, chosen: str | Builder | Mapping[str, object] | None) -> list[str]:
    """Overrides that choose an option by name, or put keys and values in its place."""
    if chosen is None:
        return []
    if isinstance(chosen, str):
        return [f"{group}={chosen}"]
    if not isinstance(chosen, Mapping):
        builder, arguments = _taken_apart(group, chosen)
        chosen = {"_target_": _dotted(group, builder), **arguments}
    # Hydra merges mappings: the option that stands there must go first.
    return [f"~{group}", f"++{group}={as_override(chosen)}"]


def _taken_apart(group: str, builder: Builder) -> tuple[Builder, dict[str, object]]:
    """A function or class, and the arguments that a partial gives it."""
    if not callable(builder):
        raise refuse(
            group, f"one {type(builder).__name__}", "an option's name, or a function or class"
        )
    if isinstance(builder, functools.partial):
        if builder.args:
            raise refuse(group, builder, "a partial with arguments by name alone")
        return builder.func, dict(builder.keywords)
    return builder, {}


def _dotted(group: str, builder: Builder) -> str:
    """The name by which a function or class can be found again.

    Raises:
        UserError: one that has none, such as a lambda.
    """
    module, name = getattr(builder, "__module__", None), getattr(builder, "__qualname__", "")
    if getattr(sys.modules.get(str(module)), name, None) is not builder:
        found = f"{module}.{name}" if name else f"one {type(builder).__name__}"
        raise refuse(group, found, "a function or class at the top level of a module")
    return f"{module}.{name}"


def ask_packages(builders: Iterable[object], overrides: Sequence[str]) -> list[str]:
    """The override that allows the packages of what was passed: passing it is the user's word."""
    names = [
        name
        for text in overrides
        if text.startswith("packages=")
        for name in re.findall(r"\w+", text.partition("=")[2])
    ]
    for builder in builders:
        if builder is not None and not isinstance(builder, str):
            function = builder.func if isinstance(builder, functools.partial) else builder
            names.append(str(getattr(function, "__module__", "")).partition(".")[0])
    ours = {"hpsuite", "optuna", ""}
    allowed = sorted(set(names) - ours)
    return [f"packages={as_override(allowed)}"] if allowed else []


def ask_dataset(dataset: str | Arrays | None, folder: Path) -> list[str]:
    """Overrides that choose a data set; arrays go into a file that lasts as long as the fit."""
    if dataset is None or isinstance(dataset, str):
        return ask_choice("dataset", dataset)
    if not isinstance(dataset, Sequence):
        raise refuse(
            "dataset",
            f"one {type(dataset).__name__}",
            "an option's name, or a pair of inputs and classes",
        )
    if len(dataset) != 2:
        raise UserError(f"dataset: found {len(dataset)} arrays; accepted: inputs and classes")
    try:
        x, y = (np.asarray(part) for part in dataset)
    except (
        ValueError,
        TypeError,
        RuntimeError,
    ) as error:  # ragged lists, tensors on a GPU
        raise UserError(
            f"dataset: found what is no array ({one_line(error)}); accepted: arrays of numbers"
        ) from error
    if object in (x.dtype, y.dtype):
        raise UserError(
            "dataset: found arrays of objects; accepted: arrays of numbers, and classes"
        )
    path = folder / "arrays.npz"
    np.savez(path, x=x, y=y, allow_pickle=False)
    return ["dataset=arrays", f"dataset.path={as_override(str(path))}"]


def ask_places(storage: str | None, scratch: Path, config_dir: str | Path | None) -> list[str]:
    """Overrides that say where things lie: all but the record in a folder that goes away."""
    places = {
        "storage": str(scratch / "record") if storage is None else storage,
        "output_dir": str(scratch),
        "tracking": "none",
    }
    asked = [f"{key}={as_override(place)}" for key, place in places.items()]
    if config_dir is not None:
        folder = Path(config_dir).expanduser().absolute()
        if not folder.is_dir():
            raise refuse("config_dir", str(config_dir), "a folder")
        asked.append(f"hydra.searchpath={as_override([f'file://{folder}'])}")
    return asked


def ask_executor(workers: int | None, model: object) -> list[str]:
    """Overrides that say where batches run.

    Raises:
        UserError: a model that other processes cannot import.
    """
    if workers == 1:
        return ["executor=inline"]
    function = model.func if isinstance(model, functools.partial) else model
    if getattr(function, "__module__", "") == "__main__":
        raise refuse("workers", workers, "1 for a model of __main__, which others cannot import")
    return ["executor=processes", f"executor.workers={as_override(workers)}"]
