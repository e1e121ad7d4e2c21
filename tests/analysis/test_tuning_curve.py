import itertools
import json
import math
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from opda.nonparametric import EmpiricalDistribution
from scipy import special, stats

from hpsuite.analysis import Interval, wilson
from hpsuite.analysis.bands import band_limits
from hpsuite.analysis.tuning_curve import (
    _resampled_curves,
    expected_weights,
    selected_curve,
    trials_needed,
    tuning_curve,
)

Floats = npt.NDArray[np.float64]
SCORES = np.array([0.3, 0.9, 0.5, 0.5, 0.1, 0.9])
TESTS = np.array([0.2, 0.6, 0.4, 0.8, 0.3, 0.7])


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_expected_best_of_k_against_all_subsets_and_all_samples() -> None:
    found = tuning_curve(SCORES, ks=range(1, 7))
    for k in range(1, 7):
        subsets = [max(subset) for subset in itertools.combinations(SCORES, k)]
        samples = [max(sample) for sample in itertools.product(SCORES, repeat=k)]
        assert found.expected[k - 1] == pytest.approx(np.mean(subsets))
        assert found.expected_biased[k - 1] == pytest.approx(np.mean(samples))
        # The median is the lower one, where two are in the middle.
        median = np.sort(samples)[(len(samples) - 1) // 2]
        assert found.median[k - 1] == median


def test_the_unbiased_form_ends_at_n_and_the_biased_one_does_not() -> None:
    found = tuning_curve(SCORES, ks=[6, 7, 1000])
    assert found.expected[0] == 0.9
    assert all(math.isnan(value) for value in found.expected[1:])
    assert found.expected_biased[2] == pytest.approx(0.9)
    # Drawn with replacement, the best of 6 is less than the best.
    assert found.expected_biased[0] < 0.9


def test_weights_are_those_of_the_binomial_coefficients() -> None:
    for n, k in ((1, 1), (7, 3), (50, 50), (60, 13)):
        exact = [special.comb(i - 1, k - 1, exact=True) for i in range(1, n + 1)]
        expected = np.array(exact) / special.comb(n, k, exact=True)
        assert expected_weights(n, k) == pytest.approx(expected, rel=1e-12)
    large = expected_weights(100_000, 64)
    assert large.sum() == pytest.approx(1)
    assert (np.diff(large) >= 0).all()


def test_the_unbiased_form_is_unbiased_and_the_biased_one_is_low() -> None:
    # The expected best of k uniform draws is k / (k + 1).
    samples = np.sort(seeded(1).random((4000, 12)), axis=1)
    for k in (1, 3, 8, 12):
        found = samples @ expected_weights(12, k)
        assert abs(found.mean() - k / (k + 1)) < 5 * found.std() / math.sqrt(4000)
    biased = np.mean([tuning_curve(s, ks=[8]).expected_biased[0] for s in samples[:400]])
    assert biased < 8 / 9 - 0.02


@pytest.mark.parametrize("bands", ["ks", "tight"])
def test_curves_and_bands_are_those_of_opda(bands: str) -> None:
    scores, ks = seeded(2).random(9), np.array([1, 2, 5, 16, 64])
    lower, point, upper = EmpiricalDistribution.confidence_bands(
        scores,
        0.9,
        a=0.0,
        b=1.0,
        generator=seeded(),
        method="ks" if bands == "ks" else "ld_equal_tailed",
        n_jobs=1,
    )
    for of, name in (("median", "quantile_tuning_curve"), ("expected", "average_tuning_curve")):
        found = tuning_curve(
            scores,
            ks=ks,
            bands=bands,
            band_of=of,
            bounds=(0, 1),
            level=0.9,  # type: ignore[arg-type]
        )
        assert found.low == pytest.approx(getattr(upper, name)(ks))
        assert found.high == pytest.approx(getattr(lower, name)(ks))
        assert found.band_of == of
        assert of in found.method
    assert found.median == pytest.approx(point.quantile_tuning_curve(ks))
    assert found.expected_biased == pytest.approx(point.v_tuning_curve(ks))
    assert found.expected[:3] == pytest.approx(point.u_tuning_curve(ks[:3]))


def test_a_band_holds_its_curve_rises_with_k_and_ends_in_the_bounds() -> None:
    scores = np.round(seeded(3).beta(8, 1, 80) * 50) / 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # about ties, for one
        found = tuning_curve(scores, bounds=(0, 1))
    assert found.ks == tuple(range(1, 65))
    for low, middle, high in zip(found.low, found.median, found.high, strict=True):
        assert 0 <= low <= middle <= high <= 1
    for curve in (found.low, found.median, found.high, found.expected, found.expected_biased):
        assert (np.diff(curve) >= -1e-12).all()
    assert found.high[-1] == 1
    unknown = tuning_curve(scores)
    assert unknown.high[-1] == math.inf
    assert unknown.low[-1] == found.low[-1]


def test_an_expected_band_without_bounds_is_infinite() -> None:
    found = tuning_curve(SCORES, ks=[1, 4], band_of="expected")
    assert found.low == (-math.inf, -math.inf)
    assert found.high == (math.inf, math.inf)


def test_one_trial_and_equal_trials() -> None:
    one = tuning_curve([0.7], ks=[1, 2], bounds=(0, 1))
    assert (one.expected[0], one.median, one.low, one.high) == (0.7, (0.7, 0.7), (0, 0), (1, 1))
    equal = tuning_curve(np.full(100, 0.1), bounds=(0, 1))
    assert set(equal.median) == {0.1}
    assert equal.expected == pytest.approx([0.1] * 64)
    assert equal.low[10] == 0.1


def test_the_order_of_the_trials_does_not_matter() -> None:
    scores, tests = seeded(4).random((2, 70))
    order = seeded(5).permutation(70)
    assert tuning_curve(scores, ks=[1, 9]) == tuning_curve(scores[order], ks=[1, 9])
    assert selected_curve(scores, tests, generator=seeded()) == selected_curve(
        scores[order], tests[order], generator=seeded()
    )


def test_tight_limits_are_kept_where_the_caller_says() -> None:
    cache: dict[str, list[list[float]]] = {}
    plain = tuning_curve(SCORES, ks=[1, 3], bands="tight", cache=cache)
    (key,) = cache
    kept = json.loads(json.dumps(cache))
    assert tuning_curve(SCORES, ks=[1, 3], bands="tight", cache=kept) == plain
    # What is found there is used,
    kept[key][0] = [0.0] * 7
    assert tuning_curve(SCORES, ks=[1], bands="tight", cache=kept).high == (math.inf,)
    # unless it is not a band of 6 scores.
    for broken in ([], [[0.0] * 7], [[0.0] * 6, [1.0] * 6], [[0.5] * 7, [0.4] * 7]):
        kept[key] = broken
        assert tuning_curve(SCORES, ks=[1, 3], bands="tight", cache=kept) == plain
        assert kept[key] == cache[key]
    nans = {key: [[math.nan] * 7, [1.0] * 7]}
    assert tuning_curve(SCORES, ks=[1, 3], bands="tight", cache=nans) == plain
    untouched: dict[str, list[list[float]]] = {}
    tuning_curve(SCORES, cache=untouched)
    assert not untouched


@pytest.mark.parametrize(("n", "bands"), [(5, "ks"), (60, "ks"), (5, "tight"), (24, "tight")])
def test_bands_hold_the_whole_distribution_as_often_as_they_promise(n: int, bands: str) -> None:
    simulations = 4000
    lower, upper = band_limits(n, 0.9, bands)  # type: ignore[arg-type]
    # F of a uniform score is the score itself; the limits bind just before and at each step.
    scores = np.sort(seeded(6).random((simulations, n)), axis=1)
    held = ((lower[1:] <= scores) & (scores <= upper[:-1])).all(axis=1).sum()
    # opda's own simulation leaves the level uncertain by about a tenth of 1 - level.
    slack = 0.01 if bands == "tight" else 0
    assert held >= stats.binom.ppf(1e-6, simulations, 0.9 - slack)
    assert held <= stats.binom.isf(1e-6, simulations, 0.9 + slack)


def test_selected_test_score_against_all_subsets() -> None:
    found = selected_curve(SCORES, TESTS, generator=seeded(), ks=range(1, 7))

    def selected(subset: tuple[int, ...]) -> float:
        best = max(SCORES[i] for i in subset)
        return float(np.mean([TESTS[i] for i in subset if SCORES[i] == best]))

    for k in range(1, 7):
        expected = np.mean([selected(s) for s in itertools.combinations(range(6), k)])
        assert found.expected[k - 1] == pytest.approx(expected)
        assert found.low[k - 1] <= expected <= found.high[k - 1]


def test_selecting_by_the_test_score_itself_gives_the_tuning_curve() -> None:
    scores = np.round(seeded(7).random(50) * 20) / 20
    found = selected_curve(scores, scores, generator=seeded(), ks=[1, 5, 50])
    assert found.expected == pytest.approx(tuning_curve(scores, ks=[1, 5, 50]).expected)


def test_bootstrap_curves_are_those_of_all_resamples() -> None:
    val, test = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.3, 0.2, 0.8, 0.6])

    def curve(indices: tuple[int, ...], k: int) -> float:
        drawn = [
            np.mean([test[i] for i in sample if val[i] == max(val[j] for j in sample)])
            for sample in itertools.product(indices, repeat=k)
        ]
        return float(np.mean(drawn))

    starts = np.array([0, 1, 3])
    drawn = _resampled_curves(test, starts, [3, 1], seeded(), 40_000)
    for column, k in ((0, 3), (1, 1)):
        # Trials of equal scores share evenly: of a sample that holds both, and of the weights.
        exact = np.array([curve(s, k) for s in itertools.product(range(4), repeat=4)])
        assert drawn[:, column].mean() == pytest.approx(exact.mean(), abs=0.004)
        assert drawn[:, column].std() == pytest.approx(exact.std(), rel=0.05)


def test_selected_curve_beyond_n_and_of_one_trial() -> None:
    found = selected_curve(SCORES, TESTS, generator=seeded(), ks=[6, 7])
    assert math.isfinite(found.low[0])
    for curve in (found.expected, found.low, found.high):
        assert math.isnan(curve[1])
    one = selected_curve([0.5], [0.4], generator=seeded(), ks=[1, 2])
    assert one.expected[0] == 0.4
    assert math.isnan(one.low[0])
    assert one.method == "one trial: no interval"


@pytest.mark.parametrize("simulations", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_selected_curve_covers_the_truth(simulations: int) -> None:
    # Validation is uniform, and test is validation plus noise: what is selected scores k / (k + 1).
    generator, ks = seeded(8), np.array([1, 4, 16, 64])
    covered = np.zeros(4)
    for _ in range(simulations):
        val = generator.random(64)
        test = val + 0.1 * generator.standard_normal(64)
        found = selected_curve(val, test, generator=generator, ks=ks, resamples=200)
        truth = ks / (ks + 1)
        covered += (np.array(found.low) <= truth) & (truth <= np.array(found.high))
    assert (covered >= stats.binom.ppf(1e-6, simulations, 0.93)).all(), covered


@pytest.mark.parametrize("share", [0.001, 0.02, 0.2, 0.5, 0.94, 0.97])
@pytest.mark.parametrize("chance", [0.5, 0.95])
def test_trials_needed_are_the_fewest_that_suffice(share: float, chance: float) -> None:
    found = trials_needed(Interval(share, share / 2, share, 0.95, ""), chance)
    assert 1 - (1 - share) ** found.estimate >= chance
    assert found.estimate == 1 or 1 - (1 - share) ** (found.estimate - 1) < chance
    assert found.low == found.estimate <= found.high


def test_trials_needed_at_the_ends() -> None:
    assert trials_needed(wilson(0, 50)).estimate == math.inf
    assert trials_needed(wilson(0, 50)).high == math.inf
    assert math.isfinite(trials_needed(wilson(0, 50)).low)
    assert (trials_needed(wilson(50, 50)).estimate, trials_needed(wilson(50, 50)).low) == (1, 1)
    # ln .05 / ln .05 is 1 but for rounding.
    assert trials_needed(Interval(0.95, 0.95, 0.95, 0.95, "")).estimate == 1
    nan = trials_needed(Interval(0.5, math.nan, math.nan, 0.95, "none"))
    assert (nan.estimate, math.isnan(nan.low), math.isnan(nan.high)) == (5, True, True)
    for chance in (0, 1, math.nan):
        with pytest.raises(ValueError, match="chance must be"):
            trials_needed(wilson(1, 2), chance)
    with pytest.raises(ValueError, match="good_fraction must be"):
        trials_needed(Interval(1.2, 0.5, 1.3, 0.95, ""))


def test_bad_arguments_are_refused() -> None:
    for scores in ([], [math.nan], [math.inf], [[0.5]]):
        with pytest.raises(ValueError, match="scores must"):
            tuning_curve(scores)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="scores must"):
            selected_curve(scores, [0.5], generator=seeded())  # type: ignore[arg-type]
    for ks in ([], [0], [1.5], [-1]):
        with pytest.raises(ValueError, match="ks must be"):
            tuning_curve([0.5], ks=ks)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="within bounds"):
        tuning_curve([97.0], bounds=(0, 1))
    with pytest.raises(ValueError, match="bands must be"):
        tuning_curve([0.5], bands="dkw")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="band_of must be"):
        tuning_curve([0.5], band_of="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level must be"):
        tuning_curve([0.5], level=95)
    with pytest.raises(ValueError, match="tests must have as many"):
        selected_curve([0.5], [0.5, 0.6], generator=seeded())
    with pytest.raises(ValueError, match="resamples must be"):
        selected_curve([0.5, 0.6], [0.5, 0.6], generator=seeded(), resamples=1)
    with pytest.raises(ValueError, match="n must be"):
        band_limits(0, 0.95, "ks")


@pytest.mark.slow
@pytest.mark.parametrize("of", ["median", "expected"])
@pytest.mark.parametrize("bands", ["ks", "tight"])
def test_bands_hold_the_whole_curve(bands: str, of: str) -> None:
    # Of uniform scores the median best of k is .5^(1/k), and the expected one k / (k + 1).
    generator, simulations, ks = seeded(9), 1000, np.arange(1, 65)
    truth = 0.5 ** (1 / ks) if of == "median" else ks / (ks + 1)
    held = 0
    for _ in range(simulations):
        found = tuning_curve(
            generator.random(64),
            bands=bands,  # type: ignore[arg-type]
            band_of=of,  # type: ignore[arg-type]
            bounds=(0, 1),
        )
        held += bool(((np.array(found.low) <= truth) & (truth <= np.array(found.high))).all())
    assert held >= stats.binom.ppf(1e-6, simulations, 0.945)


def test_the_band_of_accuracies_stays_within_0_and_1() -> None:
    rng = np.random.default_rng(0)
    scores = np.clip(rng.normal(0.97, 0.05, 24), 0, 1)
    tests = np.clip(scores + rng.normal(0, 0.02, 24), 0, 1)
    ks = range(1, 25)
    free = selected_curve(scores, tests, generator=np.random.default_rng(1), ks=ks)
    assert max(free.high) > 1
    held = selected_curve(
        scores, tests, generator=np.random.default_rng(1), ks=ks, bounds=(0.0, 1.0)
    )
    assert held.expected == free.expected
    assert held.high == tuple(min(1.0, v) for v in free.high)
    assert held.low == tuple(max(0.0, v) for v in free.low)
