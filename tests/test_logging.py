"""`log_level` says what is heard: `debug` of hpsuite alone."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import pytest

from hpsuite.running import start
from hpsuite.texts import LogLevel


@contextlib.contextmanager
def as_a_process_starts() -> Iterator[None]:
    """The root logger without handlers; then all as it was."""
    root, own = logging.getLogger(), logging.getLogger("hpsuite")
    handlers, levels = root.handlers[:], (root.level, own.level)
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        own.setLevel(levels[1])


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        ("debug", logging.DEBUG, logging.INFO),
        ("info", logging.INFO, logging.INFO),
        ("warning", logging.WARNING, logging.WARNING),
        ("error", logging.ERROR, logging.ERROR),
    ],
)
def test_levels(name: LogLevel, own: int, other: int) -> None:
    with as_a_process_starts(), warnings.catch_warnings():
        start(name)
        assert logging.getLogger("hpsuite.training.planner").getEffectiveLevel() == own
        assert logging.getLogger("matplotlib.font_manager").getEffectiveLevel() == other
