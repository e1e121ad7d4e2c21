"""Python on the pages compiles; what stands by itself runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs_pages import NAMES, REPOSITORY, blocks, files

CODE = [(page, b.text) for page in NAMES for b in blocks(page) if b.language == "python"]
# Those of docs/samplers.md are run by tests/strategies/test_samplers_page.py.
WHOLE = [
    (page, text)
    for page, text in CODE
    if text not in files(page).values() and page != "docs/samplers.md"
]


def test_there_is_code() -> None:
    assert len(CODE) > 8
    assert {page for page, _ in WHOLE} >= {"README.md", "docs/how-to/model.md"}


@pytest.mark.parametrize(("page", "text"), CODE, ids=[page for page, _ in CODE])
def test_code_compiles(page: str, text: str) -> None:
    compile(text, page, "exec")


@pytest.mark.slow
@pytest.mark.parametrize(("page", "text"), WHOLE, ids=[page for page, _ in WHOLE])
def test_code_runs(page: str, text: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    # A class of a script is found by the processes that train it where the script is guarded.
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
