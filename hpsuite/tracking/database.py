"""A new database of MLflow's: whole, or not there.

MLflow makes its tables step by step, in dozens of transactions. One that is cut off, by a full disk
or a kill, leaves an SQLite database that it can never open again ("table ... already exists"); and
so may two that make them at once in PostgreSQL.
"""

import contextlib
import os
import tempfile
import time
from pathlib import Path

from hpsuite.checks import UserError
from hpsuite.postgres import is_ours, one_at_a_time, tables, with_driver


def make_database(uri: str) -> None:
    """Let MLflow make its tables where there are none.

    For SQLite in a scratch file beside a database that is not there yet, in PostgreSQL by one
    process at a time.
    """
    if is_ours(uri):  # another driver is MLflow's own affair
        _make_tables(with_driver("tracking.uri", uri))
        return
    path = _sqlite_file(uri)
    if path is None or _has_content(path):
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    _tidy(path)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.making-", dir=path.parent)
    os.close(handle)
    made = Path(scratch)
    try:
        MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments(max_results=1)
        made.chmod(0o666 & ~_umask())
        _put(made, path)
    finally:
        for left in (made, made.with_name(f"{made.name}-journal")):
            left.unlink(missing_ok=True)


def _make_tables(url: str) -> None:
    with one_at_a_time(url, "MLflow's tables") as connection:
        there = tables(connection)
        if "studies" in there and "experiments" not in there:
            raise UserError(
                "tracking.uri: found Optuna's tables in the database; accepted: one of MLflow's own"
            )
        if "experiments" not in there:
            from mlflow import MlflowClient

            MlflowClient(tracking_uri=url).search_experiments(max_results=1)


def _tidy(path: Path) -> None:
    """Remove what killed processes left of databases in the making; none takes an hour."""
    for left in path.parent.glob(f".{path.name}.making-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink()


def _sqlite_file(uri: str) -> Path | None:
    """The file of a plain SQLite address."""
    if not uri.startswith("sqlite"):
        return None
    import sqlalchemy

    place = sqlalchemy.make_url(uri).database
    return None if not place or place == ":memory:" or place.startswith("file:") else Path(place)


def _has_content(path: Path) -> bool:
    """Whether a file is there and not empty, as connecting to one alone makes it."""
    return path.exists() and (not path.is_file() or path.stat().st_size > 0)


def _put(made: Path, path: Path) -> None:
    """Give a file its name, unless another process was faster."""
    if path.exists() and not _has_content(path):
        path.unlink()
    try:
        path.hardlink_to(made)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        made.rename(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
