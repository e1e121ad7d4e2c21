"""Whether all that a run will write can be written: checked before it trains anything."""

import os
import tempfile
from pathlib import Path

from hpsuite.checks import refuse
from hpsuite.config import Settings
from hpsuite.postgres import is_ours, is_postgres, same_database, with_driver
from hpsuite.texts import without_password
from hpsuite.tracking import resolve_uri

# How a journal of Optuna's begins. A record cut short in its first line begins with a part of it.
_JOURNAL = b'{"op_code"'


def check_places(settings: Settings) -> None:
    """Check that the record and the summaries can be written; nothing is left behind.

    Raises:
        UserError: a folder that cannot be written, a file in the place of one, or a record that is
            something else.
    """
    check_folder("output_dir", settings.output_dir, Path(settings.output_dir) / settings.name)
    if settings.tracking.enabled:
        uri = resolve_uri(settings.tracking.uri, Path.cwd())
        check_address("tracking.uri", uri)
        if same_database(uri, settings.storage):
            accepted = "a database other than the record's"
            raise refuse("tracking.uri", without_password(uri), accepted)
    if "://" in settings.storage:
        check_address("storage", settings.storage)
        return
    record = Path(settings.storage).expanduser()
    if record.is_dir():
        raise refuse("storage", settings.storage, "a file, but this is a folder")
    check_folder("storage", settings.storage, record.parent)
    if record.exists():
        _check_journal(settings.storage, record)


def check_address(key: str, address: str) -> None:
    """Check that what reads an address of PostgreSQL is installed; nobody is asked there.

    Raises:
        UserError: naming the key.
    """
    if is_ours(address) or (key == "storage" and is_postgres(address)):
        with_driver(key, address)


def check_folder(key: str, found: str, folder: Path) -> None:
    """Check that a folder can be made and written; nothing is left behind.

    Raises:
        UserError: naming the key.
    """
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise refuse(key, found, f"a folder, but {there} is a file")
    try:
        # Asking for permissions is not enough: the superuser has them in /proc too.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise refuse(
            key, found, f"a folder that can be written, but {there} cannot ({error.strerror})"
        ) from error


def _check_journal(address: str, record: Path) -> None:
    """A file that is no journal must not be written to, and even less mended."""
    if not record.is_file() or not os.access(record, os.R_OK | os.W_OK):
        raise refuse("storage", address, "a file that can be written")
    with record.open("rb") as file:
        start = file.read(len(_JOURNAL))
    if not _JOURNAL.startswith(start):
        raise refuse(
            "storage",
            address,
            "a journal file, which this is not; for a database give its address, as in "
            "sqlite:///record.db",
        )
