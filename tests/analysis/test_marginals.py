import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from hpsuite.analysis.marginals import Method, marginal_curve, marginal_grid

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_plain_curve_by_hand() -> None:
    x = [[0.1, 0.5], [0.2, 0.5], [0.24, 0.1], [0.6, 0.9], [1.0, 0.2], [0.76, 0.3]]
    found = marginal_curve(x, [1, 2, 6, 5, 4, 8], 0, generator=seeded(), cells=4, method="plain")
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.n.tolist() == [3, 0, 1, 2]
    assert found.mean[[0, 2, 3]].tolist() == [3, 5, 6]
    assert np.isnan(found.mean[1])
    assert np.isnan(found.low[1:3]).all()
    expected = stats.t.interval(0.95, 2, 3, np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    assert (found.low[0], found.high[0]) == pytest.approx(expected)


def test_a_plain_grid_by_hand() -> None:
    x = [[0.1, 0.9], [0.2, 0.8], [0.9, 0.9], [0.8, 0.1]]
    found = marginal_grid(x, [1, 3, 5, 7], (1, 0), generator=seeded(), cells=2, method="plain")
    # Rows are cells of the second hyperparameter, columns of the first.
    assert found.n.tolist() == [[0, 1], [2, 1]]
    assert found.mean[1].tolist() == [2, 5]
    assert found.mean[0, 1] == 7
    assert [len(edges) for edges in found.edges] == [3, 3]
    assert found.low[1, 0] < 2 < found.high[1, 0]
    assert np.isnan(found.high[1, 1])


def test_repeats_of_a_configuration_count_as_one() -> None:
    x, scores = seeded(1).random((40, 1)), seeded(2).random(40)
    arguments = {"generator": seeded(), "cells": 4, "method": "plain"}
    once = marginal_curve(x, scores, 0, **arguments)
    twice = marginal_curve(np.repeat(x, 2, axis=0), np.repeat(scores, 2), 0, **arguments)
    assert twice.n.tolist() == (2 * once.n).tolist()
    for name in ("mean", "low", "high"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name))


def test_a_choice_has_a_cell_for_each_value() -> None:
    choice = seeded(3).integers(3, size=90)
    x = np.stack([(choice + 0.5) / 3, seeded(4).random(90)], axis=1)
    scores = np.array([1.0, 5.0, 2.0])[choice]
    found = marginal_curve(x, scores, 0, generator=seeded(), levels=[3, None])
    assert found.mean == pytest.approx([1, 5, 2], abs=0.2)
    assert len(found.edges) == 4
    grid = marginal_grid(x, scores, (0, 1), generator=seeded(), levels=[3, None], cells=2)
    assert grid.mean == pytest.approx(np.array([[1, 1], [5, 5], [2, 2]]), abs=0.5)


def scores_of(x: Floats, generator: np.random.Generator) -> Floats:
    """The second matters most; expected along the first: x0^2 + 5/12 + .5."""
    noise = 0.1 * generator.standard_normal(len(x))
    return x[:, 0] ** 2 + 5 * (x[:, 1] - 0.5) ** 2 + x[:, 2] + noise


@pytest.mark.parametrize("method", ["plain", "adjusted"])
def test_curves_and_grids_cover_the_truth(method: Method) -> None:
    generator, simulations, cells, n = seeded(5), 20, 8, 250
    edges = np.linspace(0, 1, cells + 1)
    squares = np.diff(edges**3) / 3 * cells
    truth = squares + 5 / 12 + 0.5
    both = squares[:, None] + (5 * np.diff((edges - 0.5) ** 3) / 3 * cells) + 0.5
    curve = grid = filled = 0
    for _ in range(simulations):
        x = generator.random((n, 3))
        y = scores_of(x, generator)
        found = marginal_curve(x, y, 0, generator=generator, cells=cells, method=method)
        curve += int(((found.low <= truth) & (truth <= found.high)).sum())
        pair = marginal_grid(x, y, (0, 1), generator=generator, cells=cells, method=method)
        known = np.isfinite(pair.low)
        filled += int(known.sum())
        grid += int(((pair.low <= both) & (both <= pair.high))[known].sum())
    # Cells of one sample share its forest, so this is no binomial count; the bound is wide.
    assert curve >= 0.9 * simulations * cells, curve
    assert grid >= 0.88 * filled, (grid, filled)


def test_adjusted_curves_are_steadier() -> None:
    x = seeded(6).random((400, 3))
    y = scores_of(x, seeded(7))
    plain = marginal_curve(x, y, 0, generator=seeded(), method="plain")
    adjusted = marginal_curve(x, y, 0, generator=seeded())
    assert np.mean(adjusted.high - adjusted.low) < 0.6 * np.mean(plain.high - plain.low)


def test_what_cannot_be_adjusted_is_plain() -> None:
    found = marginal_curve([[0.1], [0.9]], [1, 2], 0, generator=seeded(), cells=2)
    assert found.mean.tolist() == [1, 2]
    assert "too few trials to adjust" in found.method
    same = marginal_curve(seeded(8).random((30, 2)), np.ones(30), 1, generator=seeded(), cells=1)
    assert (same.mean[0], same.low[0], same.high[0]) == (1, 1, 1)


def test_arguments_out_of_range_are_refused() -> None:
    x, y = [[0.1, 0.2], [0.3, 0.4]], [1, 2]
    for column in (-1, 2):
        with pytest.raises(ValueError, match="column must be"):
            marginal_curve(x, y, column, generator=seeded())
    with pytest.raises(ValueError, match="column must be"):
        marginal_grid(x, y, (1, 1), generator=seeded())
    with pytest.raises(ValueError, match="cells must be"):
        marginal_curve(x, y, 0, generator=seeded(), cells=0)
    with pytest.raises(ValueError, match="method must be"):
        marginal_curve(x, y, 0, generator=seeded(), method="forest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level must be"):
        marginal_curve(x, y, 0, generator=seeded(), level=95)
