"""What a machine may do to a run, in one line: a full disk, a folder that is gone, a database."""

import errno
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError


class ServerLost(Exception):
    """The record's server cannot be reached any more; the message says how it failed."""


class JobEnded(Exception):
    """One of several experiments of `-m`, in a process of its own, did not end well.

    Attributes:
        status: with which it ended.
    """

    def __init__(self, status: int) -> None:
        """Of a status other than 0."""
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return (
            f"an experiment of -m ended with status {self.status}; it said why where it ran: here, "
            "or in the launcher's logs; the same command continues what is left"
        )


# A disk that is full, a quota that is used up, a file that may not be larger.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What was there at the start and is not any more, or is not to be written any more.
_GONE = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
    *(errno.ESTALE, errno.ENODEV, errno.EMFILE, errno.ENFILE, errno.EPIPE),
)
# How SQLite says that there is no room.
_FULL = ("disk I/O error", "database or disk is full")


def trouble(error: BaseException) -> str:
    """An error of the machine in words; empty for any other, which is a mistake of somebody's.

    What was raised by training, which has a note that says so, is the model's own.
    """
    if getattr(error, "__notes__", ()):
        return ""
    for own in _chain(error):
        if isinstance(own, ServerLost):
            return _continued(f"the record's server is gone ({own})")
        if isinstance(own, SQLAlchemyError):
            return _continued(f"the record cannot be read or written ({_driver(own)})")
        if isinstance(own, OSError) and own.errno in _NO_ROOM:
            return _no_room(own.strerror or "")
        if isinstance(own, OSError) and own.errno in _GONE:
            where = f"{own.filename}: " if own.filename is not None else ""
            return _continued(f"{where}{own.strerror}")
    return ""


def _driver(error: SQLAlchemyError) -> str:
    own = getattr(error, "orig", None) or error
    text = next(iter(str(own).splitlines()), "")
    return f"{text}, as where there is no room" if text in _FULL else text


def _no_room(why: str) -> str:
    return f"{_continued(f'no room for what is to be written ({why})')} when there is room"


def _continued(what: str) -> str:
    return f"{what}; what was told is in the record, and the same command continues it"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__
