"""Tasks on a Ray cluster: the results of one process, to the bit, whatever is lost on the way."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from optuna.storages import InMemoryStorage

from hpsuite.checks import UserError
from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.executors import count_workers, make_executor
from hpsuite.losses import BatchLost, WorkerLost
from hpsuite.on_ray import cluster, executor, tasks
from hpsuite.on_ray.executor import RayExecutor
from hpsuite.scheduler import run_studies
from hpsuite.serving import arrays_of
from hpsuite.training import Checkpoints, Planner
from tests.commands import Command, check_refused
from tests.studies import CPU, TINY, assert_same, open_runs, plan, run, trials_of
from tests.test_attempts import FRAGILE, check_failures

CUDA = torch.device("cuda")
RAY = ExecutorConfig("ray", workers=2)
ARM = ("strategy=log_random", "budget.trials=12", "repeats=3")
ARMS: tuple[tuple[str, ...], ...] = (
    ARM,
    ("strategy=tpe", "budget.trials=6"),
    ("strategy=median_pruning", "budget.trials=8", "budget.epochs=4", "strategy.cohort=4"),
)
DAYS = ("strategy=population", "budget.trials=12")


def datasets(*overrides: str) -> dict[str, Data]:
    return {p.data.fingerprint: p.data for p in plan(*overrides)}


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray, and a cluster of this machine's own, which all executors of this module use."""
    found = pytest.importorskip("ray", reason="needs Ray (pip install 'hpsuite[ray]')")
    with cluster.started(RAY, CPU, 1 << 20):
        yield found


@contextlib.contextmanager
def tasks_of(*overrides: str, **changes: Any) -> Iterator[RayExecutor]:
    """An executor with the data of some arms."""
    config = dataclasses.replace(RAY, **changes)
    with make_executor(config, datasets(*overrides), CPU) as made:
        assert isinstance(made, RayExecutor)
        yield made


def test_results_are_those_of_one_process(ray: Any) -> None:
    with tasks_of(*ARM) as made:
        for arm in ARMS:
            expected = run(InMemoryStorage(), *arm)
            assert_same(run(InMemoryStorage(), *arm, executor=made), expected)


def test_states_of_days_travel_with_the_batches(ray: Any, tmp_path: Path) -> None:
    expected = run(InMemoryStorage(), *DAYS)
    for name in ("kept", "lost"):
        kept = Checkpoints(tmp_path / name)
        n_seen = 0

        def look(_: int, kept: Checkpoints = kept, name: str = name) -> None:
            nonlocal n_seen
            states = [*kept.folder.rglob("*.pt")]
            n_seen += len(states)
            for state in states if name == "lost" else ():
                state.unlink(missing_ok=True)

        with RayExecutor(datasets(*DAYS), CPU, kept, RAY) as made:
            found = run(InMemoryStorage(), *DAYS, checkpoints=kept, executor=made, on_told=look)
        assert_same(found, expected)
        assert n_seen  # the main process wrote them
        assert not kept.folder.exists()


def test_trials_that_no_worker_survives_are_marked_as_failed(ray: Any, tmp_path: Path) -> None:
    arm = (*FRAGILE, "model.ends=killed")
    with tasks_of(*arm) as made:
        found = run(tmp_path / "x", *arm, executor=made)
    reason = "its worker was killed by SIGKILL (memory may have run out)"
    check_failures(tmp_path / "x", found, reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "limits", "reason"),
    [
        ("memory", {}, "memory ran out"),
        ("waits", {"idle_limit": 2.0}, "its worker used no processor for 2 s"),
        ("runs", {"time_limit": 3.0}, "its batch took more than 3 s"),
    ],
)
def test_why_a_trial_failed(
    ends: str, limits: dict[str, float], reason: str, ray: Any, tmp_path: Path
) -> None:
    arm = (*FRAGILE, f"model.ends={ends}")
    with tasks_of(*arm, **limits) as made:
        check_failures(tmp_path / "x", run(tmp_path / "x", *arm, executor=made), reason)


def supervisors() -> list[psutil.Process]:
    """Ray's own processes, of this process's cluster, that are at a task."""
    return [p for p in psutil.Process().children(recursive=True) if "ray::train" in _command(p)]


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@pytest.mark.parametrize("whose", ["ours", "Ray's"])
def test_processes_that_are_killed_cost_nothing(whose: str, ray: Any) -> None:
    arm = (*ARM, "budget.epochs=8")
    expected = run(InMemoryStorage(), *arm)
    _, studies = open_runs(InMemoryStorage(), *arm)
    killed = []

    def kill(told: int) -> None:
        if len(killed) < 2:
            for process in supervisors()[:1]:
                victims = process.children(recursive=True) if whose == "ours" else [process]
                for victim in victims[-1:]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        victim.kill()
                        killed.append(victim.pid)

    with tasks_of(*arm) as made:
        run_studies(studies, Planner(datasets(*arm), CPU, 8), made, on_told=kill)
    assert killed
    assert_same(trials_of(studies), expected)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_executor_ends_at_once_and_leaves_nothing(
    error: type[BaseException] | None, ray: Any
) -> None:
    (spec,) = first_specs(1, "budget.epochs=100000" if error else "budget.epochs=1")
    with pytest.raises(error) if error else contextlib.nullcontext(), tasks_of(*ARM) as made:
        future = made.submit([spec])
        if error is None:
            future.result(timeout=120)
        else:
            wait_for(lambda: any(p.children(recursive=True) for p in supervisors()))
            started = time.monotonic()
            raise error
    if error:
        assert time.monotonic() - started < executor.LEAVING_SECONDS
    wait_for(lambda: not supervisors())
    assert not [t for t in threading.enumerate() if t.name == "hpsuite-task"]
    assert ray.is_initialized()  # it was there before


def first_specs(n: int, *overrides: str) -> list[Any]:
    """The first trials of a study."""
    _, (study,) = open_runs(
        InMemoryStorage(), *ARM[:1], f"budget.trials={n}", "repeats=1", *overrides
    )
    return [study.ask() for _ in range(n)]


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_lost_cluster_ends_what_waits_for_it(ray: Any) -> None:
    one, two, late = first_specs(3, "budget.epochs=100000")
    with tasks_of(*ARM, workers=1) as made:
        futures = [made.submit([spec]) for spec in (one, two)]
        wait_for(lambda: any(p.children(recursive=True) for p in supervisors()))
        made._lose("it is gone")
        for future in (*futures, made.submit([late])):
            with pytest.raises(WorkerLost, match="it is gone"):
                future.result(timeout=1)
        for process in supervisors():  # whom a cluster that is gone takes with it
            process.kill()


def test_a_task_that_was_killed_for_memory_is_tried_again(
    ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_tries = 0

    def short(*_: object) -> None:
        nonlocal n_tries
        n_tries += 1
        raise executor.MemoryShort("memory ran out")

    monkeypatch.setattr(executor, "PAUSES", (0.0, 0.0))
    with tasks_of(*ARM) as made:
        monkeypatch.setattr(made, "_on_some_machine", short)
        with pytest.raises(BatchLost, match="memory ran out"):
            made.submit(first_specs(1)).result(timeout=60)
    assert n_tries == 3


def test_a_machine_with_other_versions_trains_nothing(
    ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tuple((name, f"{version}.1") for name, version in tasks.software())
    monkeypatch.setattr(executor, "software", lambda: other)
    with tasks_of(*ARM) as made:
        future = made.submit(first_specs(1))
        with pytest.raises(WorkerLost, match=r"has results \d+, the main process \d+\.1\)"):
            future.result(timeout=120)


def test_data_goes_to_a_machine_once(ray: Any) -> None:
    with tasks_of(*ARM) as made:
        for spec in first_specs(4):
            made.submit([spec]).result(timeout=120)
        (fingerprint,) = made._parcels
        sent = ray.get(made._parcels[fingerprint])
        for name, array in arrays_of(datasets(*ARM)[fingerprint]).items():
            np.testing.assert_array_equal(sent[name], array)


def test_a_cluster_that_is_there_is_left_as_it_is(ray: Any) -> None:
    own = ray.get_runtime_context().gcs_address
    for address in (own, "auto"):
        with cluster.reached(dataclasses.replace(RAY, address=address), CPU):
            assert ray.is_initialized()
        assert ray.is_initialized()
    for changes, found in (
        ({"address": "127.0.0.1:1"}, f"'127.0.0.1:1'; accepted: {own}, to which this process is"),
        (
            {"address": own, "cpus_per_task": 4096},
            "a cluster none of whose machines has 4096 cores",
        ),
    ):
        config = dataclasses.replace(RAY, **changes)  # type: ignore[arg-type]
        with pytest.raises(UserError) as caught, cluster.reached(config, CPU):
            pass
        assert f"found {found}" in str(caught.value)


def listeners(process: psutil.Process) -> set[str]:
    """Addresses at which a process listens."""
    return {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [None, signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_with_a_cluster_of_its_own(
    ending: signal.Signals | None, tmp_path: Path, short_folder: Path
) -> None:
    pytest.importorskip("ray", reason="needs Ray (pip install 'hpsuite[ray]')")
    arm = (*TINY, "strategy=log_random", "budget.trials=12", "tracking=none", "budget.epochs=40")
    expected = run(tmp_path / "expected", *arm[len(TINY) :])
    command = [sys.executable, "-m", "hpsuite", *arm, "analysis.report=false", "executor.workers=2"]
    repository = str(Path(__file__).resolve().parents[1])
    own = {"HOME": str(tmp_path), "TMPDIR": str(short_folder), "PYTHONPATH": repository}
    with subprocess.Popen(
        [*command, "executor=ray"],
        cwd=tmp_path,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        main = psutil.Process(process.pid)
        wait_for(lambda: len(main.children(recursive=True)) > 8 or process.poll() is not None, 120)
        family = main.children(recursive=True)
        at = {ip for member in (main, *family) for ip in listeners(member)}
        assert at <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        if ending is not None:
            journal = tmp_path / "hpsuite.journal"
            size = (tmp_path / "expected").stat().st_size
            wait_for(lambda: journal.exists() and journal.stat().st_size > size // 3, 240)
            process.send_signal(ending)
        out, err = process.communicate(timeout=300)
    statuses = {None: 0, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
    assert process.returncode == statuses[ending], err
    assert err == ""
    assert ("continues it" in out) == (process.returncode > 0)
    # A minute and more on busy cores, where nobody was left to end them.
    wait_for(lambda: not any(member.is_running() for member in family), 240)
    left = [*short_folder.iterdir()]
    assert not left or ending is signal.SIGKILL  # the next run removes those of one that was killed
    assert not (tmp_path / ".ray").exists()
    if ending is not None:
        subprocess.run(
            [*command, "executor=inline"], cwd=tmp_path, env={**os.environ, **own}, check=True
        )
    found = open_runs(tmp_path / "hpsuite.journal", *arm[len(TINY) :])[1]
    assert_same(trials_of(found), expected)


def test_what_only_watches_imports_nothing_of_size() -> None:
    code = "import sys, hpsuite.on_ray.tasks; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_room_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = [
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(cluster, "is_connected", lambda: True)
    monkeypatch.setattr(cluster, "imported", lambda: Machines(machines))
    for keys, device, n in (
        ({}, CPU, 19),
        ({"cpus_per_task": 4}, CPU, 4),
        ({"cpus_per_task": 32}, CPU, 0),
        ({}, CUDA, 4),
        ({"gpus_per_task": 0.5}, CUDA, 8),
        ({"gpus_per_task": 0.3}, CUDA, 13),
        ({"cpus_per_task": 8}, CUDA, 2),
    ):
        config = ExecutorConfig("ray", **keys)  # type: ignore[arg-type]
        assert cluster.places(config, device) == n, keys
        assert count_workers(config, device) == max(n, 1)
        assert count_workers(dataclasses.replace(config, workers=5), device) == 5
    assert cluster.needed(ExecutorConfig("ray"), CPU) == "1 core"
    assert cluster.needed(ExecutorConfig("ray", cpus_per_task=2), CUDA) == "2 cores and 1 GPU"


class Machines:
    """What of Ray tells of a cluster."""

    def __init__(self, nodes: list[dict[str, Any]]) -> None:
        self.nodes = lambda: nodes


def test_gpus_are_asked_for_on_gpus() -> None:
    pytest.importorskip("ray", reason="needs Ray (pip install 'hpsuite[ray]')")
    cluster.check_ray(ExecutorConfig("ray", gpus_per_task=0.5), CUDA)
    with pytest.raises(UserError, match=r"^executor.gpus_per_task: found 0.5; accepted: null, as"):
        cluster.check_ray(ExecutorConfig("ray", gpus_per_task=0.5), CPU)


def test_without_ray_there_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "is_installed", lambda: False)
    accepted = "it after pip install 'hpsuite[ray]', or inline, processes"
    line = f"executor: found 'ray', which is not installed; accepted: {accepted}"
    for more in ((), ("-m",)):
        check_refused(command(*TINY, "executor=ray", *more), line)


def test_a_cluster_that_is_not_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs Ray (pip install 'hpsuite[ray]')")
    monkeypatch.setattr(cluster, "is_connected", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    ended = command(*TINY, "executor=ray", f"executor.address=127.0.0.1:{free}")
    accepted = "the address of a Ray cluster that runs (ray start --head)"
    check_refused(ended, f"executor.address: found '127.0.0.1:{free}'; accepted: {accepted}")
