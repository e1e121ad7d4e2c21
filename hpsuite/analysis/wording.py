"""A verdict in plain English."""

from collections.abc import Mapping

from hpsuite.analysis.claims import FAR, CellVerdict, Claim

# What the claimed direction, and the one that contradicts it, look like to a reader.
SIDES = {"greater": ("above", "below"), "less": ("below", "above")}


def sentence(
    claim: Claim,
    found: CellVerdict,
    conditions: Mapping[str, str],
    others: Mapping[str, CellVerdict],
) -> str:
    """All of a verdict in words: finding, estimate, interval, n, conditions, other cells.

    Args:
        claim: as declared.
        found: its primary cell's verdict.
        conditions: name to value.
        others: verdicts of the other cells, by name.
    """
    parts = [f"{found.verdict.capitalize()}: {_reason(claim, found)}."]
    if others:
        parts.append(f"Its cell: {claim.primary}.")
    if found.n != claim.n:
        than = "fewer" if found.n < claim.n else "more"
        parts.append(f"Planned were {claim.n}: {than} were measured.")
    if conditions:
        parts.append(under(conditions))
    if others:
        parts.append(f"Other cells, corrected by Holm: {_counted(others)}.")
    return " ".join(parts)


def under(conditions: Mapping[str, str]) -> str:
    """What a verdict holds under, as a sentence; empty for no conditions."""
    words = "; ".join(f"{k} {v}" for k, v in conditions.items())
    return f"Under: {words}." if words else ""


def _counted(others: Mapping[str, CellVerdict]) -> str:
    """How many cells came to each verdict, those that contradict first and by name."""
    names: dict[str, list[str]] = {"contradicted": []}
    for name, found in others.items():
        names.setdefault(found.verdict, []).append(name)
    counts = [f"{len(cells)} {finding}" for finding, cells in names.items() if cells]
    if names["contradicted"]:
        counts[0] += f" ({', '.join(names['contradicted'])})"
    return ", ".join(counts)


def _reason(claim: Claim, found: CellVerdict) -> str:
    unit = f" {claim.unit}" if claim.unit else ""
    effect = f"{claim.smallest_effect * claim.factor:.3g}{unit}"
    if claim.null:
        effect += f" from {claim.null * claim.factor:.3g}"
    measured = f"{claim.statistic} is {_measured(claim, found)}{unit}, n = {found.n}"
    match found.verdict:
        case "did not train":
            return f"its figures say nothing, as a setup never learned ({measured})"
        case "tuning did not matter here":
            return f"nearly all of the space is good in every setup compared ({measured})"
        case "no difference":
            return (
                f"{measured}; whatever there is, is smaller than {effect}, the least that matters"
            )
        case "inconclusive":
            return f"{measured}; the least that matters is {effect}. {_settling(found)}"
        case _:
            pass
    if claim.direction == "equivalent":
        where = "within" if found.verdict == "supported" else "beyond"
        return f"{measured}; all of it {where} {effect}, the least that matters"
    if claim.direction == "not_less":
        side = "above" if found.verdict == "supported" else "below"
        return f"{measured}; all of it {side} -{effect}, the least that matters"
    side = SIDES[claim.direction][found.verdict == "contradicted"]
    sign = "+" if side == "above" else "-"
    return f"{measured}; all of it {side} {sign}{effect}, the least that matters"


def _measured(claim: Claim, found: CellVerdict) -> str:
    sign = "" if claim.null else "+"
    estimate, low, high = (
        f"{x * claim.factor + 0.0:{sign}.3g}" for x in (found.estimate, found.low, found.high)
    )
    if found.low <= -FAR or found.high >= FAR:
        return f"{estimate} [no interval]"
    return f"{estimate} [{low}, {high}]"


def _settling(found: CellVerdict) -> str:
    if found.note:
        return found.note[0].upper() + found.note[1:]
    if found.settles_at is None:
        return "No sample size up to 100,000 would settle it if the truth is near this estimate"
    chance = "4 chances in 5, if the truth is near this estimate"
    return f"A sample of {found.settles_at:,} would settle it ({chance})"
