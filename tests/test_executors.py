"""Where batches run: the same results in any process, nothing left behind, no waiting for ever."""

import contextlib
import dataclasses
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optuna.storages import InMemoryStorage

from hpsuite import serving, workers
from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.devices import count_cores
from hpsuite.executors import (
    InlineExecutor,
    ProcessExecutor,
    count_workers,
    make_executor,
)
from hpsuite.losses import WorkerLost
from hpsuite.training.states import State, check_sum, state_name
from hpsuite.trials import Block, Lineage, TrialSpec
from tests.studies import CPU, STRATEGIES, assert_same, open_runs, plan, run

ARM = ("strategy=log_random", "budget.trials=12", "repeats=3")
CUDA = torch.device("cuda")


def datasets() -> dict[str, Data]:
    return {p.data.fingerprint: p.data for p in plan(*ARM)}


def some_specs(n: int, *overrides: str) -> list[TrialSpec]:
    """The first trials of a study."""
    trials = (f"budget.trials={n}", "repeats=1")
    _, (study,) = open_runs(InMemoryStorage(), "strategy=log_random", *trials, *overrides)
    return [study.ask() for _ in range(n)]


# What workers run for the tests; they import it by name.
def pid_of_worker() -> int:
    return os.getpid()


def threads_of_worker() -> tuple[int, str | None, object]:
    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], signal.getsignal(signal.SIGINT)


def device_of_worker() -> tuple[str, str | None]:
    return serving._device.type, os.environ.get("CUDA_VISIBLE_DEVICES")


def mapped_files() -> tuple[dict[str, list[bool]], str]:
    """Whether each array that the worker trains on lies in a page of its file."""
    spans = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        if name.endswith(".npy"):
            spans.append(tuple(int(end, 16) for end in span.split("-")))
    found = {}
    for fingerprint, resident in serving._residents.items():
        tensors = (resident.x_train, resident.x_val, resident.x_test, resident.y_train)
        pointers = [tensor.data_ptr() for tensor in tensors]
        found[fingerprint] = [any(low <= p < high for low, high in spans) for p in pointers]
    return found, str(serving._folder)


def test_results_are_the_same_in_any_process(tmp_path: Path) -> None:
    for strategy in STRATEGIES:
        arm = (f"strategy={strategy}", "budget.trials=6")
        expected = run(tmp_path / f"{strategy} inline", *arm)
        with ProcessExecutor(datasets(), 2) as executor:
            found = run(tmp_path / f"{strategy} processes", *arm, executor=executor)
        assert_same(found, expected)


def test_states_of_days_go_with_a_batch_and_come_back() -> None:
    arm = ("strategy=population", "budget.trials=8", "repeats=1")
    _, (study,) = open_runs(InMemoryStorage(), *arm)
    # The whole first days, and a day after one of them.
    first = [study.ask() for _ in range(2)]
    later = dataclasses.replace(first[0], number=2, lineage=Lineage(0, (block_of(first[0]),)))
    with InlineExecutor(datasets(), CPU) as inline:
        expected = [*inline.submit(first).result(), *inline.submit([later]).result()]
    with ProcessExecutor(datasets(), 1) as executor:

        def train(batch: list[TrialSpec], states: dict[str, State]) -> dict[str, State]:
            sent = pickle.dumps((tuple(batch), serving.packed(states)))
            back = executor.call(serving.train_carried, sent).result(timeout=60)
            results, ended = pickle.loads(back)  # noqa: S301 (of our own)
            for result in results:
                assert result.same_outcome(expected[result.number])
            return serving.unpacked(ended)

        ended = train(first, {})
        assert ended.keys() == {state_name(spec) for spec in first}
        # A state that comes along is all that a later day needs; without it, more is trained.
        name = state_name(first[0])
        assert train([later], {name: ended[name]}).keys() == {state_name(later)}
        again = train([later], {})
    assert again.keys() == {state_name(later), name}
    assert check_sum(again[name]) == check_sum(ended[name])


def block_of(spec: TrialSpec) -> Block:
    assert spec.epochs is not None
    return Block(spec.optimizer, spec.epochs)


def test_data_is_shared_and_batches_are_small() -> None:
    specs = some_specs(32)
    assert len(pickle.dumps(tuple(specs))) < 20_000
    with ProcessExecutor(datasets(), 1) as executor:
        results = executor.submit(specs[:4]).result(timeout=60)
        assert [result.number for result in results] == [0, 1, 2, 3]
        if sys.platform == "linux":
            mapped, folder = executor.call(mapped_files).result(timeout=60)
            assert mapped == {fingerprint: [True] * 4 for fingerprint in datasets()}
            assert Path(folder).is_dir()
    # Training wrote nothing to the pages, and nothing stays.
    with InlineExecutor(datasets(), CPU) as inline:
        again = inline.submit(specs[:4]).result()
    assert all(a.same_outcome(b) for a, b in zip(results, again, strict=True))


def test_workers_have_one_thread_and_leave_interrupts_to_the_main_process() -> None:
    with ProcessExecutor(datasets(), 1) as executor:
        threads, omp, handler = executor.call(threads_of_worker).result(timeout=60)
    assert threads == 1
    assert omp == os.environ["OMP_NUM_THREADS"]
    assert handler == signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, OSError])
def test_executor_ends_at_once_and_leaves_nothing(
    error: type[BaseException] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    executor = ProcessExecutor(datasets(), 2)
    assert len(list(tmp_path.glob("hpsuite-*"))) == 1
    with pytest.raises(error) if error else contextlib.nullcontext(), executor:
        pids = {executor.call(pid_of_worker).result(timeout=60) for _ in range(4)}
        if error:
            for spec in some_specs(3, "budget.epochs=100000"):
                executor.submit([spec])
        started = time.monotonic()
        if error:
            raise error
    assert time.monotonic() - started < 2
    assert not list(tmp_path.glob("hpsuite-*"))
    wait_until_gone(pids)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def raise_what_cannot_be_sent() -> None:
    raise ValueError(lambda: 0)


def raise_of_numpy() -> None:
    np.empty(1 << 60, np.float32)


def leave_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()


def test_errors_of_workers_come_through_as_what_they_are() -> None:
    with ProcessExecutor(datasets(), 1) as executor:
        with pytest.raises(RuntimeError, match=r"^ValueError: <function"):
            executor.call(raise_what_cannot_be_sent).result(timeout=60)
        with pytest.raises(MemoryError, match="Unable to allocate"):
            executor.call(raise_of_numpy).result(timeout=60)


def test_a_worker_with_a_thread_of_its_own_ends() -> None:
    started = time.monotonic()
    with ProcessExecutor(datasets(), 1) as executor:
        executor.call(leave_a_thread).result(timeout=60)
        started = time.monotonic()
    assert time.monotonic() - started < 30


def test_executor_after_one_that_was_interrupted() -> None:
    (spec,) = some_specs(1)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), ProcessExecutor(datasets(), 1):
            raise KeyboardInterrupt
    with ProcessExecutor(datasets(), 1) as executor:
        assert executor.submit([spec]).result(timeout=60)[0].number == 0


def test_worker_killed_while_it_waits_costs_nothing() -> None:
    (spec,) = some_specs(1)
    with ProcessExecutor(datasets(), 1) as executor:
        pids = []
        for _ in range(3):
            pids.append(executor.call(pid_of_worker).result(timeout=60))
            os.kill(pids[-1], signal.SIGKILL)
            wait_until_gone({pids[-1]})
        assert executor.submit([spec]).result(timeout=60)[0].number == 0
    assert len(set(pids)) == 3


@pytest.mark.parametrize(("n_killed", "n_starts"), [(2, 3), (9, 3)])
def test_worker_killed_at_its_start_is_started_again(
    n_killed: int, n_starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = functools.partial(serve_but_for_the_first, tmp_path, n_killed)
    monkeypatch.setattr(workers, "serve", started)
    with ProcessExecutor(datasets(), 1) as executor:
        pid = executor.call(pid_of_worker)
        if n_killed < workers.MOST_STARTS:
            pid.result(timeout=60)
        else:
            with pytest.raises(WorkerLost, match=r"killed by SIGKILL .* before it began"):
                pid.result(timeout=60)
    assert len(list(tmp_path.iterdir())) == n_starts


def serve_but_for_the_first(folder: Path, n: int, *given: Any) -> None:
    """Kill the first n processes at their start."""
    n_before = len(list(folder.iterdir()))
    (folder / str(os.getpid())).touch()
    if n_before < n:
        os.kill(os.getpid(), signal.SIGKILL)
    serving.serve(*given)


def test_error_of_a_trial_comes_to_the_main_process() -> None:
    (spec,) = some_specs(1)
    with ProcessExecutor(datasets(), 1) as executor:
        future = executor.submit([dataclasses.replace(spec, dataset="no-such-fingerprint")])
        with pytest.raises(FileNotFoundError, match="no-such-fingerprint"):
            future.result(timeout=60)
        # The worker lives on.
        assert executor.submit([spec]).result(timeout=60)[0].number == 0


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.studies import *
from hpsuite.executors import ProcessExecutor

def main():
    arm = ("strategy=log_random", "budget.trials=400", "budget.epochs=400")
    datasets = {{p.data.fingerprint: p.data for p in plan(*arm)}}
    with ProcessExecutor(datasets, 2) as executor:
        print(executor._scratch.folder, flush=True)
        print(executor.call(__import__("os").getpid).result(), flush=True)
        run(Path("x.journal"), *arm, executor=executor)

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_main_process_that_was_terminated(short_folder: Path) -> None:
    folder = short_folder
    script = folder / "a script.py"
    script.write_text(SCRIPT.format(root=str(Path(__file__).resolve().parents[1])))
    with subprocess.Popen(
        [sys.executable, script.name],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        mapped = Path(process.stdout.readline().strip())
        worker = int(process.stdout.readline())
        assert mapped.is_dir()
        assert is_alive(worker)
        process.terminate()
    assert process.returncode == -signal.SIGTERM
    wait_until_gone({worker})
    deadline = time.monotonic() + 10
    while mapped.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not mapped.exists()


def test_number_of_workers() -> None:
    processes = ExecutorConfig("processes")
    assert count_workers(processes, CPU) == count_cores() >= 1
    assert count_workers(ExecutorConfig("processes", 7), CPU) == 7
    inline = ExecutorConfig("inline", 7)
    assert count_workers(inline, CPU) == count_workers(inline, CUDA) == 1
    assert isinstance(make_executor(inline, {}, CPU), InlineExecutor)


@pytest.mark.parametrize(
    ("n_gpus", "workers", "visible", "pinned"),
    [
        (1, None, None, []),  # this process trains
        (1, 4, "3", []),
        (4, 1, None, []),
        (4, None, None, ["0", "1", "2", "3"]),
        (4, 2, None, ["0", "1"]),
        (2, 8, "5,GPU-1f", ["5", "GPU-1f"]),
        (2, None, "5, 7,-1,6", ["5", "7"]),
    ],
)
def test_each_gpu_has_a_process(
    n_gpus: int,
    workers: int | None,
    visible: str | None,
    pinned: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: n_gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    config = ExecutorConfig("processes", workers)
    assert count_workers(config, CUDA) == max(len(pinned), 1)
    with make_executor(config, {}, CUDA) as executor:
        if not pinned:
            assert isinstance(executor, InlineExecutor)
            return
        assert isinstance(executor, ProcessExecutor)
        assert executor.n_workers == len(pinned)
        assert [worker._given.gpu for worker in executor._crew._workers] == pinned
        futures = [executor.call(device_of_worker) for _ in range(16)]
        found = {future.result(timeout=60) for future in futures}
        assert found <= {("cuda", name) for name in pinned}


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_results_on_several_gpus_are_those_on_one() -> None:
    specs = [some_specs(32)[i : i + 8] for i in range(0, 32, 8)]
    with InlineExecutor(datasets(), CUDA) as inline:
        expected = [inline.submit(batch).result() for batch in specs]
    with make_executor(ExecutorConfig("processes"), datasets(), CUDA) as executor:
        assert executor.n_workers == torch.cuda.device_count()
        found = [executor.submit(batch) for batch in specs]
        for mine, other in zip(found, expected, strict=True):
            for a, b in zip(mine.result(timeout=600), other, strict=True):
                assert a.number == b.number
                first = pytest.approx(b.loss_curve[:1], rel=0.01, nan_ok=True)
                assert a.loss_curve[:1] == first


def test_data_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    (digits,) = datasets().values()
    moved = dataclasses.replace(digits, flip=True, shift=3, fingerprint="moved")
    for fingerprint, data in {**datasets(), "moved": moved}.items():
        serving.save(data, tmp_path / fingerprint)
        loaded = serving.load(tmp_path / fingerprint)
        for name in serving.ARRAYS:
            saved, read = getattr(data, name), getattr(loaded, name)
            assert saved.dtype == read.dtype
            np.testing.assert_array_equal(saved, read)
        numbers = dataclasses.replace(loaded, **{n: getattr(data, n) for n in serving.ARRAYS})
        assert numbers == data
