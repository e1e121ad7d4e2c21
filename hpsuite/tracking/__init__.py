"""The MLflow view of the record."""

from hpsuite.tracking.address import how_to_open, resolve_uri
from hpsuite.tracking.reading import read_runs
from hpsuite.tracking.views import RunView, Synced, TrackingError, sync

__all__ = ["RunView", "Synced", "TrackingError", "how_to_open", "read_runs", "resolve_uri", "sync"]
