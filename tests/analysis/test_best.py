import math

import numpy as np
import numpy.typing as npt
import pytest

from hpsuite.analysis import best_level, estimate_best
from hpsuite.analysis.best import n_best, pooled_noise

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_plain_mean_is_named_as_such_with_its_noise_and_bias() -> None:
    scores = seeded(1).beta(8, 1, 256)
    found = estimate_best(scores, generator=seeded())
    assert found.value == best_level(scores)
    assert found.rule == (
        "plain mean of the best 4% (10 of 256 trials), not retrained: biased upwards"
    )
    assert (found.n, found.n_retrained, found.seeds, found.retrained) == (256, 0, 0, False)
    assert math.isnan(found.standard_error)
    assert found.noise_sd == 0.005
    assert found.bias > 0
    assert estimate_best(scores, generator=seeded(), noise_sd=0).bias == 0


@pytest.mark.parametrize("n", [16, 64, 256])
def test_the_stated_bias_of_a_flat_space_is_its_bias(n: int) -> None:
    # All configurations are equally good, so that b* is .9 and all above it is luck.
    generator = seeded(2)
    found = [
        estimate_best(0.9 + 0.01 * generator.standard_normal(n), generator=generator, noise_sd=0.01)
        for _ in range(400)
    ]
    luck = np.array([f.value - 0.9 for f in found])
    stated = np.array([f.bias for f in found])
    error = math.sqrt((luck.var() + stated.var()) / len(found))
    assert abs(luck.mean() - stated.mean()) < 5 * error + 0.03 * luck.mean()


def test_retrained_scores_of_just_the_best_are_averaged() -> None:
    scores = np.linspace(0.5, 0.9, 80)
    fresh = np.array([[0.90, 0.92], [0.80, 0.82], [0.85, 0.85]])
    found = estimate_best(scores, fresh, generator=seeded())
    assert found.value == pytest.approx(fresh.mean())
    assert found.rule == "mean of the best 4% of 80 trials, retrained: 3, by 2 fresh seeds each"
    assert (found.n, found.n_retrained, found.seeds, found.bias) == (80, 3, 2, 0)
    # Variances .0002, .0002, 0; the median of chi-squared with one degree of freedom is .4549.
    assert found.noise_sd == pytest.approx(math.sqrt(0.0002 / 0.4549364))
    assert found.standard_error == pytest.approx(found.noise_sd / math.sqrt(6))


def test_of_a_longer_shortlist_the_best_by_fresh_seeds_are_averaged() -> None:
    # One of three diverges with one of its seeds: the best 4% of 80 are the others, and a third.
    fresh = np.array([[0.97, 0.95], [0.1, 0.98], [0.9, 0.9], [0.93, 0.93]])
    found = estimate_best(np.linspace(0.5, 0.9, 80), fresh, generator=seeded())
    assert found.value == pytest.approx(np.mean([0.96, 0.9, 0.93]))
    assert "the best 3 of 4 by 2 fresh seeds" in found.rule
    # What fell far behind could not have been chosen by luck.
    assert found.bias == 0


def test_the_order_of_configurations_and_seeds_does_not_matter() -> None:
    generator = seeded(3)
    scores, fresh = generator.random(100), generator.random((8, 3))
    mixed = generator.permuted(fresh, axis=1)[generator.permutation(8)]
    assert estimate_best(scores, fresh, generator=seeded()) == estimate_best(
        generator.permutation(scores), mixed, generator=seeded()
    )


def test_pooled_noise_is_that_of_the_seeds_and_takes_no_notice_of_a_few_that_diverge() -> None:
    fresh = 0.9 + 0.01 * seeded(4).standard_normal((4000, 3))
    assert pooled_noise(fresh) == pytest.approx(0.01, rel=0.05)
    fresh[:400, 0] = 0.1
    assert pooled_noise(fresh) == pytest.approx(0.01, rel=0.15)
    assert pooled_noise(np.full((3, 2), 0.1)) == 0


def landscape(x: Floats, generator: np.random.Generator, *shape: int) -> Floats:
    """Scores of configurations x [R, n], uniform: flat for a tenth, then falling; noise .01."""
    expected = 0.9 - 0.2 * np.maximum(0, x - 0.1)
    return expected[..., *[None] * len(shape)] + 0.01 * generator.standard_normal(x.shape + shape)


@pytest.mark.parametrize("times", [1, 2])
def test_fresh_seeds_take_the_luck_away(times: int) -> None:
    generator, n, seeds = seeded(5), 256, 5
    x = generator.random((300, n))
    scores = landscape(x, generator)
    chosen = np.argsort(-scores, axis=1)[:, : times * n_best(n)]
    fresh = landscape(np.take_along_axis(x, chosen, axis=1), generator, seeds)
    plain = np.mean([best_level(s) for s in scores]) - 0.9
    found = [estimate_best(s, f, generator=generator) for s, f in zip(scores, fresh, strict=True)]
    again = np.mean([f.value for f in found]) - 0.9
    # The best ten of some forty that are about equal gain more than a standard deviation.
    assert plain > 0.01
    assert abs(again) < 0.0035
    assert np.mean([f.noise_sd for f in found]) == pytest.approx(0.01, rel=0.05)


def test_scores_may_have_any_unit() -> None:
    generator = seeded(6)
    scores, fresh = generator.random(64), generator.random((6, 3))
    # Powers of two and differences that are exact in binary.
    for again in (None, fresh):
        plain = estimate_best(scores, again, generator=seeded())
        scaled = estimate_best(
            64 * scores,
            None if again is None else 64 * again,
            generator=seeded(),
            unit=0.64,
        )
        assert scaled.value == 64 * plain.value
        assert scaled.noise_sd == pytest.approx(64 * plain.noise_sd)
        assert scaled.bias == pytest.approx(64 * plain.bias)
    assert estimate_best([-3.5, -2.0], generator=seeded(), unit=1.0).value == -2.0
    assert estimate_best([-3.5, -2.0], generator=seeded(), unit=1.0).noise_sd == 0.5


@pytest.mark.parametrize(
    ("retrained", "message"),
    [
        ([[0.5, 0.5]], "retrained must have 3 to 80 configurations of 80; found 1"),
        (np.full((81, 2), 0.5), "found 81"),
        (np.full((3, 1), 0.5), "at least 2 seeds a configuration; found 1"),
        (np.full(3, 0.5), "retrained must have 2 axes"),
        (np.full((3, 2), math.nan), "retrained must be accuracies"),
    ],
)
def test_bad_retrained_scores_are_refused(retrained: Floats, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_best(np.full(80, 0.5), retrained, generator=seeded())


def test_other_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="noise_sd is measured where retrained is given"):
        estimate_best([0.5], [[0.5, 0.5]], generator=seeded(), noise_sd=0.1)
    with pytest.raises(ValueError, match="noise_sd must be >= 0 and finite; found inf"):
        estimate_best([0.5], generator=seeded(), noise_sd=math.inf, unit=1.0)
    for unit in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="unit must be finite"):
            estimate_best([0.5], generator=seeded(), unit=unit)
        with pytest.raises(ValueError, match="unit must be finite"):
            best_level([0.5], unit=unit)
    with pytest.raises(ValueError, match=r"scores must be finite .* found 1 others, the first nan"):
        best_level([1.0, math.nan], unit=1.0)
