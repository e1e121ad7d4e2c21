"""Where a user's own file or folder of data is."""

from pathlib import Path


def find(data_dir: str, path: str, what: str) -> Path:
    """The place of a path, which is in `data_dir` unless it is absolute.

    Args:
        data_dir: folder of the data sets' files.
        path: of a file or folder.
        what: should be there, for messages.

    Raises:
        ValueError: nothing is there.
    """
    folder = Path(data_dir).expanduser()
    if not path:
        raise ValueError(f"path: found ''; accepted: {what}")
    try:
        given = Path(path).expanduser()
        if (folder / given).exists():
            return folder / given
    except (OSError, RuntimeError) as error:  # a folder that may not be looked into; no such user
        raise ValueError(f"path: found {path!r} ({error}); accepted: {what}") from error
    if given.is_absolute():
        raise ValueError(f"path: found nothing at {given}; accepted: {what}")
    raise ValueError(
        f"data_dir: no {path} in {folder.absolute()}; put it there ({what}), or set data_dir= or "
        "HPSUITE_DATA to the folder that holds it"
    )
