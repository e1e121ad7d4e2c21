"""Pages of MLflow's UI, set up beforehand: which runs, which columns, which charts, in which order.

By itself the UI shows no figure in its table, and charts every metric in the order of the alphabet,
the ends of intervals among them. A saved view changes that. It lies in a tag of the experiment, as
the UI writes it itself (tried with MLflow 3.17), and appears in the menu Views; a UI that does not
know it shows all as it would without.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpsuite.tracking.address import KIND, page_key

PREFIX = "mlflow.sharedViewState."
SECTION = "hpsuite-first"
_NAME = "tags.`mlflow.runName`"


@dataclass(frozen=True)
class Page:
    """A saved view.

    Attributes:
        kind: of the runs that it shows, by their tag `hpsuite.kind`.
        name: in the menu.
        columns: metrics of the table, in order.
        charts: metrics to chart first, in order, and whether each is a line over steps.
        heading: above the first charts, in words: the UI titles a chart with nothing but the name
            of its metric. It cuts more than 46 letters.
        beside: so many charts stand beside each other.
        params: parameters of the table, before the metrics.
        parallel: parameters and metrics of a chart of parallel coordinates, which comes first;
            runs that lack one of them are not in it. Empty for none.
        best: the metric whose largest value comes first; empty for the order of writing.
    """

    kind: str
    name: str
    columns: tuple[str, ...]
    charts: Mapping[str, bool]
    heading: str = "What to look at first"
    beside: int = 3
    params: tuple[str, ...] = ()
    parallel: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    best: str = ""

    @property
    def key(self) -> str:
        """By which an address names it."""
        return page_key(self.kind)


def tag_of(page: Page, at: int) -> str:
    """What the tag of a page says; `at`, in ms since 1970, is when it was made."""
    columns = [f"params.`{name}`" for name in page.params]
    columns += [f"metrics.`{name}`" for name in page.columns]
    charts = [_chart(name, line=line) for name, line in page.charts.items()]
    if any(page.parallel):
        charts.insert(0, _parallel(*page.parallel))
    state = {
        "searchFilter": f'tags."{KIND}" = "{page.kind}"',
        "orderByKey": f"metrics.`{page.best}`" if page.best else "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {_NAME: 300} | dict.fromkeys(columns, 160),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": [_section(page)],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    made = {"name": page.name, "createdAt": at, "updatedAt": at, "state": f"deflate;{packed}"}
    return json.dumps(made)


def is_edited(tag: str) -> bool:
    """Whether somebody changed a page in the UI, which then says when."""
    try:
        made = json.loads(tag)
        return bool(made["createdAt"] != made["updatedAt"])
    except (ValueError, KeyError, TypeError):
        return True


def _section(page: Page) -> dict[str, object]:
    return {
        "uuid": SECTION,
        "name": page.heading,
        "display": True,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
        "columns": page.beside,
    }


def _chart(metric: str, *, line: bool) -> dict[str, object]:
    chart = _card(metric, "LINE" if line else "BAR") | {"metricKey": metric}
    if line:
        chart |= {
            "lineSmoothness": 0,
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "range": {},
            "xAxisKey": "step",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "ignoreOutliers": False,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }
    return chart


def _parallel(params: Sequence[str], metrics: Sequence[str]) -> dict[str, object]:
    """All runs of the page, hidden ones too: one line says nothing here."""
    own = {"selectedParams": list(params), "selectedMetrics": list(metrics), "showAllRuns": True}
    return _card("parallel coordinates", "PARALLEL") | own


def _card(name: str, kind: str) -> dict[str, object]:
    return {
        "uuid": f"hpsuite-{name}",
        "type": kind,
        "runsCountToCompare": 20,
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
        "displayName": name,
    }
