"""How often the nightly job alarms for nothing, and what it catches: nights drawn at random.

    python -m benchmarks.nightly.simulate

Each night has as many figures of each kind as the job; nothing about them changes but chance. What
the job does is done with them: up to three looks with fresh draws, against a history that is as
long as the table says. The looks of a night share its machine: what that does to speeds is a part,
`shared`, of their variance between nights. Nights differ by more or less than their standard errors
say, by a factor of each figure's own; the errors are themselves noisy; and values are normal, or of
heavy tails, or skewed. Then one figure is moved by so many standard errors, to see which shift is
caught.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.measured import table
from benchmarks.nightly.alarm import Judgement, Value, judge
from benchmarks.nightly.job import LOOKS

Draws = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
# Of mean 0 and variance 1.
NOISE: Mapping[str, Draws] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails (t of 5 degrees)": lambda rng, shape: rng.standard_t(5, shape) / np.sqrt(5 / 3),
    "skewed (gamma of shape 4)": lambda rng, shape: (rng.gamma(4, 1, shape) - 4) / 2,
}
# Figures of the job of each kind, rounded up.
FIGURES = {"effect": 60, "share": 50, "speed": 12, "overhead": 2}
# Standard deviation of the logarithm of a figure's factor: of variances between nights over those
# that a night's standard errors say.
FACTORS = (0.0, 0.7)
# Parts of the variance of speeds between nights that the looks of one night have in common.
SHARED = (0.0, 0.5, 0.9)
# That of the logarithm of a standard error.
OF_ERRORS = 0.15
WORSE = {"effect": 0, "share": 0, "speed": -1, "overhead": 1}


class Nights:
    """Nights of chance alone."""

    def __init__(
        self, rng: np.random.Generator, noise: Draws, spread: float, n: int, shared: float = 0.0
    ) -> None:
        """A history of n nights, and the looks of one more, not yet moved."""
        self.kinds = {
            f"{kind} {place}": kind for kind, many in FIGURES.items() for place in range(many)
        }
        m = len(self.kinds)
        factor = np.exp(spread * rng.standard_normal(m))
        drawn = noise(rng, (n + LOOKS, m))
        timed = np.array([kind in ("speed", "overhead") for kind in self.kinds.values()])
        common = np.sqrt(shared) * noise(rng, (1, m)) + np.sqrt(1 - shared) * drawn[n:]
        drawn[n:] = np.where(timed, common, drawn[n:])
        self._values = drawn * np.sqrt(factor)
        self._errors = np.exp(OF_ERRORS * rng.standard_normal((n + LOOKS, m)))
        self._n = n
        self.history = {name: [self._value(i, j) for i in range(n)] for j, name in self._named()}

    def _named(self) -> Sequence[tuple[int, str]]:
        return list(enumerate(self.kinds))

    def _value(self, night: int, figure: int, shift: float = 0.0) -> Value:
        return Value(float(self._values[night, figure]) + shift, float(self._errors[night, figure]))

    def moved(self, shifts: Mapping[str, float]) -> tuple[set[str], int]:
        """Figures that moved, and how many were suspect at first."""
        suspects: dict[str, int] = {}
        first = 0
        for look in range(LOOKS):
            found = {
                name: self._value(self._n + look, j, shifts.get(name, 0.0))
                for j, name in self._named()
                if not look or name in suspects
            }
            judged = judge(found, self.history, self.kinds)
            suspects = {
                name: 1 if one.t > 0 else -1
                for name, one in judged.items()
                if self._suspect(name, one, suspects.get(name))
            }
            if not look:
                first = len(suspects)
            if not suspects:
                break
        return set(suspects), first

    def _suspect(self, name: str, one: Judgement, before: int | None) -> bool:
        return one.suspect(WORSE[self.kinds[name]] if before is None else before)


def false_alarms(nights: int, seed: int, lengths: Sequence[int]) -> list[list[str]]:
    """Rows: noise, factors, shared, nights before; suspects a night, nights in which one moved."""
    cases = [(name, spread, 0.0) for name in NOISE for spread in FACTORS]
    cases += [("normal", spread, shared) for shared in SHARED[1:] for spread in FACTORS]
    rows = []
    for name, spread, shared in cases:
        for n in lengths:
            rng = np.random.default_rng([seed, n, int(10 * spread), len(rows)])
            found = [Nights(rng, NOISE[name], spread, n, shared).moved({}) for _ in range(nights)]
            alarms = sum(bool(moved) for moved, _ in found)
            suspects = np.mean([first for _, first in found])
            factors = f"{np.exp(-2 * spread):.2g} to {np.exp(2 * spread):.2g}" if spread else "1"
            said = f"{alarms} of {nights} ({alarms / nights:.2%})"
            rows.append([name, factors, f"{shared:g}", str(n), f"{suspects:.2f}", said])
    return rows


SHIFTS = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)


def caught(nights: int, seed: int, lengths: Sequence[int]) -> list[list[str]]:
    """Rows: kind, nights before; the share of nights in which such shifts are caught."""
    rows = []
    for kind in ("share", "speed"):
        sign = -1.0
        for n in lengths:
            rng = np.random.default_rng([seed, n, len(rows), 7])
            row = [kind, str(n)]
            for shift in SHIFTS:
                hits = 0
                for _ in range(nights):
                    drawn = Nights(rng, NOISE["normal"], 0.0, n)
                    name = f"{kind} 0"
                    hits += name in drawn.moved({name: sign * shift})[0]
                row.append(f"{hits / nights:.0%}")
            rows.append(row)
    return rows


def main() -> None:
    """Simulate and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--nights", type=int, default=2000, help="(default: %(default)s)")
    options.add_argument("--caught", type=int, default=200, help="nights of a shift")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--lengths", type=int, nargs="+", default=[1, 2, 3, 5, 8, 20])
    options.add_argument("--output", type=Path, help="file for the tables as JSON")
    given = options.parse_args()
    alarms = false_alarms(given.nights, given.seed, given.lengths)
    shifts = caught(given.caught, given.seed, given.lengths)
    print(
        table(
            ["noise", "factors (95%)", "shared", "nights before", "suspects a night", "alarms"],
            alarms,
        ),
        table(["kind", "nights before", *(f"{s:g} errors" for s in SHIFTS)], shifts),
        sep="\n\n",
    )
    if given.output:
        given.output.write_text(json.dumps({"alarms": alarms, "caught": shifts}, indent=1))


if __name__ == "__main__":
    main()
