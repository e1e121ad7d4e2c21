"""The simulation of many workers against closed forms, and against a run that was not simulated."""

import functools
import itertools
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulated import Costs, most_workers, simulate
from hpsuite.scheduler import run_studies
from hpsuite.study import StudyRun
from hpsuite.training import Planner
from hpsuite.trials import TrialResult, TrialSpec
from tests.studies import CPU, MadeUp, made_up, open_runs, plan

FREE = Costs(0.0, 0.0)


def always(seconds: float) -> Callable[[], float]:
    return lambda: seconds


@pytest.mark.parametrize("n_workers", [1, 2, 7, 100])
@pytest.mark.parametrize("n_trials", [1, 6, 100, 101])
def test_equal_times_take_whole_rounds(n_trials: int, n_workers: int) -> None:
    found = simulate(n_trials, n_workers, FREE, always(3.0))
    assert found.seconds == pytest.approx(3 * math.ceil(n_trials / n_workers))
    assert found.trained == pytest.approx(3 * n_trials)
    assert found.load == 0


@pytest.mark.parametrize("n_workers", [10, 100, 1000])
def test_one_process_that_asks_and_tells_is_the_limit(n_workers: int) -> None:
    costs = Costs(0.02, 0.05)
    assert most_workers(costs, 0.1) < n_workers
    found = simulate(5000, n_workers, costs, always(0.1))
    assert found.rate == pytest.approx(1 / costs.both, rel=0.01)
    assert found.load == pytest.approx(1, rel=0.01)


def test_far_below_the_limit_workers_are_busy() -> None:
    costs = Costs(0.001, 0.002)
    n_workers = int(most_workers(costs, 1.0) / 10)
    found = simulate(10_000, n_workers, costs, always(1.0))
    assert found.utilisation == pytest.approx(1, abs=0.02)
    assert found.load == pytest.approx(0.1, abs=0.01)


def test_a_single_worker_waits_for_nothing_but_the_ends() -> None:
    # The next batch is asked for while it trains: only the first ask and the last tell are seen.
    found = simulate(50, 1, Costs(0.1, 0.2), always(1.0))
    assert found.seconds == pytest.approx(0.1 + 50 * 1.0 + 0.2)


def test_a_batch_is_one_piece_of_work() -> None:
    found = simulate(96, 2, Costs(0.001, 0.001), always(1.0), batch=12)
    assert found.trained == pytest.approx(8.0)
    assert found.seconds == pytest.approx(4.0, rel=0.05)


def test_samplers_that_wait_keep_few_workers_busy() -> None:
    found = simulate(100, 50, FREE, always(1.0), in_flight=5)
    assert found.seconds == pytest.approx(20.0)
    assert found.utilisation == pytest.approx(5 / 50)


def test_work_is_conserved_whatever_the_times() -> None:
    generator = np.random.default_rng(0)
    for n_workers in (1, 3, 20):
        times = list(generator.exponential(size=200))
        found = simulate(200, n_workers, FREE, functools.partial(next, iter(times)))
        assert found.trained == pytest.approx(sum(times))
        # No schedule is shorter, and none that keeps all busy is longer.
        assert found.seconds >= max(sum(times) / n_workers, *times) - 1e-9
        assert found.seconds <= sum(times) / n_workers + max(times)


class Sleeping(MadeUp):
    """Workers that sleep for so many seconds a batch, in turn."""

    def __init__(self, n_workers: int, seconds: Sequence[float]) -> None:
        super().__init__()
        self.n_workers = n_workers
        self._pool = ThreadPoolExecutor(n_workers)
        self._seconds = iter(seconds)

    def submit(self, batch: Sequence[TrialSpec]) -> Future[list[TrialResult]]:
        """See `MadeUp`."""
        self.batches.append(tuple(batch))
        return self._pool.submit(self._sleep, next(self._seconds), tuple(batch))

    @staticmethod
    def _sleep(seconds: float, batch: Sequence[TrialSpec]) -> list[TrialResult]:
        time.sleep(seconds)
        return [made_up(spec) for spec in batch]


@pytest.mark.parametrize(
    ("n_workers", "costs"),
    [(2, Costs(0.002, 0.002)), (4, Costs(0.03, 0.02))],
    ids=["workers are the limit", "the record is the limit"],
)
def test_a_run_takes_as_long(
    n_workers: int, costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hpsuite's own loop, with a record that is slow and workers that sleep."""
    n, own = 32, ("strategy=log_random", "repeats=2", "budget.trials=16", "numerics.trainer=plain")
    seconds = list(np.random.default_rng(1).uniform(0.05, 0.15, n))
    _, studies = open_runs(tmp_path / "x.journal", *own)
    for name, cost in (("ask", costs.ask), ("tell", costs.tell)):
        monkeypatch.setattr(StudyRun, name, slow(getattr(StudyRun, name), cost))
    datasets = {p.data.fingerprint: p.data for p in plan(*own)}
    executor = Sleeping(n_workers, seconds)
    begun = time.perf_counter()
    run_studies(studies, Planner(datasets, CPU, n_workers), executor, on_told=lambda told: None)
    took = time.perf_counter() - begun
    assert [len(batch) for batch in executor.batches] == [1] * n
    expected = simulate(n, n_workers, costs, functools.partial(next, iter(seconds)))
    # The journal's own time, and threads that wake late.
    assert expected.seconds <= took * 1.01
    assert took <= 1.4 * expected.seconds + 0.3


def slow(method: Callable[..., object], seconds: float) -> Callable[..., object]:
    @functools.wraps(method)
    def slowed(*arguments: object) -> object:
        time.sleep(seconds)
        return method(*arguments)

    return slowed


def test_draws_are_one_a_batch() -> None:
    counter = itertools.count()
    simulate(100, 3, FREE, lambda: float(next(counter) >= 0), batch=7)
    assert next(counter) == math.ceil(100 / 7)
