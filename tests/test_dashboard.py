"""optuna-dashboard, the real one, on a record of ours."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpsuite.tracking import ui
from tests.browser import chromium, find_chromium
from tests.commands import Command

SMALL = ("repeats=2", "budget.trials=4", "budget.epochs=1", "tracking=none")


@contextmanager
def dashboard(record: Path) -> Iterator[str]:
    """As `optuna-dashboard hpsuite.journal` starts it; yields its address."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        pytest.skip("needs optuna-dashboard (pip install optuna-dashboard)")
    port = ui.find_port(None)
    command = Path(sys.executable).with_name("optuna-dashboard")
    log = record.with_name("dashboard.log")
    with log.open("w") as out:
        process = subprocess.Popen(
            [command, "--host=127.0.0.1", f"--port={port}", record],
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    place = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"{place}/api/studies", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield place
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(place: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{place}/api/{path}", timeout=30) as answer:
        return dict(json.load(answer))


@pytest.fixture
def record(command: Command, tmp_path: Path) -> Path:
    ended = command("+experiment=quickstart", "model=mlp_bn", "matrix.strategy=[qmc]", *SMALL)
    assert ended.status == 0, ended.err
    return tmp_path / "here" / "hpsuite.journal"


@pytest.mark.slow
def test_its_api_lists_the_studies_by_readable_names(record: Path) -> None:
    before = record.read_bytes()
    with dashboard(record) as place:
        studies = asked(place, "studies")["study_summaries"]
        names = sorted(study["study_name"] for study in studies)
        assert len(names) == 2
        assert all(name.startswith("digits mlp_bn qmc") for name in names)
        detail = asked(place, f"studies/{studies[0]['study_id']}?after=0")
        assert len(detail["trials"]) == 4
        assert {trial["state"] for trial in detail["trials"]} == {"Complete"}
        # As they are searched: the momentum by its distance from 1.
        tried = {param["name"] for param in detail["trials"][0]["params"]}
        assert tried == {"learning_rate", "one_minus_momentum"}
    assert record.read_bytes() == before


@pytest.mark.browser
@pytest.mark.slow
def test_a_studys_page_opens(record: Path, tmp_path: Path) -> None:
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium; or HPSUITE_CHROMIUM)")
    pictures = Path(os.environ.get("HPSUITE_SCREENSHOTS") or tmp_path)
    with dashboard(record) as place, chromium(path, tmp_path / "chromium") as browser:
        page = browser.page()
        page.open(f"{place}/dashboard/")
        page.wait_for("digits mlp_bn qmc")
        page.save(pictures / "dashboard.png")
        study = asked(place, "studies")["study_summaries"][0]["study_id"]
        page.open(f"{place}/dashboard/studies/{study}")
        page.wait_for("History")
        page.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer .point').length >= 4")
        page.save(pictures / "dashboard-study.png")
