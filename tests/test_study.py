"""Studies asked and told: in order, late, one at a time where a sampler learns from each result."""

import json
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpsuite.checks import UserError
from hpsuite.record import ATTRIBUTE, attribute_of
from hpsuite.scheduler import MOST_WAITING_BATCHES, Turns, run_studies
from hpsuite.study import StudyRun
from hpsuite.training import Planner, Pool
from hpsuite.training.planner import CPU_MOST
from hpsuite.trials import TrialResult
from tests.studies import (
    CPU,
    STRATEGIES,
    MadeUp,
    Shuffled,
    assert_same,
    made_up,
    open_runs,
    plan,
    run,
    trials_of,
)


def one_study(*overrides: str) -> tuple[InMemoryStorage, StudyRun]:
    """A study in memory."""
    storage = InMemoryStorage()
    _, (study,) = open_runs(storage, "repeats=1", *overrides)
    return storage, study


def record_of(storage: InMemoryStorage, name: str) -> optuna.Study:
    """A study as Optuna alone sees it."""
    return optuna.load_study(study_name=name, storage=storage)


def test_trials_are_told_in_order_whatever_the_order_of_results() -> None:
    storage, study = one_study("strategy=log_random", "budget.trials=6")
    results = [made_up(study.ask()) for _ in range(6)]
    assert not study.can_ask
    told = [study.tell(results[number]) for number in (2, 0, 3, 1, 5, 4)]
    assert told == [0, 1, 0, 3, 0, 2]
    assert study.is_complete
    assert study.results == results
    trials = record_of(storage, study.name).trials
    completed = [trial.datetime_complete for trial in trials]
    assert completed == sorted(completed)  # type: ignore[type-var]
    assert [trial.value for trial in trials] == [result.val_accuracy for result in results]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", range(3))
def test_order_of_results_changes_nothing(strategy: str, seed: int) -> None:
    overrides = (f"strategy={strategy}", "budget.trials=12", "repeats=5")
    expected = run(InMemoryStorage(), *overrides, executor=MadeUp())
    shuffled = Shuffled(n_workers=1 + 2 * seed, seed=seed)
    assert_same(run(InMemoryStorage(), *overrides, executor=shuffled), expected)


def test_tells_are_in_order_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    overrides = ("strategy=coarse_to_fine", "budget.trials=12", "repeats=4")
    run(path, *overrides, executor=Shuffled(n_workers=4, seed=0))
    # Trials are numbered within their study; ids and states are read without Optuna.
    numbers: dict[int, int] = {}
    counts: dict[int, int] = {}
    studies: dict[int, int] = {}
    told: dict[int, list[int]] = {}
    for line in path.read_text().splitlines():
        log = json.loads(line)
        if log["op_code"] == 4:
            studies[len(numbers)] = log["study_id"]
            numbers[len(numbers)] = counts.get(log["study_id"], 0)
            counts[log["study_id"]] = counts.get(log["study_id"], 0) + 1
        elif log["op_code"] == 6:
            told.setdefault(studies[log["trial_id"]], []).append(numbers[log["trial_id"]])
    assert told == {study: list(range(12)) for study in range(4)}


def test_adaptive_sampler_is_asked_one_at_a_time_and_fused_across_repeats() -> None:
    executor = MadeUp()
    run(InMemoryStorage(), "strategy=tpe", "budget.trials=12", "repeats=8", executor=executor)
    for batch in executor.batches:
        studies = [spec.study for spec in batch]
        assert len(set(studies)) == len(studies)
    # All repeats go side by side: nobody waits for a repeat that could share its batch.
    assert np.mean([len(batch) for batch in executor.batches]) >= 3
    assert sum(len(batch) for batch in executor.batches) == 96


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_asking_is_late(strategy: str) -> None:
    storage = InMemoryStorage()
    _, studies = open_runs(storage, f"strategy={strategy}", "budget.trials=128", "repeats=4")
    planner = Planner({p.data.fingerprint: p.data for p in plan()}, CPU, 2)
    waiting: list[int] = []

    class Counting(MadeUp):
        def submit(self, batch):
            waiting.append(sum(study.n_asked - study.n_told for study in studies))
            return super().submit(batch)

    run_studies(studies, planner, Counting(), on_told=lambda told: None)
    # A batch for each of two workers, one more, and one that is being filled.
    assert max(waiting) <= 4 * CPU_MOST


def test_asking_is_bounded_where_batches_do_not_fill() -> None:
    overrides = (
        "strategy=log_random",
        "budget.trials=1500",
        "repeats=1",
        "+space.batch_size={scale: integer, low: 2, high: 100}",
    )
    _, study = one_study(*overrides)
    planner = Planner({p.data.fingerprint: p.data for p in plan(*overrides)}, CPU, 2)
    turns = Turns([study])
    turns.fill(Pool(planner))
    most = planner.most_at_once(planner.take()[0])
    assert study.n_asked <= MOST_WAITING_BATCHES * most


def test_studies_take_turns_by_number() -> None:
    storage = InMemoryStorage()
    overrides = ("strategy=log_random", "budget.trials=10", "repeats=3")
    _, studies = open_runs(storage, *overrides)
    planner = Planner({p.data.fingerprint: p.data for p in plan(*overrides)}, CPU, 1)
    for _ in range(4):
        studies[1].tell(made_up(studies[1].ask()))
    Turns(studies).fill(Pool(planner))
    numbers = [(spec.number, spec.study) for spec in planner.take()]
    assert len(numbers) == 26
    assert [number for number, _ in numbers] == sorted(number for number, _ in numbers)


def test_half_asked_trial_is_completed() -> None:
    overrides = ("strategy=log_random", "budget.trials=4")
    _, whole = one_study(*overrides)
    expected = [whole.ask() for _ in range(4)]

    storage, study = one_study(*overrides)
    # What a kill leaves between two hyperparameters, and right after the trial was made.
    raw = optuna.load_study(study_name=study.name, storage=storage, sampler=study._sampler)
    trial = raw.ask()
    name, distribution = next(iter(study._sampler.search_space.items()))
    trial._suggest(name, distribution)
    raw.ask()
    assert [len(t.params) for t in raw.trials] == [1, 0]

    _, (study,) = open_runs(storage, "repeats=1", *overrides)
    assert [study.ask() for _ in range(4)] == expected
    assert [len(t.params) for t in record_of(storage, study.name).trials] == [2, 2, 2, 2]


def spoil_enqueued(study: optuna.Study) -> None:
    study.enqueue_trial({"learning_rate": 0.1})


def spoil_failed(study: optuna.Study) -> None:
    study.tell(study.ask(), state=TrialState.FAIL)


def spoil_pruned(study: optuna.Study) -> None:
    study.tell(study.ask(), state=TrialState.PRUNED)


def spoil_complete(study: optuna.Study) -> None:
    study.tell(study.ask(), 0.5)


def spoil_out_of_order(study: optuna.Study) -> None:
    _, second = study.ask(), study.ask()
    result = TrialResult("", 2, "finite", 0.5, 0.5, (0.5,), (1.0,), 20, 0.1)
    second.set_user_attr(ATTRIBUTE, attribute_of(result))
    study.tell(second, 0.5)


@pytest.mark.parametrize(
    "spoil",
    [spoil_enqueued, spoil_failed, spoil_pruned, spoil_complete, spoil_out_of_order],
)
def test_foreign_trials_are_refused(spoil) -> None:
    overrides = ("strategy=log_random", "budget.trials=4")
    storage, study = one_study(*overrides)
    study.tell(made_up(study.ask()))
    spoil(record_of(storage, study.name))
    before = record_of(storage, study.name).trials
    with pytest.raises(UserError, match=r"^storage: .*trial [12] .*accepted: ") as caught:
        run(storage, "repeats=1", *overrides, executor=MadeUp())
    assert "\n" not in str(caught.value)
    assert record_of(storage, study.name).trials == before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_running_trial_of_somebody_else_is_refused(strategy: str) -> None:
    overrides = (f"strategy={strategy}", "budget.trials=4")
    for low, value in ((1e-4, 0.123), (1e-9, 1e-8)):
        storage, study = one_study(*overrides)
        foreign = record_of(storage, study.name)
        foreign.enqueue_trial({"learning_rate": value})
        foreign.ask().suggest_float("learning_rate", low, 10, log=True)
        _, (study,) = open_runs(storage, "repeats=1", *overrides)
        with pytest.raises(UserError, match="trial 0 has learning_rate = "):
            study.ask()


def test_a_day_that_another_run_told_since_ends_with_an_error() -> None:
    overrides = ("strategy=panda", "budget.trials=4")
    storage, mine = one_study(*overrides)
    spec = mine.ask()
    _, (other,) = open_runs(storage, "repeats=1", *overrides)
    mine.tell(made_up(spec))
    with pytest.raises(UserError, match="trial 0 was told by another process"):
        other.ask()


def test_two_runs_of_one_study_at_once_end_with_an_error() -> None:
    overrides = ("strategy=log_random", "budget.trials=4")
    storage, mine = one_study(*overrides)
    spec = mine.ask()
    _, (other,) = open_runs(storage, "repeats=1", *overrides)
    other.tell(made_up(other.ask()))
    with pytest.raises(UserError, match="trial 0 was told by another process"):
        mine.tell(made_up(spec))
    other.ask()
    with pytest.raises(UserError, match="trial 1 was asked for by another process"):
        mine.ask()
    # What they left is a study as any other.
    expected = run(InMemoryStorage(), "repeats=1", *overrides, executor=MadeUp())
    assert_same(run(storage, "repeats=1", *overrides, executor=MadeUp()), expected)


def test_what_other_batches_found_is_told_before_an_error_ends_the_run() -> None:
    storage = InMemoryStorage()
    overrides = ("strategy=log_random", "budget.trials=64", "repeats=2")
    _, studies = open_runs(storage, *overrides)
    planner = Planner({p.data.fingerprint: p.data for p in plan(*overrides)}, CPU, 2)

    class Failing(MadeUp):
        def submit(self, batch):
            futures = self._futures = [*getattr(self, "_futures", []), Future()]
            self.batches.append(tuple(batch))
            if len(futures) == 3:  # all end at once, one of them badly
                futures[0].set_exception(OSError("no space"))
                for future, held in list(zip(futures, self.batches, strict=True))[1:]:
                    future.set_result([made_up(spec) for spec in held])
            return futures[-1]

    executor = Failing()
    with pytest.raises(OSError, match="no space"):
        run_studies(studies, planner, executor, on_told=lambda told: None)
    lost = {(spec.study, spec.number) for spec in executor.batches[0]}
    for study in studies:
        first_lost = min(number for name, number in lost if name == study.name)
        assert study.n_told == first_lost
    expected = run(InMemoryStorage(), *overrides, executor=MadeUp())
    assert_same(run(storage, *overrides, executor=MadeUp()), expected)


def test_values_are_the_users_and_stored_names_are_optunas() -> None:
    storage, study = one_study("strategy=log_random", "budget.trials=3")
    specs = [study.ask() for _ in range(3)]
    for spec, trial in zip(specs, record_of(storage, study.name).trials, strict=True):
        assert trial.params.keys() == {"learning_rate", "one_minus_momentum"}
        assert spec.optimizer.learning_rate == trial.params["learning_rate"]
        assert spec.optimizer.momentum == 1 - trial.params["one_minus_momentum"]
        assert study.values[spec.number]["momentum"] == spec.optimizer.momentum


@pytest.mark.slow
def test_ask_and_tell_cost_no_more_at_the_end(tmp_path: Path) -> None:
    _, (study,) = open_runs(
        tmp_path / "x.journal", "strategy=log_random", "budget.trials=1000", "repeats=1"
    )
    seconds = []
    for _ in range(1000):
        started = time.process_time()
        study.tell(made_up(study.ask()))
        seconds.append(time.process_time() - started)
    # Without the wait for the disk, 2 to 4 ms a trial; Optuna's search for enqueued trials grows.
    first, last = np.median(seconds[:100]), np.median(seconds[-100:])
    assert last < 1.5 * first, (first, last)


def test_trials_of_a_study_are_those_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    overrides = ("strategy=coarse_to_fine", "budget.trials=6")
    found = run(path, *overrides, executor=MadeUp())
    _, studies = open_runs(path, *overrides)
    assert_same(trials_of(studies), found)
