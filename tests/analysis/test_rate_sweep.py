import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from hpsuite.analysis import Interval
from hpsuite.analysis.rate_sweep import RateSweep, rate_sweep, sampled_width

Floats = npt.NDArray[np.float64]
LADDER = np.round(np.arange(-4, 1.0001, 0.2), 6)


def seeds(curve: Sequence[float] | Floats, count: int = 5) -> Floats:
    """The same curve for every seed."""
    return np.repeat(np.asarray(curve, dtype=float)[:, None], count, axis=1)


def of(x: Floats, curve: Floats, margin: float, **more: object) -> RateSweep:
    return rate_sweep(10**x, seeds(curve), margins=[margin], **more)  # type: ignore[arg-type]


def decades(interval: Interval) -> tuple[float, float, float]:
    return tuple(math.log10(v) for v in (interval.estimate, interval.low, interval.high))  # type: ignore[return-value]


def test_wortsmans_sensitivity_of_a_synthetic_curve() -> None:
    # Losses |x + 1| + .5 at 1e-3 to 1 are 2.5, 1.5, .5, 1.5; capped at 1.5, their mean over the
    # three decades is (1.5 + 1 + 1) / 3, and the best is .5.
    losses = seeds([2.5, 1.5, 0.5, 1.5])
    scores = seeds([0.1, 0.5, 0.9, 0.7])
    found = rate_sweep([1e-3, 1e-2, 1e-1, 1], scores, losses=losses, initial_loss=1.5)
    assert found.sensitivity_nats.estimate == pytest.approx(3.5 / 3 - 0.5)
    # Means of .1 and .5, .5 and .9, .9 and .7 are .3, .7 and .8.
    assert found.sensitivity.estimate == pytest.approx(0.9 - 1.8 / 3)
    # Seeds that agree leave the error of the cliff alone: 1 of 7 at the steepest step.
    half = stats.t.isf(0.025, 4) * math.sqrt((0.4 / 3) ** 2 * 6 / 49 / 5)
    assert found.sensitivity.high == pytest.approx(0.3 + half)


def test_a_loss_that_is_not_finite_counts_as_the_loss_at_initialisation() -> None:
    rates, scores = [1e-3, 1e-2, 1e-1], seeds([0.1, 0.9, 0.1])
    plain = rate_sweep(rates, scores, losses=seeds([2.0, 0.5, 2.0]), initial_loss=2.0)
    for lost in (math.nan, math.inf, 77.0):
        found = rate_sweep(rates, scores, losses=seeds([lost, 0.5, lost]), initial_loss=[2.0] * 5)
        assert found.sensitivity_nats == plain.sensitivity_nats
    moved = rate_sweep(rates, scores, losses=seeds([3.0, 1.5, 3.0]), initial_loss=3.0)
    assert moved.sensitivity_nats.estimate == pytest.approx(plain.sensitivity_nats.estimate)
    without = rate_sweep(rates, scores).sensitivity_nats
    assert math.isnan(without.estimate)
    assert without.method == "losses were not given"


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03, 0.05])
def test_the_width_of_a_tent_is_where_its_sides_cross_the_line(margin: float) -> None:
    curve = 0.9 - 0.1 * np.abs(LADDER + 1)
    found = of(LADDER, curve, margin)
    width = found.widths[margin]
    assert found.best_rate == pytest.approx(0.1)
    assert found.best.estimate == pytest.approx(0.9)
    if margin < 0.02:
        # It falls by .02 in the step beside the best: the edges are in the middles.
        assert width.width.estimate == pytest.approx(0.2)
    else:
        assert width.width.estimate == pytest.approx(2 * margin / 0.1)
        assert decades(width.lower_edge)[0] == pytest.approx(-1 - margin / 0.1)
        assert decades(width.upper_edge)[0] == pytest.approx(-1 + margin / 0.1)
    assert (width.censored_low, width.censored_high, width.islands) == (False, False, 1)
    assert width.good_decades == pytest.approx(width.width.estimate)
    assert width.width.low <= width.width.estimate <= width.width.high


def test_at_a_cliff_the_edge_is_the_middle_of_the_step_and_may_be_anywhere_in_it() -> None:
    curve = np.where(LADDER <= -1, 0.9, 0.1)
    width = of(LADDER, curve, 0.02).widths[0.02]
    assert width.censored_low
    assert not width.censored_high
    assert decades(width.upper_edge) == pytest.approx((-0.9, -1.0, -0.8))
    assert decades(width.lower_edge)[0] == -4
    assert width.width.estimate == pytest.approx(3.1)
    assert (width.width.low, width.width.high) == pytest.approx((3.0, 3.2))


def test_a_flat_curve_is_as_wide_as_its_range_and_censored_at_both_ends() -> None:
    x = np.arange(-3.4, 0.01, 0.2)
    found = of(x, np.full(len(x), 0.1), 0.02)
    width = found.widths[0.02]
    # This is what a setup that never trains looks like.
    assert width.width.estimate == width.good_decades == pytest.approx(3.4)
    assert (width.censored_low, width.censored_high, width.islands) == (True, True, 1)
    assert found.best_rate == pytest.approx(10**-3.4)
    assert (found.sensitivity.estimate, found.decades) == pytest.approx((0, 3.4))


def test_scores_that_tie_with_the_line_are_good() -> None:
    # On the lattice of 1/360, 1 point is 3.6 images, and 5 points are 18.
    counts = np.array([300, 342, 360, 342, 342, 300])
    for dtype in (np.float64, np.float32):
        curve = np.asarray(counts / 360, dtype)
        width = of(np.arange(6.0) / 5, curve, 0.05).widths[0.05]
        assert (width.islands, width.censored_low) == (1, False)
        # .6 decade between the rates that tie, and half of a steep step to either side.
        assert width.width.estimate == pytest.approx(0.6 + 0.2)


def test_several_islands_are_counted_and_only_the_best_ones_width_is_given() -> None:
    x = np.arange(9.0) / 5
    found = of(x, np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.89, 0.5, 0.5, 0.89]), 0.02)
    width = found.widths[0.02]
    assert width.islands == 3
    assert width.width.estimate == pytest.approx(0.4 + 0.1)
    assert width.good_decades == pytest.approx(0.5 + 0.2 + 0.1)
    assert (width.censored_low, width.censored_high) == (True, False)


def test_the_interval_is_where_t_over_seeds_leaves_the_side_open() -> None:
    # Seeds differ by a constant at one rate only, the second from the right.
    x, offsets = np.arange(6.0) / 5 - 0.2, np.array([-2.0, -1, 0, 1, 2]) / 1000
    scores = seeds([0.90, 0.90, 0.90, 0.89, 0.88, 0.87])
    scores[4] += offsets
    width = rate_sweep(10**x, scores, margins=[0.02]).widths[0.02]
    half = stats.t.isf(0.025, 4) * np.std(offsets, ddof=1) / math.sqrt(5)
    # The best is .9 of all seeds; from -.01 the lower limit falls to -.02 - half in one step.
    assert decades(width.upper_edge)[0] == pytest.approx(0.6)
    assert decades(width.upper_edge)[1] == pytest.approx(0.4 + 0.2 * 0.01 / (0.01 + half))
    # From -.02 + half the upper limit falls to -.03.
    assert decades(width.upper_edge)[2] == pytest.approx(0.6 + 0.2 * half / (0.01 + half))


def failed(counts: Sequence[int], total: int = 5) -> npt.NDArray[np.bool_]:
    return np.arange(total)[None, :] < np.asarray(counts)[:, None]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 0, 0, 5, 5], (2, 2, 3)),
        # Two of five fail, then four: stable up to there, and sure of neither.
        ([0, 0, 2, 4, 5], (2, 1, 4)),
        # What is stable beyond a rate that is not does not count; nor do failures of slow rates.
        ([5, 0, 3, 0, 5], (1, 1, 4)),
        ([0, 1, 0, 0, 0], (4, 0, None)),
        ([1, 1, 1, 1, 1], (4, None, None)),
    ],
)
def test_largest_stable_rate_by_hand(
    counts: list[int], expected: tuple[int, int | None, int | None]
) -> None:
    rates = np.array([0.01, 0.02, 0.04, 0.08, 0.16])
    scores = seeds([0.1, 0.9, 0.5, 0.5, 0.5])
    found = rate_sweep(rates, scores, failed=failed(counts)).largest_stable_rate
    estimate, low, high = expected
    assert found.estimate == rates[estimate]
    assert found.low == (0 if low is None else rates[low])
    assert found.high == (math.inf if high is None else rates[high])


def test_no_rate_is_stable_where_half_of_the_seeds_fail_at_the_best() -> None:
    rates, scores = [0.1, 1.0], seeds([0.9, 0.1])
    found = rate_sweep(rates, scores, failed=failed([3, 5])).largest_stable_rate
    assert math.isnan(found.estimate)
    assert "fail at the best rate" in found.method
    assert math.isnan(rate_sweep(rates, scores).largest_stable_rate.estimate)


def test_a_seed_that_diverges_at_the_best_rate_does_not_lower_the_best() -> None:
    scores = seeds([0.8, 0.9, 0.95, 0.1]) + np.array([-2, -1, 0, 1, 2]) / 1000
    scores[2, 4] = 0.1
    found = rate_sweep([0.01, 0.02, 0.04, 0.08], scores)
    # The others' best is .95 for the seed that diverges there, .9 for those that see it diverge.
    assert found.best.estimate == pytest.approx(0.9, abs=0.002)


def test_the_order_of_seeds_does_not_matter() -> None:
    generator = np.random.default_rng(1)
    scores = 0.9 - 0.05 * np.abs(LADDER)[:, None] + 0.01 * generator.standard_normal((26, 6))
    losses, flags = 1 - scores, scores < 0.85
    order = generator.permutation(6)
    plain, mixed = (
        rate_sweep(
            10**LADDER, scores[:, o], failed=flags[:, o], losses=losses[:, o], initial_loss=2
        )
        for o in (np.arange(6), order)
    )
    assert plain == mixed


def test_scores_may_have_any_unit() -> None:
    generator = np.random.default_rng(2)
    scores = np.round(1024 * (0.9 - 0.05 * np.abs(LADDER)[:, None])) / 1024
    scores = scores + generator.integers(0, 8, (26, 5)) / 1024
    plain = rate_sweep(10**LADDER, scores, margins=[1 / 64])
    scaled = rate_sweep(10**LADDER, 64 * scores - 128, margins=[1])
    assert scaled.widths[1].width == plain.widths[1 / 64].width
    assert scaled.sensitivity.high == pytest.approx(64 * plain.sensitivity.high)


def test_one_seed_has_no_intervals_and_two_have_wide_ones() -> None:
    curve = (0.9 - 0.1 * np.abs(LADDER + 1))[:, None]
    one = rate_sweep(10**LADDER, curve, losses=1 - curve, initial_loss=1.0)
    width = one.widths[0.02]
    assert width.width.estimate == pytest.approx(0.4)
    for interval in (
        width.width,
        width.upper_edge,
        one.sensitivity,
        one.sensitivity_nats,
        one.best,
    ):
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
    assert width.width.method == "one seed: no interval"
    noise = np.random.default_rng(3).normal(0, 0.005, (26, 2))
    two = rate_sweep(10**LADDER, curve + noise).widths[0.02].width
    assert two.high - two.low > 0.9


def test_a_coarse_ladder_says_so() -> None:
    scores = seeds([0.5, 0.9, 0.5])
    assert rate_sweep(10 ** np.array([-0.2, 0, 0.2]), scores).fine
    coarse = rate_sweep([1.0, 2.0, 3.0], scores)
    assert not coarse.fine
    assert coarse.largest_step == pytest.approx(math.log10(2))


def test_sampled_width_is_the_good_share_of_the_range() -> None:
    found = sampled_width(Interval(0.3, 0.2, 0.5, 0.9, "Wilson"), 5)
    assert (found.estimate, found.low, found.high, found.level) == (1.5, 1.0, 2.5, 0.9)
    with pytest.raises(ValueError, match="decades must be"):
        sampled_width(found, 0)


@pytest.mark.parametrize("simulations", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_intervals_cover_the_truth_with_five_seeds(simulations: int) -> None:
    generator = np.random.default_rng(4)
    curve = 0.975 - 0.03 * (LADDER + 1.5) ** 2
    truth = 2 * math.sqrt(0.02 / 0.03)
    mean = np.trapezoid(np.maximum(0.1, curve), LADDER) / 5
    widths = sensitivities = 0
    for _ in range(simulations):
        scores = curve[:, None] + 0.005 * generator.standard_normal((26, 5))
        scores = np.maximum(0.1, np.round(scores * 359) / 359)
        found = rate_sweep(10**LADDER, scores, margins=[0.02])
        width = found.widths[0.02].width
        widths += width.low <= truth <= width.high
        sensitivities += found.sensitivity.low <= curve.max() - mean <= found.sensitivity.high
    least = stats.binom.ppf(1e-6, simulations, 0.93)
    assert (widths >= least, sensitivities >= least) == (True, True), (widths, sensitivities)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rates": [0.1]}, "rates must be 2 or more"),
        ({"rates": [0.1, 0.1]}, "above 0 and ascending"),
        ({"rates": [0.0, 0.1]}, "above 0 and ascending"),
        ({"rates": [0.1, math.nan]}, "rates must be one axis of finite numbers"),
        ({"scores": seeds([0.5])}, "a row for each of 2 rates; found 1"),
        ({"scores": [0.5, 0.6]}, "scores must have 2 axes"),
        ({"scores": seeds([0.5, math.nan])}, "scores must be finite"),
        ({"margins": []}, "margins must be"),
        ({"margins": [-0.1]}, "margins must be"),
        ({"failed": failed([0])}, r"failed must be booleans .* found bool with shape \(1, 5\)"),
        ({"failed": np.zeros((2, 5))}, "found float64"),
        ({"losses": seeds([1.0, 2.0])}, "losses and initial_loss must be given both or neither"),
        ({"losses": seeds([1.0]), "initial_loss": 2.0}, "losses must have the shape of scores"),
        ({"losses": seeds([1.0, 2.0]), "initial_loss": math.nan}, "initial_loss must be a finite"),
        ({"losses": seeds([1.0, 2.0]), "initial_loss": [2.0]}, "initial_loss must be a finite"),
        ({"level": 95}, "level must be"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    given = {"rates": [0.1, 1.0], "scores": seeds([0.5, 0.6]), **arguments}
    with pytest.raises(ValueError, match=message):
        rate_sweep(**given)  # type: ignore[arg-type]
