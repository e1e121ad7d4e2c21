"""hpsuite's main loop as a simulation: one process asks and tells, many workers train.

What `scheduler.run_studies` does, in made-up time: batches go to workers, of which one more is
asked for than there are workers; what is done is told before more is asked for; asking and telling
take the main process's time, one after the other.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What a trial costs the main process, in seconds: asked for, and told."""

    ask: float
    tell: float

    @property
    def both(self) -> float:
        """Of a trial."""
        return self.ask + self.tell


@dataclass(frozen=True)
class Finished:
    """What a simulation found.

    Attributes:
        seconds: from the start until the last trial is told.
        trained: seconds that workers trained, all together.
        recorded: seconds that the main process asked and told.
        n_workers, n_trials: of the run.
    """

    seconds: float
    trained: float
    recorded: float
    n_workers: int
    n_trials: int

    @property
    def utilisation(self) -> float:
        """Share of the workers' time in which they trained; in [0, 1]."""
        return self.trained / (self.n_workers * self.seconds)

    @property
    def load(self) -> float:
        """Share of the time in which the main process asked or told; in [0, 1]."""
        return self.recorded / self.seconds

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.n_trials / self.seconds


def simulate(
    n_trials: int,
    n_workers: int,
    costs: Costs,
    draw: Callable[[], float],
    *,
    batch: int = 1,
    in_flight: int | None = None,
) -> Finished:
    """Run a study of so many trials.

    Args:
        n_trials: in all.
        n_workers: that train, one batch at a time each.
        costs: of a trial in the main process.
        draw: the seconds that the next batch trains.
        batch: trials in a batch.
        in_flight: how many trials may be asked for and not told, as where a sampler waits for
            results; None for any number.

    Returns:
        What it took.
    """
    assert min(n_trials, n_workers, batch) >= 1
    assert in_flight is None or in_flight >= 1
    most = n_trials if in_flight is None else in_flight
    now = trained = 0.0
    asked = told = running = 0
    idle = n_workers
    ends: list[tuple[float, int]] = []  # of batches in training, and their sizes
    waiting: deque[tuple[float, int]] = deque()  # seconds and sizes
    done: deque[int] = deque()

    def settle() -> None:
        """Let all happen that has happened by now; a worker that ends takes what waits."""
        nonlocal idle
        while ends and ends[0][0] <= now:
            end, size = heapq.heappop(ends)
            done.append(size)
            if waiting:
                seconds, next_size = waiting.popleft()
                heapq.heappush(ends, (end + seconds, next_size))
            else:
                idle += 1

    while told < n_trials:
        while running <= n_workers and asked < n_trials and asked - told < most and not done:
            size = min(batch, n_trials - asked, most - (asked - told))
            now += size * costs.ask
            asked, running = asked + size, running + 1
            seconds = draw()
            trained += seconds
            settle()
            if idle:
                idle -= 1
                heapq.heappush(ends, (now + seconds, size))
            else:
                waiting.append((seconds, size))
            settle()
        if not done:
            now = max(now, ends[0][0])
            settle()
        for _ in range(len(done)):
            size = done.popleft()
            now += size * costs.tell
            told, running = told + size, running - 1
        settle()
    return Finished(now, trained, n_trials * costs.both, n_workers, n_trials)


def most_workers(costs: Costs, seconds: float, *, batch: int = 1) -> float:
    """How many workers one main process keeps busy: where its own time is all used up.

    Args:
        costs: of a trial in the main process.
        seconds: that a batch trains, on average.
        batch: trials in a batch.
    """
    return seconds / (batch * costs.both)
