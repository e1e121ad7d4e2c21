"""How MLflow fails: one run that it refuses, a server in trouble, nobody there, out of time.

What is refused costs that run alone. Whoever is gone must not be asked for each of a hundred runs,
as each time may take half a minute.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

from hpsuite.tracking.address import reason

T = TypeVar("T")

# A server that fails at so many things in a row is not asked for more.
MOST_IN_A_ROW = 3


class TrackingError(Exception):
    """MLflow could not be brought up to date; the message is one line and names the address.

    Attributes:
        gone: whether another experiment there would fare the same.
    """

    def __init__(self, message: str, *, gone: bool = False) -> None:
        """The message is one line."""
        super().__init__(message)
        self.gone = gone


class OutOfTimeError(Exception):
    """What was done took longer than it may."""


class Limited:
    """MLflow's client, which is not asked for more once its time is up."""

    def __init__(self, client: object, seconds: float | None) -> None:
        """The time begins now; None for all the time there is."""
        self._client, self._seconds = client, seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def __getattr__(self, name: str) -> object:
        if self._end is not None and time.monotonic() >= self._end:
            raise OutOfTimeError(f"out of time (tracking.time_limit={self._seconds:g}, in seconds)")
        return getattr(self._client, name)


class Attempts:
    """What is tried, one thing after the other; what was refused is noted."""

    def __init__(self) -> None:
        """Nothing was refused yet."""
        self.refused: list[str] = []
        self._in_a_row = 0

    def __call__(self, what: str, write: Callable[[], T]) -> T | None:
        """Do something; returns None where that was refused, of which a line is kept.

        Args:
            what: it is, for that line.
            write: does it. It raises what it raises where nothing more is worth trying.
        """
        try:
            done = write()
        except Exception as error:
            kind = kind_of(error)
            self._in_a_row = 0 if kind == "refused" else self._in_a_row + 1
            if kind == "gone" or self._in_a_row == MOST_IN_A_ROW:
                raise
            self.refused.append(f"{what}: {reason(error)}")
            return None
        self._in_a_row = 0
        return done


def kind_of(error: BaseException) -> Literal["refused", "troubled", "gone"]:
    """What an error says of the next thing to try.

    Returns:
        `refused` where MLflow answers that it does not take this; `gone` where nobody answers, or
        that nobody can be served now; `troubled` for anything else, such as a server's own mistake.
    """
    from sqlalchemy.exc import OperationalError

    for each in _chain(error):
        if isinstance(each, OperationalError | OutOfTimeError):  # a full or closed disk, a lock
            return "gone"
        # Those of requests are OSErrors too. Only answers of 500 may concern one run alone.
        if isinstance(each, OSError) and "too many 500 error responses" not in str(each):
            return "gone"
    return "refused" if 400 <= _status(error) < 500 else "troubled"


def is_unanswered(error: BaseException) -> bool:
    """Whether an error says that nobody answers at an address."""
    import requests

    kinds = (ConnectionError, TimeoutError, requests.ConnectionError, requests.Timeout)
    return any(isinstance(each, kinds) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int:
    """The HTTP status of an error; 500 for one that has none."""
    answered = re.search(r"failed with error code (\d{3})", str(error))
    if answered:  # with a status that MLflow itself has no name for, as proxies do
        return int(answered[1])
    told = getattr(error, "get_http_status_code", None)
    return int(told()) if callable(told) else 500
