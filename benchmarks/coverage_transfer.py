"""How often the intervals on transfer, and on Adkins' sensitivity, cover the truth.

    python benchmarks/coverage_transfer.py --table transfer --simulations 300 --seed 0

docs/statistics-verdicts.md quotes the tables printed.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from hpsuite.analysis.checks import Floats
from hpsuite.analysis.environments import environment_sensitivity
from hpsuite.analysis.intervals import Interval
from hpsuite.analysis.transfer import transfer_costs

N_VAL = 359


def covered(intervals: Sequence[Interval], truth: float) -> str:
    """Coverage (mean width)."""
    hits = np.mean([i.low - 1e-12 <= truth <= i.high + 1e-12 for i in intervals])
    width = np.mean([i.high - i.low for i in intervals])
    return f"{hits:6.1%} ({width:.3g})"


# Transfer: expected accuracy of configurations x [2, ...] on setups whose optimum lies at `shift`.
def _peak(x: Floats, shift: float, steep: float = 1.0, cliff: float = 1.5) -> Floats:
    accuracy = 0.975 - 0.03 * steep * (x[0] - shift) ** 2 - 0.012 * (x[1] + shift / 2) ** 2
    return np.where(x[0] - shift > cliff, 0.1, np.maximum(0.1, accuracy))


TRANSFERS = {
    "same": ((0, 1), (0, 1)),
    "near": ((0, 1), (0.3, 1)),
    "far": ((0, 1), (1.2, 1)),
    "flat": ((0, 0.03), (0.5, 0.03)),
    "beside the cliff": ((1.2, 1), (0, 1)),
    "over the cliff": ((1.6, 1), (0, 1)),
}


def print_transfers(simulations: int, seed: int) -> None:
    print("\ncost of transfer in points: truth, bias, coverage (mean width in points), seed noise")
    print(".5 point; then relative staleness: truth, coverage (mean width), share computable.")
    print("s = 1 (b): b from 5 fresh seeds of what was chosen; s = 1: upper bound alone")
    generator = np.random.default_rng(seed)
    for name, arguments in TRANSFERS.items():
        x = np.random.default_rng(1).uniform([[-3], [-1]], [[2], [1]], (2, 1_000_000))
        on_a, on_b = (_peak(x, *each) for each in arguments)
        k = 40_000
        best = on_b[np.argpartition(on_b, -k)[-k:]].mean()
        truth = float(best - on_b[np.argpartition(on_a, -k)[-k:]].mean())
        stale = truth / float(best - np.median(on_b))
        for n in (80, 256):
            for seeds, retrained in ((1, False), (1, True), (2, False), (3, False)):
                costs, relative = [], []
                for _ in range(simulations):
                    x = generator.uniform([[-3], [-1]], [[2], [1]], (2, n))
                    scores, known = {}, {}
                    for setup, each in zip("ab", arguments, strict=True):
                        true = _peak(x, *each)
                        noise = 0.005 * generator.standard_normal((n, seeds))
                        scores[setup] = np.round(N_VAL * (true[:, None] + noise)) / N_VAL
                        m = max(1, round(0.04 * n))
                        fresh = true[np.argsort(scores[setup][:, 0])[-m:], None]
                        fresh = fresh + 0.005 * generator.standard_normal((m, 5))
                        known[setup] = (float(fresh.mean()), 0.005 / np.sqrt(5 * m))
                    found = transfer_costs(
                        scores,
                        generator=generator,
                        best=known if retrained else None,
                        resamples=200,
                    )
                    costs.append(found.costs["a", "b"])
                    relative.append(found.relative_staleness["b"])
                points = [Interval(0, 100 * c.low, 100 * c.high, 0.95, "") for c in costs]
                bias = 100 * (np.mean([c.estimate for c in costs]) - truth)
                usable = [r for r in relative if np.isfinite(r.low)]
                print(
                    f"{name:17}n {n:3} s {seeds}{' (b)' if retrained else '    '} "
                    f"{100 * truth:6.2f} {bias:+6.2f} {covered(points, 100 * truth):>15}  "
                    f"relative {stale:5.2f} {covered(usable, stale) if usable else '-':>15} "
                    f"{len(usable) / simulations:4.0%}",
                    flush=True,
                )


def print_environments(simulations: int, seed: int) -> None:
    print("\nAdkins' sensitivity: truth, bias of the plain figure and of the estimate, coverage")
    generator = np.random.default_rng(seed)
    for environments in (2, 5):
        for n in (64, 256):
            for apart in (0, 0.5, 1.5):
                for seeds in (2, 3, 10):
                    plain, found, hits = [], [], []
                    for _ in range(simulations):
                        x = generator.uniform(-3, 3, (2, n))
                        optimum = np.linspace(-apart, apart, environments)[:, None]
                        true = 1 - 0.15 * (x[0] - optimum) ** 2 - 0.05 * x[1] ** 2
                        # Seeds matter more, up to fivefold, where training goes badly.
                        sd = 0.05 * (1 + 4 * np.clip(1 - true, 0, 1))[..., None]
                        scores = true[..., None] + sd * generator.standard_normal(
                            (*true.shape, seeds)
                        )
                        truth = float(true.max(axis=1).mean() - true.mean(axis=0).max())
                        one = environment_sensitivity(scores)
                        plain.append(one.plain_sensitivity - truth)
                        found.append(one.sensitivity.estimate - truth)
                        hits.append(one.sensitivity.low <= truth <= one.sensitivity.high)
                    print(
                        f"E {environments} n {n:3} optima {2 * apart:3} apart, s {seeds:2}: bias "
                        f"{np.mean(plain):+.3f} {np.mean(found):+.3f}  {np.mean(hits):6.1%}",
                        flush=True,
                    )


def main() -> None:
    tables: dict[str, Callable[[int, int], None]] = {
        "transfer": print_transfers,
        "environments": print_environments,
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
