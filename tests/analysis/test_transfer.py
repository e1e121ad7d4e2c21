import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.fractions import fieller
from hpsuite.analysis.intervals import welch
from hpsuite.analysis.picks import costs_of_picks
from hpsuite.analysis.transfer import transfer_costs


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def peaks(n: int, optima: dict[str, float], seeds: int, noise: float, seed: int = 0):
    """Scores [n, s] of n configurations x on setups 1 - (x - optimum)^2, and the x."""
    generator = seeded(seed)
    x = generator.uniform(-1, 1, n)
    return {
        name: (1 - (x - best) ** 2)[:, None] + noise * generator.standard_normal((n, seeds))
        for name, best in optima.items()
    }, x


def test_costs_without_noise_are_those_of_the_tops() -> None:
    scores, _ = peaks(100, {"a": 0.0, "b": 0.4, "c": 0.5}, 1, 0.0)
    table = {name: s[:, 0] for name, s in scores.items()}
    found = transfer_costs(table, generator=seeded(), resamples=10)
    tops = {name: np.argsort(s)[-4:] for name, s in table.items()}
    for (on, to), cost in found.costs.items():
        expected = table[to][tops[to]].mean() - table[to][tops[on]].mean()
        assert cost.estimate == pytest.approx(expected), (on, to)
    assert set(found.costs) == {(a, b) for a in "abc" for b in "abc" if a != b}
    for name in "abc":
        others = [found.costs[o, name].estimate for o in "abc" if o != name]
        assert found.staleness[name].estimate == pytest.approx(np.mean(others))
        gain = table[name][tops[name]].mean() - np.median(table[name])
        assert found.relative_staleness[name].estimate == pytest.approx(np.mean(others) / gain)
    # b and c have nearly one optimum, a is apart.
    assert found.costs["b", "c"].estimate < found.costs["a", "c"].estimate / 5


def test_each_seed_judges_what_the_others_chose() -> None:
    scores, _ = peaks(50, {"a": 0.0, "b": 0.4}, 3, 0.2)
    found = transfer_costs(scores, generator=seeded(), resamples=10)
    costs = []
    for seed in range(3):
        rest = [s for s in range(3) if s != seed]
        top_a, top_b = (np.argsort(scores[x][:, rest].mean(axis=1))[-2:] for x in "ab")
        costs.append((scores["b"][top_b, seed] - scores["b"][top_a, seed]).mean())
    assert found.costs["a", "b"].estimate == pytest.approx(np.mean(costs))


def test_selection_does_not_flatter() -> None:
    # The same setup twice, all configurations alike: the cost is 0, whatever the noise.
    estimates, plain = [], []
    for seed in range(200):
        noise = seeded(seed).standard_normal((2, 60, 2))
        scores = {"a": noise[0], "b": noise[1]}
        found = transfer_costs(scores, generator=seeded(), resamples=2)
        estimates.append(found.costs["a", "b"].estimate)
        one = {name: s[:, 0] for name, s in scores.items()}
        plain.append(transfer_costs(one, generator=seeded(), resamples=2).costs["a", "b"].estimate)
    error = np.std(estimates) / math.sqrt(200)
    assert abs(np.mean(estimates)) < 5 * error
    # One seed is flattered by the mean of the two best of 60 normals, about 2.1.
    assert np.mean(plain) > 1.9


def test_one_seed_gives_an_upper_bound() -> None:
    scores, _ = peaks(100, {"a": 0.0, "b": 0.4}, 1, 0.05)
    found = transfer_costs(scores, generator=seeded())
    for interval in (*found.costs.values(), *found.staleness.values()):
        assert interval.low == min(0.0, interval.estimate)
        assert "one seed" in interval.method
    # With b from fresh seeds it has both ends.
    best = {"a": (1.0, 0.01), "b": (1.0, 0.01)}
    given = transfer_costs(scores, generator=seeded(), best=best)
    top = np.argsort(scores["a"][:, 0])[-4:]
    cost = given.costs["a", "b"]
    assert cost.estimate == pytest.approx(1.0 - scores["b"][top, 0].mean())
    assert cost.low > 0
    wider = transfer_costs(scores, generator=seeded(), best={"a": (1.0, 1.0), "b": (1.0, 1.0)})
    assert wider.costs["a", "b"].low < cost.low - 1


def test_ties_for_the_last_place_share_it_whatever_their_order() -> None:
    # On a lattice many tie: the estimate is the mean over all ways to choose.
    a = np.array([3.0] * 3 + [2.0] * 47)
    b = np.arange(50.0)
    table = {"a": a, "b": b}
    found = transfer_costs(table, generator=seeded(), resamples=5, top_share=0.04)
    # Two of the first three are chosen on a: 1 on average on b, whose best two are 48.5.
    assert found.costs["a", "b"].estimate == pytest.approx(47.5)
    order = seeded(1).permutation(50)
    turned = transfer_costs(
        {"b": b[order], "a": a[order]}, generator=seeded(), resamples=5, top_share=0.04
    )
    assert turned == found


def test_fieller_by_its_definition() -> None:
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    for cost in (-1.0, 0.0, 0.7, 3.0):
        low, high = fieller(cost, 2.0, covariance, 2.1)
        assert low <= cost / 2 <= high
        for r in (low, high):
            spread = 0.04 - 2 * r * 0.01 + r * r * 0.09
            assert (cost - 2 * r) ** 2 == pytest.approx(2.1**2 * spread)
    assert math.isnan(fieller(1.0, 0.5, covariance, 2.1)[0])
    assert math.isnan(fieller(1.0, -2.0, covariance, 2.1)[0])


def test_where_tuning_gains_nothing_relative_staleness_is_not_computable() -> None:
    noise = seeded(2).standard_normal((2, 80, 2))
    found = transfer_costs({"a": noise[0], "b": noise[1]}, generator=seeded())
    for interval in found.relative_staleness.values():
        assert math.isnan(interval.estimate)
        assert "not computable: the gain of tuning" in interval.method


def test_a_single_choice_has_no_interval() -> None:
    scores, _ = peaks(20, {"a": 0.0, "b": 0.4}, 2, 0.1)
    found = transfer_costs(scores, generator=seeded())
    assert math.isfinite(found.costs["a", "b"].estimate)
    assert math.isnan(found.costs["a", "b"].high)
    assert "one configuration" in found.relative_staleness["a"].method
    one = transfer_costs({"a": [1.0], "b": [2.0]}, generator=seeded())
    assert one.costs["a", "b"].estimate == 0


def test_coverage_of_costs() -> None:
    # The best 4% on a, |x| < .04, costs .4^2 + the mean of x^2 there, less b's own such mean.
    generator, simulations, hits = seeded(3), 150, 0
    for seed in range(simulations):
        scores, _ = peaks(256, {"a": 0.0, "b": 0.4}, 2, 0.02, seed)
        cost = transfer_costs(scores, generator=generator, resamples=200).costs["a", "b"]
        hits += cost.low <= 0.16 <= cost.high
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.93)


def test_costs_of_picks_are_differences_of_fresh_scores() -> None:
    generator = seeded(4)
    scores = {(a, b): generator.normal(a == b, 1, 6) for a in "xyz" for b in "xyz"}
    found = costs_of_picks(scores, paired=True)
    difference = scores["x", "x"] - scores["y", "x"]
    expected = stats.t.interval(0.95, 5, difference.mean(), difference.std(ddof=1) / math.sqrt(6))
    cost = found.costs["y", "x"]
    assert (cost.low, cost.high) == pytest.approx(expected)
    both = found.costs["y", "x"].estimate + found.costs["z", "x"].estimate
    assert found.staleness["x"].estimate == pytest.approx(both / 2)
    assert found.relative_staleness == {}
    unpaired = costs_of_picks(scores, paired=False).costs["y", "x"]
    assert unpaired.low == pytest.approx(welch(scores["x", "x"], scores["y", "x"]).low)
    single = costs_of_picks({route: s[:1] for route, s in scores.items()}, paired=True)
    assert math.isnan(single.staleness["x"].low)


BAD = [
    ({}, "two setups or more"),
    ({"a": [1.0]}, "two setups or more"),
    ({"a": [1.0], "b": [1.0, 2.0]}, "of one shape"),
    ({"a": [], "b": []}, "not empty"),
    ({"a": [math.nan], "b": [1.0]}, "finite"),
]


@pytest.mark.parametrize(("scores", "words"), BAD)
def test_bad_scores_are_refused(scores: dict[str, list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        transfer_costs(scores, generator=seeded())


def test_bad_arguments_are_refused() -> None:
    scores = {"a": [1.0, 2.0], "b": [1.0, 2.0]}
    for arguments, words in (
        ({"top_share": 0}, "top_share must be"),
        ({"resamples": 1}, "resamples must be"),
        ({"level": 1}, "level must be"),
        ({"best": {"a": (1, 1)}}, "best must have the setups"),
        ({"best": {"a": (1, -1), "b": (1, 1)}}, "standard error of the best of a"),
        ({"best": {"a": (math.nan, 1), "b": (1, 1)}}, "best of a must be"),
    ):
        with pytest.raises(ValueError, match=words):
            transfer_costs(scores, generator=seeded(), **arguments)
    with pytest.raises(ValueError, match="missing"):
        costs_of_picks({("a", "b"): [1.0], ("a", "a"): [1.0]}, paired=True)
    with pytest.raises(ValueError, match="two setups"):
        costs_of_picks({("a", "a"): [1.0]}, paired=True)
    routes = {(a, b): [1.0] * (1 + (a == "y")) for a in "xy" for b in "xy"}
    with pytest.raises(ValueError, match="as many where paired"):
        costs_of_picks(routes, paired=True)
