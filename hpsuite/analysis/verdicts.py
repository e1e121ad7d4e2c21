"""Verdicts on claims: what the interval of a pre-declared statistic says of a pre-declared effect.

A claim names its statistic, its direction, the smallest effect that would matter, one primary cell
and its n, before the run. Then the verdict follows from the primary cell's interval alone:

    supported       the interval lies beyond the smallest effect in the claimed direction
    contradicted    beyond it on the other side
    no difference   between the smallest effect and its mirror image: too small to matter
    inconclusive    anything else, with the sample size that would settle it

A claim of equivalence is supported where the interval lies inside, contradicted where it lies
beyond on either side. A claim that something is not less (non-inferiority) is supported where the
interval lies above the mirror image of the smallest effect. An end exactly on the smallest effect
is neither beyond nor inside.

Two findings go before all of these: where a setup did not train, its figures say nothing; and
where the whole space is good, tuning did not matter, and no difference in it can be of use.

A false supported, contradicted or no difference needs an interval that misses the truth, so each
has a chance of at most alpha in the primary cell. The other cells are corrected by Holm (1979)
among themselves: a cell is judged at 1 - alpha / m while m are undecided, so that a cell's verdict
is the one that its p-value, the least alpha at which it is decided, gives under Holm's procedure.
"""

import math
from collections.abc import Mapping, Sequence

from hpsuite.analysis.claims import FAR, Cell, CellVerdict, Claim, Finding, Verdict
from hpsuite.analysis.intervals import Interval, t_quantile
from hpsuite.analysis.power import least_enough
from hpsuite.analysis.wording import sentence

DECIDED = ("supported", "contradicted", "no difference")
# The chance with which the sample size named by an inconclusive verdict settles it.
SETTLING_POWER = 0.8
# From this good fraction on, at the interval's lower end, all of a space counts as good.
ALL_GOOD = 0.9


def verdict(
    claim: Claim, cells: Mapping[str, Cell], conditions: Mapping[str, str] | None = None
) -> Verdict:
    """The verdict on a claim.

    Args:
        claim: as declared.
        cells: what was measured, by name; the claim's primary cell among them.
        conditions: what the verdict holds under, name to value.

    Raises:
        ValueError: for a missing primary cell, an n below 1, or an estimate that is not finite.
    """
    if claim.primary not in cells:
        raise ValueError(f"cells must have the primary one, {claim.primary!r}; found {list(cells)}")
    main = _judged(claim, claim.primary, cells[claim.primary], 1)
    found = _holm(claim, {name: cell for name, cell in cells.items() if name != claim.primary})
    others = {name: found[name] for name in cells if name != claim.primary}
    exceptions = tuple(n for n, other in others.items() if other.verdict == "contradicted")
    held = dict(conditions or {})
    return Verdict(
        claim=claim.text,
        statistic=claim.statistic,
        direction=claim.direction,
        smallest_effect=claim.smallest_effect,
        verdict=main.verdict,
        estimate=main.estimate,
        low=main.low,
        high=main.high,
        level=main.level,
        n=main.n,
        planned_n=claim.n,
        settles_at=main.settles_at,
        note=main.note,
        conditions=held,
        primary=claim.primary,
        exceptions=exceptions,
        cells={name: others.get(name, main) for name in cells},
        sentence=sentence(claim, main, held, others),
        null=claim.null,
        unit=claim.unit,
        factor=claim.factor,
    )


def whole_space(good_fractions: Sequence[Interval], least: float = ALL_GOOD) -> bool:
    """Whether all of the space is good in each setup: every lower end is `least` or more.

    Only of setups that trained: one that never does looks good everywhere.

    Raises:
        ValueError: for no good fractions, or a `least` outside (0, 1].
    """
    if not good_fractions:
        raise ValueError("good_fractions must have one at least; found none")
    if not 0 < least <= 1:
        raise ValueError(f"least must be in (0, 1]; found {least}")
    return all(fraction.low >= least for fraction in good_fractions)


def cell_of_t(estimate: float, error: float, df: float, n: int) -> Cell:
    """A cell whose statistic has a standard error: Student's t.

    Args:
        estimate: of the statistic, in its unit.
        error: its standard error, >= 0; nan where it is not known (one repeat).
        df: degrees of freedom, > 0; inf for a normal interval.
        n: sample size.
    """

    def interval_at(level: float) -> Interval:
        half = t_quantile(level, df) * error if error > 0 else error
        return Interval(estimate, estimate - half, estimate + half, level, "Student t")

    return Cell(n, interval_at)


def cell_of_interval(interval: Interval, n: int) -> Cell:
    """A cell from one interval: other levels stretch each side as a normal one's would.

    Approximate for levels far from the interval's own; give `Cell` a function where there is one.
    """

    def interval_at(level: float) -> Interval:
        stretch = t_quantile(level, math.inf) / t_quantile(interval.level, math.inf)
        if level == interval.level:
            return interval
        return Interval(
            interval.estimate,
            interval.estimate - stretch * (interval.estimate - interval.low),
            interval.estimate + stretch * (interval.high - interval.estimate),
            level,
            f"{interval.method}, stretched from {interval.level:.0%}",
        )

    return Cell(n, interval_at)


def settling_size(
    estimate: float,
    low: float,
    high: float,
    *,
    n: int,
    smallest_effect: float,
    level: float = 0.95,
    not_less: bool = False,
) -> int | None:
    """The sample size that would settle an inconclusive verdict.

    The least one at which a new estimate would be supported, contradicted or no difference with
    probability 80%, if the truth is today's estimate: drawn normally around it with a standard
    error, and ends at distances, that shrink as 1 / sqrt(n). It answers for the estimate as it is,
    which is itself uncertain, and for no part of an interval that more trials do not shrink (the
    allowance for seed noise in that of a good fraction).

    Args:
        estimate: of the statistic, less its value without effect.
        low, high: its interval, likewise; finite, and not both equal to the estimate.
        n: today's sample size, >= 1.
        smallest_effect: that matters, > 0.
        level: of the interval, in (0, 1).
        not_less: whether it is enough to lie above minus the smallest effect.

    Returns:
        At least n; None where 100,000 would not settle it, as where the estimate is as large as
        the smallest effect.
    """
    below, above = estimate - low, high - estimate
    if not (0 < below + above < FAR and min(below, above) >= 0):
        return None
    error = (below + above) / (2 * t_quantile(level, math.inf))

    def settles(size: int) -> bool:
        # All distances in standard errors of the larger sample's estimate.
        scale = math.sqrt(size / n) / error
        down, up = below / error, above / error
        beyond, mirrored = smallest_effect * scale, -smallest_effect * scale
        centre = estimate * scale
        supported = _below(centre - beyond - down)
        contradicted = _below(mirrored - up - centre)
        if not_less:
            return _below(centre - mirrored - down) + contradicted >= SETTLING_POWER
        inside = _below(beyond - up - centre) - _below(mirrored + down - centre)
        return supported + contradicted + max(0.0, inside) >= SETTLING_POWER

    return least_enough(settles, n)


def _below(x: float) -> float:
    """The standard normal distribution function."""
    return math.erfc(-x / math.sqrt(2)) / 2


def _holm(claim: Claim, cells: Mapping[str, Cell]) -> dict[str, CellVerdict]:
    """Verdicts on all cells but the primary one, corrected by Holm's step-down procedure."""
    decided: dict[str, CellVerdict] = {}
    # Cells without a verdict on the claim make no test, and so no false one.
    open_cells = {name: cell for name, cell in cells.items() if cell.trained and not cell.all_good}
    for name, cell in cells.items():
        if name not in open_cells:
            decided[name] = _judged(claim, name, cell, 1)
    while open_cells:
        judged = {
            name: _judged(claim, name, cell, len(open_cells)) for name, cell in open_cells.items()
        }
        done = [name for name, found in judged.items() if found.verdict in DECIDED]
        decided |= {name: judged[name] for name in done} if done else judged
        open_cells = {n: cell for n, cell in open_cells.items() if done and n not in done}
    return decided


def _judged(claim: Claim, name: str, cell: Cell, tests: int) -> CellVerdict:
    """One cell's verdict at level 1 - alpha / tests."""
    if cell.n < 1:
        raise ValueError(f"n of cell {name!r} must be 1 or more; found {cell.n}")
    level = 1 - claim.alpha / tests
    interval = cell.interval_at(level)
    if not math.isfinite(interval.estimate):
        raise ValueError(
            f"estimate of cell {name!r} must be finite; found {interval.estimate} "
            f"({interval.method})"
        )
    low = interval.low if math.isfinite(interval.low) else cell.bounds[0]
    high = interval.high if math.isfinite(interval.high) else cell.bounds[1]
    finding: Finding
    settles_at, note = None, ""
    if not cell.trained:
        finding = "did not train"
    elif cell.all_good:
        finding = "tuning did not matter here"
    elif not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        finding, note = "inconclusive", f"no interval: {interval.method}, n = {cell.n}"
    elif low == high:
        # Values that are all equal, on a lattice say, hide their spread; they do not lack one.
        finding, note = "inconclusive", f"no spread among {cell.n} values: its error is unknown"
    else:
        finding = _finding(claim, low - claim.null, high - claim.null)
        if finding == "inconclusive":
            settles_at = settling_size(
                interval.estimate - claim.null,
                low - claim.null,
                high - claim.null,
                n=cell.n,
                smallest_effect=claim.smallest_effect,
                level=level,
                not_less=claim.direction == "not_less",
            )
    return CellVerdict(finding, interval.estimate, low, high, level, cell.n, settles_at, note)


def _finding(claim: Claim, low: float, high: float) -> Finding:
    """What an interval says, relative to no effect."""
    d = claim.smallest_effect
    above, below, inside = low > d, high < -d, -d < low and high < d
    if claim.direction == "equivalent":
        if inside:
            return "supported"
        return "contradicted" if above or below else "inconclusive"
    if claim.direction == "not_less":
        if low > -d:
            return "supported"
        return "contradicted" if below else "inconclusive"
    if inside:
        return "no difference"
    if above or below:
        return "supported" if above == (claim.direction == "greater") else "contradicted"
    return "inconclusive"
