"""report.md: what GitHub makes of it, with its pictures beside it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hpsuite.report.markdown import escape, fenced, prose, render_markdown, table
from hpsuite.report.page import render_page
from hpsuite.report.view import Judged
from tests.report.example import example_report
from tests.report.stress import HOSTILE


def parsed(source: str) -> list[Token]:
    """Tokens, those within lines too."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    return [inner for token in tokens for inner in (token, *(token.children or []))]


def words(source: str) -> str:
    return "".join(t.content for t in parsed(source) if t.type in {"text", "code_inline"})


def test_it_has_the_verdicts_first_and_the_command_last(written: Path) -> None:
    source = (written / "report.md").read_text(encoding="utf-8")
    report = example_report()
    headings = re.findall(r"^## (.*)$", source, re.MULTILINE)
    sections = [section.heading for section in report.sections]
    assert headings == ["Verdicts", *sections, "Conditions", "Repeat it"]
    blocks = [token.content for token in parsed(source) if token.type == "fence"]
    assert blocks == [report.command + "\n"]
    said = words(source)
    for verdict in report.verdicts:
        assert verdict.claim in said
        assert verdict.interval in said


def test_cells_of_a_claim_and_what_all_hold_under() -> None:
    report = example_report()
    first, second, *_ = report.verdicts
    cells = (
        Judged("depth 3", "supported", "+13.0 [+7.1, +19.2] points", 256, primary=True),
        Judged("depth *5*", "contradicted", "-11.0 [-16.0, -6.5] points", 1024),
    )
    first = replace(first, cells=cells, conditions={**first.conditions, "e": "2"})
    source = render_markdown(replace(report, verdicts=(first, second)))
    verdicts = source.partition("## Verdicts")[2].partition("\n## ")[0]
    of_first, _, rest = verdicts.partition("### = ")
    cells_of = [t.content for t in parsed(of_first) if t.type == "inline"][-8:]
    assert cells_of[:4] == ["**depth 3**", r"\+13.0 \[+7.1, +19.2\] points", "256", "✓ supported"]
    assert cells_of[4:] == [
        r"depth \*5\*",
        r"\-11.0 \[-16.0, -6.5\] points",
        "1,024",
        "✗ contradicted",
    ]
    # Once, after all of them; what is the first one's alone stands with it.
    assert "- e: 2" in of_first
    assert "- budget: " not in of_first + rest.partition("All of them under:")[0]
    assert rest.partition("All of them under:")[2].count("- budget: ") == 1
    page = render_page(
        replace(report, verdicts=(first, second)), {p.name: b"" for p in report.pictures()}
    )
    assert "All cells (2)" in page
    assert "<strong>depth 3</strong>" in page


def test_every_picture_is_there_and_has_words(written: Path) -> None:
    tokens = parsed((written / "report.md").read_text(encoding="utf-8"))
    shown = [token for token in tokens if token.type == "image"]
    expected = list(example_report().pictures())
    assert [token.attrs["src"] for token in shown] == [f"figures/{p.name}.png" for p in expected]
    assert [token.content for token in shown] == [p.alt for p in expected]
    for token in shown:
        png = (written / str(token.attrs["src"])).read_bytes()
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(list((written / "figures").iterdir())) == len(expected)


def test_tables_have_all_their_cells(written: Path) -> None:
    tokens = parsed((written / "report.md").read_text(encoding="utf-8"))
    # Of setups, and of the cells of a claim.
    assert sum(token.type == "table_open" for token in tokens) == 2
    assert sum(token.type == "th_open" for token in tokens) == 6 + 4
    assert sum(token.type == "td_open" for token in tokens) == 4 * 6 + 2 * 4


def test_hostile_words_stay_words(written: Path, hostile_written: Path) -> None:
    plain = parsed((written / "report.md").read_text(encoding="utf-8"))
    found = parsed((hostile_written / "report.md").read_text(encoding="utf-8"))
    quiet = {"text", "softbreak", "code_inline"}
    assert [t.type for t in found if t.type not in quiet] == [
        t.type for t in plain if t.type not in quiet
    ]


@pytest.mark.parametrize(
    "said",
    [
        HOSTILE,
        "a|b",
        "# no heading",
        "- no item",
        "1. no item",
        "+ no item",
        "learning_rate and _emphasis_ and __more__",
        "*a* **b** ~~c~~ `d` [e](f) ![g](h) <i> &amp; $x$ \\",
        "> no quotation",
        "a\nb",
        "--- a",
        "https://example.org",
    ],
)
def test_escaped_words_come_back(said: str) -> None:
    tokens = [t.type for t in parsed(escape(said))]
    assert set(tokens) <= {"paragraph_open", "inline", "text", "text_special", "paragraph_close"}
    assert words(escape(said)) == " ".join(said.split())
    rows = parsed(table([("a", False), ("b", True)], [[escape(said), "1"]]))
    assert sum(token.type == "td_open" for token in rows) == 2


def test_names_stay_readable_in_the_source() -> None:
    assert escape("learning_rate of digits mlp_bn") == "learning_rate of digits mlp_bn"


def test_code_in_prose_and_in_blocks() -> None:
    assert prose("run `make test | tee`, twice") == "run `make test | tee`, twice"
    assert prose("a ` b") == "a \\` b"
    assert [t.content for t in parsed(fenced("echo '```'")) if t.type == "fence"] == [
        "echo '```'\n"
    ]
