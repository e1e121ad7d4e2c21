"""Where MLflow is: addresses, what to print to open them, and talking to them without noise."""

import logging
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from hpsuite.postgres import DRIVER, is_ours, with_driver
from hpsuite.texts import without_password

# The tag by which the UI is filtered.
KIND = "hpsuite.kind"
# Without it, pages open among tools for language models.
_LEARNING = "workflowType=machine_learning"

# Settings for the time of a sync; what the user has set wins. By default MLflow tries an
# unreachable server for four minutes.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A proxy in front of a server that is down may say an hour.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "PGCONNECT_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def resolve_uri(configured: str | None, folder: Path) -> str:
    """The address to use: `configured`, else MLFLOW_TRACKING_URI, else SQLite in `folder`.

    PostgreSQL is read by psycopg 3, where the address leaves that open.
    """
    found = (
        configured
        or os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{(folder / 'mlflow.db').resolve().as_posix()}"
    )
    return re.sub(r"^postgresql://", f"{DRIVER}://", found)


def how_to_open(uri: str, experiment_id: str, kind: str = "arm") -> list[str]:
    """Lines to print: how to start the UI (where that is up to the reader), and what to open.

    Args:
        uri: as given to `sync`.
        experiment_id: as returned by `sync`.
        kind: the runs to show, by their tag `hpsuite.kind`.
    """
    if re.match(r"https?://", uri):  # whose version may not know our saved views (`pages.py`)
        search = quote(f'tags."{KIND}" = "{kind}"', safe="")
        page = f"{_charts(experiment_id)}&searchFilter={search}"
        return [f"open  {without_password(uri).rstrip('/')}/{page}"]
    command = shlex.join(_ui_command(uri))
    return [f"run   {command}", f"open  http://127.0.0.1:5000/{page_address(experiment_id, kind)}"]


def page_address(experiment_id: str, kind: str) -> str:
    """The saved view of an experiment's runs of a kind, after the server's own address."""
    # A filter in the address would keep the view's own charts away.
    return f"{_charts(experiment_id)}&viewStateShareKey={page_key(kind)}"


def artifact_address(experiment_id: str, run_id: str, path: str) -> str:
    """The page of a run's artifact, after the server's own address."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{path}?{_LEARNING}"


def _charts(experiment_id: str) -> str:
    return f"#/experiments/{experiment_id}/runs?{_LEARNING}&compareRunsMode=CHART"


def page_key(kind: str) -> str:
    """By which an address names the saved view of runs of a kind."""
    return f"hpsuite-{kind}"


def _ui_command(uri: str) -> list[str]:
    """What starts the UI (`ui.py`): in a checkout `make ui`."""
    path = Path(uri.removeprefix("sqlite:///"))
    given = [without_password(uri)]
    if uri.startswith("sqlite:///"):
        given = [str(path)]
        if path.resolve() == (Path.cwd() / "mlflow.db").resolve():
            given = []
    python = Path(sys.executable)
    checkout = Path("Makefile").is_file() and Path("hpsuite/tracking/ui.py").is_file()
    if checkout and python.parent == Path.cwd() / ".venv" / "bin":
        return ["make", "ui", *(f"ARGS={shlex.quote(each)}" for each in given)]
    found = shutil.which("python")
    if found is not None and Path(found) == python:
        python = Path("python")
    elif python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return [str(python), "-m", "hpsuite.tracking.ui", *given]


def check_database(uri: str) -> None:
    """Open a database once; MLflow itself tries for 100 seconds before it says that it cannot."""
    if not re.match(r"(sqlite|postgresql|mysql|mssql)[+:]", uri):
        return
    if is_ours(uri):
        with_driver("tracking.uri", uri)
    import sqlalchemy

    url = sqlalchemy.make_url(uri)
    if uri.startswith("sqlite") and url.database and not url.database.startswith("file:"):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(url)
    try:
        sqlalchemy.inspect(engine)
    finally:
        engine.dispose()


def reason(error: BaseException) -> str:
    """One line: the system's or the database driver's own error where one lies underneath."""
    told = outer = error
    while (inner := outer.__cause__ or outer.__context__) is not None:
        driver: object = getattr(outer, "orig", None)  # SQLAlchemy's name for it
        if isinstance(inner, OSError) or inner is driver:
            told = inner
        outer = inner
    first = str(told).strip().partition("\n")[0]
    return f"{type(told).__name__}: {first}"[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines, warnings or progress bars, and bounded retries; all as before at the end.

    MLflow, Alembic, SQLAlchemy and urllib3 log through a dozen loggers, some with handlers of their
    own, some named after a database migration: only the switch for all of logging reaches them.
    """
    added = [name for name in SETTINGS if name not in os.environ]
    disabled = logging.root.manager.disable
    os.environ.update({name: SETTINGS[name] for name in added})
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        for name in added:
            os.environ.pop(name, None)
