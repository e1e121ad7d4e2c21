"""How often the intervals of hpsuite.analysis cover the truth, on landscapes where it is known.

    python benchmarks/coverage.py --n 80 160 256 --simulations 200 --seed 0

A landscape gives the expected validation accuracy of a configuration drawn at random: learning
rate log-uniform over [1e-4, 10], 1 - momentum log-uniform over [1e-3, 1], and a third
hyperparameter. What matters most is the effective rate, learning rate / (1 - momentum): too low
trains too little, too high falls off a cliff to chance. A score is that accuracy plus seed noise,
rounded to the lattice of 359 validation images. docs/statistics.md quotes the tables printed.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hpsuite.analysis import best_level, good_fractions, paired_difference, ranking
from hpsuite.analysis.best import POINT, n_best
from hpsuite.analysis.checks import Floats
from hpsuite.analysis.good_fraction import POINTS
from hpsuite.analysis.unpaired import unpaired_difference

N_VAL = 359
CHANCE = 37 / N_VAL
NOISE_SDS = (0.003, 0.005)
# Resamples an interval; fewer than the library's default, to keep this under three minutes.
RESAMPLES = 400
# Width of the cliff, in decades of effective rate: within it the seed decides.
CLIFF_WIDTH = 0.03


@dataclass(frozen=True)
class Landscape:
    """Expected accuracy of trials that do not diverge, and where they diverge.

    Attributes:
        name: for the tables.
        accuracy: from [3, ...], log10 of effective rate and of 1 - momentum and a third
            hyperparameter uniform on [-1, 1], to [...].
        cliff: log10 of the effective rate at which half of the trials diverge.
    """

    name: str
    accuracy: Callable[[Floats], Floats]
    cliff: float

    def expected(self, x: Floats) -> tuple[Floats, Floats]:
        """Accuracy without divergence, and the probability of diverging, of x [3, ...]."""
        rate = x[0] - x[1]
        accuracy = np.maximum(CHANCE, self.accuracy(np.stack([rate, x[1], x[2]])))
        return accuracy, 1 / (1 + np.exp(-(rate - self.cliff) / CLIFF_WIDTH))

    def scores(self, x: Floats, noise_sd: float, generator: np.random.Generator) -> Floats:
        """One trial each of configurations x [3, ...], as accuracies on the lattice."""
        accuracy, diverging = self.expected(x)
        # Seeds matter more, up to fourfold, where training goes badly.
        noise = noise_sd * (1 + 3 * np.minimum(1, (0.98 - accuracy) / 0.2))
        noisy = accuracy + noise * generator.standard_normal(accuracy.shape)
        lattice = np.clip(np.round(noisy * N_VAL), 0, N_VAL) / N_VAL
        return np.where(generator.random(accuracy.shape) < diverging, CHANCE, lattice)


def square(x: Floats) -> Floats:
    return np.asarray(x * x)


def over(x: Floats, power: float = 1) -> Floats:
    return np.asarray(np.maximum(0.0, x) ** power)


def plateau(x: Floats) -> Floats:
    return 0.972 - 0.02 * square(over(-1.6 - x[0]))


def peak(x: Floats) -> Floats:
    return 0.975 - 0.03 * square(x[0] + 0.5) - 0.012 * square(x[1])


def edge(x: Floats) -> Floats:
    return 0.975 - 0.018 * over(0.3 - x[0], 1.5) - 0.01 * square(x[1] + 1)


def narrow(x: Floats) -> Floats:
    return np.asarray(0.965 - 0.1 * over(0.2 - x[0], 1.3) - 0.02 * np.abs(x[1] + 1))


def slope(x: Floats) -> Floats:
    return np.asarray(0.97 - 0.02 * np.abs(x[0] + 0.2) - 0.015 * square(x[1] + 1))


def third(x: Floats) -> Floats:
    return 0.975 - 0.015 * square(over(-0.8 - x[0])) - 0.054 * square(x[2])


def rare(x: Floats) -> Floats:
    return 0.96 - 0.12 * square(x[0] + 0.3) - 0.12 * square(x[1] + 1) - 0.05 * square(x[2])


def wide(x: Floats) -> Floats:
    return 0.98 - 0.012 * square(over(-1.5 - x[0])) - 0.004 * square(over(x[0] - 0.5))


LANDSCAPES = {
    accuracy.__name__: Landscape(accuracy.__name__, accuracy, cliff)
    for accuracy, cliff in (
        (plateau, 1.2),
        (peak, 0.8),
        (edge, 0.1),
        (narrow, 0.9),
        (slope, 1.5),
        (third, 0.6),
        (rare, 0.6),
        # Beyond the range of G_2 that is documented: nearly all of the space is good.
        (wide, 2.8),
    )
}
KINDS = ("own", "common")
PAIRS = (("peak", "plateau"), ("narrow", "third"), ("rare", "slope"), ("edge", "peak"))


def configurations(shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Configurations [3, *shape]: log10 of learning rate and of 1 - momentum, the third."""
    low, high = np.array([(-4, 1), (-3, 0), (-1, 1)], dtype=float).T
    column = (3,) + (1,) * len(shape)
    return generator.uniform(low.reshape(column), high.reshape(column), (3, *shape))


def truth(landscape: Landscape) -> tuple[float, Floats]:
    """b* and the expected scores of two million configurations, the same for all landscapes."""
    accuracy, diverging = landscape.expected(configurations((2_000_000,), np.random.default_rng(0)))
    scores = (1 - diverging) * accuracy + diverging * CHANCE
    best = np.partition(scores, -len(scores) // 25)[-len(scores) // 25 :]
    return float(best.mean()), scores


def candidates(
    scores: Floats, e: float, generator: np.random.Generator
) -> Iterator[tuple[str, float, float]]:
    """(name, low, high) of the intervals for G_e that were not chosen."""
    sample = np.sort(scores)
    n = len(sample)

    def share(rows: Floats) -> Floats:
        k = n_best(rows.shape[-1])
        top = np.partition(rows, -k, axis=-1)[..., -k:].mean(axis=-1, keepdims=True)
        return np.asarray((rows >= top - e - 1e-7).mean(axis=-1))

    g = float(share(sample))
    drawn = share(sample[generator.integers(n, size=(RESAMPLES, n))])
    low, high = np.quantile(drawn, [0.025, 0.975])
    yield "percentile", low, high
    yield "basic", 2 * g - high, 2 * g - low
    ends = stats.binomtest(round(g * n), n).proportion_ci(method="wilson")
    yield "Wilson, b fixed", ends.low, ends.high
    yield "normal", g - 1.96 * drawn.std(), g + 1.96 * drawn.std()
    # BCa (Efron 1987); ties with the estimate count half.
    below = ((drawn < g).mean() + (drawn <= g).mean()) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    left_out = share(np.array([np.delete(sample, i) for i in range(n)]))
    skew = left_out.mean() - left_out
    acceleration = (skew**3).sum() / (6 * (skew**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(drawn, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    yield "BCa", low, high
    # m out of n (Bickel 1997), m = n / 2, spread rescaled to n.
    drawn = share(sample[generator.integers(n, size=(RESAMPLES, n // 2))])
    ends = np.quantile(drawn - g, [0.025, 0.975]) / np.sqrt(2)
    yield "m out of n", g - ends[1], g - ends[0]
    for name, sd in (("no allowance", 0.0), ("chosen", None)):
        arguments = {} if sd is None else {"noise_sd": sd}
        found = good_fractions(
            scores, generator=generator, points=[e / POINT], resamples=RESAMPLES, **arguments
        )[e / POINT]
        yield name, found.low, found.high


def print_good_fractions(sizes: list[int], simulations: int, seed: int) -> None:
    print("\nb and G_e, in points; coverage (mean width) of the 95% intervals of good_fractions")
    head = " ".join(f"{f'G_{e:g}':>5} {'bias':>5} {'coverage':>12}" for e in POINTS)
    print(f"{'landscape':10}{'sd':>4}{'n':>5} {'b bias':>7} {head}")
    generator = np.random.default_rng(seed)
    for landscape in LANDSCAPES.values():
        b, expected = truth(landscape)
        shares = {e: float((expected >= b - e * POINT).mean()) for e in POINTS}
        for sd in NOISE_SDS:
            for n in sizes:
                x = configurations((simulations, n), generator)
                samples = landscape.scores(x, sd, generator)
                level = np.mean([best_level(s) for s in samples]) - b
                found = [
                    good_fractions(s, generator=generator, resamples=RESAMPLES) for s in samples
                ]
                cells = []
                for e, share in shares.items():
                    bias = np.mean([f[e].estimate for f in found]) - share
                    covered = np.mean([f[e].low <= share <= f[e].high for f in found])
                    width = np.mean([f[e].high - f[e].low for f in found])
                    cells.append(
                        f"{100 * share:5.1f} {100 * bias:+5.1f} {covered:6.1%} ({100 * width:2.0f})"
                    )
                line = f"{landscape.name:10}{100 * sd:4.1f}{n:5} {100 * level:+7.2f} "
                print(line + "   ".join(cells), flush=True)


def print_candidates(sizes: list[int], simulations: int, seed: int) -> None:
    print("\nG_2, all candidates; mean and lowest coverage over the landscapes, mean width")
    generator = np.random.default_rng(seed)
    for sd in NOISE_SDS:
        for n in sizes:
            rows: dict[str, list[tuple[float, float]]] = {}
            for landscape in LANDSCAPES.values():
                if landscape.name == "wide":
                    continue
                b, expected = truth(landscape)
                share = float((expected >= b - 2 * POINT).mean())
                x = configurations((simulations, n), generator)
                found: dict[str, list[tuple[float, float]]] = {}
                for scores in landscape.scores(x, sd, generator):
                    for name, low, high in candidates(scores, 2 * POINT, generator):
                        found.setdefault(name, []).append((float(low <= share <= high), high - low))
                for name, values in found.items():
                    rows.setdefault(name, []).append(tuple(np.mean(values, axis=0)))
            for name, values in rows.items():
                covered, width = np.array(values).T
                figures = f"{covered.mean():6.1%} {covered.min():6.1%} {100 * width.mean():5.1f}"
                print(f"sd {100 * sd:.1f}  n {n:3}  {name:16}{figures}", flush=True)


def print_differences(sizes: list[int], simulations: int, seed: int, *, paired: bool) -> None:
    difference = paired_difference if paired else unpaired_difference
    print(f"\nG_e(A) - G_e(B), in points; coverage (mean width) of {difference.__name__},")
    print("against own bests and the common best. A/A: fresh seeds in the second arm")
    head = " ".join(f"{f'{kind} {e:g}':>9} {'coverage':>11}" for kind in KINDS for e in POINTS)
    print(f"{'A':9}{'B':9}{'sd':>4}{'n':>5}{head}")
    generator = np.random.default_rng(seed)
    repeated = tuple((name, name) for name in LANDSCAPES)
    for a, b in repeated + PAIRS:
        (level_a, expected_a), (level_b, expected_b) = truth(LANDSCAPES[a]), truth(LANDSCAPES[b])
        common = max(level_a, level_b)
        true = {
            (kind, e): float((expected_a >= best_a - e * POINT).mean())
            - float((expected_b >= best_b - e * POINT).mean())
            for kind, best_a, best_b in (("own", level_a, level_b), ("common", common, common))
            for e in POINTS
        }
        for sd in NOISE_SDS:
            for n in sizes:
                one = configurations((simulations, n), generator)
                two = one if paired else configurations((simulations, n), generator)
                arms = [LANDSCAPES[arm].scores(x, sd, generator) for arm, x in ((a, one), (b, two))]
                found = [
                    difference(*pair, generator=generator, resamples=RESAMPLES)
                    for pair in zip(*arms, strict=True)
                ]
                cells = []
                for (kind, e), value in true.items():
                    intervals = [getattr(f, kind)[e] for f in found]
                    covered = np.mean([i.low <= value <= i.high for i in intervals])
                    width = np.mean([i.high - i.low for i in intervals])
                    cells.append(f"{100 * value:+9.1f} {covered:6.1%} ({100 * width:2.0f})")
                print(f"{a:9}{b:9}{100 * sd:4.1f}{n:5}" + " ".join(cells), flush=True)


def print_rankings(simulations: int, seed: int) -> None:
    print("\nranking: chance that any of four equal arms is called better (5% promised)")
    generator = np.random.default_rng(seed)
    landscape = LANDSCAPES["peak"]
    for repeats in (5, 10, 30):
        shape = (simulations, 4, repeats)
        best = landscape.scores(configurations((*shape, 16), generator), 0.004, generator).max(-1)
        spread = np.array([0.2, 0.5, 1, 2])[None, :, None]
        for name, values in (
            ("normal", generator.standard_normal(shape)),
            ("normal, unequal spread", spread * generator.standard_normal(shape)),
            ("best of 16 trials", best),
        ):
            wrong = np.mean(
                [
                    any(
                        r.low > 1 for r in ranking({str(i): x for i, x in enumerate(arms)}).values()
                    )
                    for arms in values
                ]
            )
            print(f"R {repeats:3}  {name:24}{wrong:6.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, nargs="+", default=[80, 160, 256])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--table",
        nargs="+",
        choices=["good", "candidates", "difference", "apart", "ranking"],
        default=["good", "difference", "ranking"],
    )
    arguments = parser.parse_args()
    sizes, simulations, seed = arguments.n, arguments.simulations, arguments.seed
    if "good" in arguments.table:
        print_good_fractions(sizes, simulations, seed)
    if "candidates" in arguments.table:
        print_candidates(sizes, simulations, seed)
    if "difference" in arguments.table:
        print_differences(sizes, simulations, seed, paired=True)
    if "apart" in arguments.table:
        print_differences(sizes, simulations, seed, paired=False)
    if "ranking" in arguments.table:
        print_rankings(5 * simulations, seed)


if __name__ == "__main__":
    main()
