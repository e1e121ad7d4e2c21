"""report.html: well formed, offline, readable without its scripts, and safe."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hpsuite.report.markup import data_script, element, identifier, prose, text
from hpsuite.report.page import render_page
from hpsuite.report.view import SIGNS, Cell, Column, Picture, Section, Table
from hpsuite.report.writing import write_report
from tests.report import pictures
from tests.report.example import example_report

EMPTY = {"meta", "img", "br", "link", "input", "hr", "line", "rect", "circle", "path"}


class Page(HTMLParser):
    """A page, taken apart: elements in order, with attributes and text; well formed or an error."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), attrs
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self) -> str:
        return " ".join(words for tag, words in self.texts if tag not in {"script", "style"})


@pytest.fixture(scope="module")
def source(written: Path) -> str:
    return (written / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_verdicts_come_first_and_conditions_last(page: Page) -> None:
    report = example_report()
    headings = [words for tag, words in page.texts if tag in {"h1", "h2"}]
    middle = [section.heading for section in report.sections]
    assert headings == [report.title, "Verdicts", *middle, "Conditions", "Repeat it"]
    words = page.words()
    order = [report.answers[0], report.verdicts[0].claim, report.sections[0].heading]
    places = [words.rindex(part) for part in order]
    assert places == sorted(places)
    for verdict in report.verdicts:
        assert verdict.claim in words
        assert verdict.sentence in words
        assert SIGNS[verdict.word] in words
        assert verdict.interval in words
        assert all(value in words for value in verdict.conditions.values())
    assert report.command in words
    assert all(f"{name} {version}" in words for name, version in report.versions.items())


def test_it_fetches_nothing(page: Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "data:image/png;base64,")), address
    assert not page.all("link")
    assert not page.all("iframe")
    styles = " ".join(words for tag, words in page.texts if tag == "style")
    assert "@import" not in styles
    assert "url(" not in styles


def test_its_policy_allows_its_own_scripts_and_nothing_else(source: str, page: Page) -> None:
    (policy,) = (
        str(meta["content"])
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:", "blob:"]
    assert rules["base-uri"] == rules["form-action"] == ["'none'"]
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert len(scripts) == 2
    digests = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert set(rules["script-src"]) == {"'unsafe-eval'", *(f"'sha256-{d}'" for d in digests)}
    # plotly's button that sends a picture's data to its company's server is off.
    own = scripts[1]
    assert "showSendToCloud: false" in own
    assert 'plotlyServerURL: ""' in own


def test_every_picture_has_words_for_those_who_cannot_see_it(page: Page) -> None:
    named = {picture.name: picture for picture in example_report().pictures()}
    plots = [a for a in page.all("div") if a.get("class") == "plot"]
    assert [plot["data-name"] for plot in plots] == list(named)
    assert [plot["aria-label"] for plot in plots] == [p.alt for p in named.values()]
    assert [image["alt"] for image in page.all("img")] == [p.alt for p in named.values()]
    assert all(svg["aria-label"] for svg in page.all("svg"))


def test_places_are_distinct_and_links_lead_to_them(page: Page) -> None:
    places = [a["id"] for _, a in page.elements if "id" in a]
    assert len(places) == len(set(places))
    links = [str(a["href"]) for a in page.all("a")]
    assert len(links) >= 8
    assert {link.removeprefix("#") for link in links} <= set(places)


def test_sections_of_one_name_have_places_of_their_own() -> None:
    twice = (Section("Verdicts"), Section("Tuning"), Section("Tuning"), Section("---"))
    report = replace(example_report(), sections=twice)
    places = [a["id"] for a in Page(render_page(report, {})).all("section")]
    assert places == [
        "verdicts",
        "verdicts-2",
        "tuning",
        "tuning-2",
        "section",
        "conditions",
        "repeat-it",
    ]


def test_tables_can_be_sorted_by_what_their_cells_hold(page: Page) -> None:
    (table,) = (
        block
        for section in example_report().sections
        for block in section.blocks
        if isinstance(block, Table)
    )
    heads = page.all("th")
    assert len(heads) == len(table.columns)
    assert all(head["aria-sort"] == "none" and head["scope"] == "col" for head in heads)
    cells = page.all("td")
    assert len(cells) == sum(map(len, table.rows))
    values = [cell.get("data-value") for cell in cells]
    given = [cell.value for row in table.rows for cell in row]
    for value, number in zip(values, given, strict=True):
        assert (value is None) == (number is None)
        assert value is None or str(float(value)) == str(float(number))  # nan as NaN


def test_plots_are_json_beside_the_scripts(source: str, page: Page) -> None:
    specs = re.findall(r'<script type="application/json" id="spec-([^"]+)">(.*?)</script>', source)
    assert [name for name, _ in specs] == [p.name for p in example_report().pictures()]
    for _, spec in specs:
        assert set(json.loads(spec)) >= {"data", "layout"}
        assert not set("<>&\u2028\u2029") & set(spec)


def test_hostile_words_stay_words(hostile_written: Path) -> None:
    source = (hostile_written / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    plain = Page(render_page(example_report(), dict.fromkeys(_names(), b"")))
    # Code is what stands between backquotes, of which the words have two.
    tags = [[tag for tag, _ in found.elements if tag != "code"] for found in (page, plain)]
    assert tags[0] == tags[1]
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
    images = page.all("img")
    assert all(str(image["src"]).startswith("data:") for image in images)
    assert 'document.title="owned"' in page.words()


def _names() -> list[str]:
    return [picture.name for picture in example_report().pictures()]


def test_without_pictures_there_is_no_library(tmp_path: Path) -> None:
    report = replace(example_report(), sections=(), verdicts=(), warnings=(), answers=())
    write_report(tmp_path, report)
    assert (tmp_path / "report.html").stat().st_size < 50_000
    assert not (tmp_path / "figures").exists()
    Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_pieces_of_markup() -> None:
    assert text('<a href="x">&\'') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;"
    assert prose("a `b<` c") == "a <code>b&lt;</code> c"
    assert prose("a ` c") == "a ` c"
    assert element("p", "x", class_="a", data_name='"', hidden=None) == (
        '<p class="a" data-name="&quot;">x</p>'
    )
    assert identifier("What's <this>?") == "what-s-this"
    assert identifier("名") == "section"
    assert html.unescape(data_script("n", json.dumps("</script>&\u2028"))) == (
        '<script type="application/json" id="n">"\\u003c/script\\u003e\\u0026\\u2028"</script>'
    )


def test_a_view_that_cannot_be_written_is_refused() -> None:
    data = pictures.transfer()
    for name in ("", "../x", "A", "a.png"):
        with pytest.raises(AssertionError):
            Picture(name, data, "words")
    with pytest.raises(AssertionError):
        Picture("a", data, " ")
    with pytest.raises(AssertionError):
        Table("t", (Column("a"),), ((Cell("1"), Cell("2")),))
    one = Picture("a", data, "words")
    with pytest.raises(AssertionError):
        replace(example_report(), sections=(Section("x", (), (one, one)),))
