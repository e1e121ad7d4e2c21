"""The report as one HTML file that opens offline: verdicts, pictures and tables, conditions.

It fetches nothing; its own policy forbids it. Without JavaScript it shows still pictures.
"""

import math
import re
from collections.abc import Mapping
from importlib import resources

from hpsuite.report import markup
from hpsuite.report.figures import browser
from hpsuite.report.markup import element, prose, text
from hpsuite.report.pictures import interactive, note_of
from hpsuite.report.view import (
    SIGNS,
    Cell,
    Column,
    Note,
    Picture,
    Report,
    Section,
    Table,
    Verdict,
)

# Shown under what is wider than the page.
MORE = element("p", "Scroll sideways for the rest \u2192", class_="more", aria_hidden="true")
VERDICTS, CONDITIONS, REPEAT = "Verdicts", "Conditions", "Repeat it"


def render_page(report: Report, pictures: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        report: what it says.
        pictures: the PNG of each picture, by name.
    """
    scripts = [_own("page.js")]
    live = {picture.name: interactive(picture.data) for picture in report.pictures()}
    specs = [markup.data_script(f"spec-{name}", figure.to_json()) for name, figure in live.items()]
    least = {name: figure.layout.meta["least_width"] for name, figure in live.items()}
    figures = {
        picture.name: _figure(picture, pictures[picture.name], least[picture.name])
        for picture in report.pictures()
    }
    if live:
        scripts.insert(0, browser.library())
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{text(markup.policy(scripts))}">',
        element("title", text(f"{report.experiment}: {report.title}")),
        element("style", _own("page.css")),
    ]
    body = [
        element("a", "Skip to the verdicts", href="#verdicts", class_="skip"),
        _header(report),
        _contents(report),
        element("main", [_verdicts(report), *_sections(report, figures), _conditions(report)]),
        element("footer", element("p", f"Written by hpsuite on {text(report.created)}.")),
        *specs,
        *(markup.script(source) for source in scripts),
    ]
    page = element("html", [element("head", head), element("body", body)], lang="en")
    return f"<!doctype html>\n{page}\n"


def _own(name: str) -> str:
    return (resources.files("hpsuite.report") / name).read_text(encoding="utf-8")


def _header(report: Report) -> str:
    told = [report.created, report.device, f"commit {report.commit}", f"took {report.took}"]
    return element(
        "header",
        [
            element("p", text(report.experiment), class_="kicker"),
            element("h1", text(report.title)),
            *(element("p", prose(warning), class_="remark") for warning in report.warnings),
            *(element("p", prose(answer), class_="answer") for answer in report.answers),
            element("p", text(" · ".join(told)), class_="meta"),
        ],
    )


def _places(report: Report) -> list[str]:
    """A place for each section, different from all others."""
    taken = [markup.identifier(name) for name in (VERDICTS, CONDITIONS, REPEAT)]
    for section in report.sections:
        base = name = markup.identifier(section.heading)
        n = 1
        while name in taken:
            n += 1
            name = f"{base}-{n}"
        taken.append(name)
    return taken[3:]


def _contents(report: Report) -> str:
    named = [(VERDICTS, markup.identifier(VERDICTS))] if report.verdicts else []
    headings = (section.heading for section in report.sections)
    named += zip(headings, _places(report), strict=True)
    named += [(name, markup.identifier(name)) for name in (CONDITIONS, REPEAT)]
    links = (element("li", element("a", text(h), href=f"#{place}")) for h, place in named)
    return element("nav", element("ul", links), aria_label="Contents")


def _verdicts(report: Report) -> str:
    cards = element("div", [_card(verdict) for verdict in report.verdicts], class_="cards")
    heading = element("h2", VERDICTS)
    if not report.verdicts:
        return element("div", "", id="verdicts")
    return element("section", [heading, cards], id="verdicts")


def _card(verdict: Verdict) -> str:
    sign = element("span", SIGNS[verdict.word], aria_hidden="true")
    declared = "declared before the run" if verdict.declared else "not declared before the run"
    facts = verdict.found
    # The first thing on a card after its claim is the figure that decides it.
    measured = text(f": {facts.pop('measured')}")
    del facts["found"]
    if verdict.estimate.has_interval:
        measured += text(f" ({100 * verdict.level:g}% interval)")
    parts = [
        element("p", sign + text(verdict.word), class_="word"),
        element("span", declared, class_="declared"),
        element("h3", text(verdict.claim)),
        element("p", [element("strong", text(verdict.interval)), measured], class_="found"),
        markup.interval_picture(verdict),
        element("p", prose(verdict.sentence)),
        markup.facts(facts, kind=None),
    ]
    if verdict.cells:
        label = element("summary", f"All cells ({len(verdict.cells)})")
        parts.append(element("details", [label, _cells(verdict)]))
    if verdict.exceptions:
        items = (element("li", text(f"{c.cell}: {c.found}")) for c in verdict.exceptions)
        label = element("summary", f"Exceptions ({len(verdict.exceptions)})")
        parts.append(element("details", [label, element("ul", items)], open="open"))
    if verdict.conditions:
        label = element("summary", "Holds under these conditions")
        parts.append(element("details", [label, markup.facts(verdict.conditions)]))
    return element("article", parts, class_=f"card {markup.identifier(verdict.word)}")


def _cells(verdict: Verdict) -> str:
    rows = []
    for cell in verdict.cells:
        name = text(cell.cell)
        said = f"{text(cell.found)}, n = {cell.n:,}: {SIGNS[cell.word]} {text(cell.word)}"
        rows.append(element("dt", element("strong", name) if cell.primary else name))
        rows.append(element("dd", said))
    return element("dl", rows, class_="cells")


def _sections(report: Report, figures: Mapping[str, str]) -> list[str]:
    return [
        _section(section, place, figures)
        for section, place in zip(report.sections, _places(report), strict=True)
    ]


def _section(section: Section, place: str, figures: Mapping[str, str]) -> str:
    parts = [element("h2", text(section.heading))]
    parts += [element("p", prose(words), class_="prose") for words in section.prose]
    for block in section.blocks:
        if isinstance(block, Picture):
            parts.append(figures[block.name])
        elif isinstance(block, Table):
            parts.append(_table(block))
        else:
            assert isinstance(block, Note)
            parts.append(element("p", prose(block.text), class_="remark"))
    return element("section", parts, id=place)


def _figure(picture: Picture, png: bytes, least_width: int) -> str:
    # A still picture has its title and its note in itself.
    caption = [element("h3", text(picture.data.title), class_="said-in-still")]
    if said := " ".join(part for part in (picture.caption, picture.by_hand) if part):
        caption.append(element("p", prose(said), class_="caption"))
    still = f'<img src="{markup.png_address(png)}" alt="{text(picture.alt)}">'
    plot = element(
        "div",
        still,
        class_="plot",
        role="img",
        aria_label=picture.alt,
        data_name=picture.name,
        data_least=least_width,
    )
    note = note_of(picture.data)
    below = element("p", text(note), class_="note said-in-still") if note else ""
    return element(
        "figure", [element("figcaption", caption), plot, MORE, below], id=f"figure-{picture.name}"
    )


def _table(table: Table) -> str:
    heads = (
        element(
            "th",
            element("button", text(column.label), type="button"),
            scope="col",
            aria_sort="none",
            class_="number" if column.numeric else None,
        )
        for column in table.columns
    )
    rows = (
        element("tr", [_cell(c, k) for c, k in zip(row, table.columns, strict=True)])
        for row in table.rows
    )
    inner = element("thead", element("tr", heads)) + element("tbody", rows)
    scroll = element(
        "div",
        element("table", inner),
        class_="scroll",
        role="region",
        aria_label=table.title,
        tabindex="0",
    )
    parts = [element("h3", text(table.title)), scroll, MORE]
    if table.note:
        parts.append(element("p", prose(table.note), class_="note"))
    return element("div", parts, class_="table")


def _cell(cell: Cell, column: Column) -> str:
    value = cell.value
    return element(
        "td",
        text(_tied(cell.text) if column.numeric else cell.text),
        class_="number" if column.numeric else None,
        data_value=None if value is None else "NaN" if math.isnan(value) else repr(float(value)),
    )


def _tied(words: str) -> str:
    """Figures that break between an estimate and its interval, and nowhere else."""
    return re.sub(r"\[[^\]]*\]|\d x \d", lambda found: found[0].replace(" ", "\u00a0"), words)


def _conditions(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    made = {
        "device": report.device,
        "commit": report.commit,
        "versions": versions,
        "written": report.created,
        "took": report.took,
    }
    command = element("pre", element("code", text(report.command), id="command"), tabindex="0")
    copy = element("button", "Copy", type="button", class_="copy", data_of="command", hidden="")
    said = "The same command goes on where the record stops, and trains nothing that is complete."
    return element(
        "section",
        [element("h2", CONDITIONS), markup.facts({**report.conditions, **made})],
        id=markup.identifier(CONDITIONS),
    ) + element(
        "section",
        [element("h2", REPEAT), command, copy, element("p", said, class_="note")],
        id=markup.identifier(REPEAT),
    )
