"""The MLflow view of the record."""

from hpsuite.tracking.address import how_to_open, resolve_uri
from hpsuite.tracking.failures import TrackingError
from hpsuite.tracking.files import Attached
from hpsuite.tracking.pages import Page
from hpsuite.tracking.reading import read_runs
from hpsuite.tracking.syncing import Synced, sync
from hpsuite.tracking.views import RunView

__all__ = [
    "Attached",
    "Page",
    "RunView",
    "Synced",
    "TrackingError",
    "how_to_open",
    "read_runs",
    "resolve_uri",
    "sync",
]
