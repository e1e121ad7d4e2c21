"""How far a run is: a bar on a terminal, plain lines where the output is piped."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_SECONDS = 5.0


class TrialProgress:
    """Counts trials; a context manager."""

    def __init__(self, total: int, done: int, console: Console) -> None:
        """Expect `total` trials, of which the record has `done`."""
        self.total, self.done, self.before = total, done, done
        self.console = console
        self._started = self._printed = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("trials  {task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("", total=total, completed=done, rate="")

    def advance(self, told: int) -> None:
        """Count newly told trials."""
        self.done += told
        now = time.monotonic()
        rate = (self.done - self.before) / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, rate=pace(rate))
        elif now - self._printed >= LINE_SECONDS or self.done == self.total:
            self._printed = now
            left = (self.total - self.done) / rate if rate else float("inf")
            line = f"{self.done}/{self.total} trials, {pace(rate)}"
            line += f", {duration(left)} left" if self.done < self.total else ""
            self.console.out(line, highlight=False)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def pace(rate: float) -> str:
    """Trials a second as a reader would say them: 37.5/s, or one in 12 s."""
    return f"{rate:.1f}/s" if rate >= 0.5 or rate == 0 else f"one in {duration(1 / rate)}"


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 42 s, 3 min 5 s, 2 h 10 min."""
    if seconds == float("inf"):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
