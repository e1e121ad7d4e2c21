"""What was found, in one or two sentences a question: never more than an interval shows."""

from collections.abc import Iterator, Sequence

from hpsuite.analysis import Interval
from hpsuite.analysis.claims import Verdict
from hpsuite.analysis.ranking import MIN_REPEATS
from hpsuite.evidence import headline_of
from hpsuite.findings import ArmFinding, SplitFinding
from hpsuite.report.telling_arms import ByName
from hpsuite.report.telling_scores import listed, percent, points
from hpsuite.report.told import Compared, Told

# Of more comparisons than these, their number is told.
MOST = 3
FEW = 64


def answers(
    verdicts: Sequence[Verdict],
    told: Sequence[Told],
    compared: Sequence[Compared],
    by_setup: ByName,
    splits: Sequence[SplitFinding] = (),
) -> Iterator[str]:
    """What an experiment found; of declared claims, the verdicts say it, and this counts them."""
    if verdicts:
        yield _counted(verdicts)
        return
    over_splits = list(_over_splits(splits))
    if over_splits:
        yield from over_splits
    else:
        yield from _of_setups(told, compared)
    yield from _of_searches(by_setup)


def foreign_answers(told: Sequence[Told], compared: Sequence[Compared]) -> Iterator[str]:
    """What trials that hpsuite did not make say."""
    yield from _of_setups(told, compared)


def _counted(verdicts: Sequence[Verdict]) -> str:
    words: dict[str, int] = {}
    for found in verdicts:
        words[found.verdict] = words.get(found.verdict, 0) + 1
    claims = "claim" if len(verdicts) == 1 else "claims"
    counted = listed([f"{n} {word}" for word, n in words.items()])
    return f"{len(verdicts)} {claims}, declared before the run: {counted}."


def _of_setups(told: Sequence[Told], compared: Sequence[Compared]) -> Iterator[str]:
    shown = [t for t in told if t.evidence is not None]
    if not shown:
        yield "How much of the space is good is not known: there is no reference sample."
        return
    if compared:
        yield from _of_pairs(shown[0], compared)
    elif len(shown) == 1 and shown[0].trained:
        yield _of_one(shown[0])
    elif len(shown) <= MOST and all(t.trained for t in shown):
        yield " ".join(_of_one(t) for t in shown)
    flat = [t.name for t in shown if not t.trained]
    if flat:
        yield f"{listed(flat)} did not train, so that nothing follows on how robust that is."
    sizes = [len(t.evidence.sample) for t in shown if t.evidence is not None]
    if min(sizes) < FEW:
        yield (
            f"With {min(sizes)} configurations in the smallest sample, these figures are rough: "
            "read the intervals, not the estimates."
        )


def _over_splits(splits: Sequence[SplitFinding]) -> Iterator[str]:
    """Differences of setups on average over splits, instead of split by split."""
    for found in splits:
        spread = found.figures.get("good_fraction_2pt")
        if found.kind == "difference" and spread is not None:
            yield (
                f"{found.name}, on average over {spread.splits} splits of the data: "
                f"{points(spread.mean).text} percentage points of the space within 2 points of "
                "their own best."
            )


def _of_one(t: Told) -> str:
    assert t.evidence is not None
    e = t.evidence.headline
    share = t.evidence.sensitivity.good_fractions[e]
    return f"Of the space of {t.name}, {percent(share).text} is {t.scores.within(e)} of its best."


def _of_pairs(t: Told, compared: Sequence[Compared]) -> Iterator[str]:
    """The larger good fraction of pairs, where an interval excludes 0."""
    fair = [pair for pair in compared if pair.remark != "did not train"]
    if len(fair) <= MOST:
        for pair in fair:
            yield _of_pair(t, pair)
        return
    more = [pair.label for pair in fair if _headline(pair)[1].low > 0]
    less = [pair.label for pair in fair if _headline(pair)[1].high < 0]
    told = len(fair) - len(more) - len(less)
    parts = [f"Of {len(fair)} differences of good fractions"]
    parts.append(f"{told} have intervals that include 0" if told else "none includes 0")
    if more:
        parts.append(f"above 0 lie {listed(more, 3)}")
    if less:
        parts.append(f"below 0 lie {listed(less, 3)}")
    yield "; ".join(parts) + ". The intervals are not corrected for how many they are."


def _of_pair(t: Told, pair: Compared) -> str:
    e, found = _headline(pair)
    close = f"{t.scores.within(e)} of its own best"
    shown = f"{points(found).text} points"
    if pair.n is not None:
        shown += f", {pair.n} paired configurations"
    if pair.names is None:
        return f"{pair.label}: {shown} of the space {close}."
    a, b = pair.names
    larger, smaller = (a, b) if found.low > 0 else (b, a)
    if found.low > 0 or found.high < 0:
        return (
            f"{larger} is easier to tune than {smaller}, as more of its space is {close} "
            f"({pair.label}: {shown})."
        )
    return (
        f"Which of {a} and {b} has more of its space {close} cannot be told: the difference "
        f"is {shown}, and the interval includes 0."
    )


def _headline(pair: Compared) -> tuple[float, Interval]:
    e = headline_of(tuple(pair.own))
    return e, pair.own[e]


def _of_searches(by_setup: ByName) -> Iterator[str]:
    """Which searches were shown to be better, by their ranges of ranks."""
    several = {name: arms for name, arms in by_setup.items() if len(arms) > 1}
    if not several:
        return
    least = min(arm.figures.repeats for arms in several.values() for arm in arms)
    told = [text for name, arms in several.items() if (text := _of_setup(name, arms))]
    if not told:
        text = "No search was shown to find a better configuration than another"
        if least < MIN_REPEATS:
            text += (
                f": with {least} repeats they are not compared"
                if least > 1
                else (": with one repeat each they are not compared")
            )
        else:
            text += f" ({least} repeats each or more)"
        yield f"{text}."
        return
    if len(told) > MOST:
        told = [*told[:MOST], f"On {len(told) - MOST} more setups there are differences, too."]
    untold = len(several) - sum(bool(_of_setup(n, a)) for n, a in several.items())
    if untold:
        told.append(f"On {untold} other setup{'s' if untold > 1 else ''} none was shown better.")
    yield " ".join(told)


def _of_setup(name: str, arms: Sequence[ArmFinding]) -> str:
    """What ranks say of the searches on one setup; empty where they say nothing."""
    worse = [a.table.arm.strategy.label for a in arms if a.rank.low > 1]
    if not worse:
        return ""
    first = [
        a.table.arm.strategy.label for a in arms if a.rank.low == 1 and a.rank.high < len(arms)
    ]
    verb = "was" if len(worse) == 1 else "were"
    better = f", {listed(first)} better than some" if first else ""
    return f"On {name}, {listed(worse)} {verb} shown to be worse than another search{better}."
