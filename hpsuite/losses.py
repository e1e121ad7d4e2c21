"""How workers are lost, and how that is told: ends of processes, and those that hang."""

import contextlib
import signal
from dataclasses import dataclass

import psutil

# Seconds between two looks at a worker that trains.
LOOK_SECONDS = 1.0
# Seconds of processor time, of a worker in that long, from which it counts as at work.
BUSY_SECONDS = 0.01


class BatchLost(Exception):
    """A worker process ended before its batch was done; the message says why, in a few words."""


class WorkerLost(Exception):
    """Nothing can be trained: worker processes cannot be started, or all that was tried is lost."""

    def __init__(self, why: str) -> None:
        """Of why that is, in a few words."""
        self.why = why
        super().__init__(
            f"nothing can be trained here ({why}); what was told is in the record, and the same "
            "command continues it"
        )


@dataclass(frozen=True)
class Limits:
    """From when on a worker hangs; seconds, None for never.

    Attributes:
        idle_limit: for which a worker that trains uses no processor.
        time_limit: that a batch takes, however busy its worker is.
    """

    idle_limit: float | None = None
    time_limit: float | None = None


class Watch:
    """Tells a worker that hangs from one that trains for long.

    Looks are counted, not seconds: while this process sleeps itself, as with a laptop's lid closed,
    nothing counts.
    """

    def __init__(self, pid: int | None, limits: Limits) -> None:
        """Of a process that begins its work now."""
        self._process = psutil.Process(pid)
        self._limits = limits
        self._used = 0.0
        self._n_looks = self._n_idle = 0

    def look(self) -> str:
        """Look after `LOOK_SECONDS` more; returns why it hangs, or nothing."""
        self._n_looks += 1
        try:
            times = self._process.cpu_times()
        except psutil.Error:  # it is about to end: that will be seen
            return ""
        used = times.user + times.system
        self._n_idle = self._n_idle + 1 if used - self._used < BUSY_SECONDS else 0
        self._used = used
        idle, whole = self._limits.idle_limit, self._limits.time_limit
        if idle is not None and self._n_idle * LOOK_SECONDS >= idle:
            return f"its worker used no processor for {idle:g} s (executor.idle_limit)"
        if whole is not None and self._n_looks * LOOK_SECONDS >= whole:
            return f"its batch took more than {whole:g} s (executor.time_limit)"
        return ""


def ending(code: int | None) -> str:
    """A process's end in words, by its exit code."""
    if code is None or code >= 0:
        return f"its worker ended with status {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"its worker was killed by {name}" + (
            " (memory may have run out)" if name == "SIGKILL" else ""
        )
    return f"its worker was killed by signal {-code}"
