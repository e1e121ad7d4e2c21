"""Two reports, written once: a likely one, and one whose every word is hostile."""

from pathlib import Path

import pytest

from hpsuite.report.writing import write_report
from tests.report.example import example_report
from tests.report.stress import hostile


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a likely report."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, example_report())
    return folder


@pytest.fixture(scope="session")
def hostile_written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a hostile report."""
    folder = tmp_path_factory.mktemp("hostile")
    write_report(folder, hostile(example_report()))
    return folder
