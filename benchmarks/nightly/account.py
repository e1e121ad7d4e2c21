"""What a night found, in words: what moved, by how much, since which commit."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.nightly.history import History
from benchmarks.nightly.nights import Moved, Night
from benchmarks.nightly.parts import CODE, git

_MOST_COMMITS = 8


def tell(night: Night, history: History) -> str:
    """The account of a night, in lines."""
    return "\n".join(_lines(night, history))


def _lines(night: Night, history: History) -> Iterator[str]:
    versions = _versions(history)
    n = len(night.figures)
    quiet = "nothing moved" if night.is_quiet else _counted(night)
    yield (
        f"night {night.name}: {n} figure{'s' if n != 1 else ''} in {night.seconds / 60:.0f} min on "
        f"{night.device}, load average {night.load:.1f}: {quiet}"
    )
    for part, why in night.failed.items():
        yield f"  failed: {part}: {why}"
    for name in night.gone:
        yield f"  gone: {name}: the nights before had a value of it"
    since: dict[tuple[str, str], list[Moved]] = {}
    for one in night.moved:
        since.setdefault((one.good_night, one.first_night), []).append(one)
    for (good, first), moved in since.items():
        one = moved[0]
        yield f"  moved between {good} and {first}:"
        for single in moved:
            yield f"    {_told(night, single)}"
        yield from _between(one.good_commit, one.first_commit)
        yield f"    {good}: {_named(versions.get(good, {}))}"
        yield f"    {first}: {_named(versions.get(first, night.versions))}"
    if night.moved or night.gone:
        yield (
            "  if that was meant: python -m benchmarks.nightly --accept 'why' makes it the new "
            "normal"
        )


def _counted(night: Night) -> str:
    counts = ((len(night.moved), "moved"), (len(night.failed), "failed"), (len(night.gone), "gone"))
    return ", ".join(f"{n} {what}" for n, what in counts if n)


def _told(night: Night, one: Moved) -> str:
    figure = night.figures[one.figure]
    before, after = figure.text(one.before), figure.text(one.after)
    noise = one.noise
    spread = f"{noise:.1%}" if figure.scale == "log" else figure.text(noise)
    return (
        f"{one.figure}: {before} -> {after} ({figure.change(one.before)}; noise {spread}, "
        f"{one.nights} night{'s' if one.nights > 1 else ''} before, {one.looks} of {one.looks} "
        "runs)"
    )


def _between(good: str, first: str) -> Iterator[str]:
    if good == first:
        yield f"    the commit is the same, {good}: look at versions, and at the machine"
        return
    commits = _log(good.partition("-")[0], first.partition("-")[0])
    yield f"    commits {good}..{first}" + (":" if commits else "")
    for line in commits[:_MOST_COMMITS]:
        yield f"      {line}"
    if len(commits) > _MOST_COMMITS:
        yield f"      and {len(commits) - _MOST_COMMITS} more"


def _log(good: str, first: str) -> Sequence[str]:
    between = ("log", "--oneline", "--no-decorate", f"{good}..{first}", "--", *CODE)
    return git(*between).splitlines()


def _versions(history: History) -> Mapping[str, Mapping[str, str]]:
    return {night.name: night.versions for night in history.past}


def _named(versions: Mapping[str, str]) -> str:
    return (
        ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown versions"
    )
