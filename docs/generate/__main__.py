"""`python -m docs.generate`, from the checkout's folder: what of docs/ follows from the code.

It writes docs/reference/ whole, and, in the README and the pages of claims, what stands between
`<!-- generated: NAME -->` and `<!-- end -->`. tests/test_docs.py compares all of it with the files.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from docs.generate import claims, configuration, figures

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """All pages that hold something generated, as they should be."""
    whole = {
        REFERENCE / "config.md": configuration.page(),
        REFERENCE / "figures.md": figures.page(),
    }
    parts = {
        ROOT / "README.md": {"found": claims.told()},
        ROOT / "docs" / "claims.md": {"experiments": claims.experiments()},
    }
    for name in claims.EXPERIMENTS:
        page = ROOT / "docs" / "claims" / f"{name}.md"
        parts[page] = {"declared": claims.declared(name), "found": claims.found(name)}
    return whole | {page: filled(page, by_name) for page, by_name in parts.items()}


def filled(page: Path, parts: Mapping[str, str]) -> str:
    """A page with its generated parts.

    Raises:
        ValueError: a part that the page has no place for, or has it twice.
    """
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin = f"<!-- generated: {name} -->"
        place = re.compile(f"{re.escape(begin)}\n.*?<!-- end -->", flags=re.DOTALL)
        new = f"{begin}\n{part.strip()}\n<!-- end -->"
        text, n = place.subn(lambda _, new=new: new, text)
        if n != 1:
            raise ValueError(
                f"{page}: found {begin} {n} times; accepted: once, with an <!-- end -->"
            )
    return text


def main() -> None:
    """Write what is not as it should be."""
    for page, text in pages().items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
