import itertools

import numpy as np
import numpy.typing as npt
import pytest

from hpsuite.analysis.forest import FOLDS, Forest, Tree, grow
from hpsuite.analysis.sample import Sample, checked_sample

Floats = npt.NDArray[np.float64]


def sample_of(n: int, d: int, levels: list[int | None] | None = None) -> Sample:
    generator = np.random.default_rng(0)
    units = generator.random((n, d))
    for j, m in enumerate(levels or []):
        if m is not None:
            units[:, j] = (np.floor(units[:, j] * m) + 0.5) / m
    scores = np.sin(5 * units[:, 0]) + units.prod(axis=1) + 0.1 * generator.standard_normal(n)
    return checked_sample(units, scores, levels)


def forest_of(sample: Sample, repeats: int = 2) -> Forest:
    return grow(sample, sample.scores, generator=np.random.default_rng(1), repeats=repeats)


def middles_and_lengths(tree: Tree, column: int) -> tuple[Floats, Floats]:
    edges = np.unique(np.concatenate([[0, 1], tree.low[:, column], tree.high[:, column]]))
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def test_boxes_fill_the_cube_and_predict_what_the_tree_does() -> None:
    sample = sample_of(80, 3)
    points = np.random.default_rng(2).random((500, 3))
    for tree in forest_of(sample).trees:
        assert tree.volumes().sum() == pytest.approx(1)
        inside = ((points[:, None] > tree.low) & (points[:, None] <= tree.high)).all(axis=2)
        assert (inside.sum(axis=1) == 1).all()
        assert tree.values[inside.argmax(axis=1)] == pytest.approx(tree.predict(points))


@pytest.mark.parametrize("columns", [(0,), (2,), (0, 1), (2, 0)])
def test_marginals_are_the_mean_over_a_dense_grid_of_predictions(columns: tuple[int, ...]) -> None:
    # The predictions are constant between edges, so their middles, weighted, are all there is.
    for tree in forest_of(sample_of(25, 3)).trees:
        axes = [middles_and_lengths(tree, j) for j in range(3)]
        grid = np.array(list(itertools.product(*(middles for middles, _ in axes))))
        shape = tuple(len(middles) for middles, _ in axes)
        values = tree.predict(grid).reshape(shape)
        for j in range(3):
            if j not in columns:
                weighted = np.moveaxis(values, j, -1) * axes[j][1]
                values = np.moveaxis(weighted.sum(axis=-1, keepdims=True), -1, j)
        expected = np.transpose(
            values, [*columns, *(j for j in range(3) if j not in columns)]
        ).reshape([shape[j] for j in columns])
        found = tree.marginal(*columns)
        points = np.array(list(itertools.product(*(axes[j][0] for j in columns))))
        assert found.at(points).reshape(expected.shape) == pytest.approx(expected)
        areas = axes[columns[0]][1]
        if len(columns) == 2:
            areas = np.multiply.outer(areas, axes[columns[1]][1])
        mean = (areas * expected).sum()
        assert found.variance() == pytest.approx((areas * (expected - mean) ** 2).sum())


def test_the_variance_of_a_tree_is_that_of_its_predictions() -> None:
    points = np.random.default_rng(3).random((200_000, 2))
    for tree in forest_of(sample_of(60, 2), repeats=1).trees:
        assert tree.variance() == pytest.approx(tree.predict(points).var(), rel=0.02)


def test_each_value_of_a_choice_has_the_same_share_of_the_cube() -> None:
    levels: list[int | None] = [None, 3]
    sample = sample_of(40, 2, levels)
    # Without the middle value next to some splits, scikit-learn's thresholds are not cell edges.
    values = (np.arange(3) + 0.5) / 3
    for tree in forest_of(sample).trees:
        edges = np.unique(np.concatenate([tree.low[:, 1], tree.high[:, 1]]))
        assert edges * 3 == pytest.approx(np.round(edges * 3))
        middles, lengths = middles_and_lengths(tree, 0)
        grid = np.array(list(itertools.product(middles, values)))
        predictions = tree.predict(grid).reshape(len(middles), 3)
        assert tree.marginal(1).at(values[:, None]) == pytest.approx(lengths @ predictions)
        assert tree.marginal(0).at(middles[:, None]) == pytest.approx(predictions.mean(axis=1))


def test_each_trial_is_left_out_by_a_third_of_the_trees_with_its_repeats() -> None:
    x = np.random.default_rng(4).random((20, 2))
    sample = checked_sample(np.repeat(x, 2, axis=0), np.arange(40.0))
    forest = forest_of(sample, repeats=5)
    left_out = np.zeros((len(forest.trees), 40))
    for i, tree in enumerate(forest.trees):
        left_out[i, tree.left_out] = 1
    assert (left_out.sum(axis=0) == len(forest.trees) / FOLDS).all()
    assert (left_out[:, sample.groups == 3].std(axis=1) == 0).all()


def test_predictions_of_a_trial_come_from_trees_that_never_saw_it() -> None:
    sample = sample_of(30, 2)
    forest = forest_of(sample, repeats=3)
    expected = np.zeros(30)
    for tree in forest.trees:
        expected[tree.left_out] += tree.predict(sample.units[tree.left_out]) / 3
    assert forest.predictions(sample.units) == pytest.approx(expected)
    # A tree grown with a trial would give its own score back.
    assert np.abs(forest.predictions(sample.units) - sample.scores).min() > 0
    assert forest.trees[0].predict(np.delete(sample.units, forest.trees[0].left_out, axis=0)) == (
        pytest.approx(np.delete(sample.scores, forest.trees[0].left_out))
    )


def test_large_samples_are_grown_on_a_part_each() -> None:
    sample = sample_of(1800, 2)
    assert forest_of(sample, repeats=1).trials_per_tree == 1000
    assert forest_of(sample_of(90, 2)).trials_per_tree == 60
