import itertools
import math
import warnings

import numpy as np
import numpy.typing as npt
import optuna
import pytest

from hpsuite.analysis.main_effect import group_sums
from hpsuite.analysis.ped_anova import _best, ped_anova
from hpsuite.analysis.sample import checked_sample

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def optunas(
    units: Floats, scores: Floats, levels: int | None, region: float, prior: float | None = None
) -> list[float]:
    """What Optuna's evaluator says of the same trials, not normalized."""
    d = units.shape[1]
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        f"x{j}": optuna.distributions.FloatDistribution(0, 1)
        if levels is None
        else optuna.distributions.CategoricalDistribution(range(levels))
        for j in range(d)
    }
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.create_trial(
                params={
                    f"x{j}": float(v) if levels is None else int(v * levels)
                    for j, v in enumerate(row)
                },
                distributions=distributions,
                value=float(score),
            )
            for row, score in zip(units, scores, strict=True)
        ]
    )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(region_quantile=region)
    if prior is not None:
        evaluator._prior_weight = prior
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
    return [found[f"x{j}"] for j in range(d)]


def test_one_hyperparameter_that_decides_all_has_everything() -> None:
    # The best 10% are x0 >= .9: the divergence from uniform is 1/.1 - 1 = 9.
    x = seeded().random((4000, 2))
    found = ped_anova(x, x[:, 0])
    assert found.values == pytest.approx([1, 0], abs=0.04)
    assert found.divergences[0] == pytest.approx(9, rel=0.05)
    # Within the top half: the best fifth of x0 in [.5, 1], 1/.2 - 1 = 4.
    found = ped_anova(x, x[:, 0], region=0.5)
    assert found.values == pytest.approx([1, 0], abs=0.04)
    assert found.divergences[0] == pytest.approx(4, rel=0.05)


def test_the_best_corner_of_a_square_by_hand() -> None:
    # The best 10% are x0, x1 > c with (1 - c)^2 = .1: each has r = sqrt(.1) on a part of sqrt(.1).
    x = seeded(1).random((5000, 3))
    found = ped_anova(x, np.minimum(x[:, 0], x[:, 1]))
    exact = (math.sqrt(0.1) * 0.1 - 0.01) / 0.09
    assert found.values == pytest.approx([exact, exact, 0], abs=0.03)


@pytest.mark.parametrize("region", [1.0, 0.5])
def test_choices_equal_optunas_divergence_before_noise_is_taken_out(region: float) -> None:
    levels, n = 5, 400
    x = (seeded(2).integers(levels, size=(n, 3)) + 0.5) / levels
    scores = x[:, 0] + 0.5 * x[:, 1] * x[:, 0] + 2 * seeded(3).random(n)
    # Optuna adds a prior of one trial, here as good as none.
    theirs = optunas(x, scores, levels, region, prior=1e-9)
    sample = checked_sample(x, scores, [levels] * 3)
    ones = np.ones((1, n))
    best, inside = _best(sample.scores, ones, 0.1), _best(sample.scores, ones, region)
    sums = best - inside * best.sum() / inside.sum()
    for j in range(3):
        place = np.floor(sample.units[:, j] * levels).astype(int)
        totals, counts = (group_sums(v, place, levels) for v in (sums, inside))
        plain = float((totals**2 / counts).sum() / inside.sum())
        assert plain == pytest.approx(theirs[j], rel=1e-6)


@pytest.mark.parametrize("region", [1.0, 0.5])
def test_shares_agree_with_optunas_where_there_are_many_trials(region: float) -> None:
    # Optuna puts a kernel density of Scott's bandwidth on a grid of 50 into the divergence; that
    # flattens what we do not, by a few hundredths at this n.
    x = seeded(4).random((3000, 4))
    scores = -(3 * (x[:, 0] - 0.3) ** 2) - 2 * (x[:, 1] - 0.6) ** 2 - (x[:, 2] - 0.5) ** 2
    theirs = np.array(optunas(x, scores, None, region))
    ours = ped_anova(x, scores, region=region).values
    assert ours / ours.sum() == pytest.approx(theirs / theirs.sum(), abs=0.06)
    # Both are (g'/g)^2 times the divergence, up to that.
    share = 0.1 / region
    assert ours * share * (1 - share) == pytest.approx(theirs, abs=0.25 * theirs.max())


def test_only_the_order_of_the_scores_counts() -> None:
    x = seeded(5).random((150, 3))
    scores = np.round(x @ [3, 1, 0] * 20) / 20
    for region in (1.0, 0.5):
        plain = ped_anova(x, scores, region=region, generator=seeded(), resamples=20)
        for moved in (np.exp(scores), scores**3 * 1e-9, 1e6 * scores - 5):
            found = ped_anova(x, moved, region=region, generator=seeded(), resamples=20)
            assert (found.values == plain.values).all()
            assert (found.draws == plain.draws).all()


def test_bad_trials_may_score_anything_worse() -> None:
    x = seeded(6).random((200, 2))
    scores = x[:, 0] + 0.3 * x[:, 1]
    failed = np.where(scores < np.quantile(scores, 0.4), -100.0, scores)
    for region in (1.0, 0.5):
        assert ped_anova(x, failed, region=region).values == pytest.approx(
            ped_anova(x, scores, region=region).values
        )


def test_neither_the_order_of_trials_nor_of_columns_matters() -> None:
    x, order = seeded(7).random((120, 3)), seeded(8).permutation(120)
    scores = x @ [3.0, 1.0, 0.0]
    plain = ped_anova(x, scores, generator=seeded(), resamples=10)
    found = ped_anova(x[order], scores[order], generator=seeded(), resamples=10)
    assert (found.values == plain.values).all()
    assert (found.draws == plain.draws).all()
    turned = ped_anova(x[:, [2, 0, 1]], scores, generator=seeded(), resamples=10)
    assert turned.values == pytest.approx(plain.values[[2, 0, 1]])
    assert turned.draws == pytest.approx(plain.draws[:, [2, 0, 1]])


def test_a_stretched_hyperparameter_is_as_important() -> None:
    x = seeded(9).random((300, 2))
    scores = -((x[:, 0] - 0.4) ** 2) + 0.2 * x[:, 1]
    stretched = np.stack([x[:, 0] ** 3, np.sqrt(x[:, 1])], axis=1)
    assert ped_anova(stretched, scores).values == pytest.approx(ped_anova(x, scores).values)


def test_ties_at_the_cut_count_in_part_as_all_ways_to_break_them_do_on_average() -> None:
    # Of 10 trials the best 3, where places 2 to 5 tie.
    scores = np.array([9.0, 8, 7, 7, 7, 7, 5, 4, 3, 2])
    part = _best(scores, np.ones((1, 10)), 0.3)[0]
    ways = [np.isin(np.arange(10), (0, 1, i)) for i in range(2, 6)]
    assert part == pytest.approx(np.mean(ways, axis=0))
    weights = seeded(10).integers(0, 3, (5, 10)).astype(float)
    best = _best(scores, weights, 0.25)
    assert best.sum(axis=1) == pytest.approx(0.25 * weights.sum(axis=1))
    assert ((best >= 0) & (best <= weights)).all()


def test_repeats_of_a_configuration_add_no_evidence() -> None:
    x = seeded(14).random((100, 2))
    scores = x[:, 0] + seeded(15).random(100)
    once = ped_anova(x, scores, generator=seeded(), resamples=400)
    twice = ped_anova(
        np.repeat(x, 2, axis=0), np.repeat(scores, 2), generator=seeded(), resamples=400
    )
    assert twice.values == pytest.approx(once.values)
    assert twice.draws == pytest.approx(once.draws)


def test_what_does_not_vary_or_cannot_be_told() -> None:
    x = seeded(16).random((50, 2))
    x[:, 1] = 0.5
    assert ped_anova(x, x[:, 0]).values[1] == 0
    assert np.isnan(ped_anova(x, np.ones(50)).values).all()
    # The better half ties: nothing tells its best from the rest, but it differs from the worse.
    scores = (x[:, 0] > np.median(x[:, 0])).astype(float)
    assert np.isnan(ped_anova(x, scores, region=0.5).values).all()
    assert ped_anova(x, scores).values[0] > 0.05


def test_arguments_out_of_range_are_refused() -> None:
    x, scores = [[0.1], [0.2]], [1.0, 2.0]
    for top, region in itertools.product((0, 0.5, math.nan), (0.5, 1.5)):
        with pytest.raises(ValueError, match="top and region"):
            ped_anova(x, scores, top=top, region=region)
    with pytest.raises(ValueError, match="at least 2 trials"):
        ped_anova([[0.1]], [1.0])
    with pytest.raises(ValueError, match="generator must be given"):
        ped_anova(x, scores, resamples=3)
