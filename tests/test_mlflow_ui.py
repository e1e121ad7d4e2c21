"""What a user sees in MLflow's UI, in a real Chromium, against a real server on this machine.

Pictures of all that is checked go to a temporary folder, or to HPSUITE_SCREENSHOTS.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpsuite.tracking import address, ui
from tests.browser import Chromium, Page, chromium, find_chromium

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]
# Real, and no more than is needed to see something.
SMALL = ("repeats=3", "budget.trials=8", "budget.epochs=4", "tracking.best_trials=2")
STRATEGIES = ("grid", "random", "log_random", "coarse_to_fine")
ARMS = [f"{s} · {m} · digits" for m in ("mlp", "mlp_bn") for s in STRATEGIES]
# Of one chart of lines, the colours of all that have data.
LINES = "[...document.querySelectorAll('.scatterlayer .js-line')].map(e => e.style.stroke)"
HEADING = "Share of the space within 2 points of the best"
CARD = '[data-testid="experiment-view-compare-runs-card"]'
ASSISTANT = '[data-component-id="mlflow.assistant.chat_panel.close"]'
# 5,000 trials with made-up results: what stands behind the pages, and no training.
MANY = """
import sys
from hydra import initialize_config_dir
from benchmarks import overhead
from benchmarks.measured import Clock
from hpsuite import experiment
from hpsuite.compose import compose_experiment
from hpsuite.overrides import config_dir

experiment.make_executor = lambda *_: overhead.Instant(Clock())
with initialize_config_dir(str(config_dir()), version_base="1.3"):
    settings, arms = compose_experiment(sys.argv[1:])
experiment.run_experiment(settings, arms)
"""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium; or HPSUITE_CHROMIUM)")
    with chromium(path, tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("HPSUITE_SCREENSHOTS")
    return Path(named) if named else tmp_path_factory.mktemp("screenshots")


class Shown:
    """An experiment behind a server."""

    def __init__(self, folder: Path, place: str, name: str) -> None:
        self.folder, self.place = folder, place
        with address.quiet():
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
            found = client.get_experiment_by_name(name)
            assert found is not None
            self.id = found.experiment_id
            self.runs = {
                (run.data.tags["hpsuite.kind"], run.info.run_name): run.info.run_id
                for run in client.search_runs([self.id], max_results=5000)
            }

    def page(self, kind: str) -> str:
        return f"{self.place}/{ui.page_address(self.id, kind)}"

    def artifact(self, kind: str, name: str, path: str) -> str:
        run = self.runs[kind, name]
        return f"{self.place}/{address.artifact_address(self.id, run, path)}"


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MLflow was not updated" not in done.stdout, done.stdout


@contextmanager
def serving(folder: Path, name: str) -> Iterator[Shown]:
    port = ui.find_port(None)
    with (
        tempfile.TemporaryFile() as log,
        ui.server(f"sqlite:///{folder / 'mlflow.db'}", port, log) as process,
    ):
        assert ui.wait_for(process, port, threading.Event()) == "", ui.last_line(log)
        yield Shown(folder, f"http://127.0.0.1:{port}", name)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, browser: Chromium) -> Iterator[Shown]:
    """The quickstart, small: two setups, four searches of each."""
    folder = tmp_path_factory.mktemp("quickstart")
    run(folder, "-m", "hpsuite", "+experiment=quickstart", *SMALL)
    with serving(folder, "quickstart") as shown:
        yield shown


@pytest.fixture
def page(browser: Chromium) -> Iterator[Page]:
    """A first visit, with the assistant closed as a user would close it."""
    page = browser.page()
    yield page
    assert page.errors() == []


def visit(page: Page, url: str, *texts: str) -> None:
    """Open an address, wait for texts, and close the assistant, which opens on a first visit."""
    page.open(url)
    page.wait_for(*texts)
    if page.run(f"!!document.querySelector({json.dumps(ASSISTANT)})"):
        page.click(ASSISTANT)
        page.wait(f"!document.querySelector({json.dumps(ASSISTANT)})")


def summary(shown: Shown) -> dict[str, Any]:
    (path,) = shown.folder.glob("outputs/*/*/summary.json")
    return dict(json.loads(path.read_text()))


def texts_of(page: Page, selector: str) -> list[str]:
    find = f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText.trim())"
    return list(page.run(find))


def test_setups_their_names_and_how_sensitive_they_are(
    shown: Shown, page: Page, pictures: Path
) -> None:
    visit(page, shown.page("setup"), "mlp · digits", "mlp_bn · digits", HEADING)
    page.wait(f"document.querySelectorAll('{CARD} .barlayer .bars .point').length >= 6")
    page.save(pictures / "setups.png")
    titles = [text.partition("\n")[0] for text in texts_of(page, CARD)]
    assert titles[0] == "good_fraction_2pt"
    names = [name for kind, name in shown.runs if kind == "setup"]
    assert sorted(names) == ["mlp · digits", "mlp_bn · digits"]
    # As numbers, in the table: what tells setups apart, then the figures, the headline first.
    visit(page, shown.page("setup").replace("&compareRunsMode=CHART", ""), "mlp_bn · digits")
    page.wait_for("good_fraction_2pt_low")
    page.save(pictures / "setups-table.png")
    headers = [text for text in texts_of(page, ".ag-header-cell") if text]
    assert headers.index("normalization") < headers.index("good_fraction_2pt")
    assert headers.index("good_fraction_2pt") < headers.index("n_trials")
    for setup in summary(shown)["setups"]:
        assert f"{setup['good_fraction_2pt']:.6f}"[:-1] in page.text()


def test_searches_have_lines_of_their_own(shown: Shown, page: Page, pictures: Path) -> None:
    visit(page, shown.page("arm"), *[name[:20] for name in ARMS], "best_so_far")
    colors = page.wait(f"(() => {{ const c = {LINES}; return c.length >= {len(ARMS)} && c }})()")
    page.save(pictures / "searches.png")
    assert len(set(colors)) == len(ARMS)
    page.wait_for("(best_so_far)")  # the legend
    assert sorted(name for kind, name in shown.runs if kind == "arm") == sorted(ARMS)


def test_the_note_begins_with_the_finding(shown: Shown, page: Page, pictures: Path) -> None:
    (report,) = shown.folder.glob("outputs/*/*/report.md")
    visit(page, shown.page("setup"), "mlp · digits")
    told = page.text()
    answer = "digits mlp_bn"
    assert answer in report.read_text()
    assert told.index(answer) < told.index("Four searches for a learning rate")
    run_id = shown.runs["setup", "mlp_bn · digits"]
    visit(page, f"{shown.place}/#/experiments/{shown.id}/runs/{run_id}", "of the search space is")
    page.save(pictures / "setup-run.png")


def test_compare_tells_what_batch_norm_does(shown: Shown, page: Page, pictures: Path) -> None:
    visit(page, shown.page("setup").replace("&compareRunsMode=CHART", ""), "mlp_bn · digits")
    page.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length >= 2")
    for row in (0, 1):
        page.click(f'.ag-row[row-index="{row}"] .ag-checkbox-input')
    page.click('[data-testid="runs-compare-button"]')
    page.wait_for("found: good within 2 points", "minus digits mlp:", "(this one)")
    page.save(pictures / "compare.png")
    page.run(
        "[...document.querySelectorAll('th,td,div')].find(e => e.children.length === 0 && "
        "e.innerText?.startsWith('found: good')).scrollIntoView({block: 'center'})"
    )
    page.save(pictures / "compare-found.png")


def test_trials_in_parallel_coordinates(shown: Shown, page: Page, pictures: Path) -> None:
    visit(page, shown.page("trial"), "Parallel Coordinates", "val_curve")
    page.wait("document.querySelectorAll('.parcoords canvas').length > 0")
    axes = page.wait(
        "(() => { const t = [...document.querySelectorAll('.parcoords .label')]"
        ".map(e => e.textContent); return t.length >= 4 && t })()"
    )
    page.save(pictures / "trials.png")
    assert any(text.startswith("learning") for text in axes)
    assert any(text.startswith("momentum") for text in axes)


def test_report_figures_and_trials_open_from_the_artifacts(
    shown: Shown, page: Page, pictures: Path
) -> None:
    report = "report and comparisons"
    visit(page, shown.artifact("comparison", report, "report.html"), "report.html")
    page.wait("!!document.querySelector('.mlflow-artifact-html-view iframe')")
    time.sleep(5)  # nobody may look into its sandbox
    page.save(pictures / "report.png")
    (first, *_) = sorted(shown.folder.glob("outputs/*/*/figures/*.png"))
    visit(page, shown.artifact("comparison", report, f"figures/{first.name}"), first.name)
    page.wait("[...document.images].some(e => e.naturalWidth > 300)")
    page.save(pictures / "figure.png")
    visit(page, shown.artifact("arm", ARMS[0], "trials.json"), "trials.json", "val_accuracy")
    page.save(pictures / "trials-table.png")


def test_five_thousand_trials(
    browser: Chromium, page: Page, pictures: Path, tmp_path: Path
) -> None:
    asked = ("+experiment=quickstart", "matrix.strategy=[random,log_random]", "budget.epochs=65")
    run(tmp_path, "-c", MANY, *asked, "repeats=10", "budget.trials=125")
    with serving(tmp_path, "quickstart") as shown:
        took = {}
        for kind, drawn in (
            ("setup", f"{CARD} .barlayer .bars .point"),
            ("arm", f"{CARD} .js-line"),
            ("trial", ".parcoords canvas"),
        ):
            start = time.monotonic()
            visit(page, shown.page(kind), "matching runs")
            page.wait(f"document.querySelectorAll('{drawn}').length > 0")
            page.wait(f"document.querySelectorAll('{CARD} .barlayer .bars .point').length > 0")
            took[kind] = time.monotonic() - start
            page.save(pictures / f"many-{kind}.png")
        start = time.monotonic()
        arm = next(name for kind, name in shown.runs if kind == "arm")
        visit(page, shown.artifact("arm", arm, "trials.json"), "val_accuracy")
        took["table"] = time.monotonic() - start
        page.save(pictures / "many-table.png")
    print(", ".join(f"{name}: {seconds:.1f} s" for name, seconds in took.items()))
    assert max(took.values()) < 60
