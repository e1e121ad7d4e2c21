"""Texts that a configuration may hold, checked: names of folders, paths, packages, levels."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator


def _plain_name(name: str) -> str:
    """A name that is also good for a folder."""
    if not re.fullmatch(r"\w[\w .-]*", name) or name != name.strip():
        raise ValueError("letters, digits, '_', '-', '.' and spaces, as it names a folder")
    return name


def _path(text: str) -> str:
    """A path with its ~ expanded; an address as it is."""
    if not text or "\0" in text:
        raise ValueError("a path")
    try:
        return text if "://" in text or text[0] != "~" else str(Path(text).expanduser())
    except RuntimeError as error:  # no such user
        raise ValueError(f"a path ({error})") from error


def _package(name: str) -> str:
    """The name of a top-level package."""
    if not name.isidentifier():
        raise ValueError("names of top-level packages, such as my_package")
    return name


def _cluster(text: str) -> str:
    """Where a Ray cluster's head listens."""
    if text != "auto" and not re.fullmatch(r"([\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}", text, re.ASCII):
        raise ValueError("host:port of a cluster's head, as ray start prints it, or auto")
    return text


# In addresses: user:password@, a token alone before the @ of a server's, and what queries call so.
# A password may hold /, : and even @, as database drivers read it; spaces it holds as %20. Hydra
# puts a backslash before signs.
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^\s'\"]*@")
_TOKEN = re.compile(r"(https?\\?://)(?!:|[^:/@\s]*:\*\*\*@)[^:/@\s]+@")
_QUERIED = re.compile(
    r"([?&;][\w.-]*(?:passw|passphrase|pwd|secret|token|api_?key|credential)[\w.-]*\\?=)[^&;#\s'\"]*",
    re.IGNORECASE,
)


def without_password(text: str) -> str:
    """A text with the passwords and tokens of its addresses hidden."""
    text = _PASSWORD.sub(r"\1:***@", text)
    text = _TOKEN.sub(r"\1***@", text)
    return _QUERIED.sub(r"\1***", text)


Name = Annotated[str, AfterValidator(_plain_name)]
Packages = tuple[Annotated[str, AfterValidator(_package)], ...]
PathText = Annotated[str, AfterValidator(_path)]
ClusterAddress = Annotated[str, AfterValidator(_cluster)]
LogLevel = Literal["debug", "info", "warning", "error"]
