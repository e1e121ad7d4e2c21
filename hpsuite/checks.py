"""Checking what a user gave against the signature of what will receive it.

A function or dataclass says what it accepts by its annotations (with `annotated_types` for
ranges); that is the whole schema. Pydantic reads the annotations, and is held to them: no text for
a number, no fraction for an integer, no true or false for either.
"""

import contextlib
import inspect
import json
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from hpsuite.texts import without_password

T = TypeVar("T")


# Of what was found, a line says no more than so many characters.
_LONGEST = 160


class UserError(ValueError):
    """A user's mistake, as one line: the key, what was found, what is accepted."""

    def __init__(self, line: str) -> None:
        """Of the line, with escapes for what no terminal shows, and without passwords."""
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        super().__init__(without_password(shown))


def refuse(key: str, found: object, accepted: str) -> UserError:
    """The error for a key."""
    return UserError(f"{key}: found {brief(show(found))}; accepted: {accepted}")


def brief(text: str) -> str:
    """A text as it stands in a line: of a long one the beginning, and how long it is."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({len(text):,} characters)"


def show(value: object) -> str:
    """A value as a user would type it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {show(v)}" for k, v in value.items()) + "}"
    return repr(value) if isinstance(value, str) else str(value)


def resolve(key: str, target: object) -> Callable[..., object]:
    """The function or class of a dotted name.

    Raises:
        UserError: a name that cannot be imported or called.
    """
    if not isinstance(target, str) or "." not in target.strip("."):
        raise refuse(key, target, "the dotted name of a function or class")
    module, _, name = target.rpartition(".")
    try:
        found: object = pkgutil.resolve_name(f"{module}:{name}")
    except Exception as error:  # importing runs a user's module, which may fail in any way
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise refuse(
            key, target, f"the name of something that can be imported ({reason})"
        ) from error
    if not callable(found):
        raise refuse(key, target, "the name of a function or class")
    return found


def check_home(key: str, target: object, homes: Sequence[str], packages: Sequence[str]) -> None:
    """Check that a dotted name lies where a group's functions live, before anything is imported.

    Importing a module runs it: what lies elsewhere needs the user's word.

    Args:
        key: the config key that holds the name.
        target: the name; `resolve` checks that it is one.
        homes: dotted names of hpsuite's and Optuna's own packages for this group.
        packages: top-level packages that the user allowed.

    Raises:
        UserError: a name that lies elsewhere.
    """
    if not isinstance(target, str) or "." not in target.strip("."):
        return
    package = target.partition(".")[0]
    if package in packages or any(target.startswith(f"{home}.") for home in homes):
        return
    ours = {home.partition(".")[0] for home in homes}
    own = f", or packages=[{package}], which runs its code"
    own = own if package.isidentifier() and package not in ours else ""
    raise refuse(key, target, f"a name in {' or '.join(homes)}{own}")


def build(path: str, kind: Callable[..., T], given: Mapping[str, object], **provided: object) -> T:
    """What a function or class makes of a user's arguments, checked against its signature.

    Args:
        path: the config key that holds them, for messages.
        kind: a function or class with annotated parameters.
        given: the user's arguments by name.
        provided: arguments that are not the user's to give.

    Raises:
        UserError: an unknown or missing name, a wrong type, or a value out of range.
    """
    return kind(**checked_arguments(path, kind, given, provided=provided), **provided)


def checked_arguments(
    path: str,
    function: Callable[..., object],
    given: Mapping[str, object],
    *,
    provided: Iterable[str] = (),
    beside: Sequence[str] = (),
) -> dict[str, Any]:
    """Arguments as the function wants them, checked against its signature.

    Args:
        path: the config key that holds them, for messages.
        function: a function or class with annotated parameters.
        given: the arguments by name.
        provided: names of parameters that are not the user's to give.
        beside: names that the user can give at the same place, which somebody else checks.

    Returns:
        The checked arguments, as given: defaults are left to the function.

    Raises:
        UserError: an unknown or missing name, a wrong type, or a value out of range.
    """
    accepted, takes_any = _parameters(path, function)
    hints = annotations(function)
    # Where only some can be read, values are held to them, and stay as they were given.
    some = {} if hints else _readable_annotations(function)
    provided = set(provided)
    names = [name for name in accepted if name not in provided]
    for name in given:
        if name in provided or (name not in accepted and not takes_any):
            among = f"one of {', '.join([*names, *beside])}" if names or beside else "no keys"
            raise UserError(f"{_join(path, name)}: found no such key; accepted: {among}")
    for name in names:
        if name not in given and accepted[name].default is inspect.Parameter.empty:
            wanted = _describe(hints.get(name, object))
            raise UserError(f"{_join(path, name)}: found nothing; accepted: {wanted}")
    for name in some.keys() & given.keys():
        checked(_join(path, name), some[name], given[name])
    return {
        name: checked(_join(path, name), hints.get(name, object), value)
        for name, value in given.items()
    }


def checked(key: str, annotation: Any, value: object) -> Any:
    """A value as its annotation wants it.

    Raises:
        UserError: a wrong type, or a value out of range.
    """
    adapter = _adapter(annotation)
    if adapter is None:
        return value
    try:
        text = json.dumps(value)
    except TypeError as error:
        raise refuse(key, value, "plain values, lists and keys with values") from error
    try:
        # As JSON, since a list is the only way to write a tuple in a configuration.
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise refuse(key, value, _accepted(error, annotation)) from error


def one_line(error: BaseException) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def under(path: str, error: BaseException) -> UserError:
    """An error about what a config key holds, as the user's.

    `units: found 0; ...` becomes `model.units: found 0; ...`; other words follow the key.
    """
    text = one_line(error)
    names_key = re.match(r"\w+(, \w+)*: found ", text)
    return UserError(f"{path}.{text}" if names_key else f"{path}: {text}")


def _adapter(annotation: Any) -> TypeAdapter[object] | None:
    """Pydantic's reading of an annotation; None where it has none."""
    config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    try:
        return TypeAdapter(annotation, config=config)
    except PydanticSchemaGenerationError:
        return None
    except PydanticUserError:
        return TypeAdapter(annotation)  # a class with a configuration of its own


def _describe(annotation: Any) -> str:
    """What an annotation accepts, in words."""
    adapter = _adapter(annotation)
    try:
        if adapter is not None:
            adapter.validate_python(object(), strict=True)  # which nothing but object accepts
    except ValidationError as error:
        return _accepted(error, annotation)
    return "a value"


def _accepted(error: ValidationError, annotation: Any) -> str:
    """Pydantic's errors as what would be accepted."""
    texts = []
    for part in error.errors():
        text = str(part["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
        for theirs, ours in _WORDS.items():
            text = text.replace(theirs, ours)
        texts.append(text.split(", got ")[0].split(", unable to ")[0])
    if type(None) in typing.get_args(annotation):
        texts.append("null")
    return " or ".join(dict.fromkeys(texts))


# Pydantic's words, and those of somebody who writes a configuration.
_WORDS = {
    "a valid integer": "an integer",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid array": "a list",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "an object": "keys with values",
    "a valid dictionary": "keys with values",
    "a valid mapping": "keys with values",
}


def _parameters(
    path: str, function: Callable[..., object]
) -> tuple[dict[str, inspect.Parameter], bool]:
    """The parameters of a function that have names, and whether it takes any others by name."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:  # some of those that are written in C
        name = getattr(function, "__name__", str(function))
        raise refuse(
            _join(path, "_target_"), name, "a function that names its arguments"
        ) from error
    by_name = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return by_name, any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def defaults(function: Callable[..., object]) -> dict[str, object]:
    """The defaults of a function's parameters."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def without_defaults(
    function: Callable[..., object], given: Mapping[str, object]
) -> dict[str, object]:
    """Arguments without those at their defaults.

    For samplers of others, whose defaults may be functions, and warn when they are passed.
    """
    missing = object()
    default = defaults(function)
    return {
        name: value
        for name, value in given.items()
        if type(default.get(name, missing)) is not type(value) or default[name] != value
    }


def annotations(function: Callable[..., object]) -> dict[str, Any]:
    """The annotations of a function's parameters, or of a class's, by name."""
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return dict(typing.get_type_hints(target, include_extras=True))
    except (NameError, TypeError):  # annotations that exist for type checkers alone
        return {}


def _readable_annotations(function: Callable[..., object]) -> dict[str, Any]:
    """A function's or a class's annotations but for those that type checkers alone can read."""
    target = function.__init__ if inspect.isclass(function) else function
    found: dict[str, Any] = {}
    for name, annotation in getattr(target, "__annotations__", {}).items():
        one = types.SimpleNamespace(__annotations__={name: annotation})
        with contextlib.suppress(NameError, TypeError):
            hints = typing.get_type_hints(one, getattr(target, "__globals__", {}))
            found.update(hints)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
