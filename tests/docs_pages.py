"""The pages of the documentation, taken apart: code blocks, commands, links, anchors."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "results/**/*.md", "benchmarks/README.md")
    for path in REPOSITORY.glob(pattern)
)
NAMES = [str(path.relative_to(REPOSITORY)) for path in PAGES]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"(?<!\\)\[(?:\\.|[^\]\\])*\]\(([^)\s]+)\)")
_PYTHON = ("python", ".venv/bin/python")


@dataclass(frozen=True)
class Block:
    """A block of code: its language, which may be empty, and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line as a page has it, without what the shell does.

    Attributes:
        page: by its path in the checkout.
        words: after shlex.
        refusal: the line with which it is to be refused; empty for one that is to be accepted.
    """

    page: str
    words: tuple[str, ...]
    refusal: str = ""

    @property
    def text(self) -> str:
        return shlex.join(self.words)

    @property
    def of_hpsuite(self) -> tuple[str, ...] | None:
        """Its arguments, if it is one of hpsuite's."""
        if self.words[0] in _PYTHON and self.words[1:3] == ("-m", "hpsuite"):
            return self.words[3:]
        return self.words[1:] if self.words[0] == "hpsuite" else None

    @property
    def of_make(self) -> tuple[str, ...] | None:
        """Its arguments, if it is one of make's."""
        return self.words[1:] if self.words[0] == "make" else None

    @property
    def of_benchmarks(self) -> tuple[str, ...] | None:
        """The module's name and its arguments, if it is a benchmark."""
        if self.words[0] not in _PYTHON:
            return None
        if self.words[1] == "-m" and self.words[2].startswith("benchmarks."):
            return (self.words[2].removeprefix("benchmarks."), *self.words[3:])
        if self.words[1].startswith("benchmarks/"):
            return (Path(self.words[1]).stem, *self.words[2:])
        return None


def blocks(page: str) -> list[Block]:
    """The code blocks of a page, those within lists without their indentation."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [
        Block(language, "\n".join(line.removeprefix(indent) for line in body.splitlines()))
        for indent, language, body in _FENCE.findall(text)
    ]


def prose(page: str) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))


def files(page: str) -> dict[str, str]:
    """The files of a page: blocks that begin with the name of one, or follow it."""
    named = re.compile(r"# ([\w/]+\.(?:py|yaml))\n")
    own = {found[1]: b.text for b in blocks(page) if (found := named.match(b.text))}
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    after = r"^In `([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```$"
    return own | dict(re.findall(after, text, flags=re.MULTILINE | re.DOTALL))


def commands(page: str) -> list[Command]:
    """All commands of a page that it means as they stand, in blocks and in prose."""
    found = []
    for block in blocks(page):
        lines = block.text.replace("\\\n", " ").splitlines()
        for i, line in enumerate(lines):
            if block.language == "sh":
                found.append(_parsed(page, line))
            elif not block.language and line.startswith("$ "):
                answer = lines[i + 1] if i + 1 < len(lines) else ""
                refused = answer if answer.startswith("hpsuite: ") else ""
                found.append(_parsed(page, line.removeprefix("$ "), refused))
    for text in _CODE.findall(prose(page)):
        line = " ".join(text.split())
        begins = re.match(
            r"(hpsuite [+-]|make [a-z-]+\b|(\.venv/bin/)?python (-m |benchmarks/))", line
        )
        # What stands for something else is no command yet; `python -m hpsuite` is a name.
        named = line == "python -m hpsuite"
        if begins and not named and not re.search(r"<|\.\.\.|\bNAME\b|\bTARGET\b|\bX\b", line):
            found.append(_parsed(page, line))
    return [command for command in found if command is not None]


def _parsed(page: str, line: str, refusal: str = "") -> Command | None:
    words = shlex.split(line.replace("$HOME", "/home/me"), comments=True)
    if "|" in words:
        words = words[: words.index("|")]
    return Command(page, tuple(words), refusal) if words else None


def links(page: str) -> list[str]:
    """Targets of all links and pictures of a page, but for those on the web."""
    found = _LINK.findall(_CODE.sub("", prose(page)))
    return [target for target in found if not re.match(r"https?:|mailto:", target)]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("\\", ""))
        slug = re.sub(r"[^\w\- ]", "", bare.lower()).strip().replace(" ", "-")
        n = 1
        while slug in found:
            slug, n = f"{slug.removesuffix(f'-{n - 1}')}-{n}", n + 1
        found.add(slug)
    return found


def intervals(text: str) -> Iterator[tuple[float, float]]:
    """All pairs of numbers in brackets, `[-.3, +1,000]`."""
    number = r"([+-]?(?:\d{1,3}(?:,\d{3})+|\d*\.?\d+))"
    for low, high in re.findall(rf"\\?\[{number}, {number}\\?\]", text):
        yield float(low.replace(",", "")), float(high.replace(",", ""))
