"""The command within this process: what it printed, how it ended, what it left behind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Ended:
    status: int
    out: str
    err: str
    left: list[str]


Command = Callable[..., Ended]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_refused(ended: Ended, line: str) -> None:
    assert ended.status == 2
    assert ended.err.startswith(f"hpsuite: {line}"), ended.err
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    assert ended.out == ""
    assert ended.left == []
