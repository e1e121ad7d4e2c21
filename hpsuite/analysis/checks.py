"""What every table of trials must satisfy before anything is computed from it."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def checked_accuracies(name: str, values: npt.ArrayLike, ndim: int = 1) -> Floats:
    """Accuracies as a float64 array.

    Args:
        name: what to call them in an error.
        values: accuracies in [0, 1]; a diverged trial's is its chance score, never NaN.
        ndim: how many axes they must have, none of them empty.

    Raises:
        ValueError: for the wrong number of axes, an empty one, or a value that is no number in
            [0, 1].
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name} must have {ndim} axes, none empty; found shape {array.shape}")
    wrong = array[~((array >= 0) & (array <= 1))]
    if wrong.size:
        raise ValueError(
            f"{name} must be accuracies in [0, 1] (a diverged trial's is its chance score); "
            f"found {wrong.size} others, the first {wrong[0]}"
        )
    return array


def checked_scores(name: str, values: npt.ArrayLike, ndim: int = 1) -> Floats:
    """Scores of any unit, higher being better, as a float64 array.

    Args:
        name: what to call them in an error.
        values: finite numbers; a failed trial's is its failure score, never NaN.
        ndim: how many axes they must have, none of them empty.

    Raises:
        ValueError: for the wrong number of axes, an empty one, or a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name} must have {ndim} axes, none empty; found shape {array.shape}")
    wrong = array[~np.isfinite(array)]
    if wrong.size:
        raise ValueError(
            f"{name} must be finite (a failed trial's is its failure score); "
            f"found {wrong.size} others, the first {wrong[0]}"
        )
    return array


def checked_finite(name: str, values: npt.ArrayLike) -> Floats:
    """Finite numbers as a float64 array [n], n >= 1.

    Raises:
        ValueError: where they are not one axis of finite numbers.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be one axis of finite numbers; found {array}")
    return array


def checked_table(name: str, values: npt.ArrayLike, ndim: int) -> Floats:
    """Finite numbers of any unit as a float64 array of `ndim` axes, none of them empty.

    Raises:
        ValueError: for the wrong number of axes, an empty one, or a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name} must have {ndim} axes, none empty; found shape {array.shape}")
    wrong = array[~np.isfinite(array)]
    if wrong.size:
        raise ValueError(
            f"{name} must be finite (a failed trial's is its failure score); found {wrong.size} "
            f"others, the first {wrong[0]}"
        )
    return array


def checked_number(name: str, value: float, *, at_least: float = -np.inf) -> float:
    """A finite number that is not below `at_least`.

    Raises:
        ValueError: where it is neither.
    """
    if not (np.isfinite(value) and value >= at_least):
        bound = "" if at_least == -np.inf else f" >= {at_least:g}"
        raise ValueError(f"{name} must be a finite number{bound}; found {value}")
    return float(value)


def checked_length(name: str, n: int, expected: int) -> None:
    """Raises ValueError where `name` has `n` trials instead of `expected`."""
    if n != expected:
        raise ValueError(f"{name} must have as many trials as scores ({expected}); found {n}")


def checked_unit(unit: float) -> float:
    """What a point is in the score's unit, or ValueError where it is not finite and positive."""
    if not (unit > 0 and np.isfinite(unit)):
        raise ValueError(f"unit must be finite and more than 0, .01 for accuracies; found {unit}")
    return unit


def checked_level(level: float) -> float:
    """A confidence level, or ValueError where it is not in (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), 0.95 for 95%; found {level}")
    return level
