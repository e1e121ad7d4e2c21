"""What keys of the configuration accept and mean: annotations, docstrings, comments in YAML."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types

from hpsuite.checks import annotations, show

_PLAIN: dict[object, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
}
_BY_NAME = {kind.__name__: words for kind, words in _PLAIN.items() if isinstance(kind, type)} | {
    "None": "null"
}
_BOUNDS = {
    annotated_types.Ge: (">=", "ge"),
    annotated_types.Gt: (">", "gt"),
    annotated_types.Le: ("<=", "le"),
    annotated_types.Lt: ("<", "lt"),
}


def accepted(annotation: object) -> str:
    """What an annotation accepts, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _bounded(accepted(arguments[0]), arguments[1:])
    if origin is Literal:
        return ", ".join(f"`{show_plain(value)}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        words = [accepted(part) for part in arguments if part is not type(None)]
        if type(None) in arguments:
            words.append("null")
        return " or ".join(dict.fromkeys(words))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list, each {accepted(arguments[0])}" if arguments else "a list"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "keys with values"
    if isinstance(annotation, str):  # of others, who write them for type checkers alone
        parts = [part.strip() for part in annotation.split("|")]
        return " or ".join(_BY_NAME[part] for part in parts) if set(parts) <= set(_BY_NAME) else ""
    return _PLAIN.get(annotation, "")


def _bounded(words: str, metadata: tuple[object, ...]) -> str:
    bounds = []
    for part in metadata:
        for kind, (sign, name) in _BOUNDS.items():
            if isinstance(part, kind):
                bounds.append(f"{sign} {getattr(part, name):,}")
    return f"{words} {' and '.join(bounds)}" if bounds else words


def show_plain(value: object) -> str:
    """A value as it stands in a configuration."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show_plain, value))}]"
    return (value or '""') if isinstance(value, str) else show(value)


def attributes(function: Callable[..., object]) -> dict[str, str]:
    """What a docstring says of each argument or attribute; several names of one line share it."""
    found: dict[str, str] = {}
    for part in ("Args", "Attributes"):
        text = inspect.getdoc(function) or ""
        section = re.search(rf"^{part}:\n((?:[ ].*\n?|\n(?=[ ]))*)", text, flags=re.MULTILINE)
        if section is None:
            continue
        for entry in re.findall(r"^ {4}(\w.*(?:\n {5,}.*)*)", section[1], flags=re.MULTILINE):
            names, _, words = entry.partition(":")
            words = re.sub(r"\bNone\b", "null", " ".join(words.split()))
            for name in names.split(", "):
                found[name.strip()] = capitalised(words)
    return found


def capitalised(words: str) -> str:
    """A sentence's first letter, but for names of one letter."""
    return words[:1].upper() + words[1:] if words[1:2].isalpha() else words


def parameters(function: Callable[..., object], provided: typing.Container[str]) -> dict[str, Any]:
    """Annotation of each parameter that is the user's to give, by name."""
    hints = annotations(function)
    return {
        name: hints.get(name, parameter.annotation)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in provided and parameter.kind is not parameter.VAR_KEYWORD
    }


def comments(path: Path) -> tuple[str, dict[str, str]]:
    """What a YAML file says of itself in its first lines, and the comment above each dotted key.

    The first comment is the file's, the others are their keys' own.
    """
    head: list[str] | None = None
    by_key: dict[str, str] = {}
    waiting: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            waiting.append(text.lstrip("# "))
            continue
        key = re.match(r"(\s*)([\w.]+):", line)
        if key is not None:
            depth = len(key[1])
            parents = [*(p for p in parents if p[0] < depth), (depth, key[2])]
            name = ".".join(part for _, part in parents)
            if head is None:
                head, waiting = waiting, []
            if waiting:
                by_key[name] = " ".join(waiting)
        waiting = []
    return " ".join(part for part in head or () if not part.startswith("@package")), by_key
