"""A user's own arrays, from one file of numpy's (.npz) without pickles.

Shapes: N rows, ... the shape of one input.
"""

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from hpsuite.datasets.common import Source
from hpsuite.datasets.paths import find

Array = NDArray[np.generic]

_NAMES = ("x", "y", "x_test", "y_test")
WHAT = "a .npz with x [N, ...] and y [N], and optionally x_test and y_test"

_READING_FAILS = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
)


def arrays(
    *,
    data_dir: str,
    path: str,
    scale: Annotated[float, Gt(0)] | None = None,
) -> Source:
    """Inputs of any shape and their classes, as `numpy.savez(path, x=x, y=y)` writes them.

    Inputs may be integers, floats, or true and false (1 and 0). Labels are integers from 0 without
    gaps, each the class it names; or texts, or true and false, whose classes are in sorted order.
    Other labels are refused: a gap may be a mistake, and -1 may mean that there is none.

    Args:
        data_dir: folder of the data sets' files.
        path: of the .npz, in `data_dir` or absolute, with `x` [N, ...], `y` [N] and, where there is
            a test set, `x_test` and `y_test`.
        scale: the value that stands for 1; None takes 255 for uint8, and 1 for all else.

    Raises:
        ValueError: a file that is missing, damaged or another; arrays that do not fit together.
    """
    place = find(data_dir, path, WHAT)
    given = _read(place)
    x, y = _inputs(place, "x", given["x"]), given["y"]
    x_test = _inputs(place, "x_test", given["x_test"]) if "x_test" in given else None
    for name in ("y", "y_test"):
        if name in given and given[name].ndim != 1:
            raise _refuse(
                place, f"{name} of shape {list(given[name].shape)}", "[N], one label a row"
            )
    if len(y) == 0:
        raise _refuse(place, "y without rows", "two rows or more of each class")
    classes = _classes(place, y)
    default = 255.0 if given["x"].dtype == np.uint8 else 1.0
    return Source(
        x=x,
        y=_labels(place, "y", y, classes),
        n_classes=len(classes),
        scale=default if scale is None else scale,
        x_test=x_test,
        y_test=None if x_test is None else _labels(place, "y_test", given["y_test"], classes),
    )


def _refuse(place: Path, found: str, accepted: str) -> ValueError:
    return ValueError(f"path: found {found} in {place.absolute()}; accepted: {accepted}")


def _read(place: Path) -> dict[str, Array]:
    """The arrays of a file by name."""
    try:
        if not place.is_file():
            raise ValueError("it is no file")
        with place.open("rb") as opened:
            if opened.read(2) != b"PK":
                raise ValueError("it is no .npz, which numpy.savez writes")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                names = set(file.files)
                arrays = {name: file[name] for name in names.intersection(_NAMES)}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds something else than arrays")
    except _READING_FAILS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = "pickled objects, which could run anything"
        found = f"something that cannot be read ({reason})"
        raise _refuse(place, found, f"{WHAT}, all of them numbers or texts") from error
    if not {"x", "y"} <= names <= set(_NAMES) or ("x_test" in names) != ("y_test" in names):
        listed = [*sorted(names)[:9], *["..."][: len(names) > 9]]
        raise _refuse(place, f"arrays {', '.join(listed) or 'of no name'}", WHAT)
    return arrays


def _inputs(place: Path, name: str, x: Array) -> Array:
    """Inputs of a type that torch has, in C order and this machine's byte order."""
    if x.ndim < 2:
        raise _refuse(place, f"{name} of shape {list(x.shape)}", "[N, ...], as in x.reshape(-1, 1)")
    kind = x.dtype.kind
    dtype: np.dtype[Any]
    if kind == "b":
        dtype = np.dtype(np.uint8)
    elif kind == "u" and x.dtype.itemsize > 1:  # which torch only stores
        largest = int(x.max(initial=0))
        if largest > np.iinfo(np.int64).max:
            raise _refuse(place, f"{name} with {largest}", "up to 2^63 - 1")
        dtype = np.dtype(np.int32 if x.dtype.itemsize == 2 else np.int64)
    elif kind in "iu" or (kind == "f" and x.dtype.itemsize <= 8):
        dtype = x.dtype.newbyteorder("=")
    else:
        raise _refuse(place, f"{name} of type {x.dtype}", "integers, floats of up to 64 bits, bool")
    return np.ascontiguousarray(x, dtype)


def _classes(place: Path, y: Array) -> Array:
    """The labels that there are, in the order of their classes."""
    classes = np.unique(y) if y.dtype.kind in "iubUS" else None
    if classes is None:
        raise _refuse(
            place, f"y of type {y.dtype}", "integers, texts or bool, as in y.astype('int64')"
        )
    if y.dtype.kind in "iu" and (classes[0] != 0 or classes[-1] != len(classes) - 1):
        raise _refuse(
            place,
            f"{len(classes)} different labels from {classes[0]} to {classes[-1]} in y",
            "0, 1, 2 and so on without gaps, or texts, whose order is that of the alphabet",
        )
    return classes


def _labels(place: Path, name: str, y: Array, classes: Array) -> NDArray[np.int64]:
    """Classes [N] of labels [N]."""
    kinds = {"i": "iu", "u": "iu"}.get(classes.dtype.kind, classes.dtype.kind)
    if y.dtype.kind not in kinds:
        raise _refuse(place, f"{name} of type {y.dtype}", f"that of y, {classes.dtype}")
    unknown = np.setdiff1d(y, classes)
    if unknown.size:
        raise _refuse(place, f"a label {unknown[0]} in {name} that y has not", "the labels of y")
    return np.searchsorted(classes, y).astype(np.int64)
