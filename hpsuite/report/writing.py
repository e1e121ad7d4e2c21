"""Writing a report: report.html, report.md and figures/*.png."""

from pathlib import Path

from hpsuite.report.markdown import FIGURES, render_markdown
from hpsuite.report.page import render_page
from hpsuite.report.pictures import draw_png
from hpsuite.report.view import Report


def write_report(folder: Path, report: Report) -> None:
    """Write a report into a folder that is there, and that nobody reads yet.

    Args:
        folder: a scratch folder, renamed by the caller when all is written.
        report: what it says.
    """
    pictures = {picture.name: draw_png(picture.data) for picture in report.pictures()}
    if pictures:
        figures = folder / FIGURES
        figures.mkdir()
        for name, png in pictures.items():
            (figures / f"{name}.png").write_bytes(png)
    (folder / "report.html").write_text(render_page(report, pictures), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(report), encoding="utf-8")
