"""Chromium without a window, driven over its own pipe: what a user sees, and pictures of it.

Debian's package does (`apt-get install chromium`); no driver and no Python package is needed.
"""

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-sandbox"),
    # A container's shared memory may be small; nothing is asked of the network.
    *("--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio"),
    # As with a mouse: a chart's tools appear when one points at it.
    *("--blink-settings=primaryHoverType=2,availableHoverTypes=2", "--hide-scrollbars"),
)
# Of the page, as text, without what is not drawn.
TEXT = "document.body ? document.body.innerText : ''"


def find_chromium() -> str | None:
    """The browser's path; HPSUITE_CHROMIUM goes first."""
    named = os.environ.get("HPSUITE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A tab."""

    def __init__(self, chromium: "Chromium", session: str) -> None:
        self._chromium, self._session = chromium, session

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of Chromium's DevTools protocol."""
        return self._chromium.ask(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go to an address; single-page applications go on by themselves: see `wait`."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """What an expression of JavaScript is, once its promise is kept."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self) -> str:
        return str(self.run(TEXT))

    def wait(self, script: str, seconds: float = 90) -> Any:
        """Until an expression is true; returns what it is then."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            shown = self.text()[:3000] if time.monotonic() > end else ""
            assert time.monotonic() <= end, f"waited {seconds} s for {script}; shown:\n{shown}"
            time.sleep(0.2)
        return found

    def wait_for(self, *texts: str, seconds: float = 90) -> None:
        """Until the page shows all these texts."""
        for text in texts:
            self.wait(f"({TEXT}).includes({json.dumps(text)})", seconds)

    def click(self, selector: str, text: str = "", seconds: float = 60) -> None:
        """Click, as a mouse does, on the first element that a selector and its text find."""
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.innerText?.trim().startsWith({json.dumps(text)}) || !{json.dumps(text)})"
        )
        self.wait(f"!!{find}", seconds)
        place = self.run(
            f"(() => {{ const e = {find}; e.scrollIntoView({{block: 'center'}}); "
            "const r = e.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        self.move(*place)
        for event in ("mousePressed", "mouseReleased"):
            self._mouse(event, *place, button="left", clickCount=1)

    def move(self, x: float, y: float) -> None:
        self._mouse("mouseMoved", x, y)

    def _mouse(self, event: str, x: float, y: float, **more: Any) -> None:
        self.ask("Input.dispatchMouseEvent", type=event, x=x, y=y, **more)

    def size(self, width: int, height: int) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def save(self, path: Path) -> None:
        """A picture of what is shown."""
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))

    def errors(self) -> list[str]:
        """Uncaught errors of the page's own scripts."""
        return self._chromium.errors


class Chromium:
    """A browser, and what it said of errors."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._numbers = itertools.count(1)
        self._rest = b""
        self.errors: list[str] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what else comes is noted."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._next(120)
            if answer.get("method") == "Runtime.exceptionThrown":
                details = answer["params"]["exceptionDetails"]
                self.errors.append(json.dumps(details)[:2000])
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._back], [], [], seconds)[0], "Chromium does not answer"
            data = os.read(self._back, 1 << 20)
            assert data, "Chromium ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def page(self, width: int = 1440, height: int = 1000) -> Page:
        """A new tab with a profile of its own, as of a first visit."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        made = self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        page = Page(self, attached["sessionId"])
        page.ask("Page.enable")
        page.ask("Runtime.enable")
        page.size(width, height)
        return page


@contextmanager
def chromium(path: str, folder: Path) -> Iterator[Chromium]:
    """A browser with its profile and log in a folder; it is ended with all its processes."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def onto_3_and_4() -> None:
        # First out of the way, as either may be 3 or 4 itself.
        a, b = (os.dup2(fd, to) for fd, to in ((theirs_in, 100), (theirs_out, 101)))
        os.dup2(a, 3)
        os.dup2(b, 4)

    command = [path, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "chromium.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
            pass_fds=(3, 4, theirs_in, theirs_out),
            preexec_fn=onto_3_and_4,  # noqa: PLW1509 (nothing but system calls in it)
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Chromium(ours_out, ours_in)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours_out)
        os.close(ours_in)
