"""How often experiments come to each verdict: power at default sample sizes, and A/A checks.

    python benchmarks/power_verdicts.py --table remark sizes --experiments 1000 --seed 0

docs/statistics-verdicts.md quotes the tables printed.
"""

import argparse
import itertools
from collections.abc import Callable

import numpy as np
from scipy import stats

from hpsuite.analysis import paired_difference
from hpsuite.analysis.across_setups import interquartile_mean_difference
from hpsuite.analysis.checks import Floats
from hpsuite.analysis.claims import SMALLEST_EFFECTS, Cell, Claim
from hpsuite.analysis.comparisons import compare_strategies
from hpsuite.analysis.power import (
    Wanted,
    chances,
    configurations_for_shares,
    detectable_effect,
    largest_error,
    repeats_for_means,
    repeats_for_probability,
)
from hpsuite.analysis.simulation import VerdictShares, simulated

N_VAL = 359
CHANCE = 37 / N_VAL
# Resamples an interval; fewer than the library's default, to keep a table under five minutes.
RESAMPLES = 300
NOISE_SD = 0.005


def claimed(effect: float, null: float = 0.0) -> Claim:
    return Claim("", "difference", "greater", effect, "primary", 1, null=null)


def shown(found: VerdictShares) -> str:
    shares = (found.supported, found.contradicted, found.no_difference, found.inconclusive)
    return " ".join(f"{share.estimate:6.1%}" for share in shares) + f"   {found.mean_width:.3g}"


HEAD = (
    f"{'supported':>9} {'contradicted':>12} {'no difference':>13} {'inconclusive':>12}   mean width"
)


# A setup is good on a plateau of effective rates, `width` decades to each side of its middle.


def configurations(n: int, generator: np.random.Generator) -> Floats:
    """Log10 of the effective rate, learning rate / (1 - momentum), of n configurations."""
    return generator.uniform(-4, 1, n) - generator.uniform(-3, 0, n)


def expected(rate: Floats, width: float) -> tuple[Floats, Floats]:
    """Accuracy without divergence, and the probability of diverging."""
    accuracy = 0.972 - 0.03 * np.maximum(0.0, np.abs(rate + 0.5) - width) ** 2
    return np.maximum(CHANCE, accuracy), 1 / (1 + np.exp(-(rate - width - 0.5) / 0.03))


def trained(rate: Floats, width: float, generator: np.random.Generator) -> Floats:
    accuracy, diverging = expected(rate, width)
    noise = NOISE_SD * (1 + 3 * np.minimum(1, (0.98 - accuracy) / 0.2))
    noisy = accuracy + noise * generator.standard_normal(rate.shape)
    lattice = np.clip(np.round(noisy * N_VAL), 0, N_VAL) / N_VAL
    return np.where(generator.random(rate.shape) < diverging, CHANCE, lattice)


def good_fraction(width: float) -> float:
    accuracy, diverging = expected(configurations(1_000_000, np.random.default_rng(1)), width)
    scores = (1 - diverging) * accuracy + diverging * CHANCE
    return float((scores >= np.sort(scores)[-40_000:].mean() - 0.02).mean())


def pairs(n: int, widths: tuple[float, float], kind: str) -> Callable[[np.random.Generator], Cell]:
    """An experiment: good fractions of two setups on n shared configurations, fresh seeds."""

    def experiment(generator: np.random.Generator) -> Cell:
        rate = configurations(n, generator)
        a, b = (trained(rate, width, generator) for width in widths)
        found = paired_difference(a, b, generator=generator, points=[2], resamples=RESAMPLES)
        return Cell(n, lambda level: getattr(found, kind)[2])

    return experiment


def searched(shift: float, repeats: int, generator: np.random.Generator, n: int = 16) -> Floats:
    """A random search, whose scores on the good side are moved by `shift`."""
    return trained(configurations(repeats * n, generator), 0.6, generator).reshape(-1, n) + shift


FIGURES: dict[str, tuple[float, float]] = {
    "best": (SMALLEST_EFFECTS["accuracy"], 0.0),
    "area": (SMALLEST_EFFECTS["area under the accuracy curve"], 0.0),
    "better": (SMALLEST_EFFECTS["probability better"], 0.5),
    "trials": (2.0, 0.0),
}


def repeats_of(
    repeats: int, shift: float, figure: str, paired: bool = False
) -> Callable[[np.random.Generator], Cell]:
    """An experiment: two searches of 16 trials, R repeats each."""

    def experiment(generator: np.random.Generator) -> Cell:
        a, b = searched(shift, repeats, generator), searched(0.0, repeats, generator)
        found = compare_strategies(a, b, b=0.975, paired=paired)
        return Cell(repeats, lambda level: getattr(found, figure))

    return experiment


def across(repeats: int, shift: float) -> Callable[[np.random.Generator], Cell]:
    """An experiment: interquartile means over four setups, normalised by chance and b."""

    def experiment(generator: np.random.Generator) -> Cell:
        a, b = (
            {
                str(i): (searched(move, repeats, generator).max(axis=1) - CHANCE) / (0.975 - CHANCE)
                for i in range(4)
            }
            for move in (shift, 0.0)
        )
        found = interquartile_mean_difference(a, b, generator=generator, resamples=RESAMPLES)
        return Cell(repeats, lambda level: found)

    return experiment


def print_remark() -> None:
    print("\nstandard error 2.5 points, smallest effect 2: chances by true effect, in points")
    for effect in (0, 2, 5, 6.9, 9.0, 10.1, 12):
        found = chances(effect, 2.5, 2)
        print(
            f"{effect:5}  supported {found.supported:6.1%}  no difference "
            f"{found.no_difference:6.1%}  inconclusive {found.inconclusive:6.1%}"
        )
    print(f"supported with 80% from {detectable_effect(2.5, 2):.2f}", end=", ")
    print(f"90% from {detectable_effect(2.5, 2, 0.9):.2f}")
    print(f"no difference possible under {largest_error(2, 0):.2f}", end=", ")
    print(f"with 80% at {largest_error(2):.2f}, with 90% at {largest_error(2, 0.9):.2f}")
    for smallest in (2, 5):
        line = ", ".join(
            f"se {e}: {detectable_effect(e, smallest):.1f}" for e in (1, 1.5, 2, 2.5, 3)
        )
        print(f"smallest effect {smallest}, supported with 80% from: {line}")


POWERS = (0.8, 0.9)


def print_sizes() -> None:
    print("\nsample sizes for a power of 80% and of 90%; d is the smallest effect")
    verdicts: tuple[Wanted, ...] = ("supported", "no difference")
    for wanted, smallest, effect in itertools.product(verdicts, (0.2, 0.5, 1), (0, 0.5, 1, 1.5, 2)):
        if (effect == 0) == (wanted == "no difference"):
            sizes = [repeats_for_means(effect, smallest, 1, wanted=wanted, power=p) for p in POWERS]
            print(f"means in sd, d {smallest}, true {effect}: {wanted} {sizes}")
    for wanted, discordant, effect in itertools.product(
        verdicts, (0.1, 0.2, 0.3), (0, 0.1, 0.15, 0.2)
    ):
        if (effect == 0) == (wanted == "no difference") and effect <= discordant:
            sizes = [
                configurations_for_shares(effect, 0.05, discordant, wanted=wanted, power=p)
                for p in POWERS
            ]
            print(f"shares, d .05, discordant {discordant}, true {effect}: {wanted} {sizes}")
    for paired, true in itertools.product((False, True), (0.5, 0.7, 0.75, 0.8, 0.9)):
        wanted = "no difference" if true == 0.5 else "supported"
        sizes = [
            repeats_for_probability(true, 0.1, paired=paired, wanted=wanted, power=p)
            for p in POWERS
        ]
        label = "paired" if paired else "unpaired"
        print(f"P(A better), {label}, d .1, true {true}: {wanted} {sizes}")


def print_shares(experiments: int, seed: int) -> None:
    print("\ngood fraction within 2 points, paired configurations, smallest effect 5 points")
    print(f"{'n':>4} {'true':>6}  {HEAD}")
    generator = np.random.default_rng(seed)
    base = good_fraction(0.6)
    for n in (80, 256, 512):
        for width in (0.6, 0.8, 1.0, 1.2, 1.4):
            found = simulated(
                claimed(SMALLEST_EFFECTS["good fraction"]),
                pairs(n, (width, 0.6), "own"),
                experiments,
                generator=generator,
            )
            true = 100 * (good_fraction(width) - base)
            print(f"{n:4} {true:+6.1f}  {shown(found)}", flush=True)


def print_strategies(experiments: int, seed: int) -> None:
    print("\ntwo searches of 16 trials, A's scores moved; smallest effects: half a point of")
    print(f"accuracy, .1 in P(A better), .02 normalised\n{'figure':8}{'R':>4} {'moved':>6}  {HEAD}")
    generator = np.random.default_rng(seed)
    for figure in ("best", "better"):
        for repeats in (30, 100):
            for shift in (0.0, 0.0025, 0.005, 0.0075, 0.01):
                found = simulated(
                    claimed(*FIGURES[figure]),
                    repeats_of(repeats, shift, figure),
                    experiments,
                    generator=generator,
                )
                print(f"{figure:8}{repeats:4} {100 * shift:6.2f}  {shown(found)}", flush=True)
    for shift in (0.0, 0.01, 0.02, 0.03):
        found = simulated(
            claimed(SMALLEST_EFFECTS["normalised score"]),
            across(30, shift),
            experiments,
            generator=generator,
        )
        print(f"4 setups  30 {100 * shift:6.2f}  {shown(found)}", flush=True)


def print_alike(experiments: int, seed: int) -> None:
    print("\nA/A: both arms alike, fresh seeds in the second")
    print(f"{'':26}{HEAD}   wrong, 95% upper end")
    generator = np.random.default_rng(seed)
    runs: list[tuple[str, Claim, Callable[[np.random.Generator], Cell]]] = []
    for kind in ("own", "common"):
        for n in (80, 256):
            for width in (0.3, 1.4):
                label = f"good fraction {kind} {n} {width}"
                claim = claimed(SMALLEST_EFFECTS["good fraction"])
                runs.append((label, claim, pairs(n, (width, width), kind)))
    for figure, effect in FIGURES.items():
        for repeats in (10, 30, 100):
            for paired in (False, True):
                label = f"{figure} R {repeats}{' paired' if paired else ''}"
                runs.append((label, claimed(*effect), repeats_of(repeats, 0.0, figure, paired)))
    for repeats in (10, 30):
        claim = claimed(SMALLEST_EFFECTS["normalised score"])
        runs.append((f"4 setups R {repeats}", claim, across(repeats, 0.0)))
    for label, claim, experiment in runs:
        found = simulated(claim, experiment, experiments, generator=generator)
        count = round(found.wrong.estimate * experiments)
        upper = stats.beta.ppf(0.95, count + 1, experiments - count)
        print(f"{label:26}{shown(found)}   {count}, {upper:.2%}", flush=True)


def main() -> None:
    tables: dict[str, Callable[[int, int], None]] = {
        "remark": lambda experiments, seed: print_remark(),
        "sizes": lambda experiments, seed: print_sizes(),
        "shares": print_shares,
        "strategies": print_strategies,
        "alike": print_alike,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", nargs="+", choices=list(tables), default=list(tables))
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.table:
        tables[name](arguments.experiments, arguments.seed)


if __name__ == "__main__":
    main()
