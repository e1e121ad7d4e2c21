"""Names for pictures: of setups that differ in a few of many axes, only what tells them apart."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hpsuite.report.told import Told

# Names up to this length stay whole.
LONG = 30
# Of fewer setups than these nothing is what most of them have.
FEW = 4
_CHOICES = ".choices"
# Axes whose value says enough.
PLAIN = ("dataset", "model")


def shortened(group: Sequence[Told]) -> list[Told]:
    """Setups that are shown together, under the shortest names that tell them apart."""
    names = short_names({t.name: t.axes for t in group})
    return [replace(t, name=name) for t, name in zip(group, names, strict=True)]


def short_names(axes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The shortest names that tell setups apart.

    What all of them share is left out, and of keys all but the last part; of several that differ
    from one setup in a thing each, what most share too. Names stay whole where they are short,
    where the axes are not known, or where two would be the same.

    Args:
        axes: of each setup, by its name; empty where nobody can say.
    """
    full = list(axes)
    if max(map(len, full)) <= LONG or not all(axes.values()):
        return full
    shared = shared_axes(list(axes.values()))
    # One may have nothing of its own.
    names = [
        axes_words({axis: value for axis, value in own.items() if axis not in shared})
        or own["model"]
        for own in axes.values()
    ]
    if max(map(len, names)) > LONG and (apart := _unlike_most(axes)) is not None:
        return apart
    return names if len(set(names)) == len(names) else full


def _unlike_most(axes: Mapping[str, Mapping[str, str]]) -> list[str] | None:
    """Setups by the axes in which they are unlike most of them; None where there is no most.

    One that is as most are in all axes is called by its data set and model.
    """
    usual: dict[str, str | None] = {}
    for axis in dict.fromkeys(axis for own in axes.values() for axis in own):
        value, count = Counter(own.get(axis) for own in axes.values()).most_common(1)[0]
        if len(axes) < FEW or 3 * count < 2 * len(axes):
            return None
        usual[axis] = value
    names = []
    for own in axes.values():
        apart = {axis: value for axis, value in own.items() if usual.get(axis) != value}
        plain = {axis: own[axis] for axis in PLAIN if axis in own}
        names.append(axes_words(apart) or axes_words(plain))
    return names if len(set(names)) == len(names) else None


def shared_axes(all_axes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The axes that all have, with the same value; of a single one all but data set and model."""
    first, *others = all_axes
    if not others:
        return {axis: value for axis, value in first.items() if axis not in PLAIN}
    return {
        axis: value
        for axis, value in first.items()
        if all(other.get(axis) == value for other in others)
    }


def axes_words(axes: Mapping[str, str]) -> str:
    """Axes in words: `mnist mlp activation=relu`."""
    return " ".join(_words(axes.items()))


def versus_words(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """What of A is not in B, minus what of B is not in A: `sigmoid minus relu`."""
    if a.keys() == b.keys() and len(a) == 1:
        (axis,) = a
        one, other = (_value(axis, own[axis]) for own in (a, b))
        words = f"{one} minus {other}"
        # A number says nothing by itself.
        return words if one[:1].isalpha() else f"{last_part(axis)} {words}"
    return f"{axes_words(a) or 'without'} minus {axes_words(b) or 'without'}"


def _words(axes: Iterable[tuple[str, str]]) -> Iterable[str]:
    for axis, value in axes:
        yield value if axis in PLAIN else f"{last_part(axis)}={_value(axis, value)}"


def last_part(axis: str) -> str:
    """The last part of a key; of a range's choices, what it is the range of."""
    return axis.removesuffix(_CHOICES).rpartition(".")[2]


def _value(axis: str, value: str) -> str:
    """A value; of a single choice, without its brackets."""
    single = axis.endswith(_CHOICES) and "," not in value
    return value.removeprefix("[").removesuffix("]") if single else value
