"""report.html in a real browser: it draws every picture, sorts tables, and fetches nothing."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.report.example import example_report

pytestmark = pytest.mark.slow

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",  # parallel coordinates need WebGL
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=30000",
)
# What the browser asks for on its own account, whatever the page.
OWN_HOSTS = ("google.com", "googleapis.com", "gstatic.com", "gvt1.com")


class Visit(NamedTuple):
    """What a page became, what it said on the console, and which hosts were asked for anything."""

    dom: str
    console: list[str]
    hosts: set[str]


@pytest.fixture
def visit(tmp_path: Path):
    """Opens a page."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")

    def opened(page: Path, width: int = 1280) -> Visit:
        log = tmp_path / "net.json"
        given = (
            f"--window-size={width},1000",
            f"--user-data-dir={tmp_path / 'browser'}",
            f"--log-net-log={log}",
            "--dump-dom",
        )
        done = subprocess.run(
            [CHROMIUM, *OPTIONS, *given, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        console = [
            line.partition(":CONSOLE:")[2]
            for line in done.stderr.splitlines()
            if ":CONSOLE:" in line and "GL Driver Message" not in line
        ]
        asked = re.findall(r'"url":"((?:https?|wss?)://[^"]*)"', log.read_text(encoding="utf-8"))
        hosts = {str(urlsplit(address).hostname) for address in asked}
        return Visit(done.stdout, console, {h for h in hosts if not h.endswith(OWN_HOSTS)})

    return opened


class Elements(HTMLParser):
    """All elements of a page, and its title."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "title" and not self.title:
            self.title = data


def states(dom: str) -> list[tuple[str, str]]:
    """The pictures' names and what became of each."""
    plots = re.findall(r'<div class="plot"[^>]*>', dom)
    found = []
    for plot in plots:
        name, state = (re.search(rf'data-{key}="([^"]*)"', plot) for key in ("name", "state"))
        found.append((name.group(1) if name else "", state.group(1) if state else ""))
    return found


def test_all_pictures_are_drawn_and_nobody_is_asked_for_anything(written: Path, visit) -> None:
    seen = visit(written / "report.html")
    names = [picture.name for picture in example_report().pictures()]
    assert states(seen.dom) == [(name, "live") for name in names]
    assert len(re.findall(r'<svg class="main-svg"', seen.dom)) >= len(names)
    assert "<canvas" in seen.dom  # parallel coordinates
    assert seen.console == []
    assert seen.hosts == set()
    for axis in ("learning rate", "validation accuracy (%)", "P(first)", "tuned on"):
        assert axis in seen.dom
    # No button that sends a picture's data away.
    assert "sendChartToCloud" not in re.sub(r"<script>.*?</script>", "", seen.dom, flags=re.DOTALL)


def test_hostile_words_stay_words(hostile_written: Path, visit) -> None:
    seen = visit(hostile_written / "report.html")
    assert {state for _, state in states(seen.dom)} == {"live"}
    assert seen.console == []
    assert seen.hosts == set()
    elements = Elements()
    elements.feed(seen.dom)
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "xlink:href"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:", "url(#")), (tag, address)
    assert elements.title != "owned"


# Texts of live pictures that lie over one another or reach out of it; slanted ones aside.
MEASURE = """<script>
  const seen = [];
  const level = (text) => !/rotate/.test(text.getAttribute("transform") || "") ||
    [0, 90, -90].includes(Number(/rotate\\((-?[0-9.]+)/.exec(text.getAttribute("transform"))[1]));
  const look = () => {
    const boxes = [...document.querySelectorAll(".plot")];
    if (!boxes.every((box) => box.dataset.state === "live")) return setTimeout(look, 200);
    for (const box of boxes) {
      const edge = box.querySelector(".live").getBoundingClientRect();
      const texts = [...box.querySelectorAll(".live svg text")]
        .filter((text) => text.textContent.trim() && level(text) && !text.closest(".modebar"))
        .map((text) => [text.textContent, text.getBoundingClientRect()])
        .filter(([, place]) => place.width > 0);
      texts.forEach(([words, a], i) => {
        const out = a.left < edge.left - 2 || a.right > edge.right + 2 ||
          a.top < edge.top - 2 || a.bottom > edge.bottom + 2;
        if (out) seen.push(`${box.dataset.name}: ${words} reaches out`);
        for (const [other, b] of texts.slice(i + 1)) {
          const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const up = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          if (across > 2 && up > 3) seen.push(`${box.dataset.name}: ${words} over ${other}`);
        }
      });
    }
    const wide = document.documentElement.scrollWidth > innerWidth;
    document.body.dataset.seen = JSON.stringify(wide ? [...seen, "the page scrolls"] : seen);
  };
  look();
</script></body>"""


@pytest.mark.parametrize("width", [1280, 500])
def test_no_text_of_a_live_picture_lies_over_another(
    written: Path, hostile_written: Path, tmp_path: Path, visit, width: int
) -> None:
    for folder in (written, hostile_written):
        source = (folder / "report.html").read_text(encoding="utf-8")
        source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
        page = tmp_path / "measured.html"
        page.write_text(source.replace("</body>", MEASURE), encoding="utf-8")
        dom = visit(page, width).dom
        (seen,) = re.findall(r'<body data-seen="([^"]*)"', dom)
        assert json.loads(html.unescape(seen)) == []


def test_tables_sort_both_ways_with_missing_values_last(
    written: Path, tmp_path: Path, visit
) -> None:
    source = (written / "report.html").read_text(encoding="utf-8")
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    program = """<script>
      const table = document.querySelector("table");
      const buttons = table.querySelectorAll("th button");
      const seen = [];
      const order = () =>
        seen.push([...table.tBodies[0].rows].map((row) => row.cells[0].textContent));
      for (const column of [2, 2, 0, 5]) { buttons[column].click(); order(); }
      document.body.dataset.seen = JSON.stringify(seen);
      document.body.dataset.state = [...table.querySelectorAll("th")]
        .map((head) => head.getAttribute("aria-sort")).join();
    </script></body>"""
    page = tmp_path / "sorted.html"
    page.write_text(source.replace("</body>", program), encoding="utf-8")
    dom = visit(page).dom
    seen = json.loads(re.findall(r'data-seen="([^"]*)"', dom)[0].replace("&quot;", '"'))
    digits, digits_bn, mnist, mnist_bn = "digits mlp", "digits mlp_bn", "mnist mlp", "mnist mlp_bn"
    assert seen == [
        [mnist, digits, digits_bn, mnist_bn],
        [digits_bn, digits, mnist, mnist_bn],
        [digits, digits_bn, mnist, mnist_bn],
        [digits_bn, digits, mnist, mnist_bn],
    ]
    assert 'data-state="none,none,none,none,none,ascending"' in dom


def test_without_its_library_the_still_pictures_stay(written: Path, tmp_path: Path, visit) -> None:
    source = (written / "report.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>.*?</script>", source, re.DOTALL)
    page = tmp_path / "still.html"
    page.write_text(source.replace(scripts[0], ""), encoding="utf-8")
    seen = visit(page)
    assert {state for _, state in states(seen.dom)} == {""}
    assert len(re.findall(r'<img src="data:image/png;base64,', seen.dom)) == len(states(seen.dom))
    assert seen.console == []
