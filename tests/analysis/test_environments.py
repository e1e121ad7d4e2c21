import itertools
import math

import numpy as np
import pytest
from scipy import stats

from hpsuite.analysis.environments import (
    effective_dimension,
    environment_sensitivity,
    percentile_normalised,
    sensitivity_of_picks,
)

# Three settings in two environments: tuned (.9 + .8) / 2, cross max(.5, .65, .6).
TABLE = np.array([[[0.9], [0.5], [0.4]], [[0.1], [0.8], [0.8]]])


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_normalised_scores_have_their_percentiles_at_0_and_1() -> None:
    generator = seeded()
    scores = {"a": generator.normal(5, 3, (2, 40, 3)), "b": generator.normal(2, 1, (2, 25, 3))}
    found = percentile_normalised(scores)
    for environment in range(2):
        pooled = np.concatenate([found[x][environment].mean(axis=1) for x in "ab"])
        assert np.percentile(pooled, [5, 95]) == pytest.approx([0, 1])
    # Another unit in one environment changes nothing.
    unit = np.array([1.0, 100.0])[:, None, None]
    other = percentile_normalised({name: s * unit - 7 for name, s in scores.items()})
    for name in "ab":
        assert other[name] == pytest.approx(found[name])


def test_the_definition_by_hand() -> None:
    found = environment_sensitivity(TABLE)
    assert found.plain_sensitivity == pytest.approx((0.9 + 0.8) / 2 - 0.65)
    assert found.tuned.estimate == pytest.approx(0.85)
    assert found.cross.estimate == pytest.approx(0.65)
    assert (found.best_settings, found.cross_setting) == ((0, 1), 1)
    # One seed does not show its noise.
    assert math.isnan(found.sensitivity.low)
    assert "one seed" in found.sensitivity.method


def test_one_setting_for_all_is_not_sensitive() -> None:
    table = np.array([[[0.9], [0.5]], [[0.7], [0.1]]])
    assert environment_sensitivity(table).plain_sensitivity == 0
    alone = environment_sensitivity(seeded().random((1, 9, 1)))
    assert alone.plain_sensitivity == 0


def test_without_noise_the_interval_is_a_point() -> None:
    found = environment_sensitivity(np.repeat(TABLE, 4, axis=2))
    for interval in (found.sensitivity, found.tuned, found.cross):
        assert interval.low == pytest.approx(interval.high, abs=1e-12)
    assert found.sensitivity.estimate == pytest.approx(0.2)


def test_each_seed_judges_what_the_others_chose() -> None:
    table = seeded(1).normal(size=(2, 5, 3))
    judged = []
    for seed in range(3):
        rest = table[:, :, [s for s in range(3) if s != seed]].mean(axis=2)
        own = table[:, :, seed]
        tuned = np.mean([own[e, rest[e].argmax()] for e in range(2)])
        judged.append(tuned - own[:, rest.mean(axis=0).argmax()].mean())
    mean = table.mean(axis=2)
    plain = mean.max(axis=1).mean() - mean.mean(axis=0).max()
    found = environment_sensitivity(table).sensitivity
    assert found.estimate == pytest.approx((np.mean(judged) + plain) / 2)
    noise = table.var(axis=2, ddof=1)
    cross = mean.mean(axis=0).argmax()
    variance = sum(noise[e, mean[e].argmax()] + noise[e, cross] for e in range(2))
    half = stats.t.isf(0.025, 2 * 2 * 2) * math.sqrt(variance / 3) / 2
    assert found.high == pytest.approx(max(np.mean(judged), plain) + half)
    assert found.low == pytest.approx(min(np.mean(judged), plain) - half)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("apart", [0.0, 1.5])
def test_coverage_of_sensitivity(seeds: int, apart: float) -> None:
    generator, simulations, hits = seeded(2), 200, 0
    for _ in range(simulations):
        x = generator.uniform(-3, 3, 100)
        true = 1 - 0.15 * (x - np.array([[-apart], [0.0], [apart]])) ** 2
        truth = true.max(axis=1).mean() - true.mean(axis=0).max()
        scores = true[..., None] + 0.05 * generator.standard_normal((3, 100, seeds))
        found = environment_sensitivity(scores).sensitivity
        hits += found.low <= truth <= found.high
    assert hits >= stats.binom.ppf(1e-6, simulations, 0.95)


def test_sensitivity_of_picks_is_a_contrast_of_means() -> None:
    tuned, cross = [[0.9, 0.8], [0.7, 0.9]], [[0.6, 0.5], [0.7, 0.8]]
    found = sensitivity_of_picks(tuned, cross)
    assert found.estimate == pytest.approx((0.85 + 0.8 - 0.55 - 0.75) / 2)
    assert found.low < found.estimate < found.high
    assert math.isnan(sensitivity_of_picks([[0.9]], [[0.8]]).low)
    with pytest.raises(ValueError, match="environments of tuned"):
        sensitivity_of_picks([[0.9]], [])


def grid(response) -> tuple[np.ndarray, np.ndarray]:
    """All settings of three hyperparameters in 0..3, and scores [E, n, 1] by response(e, x)."""
    settings = np.array(list(itertools.product(range(4), repeat=3)), dtype=float)
    scores = np.array([[response(e, x) for x in settings] for e in range(4)])
    return settings, scores[:, :, None]


def test_effective_dimension_counts_what_must_be_tuned() -> None:
    names = ["rate", "momentum", "decay"]
    # The best rate is the environment's own, the others' optimum is shared.
    settings, scores = grid(lambda e, x: 1 - 0.1 * abs(x[0] - e) - 0.1 * abs(x[1] - 2))
    found = effective_dimension(scores, settings, names, generator=seeded())
    assert found.dimension == 1
    assert found.tuned[1] == ("rate",)
    assert found.scores == pytest.approx((0.9, 1, 1, 1))
    # A line from .9 at 0 to 1 at 1 reaches .95 halfway.
    assert found.interpolated == pytest.approx(0.5)
    assert found.shares == {}
    settings, scores = grid(lambda e, x: 1 - 0.1 * abs(x[0] - e) - 0.1 * abs(x[1] - e))
    assert effective_dimension(scores, settings, names, generator=seeded()).dimension == 2
    settings, scores = grid(lambda e, x: 1 - 0.1 * abs(x[0] - 1))
    assert effective_dimension(scores, settings, names, generator=seeded()).dimension == 0


def test_effective_dimension_by_brute_force() -> None:
    generator = seeded(3)
    settings = np.array(list(itertools.product([0.1, 0.2], [1, 2, 3], [5, 6])), dtype=float)
    table = generator.random((3, 12, 1)) + 0.5
    found = effective_dimension(table, settings, list("abc"), generator=generator)
    mean = table[:, :, 0]
    anchor = settings[mean.mean(axis=0).argmax()]
    for m in range(4):
        scores = []
        for tuned in itertools.combinations(range(3), m):
            fixed = [i for i in range(3) if i not in tuned]
            usable = [j for j, x in enumerate(settings) if all(x[i] == anchor[i] for i in fixed)]
            scores.append(mean[:, usable].max(axis=1).mean())
        assert found.scores[m] == pytest.approx(max(scores))
    assert found.scores[0] == pytest.approx(mean.mean(axis=0).max())
    assert found.scores[3] == pytest.approx(mean.max(axis=1).mean())


def test_shares_over_resampled_seeds() -> None:
    settings, scores = grid(lambda e, x: 1 - 0.1 * abs(x[0] - e))
    noisy = scores + 0.001 * seeded(4).standard_normal((4, 64, 5))
    found = effective_dimension(noisy, settings, list("abc"), generator=seeded(), resamples=50)
    assert found.shares == {1: 1.0}
    losing = effective_dimension(scores - 5, settings, list("abc"), generator=seeded())
    assert losing.dimension is None
    assert math.isnan(losing.interpolated)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="one algorithm at least"):
        percentile_normalised({})
    with pytest.raises(ValueError, match="one \\(E, s\\)"):
        percentile_normalised({"a": np.ones((2, 3, 1)), "b": np.ones((3, 3, 1))})
    with pytest.raises(ValueError, match="equal 5th and 95th percentiles"):
        percentile_normalised({"a": np.ones((2, 3, 1))})
    for bad in (np.ones((2, 3)), np.full((1, 1, 1), math.nan)):
        with pytest.raises(ValueError, match="normalised must"):
            environment_sensitivity(bad)
    for settings, names, words in (
        (np.zeros((3, 1)), ["a"], "full grid"),
        ([[0.0], [1.0], [1.0]], ["a"], "full grid"),
        ([[0.0], [1.0]], ["a"], r"must be \[n, d\]"),
        ([[0.0], [1.0], [2.0]], [], r"must be \[n, d\]"),
    ):
        with pytest.raises(ValueError, match=words):
            effective_dimension(TABLE, settings, names, generator=seeded())
    with pytest.raises(ValueError, match="resamples must be"):
        effective_dimension(TABLE, [[0.0], [1.0], [2.0]], ["a"], generator=seeded(), resamples=-1)
