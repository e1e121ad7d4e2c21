"""Regression trees on trials, and the exact marginals of what they predict.

A tree cuts the unit cube into boxes, and predicts a constant in each. Its mean over all
hyperparameters but one or two, uniform on the cube, is a step function that follows from the
boxes alone (Hutter, Hoos and Leyton-Brown 2014, section 2.3): each box adds its prediction times
its volume in the other directions, from its lower edge to its upper one.

Each tree is grown without a third of the configurations, chosen so that each is left out by a
third of the trees. Whatever is said of a trial comes from the trees that never saw it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.sample import Ints, Sample

# Trees are grown in threes, one for each third left out.
FOLDS = 3
REPEATS = 20
# More trials make a tree slower without end, and what the forest leaves unexplained is corrected
# with all trials anyway: 60 trees of 1,000 trials and 7 hyperparameters take .6 s.
MOST_TRIALS = 1000


@dataclass(frozen=True, slots=True)
class Steps:
    """A step function on [0, 1] or [0, 1]^2, as a marginal of a tree is one.

    Attributes:
        edges: for each axis the edges of its C cells, ascending from 0 to 1, shape [C + 1].
        heights: shape [C] or [C, C'].
    """

    edges: tuple[Floats, ...]
    heights: Floats

    def at(self, points: Floats) -> Floats:
        """Heights at points [n, axes]; a point on an edge belongs to the cell below it."""
        cells = tuple(
            np.clip(np.searchsorted(edges, column, "left") - 1, 0, len(edges) - 2)
            for edges, column in zip(self.edges, points.T, strict=True)
        )
        return np.asarray(self.heights[cells])

    def variance(self) -> float:
        """Variance of the heights at a uniform point."""
        areas = np.diff(self.edges[0])
        for edges in self.edges[1:]:
            areas = np.multiply.outer(areas, np.diff(edges))
        mean = float((areas * self.heights).sum())
        return float((areas * (self.heights - mean) ** 2).sum())


@dataclass(frozen=True, slots=True)
class Tree:
    """One regression tree, as boxes.

    Attributes:
        low, high: shape [L, d], the edges of its L boxes in [0, 1]; the edges between values of
            a hyperparameter that has few lie where the values' cells meet, so that each value
            has the same share of the cube.
        values: shape [L], the prediction in each.
        left_out: indices of the trials that it never saw.
        model: scikit-learn's.
    """

    low: Floats
    high: Floats
    values: Floats
    left_out: Ints
    model: Any

    def predict(self, units: Floats) -> Floats:
        """Predictions for configurations [n, d]."""
        found = self.model.predict(np.asarray(units, dtype=np.float32), check_input=False)
        return np.asarray(found, dtype=np.float64)

    def volumes(self) -> Floats:
        """Shares of the cube, shape [L]."""
        return np.asarray((self.high - self.low).prod(axis=1))

    def variance(self) -> float:
        """Variance of the prediction over the cube."""
        volumes = self.volumes()
        mean = float(volumes @ self.values)
        return float(volumes @ (self.values - mean) ** 2)

    def marginal(self, *columns: int) -> Steps:
        """The mean prediction along one hyperparameter, or two."""
        lengths = self.high - self.low
        others = np.delete(lengths, columns, axis=1).prod(axis=1)
        # Each box adds its height from its lower corner on, and takes it away from its upper one
        # on; sums along each axis then give the heights.
        edges, corners = [], []
        for column in columns:
            low, high = self.low[:, column], self.high[:, column]
            ends = np.unique(np.concatenate([[0.0, 1.0], low, high]))
            edges.append(ends)
            corners.append((np.searchsorted(ends, low), np.searchsorted(ends, high)))
        shape = tuple(len(ends) for ends in edges)
        changes = np.zeros(int(np.prod(shape)))
        for signs in np.ndindex(*(2,) * len(columns)):
            place = np.ravel_multi_index(
                tuple(corner[side] for corner, side in zip(corners, signs, strict=True)), shape
            )
            weights = (-1) ** sum(signs) * self.values * others
            changes += np.bincount(place, weights, len(changes))
        heights = changes.reshape(shape)
        for axis in range(len(columns)):
            heights = np.cumsum(heights, axis=axis)
        inside = tuple(slice(0, -1) for _ in columns)
        return Steps(tuple(edges), heights[inside])


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees on one sample, each without a third of its configurations.

    Attributes:
        n: trials of the sample.
        trees: each trial is left out by a third of them.
        trials_per_tree: how many trials the largest tree was grown on.
    """

    n: int
    trees: tuple[Tree, ...]
    trials_per_tree: int

    def left_out_mean(self, values: Iterator[Floats]) -> Floats:
        """For each trial the mean over the trees that never saw it, shape [n].

        Args:
            values: for each tree, one value for each trial that it left out.
        """
        sums = np.zeros(self.n)
        for tree, found in zip(self.trees, values, strict=True):
            sums[tree.left_out] += found
        return sums / (len(self.trees) // FOLDS)

    def predictions(self, units: Floats) -> Floats:
        """For each trial what the trees that never saw it predict at its row of `units` [n, d]."""
        return self.left_out_mean(tree.predict(units[tree.left_out]) for tree in self.trees)

    def marginals(self, units: Floats, *columns: int) -> Floats:
        """The same for the mean prediction along one hyperparameter, or two."""
        points = np.asarray(units[:, columns], dtype=np.float32).astype(np.float64)
        return self.left_out_mean(
            tree.marginal(*columns).at(points[tree.left_out]) for tree in self.trees
        )


def grow(
    sample: Sample, targets: Floats, *, generator: np.random.Generator, repeats: int = REPEATS
) -> Forest:
    """A forest of `FOLDS` times `repeats` fully grown trees.

    Args:
        sample: at least `FOLDS` configurations.
        targets: shape [n], what to predict, of the order of 1.
        generator: draws the folds and the trees' own seeds.
        repeats: >= 1.
    """
    from sklearn.tree import DecisionTreeRegressor

    assert sample.n_groups >= FOLDS, sample.n_groups
    # scikit-learn works with single precision; so must whatever is compared with its thresholds.
    units = np.asarray(sample.units, dtype=np.float32)
    trees, largest = [], 0
    for _ in range(repeats):
        fold = generator.permutation(sample.n_groups)[sample.groups] % FOLDS
        for out in range(FOLDS):
            seen = np.flatnonzero(fold != out)
            if len(seen) > MOST_TRIALS:
                seen = np.sort(generator.choice(seen, MOST_TRIALS, replace=False))
            model = DecisionTreeRegressor(random_state=int(generator.integers(2**31)))
            model.fit(units[seen], targets[seen], check_input=False)
            low, high, values = _boxes(model.tree_, sample.levels)
            trees.append(Tree(low, high, values, np.flatnonzero(fold == out), model))
            largest = max(largest, len(seen))
    return Forest(sample.n, tuple(trees), largest)


def _boxes(tree: Any, levels: tuple[int | None, ...]) -> tuple[Floats, Floats, Floats]:
    """Edges [L, d] below and above, and values [L], of the leaves of scikit-learn's tree."""
    left, right = tree.children_left, tree.children_right
    feature, threshold = tree.feature, np.array(tree.threshold)
    for column, m in enumerate(levels):
        if m is not None:
            splits = feature == column
            # The number of values below; a value i is at (i + .5) / m.
            threshold[splits] = np.floor(threshold[splits] * m + 0.5) / m
    low = np.zeros((tree.node_count, len(levels)))
    high = np.ones((tree.node_count, len(levels)))
    nodes: npt.NDArray[np.int64] = np.zeros(1, dtype=np.int64)
    while len(nodes := nodes[left[nodes] >= 0]):
        for children, ends in ((left[nodes], high), (right[nodes], low)):
            low[children], high[children] = low[nodes], high[nodes]
            ends[children, feature[nodes]] = threshold[nodes]
        nodes = np.concatenate([left[nodes], right[nodes]])
    leaf = left < 0
    return low[leaf], high[leaf], np.asarray(tree.value[leaf, 0, 0], dtype=np.float64)
