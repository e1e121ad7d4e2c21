"""A sample of trials of one setup, whoever made it: what a setup's figures are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsuite.space import Hyperparameter
from hpsuite.strategies.unit_cube import n_levels, to_unit
from hpsuite.trials import Scalar


@dataclass(frozen=True)
class Sample:
    """Trials of one setup.

    Attributes:
        name: what the setup is called.
        hyperparameters: what varied, in order of the columns of `units`.
        values: of each trial, its hyperparameters by name; others, which did not vary, may stand
            among them.
        scores: float64 [n], finite, higher is better.
        failed: bool [n], trials that count with a failure's score.
        tests: float64 [n], scores on test data, in the same sense; None where there are none.
        higher_is_better: False where `scores` are a loss with its sign changed.
        unit: what a point is in the score's unit; None for accuracies in [0, 1], where it is .01.
        points: how far from the best counts as close, in points.
        random: whether the trials are i.i.d. over the space, each hyperparameter on its scale.
        notes: what a reader should know of it.
        noise_sd: standard deviation over seeds of a good configuration's score, in the score's
            unit; 0 where it is not known, None for what accuracies are assumed to have.
        numbers: how the trials' source counts or names them; none where that is their order.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    values: Sequence[Mapping[str, Scalar]]
    scores: NDArray[np.float64]
    failed: NDArray[np.bool_]
    tests: NDArray[np.float64] | None
    higher_is_better: bool = True
    unit: float | None = None
    points: tuple[float, ...] = (1.0, 2.0, 5.0)
    random: bool = True
    notes: tuple[str, ...] = ()
    noise_sd: float | None = None
    numbers: tuple[int | str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the hyperparameters."""
        return tuple(h.name for h in self.hyperparameters)

    @property
    def levels(self) -> tuple[int | None, ...]:
        """How many different values each has; None for a continuum."""
        return tuple(n_levels(h.distribution()) for h in self.hyperparameters)

    @property
    def ordered(self) -> tuple[bool, ...]:
        """Whether the values of each have an order, as those of a choice do not."""
        return tuple(h.scale != "choice" for h in self.hyperparameters)

    def units(self) -> NDArray[np.float64]:
        """The configurations in the unit cube, [n, d], each hyperparameter on its own scale."""
        columns = []
        for h in self.hyperparameters:
            cells: dict[Scalar, float] = {}
            column = np.empty(len(self))
            for i, values in enumerate(self.values):
                value = values[h.name]
                if value not in cells:
                    cells[value] = unit_of(h, value)
                column[i] = cells[value]
            columns.append(column)
        return np.stack(columns, axis=1) if columns else np.empty((len(self), 0))


def unit_of(h: Hyperparameter, value: Scalar) -> float:
    """A hyperparameter's value in [0, 1], on its own scale."""
    unit = to_unit(h.distribution(), h.stored(value), "own")
    # `one_minus_log` is stored as 1 - x: there large values lie at the low end.
    return 1 - unit if h.scale == "one_minus_log" else unit
