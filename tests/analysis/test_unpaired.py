"""Differences of good fractions of samples that were drawn apart."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hpsuite.analysis.unpaired import unpaired_difference

SIMULATIONS = 120


def draw(generator: np.random.Generator, n: int, steep: float) -> NDArray[np.float64]:
    """Scores b - steep |x|, x uniform on [-1, 1], with noise of .3 point."""
    x = generator.uniform(-1, 1, n)
    return 0.95 - steep * np.abs(x) + generator.normal(0, 0.003, n)


def good(steep: float, e: float, against: float | None = None) -> float:
    """The share within e points of b, the mean of the best 4%."""
    best = (0.95 - 0.02 * steep) if against is None else against
    return min(1.0, (0.95 - best + e / 100) / steep)


@pytest.mark.parametrize(("one", "two"), [(0.2, 0.2), (0.1, 0.4)])
def test_coverage(one: float, two: float) -> None:
    generator = np.random.default_rng(1)
    covered = {"own": 0, "common": 0}
    common = max(0.95 - 0.02 * s for s in (one, two))
    for _ in range(SIMULATIONS):
        found = unpaired_difference(
            draw(generator, 120, one),
            draw(generator, 160, two),
            generator=generator,
            points=[2],
            resamples=200,
        )
        assert found.n == (120, 160)
        for kind, against in (("own", None), ("common", common)):
            interval = getattr(found, kind)[2]
            true = good(one, 2, against) - good(two, 2, against)
            covered[kind] += interval.low <= true <= interval.high
    least = stats.binom.ppf(1e-6, SIMULATIONS, 0.93)
    assert min(covered.values()) >= least, covered


def test_it_is_turned_with_its_arguments_and_knows_no_order() -> None:
    generator = np.random.default_rng(2)
    a, b = draw(generator, 60, 0.2), draw(generator, 90, 0.4)

    def found(*samples: NDArray[np.float64], unit: float | None = None) -> dict[str, float]:
        pair = unpaired_difference(*samples, generator=np.random.default_rng(0), unit=unit)
        return {
            f"{k}{e}": v.estimate for k in ("own", "common") for e, v in getattr(pair, k).items()
        }

    forth = found(a, b)
    assert forth == found(a[::-1], generator.permutation(b))
    assert {k: -v for k, v in found(b, a).items()} == pytest.approx(forth)
    # A score of another unit, and of another sign of its zero.
    assert found(10 * a - 3, 10 * b - 3, unit=0.1) == pytest.approx(forth)


def test_equal_scores_and_samples_of_one() -> None:
    found = unpaired_difference([0.5], [0.5] * 3, generator=np.random.default_rng(0))
    for interval in (*found.own.values(), *found.common.values()):
        assert interval.estimate == 0
        assert -1 <= interval.low <= 0 <= interval.high <= 1


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"points": []}, {"points": [-1]}])
def test_arguments_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"level|points"):
        unpaired_difference([0.5], [0.5], generator=np.random.default_rng(0), **wrong)  # type: ignore[arg-type]
