"""How often the intervals on strategies, and contrasts of them, cover the truth.

    python benchmarks/coverage_verdicts.py --table curve better --simulations 1000 --seed 0

docs/statistics-verdicts.md quotes the tables printed.
"""

import argparse
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from hpsuite.analysis.across_setups import (
    interquartile_mean,
    interquartile_mean_difference,
    mean_probability_better,
)
from hpsuite.analysis.checks import Floats
from hpsuite.analysis.contrasts import combined, difference_of_differences
from hpsuite.analysis.intervals import Interval, wilson
from hpsuite.analysis.misses import miss_probability
from hpsuite.analysis.order_statistics import quantile
from hpsuite.analysis.probability_better import probability_better
from hpsuite.analysis.strategies import strategy_figures

N_VAL = 359
TRUTH = 200_000


def covered(intervals: Sequence[Interval], truth: float) -> str:
    """Coverage (mean width)."""
    hits = np.mean([i.low - 1e-12 <= truth <= i.high + 1e-12 for i in intervals])
    width = np.mean([i.high - i.low for i in intervals])
    return f"{hits:6.1%} ({width:.3g})"


# Searches: each gives scores [R, n], accuracies on the lattice of 359 validation images.


def searched(
    name: str, repeats: int, n: int, generator: np.random.Generator, noise: float = 0.005
) -> Floats:
    """Trials of a random search whose score depends on a log learning rate and an inert rest."""
    rate = generator.uniform(-4, 1, (repeats, n))
    if name == "narrow":
        # Most of the space is at chance: early trials are two-valued.
        accuracy = np.where(np.abs(rate + 1) < 0.6, 0.96 - 0.05 * np.abs(rate + 1), 0.1)
    elif name == "smooth":
        accuracy = np.where(rate > 0.3, 0.1, 0.97 - 0.02 * (rate + 0.5) ** 2)
    else:
        # Some repeats are stuck, as a greedy search is in a trap.
        stuck = generator.random((repeats, 1)) < 0.2
        accuracy = np.where(rate > 0.3, 0.1, 0.97 - 0.02 * (rate + 0.5) ** 2) - 0.05 * stuck
    noisy = accuracy + noise * generator.standard_normal(accuracy.shape)
    return np.clip(np.round(noisy * N_VAL), 0, N_VAL) / N_VAL


SEARCHES = ("narrow", "smooth", "traps")
PLACES = (1, 4, 16)


def print_curves(simulations: int, seed: int) -> None:
    print("\nbest so far of 16 trials; coverage (mean width) of pointwise intervals")
    head = " ".join(f"{f'mean, k = {k}':>16}" for k in PLACES)
    tail = "          median            area   trials to b-e"
    print(f"{'search':8}{'R':>4} {head} {tail}")
    generator = np.random.default_rng(seed)
    for name in SEARCHES:
        true = searched(name, TRUTH, 16, np.random.default_rng(1))
        best = np.maximum.accumulate(true, axis=1)
        figures = strategy_figures(true[:50_000], b=0.97)
        median = float(np.median(best[:, -1]))
        for repeats in (5, 10, 30, 100):
            found = [
                strategy_figures(searched(name, repeats, 16, generator), b=0.97, bounds=(0, 1))
                for _ in range(simulations)
            ]
            cells = [
                covered(
                    [
                        Interval(0, f.curve.mean_low[k - 1], f.curve.mean_high[k - 1], 0.95, "")
                        for f in found
                    ],
                    float(best[:, k - 1].mean()),
                )
                for k in PLACES
            ]
            middles = [
                Interval(0, f.curve.median_low[-1], f.curve.median_high[-1], 0.95, "")
                for f in found
            ]
            cells.append("-" if repeats < 6 else covered(middles, median))
            cells.append(covered([f.area for f in found], float(best.mean())))
            assert figures.to_good is not None
            times = [f.to_good.restricted_mean for f in found if f.to_good is not None]
            cells.append(covered(times, figures.to_good.restricted_mean.estimate))
            print(f"{name:8}{repeats:4} " + " ".join(f"{cell:>16}" for cell in cells), flush=True)


def print_quantiles(simulations: int, seed: int) -> None:
    print("\n10th percentile over repeats; coverage (mean width) of order statistics' interval")
    generator = np.random.default_rng(seed)
    for name in SEARCHES:
        best = searched(name, TRUTH, 16, np.random.default_rng(1)).max(axis=1)
        truth = float(np.sort(best)[TRUTH // 10])
        for repeats in (100, 300):
            found = [
                quantile(searched(name, repeats, 16, generator).max(axis=1), 0.1)
                for _ in range(simulations)
            ]
            print(f"{name:8}{repeats:4} {covered(found, truth)}", flush=True)


# Misses: true scores of what R repeats selected, relative to b - e = 0, in points.
SELECTED: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "spread": lambda r, g: g.normal(0.5, 1.0, r),
    "mostly good": lambda r, g: 1.5 - g.exponential(0.6, r),
    "two clusters": lambda r, g: np.where(g.random(r) < 0.3, -3.0, 1.5) + g.normal(0, 0.3, r),
    "all just good": lambda r, g: np.full(r, 0.1),
    "all just bad": lambda r, g: np.full(r, -0.1),
    "at the threshold": lambda r, g: np.where(g.random(r) < 0.5, -0.1, 0.1),
}


def print_misses(simulations: int, seed: int) -> None:
    print("\nmiss probability, seed noise of .6 point, in %: truth, bias of the plain share,")
    print("coverage (mean width) of Wilson on the plain share, and of miss_probability")
    print(f"{'true scores':18}{'R':>4}{'s':>4} {'truth':>6} {'bias':>6} {'plain':>15} {'used':>15}")
    generator = np.random.default_rng(seed)
    for name, draw in SELECTED.items():
        truth = float((draw(TRUTH, np.random.default_rng(1)) < 0).mean())
        for repeats in (30, 100):
            for seeds in (3, 10):
                found, plain = [], []
                for _ in range(simulations):
                    true = draw(repeats, generator)[:, None]
                    scores = true + 0.6 * generator.standard_normal((repeats, seeds))
                    found.append(miss_probability(scores, 0.0, margin=0.0).probability)
                    plain.append(wilson(round(found[-1].estimate * repeats), repeats))
                bias = np.mean([f.estimate for f in found]) - truth
                print(
                    f"{name:18}{repeats:4}{seeds:4} {100 * truth:6.1f} {100 * bias:+6.1f} "
                    f"{covered(plain, truth):>15} {covered(found, truth):>15}",
                    flush=True,
                )


def print_better(simulations: int, seed: int) -> None:
    print("\nP(A better than B): lowest and mean coverage, mean width, over spreads of B of .01 to")
    print("100 times A's, normal; then bests of 16 trials on the lattice (ties)")
    generator = np.random.default_rng(seed)
    for sizes in ((5, 5), (10, 10), (30, 30), (100, 100), (10, 30)):
        for theta in (0.5, 0.7, 0.9, 0.97):
            rates, widths = [], []
            for spread in (0.01, 1 / 3, 1, 3, 10, 100):
                shift = stats.norm.ppf(theta) * np.sqrt(1 + spread**2)
                found = [
                    probability_better(
                        generator.normal(shift, 1, sizes[0]), generator.normal(0, spread, sizes[1])
                    )
                    for _ in range(simulations)
                ]
                rates.append(np.mean([i.low <= theta <= i.high for i in found]))
                widths.append(np.mean([i.high - i.low for i in found]))
            print(
                f"R {sizes}  theta {theta:4}: {min(rates):6.1%} {np.mean(rates):6.1%} "
                f"{np.mean(widths):.2f}",
                flush=True,
            )
    for a, b in (("smooth", "smooth"), ("smooth", "traps"), ("smooth", "narrow")):
        true = [
            searched(x, TRUTH, 16, np.random.default_rng(i)).max(1) for i, x in enumerate((a, b))
        ]
        # All pairs of values on the lattice, by their shares.
        values = np.unique(np.concatenate(true))
        first, second = ((x[:, None] == values).mean(axis=0) for x in (t[:20_000] for t in true))
        theta = float(first @ (np.cumsum(second) - second / 2))
        for repeats in (5, 10, 30, 100):
            found = [
                probability_better(
                    searched(a, repeats, 16, generator).max(1),
                    searched(b, repeats, 16, generator).max(1),
                )
                for _ in range(simulations)
            ]
            print(
                f"{a} and {b}, R {repeats}, theta {theta:.2f}: {covered(found, theta)}", flush=True
            )


def print_better_paired() -> None:
    print("\nP(A better than B) of pairs: exact coverage, lowest over shares won and lost")
    for n in (5, 10, 30, 100):
        won, lost = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
        counts = np.stack([won, lost, n - won - lost], axis=-1)[won + lost <= n]
        found = []
        for ahead, behind, tied in counts:
            a = np.repeat([1.0, 0.0, 0.0], [ahead, behind, tied])
            b = np.repeat([0.0, 1.0, 0.0], [ahead, behind, tied])
            found.append(probability_better(a, b, paired=True))
        ends = np.array([(i.low, i.high) for i in found])
        rates = {}
        for p in np.arange(0, 1.01, 0.05):
            for q in np.arange(0, min(p, 1 - p) + 0.001, 0.05):
                theta = (1 + p - q) / 2
                rest = max(0.0, 1 - p - q)
                chance = stats.multinomial.pmf(counts, n, [p, q, rest] / np.sum([p, q, rest]))
                inside = (ends[:, 0] <= theta + 1e-12) & (theta - 1e-12 <= ends[:, 1])
                rates[round(float(p), 2), round(float(q), 2)] = float(chance[inside].sum())
        worst = min(rates, key=lambda key: rates[key])
        mean = np.mean(list(rates.values()))
        print(f"R {n:3}: lowest {rates[worst]:6.1%} at {worst}, mean {mean:6.1%}", flush=True)


# Normalised scores [M, R] of M setups.
def _skewed(m: int, r: int, g: np.random.Generator) -> Floats:
    return g.beta(np.linspace(4, 40, m)[:, None], np.linspace(2, 1, m)[:, None], (m, r))


def _two_valued(m: int, r: int, g: np.random.Generator) -> Floats:
    good = 0.9 + 0.03 * g.standard_normal((m, r))
    return np.where(g.random((m, r)) < 0.25, 0.2 + 0.1 * g.random((m, r)), good)


def _apart(m: int, r: int, g: np.random.Generator) -> Floats:
    return np.linspace(0.3, 0.95, m)[:, None] + 0.02 * g.standard_normal((m, r))


def print_interquartile_means(simulations: int, seed: int) -> None:
    print("\ninterquartile mean over M setups of R repeats; coverage (mean width) of t, of the")
    print("bootstrap's percentiles, of t for a difference of 0, and of the mean P(A better)")
    generator = np.random.default_rng(seed)
    for draw in (_skewed, _two_valued, _apart):
        for m in (2, 4, 8):
            many = np.sort(draw(m, TRUTH, np.random.default_rng(1)).ravel())
            truth = float(many[len(many) // 4 : -(len(many) // 4)].mean())
            for r in (8, 30):
                means, percentiles, differences, better = [], [], [], []
                for _ in range(simulations):
                    first, second = (dict(enumerate(draw(m, r, generator))) for _ in range(2))
                    a = {str(k): v for k, v in first.items()}
                    b = {str(k): v for k, v in second.items()}
                    means.append(interquartile_mean(a, generator=generator, resamples=400))
                    table = np.stack(list(a.values()))
                    drawn = table[
                        np.arange(m)[:, None], generator.integers(r, size=(400, m, r))
                    ].reshape(400, -1)
                    cut = m * r // 4
                    spread = np.sort(drawn, axis=1)[:, cut : m * r - cut].mean(axis=1)
                    percentiles.append(Interval(0, *np.quantile(spread, [0.025, 0.975]), 0.95, ""))
                    differences.append(
                        interquartile_mean_difference(a, b, generator=generator, resamples=400)
                    )
                    better.append(mean_probability_better(a, b))
                cells = (
                    covered(means, truth),
                    covered(percentiles, truth),
                    covered(differences, 0.0),
                    covered(better, 0.5),
                )
                line = " ".join(f"{cell:>16}" for cell in cells)
                print(f"{draw.__name__[1:]:11} M {m} R {r:2} {line}", flush=True)


def print_shared(simulations: int, seed: int) -> None:
    print("\nM setups whose repeats share their seeds; coverage by share of the variance that is")
    print("shared: of the interquartile mean resampled by setup and together, of a difference of 0")
    print("together, and of the mean P(A better) combined as if independent and by mean ends")
    generator = np.random.default_rng(seed)
    for share in (0.0, 0.5, 0.9):
        for m in (2, 4):
            for r in (5, 10, 30):
                found: list[list[Interval]] = [[] for _ in range(5)]
                for _ in range(simulations):
                    luck, own = generator.normal(size=(2, 1, r)), generator.normal(size=(2, m, r))
                    tables = math.sqrt(share) * luck + math.sqrt(1 - share) * own
                    a, b = ({str(k): row for k, row in enumerate(table)} for table in tables)
                    g = np.random.default_rng(0)
                    found[0].append(interquartile_mean(a, generator=g, resamples=400))
                    found[1].append(interquartile_mean(a, generator=g, shared=True, resamples=400))
                    found[2].append(
                        interquartile_mean_difference(a, b, generator=g, shared=True, resamples=400)
                    )
                    found[3].append(mean_probability_better(a, b))
                    found[4].append(mean_probability_better(a, b, shared=True))
                truths = (0.0, 0.0, 0.0, 0.5, 0.5)
                cells = [covered(x, truth) for x, truth in zip(found, truths, strict=True)]
                line = " ".join(f"{cell:>16}" for cell in cells)
                print(f"share {share:.1f} M {m} R {r:2} {line}", flush=True)


def print_contrasts(simulations: int, seed: int) -> None:
    print("\ndifference of differences; coverage of t (paired none, within, all) for bests of 16")
    print("trials, and of combined Wilson intervals for (p1 - p2) - (p3 - p4)")
    generator = np.random.default_rng(seed)
    for names in (("smooth", "traps", "smooth", "smooth"), ("smooth", "narrow", "traps", "smooth")):
        means = [searched(x, TRUTH, 16, np.random.default_rng(1)).max(axis=1).mean() for x in names]
        truth = float(np.dot(means, [1, -1, -1, 1]))
        for repeats in (5, 10, 30):
            found: dict[str, list[Interval]] = {"none": [], "within": [], "all": []}
            for _ in range(simulations):
                groups = [searched(x, repeats, 16, generator).max(axis=1) for x in names]
                for paired, intervals in found.items():
                    intervals.append(difference_of_differences(*groups, paired=paired))
            line = " ".join(f"{p} {covered(i, truth)}" for p, i in found.items())
            print(f"{' '.join(names)}, R {repeats:3}: {line}", flush=True)
    for shares in ((0.1, 0.3, 0.2, 0.2), (0.02, 0.2, 0.5, 0.9), (0.01, 0.01, 0.01, 0.01)):
        for n in (30, 256):
            intervals = [
                combined([wilson(int(c), n) for c in generator.binomial(n, shares)], [1, -1, -1, 1])
                for _ in range(simulations)
            ]
            truth = float(np.dot(shares, [1, -1, -1, 1]))
            print(f"shares {shares}, n {n}: {covered(intervals, truth)}", flush=True)


def main() -> None:
    tables: dict[str, Callable[[int, int], None]] = {
        "curve": print_curves,
        "quantile": print_quantiles,
        "misses": print_misses,
        "better": print_better,
        "paired": lambda simulations, seed: print_better_paired(),
        "interquartile": print_interquartile_means,
        "shared": print_shared,
        "contrasts": print_contrasts,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", nargs="+", choices=list(tables), default=list(tables))
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.table:
        tables[name](arguments.simulations, arguments.seed)


if __name__ == "__main__":
    main()
