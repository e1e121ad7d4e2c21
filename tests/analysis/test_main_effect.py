import numpy as np
import numpy.typing as npt
import pytest

from hpsuite.analysis.main_effect import (
    Smoother,
    _kernel,
    fitted_smoother,
    group_sums,
    pair_smoother,
    rank_cells,
    resample_counts,
)

Floats = npt.NDArray[np.float64]
CELLS = 50


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def by_brute_force(smoother: Smoother, weights: Floats, response: Floats) -> float:
    """The U-statistic as a sum over pairs of configurations."""
    n = weights.sum()
    y = response - weights @ response / n
    if smoother.kernel is None:
        same = smoother.cell[:, None] == smoother.cell
        s = same / (same @ weights)[:, None]
    else:
        spread = smoother.kernel[:, smoother.cell]
        once = spread.T @ np.diag(1 / (spread @ weights)) @ spread
        s = 2 * once - once @ np.diag(weights) @ once
    pairs = np.outer(weights, weights) * (1 - np.eye(len(weights)))
    squares = (pairs * s * np.outer(y, y)).sum() / (pairs * s).sum()
    return float(squares - (pairs * np.outer(y, y)).sum() / pairs.sum())


@pytest.mark.parametrize("kernel", [None, 0.2, 0.05])
def test_explained_is_the_sum_over_pairs_of_different_configurations(kernel: float | None) -> None:
    x, response = seeded().random((2, 30))
    weights = seeded(1).integers(0, 4, 30).astype(float)
    cell = rank_cells(x, weights, CELLS) if kernel else (x * 5).astype(np.int64)
    smoother = Smoother(cell, _kernel(kernel, CELLS) if kernel else None, CELLS if kernel else 5)
    centred = weights * (response - weights @ response / weights.sum())
    found = smoother.explained(weights[None], centred[None])[0]
    assert found == pytest.approx(by_brute_force(smoother, weights, response))


def test_a_smoother_keeps_constants_and_its_kernel_spreads_all_mass() -> None:
    kernel = _kernel(0.05, CELLS)
    assert kernel.sum(axis=0) == pytest.approx(np.ones(CELLS))
    x = seeded().random(200)
    weights = np.ones(200)
    smoother = Smoother(rank_cells(x, weights, CELLS), kernel, CELLS)
    counts = np.bincount(smoother.cell, minlength=CELLS)[None].astype(float)
    # All ones: the smooth of a constant is that constant, and so is its square.
    assert smoother._quadratic(counts, counts)[0] == pytest.approx(200)


@pytest.mark.parametrize("levels", [None, 4])
def test_noise_explains_nothing_on_average(levels: int | None) -> None:
    generator, n, found = seeded(2), 60, []
    for _ in range(400):
        x = generator.random(n)
        column = x if levels is None else (np.floor(x * levels) + 0.5) / levels
        y = generator.standard_normal(n)
        sums = y - y.mean()
        smoother = fitted_smoother(column, levels, np.ones(n), sums)
        found.append(float(smoother.explained(np.ones((1, n)), sums[None])[0]))
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found)) + 0.002


def test_a_curve_explains_its_variance_whatever_the_noise() -> None:
    # r(z) = sqrt(12) (z - 1/2) has variance 1, cos(2 pi z) 1/2.
    generator, n = seeded(3), 400
    for curve, variance in (
        (lambda z: np.sqrt(12) * (z - 0.5), 1.0),
        (lambda z: np.cos(2 * np.pi * z), 0.5),
    ):
        for noise in (0.1, 2.0):
            found = []
            for _ in range(60):
                x = generator.random(n)
                y = curve(x) + noise * generator.standard_normal(n)
                sums = y - y.mean()
                smoother = fitted_smoother(x, None, np.ones(n), sums)
                found.append(float(smoother.explained(np.ones((1, n)), sums[None])[0]))
            error = np.std(found) / np.sqrt(len(found))
            assert np.mean(found) == pytest.approx(variance, abs=0.02 * variance + 4 * error)


@pytest.mark.parametrize(("n", "lost"), [(512, 0.07), (2000, 0.035)])
def test_little_is_lost_at_the_edges_of_a_narrow_peak(n: int, lost: float) -> None:
    # 1 in a tenth of the range, else 0, without noise. Of its variance cells of a fiftieth, and a
    # kernel of half of one, would lose a tenth at every n.
    generator, found = seeded(4), []
    for _ in range(40):
        x = generator.random(n)
        y = (np.abs(x - generator.uniform(0.1, 0.9)) < 0.05).astype(float)
        sums = y - y.mean()
        smoother = fitted_smoother(x, None, np.ones(n), sums)
        found.append(float(smoother.explained(np.ones((1, n)), sums[None])[0]) / y.var())
    assert 1 - lost < np.mean(found) < 1


def test_pairs_of_cells_are_numbered_without_gaps() -> None:
    first, second = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    smoother = pair_smoother((first, 3), (second, 2))
    assert smoother.cell.tolist() == [0, 1, 2, 3, 5]
    assert smoother.cells == 6


def test_rank_cells_share_the_middle_of_tied_ranks() -> None:
    column = np.array([0.3, 0.1, 0.3, 0.9, 0.3])
    # Ranks 1 to 3 tie: their middle is 2.5 of 5.
    assert rank_cells(column, np.ones(5), 10).tolist() == [5, 1, 5, 9, 5]
    assert rank_cells(column, np.array([0.0, 1, 0, 1, 0]), 10).tolist() == [5, 2, 5, 7, 5]


def test_resamples_draw_as_many_as_there_are_and_the_first_is_the_sample() -> None:
    counts = resample_counts(7, 50, seeded())
    assert counts.shape == (51, 7)
    assert (counts[0] == 1).all()
    assert (counts.sum(axis=1) == 7).all()
    assert len(np.unique(counts, axis=0)) > 40


def test_group_sums_add_the_trials_of_each_configuration() -> None:
    values = np.arange(8.0).reshape(2, 4)
    assert group_sums(values, np.array([0, 1, 0, 2]), 3).tolist() == [[2, 1, 3], [10, 5, 7]]
    assert group_sums(values, np.arange(4), 4) is values
