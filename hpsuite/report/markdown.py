"""The report as Markdown for GitHub, with its pictures beside it in figures/."""

import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from hpsuite.report.view import SIGNS, Note, Picture, Report, Section, Table, Verdict

FIGURES = "figures"


def render_markdown(report: Report) -> str:
    """The page."""
    told = [report.created, report.device, f"commit {report.commit}", f"took {report.took}"]
    blocks = [f"# {escape(report.title)}", escape(" · ".join(told))]
    blocks += [_remark(warning) for warning in report.warnings]
    blocks += [prose(answer) for answer in report.answers]
    if report.verdicts:
        blocks.append("## Verdicts")
        shared = _shared([verdict.conditions for verdict in report.verdicts])
        for verdict in report.verdicts:
            blocks += _verdict(verdict, shared)
        if shared:
            blocks += ["All of them under:", _facts(dict(shared))]
    for section in report.sections:
        blocks += _section(section)
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    made = {
        "device": report.device,
        "commit": report.commit,
        "versions": versions,
        "written": report.created,
        "took": report.took,
    }
    blocks += ["## Conditions", _facts({**report.conditions, **made})]
    blocks += ["## Repeat it", fenced(report.command)]
    return "\n\n".join(blocks) + "\n"


def escape(words: str) -> str:
    """Text that GitHub shows as it is, on one line."""
    line = " ".join(words.split())
    line = re.sub(r"([\\`*\[\]|$~])", r"\\\1", line)
    # Within a word, as in learning_rate, an underscore is only an underscore.
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    line = html.escape(line, quote=False)
    # What would begin a heading, a quotation or a list.
    line = re.sub(r"^([#+=-])", r"\\\1", line)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", line)


def prose(words: str) -> str:
    """Text, with `backquoted` parts as code."""
    parts = words.split("`")
    if len(parts) % 2 == 0:
        return escape(words)
    marked = []
    for i, part in enumerate(parts):
        if i % 2:
            marked.append(f"`{part}`")
            continue
        # Spaces beside code stay.
        left, right = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
        marked.append(left + escape(part) + (right if part.strip() else ""))
    return " ".join("".join(marked).split())


def fenced(code: str) -> str:
    """A block of code, in a fence longer than any that it holds."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{code}\n{fence}"


def table(heads: Iterable[tuple[str, bool]], rows: Iterable[Iterable[str]]) -> str:
    """A table: (heading, whether it holds numbers), and cells that are Markdown already."""
    columns = list(heads)
    lines = [
        [escape(label) or " " for label, _ in columns],
        ["---:" if numeric else "---" for _, numeric in columns],
        *(list(row) for row in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shared(conditions: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """What all verdicts hold under; of a single one nothing, as it stands with it."""
    first, *others = conditions
    if not others:
        return []
    return [pair for pair in first.items() if all(pair in other.items() for other in others)]


def _verdict(verdict: Verdict, shared: Collection[tuple[str, str]]) -> list[str]:
    pairs = verdict.found
    pairs["declared"] = "before the run" if verdict.declared else "not before the run"
    pairs |= {k: v for k, v in verdict.conditions.items() if (k, v) not in shared}
    blocks = [
        f"### {SIGNS[verdict.word]} {verdict.word}: {escape(verdict.claim)}",
        prose(verdict.sentence),
        _facts(pairs),
    ]
    if verdict.cells:
        heads = [("cell", False), ("found", True), ("n", True), ("verdict", False)]
        rows = []
        for cell in verdict.cells:
            name = f"**{escape(cell.cell)}**" if cell.primary else escape(cell.cell)
            word = f"{SIGNS[cell.word]} {cell.word}"
            rows.append([name, escape(cell.found), f"{cell.n:,}", word])
        blocks.append(table(heads, rows))
    return blocks


def _section(section: Section) -> list[str]:
    blocks = [f"## {escape(section.heading)}", *(prose(words) for words in section.prose)]
    for block in section.blocks:
        if isinstance(block, Picture):
            blocks += _picture(block)
        elif isinstance(block, Table):
            blocks += _table(block)
        else:
            assert isinstance(block, Note)
            blocks.append(_remark(block.text))
    return blocks


def _picture(picture: Picture) -> list[str]:
    # Its title and its note stand in the picture itself.
    link = f"![{escape(picture.alt)}]({FIGURES}/{picture.name}.png)"
    return [prose(picture.caption), link] if picture.caption else [link]


def _table(shown: Table) -> list[str]:
    heads = [(column.label, column.numeric) for column in shown.columns]
    rows = [[escape(cell.text) or " " for cell in row] for row in shown.rows]
    said = [prose(shown.note)] if shown.note else []
    return [f"**{escape(shown.title)}**", table(heads, rows), *said]


def _facts(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"- {escape(name)}: {prose(value)}" for name, value in pairs.items())


def _remark(words: str) -> str:
    return f"> {prose(words)}"
