import math
import warnings

import numpy as np
import numpy.typing as npt
import optuna
import pytest

from hpsuite.analysis.fanova import fanova, standardized

Floats = npt.NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_ishigami_has_its_closed_form() -> None:
    # Ishigami and Homma 1990, a = 7, b = .1, on [-pi, pi]^3; interaction of the first and third.
    a, b = 7.0, 0.1
    x = seeded(1).random((2000, 3))
    z = 2 * np.pi * x - np.pi
    scores = np.sin(z[:, 0]) + a * np.sin(z[:, 1]) ** 2 + b * z[:, 2] ** 4 * np.sin(z[:, 0])
    first = (1 + b * np.pi**4 / 5) ** 2 / 2
    second, both = a**2 / 8, b**2 * np.pi**8 * 8 / 225
    total = first + second + both
    found = fanova(x, scores, generator=seeded(), pairs=True)
    assert found.values == pytest.approx([first / total, second / total, 0], abs=0.03)
    assert found.pairs[0, 2] == pytest.approx(both / total, abs=0.05)
    assert (found.pairs[0, 1], found.pairs[1, 2]) == pytest.approx((0, 0), abs=0.03)
    assert found.r_squared > 0.85


def test_a_sum_has_its_closed_form_even_where_the_forest_flattens_it() -> None:
    x = seeded(2).random((600, 5))
    weights = np.array([4, 2, 1, 0.5, 0])
    exact = weights**2 / 12 / ((weights**2).sum() / 12 + 0.3**2)
    scores = x @ weights + 0.3 * seeded(3).standard_normal(600)
    found = fanova(x, scores, generator=seeded(), pairs=True)
    assert found.values == pytest.approx(exact, abs=0.02)
    assert list(found.pairs.values()) == pytest.approx([0] * 10, abs=0.01)
    # As published, weak effects come out at half of what they are.
    assert found.plain[2] < 0.75 * exact[2]


def test_a_product_has_its_closed_form() -> None:
    # (x0 - c)(x1 - c): with m = 1/2 - c and v = 1/12, main effects m^2 v each, interaction v^2.
    x = seeded(4).random((1500, 3))
    c, v = 0.2, 1 / 12
    m = 0.5 - c
    total = 2 * m * m * v + v * v
    scores = (x[:, 0] - c) * (x[:, 1] - c)
    found = fanova(x, scores, generator=seeded(), pairs=True)
    assert found.values == pytest.approx([m * m * v / total] * 2 + [0], abs=0.03)
    assert found.pairs[0, 1] == pytest.approx(v * v / total, abs=0.03)


def test_choices_have_their_closed_form() -> None:
    # Four choices at 0, 1, 5, 2: variance 3.5; twice a uniform number: 1/3.
    n = 800
    choice = seeded(5).integers(4, size=n)
    x = np.stack([(choice + 0.5) / 4, seeded(6).random(n)], axis=1)
    scores = np.array([0, 1, 5, 2])[choice] + 2 * x[:, 1]
    found = fanova(x, scores, generator=seeded(), levels=[4, None])
    assert found.values == pytest.approx([3.5 / (3.5 + 1 / 3), 1 / 3 / (3.5 + 1 / 3)], abs=0.02)


def test_plain_agrees_with_optunas_on_the_same_trials() -> None:
    x = seeded(7).random((200, 3))
    scores = np.sin(4 * x[:, 0]) + x[:, 1] ** 2 + 0.1 * seeded(8).standard_normal(200)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.create_trial(
                params={f"x{j}": float(v) for j, v in enumerate(row)},
                distributions={
                    f"x{j}": optuna.distributions.FloatDistribution(0, 1) for j in range(3)
                },
                value=float(score),
            )
            for row, score in zip(x, scores, strict=True)
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
            normalize=False,
        )
    found = fanova(x, scores, generator=seeded())
    assert found.plain == pytest.approx([theirs[f"x{j}"] for j in range(3)], abs=0.04)


def test_noise_has_no_importance() -> None:
    found = [
        fanova(seeded(s).random((64, 2)), seeded(100 + s).random(64), generator=seeded(), repeats=3)
        for s in range(30)
    ]
    values = np.array([f.values for f in found])
    assert np.abs(values.mean(axis=0)).max() < 4 * values.std() / math.sqrt(30) + 0.005
    # As published, each has several percent of it.
    assert np.mean([f.plain for f in found]) > 0.08
    assert np.mean([f.r_squared for f in found]) < 0.1


@pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0.0), (1e9, 0.0), (-1.0, 3.0), (1e-3, 1e3)])
def test_the_unit_of_the_scores_does_not_matter(scale: float, shift: float) -> None:
    x = seeded(9).random((120, 2))
    scores = x[:, 0] ** 2 + 0.3 * x[:, 1]
    plain = fanova(x, scores, generator=seeded())
    found = fanova(x, scale * scores + shift, generator=seeded())
    # Rounding breaks other ties between splits.
    assert found.values == pytest.approx(plain.values, abs=0.05)
    assert found.plain == pytest.approx(plain.plain, abs=0.05)


def test_a_floor_leaves_out_what_tells_bad_from_worse() -> None:
    # x0 fails two fifths, terribly; among the rest x1 counts.
    x = seeded(10).random((400, 2))
    scores = np.where(x[:, 0] < 0.4, -100 * (0.4 - x[:, 0]) - 50, x[:, 1])
    assert fanova(x, scores, generator=seeded()).values[0] > 0.9
    found = fanova(x, scores, generator=seeded(), floor=0.0).values
    # Then x0 says whether the score is 0 or .5 on average, and x1 which it is of the rest.
    total = 0.6 / 3 - 0.09
    assert found == pytest.approx([0.24 * 0.25 / total, 0.36 / 12 / total], abs=0.06)


def test_neither_order_nor_columns_nor_resamples_change_it() -> None:
    x, order = seeded(11).random((90, 2)), seeded(12).permutation(90)
    scores = x[:, 0] + 0.2 * x[:, 1] ** 2
    plain = fanova(x, scores, generator=seeded(), resamples=10)
    found = fanova(x[order], scores[order], generator=seeded(), resamples=10)
    assert (found.values == plain.values).all()
    assert (found.draws == plain.draws).all()
    turned = fanova(x[:, ::-1], scores, generator=seeded())
    assert turned.values[::-1] == pytest.approx(plain.values, abs=0.03)


def test_repeats_of_a_configuration_add_no_evidence() -> None:
    x = seeded(13).random((100, 2))
    scores = x[:, 0] + seeded(14).random(100)
    once = fanova(x, scores, generator=seeded(), resamples=200)
    twice = fanova(np.repeat(x, 2, axis=0), np.repeat(scores, 2), generator=seeded(), resamples=200)
    assert twice.values == pytest.approx(once.values, abs=0.05)
    assert twice.draws.std(axis=0) == pytest.approx(once.draws.std(axis=0), rel=0.2)


def test_what_does_not_vary_has_none() -> None:
    x = seeded(15).random((50, 2))
    x[:, 1] = 0.5
    found = fanova(x, x[:, 0], generator=seeded(), resamples=5)
    assert found.values[1] == 0
    assert (found.draws[:, 1] == 0).all()
    assert found.values[0] == pytest.approx(1, abs=0.1)


def test_standardized_scores_have_mean_0_and_variance_1() -> None:
    for scale in (1e-200, 1.0, 1e200):
        found = standardized(scale * seeded(16).random(40))
        assert (found.mean(), found.std()) == pytest.approx((0, 1))


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="units must be of 3 configurations"):
        fanova([[0.1], [0.2]], [1, 2], generator=seeded())
    with pytest.raises(ValueError, match="scores must differ"):
        fanova([[0.1], [0.2], [0.3]], [1, 1, 1], generator=seeded())
