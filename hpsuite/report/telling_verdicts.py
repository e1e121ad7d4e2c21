"""Verdicts as cards."""

import math
from collections.abc import Iterator

from hpsuite.analysis.claims import FAR, CellVerdict
from hpsuite.analysis.claims import Verdict as Found
from hpsuite.analysis.verdicts import SETTLING_POWER
from hpsuite.report.figures.intervals import Estimate, number
from hpsuite.report.view import Judged, Verdict, counted


def card(found: Found) -> Verdict:
    """A verdict as a card."""
    planned = (
        ", as planned" if found.n == found.planned_n else f"; {found.planned_n:,} were planned"
    )
    settles = ""
    if found.verdict == "inconclusive":
        settles = "no sample of up to 100,000, if the truth is near this estimate"
        if found.settles_at is not None:
            settles = (
                f"n = {found.settles_at:,}, with {SETTLING_POWER:.0%} chance if the truth is near "
                "this estimate"
            )
        if found.note:
            settles = ""
    return Verdict(
        claim=found.claim,
        word=found.verdict,
        sentence=" ".join(_sentences(found)),
        statistic=found.statistic,
        estimate=_estimate(found, found),
        unit=found.unit,
        n=f"{found.n:,}{planned}",
        smallest_effect=found.smallest_effect * found.factor,
        null=found.null * found.factor,
        level=found.level,
        settles=settles,
        conditions=found.conditions,
        cells=tuple(_cells(found)) if len(found.cells) > 1 else (),
    )


def _estimate(found: Found, cell: Found | CellVerdict) -> Estimate:
    """An estimate in the unit that is shown; ends that the data do not give are open."""
    low, high = (
        math.copysign(math.inf, end) if abs(end) >= FAR else found.factor * end
        for end in (cell.low, cell.high)
    )
    return Estimate(found.factor * cell.estimate, low, high)


def _sentences(found: Found) -> Iterator[str]:
    """What the verdict says, in words, and what the other cells say."""
    yield _meaning(found)
    if found.note:
        yield f"{found.note[0].upper()}{found.note[1:].rstrip('.')}."
    others: dict[str, int] = {}
    for cell in found.cells.values():
        others[cell.verdict] = others.get(cell.verdict, 0) + 1
    others[found.verdict] -= 1  # the primary cell
    counted = [f"{n} {word}" for word, n in others.items() if n]
    if counted:
        yield f"Other cells, corrected by Holm: {', '.join(counted)}."


def _cells(found: Found) -> Iterator[Judged]:
    """All cells, the primary one first."""
    for name, cell in sorted(found.cells.items(), key=lambda item: item[0] != found.primary):
        is_primary = name == found.primary
        yield Judged(name, cell.verdict, _words(found, cell), cell.n, is_primary)


def _words(found: Found, cell: CellVerdict) -> str:
    text = _estimate(found, cell).text(signed=found.null == 0)
    return f"{text} {found.unit}".rstrip()


def _meaning(found: Found) -> str:
    """What the word means here."""
    effect = counted(number(found.smallest_effect * found.factor), found.unit)
    if found.null:
        effect += f" from {number(found.null * found.factor)}"
    match found.verdict:
        case "supported" | "contradicted":
            return f"All of the interval lies {_where(found, effect)}, the smallest that matters."
        case "no difference":
            return (
                f"Whatever difference there is, is smaller than {effect}, the least that matters."
            )
        case "inconclusive":
            return f"The interval leaves open whether there is an effect of {effect} or more."
        case "tuning did not matter here":
            return "Nearly all of the space is good in every setup compared."
        case _:
            return "A setup of it never learned, so that its figures say nothing."


def _where(found: Found, effect: str) -> str:
    """On which side of the smallest effect an interval lies."""
    if found.direction == "equivalent":
        return f"{'within' if found.verdict == 'supported' else 'beyond'} {effect}"
    if found.direction == "not_less":
        return f"{'above' if found.verdict == 'supported' else 'below'} -{effect}"
    side = "as claimed" if found.verdict == "supported" else "against the claim"
    return f"beyond {effect} {side}"
