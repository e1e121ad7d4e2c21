import math

import pytest

from hpsuite.analysis.sample import checked_names, checked_sample


def test_trials_are_sorted_by_score_then_by_units() -> None:
    found = checked_sample([[0.2, 0.1], [0.9, 0.5], [0.2, 0.0], [0.3, 0.3]], [1, 2, 1, 3])
    assert found.scores.tolist() == [3, 2, 1, 1]
    assert found.units.tolist() == [[0.3, 0.3], [0.9, 0.5], [0.2, 0.0], [0.2, 0.1]]
    assert (found.n, found.d, found.n_groups) == (4, 2, 4)


def test_trials_of_one_configuration_are_a_group() -> None:
    units = [[0.5, 0.25], [0.1, 0.75], [0.5, 0.25], [0.2, 0.25]]
    found = checked_sample(units, [1, 3, 2, 0])
    assert found.groups.tolist() == [0, 1, 1, 2]
    assert found.group_units.tolist() == [[0.1, 0.75], [0.5, 0.25], [0.2, 0.25]]
    # Where all have few values, equal trials are no repeats.
    found = checked_sample([[0.25], [0.75], [0.25]], [1, 3, 2], [2])
    assert found.groups.tolist() == [0, 1, 2]
    assert found.levels == (2,)


def test_many_values_or_uneven_ones_are_continuous() -> None:
    column = [[0.25], [0.75], [0.25]]
    assert checked_sample(column, [1, 2, 3], [2]).levels == (2,)
    assert checked_sample(column, [1, 2, 3], [200]).levels == (None,)
    # Integers on a log scale are not in the middle of equal cells.
    assert checked_sample([[0.0], [0.63], [1.0]], [1, 2, 3], [3]).levels == (None,)


def test_varying_says_which_hyperparameters_have_more_than_one_value() -> None:
    assert checked_sample([[0.1, 0.5], [0.2, 0.5]], [0, 1]).varying().tolist() == [True, False]


@pytest.mark.parametrize("units", [[], [[]], [0.5], [[1.1]], [[math.nan]], [[-0.1]]])
def test_units_outside_the_cube_are_refused(units: list[object]) -> None:
    with pytest.raises(ValueError, match="units must"):
        checked_sample(units, [1.0])  # type: ignore[arg-type]


def test_other_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        checked_sample([[0.5]], [math.nan])
    with pytest.raises(ValueError, match="as many trials"):
        checked_sample([[0.5]], [1, 2])
    for levels in ([2, 2], [0]):
        with pytest.raises(ValueError, match="levels must be"):
            checked_sample([[0.5]], [1], levels)
    assert checked_names(["a", "b"], 2) == ("a", "b")
    for names in (["a"], ["a", "a"], "ab"):
        with pytest.raises(ValueError, match="names must be"):
            checked_names(names, 2)
