"""Workers that are lost: what they trained is trained again, and what cannot be is marked so."""

import os
import signal
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpsuite.attempts import Attempt, specs_of
from hpsuite.config import ExecutorConfig
from hpsuite.datasets import Data
from hpsuite.executors import ProcessExecutor
from hpsuite.losses import LOOK_SECONDS, WorkerLost, ending
from hpsuite.record import open_storage
from hpsuite.scheduler import run_studies
from hpsuite.training import Lockstep, Planner
from tests.studies import CPU, Trials, assert_same, open_runs, plan, run, trials_of

ARM = ("strategy=log_random", "budget.trials=12", "repeats=3")
FRAGILE = (
    "packages=[benchmarks]",
    *("model._target_=benchmarks.fragile.fragile", "+model.ends=killed"),
    *("space=rate_only", "+space.units={low: 4, high: 6, scale: integer}"),
    "strategy=log_random",
    "budget.trials=10",
    "repeats=1",
)


def datasets(*overrides: str) -> dict[str, Data]:
    return {p.data.fingerprint: p.data for p in plan(*overrides)}


def pid_of_worker() -> int:
    return os.getpid()


def test_trials_of_killed_workers_are_trained_again(tmp_path: Path) -> None:
    expected = run(tmp_path / "whole", *ARM)
    _, studies = open_runs(tmp_path / "x.journal", *ARM)
    planner = Planner(datasets(*ARM), CPU, 8)  # small batches towards the end
    kills = []

    def kill(told: int) -> None:
        if len(kills) < 3:
            kills.append(executor.call(pid_of_worker).result(timeout=60))
            os.kill(kills[-1], signal.SIGKILL)

    with ProcessExecutor(datasets(*ARM), 2) as executor:
        run_studies(studies, planner, executor, on_told=kill)
    assert len(set(kills)) == 3
    assert_same(trials_of(studies), expected)


def fragile_run(path: Path, *overrides: str, **limits: float) -> Trials:
    """Train with two workers, at some trials of which these end."""
    arm = (*FRAGILE, *overrides)
    with ProcessExecutor(
        datasets(*arm), 2, limits=ExecutorConfig("processes", **limits)
    ) as executor:
        return run(path, *arm, executor=executor)


def check_failures(path: Path, found: Trials, reason: str) -> None:
    """Those of 5 units failed, in the record too; the others are as they are without them."""
    ((values, results),) = found.values()
    failed = [v["units"] == 5 for v in values]
    assert 0 < sum(failed) < len(failed)
    ((_, alone),) = run(path.with_name("alone"), *FRAGILE).values()  # where nothing ends
    for is_failed, result, other in zip(failed, results, alone, strict=True):
        assert is_failed == (result.outcome == "failed")
        if is_failed:
            assert reason in result.reason
            assert (result.steps, result.val_curve) == (0, ())
        else:
            assert result.same_outcome(other)
    (study,) = open_storage(str(path), writing=False).get_all_studies()
    trials = optuna.load_study(study_name=study.study_name, storage=open_storage(str(path))).trials
    states = [trial.state for trial in trials]
    assert states == [TrialState.FAIL if f else TrialState.COMPLETE for f in failed]


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ("killed", "its worker was killed by SIGKILL (memory may have run out)"),
        ("exits", "its worker ended with status 3"),
        ("memory", "memory ran out"),
    ],
)
def test_trials_that_no_worker_survives_are_marked_as_failed(
    ends: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.journal"
    found = fragile_run(path, f"model.ends={ends}")
    check_failures(path, found, reason)
    n_failed = sum(r.outcome == "failed" for _, results in found.values() for r in results)
    said = [record.getMessage() for record in caplog.records if "failed:" in record.getMessage()]
    assert len(said) == n_failed
    # They are told: the same command has nothing to do.
    assert_same(run(path, *FRAGILE, f"model.ends={ends}"), found)


@pytest.mark.parametrize(
    ("ends", "limits", "reason"),
    [
        ("waits", {"idle_limit": 2 * LOOK_SECONDS}, "its worker used no processor for 2 s"),
        ("runs", {"time_limit": 3 * LOOK_SECONDS}, "its batch took more than 3 s"),
    ],
)
@pytest.mark.slow
def test_workers_that_hang_are_killed(
    ends: str, limits: dict[str, float], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.journal"
    check_failures(path, fragile_run(path, f"model.ends={ends}", **limits), reason)


def test_worker_that_trains_for_long_does_not_hang(tmp_path: Path) -> None:
    limits = {"idle_limit": LOOK_SECONDS}
    started = time.monotonic()
    arm = ("strategy=log_random", "budget.trials=1", "repeats=1", "budget.epochs=3000")
    with ProcessExecutor(datasets(*arm), 1, limits=ExecutorConfig("processes", **limits)) as own:
        ((_, (result,)),) = run(tmp_path / "x", *arm, executor=own).values()
    assert result.outcome == "finite"
    assert time.monotonic() - started > 2 * LOOK_SECONDS


@pytest.mark.parametrize("ends", ["killed", "memory"])
def test_nothing_is_marked_where_nothing_can_be_trained(ends: str, tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    everywhere = ("+model.at=0", f"model.ends={ends}")
    for _ in range(2):
        with pytest.raises(WorkerLost, match="the same command continues it") as caught:
            fragile_run(path, *everywhere)
        assert "\n" not in str(caught.value)
    (study,) = open_storage(str(path), writing=False).get_all_studies()
    trials = optuna.load_study(study_name=study.study_name, storage=open_storage(str(path))).trials
    assert {trial.state for trial in trials} == {TrialState.RUNNING}


@pytest.mark.slow
def test_cohorts_lose_only_the_trials_that_cannot_be_trained(tmp_path: Path) -> None:
    pruned = ("strategy=median_pruning", "budget.epochs=6", "budget.trials=12")
    found = fragile_run(tmp_path / "x.journal", *pruned)
    ((values, results),) = found.values()
    assert {r.outcome for r in results} >= {"failed", "finite"}
    for value, result in zip(values, results, strict=True):
        assert (value["units"] == 5) == (result.outcome == "failed")
        assert result.judged is not None
    assert_same(run(tmp_path / "x.journal", *FRAGILE, *pruned), found)


def batches_of(attempt: Attempt) -> list[list[int]]:
    return [[spec.number for spec in specs_of(part.work)] for part in attempt.again("lost")]


def test_what_was_lost_is_halved_and_then_taken_apart() -> None:
    overrides = ("strategy=log_random", "budget.trials=5", "repeats=1")
    _, (study,) = open_runs(optuna.storages.InMemoryStorage(), *overrides)
    specs = [study.ask() for _ in range(5)]
    whole = Attempt(specs)
    assert batches_of(whole) == [[0, 1, 2], [3, 4]]
    first, second = whole.again("lost")
    assert batches_of(first) == [[0], [1], [2]]
    assert batches_of(second) == [[3], [4]]
    assert first.again("lost")[0].again("lost") == []
    # One alone is tried as often.
    single = Attempt(specs[:1])
    assert batches_of(single) == batches_of(single.again("lost")[0]) == [[0]]


def test_cohorts_that_were_lost_stay_whole_as_long_as_they_can() -> None:
    overrides = ("strategy=median_pruning", "budget.trials=4", "budget.epochs=3", "repeats=3")
    _, studies = open_runs(optuna.storages.InMemoryStorage(), *overrides)
    cohorts = tuple(study.ask_cohort() for study in studies)
    batches = (tuple(spec for cohort in cohorts for spec in cohort.specs),)
    halves = Attempt(Lockstep(cohorts, batches)).again("lost")
    kept = [half.work for half in halves if isinstance(half.work, Lockstep)]
    assert [half.cohorts for half in kept] == [cohorts[:2], cohorts[2:]]
    assert [spec for half in kept for spec in half.batches[0]] == list(batches[0])
    alone = [part for half in halves for part in half.again("lost")]
    assert [len(specs_of(part.work)) for part in alone] == [1] * len(batches[0])
    assert len({id(part.gathering) for part in alone}) == 3


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "its worker was killed by SIGKILL (memory may have run out)"),
        (-11, "its worker was killed by SIGSEGV"),
        (-99, "its worker was killed by signal 99"),
        (1, "its worker ended with status 1"),
    ],
)
def test_endings_in_words(code: int, words: str) -> None:
    assert ending(code) == words
