"""Bias of b, and coverage of what rests on it: good fractions with b retrained, and regret.

    python benchmarks/coverage_sensitivity.py --table best good common difference regret whole

The landscapes and the noise are those of coverage.py, whose truths are known.
docs/statistics-sensitivity.md quotes the tables printed.
"""

import argparse

import numpy as np
from coverage import (
    CHANCE,
    KINDS,
    LANDSCAPES,
    NOISE_SDS,
    PAIRS,
    RESAMPLES,
    Landscape,
    configurations,
    over,
    square,
    truth,
)

from hpsuite.analysis import estimate_best, good_fractions, paired_difference
from hpsuite.analysis.best import POINT, BestLevel, best_level, n_best
from hpsuite.analysis.checks import Floats
from hpsuite.analysis.gate import tuning_did_not_matter
from hpsuite.analysis.good_fraction import POINTS
from hpsuite.analysis.regret import regret

# Configurations retrained, as a multiple of the best 4%, and fresh seeds of each.
SHORTLISTS = ((1, 3), (1, 5), (2, 3), (2, 5))


def again(
    landscape: Landscape,
    x: Floats,
    scores: Floats,
    sd: float,
    *,
    shortlist: tuple[int, int],
    generator: np.random.Generator,
) -> Floats:
    """Fresh scores [R, m, s] of the best of `scores` [R, n] of configurations x [3, R, n]."""
    times, seeds = shortlist
    m = times * n_best(scores.shape[-1])
    best = np.argpartition(scores, -m, axis=-1)[:, -m:]
    chosen = np.take_along_axis(x, best[None], axis=-1)
    return landscape.scores(np.repeat(chosen[..., None], seeds, axis=-1), sd, generator)


def retrained(
    landscape: Landscape, x: Floats, scores: Floats, sd: float, generator: np.random.Generator
) -> list[BestLevel]:
    """The b of each sample, with twice the best 4% retrained on 3 seeds."""
    fresh = again(landscape, x, scores, sd, shortlist=(2, 3), generator=generator)
    return [estimate_best(s, f, generator=generator) for s, f in zip(scores, fresh, strict=True)]


def print_bests(sizes: list[int], simulations: int, seed: int) -> None:
    print(
        "\nBias of b (standard deviation), in points: the plain mean of the best 4%, with the bias"
    )
    print("that it states at the true noise; and retrained, (times the best 4%, seeds)")
    head = " ".join(f"{shortlist!s:>14}" for shortlist in SHORTLISTS)
    print(f"{'landscape':10}{'sd':>4}{'n':>5} {'plain':>14} {'stated':>7} {head}  {'stated':>7}")
    generator = np.random.default_rng(seed)
    for landscape in LANDSCAPES.values():
        b = truth(landscape)[0]
        for sd in NOISE_SDS:
            for n in sizes:
                x = configurations((simulations, n), generator)
                scores = landscape.scores(x, sd, generator)
                plain = np.array([best_level(s) for s in scores])
                few = scores[: min(simulations, 40)]
                stated = [estimate_best(s, generator=generator, noise_sd=sd).bias for s in few]
                cells = []
                for shortlist in SHORTLISTS:
                    fresh = again(
                        landscape, x, scores, sd, shortlist=shortlist, generator=generator
                    )
                    found = [
                        estimate_best(s, f, generator=generator)
                        for s, f in zip(scores, fresh, strict=True)
                    ]
                    values = np.array([f.value for f in found])
                    cells.append(f"{100 * (values.mean() - b):+6.2f} ({100 * values.std():5.2f})")
                line = f"{landscape.name:10}{100 * sd:4.1f}{n:5} "
                line += f"{100 * (plain.mean() - b):+6.2f} ({100 * plain.std():5.2f}) "
                line += f"{100 * np.mean(stated):+7.2f} " + " ".join(cells)
                print(f"{line}  {100 * np.mean([f.bias for f in found]):+7.2f}", flush=True)


def print_good_fractions(sizes: list[int], simulations: int, seed: int) -> None:
    print("\nG_e with b retrained (twice the best 4%, 3 seeds), in points; coverage (mean width)")
    head = " ".join(f"{f'G_{e:g}':>5} {'bias':>5} {'coverage':>12}" for e in POINTS)
    print(f"{'landscape':10}{'sd':>4}{'n':>5} {'b bias':>7} {'noise':>6} {head}")
    generator = np.random.default_rng(seed)
    for landscape in LANDSCAPES.values():
        b, expected = truth(landscape)
        shares = {e: float((expected >= b - e * POINT).mean()) for e in POINTS}
        for sd in NOISE_SDS:
            for n in sizes:
                x = configurations((simulations, n), generator)
                samples = landscape.scores(x, sd, generator)
                bests = retrained(landscape, x, samples, sd, generator)
                found = [
                    good_fractions(s, generator=generator, resamples=RESAMPLES, best=best)
                    for s, best in zip(samples, bests, strict=True)
                ]
                cells = []
                for e, share in shares.items():
                    bias = np.mean([f[e].estimate for f in found]) - share
                    covered = np.mean([f[e].low <= share <= f[e].high for f in found])
                    width = np.mean([f[e].high - f[e].low for f in found])
                    cells.append(
                        f"{100 * share:5.1f} {100 * bias:+5.1f} {covered:6.1%} ({100 * width:2.0f})"
                    )
                level = np.mean([best.value for best in bests]) - b
                noise = np.mean([best.noise_sd for best in bests])
                line = f"{landscape.name:10}{100 * sd:4.1f}{n:5} {100 * level:+7.2f} "
                print(line + f"{100 * noise:6.2f} " + "   ".join(cells), flush=True)


def print_common(sizes: list[int], simulations: int, seed: int) -> None:
    print(
        "\nG_e of the worse of two setups against the better one's best, in %, and coverage with b"
    )
    print("plain and retrained, for e = 1, 2, 5")
    generator = np.random.default_rng(seed)
    for pair in PAIRS:
        (level_a, expected_a), (level_b, expected_b) = (truth(LANDSCAPES[arm]) for arm in pair)
        worse, better = pair if level_a < level_b else pair[::-1]
        expected, common = expected_a if worse == pair[0] else expected_b, max(level_a, level_b)
        shares = {e: float((expected >= common - e * POINT).mean()) for e in POINTS}
        for sd in NOISE_SDS:
            for n in sizes:
                x = configurations((simulations, n), generator)
                scores, setters = (
                    LANDSCAPES[arm].scores(x, sd, generator) for arm in (worse, better)
                )
                bests = retrained(LANDSCAPES[better], x, setters, sd, generator)
                cells = [f"{100 * share:.1f}" for share in shares.values()]
                for given in ([None] * simulations, bests):
                    found = [
                        good_fractions(
                            s, generator=generator, resamples=RESAMPLES, against=other, best=best
                        )
                        for s, other, best in zip(scores, setters, given, strict=True)
                    ]
                    for e, share in shares.items():
                        covered = np.mean([f[e].low <= share <= f[e].high for f in found])
                        cells.append(f"{100 * covered:.0f}")
                names = f"{worse:8} against {better:8}"
                line = " ".join(f"{cell:>5}" for cell in cells)
                print(f"{names}{100 * sd:4.1f} n {n:3} {line}", flush=True)


def print_differences(sizes: list[int], simulations: int, seed: int) -> None:
    print("\nG_e(A) - G_e(B) with both b retrained, in points; coverage (mean width) against each")
    print("setup's own best and against the common best. A/A: fresh seeds in the second arm")
    head = " ".join(f"{f'{kind} {e:g}':>9} {'coverage':>11}" for kind in KINDS for e in POINTS)
    print(f"{'A':9}{'B':9}{'sd':>4}{'n':>5}{head}")
    generator = np.random.default_rng(seed)
    for a, b in tuple((name, name) for name in LANDSCAPES) + PAIRS:
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
                x = configurations((simulations, n), generator)
                samples = [LANDSCAPES[arm].scores(x, sd, generator) for arm in (a, b)]
                bests = [
                    retrained(LANDSCAPES[arm], x, scores, sd, generator)
                    for arm, scores in zip((a, b), samples, strict=True)
                ]
                found = [
                    paired_difference(
                        *pair, generator=generator, resamples=RESAMPLES, best_a=one, best_b=other
                    )
                    for *pair, one, other in zip(*samples, *bests, strict=True)
                ]
                cells = []
                for (kind, e), value in true.items():
                    intervals = [getattr(f, kind)[e] for f in found]
                    covered = np.mean([i.low <= value <= i.high for i in intervals])
                    width = np.mean([i.high - i.low for i in intervals])
                    cells.append(f"{100 * value:+9.1f} {covered:6.1%} ({100 * width:2.0f})")
                print(f"{a:9}{b:9}{100 * sd:4.1f}{n:5}" + " ".join(cells), flush=True)


def print_regrets(sizes: list[int], simulations: int, seed: int) -> None:
    print(
        "\nRegret in points; bias of the estimate, coverage (mean width) with b plain and retrained"
    )
    print("default: the configuration with middling values, 1 seed and 5 seeds")
    print(f"{'landscape':10}{'sd':>4}{'n':>5} {'b':10}  median, mean, default x 1, default x 5")
    generator = np.random.default_rng(seed)
    middling = np.array([-2.0, -1.0, 0.0])
    for landscape in LANDSCAPES.values():
        b, expected = truth(landscape)
        accuracy, diverging = landscape.expected(middling)
        default = float((1 - diverging) * accuracy + diverging * CHANCE)
        true = (b - np.median(expected), b - expected.mean(), b - default, b - default)
        for sd in NOISE_SDS:
            for n in sizes:
                x = configurations((simulations, n), generator)
                samples = landscape.scores(x, sd, generator)
                fixed = np.broadcast_to(middling[:, None, None], (3, simulations, 5))
                defaults = landscape.scores(fixed, sd, generator)
                bests = retrained(landscape, x, samples, sd, generator)
                for name in ("plain", "retrained"):
                    found = []
                    for s, five, best in zip(samples, defaults, bests, strict=True):
                        given = {
                            "generator": generator,
                            "resamples": RESAMPLES,
                            "best": best if name == "retrained" else None,
                        }
                        all_five, one = regret(s, five, **given), regret(s, five[0], **given)
                        found.append(
                            (all_five.median, all_five.mean, one.default, all_five.default)
                        )
                    cells = []
                    for value, intervals in zip(true, zip(*found, strict=True), strict=True):
                        bias = np.mean([i.estimate for i in intervals]) - value
                        covered = np.mean([i.low <= value <= i.high for i in intervals])
                        width = np.mean([i.high - i.low for i in intervals])
                        figures = f"{100 * value:5.1f} {100 * bias:+6.2f}"
                        cells.append(f"{figures} {covered:6.1%} ({100 * width:4.1f})")
                    line = f"{landscape.name:10}{100 * sd:4.1f}{n:5} {name:10} "
                    print(line + "  ".join(cells), flush=True)


def print_whole(sizes: list[int], simulations: int, seed: int) -> None:
    print("\nHow often tuning is said not to have mattered, by G_2, in %; b plain and retrained")
    generator = np.random.default_rng(seed)
    # The wide landscape without its cliff, falling off below another rate.
    for slow in (-0.5, -1.5, -2.0, -2.5, -3.0, -4.0):
        landscape = Landscape(
            "whole", lambda x, slow=slow: 0.98 - 0.012 * square(over(slow - x[0])), 9.0
        )
        b, expected = truth(landscape)
        share = float((expected >= b - 2 * POINT).mean())
        for sd in NOISE_SDS:
            cells = []
            for n in sizes:
                x = configurations((simulations, n), generator)
                samples = landscape.scores(x, sd, generator)
                bests = retrained(landscape, x, samples, sd, generator)
                for given in ([None] * simulations, bests):
                    said = [
                        tuning_did_not_matter(
                            good_fractions(
                                s, generator=generator, resamples=RESAMPLES, points=[2], best=best
                            )[2]
                        )
                        for s, best in zip(samples, given, strict=True)
                    ]
                    cells.append(f"{100 * np.mean(said):5.1f}")
                cells[-2] = f"n {n:3}: {cells[-2]}"
            print(f"G_2 {100 * share:5.1f}  sd {100 * sd:.1f}  " + "  ".join(cells), flush=True)


TABLES = {
    "best": print_bests,
    "good": print_good_fractions,
    "common": print_common,
    "difference": print_differences,
    "regret": print_regrets,
    "whole": print_whole,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, nargs="+", default=[80, 256])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", nargs="+", choices=list(TABLES), default=list(TABLES))
    arguments = parser.parse_args()
    for table in arguments.table:
        TABLES[table](arguments.n, arguments.simulations, arguments.seed)


if __name__ == "__main__":
    main()
