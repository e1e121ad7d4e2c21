"""How often the intervals of hpsuite.analysis.importance cover the truth, where it is known.

    python benchmarks/coverage_importance.py --table cover --n 128 512 --simulations 200

A landscape gives the expected score of a configuration drawn at random from the unit cube; seed
noise is added. What an evaluator says of an infinite sample is found from two million trials: of
PED-ANOVA and fANOVA by counting in cells, of the tuning risk from the expected scores of the
space and of its slices. docs/statistics-importance.md quotes the tables printed.
"""

import argparse
import itertools
import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.fanova import fanova
from hpsuite.analysis.importance import importance
from hpsuite.analysis.importance_figures import EVALUATORS
from hpsuite.analysis.marginals import marginal_curve, marginal_grid
from hpsuite.analysis.ped_anova import ped_anova
from hpsuite.analysis.tuning_risk import measured_risk

CHANCE = 0.1
N_VAL = 360
DEFAULT = 0.3
LARGE = 2_000_000
# Resamples an interval; fewer than the library's default, to save time.
RESAMPLES = 300
# A truth below this is 0, and an error of counting.
NOTHING = 2e-4


@dataclass(frozen=True)
class Landscape:
    """A response of d hyperparameters.

    Attributes:
        expected: from units [n, d] to expected scores [n].
        levels: numbers of values, None for a continuous hyperparameter.
        noise: standard deviation over seeds.
        lattice: whether scores are accuracies on `N_VAL` examples.
    """

    expected: Callable[[Floats], Floats]
    levels: tuple[int | None, ...]
    noise: float
    lattice: bool = False

    def units(self, n: int, generator: np.random.Generator) -> Floats:
        x = generator.random((n, len(self.levels)))
        for j, m in enumerate(self.levels):
            if m is not None:
                x[:, j] = (np.floor(x[:, j] * m) + 0.5) / m
        return x

    def scores(self, x: Floats, generator: np.random.Generator) -> Floats:
        y = self.expected(x) + self.noise * generator.standard_normal(len(x))
        return np.round(np.clip(y, 0, 1) * N_VAL) / N_VAL if self.lattice else y


def weighted(x: Floats) -> Floats:
    return np.asarray(x @ [4, 2, 1, 0.5, 0, 0, 0])


def peaks(x: Floats) -> Floats:
    centres, weights = [0.2, 0.5, 0.8, 0.5, 0.5, 0.5, 0.5], [3, 2, 1, 0.5, 0.25, 0, 0]
    return np.asarray(-((x - centres) ** 2) @ weights)


def kinks(x: Floats) -> Floats:
    centres = [0.7, 0.3, 0.6, 0.5, 0.5, 0.5, 0.5]
    weights = [0.5, 0.3, 0.15, 0.08, 0.03, 0, 0]
    return 0.98 - np.asarray(np.abs(x - centres) ** 1.3 @ weights)


def cliff(x: Floats) -> Floats:
    """Learning rate over five decades, 1 - momentum over three: two fifths fail."""
    rate = -4 + 5 * x[:, 0] + 3 * x[:, 1]
    accuracy = 0.97 - 0.03 * (rate + 0.3) ** 2 - 0.01 * (3 * x[:, 1]) ** 2
    if x.shape[1] > 2:
        accuracy = accuracy - 0.03 * (x[:, 2] - 0.3) ** 2 - 0.01 * (x[:, 3] - 0.3) ** 2
    return np.asarray(np.where(rate > 0.7, CHANCE, np.maximum(accuracy, CHANCE)))


def edge(x: Floats) -> Floats:
    return np.asarray(x**2 @ [2, 1, 0.5, 0.25])


def narrow(x: Floats) -> Floats:
    return np.asarray(np.exp(-(((x[:, 0] - 0.6) / 0.04) ** 2) / 2) + 0.15 * x[:, 1])


def equal(x: Floats) -> Floats:
    return np.asarray(-((x - 0.5) ** 2).sum(axis=1))


def choices(x: Floats) -> Floats:
    """A choice of four, a rate that should differ with it, and an integer of eight values."""
    kind = np.floor(4 * x[:, 0]).astype(int)
    best = np.array([0.3, 0.4, 0.6, 0.7])[kind]
    base = np.array([0.0, 0.1, 0.3, 0.25])[kind]
    return np.asarray(base - (x[:, 1] - best) ** 2 + 0.2 * x[:, 2])


def nothing(x: Floats) -> Floats:
    return np.zeros(len(x))


LANDSCAPES = {
    "weighted": Landscape(weighted, (None,) * 7, 0.3),
    "peaks": Landscape(peaks, (None,) * 7, 0.1),
    "kinks": Landscape(kinks, (None,) * 7, 0.02),
    "cliff": Landscape(cliff, (None,) * 2, 0.01, lattice=True),
    "cliff 7": Landscape(cliff, (None,) * 7, 0.01, lattice=True),
    "edge": Landscape(edge, (None,) * 4, 0.2),
    "narrow": Landscape(narrow, (None,) * 2, 0.05),
    "equal": Landscape(equal, (None,) * 3, 0.05),
    "choices": Landscape(choices, (4, None, 8), 0.03),
}


def explained(x: Floats, y: Floats, levels: Sequence[int | None], bins: int = 400) -> Floats:
    """Share of the variance of y that each column explains, by counting in cells."""
    found = []
    for column, m in zip(x.T, levels, strict=True):
        cells = m or bins
        if m is None:
            cell = np.argsort(np.argsort(column, kind="stable")) * cells // len(column)
        else:
            cell = np.floor(column * m).astype(int)
        n = np.bincount(cell, minlength=cells)
        means = np.bincount(cell, y, cells) / np.maximum(n, 1)
        between = float((n * (means - y.mean()) ** 2).sum()) / len(y)
        found.append(between / float(y.var()) - (cells - 1) / len(y))
    values = np.array(found)
    return np.where(values < NOTHING, 0, values)


def stream(options: argparse.Namespace, landscape: str, n: int) -> np.random.Generator:
    """Of one row of a table, whichever others are asked for."""
    return np.random.default_rng([options.seed, zlib.crc32(landscape.encode()), n])


def best_level(values: Floats) -> float:
    return float(np.sort(values)[-len(values) // 25 :].mean())


def truth(landscape: Landscape) -> dict[str, Floats]:
    """What each evaluator says of an infinite sample."""
    generator = np.random.default_rng(0)
    x = landscape.units(LARGE, generator)
    y = landscape.scores(x, generator)
    # Sorted by score; trials are independent, so that ties are broken by lot.
    order = np.argsort(-y, kind="stable")
    found = {"fanova": explained(x, y, landscape.levels)}
    for name, region in (("ped_anova_top10", 1.0), ("ped_anova_top10_of_top50", 0.5)):
        rows = order[: int(region * LARGE)]
        best = (np.arange(len(rows)) < 0.1 * LARGE).astype(float)
        found[name] = explained(x[rows], best, landscape.levels)
    # Clipped and rounded scores have another mean than what they were made from.
    level = best_level(landscape.expected(x))
    risks = []
    for j, m in enumerate(landscape.levels):
        moved = x.copy()
        moved[:, j] = DEFAULT if m is None else (math.floor(DEFAULT * m) + 0.5) / m
        risks.append(level - best_level(landscape.expected(moved)))
    found["tuning_risk"] = np.array(risks)
    return found


def figures(
    landscape: Landscape, n: int, evaluators: Sequence[str], generator: np.random.Generator
) -> dict[str, list[tuple[float, ...]]]:
    """For each evaluator, for each hyperparameter: value, share, their ends, P(rank 1), ranks."""
    x = landscape.units(n, generator)
    names = [str(j) for j in range(x.shape[1])]
    defaults = {
        name: DEFAULT if m is None else (math.floor(DEFAULT * m) + 0.5) / m
        for name, m in zip(names, landscape.levels, strict=True)
    }
    found = importance(
        x,
        landscape.scores(x, generator),
        names=names,
        generator=generator.spawn(1)[0],
        levels=landscape.levels,
        defaults=defaults,
        evaluators=evaluators,
        resamples=RESAMPLES,
    )
    return {
        name: [
            (
                one.value.estimate,
                one.value.low,
                one.value.high,
                one.share.estimate,
                one.share.low,
                one.share.high,
                one.p_first,
                one.rank.low,
                one.rank.high,
            )
            for one in result.by_name.values()
        ]
        for name, result in found.items()
    }


def print_cover(options: argparse.Namespace) -> None:
    print("\ncoverage in % of the 95% intervals: lowest and mean over the hyperparameters; bias of")
    print("the value of the first two; mean width of its interval of the most important")
    print(f"{'landscape':10}{'n':>6}  {'evaluator':26}{'value':>10}{'share':>12}  bias, width")
    for landscape in options.landscape:
        true = truth(LANDSCAPES[landscape])
        for n in options.n:
            generator = stream(options, landscape, n)
            runs = [
                figures(LANDSCAPES[landscape], n, options.evaluator, generator)
                for _ in range(options.simulations)
            ]
            for evaluator in options.evaluator:
                values = np.array([run[evaluator] for run in runs])
                exact = true[evaluator]
                cells = [(exact, values[..., 0:3])]
                positive = np.maximum(exact, 0)
                if positive.sum() > 0:
                    cells.append((positive / positive.sum(), values[..., 3:6]))
                text = []
                for wanted, ends in cells:
                    slack = 1e-12
                    hit = (ends[..., 1] <= wanted + slack) & (wanted - slack <= ends[..., 2])
                    covered = 100 * hit.mean(axis=0)
                    text.append(f"{covered.min():5.0f} {covered.mean():5.0f}")
                bias = values[..., 0].mean(axis=0) - np.maximum(exact, 0)
                if evaluator == "tuning_risk":
                    bias = values[..., 0].mean(axis=0) - exact
                widest = int(exact.argmax())
                width = float((values[:, widest, 2] - values[:, widest, 1]).mean())
                tail = " ".join(f"{b:+.3f}/{e:.3f}" for b, e in zip(bias[:2], exact, strict=False))
                line = f"{landscape:10}{n:6}  {evaluator:26}" + " ".join(text)
                print(f"{line}  {tail}  {width:.3f}", flush=True)


def print_first(options: argparse.Namespace) -> None:
    print("\nP(rank 1) of the one said to be first, on random responses of 2 to 5 hyperparameters:")
    print("how often it was said, what was said on average, how often it was right, in %")
    edges = [0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01]
    for n in options.n:
        generator = stream(options, "random", n)
        said: dict[str, list[tuple[float, bool]]] = {name: [] for name in options.evaluator}
        wrong = dict.fromkeys(options.evaluator, 0)
        for _ in range(options.simulations):
            landscape = random_response(generator)
            true = quick_truth(landscape, generator)
            found = figures(landscape, n, options.evaluator, generator)
            for name in options.evaluator:
                values = np.array(found[name])
                top = int(values[:, 6].argmax())
                said[name].append((values[top, 6], true[name][top] >= true[name].max() - NOTHING))
                ranks = 1 + (true[name][:, None] < true[name][None] - NOTHING).sum(axis=1)
                last = len(ranks) - (true[name][:, None] > true[name][None] + NOTHING).sum(axis=1)
                wrong[name] += int(((values[:, 7] > last) | (values[:, 8] < ranks)).any())
        for name in options.evaluator:
            p, right = np.array(said[name]).T
            cells = []
            for low, high in itertools.pairwise(edges):
                inside = (p >= low) & (p < high)
                if inside.sum():
                    means = f"{100 * p[inside].mean():.0f} {100 * right[inside].mean():.0f}"
                    cells.append(f"{inside.sum()}: {means}")
            print(f"n {n:5} {name:26}" + "   ".join(cells))
            share = 100 * wrong[name] / options.simulations
            print(f"        {'':26}any rank outside its range: {share:.1f}%", flush=True)


def random_response(generator: np.random.Generator) -> Landscape:
    """Peaks of random weights at random places, one interaction, and noise."""
    d = int(generator.integers(2, 6))
    weights, centres = generator.exponential(size=d), generator.random(d)
    pair = generator.normal()

    def expected(x: Floats) -> Floats:
        scores = -((x - centres) ** 2) @ weights + pair * (x[:, 0] - 0.5) * (x[:, 1] - 0.5)
        return np.asarray(scores)

    return Landscape(expected, (None,) * d, float(generator.uniform(0.05, 0.5)))


def quick_truth(landscape: Landscape, generator: np.random.Generator) -> dict[str, Floats]:
    """`truth` from fewer trials."""
    x = landscape.units(200_000, generator)
    y = landscape.scores(x, generator)
    order = np.argsort(-y, kind="stable")
    found = {"fanova": explained(x, y, landscape.levels, 40)}
    for name, region in (("ped_anova_top10", 1.0), ("ped_anova_top10_of_top50", 0.5)):
        rows = order[: int(region * len(y))]
        best = (np.arange(len(rows)) < 0.1 * len(y)).astype(float)
        found[name] = explained(x[rows], best, landscape.levels, 40)
    level, risks = best_level(landscape.expected(x)), []
    for j in range(x.shape[1]):
        moved = x.copy()
        moved[:, j] = DEFAULT
        risks.append(level - best_level(landscape.expected(moved)))
    found["tuning_risk"] = np.array(risks)
    return found


def print_equal(options: argparse.Namespace) -> None:
    print("\nfalse ranks where none is due, in % of samples (5 promised): three equal")
    print("hyperparameters, and three of which none matters")
    cases = {"equal": LANDSCAPES["equal"], "nothing": Landscape(nothing, (None,) * 3, 1.0)}
    evaluators = [name for name in options.evaluator if name != "tuning_risk"]
    for case, landscape in cases.items():
        for n in options.n:
            generator = stream(options, case, n)
            runs = [
                figures(landscape, n, evaluators, generator) for _ in range(options.simulations)
            ]
            for name in evaluators:
                values = np.array([run[name] for run in runs])
                ranked = (values[..., 7] > 1).any(axis=1).mean()
                print(f"{case:8} n {n:5} {name:26}{100 * ranked:5.1f}", flush=True)


def print_power(options: argparse.Namespace) -> None:
    print("\nhow often, in %, the most important is settled and right; settled and wrong; and how")
    print("often no two could be told apart")
    for name in options.landscape:
        true = truth(LANDSCAPES[name])
        for n in options.n:
            generator = stream(options, name, n)
            runs = [
                figures(LANDSCAPES[name], n, options.evaluator, generator)
                for _ in range(options.simulations)
            ]
            for evaluator in options.evaluator:
                ranks = np.array([run[evaluator] for run in runs])[..., 7:]
                settled = ranks[..., 1] == 1
                right = settled[:, int(true[evaluator].argmax())].mean()
                wrong = settled.any(axis=1).mean() - right
                nothing_known = (ranks[..., 1] - ranks[..., 0] == ranks.shape[1] - 1).all(axis=1)
                cells = " ".join(f"{100 * v:4.0f}" for v in (right, wrong, nothing_known.mean()))
                print(f"{name:10}{n:6}  {evaluator:26}{cells}", flush=True)


def print_optuna(options: argparse.Namespace) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print("\nroot mean square error of shares (the sum being 1), in points, and bias of the first")
    for name in options.landscape:
        landscape = LANDSCAPES[name]
        true = truth(landscape)
        for n in options.n:
            generator = stream(options, name, n)
            errors: dict[str, list[Floats]] = {}
            for _ in range(options.simulations):
                x = landscape.units(n, generator)
                y = landscape.scores(x, generator)
                study = optuna_study(x, y, landscape.levels)
                for evaluator, ours, theirs in (
                    (
                        "ped_anova_top10",
                        ped_anova(x, y, levels=landscape.levels).values,
                        optuna.importance.PedAnovaImportanceEvaluator(),
                    ),
                    (
                        "fanova",
                        fanova(x, y, levels=landscape.levels, generator=generator).values,
                        optuna.importance.FanovaImportanceEvaluator(),
                    ),
                ):
                    if evaluator not in options.evaluator:
                        continue
                    wanted = true[evaluator] / true[evaluator].sum()
                    positive = np.maximum(ours, 0)
                    errors.setdefault(f"{evaluator} ours", []).append(
                        positive / positive.sum() - wanted
                    )
                    found = optuna.importance.get_param_importances(study, evaluator=theirs)
                    shares = np.array([found[f"x{j}"] for j in range(x.shape[1])])
                    errors.setdefault(f"{evaluator} Optuna", []).append(shares - wanted)
            for key, values in errors.items():
                table = 100 * np.array(values)
                error = math.sqrt((table**2).mean())
                print(
                    f"{name:10}{n:6}  {key:26}{error:6.1f} {table[:, 0].mean():+6.1f}", flush=True
                )


def optuna_study(x: Floats, y: Floats, levels: Sequence[int | None]) -> Any:
    """The trials as an Optuna study."""
    import optuna

    distributions: dict[str, Any] = {
        f"x{j}": optuna.distributions.FloatDistribution(0, 1)
        if m is None
        else optuna.distributions.CategoricalDistribution(range(m))
        for j, m in enumerate(levels)
    }
    study = optuna.create_study(direction="maximize")
    for row, score in zip(x, y, strict=True):
        params = {
            f"x{j}": float(v) if m is None else int(v * m)
            for j, (v, m) in enumerate(zip(row, levels, strict=True))
        }
        study.add_trial(
            optuna.create_trial(params=params, distributions=distributions, value=float(score))
        )
    return study


def print_curves(options: argparse.Namespace) -> None:
    print("\ncoverage in % of the cells' intervals, and mean width: lowest and mean over cells")
    warnings.simplefilter("ignore")  # cells that no simulation filled
    for name in options.landscape:
        landscape, generator = LANDSCAPES[name], np.random.default_rng(0)
        large = landscape.units(LARGE, generator)
        scores = landscape.scores(large, generator)
        exact = marginal_curve(
            large, scores, 0, generator=generator, levels=landscape.levels, method="plain"
        ).mean
        both = marginal_grid(
            large, scores, (0, 1), generator=generator, levels=landscape.levels, method="plain"
        ).mean
        for n in options.n:
            for method in ("plain", "adjusted"):
                generator = stream(options, name, n)
                hits: list[list[npt.NDArray[np.float64]]] = [[], []]
                widths: list[list[Floats]] = [[], []]
                for _ in range(options.simulations):
                    x = landscape.units(n, generator)
                    y = landscape.scores(x, generator)
                    arguments = {
                        "generator": generator,
                        "levels": landscape.levels,
                        "method": method,
                    }
                    curve = marginal_curve(x, y, 0, **arguments)
                    grid = marginal_grid(x, y, (0, 1), **arguments)
                    for i, (found, wanted) in enumerate(((curve, exact), (grid, both))):
                        hit = (found.low <= wanted) & (wanted <= found.high)
                        hits[i].append(np.where(np.isfinite(found.low), hit, np.nan))
                        widths[i].append(found.high - found.low)
                text = []
                for i in (0, 1):
                    covered = 100 * np.nanmean(hits[i], axis=0)
                    width = float(np.nanmean(widths[i]))
                    text.append(f"{np.nanmin(covered):4.0f} {np.nanmean(covered):4.0f} {width:.3f}")
                print(f"{name:10}{n:6} {method:9} curve {text[0]}   grid {text[1]}", flush=True)


def print_measured(options: argparse.Namespace) -> None:
    print("\ncoverage in % of measured_risk, each hyperparameter at its default in as many trials")
    for name in options.landscape:
        landscape = LANDSCAPES[name]
        large = landscape.units(LARGE, np.random.default_rng(0))
        for n in options.n:
            generator = stream(options, name, n)
            covered = []
            for j, m in enumerate(landscape.levels[:3]):
                default = DEFAULT if m is None else (math.floor(DEFAULT * m) + 0.5) / m
                at = large.copy()
                at[:, j] = default
                # Of single trials: both bests are lucky.
                wanted = best_level(landscape.scores(large, generator)) - best_level(
                    landscape.scores(at, generator)
                )
                hits = 0
                for _ in range(options.simulations):
                    x, z = (landscape.units(n, generator) for _ in range(2))
                    z[:, j] = default
                    found = measured_risk(
                        landscape.scores(x, generator),
                        landscape.scores(z, generator),
                        generator=generator,
                        resamples=RESAMPLES,
                    )
                    hits += found.low <= wanted <= found.high
                covered.append(f"{100 * hits / options.simulations:.0f}")
            print(f"{name:10}{n:6}  {' '.join(covered)}", flush=True)


TABLES = {
    "cover": print_cover,
    "first": print_first,
    "equal": print_equal,
    "power": print_power,
    "optuna": print_optuna,
    "curves": print_curves,
    "measured": print_measured,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", nargs="+", choices=[*TABLES], default=["cover"])
    parser.add_argument("--n", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--landscape", nargs="+", choices=[*LANDSCAPES], default=[*LANDSCAPES])
    parser.add_argument("--evaluator", nargs="+", choices=[*EVALUATORS], default=[*EVALUATORS])
    options = parser.parse_args()
    for table in options.table:
        TABLES[table](options)


if __name__ == "__main__":
    main()
