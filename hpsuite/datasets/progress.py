"""Progress of what takes long before anything trains, as plain lines on stderr."""

import sys
import time

# Seconds to the first line, and the longest between two.
FIRST, LONGEST = 2.0, 60.0


class Progress:
    """Says how far a job is: first after two seconds, then ever more rarely.

    stdout stays free, and a log stays readable.
    """

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        """What is being done, in how many steps (None: nobody knows), and what a step is of."""
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._started = time.monotonic()
        self._wait = FIRST
        self._next = self._started + FIRST
        self._said = False

    def advance(self) -> None:
        """One step is done."""
        self._done += 1
        now = time.monotonic()
        if now >= self._next and self._done != self._total:
            self._wait = min(2 * self._wait, LONGEST)
            self._next = now + self._wait
            self._said = True
            of = "" if self._total is None else f" of {self._total:,}"
            self._say(f"{self._done:,}{of} {self._unit}")

    def finish(self) -> None:
        """All is done: says so where it said anything before."""
        if self._said:
            seconds = time.monotonic() - self._started
            self._say(f"all {self._done:,} {self._unit} in {seconds:.0f} s")

    def _say(self, text: str) -> None:
        print(f"hpsuite: {self._what}: {text}", file=sys.stderr, flush=True)
