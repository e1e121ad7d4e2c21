"""What every data set becomes: seeded, stratified splits and the normalisation of its inputs.

Shapes: N rows, ... the shape of one input.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

Fraction = Annotated[float, Gt(0), Le(1)]
# Of a split: a number of rows, or a share of them.
Size = Annotated[int, Gt(0)] | Annotated[float, Gt(0), Lt(1)]
InputNormalization = Literal["none", "feature", "channel"]


@dataclass(frozen=True)
class Source:
    """A data set as its source gives it.

    Attributes:
        x: inputs [N, ...], uint8 where the source is.
        y: classes [N], from 0 to n_classes - 1.
        n_classes: number of classes.
        scale: the value that stands for 1 (255 for an 8-bit image).
        x_test, y_test: the source's own test set, where it has one.
    """

    x: NDArray[np.generic]
    y: NDArray[np.int64]
    n_classes: int
    scale: float
    x_test: NDArray[np.generic] | None = None
    y_test: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Data:
    """A data set ready for training, on the host.

    Attributes:
        x_train, x_val, x_test: inputs [N, ...], uint8 where the source is.
        y_train, y_val, y_test: classes [N], int64.
        n_classes: number of classes.
        multiplier, offset: an input enters the network as x * multiplier + offset; float64,
            of a shape that broadcasts over one input.
        fingerprint: SHA-256, in hexadecimal, of all else here or what it follows from.
        flip: whether training images are flipped at random (training/augmentation.py).
        shift: by up to how many pixels they are shifted at random.
    """

    x_train: NDArray[np.generic]
    y_train: NDArray[np.int64]
    x_val: NDArray[np.generic]
    y_val: NDArray[np.int64]
    x_test: NDArray[np.generic]
    y_test: NDArray[np.int64]
    n_classes: int
    multiplier: NDArray[np.float64]
    offset: NDArray[np.float64]
    fingerprint: str
    flip: bool = False
    shift: int = 0

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.x_train.shape[1:]

    @property
    def majority_class(self) -> int:
        """The training set's most frequent class (the lowest of equals)."""
        return int(np.bincount(self.y_train, minlength=self.n_classes).argmax())

    def majority_share(self, split: Literal["val", "test"]) -> float:
        """Accuracy on a split of always answering the training set's most frequent class."""
        labels = self.y_val if split == "val" else self.y_test
        return float(np.mean(labels == self.majority_class))


def prepare(
    source: Source,
    *,
    split_seed: int,
    validation_size: Size,
    test_size: Size | None = None,
    train_fraction: Fraction = 1.0,
    input_normalization: InputNormalization = "none",
    flip: bool = False,
    shift: Annotated[int, Ge(0)] = 0,
) -> Data:
    """Split a source by class and measure its training inputs.

    Args:
        source: what to split.
        split_seed: decides who goes where.
        validation_size: rows of the validation set, or its share of the source's rows, rounded;
            a test set of the source's own is not among those.
        test_size: likewise of the test set; None takes the source's own.
        train_fraction: share of the remaining rows to train on, in (0, 1].
        input_normalization: `feature` gives each feature mean 0 and variance 1 over the training
            set (one that never varies stays at 0), `channel` does so for each channel of
            [channel, height, width] inputs; `none` only divides by the source's scale.
        flip: whether each training image is flipped, left for right, with probability 1/2 in
            each epoch.
        shift: by up to how many pixels, down or up and right or left, each training image is
            shifted in each epoch; every shift is as likely, and pixels that nothing is shifted
            to are 0, as in crops of images padded with 0 (He, Zhang, Ren and Sun 2015, section
            4.2, pad by 4).

    Raises:
        ValueError: a source that is no data set for classification, a split that would be empty, a
            class with too few rows to be in each, or features that float32 cannot resolve; a flip
            or shift of inputs that are no images, or past their edge.
    """
    _check(source)
    _check_augmentation(source.x, flip, shift)
    if (test_size is None) != (source.x_test is not None):
        found = "a test set of its own" if source.x_test is not None else "no test set of its own"
        raise ValueError(
            f"test_size: found {test_size or 'null'} for a source with {found}; "
            "accepted: null where the source has one, else a number of rows or a share of them"
        )
    rows = np.arange(len(source.y))
    validation_size = _in_rows(validation_size, len(rows))
    test_size = None if test_size is None else _in_rows(test_size, len(rows))
    n_test = test_size or 0
    least = validation_size + n_test + source.n_classes
    if least > len(rows):
        raise ValueError(
            f"validation_size, test_size: found {validation_size} and {n_test} of {len(rows)} "
            f"rows; accepted: at least {source.n_classes} rows left for training"
        )

    # Each split is drawn in turn from what the one before it left, so that the training
    # fraction changes neither the validation nor the test rows.
    test_rows = rows[:0]
    if test_size is not None:
        rows, test_rows = _stratified(
            rows, source.y, test_size, split_seed, f"test_size: found {test_size}"
        )
    found = f"validation_size: found {validation_size}"
    rows, val_rows = _stratified(rows, source.y, validation_size, split_seed, found)
    n_train = round(train_fraction * len(rows))
    if n_train < len(rows):
        found = f"train_fraction: found {train_fraction}, {n_train}"
        _, rows = _stratified(rows, source.y, n_train, split_seed, found)

    x_train = source.x[rows]
    multiplier, offset = _normalization(x_train, source.scale, input_normalization)
    x_test, y_test = source.x_test, source.y_test
    if x_test is None or y_test is None:
        x_test, y_test = source.x[test_rows], source.y[test_rows]
    parts = (x_train, source.y[rows], source.x[val_rows], source.y[val_rows], x_test, y_test)
    # Not of the statistics, whose last bits may differ between processors, but of their recipe.
    recipe = (source.n_classes, source.scale, input_normalization)
    digest = hashlib.sha256(str(recipe).encode())
    if flip or shift:  # where not, the fingerprint is that of data without the choice
        digest.update(f"flip {flip}, shift {shift}".encode())
    for part in parts:
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    fingerprint = digest.hexdigest()
    return Data(*parts, source.n_classes, multiplier, offset, fingerprint, flip, shift)


def _check_augmentation(x: NDArray[np.generic], flip: bool, shift: int) -> None:
    """Refuse flips and shifts of what is no image.

    Raises:
        ValueError: naming the argument.
    """
    if x.ndim == 4:
        height, width = x.shape[2:]
        most = min(height, width) - 1
        if shift > most:
            raise ValueError(
                f"shift: found {shift} for images of {height} x {width}; accepted: 0 to {most}"
            )
    elif flip or shift:
        found, accepted = ("flip: found true", "false") if flip else (f"shift: found {shift}", "0")
        raise ValueError(
            f"{found} for inputs of shape {list(x.shape[1:])}; accepted: {accepted}, "
            "as only [channel, height, width] inputs are images"
        )


def _check(source: Source) -> None:
    """Check that inputs and labels fit together.

    Raises:
        ValueError: what does not.
    """
    x, x_test, y_test = source.x, source.x_test, source.y_test
    if source.n_classes < 2:
        raise ValueError(f"found {source.n_classes} class; accepted: 2 or more")
    _check_part("", x, source.y, source.n_classes)
    if x_test is None or y_test is None:
        if x_test is not y_test:
            raise ValueError("found a test set of inputs or labels alone; accepted: both, or none")
        return
    if len(y_test) == 0:
        raise ValueError("found a test set without rows; accepted: one row or more, or no test set")
    if (x_test.shape[1:], x_test.dtype) != (x.shape[1:], x.dtype):
        raise ValueError(
            f"found test inputs of shape {list(x_test.shape[1:])} and type {x_test.dtype} for "
            f"training inputs of {list(x.shape[1:])} and {x.dtype}; accepted: the same"
        )
    _check_part("test ", x_test, y_test, source.n_classes)


def _check_part(part: str, x: NDArray[np.generic], y: NDArray[np.int64], n_classes: int) -> None:
    if len(x) != len(y):
        raise ValueError(
            f"found {len(x)} {part}inputs for {len(y)} {part}labels; accepted: one label each"
        )
    if 0 in x.shape[1:]:
        raise ValueError(
            f"found {part}inputs of shape {list(x.shape[1:])}; accepted: one number or more"
        )
    if len(y) == 0:
        return
    if y.min() < 0 or y.max() >= n_classes:
        raise ValueError(
            f"found {part}labels {y.min()} to {y.max()} for {n_classes} classes; "
            f"accepted: 0 to {n_classes - 1}"
        )
    # Written so that what is no number is refused too: comparisons with it are false.
    if not -_LARGEST <= float(x.min()) <= float(x.max()) <= _LARGEST:
        fine = np.abs(x.astype(np.float64)) <= _LARGEST
        row = np.argmin(fine.reshape(len(x), -1).all(axis=1))
        raise ValueError(
            f"found {part}inputs of row {row} that are infinite or no numbers in float32; "
            "accepted: finite numbers"
        )


def _in_rows(size: float, n_rows: int) -> int:
    """The size of a split, in rows."""
    return size if isinstance(size, int) else round(size * n_rows)


def _stratified(
    rows: NDArray[np.int64], y: NDArray[np.int64], size: int, seed: int, found: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take `size` of the rows, each class in its share; returns (the others, the taken).

    Raises:
        ValueError: starting with `found`, where a class cannot have a row on either side.
    """
    from sklearn.model_selection import train_test_split  # costs a second: workers do without

    classes, counts = np.unique(y[rows], return_counts=True)
    least, most = len(classes), len(rows) - len(classes)
    if counts.min() < 2:
        raise ValueError(
            f"{found} of {len(rows)} rows, of which class {classes[counts.argmin()]} has one; "
            "accepted: splits that leave each class two rows or more to share"
        )
    if not least <= size <= most:
        raise ValueError(
            f"{found} of {len(rows)} rows; accepted: {least} to {most}, which leaves a row of each "
            "class on either side"
        )
    others, taken = train_test_split(rows, test_size=size, stratify=y[rows], random_state=seed)
    return np.sort(others), np.sort(taken)


def _normalization(
    x_train: NDArray[np.generic], scale: float, kind: InputNormalization
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The affine map (multiplier, offset) that normalises inputs, from training statistics."""
    if kind == "none":
        return np.array(1 / scale), np.array(0.0)
    if kind == "feature":
        axes: tuple[int, ...] = (0,)
    elif x_train.ndim == 4:
        axes = (0, 2, 3)
    else:
        raise ValueError(
            f"input_normalization: found 'channel' for inputs of shape {x_train.shape[1:]}; "
            "accepted: none or feature, as only [channel, height, width] inputs have channels"
        )
    with np.errstate(all="ignore"):
        mean, deviation = _moments(x_train, axes)
        # Asked of the values: the mean of a constant like 0.1 is another number.
        lowest = x_train.min(axis=axes, keepdims=True)[0]
        varies = x_train.max(axis=axes, keepdims=True)[0] > lowest
        mean = np.where(varies, mean, lowest)
        multiplier = 1 / np.where(varies, deviation, 1.0)
        offset = -mean * multiplier
    lost = varies & ~((np.abs(offset) < _RESOLVED) & (multiplier <= _LARGEST))
    if lost.any():
        worst = tuple(np.argwhere(lost)[0].tolist())
        place = worst[: 1 if kind == "channel" else None]
        raise ValueError(
            f"input_normalization: found {kind} {', '.join(map(str, place))}, which varies by "
            f"{deviation[worst]:.3g} around {mean[worst]:.3g}, too little for float32; "
            "accepted: none, or data with its mean subtracted, in units of a usual size"
        )
    return multiplier, offset


# Deviations between 0 and a mean at which float32, of 24 bits, still leaves 8 for a deviation.
_RESOLVED = 2.0**16
_LARGEST = float(np.finfo(np.float32).max)
# Inputs of more numbers than this (512 MiB as float64) are measured in pieces of that many. What
# fits is measured at once, as MNIST always was: the last bits depend on the order of summation.
_AT_ONCE = 1 << 26
_PIECE = 1 << 22


def _moments(
    x: NDArray[np.generic], axes: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of inputs [N, ...] over axes, of which the first is one."""
    if x.size <= _AT_ONCE:
        values = x.astype(np.float64)
        return values.mean(axis=axes, keepdims=True)[0], values.std(axis=axes, keepdims=True)[0]
    step = max(1, _PIECE // x[0].size)

    def pieces() -> Iterator[NDArray[np.float64]]:
        return (x[i : i + step].astype(np.float64) for i in range(0, len(x), step))

    total = sum(piece.sum(axis=axes, keepdims=True) for piece in pieces())
    mean = np.asarray(total, dtype=np.float64)
    n = x.size / mean.size
    mean = mean / n
    squares = sum(np.square(piece - mean).sum(axis=axes, keepdims=True) for piece in pieces())
    return mean[0], np.sqrt(np.asarray(squares, dtype=np.float64) / n)[0]
