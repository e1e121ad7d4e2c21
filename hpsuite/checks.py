"""Checking what a user gave against the signature of what will receive it.

A function or dataclass says what it accepts by its annotations (with `annotated_types` for
ranges); that is the whole schema. Pydantic reads the annotations.
"""

import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError


class UserError(ValueError):
    """A user's mistake, as one line: the key, what was found, what is accepted."""


def refuse(key: str, found: object, accepted: str) -> UserError:
    """The error for a key."""
    return UserError(f"{key}: found {show(found)}; accepted: {accepted}")


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
    if not isinstance(target, str) or "." not in target:
        raise refuse(key, target, "the dotted name of a function or class")
    module, _, name = target.rpartition(".")
    try:
        found: object = pkgutil.resolve_name(f"{module}:{name}")
    except (ImportError, AttributeError, ValueError) as error:
        raise refuse(key, target, f"an importable name ({error})") from error
    if not callable(found):
        raise refuse(key, target, "the name of a function or class")
    return found


def checked_arguments(
    path: str,
    function: Callable[..., object],
    given: Mapping[str, object],
    *,
    provided: Iterable[str] = (),
) -> dict[str, Any]:
    """Arguments as the function wants them, checked against its signature.

    Args:
        path: the config key that holds them, for messages.
        function: a function or class with annotated parameters.
        given: the arguments by name.
        provided: names of parameters that are not the user's to give.

    Returns:
        The checked arguments, as given: defaults are left to the function.

    Raises:
        UserError: an unknown or missing name, a wrong type, or a value out of range.
    """
    signature = inspect.signature(function)
    hints = _hints(function)
    accepted = [
        name
        for name, parameter in signature.parameters.items()
        if name not in provided
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in given:
        if name not in accepted and not takes_any:
            raise refuse(_join(path, name), given[name], f"one of {', '.join(accepted) or 'none'}")
    for name in accepted:
        if name not in given and signature.parameters[name].default is inspect.Parameter.empty:
            raise UserError(f"{_join(path, name)}: found nothing; accepted: {hints.get(name)}")
    return {
        name: checked(_join(path, name), hints.get(name, object), value)
        for name, value in given.items()
    }


def checked(key: str, annotation: Any, value: object) -> Any:
    """A value as its annotation wants it.

    Raises:
        UserError: a wrong type, or a value out of range.
    """
    wants_number = annotation is not bool and isinstance(value, bool)
    try:
        adapter: TypeAdapter[object] = TypeAdapter(
            annotation, config=ConfigDict(arbitrary_types_allowed=True)
        )
    except PydanticUserError:
        adapter = TypeAdapter(annotation)  # a class with a configuration of its own
    except PydanticSchemaGenerationError:
        return value
    try:
        result: Any = adapter.validate_python(value)
    except ValidationError as error:
        texts = dict.fromkeys(_accepted(str(part["msg"])) for part in error.errors())
        raise refuse(key, value, " or ".join(texts)) from error
    if wants_number and not isinstance(result, bool):
        raise refuse(key, value, "a number, not true or false")
    return result


def _accepted(message: str) -> str:
    """Pydantic's message as what would be accepted."""
    for start in ("Input should be ", "Value error, "):
        message = message.removeprefix(start)
    return message.split(", got ")[0].split(", unable to ")[0]


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return dict(typing.get_type_hints(target, include_extras=True))
    except (NameError, TypeError):  # annotations that exist for type checkers alone
        return {}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
