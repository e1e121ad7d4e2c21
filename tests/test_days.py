"""Models watched day by day, in the record: stories, whatever stops and whatever is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage

from hpsuite.checks import UserError
from hpsuite.executors import ProcessExecutor
from hpsuite.record import open_storage
from hpsuite.training import Checkpoints, Resident, train
from hpsuite.training.reproducible import reproducible
from hpsuite.training.streams import study_seed
from hpsuite.trials import DAY, JUDGED, Day
from tests.studies import CPU, assert_same, open_runs, plan, run

reproducible()  # before anything multiplies matrices

# Some diverge at first, some days are taken back.
SETUP = (
    "model=mlp_bn",
    "model.units=8",
    "space.learning_rate={scale: log, low: 1e-3, high: 1e4}",
    "budget.epochs=2",
)
PANDA = (*SETUP, "strategy=panda", "budget.trials=7")
POPULATION = (*SETUP, "strategy=population", "strategy.members=4", "budget.trials=18")
ARMS = {"panda": PANDA, "population": POPULATION}
each_arm = pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)


def days_of(storage: BaseStorage | Path) -> dict[str, list[Day | None]]:
    """The stories of a record, by study."""
    opened = open_storage(str(storage)) if isinstance(storage, Path) else storage
    names = [study.study_name for study in opened.get_all_studies()]
    return {
        name: [
            Day.of(t.user_attrs) for t in optuna.load_study(study_name=name, storage=opened).trials
        ]
        for name in names
    }


def with_states(path: Path, *arm: str, **how: object) -> dict[str, list[Day | None]]:
    """Run an arm with checkpoints beside its record; returns its stories."""
    kept = Checkpoints(path.with_name(path.name + ".checkpoints"))
    run(path, *arm, checkpoints=kept, **how)  # type: ignore[arg-type]
    assert not kept.folder.exists()
    return days_of(path)


@each_arm
def test_a_story_is_told(arm: tuple[str, ...], tmp_path: Path) -> None:
    """Each day goes on where one ended that was kept, and says why; something of all happens."""
    stories = with_states(tmp_path / "x.journal", *arm)
    _, studies = open_runs(tmp_path / "x.journal", *arm)
    seen = set()
    for study in studies:
        days = study.days
        assert days == stories[study.name]
        members = dict(plan(*arm)[0].arm.strategy.arguments)["members"]
        assert isinstance(members, int)
        for number, (day, result) in enumerate(zip(days, study.results, strict=True)):
            assert day is not None
            assert (day.day, day.member) == divmod(number, members)
            assert day.reason
            assert day.verdict
            own, values = study.values[number], {}
            if day.parent is None:
                assert not any(
                    d.kept for d in days[:number] if d is not None and d.member == day.member
                )
            else:
                parent = days[day.parent]
                assert parent is not None
                assert parent.kept
                assert parent.member != day.member or not day.copied
                values = study.values[day.parent]
                changed = {name for name in own if own[name] != values[name]}
                assert changed <= {n.removeprefix("one_minus_") for n, _ in day.nudge}
                before = study.results[day.parent].val_accuracy
                worse = result.outcome == "nonfinite" or result.val_accuracy < before
                assert day.kept == (not worse)
            seen.add(("nudged", bool(day.nudge)))
            seen.add(("kept", bool(day.kept)))
            seen.add(("copied", day.copied))
    assert {("nudged", True), ("nudged", False), ("kept", True), ("kept", False)} <= seen
    assert (("copied", True) in seen) == (arm is POPULATION)


@each_arm
def test_a_day_is_what_its_lineage_says(arm: tuple[str, ...]) -> None:
    """Each trained by itself from its start, its parents too, is what the record has of it."""
    (p,) = plan(*arm)
    storage = InMemoryStorage()
    run(storage, *arm)
    _, (study, _) = open_runs(storage, *arm)
    resident = Resident.place(p.data, CPU)
    for number in (0, len(study.results) // 2, len(study.results) - 1):
        (found,) = train([study._spec(number)], resident)
        assert found.same_outcome(study.results[number])


def test_population_of_one_is_panda() -> None:
    panda = plan(*PANDA)
    one = plan(*SETUP, "strategy=population", "strategy.members=1", "budget.trials=7")
    # The share of a population that is replaced is of no use to one.
    assert one[0].identity == panda[0].identity


def test_members_begin_as_plain_trials() -> None:
    """The first days of a population are log_random's first trials, and so is panda's first."""
    plain, population, panda = (InMemoryStorage() for _ in range(3))
    expected = run(plain, *SETUP, "strategy=log_random", "budget.trials=4")
    for storage, arm in ((population, POPULATION), (panda, PANDA)):
        found = run(storage, *arm)
        for (_, whole), (_, days) in zip(expected.values(), found.values(), strict=True):
            n = 4 if arm is POPULATION else 1
            assert all(a.same_outcome(b) for a, b in zip(days[:n], whole[:n], strict=True))


def test_a_caviar_of_k_is_k_plain_trials() -> None:
    caviar = run(InMemoryStorage(), *SETUP, "strategy=caviar", "budget.trials=5")
    (p,) = plan(*SETUP, "strategy=caviar", "budget.trials=5")
    resident = Resident.place(p.data, CPU)
    for repeat, (values, results) in enumerate(caviar.values()):
        for number, (own, result) in enumerate(zip(values, results, strict=True)):
            spec = p.arm.setup.spec(
                own,
                study="",
                number=number,
                seed=study_seed(p.arm.seed, repeat),
                dataset=p.data.fingerprint,
            )
            assert result.same_outcome(train([spec], resident)[0])


def test_days_without_a_nudge_are_one_training() -> None:
    """A panda that is never moved, day by day, against a trial of as many epochs."""
    calm = ("+strategy.share=0.25", "strategy.enough=0", "space=rate_momentum", "model.units=8")
    calm += (
        "space.learning_rate={scale: log, low: 1e-3, high: 3e-3}",
        "dataset.train_fraction=0.5",
    )
    days = run(InMemoryStorage(), *calm, "strategy=panda", "budget.trials=4", "budget.epochs=2")
    whole = run(
        InMemoryStorage(), *calm[2:], "strategy=caviar", "budget.trials=1", "budget.epochs=8"
    )
    for (_, own), (_, (one,)) in zip(days.values(), whole.values(), strict=True):
        assert sum((r.val_curve for r in own), ()) == one.val_curve
        assert own[-1].test_accuracy == one.test_accuracy


@pytest.mark.parametrize("executor", ["inline", "processes"])
@each_arm
def test_no_result_depends_on_what_was_kept(
    arm: tuple[str, ...], executor: str, tmp_path: Path
) -> None:
    """With files, without any, and with files that vanish now and then."""
    expected = run(InMemoryStorage(), *arm)
    kept = Checkpoints(tmp_path / "x.checkpoints")
    told = 0

    def lose(n: int) -> None:
        nonlocal told
        told += n
        for i, path in enumerate(sorted(kept.folder.rglob("*.pt"))):
            if (told + i) % 3 == 0:
                path.unlink(missing_ok=True)
            elif (told + i) % 3 == 1:
                path.write_bytes(path.read_bytes()[:-100])

    datasets = {p.data.fingerprint: p.data for p in plan(*arm)}
    if executor == "processes":
        with ProcessExecutor(datasets, 2, kept) as workers:
            found = run(InMemoryStorage(), *arm, checkpoints=kept, on_told=lose, executor=workers)
    else:
        found = run(InMemoryStorage(), *arm, checkpoints=kept, on_told=lose)
    assert_same(found, expected)
    assert not kept.folder.exists()


@each_arm
def test_stopped_after_any_write(
    arm: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    arm = (*arm, "repeats=1")
    whole = tmp_path / "whole.journal"
    expected = run(whole, *arm)
    stories = days_of(whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for n in range(3, len(lines), 13):
        path = tmp_path / f"{n}.journal"
        path.write_bytes(b"".join(lines[:n]))
        assert_same(run(path, *arm), expected)
        assert days_of(path) == stories


KILLED = """
import os, signal, sys
from pathlib import Path
from hpsuite.training import Checkpoints
from hpsuite.training.fused import FusedBatch
from hpsuite.training.reproducible import reproducible
from tests.studies import run

reproducible()
path, epochs, *arm = sys.argv[1:]
left = int(epochs)
train_epoch = FusedBatch.train_epoch


def dying(batch):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    train_epoch(batch)


FusedBatch.train_epoch = dying
run(Path(path), *arm, checkpoints=Checkpoints(Path(path + ".checkpoints")))
"""


@pytest.mark.slow
@each_arm
def test_killed_in_the_middle_of_a_day(arm: tuple[str, ...], tmp_path: Path) -> None:
    """Again and again, in the first epoch of a day and in the second."""
    expected = run(tmp_path / "whole.journal", *arm)
    stories = days_of(tmp_path / "whole.journal")
    path = tmp_path / "killed.journal"
    deaths = 0
    for epochs in (1, 4, 1000):
        process = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(epochs), *arm],
            cwd=Path(__file__).resolve().parents[1],
            check=False,
        )
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        deaths += 1
        assert list(path.with_name("killed.journal.checkpoints").rglob("*.pt")) or epochs == 1
    assert deaths >= 2
    assert process.returncode == 0
    assert_same(run(path, *arm), expected)
    assert days_of(path) == stories
    assert not path.with_name("killed.journal.checkpoints").exists()


def test_states_that_nobody_needs_are_removed(tmp_path: Path) -> None:
    """While a study runs there is one state for each member, and what is in training."""
    kept = Checkpoints(tmp_path / "kept")
    most = 0

    def count(_: int) -> None:
        nonlocal most
        most = max(most, len(list(kept.folder.rglob("*.pt"))))

    run(InMemoryStorage(), *POPULATION, "repeats=1", checkpoints=kept, on_told=count)
    assert 0 < most <= 4
    assert not kept.folder.exists()


def test_a_budget_that_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    with_states(path, *PANDA[:-1], "budget.trials=3")
    with_states(path, *PANDA)
    expected = run(tmp_path / "y.journal", *PANDA)
    assert_same(run(path, *PANDA), expected)
    assert days_of(path) == days_of(tmp_path / "y.journal")


def test_optuna_alone_reads_the_story(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    run(path, *PANDA)
    storage = open_storage(str(path))
    for found in storage.get_all_studies():
        for trial in storage.get_all_trials(found._study_id):
            assert set(trial.user_attrs[DAY]) >= {"day", "parent", "nudge", "reason"}
            assert set(trial.user_attrs[JUDGED]) == {"kept", "gain", "reason"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("budget.epochs=null", "budget.steps=20"), "budget.steps: found 20 beside strategy panda"),
        (
            ("optimizer.schedule=cosine",),
            "optimizer.schedule: found 'cosine'; accepted: none, step",
        ),
        (("optimizer.warmup_fraction=0.1",), "optimizer.warmup_fraction: found 0.1; accepted: 0"),
        (("strategy.nudged=[units]",), "strategy.nudged: found 'units'; accepted: names of"),
        (("strategy.nudged=[epsilon]",), "strategy.nudged: found ['epsilon']; accepted: at least"),
        (("strategy.nudged=[]",), "strategy.nudged: found []; accepted: a list of names"),
        (("strategy.members=0",), "strategy.members: found 0; accepted: "),
        (("strategy.members=9",), "strategy.members: found 9; accepted: 1 to 7, the trials"),
        (("strategy.factors=[1]",), "strategy.factors: found [1"),
        (("strategy.factors=[-1]",), "strategy.factors"),
        (
            ("strategy.enough=2",),
            "strategy.enough: found 2.0; accepted: 0 to 1, a gain of accuracy",
        ),
        (("strategy.enough=-1",), "strategy.enough: found -1; accepted: "),
        (("+strategy.share=0.7",), "strategy.share: found 0.7; accepted: "),
        (("strategy.start=x",), "strategy.start: found 'x'; accepted: "),
        (
            ("+space.epochs={scale: integer, low: 1, high: 3}",),
            "space.epochs: found it beside strategy panda",
        ),
        (
            ("+strategy.pruner={_target_: optuna.pruners.MedianPruner}", "+strategy.cohort=2"),
            "strategy.pruner: found",
        ),
    ],
)
def test_mistakes_in_one_line(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        plan(*PANDA, *overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_space_without_a_number_to_nudge() -> None:
    accepted = "accepted: a space with a number that can be nudged: learning_rate, momentum, "
    with pytest.raises(UserError, match=r"^space: found \['activation', .*" + accepted):
        plan("strategy=panda", "space=architecture", "budget.trials=7")
