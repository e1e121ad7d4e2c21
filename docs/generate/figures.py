"""docs/reference/figures.md: every figure of summary.json.

What a figure is comes from the docstring of the field that holds it, and the sources are those that
its module names; figures.yaml has besides its unit and how its interval is found.
"""

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from docs.generate.schema import attributes
from docs.generate.tables import table
from hpsuite.report import flat, flat_strategies


@dataclass(frozen=True)
class Figure:
    """A figure, or several of one form.

    Attributes:
        names: as in summary.json, several with a space between; `{...}` stands for any text.
        unit: with its range; empty for a text.
        field: `module:Class.field` within hpsuite, whose docstring says what it is; or words.
        interval: how `_low` and `_high` are found; empty where there are none.
        modules: of its formula, where that is not the field's.
    """

    names: str
    unit: str
    field: str
    interval: str = ""
    modules: str = ""


def _read() -> tuple[str, dict[str, tuple[str, tuple[Figure, ...]]]]:
    """The page's first words; by key of summary.json what its entries are, and their figures."""
    read = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    sections = {}
    for name, section in read["sections"].items():
        figures = (
            Figure(f["names"], f.get("unit", ""), f["is"], f.get("interval", ""), f.get("of", ""))
            for f in section["figures"]
        )
        sections[name] = section["what"], tuple(figures)
    return read["head"].strip(), sections


HEAD, SECTIONS = _read()


def page() -> str:
    """The page."""
    parts = [HEAD]
    for name, (what, figures) in SECTIONS.items():
        parts.append(f"## {name}\n\n{what}")
        parts.append(
            table(["name", "unit, range", "what it is", "interval", "source"], map(_row, figures))
        )
    return "\n\n".join(parts) + "\n"


def _row(figure: Figure) -> list[str]:
    names = ", ".join(f"`{name}`" for name in figure.names.split())
    module, colon, field = figure.field.partition(":")
    words, homes = figure.field, figure.modules.split()
    if colon and " " not in module:
        of, _, name = field.partition(".")
        found = pkgutil.resolve_name(f"hpsuite.{module}:{of}")
        words = attributes(found)[name]
        homes = homes or [found.__module__.removeprefix("hpsuite.")]
    source = "; ".join(_source(home) for home in homes)
    return [names, figure.unit, words, figure.interval, source]


def _source(home: str) -> str:
    """A module, and the papers that its docstrings name."""
    if not home.startswith("analysis."):
        return f"`{home}`"
    home = f"hpsuite.{home}"
    text = Path(inspect.getfile(pkgutil.resolve_name(home))).read_text(encoding="utf-8")
    docstrings = " ".join(filter(None, map(ast.get_docstring, _documented(ast.parse(text)))))
    who = r"(?:[A-Z][a-z]+, )*[A-Z][a-z]+(?:-[A-Z][a-z]+)?(?: and [A-Z][\w-]+| et al\.)"
    named = rf"({who})(?:'s)? \(?(\d{{4}})"
    papers = dict.fromkeys(
        f"{who} {year}" for who, year in re.findall(named, " ".join(docstrings.split()))
    )
    return f"`{home.removeprefix('hpsuite.')}`" + (f" ({', '.join(papers)})" if papers else "")


def _documented(tree: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef]:
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node


def names_in_code() -> set[str]:
    """All names that the code writes into a summary, `*` for what it puts in."""
    found: set[str] = set()
    for module in (flat, flat_strategies):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ends":
                found.add(_text(node.args[0]))
            elif isinstance(node, ast.Dict):
                found.update(_text(key) for key in node.keys if key is not None)
            elif isinstance(node, ast.Subscript):
                found.add(_text(node.slice))
    return found - {"", "*"}


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(p.value if isinstance(p, ast.Constant) else "*" for p in node.values)  # type: ignore[misc]
    return ""


def explained(name: str, section: str) -> bool:
    """Whether a name of one section's entries stands on the page."""
    figures = [
        f for key, (_, found) in SECTIONS.items() if key.split(",")[0] == section for f in found
    ]
    bare = re.sub(r"_(low|high)$", "", name)
    for pattern in (p for figure in figures for p in figure.names.split()):
        if any(re.fullmatch(re.sub(r"\{\w+\}", ".+", pattern), each) for each in (name, bare)):
            return True
    return False
