"""How often the intervals on carried-over choices, and on steps to an accuracy, cover the truth.

    python benchmarks/coverage_choices.py --simulations 1000 --seed 0

docs/statistics-verdicts.md quotes the tables printed.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.contrasts import EVERYWHERE
from hpsuite.analysis.intervals import Interval, mean_t
from hpsuite.analysis.learning_curves import fewer_steps
from hpsuite.analysis.order_statistics import quantile
from hpsuite.analysis.warm_start import trials_saved

N_TEST = 360


def covered(intervals: Sequence[Interval], truth: float) -> str:
    """Coverage (mean width)."""
    hits = np.mean([i.low - 1e-12 <= truth <= i.high + 1e-12 for i in intervals])
    width = np.mean([i.high - i.low for i in intervals])
    return f"{hits:6.1%} ({width:.3g})"


def print_costs(simulations: int, seed: int) -> None:
    print("\nstaleness: mean of R costs in points, some of which are choices that diverge today;")
    print("truth, coverage of t (mean width), of the median's order statistics")
    generator = np.random.default_rng(seed)
    for share in (0.0, 0.03, 0.1, 0.3):
        for repeats in (16, 32, 100):
            means, medians = [], []

            def costs(size: tuple[int, ...], share: float = share) -> Floats:
                plain = generator.normal(0.5, 0.8, size)
                return np.where(
                    generator.random(size) < share, generator.uniform(20, 80, size), plain
                )

            middle = float(np.median(costs((1_000_000,))))
            for _ in range(simulations):
                found = costs((repeats,))
                means.append(mean_t(np.sort(found), bounds=EVERYWHERE))
                medians.append(quantile(found, 0.5))
            truth = 0.5 * (1 - share) + 50 * share
            print(
                f"diverge {share:4.0%} R {repeats:3} {truth:6.2f} {covered(means, truth):>15} "
                f"median {middle:5.2f} {covered(medians, middle):>15}"
            )


def print_saved(simulations: int, seed: int) -> None:
    print("\ntrials saved of 16: truth by true scores, bias, coverage (mean width)")
    generator = np.random.default_rng(seed)
    budget = 16
    for name, shift in (("unrelated", None), ("moved far", 1.0), ("moved", 0.3), ("same", 0.0)):
        for noise in (0.0, 0.005, 0.01):
            for repeats in (16, 32):
                saved, truth = [], []
                for _ in range(simulations):
                    # Today's accuracy falls off from the middle of the range, by up to 40 points.
                    x = generator.uniform(-1, 1, (repeats, budget))
                    today = 0.97 - 0.4 * np.abs(x)
                    before = (
                        generator.random((repeats, budget))
                        if shift is None
                        else 0.97
                        - 0.4 * np.abs(x - shift)
                        + noise * generator.standard_normal(x.shape)
                    )
                    picks = today[np.arange(repeats), before.argmax(axis=1)]
                    share = (0.97 - picks) / 0.4  # of the space that is better
                    with np.errstate(divide="ignore", invalid="ignore"):
                        spent = np.where(share > 0, (1 - (1 - share) ** budget) / share, budget)
                    truth.append(float(spent.mean()) - 1)
                    sample = _scored(today + noise * generator.standard_normal(today.shape))
                    fresh = picks + noise / np.sqrt(3) * generator.standard_normal(repeats)
                    saved.append(trials_saved(sample.ravel(), fresh, budget))
                expected = float(np.mean(truth))
                bias = float(np.mean([i.estimate for i in saved])) - expected
                print(
                    f"{name:10} noise {100 * noise:3.1f} R {repeats:3} {expected:6.2f} "
                    f"{bias:+6.2f} {covered(saved, expected):>15}"
                )


def _scored(accuracy: Floats) -> Floats:
    return np.round(N_TEST * accuracy) / N_TEST


def print_steps(simulations: int, seed: int) -> None:
    print("\nsteps to an accuracy, scored each 834 of 50,000; log-normal times of A and B:")
    print("truth, coverage (mean width)")
    generator = np.random.default_rng(seed)
    grid = np.append(np.arange(834, 50_000, 834), 50_000).astype(np.float64)

    def spent(middle: float, spread: float, n: int) -> Floats:
        times = middle * np.exp(spread * generator.standard_normal(n))
        return grid[np.minimum(np.searchsorted(grid, times), len(grid) - 1)]

    for a, b in (
        ((2e3, 0.1), (2e3, 0.1)),
        ((3e3, 0.3), (1e4, 0.3)),
        ((1e4, 0.5), (3e4, 0.5)),
        ((1e4, 0.5), (1e5, 0.5)),
    ):
        for repeats in (5, 10, 30):
            truth = float(spent(*a, 400_000).mean() - spent(*b, 400_000).mean())
            found = [
                fewer_steps(spent(*a, repeats), spent(*b, repeats), (0.0, 50_000.0))
                for _ in range(simulations)
            ]
            print(
                f"A {a[0]:7.0f} {a[1]:.1f} B {b[0]:7.0f} {b[1]:.1f} R {repeats:2} {truth:8.0f} "
                f"{covered(found, truth):>18}"
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print_costs(given.simulations, given.seed)
    print_saved(given.simulations, given.seed)
    print_steps(given.simulations, given.seed)


if __name__ == "__main__":
    main()
