"""Coverage of tuning curves, rate sweeps and splits, and false alarms at the edges of a range.

    python benchmarks/coverage_curves.py --table bands selected rates stable edges splits

The landscapes are those of coverage.py. docs/statistics-sensitivity.md quotes the tables printed.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from coverage import CHANCE, CLIFF_WIDTH, LANDSCAPES, N_VAL, NOISE_SDS, configurations, over, square

from hpsuite.analysis import Interval
from hpsuite.analysis.checks import Bools, Floats
from hpsuite.analysis.edge import edges
from hpsuite.analysis.rate_sweep import rate_sweep
from hpsuite.analysis.split import split_spread
from hpsuite.analysis.tuning_curve import selected_curve, tuning_curve

KS = (1, 2, 4, 8, 16, 32, 64)
MARGINS = (0.01, 0.02, 0.05)


def trials(
    name: str, shape: tuple[int, ...], sd: float, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Validation and test accuracies of random configurations.

    Of the seed noise, six tenths of the standard deviation are the model's, and eight are each set
    of images' own.
    """
    accuracy, diverging = LANDSCAPES[name].expected(configurations(shape, generator))
    diverged = generator.random(shape) < diverging
    noise = sd * (1 + 3 * np.minimum(1, (0.98 - accuracy) / 0.2))
    model = accuracy + 0.6 * noise * generator.standard_normal(shape)
    scores = [model + 0.8 * noise * generator.standard_normal(shape) for _ in range(2)]
    lattice = [np.clip(np.round(s * N_VAL), 0, N_VAL) / N_VAL for s in scores]
    val, test = (np.where(diverged, CHANCE, s) for s in lattice)
    return val, test


def print_bands(sizes: list[int], simulations: int, seed: int) -> None:
    print(
        "\nSimultaneous bands for k = 1..64: how often they hold the whole true curve; mean width"
    )
    print("at k = 16, in points. Scores uniform (exact), and of landscapes on the lattice (ties)")
    generator = np.random.default_rng(seed)
    for name in ("uniform", "plateau", "peak", "rare"):
        large = (
            np.linspace(0, 1, 1_000_001)
            if name == "uniform"
            else trials(name, (1_000_000,), 0.005, generator)[0]
        )
        for of in ("median", "expected"):
            truth = tuning_curve(large, bounds=(0, 1), band_of=of)
            true = np.array(truth.median if of == "median" else truth.expected_biased)
            for bands in ("ks", "tight"):
                for n in sizes:
                    held, widths = 0, []
                    for _ in range(simulations):
                        scores = (
                            generator.random(n)
                            if name == "uniform"
                            else trials(name, (n,), 0.005, generator)[0]
                        )
                        found = tuning_curve(scores, bands=bands, band_of=of, bounds=(0, 1))
                        low, high = np.array(found.low), np.array(found.high)
                        held += bool(((low <= true + 1e-9) & (true <= high + 1e-9)).all())
                        widths.append(high[15] - low[15])
                    print(
                        f"{name:8} {of:9}{bands:6} n {n:4} {held / simulations:6.1%} "
                        f"({100 * np.mean(widths):.1f})",
                        flush=True,
                    )


def print_selected(sizes: list[int], simulations: int, seed: int) -> None:
    print(
        "\nTest score of what validation selects among k, pointwise: true curve in %, coverage in %"
    )
    print(f"(mean width in points), for k = {', '.join(map(str, KS))}")
    generator = np.random.default_rng(seed)
    for name in LANDSCAPES:
        val, test = trials(name, (1_000_000,), 0.005, generator)
        # With as many trials, without replacement is as with it.
        few = {"generator": generator, "resamples": 2, "ks": KS}
        true = selected_curve(val, test, **few).expected
        print(f"{name:8} true   " + "  ".join(f"{100 * t:10.1f}" for t in true))
        for n in sizes:
            found = [
                selected_curve(
                    *trials(name, (n,), 0.005, generator),
                    generator=generator,
                    resamples=400,
                    ks=KS,
                )
                for _ in range(simulations)
            ]
            cells = []
            for i, value in enumerate(true):
                low, high = (np.array([end[i] for end in ends]) for ends in _ends(found))
                covered, width = np.mean((low <= value) & (value <= high)), np.mean(high - low)
                cells.append(f"{100 * covered:3.0f} ({100 * width:4.1f})" if KS[i] <= n else "")
            print(f"{'':8} n {n:4} " + "  ".join(f"{cell:>10}" for cell in cells), flush=True)


def _ends(found: list) -> tuple[list, list]:
    return [f.low for f in found], [f.high for f in found]


@dataclass(frozen=True)
class Curve:
    """Expected accuracy against log10 of the learning rate, on [-4, 1], and where it diverges."""

    accuracy: Callable[[Floats], Floats]
    cliff: float

    def expected(self, x: Floats) -> tuple[Floats, Floats]:
        """Accuracy without divergence, and the probability of diverging."""
        accuracy = np.maximum(CHANCE, self.accuracy(x))
        exponent = np.clip((x - self.cliff) / CLIFF_WIDTH, -50, 50)
        return accuracy, 1 / (1 + np.exp(-exponent))

    def draw(
        self, x: Floats, sd: float, shape: tuple[int, int], generator: np.random.Generator
    ) -> tuple[Floats, Bools]:
        """Scores and failures [R, m, s]."""
        accuracy, diverging = (part[None, :, None] for part in self.expected(x))
        noise = sd * (1 + 3 * np.minimum(1, (0.98 - accuracy) / 0.2))
        full = (shape[0], len(x), shape[1])
        scores = accuracy + noise * generator.standard_normal(full)
        lattice = np.clip(np.round(scores * N_VAL), 0, N_VAL) / N_VAL
        failed = generator.random(full) < diverging
        return np.where(failed, CHANCE, lattice), failed

    def truth(self, margin: float) -> tuple[float, float]:
        """The edges of the good range: where the typical seed is within e of the best."""
        x = np.linspace(-4, 1, 500_001)
        accuracy, diverging = self.expected(x)
        mean = (1 - diverging) * accuracy + diverging * CHANCE
        start = int(mean.argmax())
        bad = np.flatnonzero(np.where(diverging < 0.5, accuracy, CHANCE) < accuracy[start] - margin)
        below, above = bad[bad < start], bad[bad > start]
        low = x[below[-1] + 1] if len(below) else -4.0
        return float(low), float(x[above[0] - 1] if len(above) else 1.0)

    def sensitivity(self) -> float:
        """The best expected score of the ladder - the mean over it, straight between its rates."""
        accuracy, diverging = self.expected(LADDER)
        mean = (1 - diverging) * accuracy + diverging * CHANCE
        return float(mean.max() - np.trapezoid(mean, LADDER) / (LADDER[-1] - LADDER[0]))


CURVES = {
    "plateau": Curve(lambda x: 0.972 - 0.02 * square(over(-1.6 - x)), 0.4),
    "peak": Curve(lambda x: 0.975 - 0.03 * square(x + 1.5), 0.2),
    "edge": Curve(lambda x: 0.975 - 0.018 * over(-0.7 - x, 1.5), -0.63),
    "narrow": Curve(lambda x: 0.965 - 0.1 * over(-0.8 - x, 1.3), -0.17),
    "slope": Curve(lambda x: 0.97 - 0.02 * np.abs(x + 1.2), 0.5),
    "top": Curve(lambda x: 0.975 - 0.02 * square(over(0.5 - x)), 9.0),
    # A tent with its top between two rates of the ladder.
    "sharp": Curve(lambda x: 0.97 - 0.15 * np.abs(x + 1.1), 0.33),
}
LADDER = np.round(np.arange(-4, 1.0001, 0.2), 6)


def print_rates(seeds: list[int], simulations: int, seed: int) -> None:
    print(
        "\nW_e in decades: truth, bias, coverage of the width in % (mean width of its interval), of"
    )
    print("the edges; then the sensitivity in points. Ladder of .2 decade over [1e-4, 10]")
    generator = np.random.default_rng(seed)
    for name, curve in CURVES.items():
        for sd in NOISE_SDS:
            for s in seeds:
                scores, failed = curve.draw(LADDER, sd, (simulations, s), generator)
                found = [
                    rate_sweep(10**LADDER, t, failed=f, margins=MARGINS)
                    for t, f in zip(scores, failed, strict=True)
                ]
                cells = []
                for margin in MARGINS:
                    low, high = curve.truth(margin)
                    widths = [f.widths[margin] for f in found]
                    bias = np.mean([w.width.estimate for w in widths]) - (high - low)
                    length = np.mean([w.width.high - w.width.low for w in widths])
                    covered = (
                        _coverage([w.width for w in widths], high - low),
                        _coverage([w.lower_edge for w in widths], 10**low),
                        _coverage([w.upper_edge for w in widths], 10**high),
                    )
                    cells.append(
                        f"{high - low:.2f} {bias:+.2f} {covered[0]:4.0f} ({length:.2f}) "
                        f"{covered[1]:4.0f} {covered[2]:4.0f}"
                    )
                true = curve.sensitivity()
                bias = np.mean([f.sensitivity.estimate for f in found]) - true
                covered_points = _coverage([f.sensitivity for f in found], true)
                cells.append(f"{100 * true:5.1f} {100 * bias:+5.2f} {covered_points:4.0f}")
                print(f"{name:8}{100 * sd:4.1f} s {s:2}  " + "  |  ".join(cells), flush=True)


def print_stable(seeds: list[int], simulations: int, seed: int) -> None:
    print("\nLargest stable rate: bias in decades, coverage, share with an open upper end; by the")
    print("width of the cliff in decades, its place uniform over a step")
    generator = np.random.default_rng(seed)
    for width in (0.01, 0.03, 0.1, 0.3):
        for s in seeds:
            offs, covered, opened = [], 0, 0
            for _ in range(simulations):
                cliff = generator.uniform(-1, 0)
                p = 1 / (1 + np.exp(-np.clip((LADDER - cliff) / width, -50, 50)))
                failed = generator.random((len(LADDER), s)) < p[:, None]
                scores = np.where(failed, 0.1, 0.9 - 0.02 * np.abs(LADDER + 2)[:, None])
                found = rate_sweep(10**LADDER, scores, failed=failed).largest_stable_rate
                offs.append(np.log10(found.estimate) - cliff)
                covered += found.low <= 10**cliff <= found.high
                opened += np.isinf(found.high)
            print(
                f"cliff {width:4} s {s:2}: {np.nanmean(offs):+.2f} {covered / simulations:6.1%} "
                f"{opened / simulations:6.1%}",
                flush=True,
            )


def _coverage(intervals: list[Interval], truth: float) -> float:
    # The truth is known to one step of its own grid.
    slack = 2e-5 * max(1.0, abs(truth))
    return 100 * float(np.mean([i.low - slack <= truth <= i.high + slack for i in intervals]))


def print_edges(sizes: list[int], simulations: int, seed: int) -> None:
    print(
        "\nHow often the optimum is said to lie at the low end, at the high end, and at any end of"
    )
    print("another hyperparameter (false), in %; noise .5 point")
    generator = np.random.default_rng(seed)
    shapes: dict[str, Callable[[Floats, float], Floats]] = {
        "peak": lambda x, at: -0.02 * square((x - at) / 0.3),
        "wide peak": lambda x, at: -0.02 * square(x - at),
        "tent": lambda x, at: -0.02 * np.abs((x - at) / 0.3),
        "plateau": lambda x, at: -0.1 * over(np.abs(x - at) - 0.2),
        "cliff": lambda x, at: np.where(x > at, -0.85, -0.067 * (at - x)),
        "flat": lambda x, at: 0 * x,
    }
    for n in sizes:
        for d in (1, 2, 6):
            for name, shape in shapes.items():
                cells = []
                for at in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.98):
                    said = []
                    for _ in range(simulations):
                        units = generator.random((n, d))
                        scores = shape(units[:, 0], at) + 0.005 * generator.standard_normal(n)
                        if d > 1:
                            scores -= 0.02 * square((units[:, 1] - 0.5) / 0.3)
                        found = edges(units, scores, [str(j) for j in range(d)], [None] * d)
                        others = any(edge.side for edge in found[1:])
                        said.append((found[0].side == "low", found[0].side == "high", others))
                    low, high, others = 100 * np.mean(said, axis=0)
                    cells.append(f"{at:.2f}: {low:3.0f} {high:3.0f} {others:3.0f}")
                print(f"n {n:3} d {d} {name:10} " + "  ".join(cells), flush=True)


def print_splits(simulations: int, seed: int) -> None:
    print(
        "\nMean over splits: coverage (mean width over that of the true error), by what the splits"
    )
    print("share; between-split sd as a multiple of the error within; normal and skewed splits")
    generator = np.random.default_rng(seed)
    for shared in (False, True):
        for ratio in (0.0, 0.5, 1.0, 2.0):
            for shape in ("normal", "skewed"):
                cells = []
                for splits in (2, 3, 5, 10):
                    covered, widths = 0, []
                    for _ in range(simulations):
                        size = (splits,)
                        effect = (
                            generator.standard_normal(size)
                            if shape == "normal"
                            else generator.exponential(size=size) - 1
                        )
                        # Of the error within, eight tenths of the sd are the configurations'.
                        common = generator.standard_normal(1 if shared else size)
                        errors = 0.8 * common + 0.6 * generator.standard_normal(size)
                        values = ratio * effect + errors
                        found = split_spread(
                            [Interval(v, v - 1.96, v + 1.96, 0.95, "") for v in values],
                            same_configurations=shared,
                        ).mean
                        covered += found.low <= 0 <= found.high
                        widths.append(found.high - found.low)
                    cells.append(
                        f"S {splits:2} {covered / simulations:6.1%} ({np.mean(widths):4.1f})"
                    )
                kind = "same configurations" if shared else "fresh configurations"
                print(f"{kind:21}{ratio:4} {shape:7} " + "  ".join(cells), flush=True)


def main() -> None:
    tables = ("bands", "selected", "rates", "stable", "edges", "splits")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--sweep-seeds", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", nargs="+", choices=tables, default=tables)
    arguments = parser.parse_args()
    sizes, simulations, seed = arguments.n, arguments.simulations, arguments.seed
    if "bands" in arguments.table:
        print_bands(sizes, simulations, seed)
    if "selected" in arguments.table:
        print_selected(sizes, simulations, seed)
    if "rates" in arguments.table:
        print_rates(arguments.sweep_seeds, simulations, seed)
    if "stable" in arguments.table:
        print_stable(arguments.sweep_seeds, simulations, seed)
    if "edges" in arguments.table:
        print_edges(sizes, simulations, seed)
    if "splits" in arguments.table:
        print_splits(10 * simulations, seed)


if __name__ == "__main__":
    main()
