"""What MLflow is to show: runs, and what makes two of them the same."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpsuite.tracking.files import Attached, plain

# Counted into every content hash: raise it when the same view is to be written differently.
LAYOUT = 1


@dataclass(frozen=True)
class RunView:
    """One MLflow run, as it should be shown.

    Attributes:
        key: lasting identity of what the run shows, such as `arm:<hash>:g1`; unique in a sync.
        kind: `setup`, `arm` or `trial`; the tag `hpsuite.kind`, by which the UI is filtered.
        name: the run's name; charts cut long ones, so the distinguishing word comes first.
        metrics: single values. Values that are not finite are left out: MLflow stores infinity as
            1.8e308, and either spoils the scale of its charts.
        series: stepped metrics, the values of steps 1..n; steps that are not finite are left out,
            the others keep their number.
        params, tags: as in MLflow.
        note: Markdown, shown at the top of the run's page.
        table: columns of equal length, shown as a table under the run's artifacts.
        children: runs nested under this one; they are written and superseded with it.
        color: of its lines and bars, as `#rrggbb`; empty leaves it to MLflow, which draws colours
            by lot. It is no part of the content: a run keeps the one it was made with, or was
            given in the UI.
        files: under the run's artifacts, by their path there. They are no part of the content:
            other files replace those that a run has.
    """

    key: str
    kind: str
    name: str
    metrics: Mapping[str, float]
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    table: Mapping[str, Sequence[object]] | None = None
    children: Sequence["RunView"] = ()
    color: str = ""
    files: Mapping[str, Attached] = field(default_factory=dict)


def sha256(text: str) -> str:
    """Of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest(view: RunView) -> str:
    """SHA-256 of everything that a view shows, its children included."""
    return sha256(json.dumps([LAYOUT, _canonical(view)], sort_keys=True))


def _canonical(view: RunView) -> dict[str, object]:
    """A view as JSON of one spelling; NaN is written `NaN`, and so equals itself."""
    shown = {name: value for name, value in vars(view).items() if name not in ("color", "files")}
    return shown | {
        "metrics": {name: float(value) for name, value in view.metrics.items()},
        "series": {name: [float(value) for value in v] for name, v in view.series.items()},
        "params": dict(view.params),
        "tags": dict(view.tags),
        # As pairs: the order of the columns is part of what is shown.
        "table": [
            (name, [plain(v) for v in column]) for name, column in (view.table or {}).items()
        ],
        "children": [_canonical(child) for child in view.children],
    }
