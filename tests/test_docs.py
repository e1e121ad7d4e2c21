"""The pages: links lead somewhere, generated parts are current, figures are those of results/."""

import functools
import json
import re
from pathlib import Path

import pytest

from docs.generate import __main__ as generator
from docs.generate import figures
from docs.generate.configuration import options
from tests.docs_pages import NAMES, REPOSITORY, anchors, files, intervals, links, prose

HAND_WRITTEN = [
    name
    for name in NAMES
    if name in ("README.md", "docs/tutorial.md") or name.startswith("docs/claims/")
]


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    here = REPOSITORY / page
    for target in links(page):
        file, _, anchor = target.partition("#")
        path = (here.parent / file).resolve() if file else here
        assert path.is_relative_to(REPOSITORY), target
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}: {sorted(anchors(path))}"


def test_the_index_has_all_pages() -> None:
    listed = {
        (REPOSITORY / "docs" / target.partition("#")[0]).resolve()
        for target in links("docs/README.md")
    }
    pages = {REPOSITORY / name for name in NAMES if name.startswith("docs/")}
    # Overviews of their own list these.
    below = {page for page in pages if page.parent.name in ("claims", "faults")}
    assert pages - below - {REPOSITORY / "docs" / "README.md"} <= listed


def test_generated_parts_are_current() -> None:
    old = [
        str(page.relative_to(REPOSITORY))
        for page, text in generator.pages().items()
        if not page.exists() or page.read_text(encoding="utf-8") != text
    ]
    assert not old, "run: python -m docs.generate"


def test_the_reference_has_every_option() -> None:
    text = (REPOSITORY / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    for group in ("dataset", "model", "optimizer", "strategy", "executor", "tracking"):
        for option in options(group):
            assert f"`{group}={option}`" in text
    for space in options("space"):
        assert f"\n### {space}\n" in text
    assert " a value " not in text


def test_the_reference_has_every_figure() -> None:
    sections = {name.partition(",")[0] for name in figures.SECTIONS}
    axes = {"dataset", "model", "strategy", "space", "optimizer", "group"}
    for path in sorted((REPOSITORY / "results").glob("*/summary.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        assert {k for k, v in summary.items() if isinstance(v, list)} <= sections | {
            "studies",
            "left_out",
            "differences",
        }
        for section in sections:
            for name in {name for entry in summary.get(section, []) for name in entry} - axes:
                is_axis = "." in name or name == "split_seed"
                assert is_axis or figures.explained(name, section), f"{section}: {name}"
    # What these did not need, the code has.
    elsewhere = {"tuned_on", "used_on", "setup", "environments", "algorithms", "algorithm", "cell"}
    for name in figures.names_in_code() - elsewhere - {"seeds", "reason"}:
        assert any(figures.explained(name.replace("*", "x"), section) for section in sections), name


@functools.cache
def known_intervals() -> set[tuple[float, float]]:
    """All intervals of results/, and of what is generated from them."""
    sources = [path.read_text(encoding="utf-8") for path in REPOSITORY.glob("results/**/*.md")]
    sources += [generator.claims.found(name) for name in generator.claims.EXPERIMENTS]
    return {pair for text in sources for pair in intervals(text)}


@pytest.mark.parametrize("page", HAND_WRITTEN)
def test_intervals_are_those_of_results(page: str) -> None:
    """What is told of a result has an interval that stands in results/, or was generated."""
    text = re.sub(r"<!-- generated.*?<!-- end -->", "", prose(page), flags=re.DOTALL)
    told = {pair for pair in intervals(text) if f"in [{pair[0]:g}, {pair[1]:g}]" not in text}
    # Ranges of hyperparameters are no intervals.
    ranges = {(-4, 0), (0.001, 1), (0.0001, 1), (0.0001, 10), (0.9, 0.999)}
    assert told - ranges <= known_intervals()


def test_the_readme_tells_the_quickstart_as_it_was() -> None:
    summary = json.loads((REPOSITORY / "results/quickstart/summary.json").read_text("utf-8"))
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for arm in summary["arms"]:
        line = rf"{arm['dataset']} +{arm['model']} +{arm['strategy']} +8 x 16 +"
        best, test = (
            rf"{100 * arm[f]:.1f}% \[{100 * arm[f'{f}_low']:.1f}, {100 * arm[f'{f}_high']:.1f}\]"
            for f in ("best_val_accuracy", "test_accuracy")
        )
        assert re.search(rf"{line}{best} +{test}", text), arm["strategy"]


@pytest.mark.parametrize("page", ["docs/how-to/dataset.md", "docs/how-to/model.md"])
def test_pages_hold_their_files(page: str) -> None:
    assert any(Path(name).suffix == ".yaml" for name in files(page))
    assert any(Path(name).suffix == ".py" for name in files(page))
