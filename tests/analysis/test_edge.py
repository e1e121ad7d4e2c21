import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from hpsuite.analysis.edge import Edge, edges

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def of(units: Floats, scores: Floats, **more: object) -> tuple[Edge, ...]:
    d = units.shape[1]
    arguments = {"names": "abcdef"[:d], "levels": [None] * d, **more}
    return edges(units, scores, **arguments)  # type: ignore[arg-type]


def test_an_optimum_at_an_end_is_found_there_and_one_inside_is_not() -> None:
    units = seeded(1).random((256, 2))
    for at, side in ((0.0, "low"), (0.98, "high"), (0.5, None)):
        scores = -((units - [at, 0.5]) ** 2).sum(axis=1)
        found = of(units, scores)
        assert [(edge.name, edge.side) for edge in found] == [("a", side), ("b", None)]
        assert found[0].n_top == 26
        assert found[0].reason == ""
    assert found[0].low_share == found[0].high_share == 0


def test_mirrored_ranges_have_mirrored_edges() -> None:
    units = seeded(2).random((128, 2))
    scores = -units[:, 0]
    plain, mirrored = of(units, scores)[0], of(1 - units, scores)[0]
    assert (plain.side, mirrored.side) == ("low", "high")
    assert (plain.p_low, plain.low_share) == (mirrored.p_high, mirrored.high_share)


def test_p_values_are_fishers() -> None:
    units = seeded(3).random((200, 1))
    scores = np.sin(9 * units[:, 0])
    top = scores >= np.sort(scores)[180]
    part = np.minimum((5 * units[:, 0]).astype(int), 4)

    def p_value(at: int, by: int) -> float:
        table = [[int((top[part == k] == good).sum()) for good in (True, False)] for k in (at, by)]
        return float(stats.fisher_exact(table, alternative="greater").pvalue)

    found = of(units, scores)[0]
    assert found.p_low == pytest.approx(p_value(0, 1))
    assert found.p_high == pytest.approx(p_value(4, 3))


def test_the_best_in_the_inner_half_of_the_outer_part_is_not_at_the_end() -> None:
    units = np.linspace(0, 1, 400)[:, None]
    # All of the best tenth lie between .1 and .2.
    assert of(units, -np.abs(units[:, 0] - 0.15))[0].side is None
    assert of(units, -np.abs(units[:, 0] - 0.02))[0].side == "low"


def test_few_values_are_taken_one_by_one() -> None:
    units = (np.arange(300) % 3 + 0.5)[:, None] / 3
    noise = seeded(4).random(300)
    found = of(units, np.where(units[:, 0] < 0.3, 1 + noise, noise), levels=[3])[0]
    assert (found.side, found.low_share) == ("low", 1)
    assert of(units, np.where(units[:, 0] < 0.3, 0, 1 + noise), levels=[3])[0].side is None


def test_what_has_no_edge_says_why() -> None:
    units = seeded(5).random((100, 3))
    units[:, 2] = 0.5
    found = of(units, units[:, 0], ordered=[True, False, True])
    assert (found[0].side, found[0].reason) == ("high", "")
    assert (found[1].side, found[1].reason) == (None, "a choice has no order")
    assert (found[2].side, found[2].reason) == (None, "fewer than 3 values")
    assert math.isnan(found[1].p_low)
    for equal in of(units[:, :2], np.full(100, 0.1)):
        assert (equal.side, equal.n_top) == (None, 100)
        assert equal.reason == "more than half of the trials are as good as the best tenth"
    assert of(np.array([[0.5]]), np.array([1.0]))[0].reason == "fewer than 3 values"


def test_the_order_of_the_trials_does_not_matter() -> None:
    units = seeded(6).random((90, 2))
    scores, order = -units[:, 0], seeded(7).permutation(90)
    assert of(units, scores) == of(units[order], scores[order])


@pytest.mark.parametrize("simulations", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_flat_space_and_an_optimum_inside_rarely_raise_a_false_alarm(simulations: int) -> None:
    generator = seeded(8)
    flat = inside = found = 0
    for _ in range(simulations):
        units = generator.random((128, 3))
        noise = 0.005 * generator.standard_normal(128)
        peak = 0.02 * ((units[:, :1] - [[0.0, 0.3]]) / 0.3) ** 2
        flat += any(edge.side for edge in of(units, noise))
        inside += any(edge.side for edge in of(units, noise - peak[:, 1]))
        found += of(units, noise - peak[:, 0])[0].side == "low"
    most = stats.binom.isf(1e-6, simulations, 0.05)
    assert max(flat, inside) <= most
    assert found > simulations / 2


@pytest.mark.parametrize(
    ("units", "more", "message"),
    [
        (np.array([0.5, 0.6]), {}, r"units must be \[n, d\]"),
        (np.array([[1.5], [0.5]]), {}, r"units must be \[n, d\] in \[0, 1\]"),
        (np.array([[math.nan], [0.5]]), {}, "units must be"),
        (np.array([[0.5]]), {}, "units must have as many trials"),
        (np.array([[0.5], [0.6]]), {"levels": []}, "levels must have one entry for each of 1"),
        (np.array([[0.5], [0.6]]), {"ordered": [True] * 2}, "ordered must have one entry"),
        (np.array([[0.5], [0.6]]), {"level": 95}, "level must be"),
    ],
)
def test_bad_arguments_are_refused(units: Floats, more: dict[str, object], message: str) -> None:
    arguments = {"names": ["a"], "levels": [None], **more}
    with pytest.raises(ValueError, match=message):
        edges(units, [0.1, 0.2], **arguments)  # type: ignore[arg-type]


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        of(np.array([[0.5]]), np.array([1.0]))[0].side = "low"  # type: ignore[misc]
