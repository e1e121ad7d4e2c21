"""Which studies a command finds, makes, continues or refuses: identity, generations, origin."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from hydra import initialize_config_dir
from optuna.storages import BaseStorage, InMemoryStorage

from hpsuite.arms import open_studies, plan_arms
from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.overrides import config_dir
from hpsuite.record import ATTRIBUTE, generations, open_storage
from hpsuite.training import planner
from hpsuite.training.streams import weight_generator
from tests.studies import (
    STRATEGIES,
    MadeUp,
    assert_same,
    made_up,
    open_runs,
    plan,
    run,
    trials_of,
)

ONE = ("strategy=log_random", "budget.trials=4")


def identity_of(*overrides: str) -> str:
    (planned,) = plan(*overrides)
    return planned.identity


# Each differs from ONE in what decides no trial.
SAME = [
    ("budget.trials=9",),
    ("repeats=7",),
    ("executor=inline",),
    ("executor=processes", "executor.workers=3"),
    ("tracking=none",),
    ("tracking.uri=sqlite:///elsewhere.db",),
    ("name=another", "title=Why not"),
    ("storage=sqlite:///x.db", "output_dir=there", "data_dir=elsewhere"),
    ("device=auto", "log_level=debug", "fresh=true"),
    # What the space searches is never used.
    ("optimizer.learning_rate=0.3", "optimizer.momentum=0.1"),
]

OTHER = [
    ("seed=1",),
    ("split_seed=1",),
    ("dataset.train_fraction=0.2",),
    ("dataset.input_normalization=none",),
    ("model=mlp_bn",),
    ("model.units=5",),
    ("model.dropout=0.1",),
    ("optimizer=sgd_ema",),
    ("optimizer.weight_decay=1e-4",),
    ("optimizer.batch_size=32",),
    ("budget.epochs=3",),
    ("budget.steps=30", "budget.epochs=null"),
    ("space=rate_only",),
    ("space.learning_rate.high=1",),
    ("numerics.dtype=float64",),
    ("numerics.tf32=true",),
    ("numerics.trainer=plain",),
    ("strategy=random",),
    ("strategy=grid",),
    ("strategy=coarse_to_fine",),
    ("strategy=tpe",),
    ("strategy=tpe", "strategy.asks_at_once=4"),
    ("strategy=tpe", "strategy.n_startup_trials=4"),
    ("strategy=tpe", "strategy.seeding=study"),
]


# What came after the first records, at its default: it decides no trial there.
SAME += [
    ("optimizer.nesterov=false", "optimizer.label_smoothing=0", "optimizer.warmup_fraction=0"),
    ("~optimizer.nesterov", "~optimizer.label_smoothing", "~optimizer.warmup_fraction"),
    ("numerics.autocast=none",),
    ("~numerics.autocast",),
]
OTHER += [
    ("optimizer.nesterov=true",),
    ("optimizer.label_smoothing=0.1",),
    ("optimizer.warmup_fraction=0.1",),
    ("numerics.autocast=bfloat16",),
]


def test_identity_is_of_what_decides_the_trials() -> None:
    one = identity_of(*ONE)
    for overrides in SAME:
        assert identity_of(*ONE, *overrides) == one, overrides
    others = [identity_of(*ONE, *overrides) for overrides in OTHER]
    assert len({one, *others}) == 1 + len(OTHER)


def test_identities_of_published_results_stay() -> None:
    """The records of those who ran the quickstart go on, whatever options have come since."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        _, arms = compose_experiment(["+experiment=quickstart"])
    path = Path(__file__).resolve().parents[1] / "results" / "quickstart" / "summary.json"
    published = [arm["identity"] for arm in json.loads(path.read_text())["arms"]]
    assert [planned.identity for planned in plan_arms(arms)] == published
    assert len(published) == 8


def test_number_of_trials_counts_where_it_shapes_the_strategy() -> None:
    for strategy, trials, same in (
        ("random", (4, 9), True),
        ("tpe", (4, 9), True),
        ("grid", (4, 9), False),
        ("grid", (4, 8), True),  # both are 2 x 2
        ("coarse_to_fine", (4, 9), False),
    ):
        first, second = (identity_of(f"strategy={strategy}", f"budget.trials={n}") for n in trials)
        assert (first == second) is same, strategy


def test_arms_and_setups_are_paired() -> None:
    """Trial n of repeat r draws the same in every arm; other trials and repeats draw otherwise."""
    axes = ("+matrix.model=[mlp, mlp_bn]", "+matrix.strategy=[grid, log_random, tpe]")
    runs, _ = open_runs(InMemoryStorage(), *axes, "budget.trials=4", "repeats=3")
    assert len(runs) == 6
    seeds = {tuple(study.ask().seed for study in run_.studies) for run_ in runs}
    (per_repeat,) = seeds
    assert len(set(per_repeat)) == 3
    draws = {
        float(torch.rand((), generator=weight_generator(seed, number)))
        for seed in per_repeat
        for number in range(4)
    }
    assert len(draws) == 12
    other, _ = open_runs(InMemoryStorage(), *ONE, "seed=1")
    assert other[0].studies[0].ask().seed not in per_repeat


def test_log_random_proposes_the_same_in_both_setups() -> None:
    runs, _ = open_runs(InMemoryStorage(), "+matrix.model=[mlp, mlp_bn]", *ONE)
    first, second = ([run_.studies[0].ask().optimizer for _ in range(4)] for run_ in runs)
    assert first == second


def test_arms_that_are_the_same_trials_are_refused() -> None:
    with pytest.raises(UserError, match=r"^matrix: .*the same trials") as caught:
        plan("strategy=random", "+matrix.budget.trials=[4, 8]")
    assert "\n" not in str(caught.value)
    assert len(plan("strategy=grid", "+matrix.budget.trials=[4, 9]")) == 2


class Never(MadeUp):
    """An executor for where nothing is left to train."""

    def submit(self, batch: Any) -> Any:
        raise AssertionError(batch)


ADDRESSES = ("x.journal", "sqlite:///{tmp}/record.db")


@pytest.mark.parametrize("address", ADDRESSES)
def test_complete_is_used_and_nothing_is_written(address: str, tmp_path: Path) -> None:
    address = address.format(tmp=tmp_path) if "://" in address else str(tmp_path / address)
    expected = run(open_storage(address), *ONE, executor=MadeUp())
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    assert_same(run(open_storage(address), *ONE, executor=Never()), expected)
    assert file.read_bytes() == before


@pytest.mark.parametrize("address", ADDRESSES)
def test_more_repeats_are_added_to_those_that_are_there(address: str, tmp_path: Path) -> None:
    address = address.format(tmp=tmp_path) if "://" in address else str(tmp_path / address)
    few = run(open_storage(address), *ONE, "repeats=2", executor=MadeUp())
    executor = MadeUp()
    more = run(open_storage(address), *ONE, "repeats=5", executor=executor)
    assert len(more) == 5
    assert_same({name: more[name] for name in few}, few)
    assert {spec.study for batch in executor.batches for spec in batch} == more.keys() - few.keys()
    assert_same(run(open_storage(address), *ONE, "repeats=2", executor=Never()), few)


@pytest.mark.parametrize("strategy", ["random", "log_random", "tpe", "qmc", "cmaes", "gp"])
def test_raised_budget_adds_what_the_larger_one_would_have_had(
    strategy: str, tmp_path: Path
) -> None:
    arm = f"strategy={strategy}"
    expected = run(tmp_path / "whole", arm, "budget.trials=12")
    run(tmp_path / "raised", arm, "budget.trials=8")
    assert_same(run(tmp_path / "raised", arm, "budget.trials=12"), expected)
    # Lowered, it uses the first ones only.
    lowered = run(tmp_path / "raised", arm, "budget.trials=5", executor=Never())
    first = {name: (values[:5], results[:5]) for name, (values, results) in expected.items()}
    assert_same(lowered, first)


def test_lowered_below_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    expected = run(tmp_path / "whole", "strategy=random", "budget.trials=12", executor=MadeUp())
    _, studies = open_runs(path, "strategy=random", "budget.trials=12")
    for study in studies:
        specs = [study.ask() for _ in range(7)]
        for spec in specs[:3]:
            study.tell(made_up(spec))
    lowered = run(path, "strategy=random", "budget.trials=5", executor=MadeUp())
    assert [len(results) for _, results in lowered.values()] == [5, 5]
    raised = run(path, "strategy=random", "budget.trials=12", executor=MadeUp())
    assert_same(raised, expected)


def renamed(trials: Any, generation: int) -> Any:
    return {name[:-1] + str(generation): found for name, found in trials.items()}


@pytest.mark.parametrize("address", ADDRESSES)
def test_fresh_starts_beside_what_is_there(address: str, tmp_path: Path) -> None:
    address = address.format(tmp=tmp_path) if "://" in address else str(tmp_path / address)
    first = run(open_storage(address), *ONE, executor=MadeUp())
    assert all(name.endswith(" g1") for name in first)

    def old() -> list[Any]:
        storage = open_storage(address)
        studies = [optuna.load_study(study_name=name, storage=storage) for name in first]
        return [(study.trials, study.user_attrs) for study in studies]

    before = old()
    executor = MadeUp()
    second = run(open_storage(address), *ONE, fresh=True, executor=executor)
    # The same seeds, so the same trials, trained anew.
    assert sum(len(batch) for batch in executor.batches) == 8
    second_results = {k: (v, [_named(r, k) for r in rs]) for k, (v, rs) in second.items()}
    assert_same(second_results, renamed(first, 2))
    # Later commands go on with the newest; the old one stays.
    assert run(open_storage(address), *ONE, executor=Never()).keys() == second.keys()
    longer = run(open_storage(address), *ONE, "budget.trials=6", executor=MadeUp())
    assert longer.keys() == second.keys()
    assert old() == before
    assert {key[1] for key in generations(open_storage(address))} == {1, 2}


def _named(result: Any, name: str) -> Any:
    return dataclasses.replace(result, study=name)


def snapshot(storage: BaseStorage) -> list[Any]:
    studies = storage.get_all_studies()
    return [(s.study_name, s.user_attrs, storage.get_all_trials(s._study_id)) for s in studies]


def set_provenance(storage: BaseStorage, name: str, **changes: object) -> None:
    """Let a study come from elsewhere, as the record has it."""
    study = optuna.load_study(study_name=name, storage=storage)
    attributes = study.user_attrs[ATTRIBUTE]
    provenance = {**attributes["provenance"], **changes}
    study.set_user_attr(ATTRIBUTE, {**attributes, "provenance": provenance})


@pytest.mark.parametrize(
    "changes", [{"torch": "2.11.0"}, {"optuna": "4.0.0"}, {"device": "cuda"}, {"results": 0}]
)
def test_unfinished_study_from_elsewhere_is_refused_and_nothing_created(
    changes: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "x.journal"
    _, studies = open_runs(path, *ONE, "repeats=3")
    for study in studies:
        study.tell(made_up(study.ask()))
    set_provenance(open_storage(str(path)), studies[2].name, **changes)
    before = path.read_bytes()
    # It is refused though other arms and repeats, which come first, would be created.
    axes = ("+matrix.strategy=[random, log_random]", "budget.trials=4")
    with pytest.raises(UserError, match="unfinished and was trained with") as caught:
        open_runs(path, *axes, "repeats=5")
    assert path.read_bytes() == before
    ((key, value),) = changes.items()
    assert f"{key} {value}, now " in str(caught.value)
    assert "fresh=true" in str(caught.value)
    assert "\n" not in str(caught.value)
    # The way out.
    fresh = run(path, *ONE, "repeats=3", fresh=True, executor=MadeUp())
    assert len(fresh) == 3


def test_running_trials_do_not_count_as_complete() -> None:
    storage = InMemoryStorage()
    _, studies = open_runs(storage, *ONE, "repeats=1")
    for _ in range(4):
        studies[0].ask()
    set_provenance(storage, studies[0].name, torch="2.11.0")
    with pytest.raises(UserError, match="unfinished"):
        open_runs(storage, *ONE, "repeats=1")


def test_complete_study_from_elsewhere_is_used(caplog: pytest.LogCaptureFixture) -> None:
    storage = InMemoryStorage()
    expected = run(storage, *ONE, executor=MadeUp())
    for name in expected:
        set_provenance(storage, name, torch="2.11.0")
    caplog.clear()
    with caplog.at_level("WARNING", "hpsuite"):
        runs, studies = open_runs(storage, *ONE)
    assert_same(trials_of(studies), expected)
    assert runs[0].table().provenance["torch"] == "2.11.0"
    (message,) = caplog.messages
    assert "torch 2.11.0, now " in message


def test_study_from_elsewhere_that_has_no_trials_is_begun_here() -> None:
    storage = InMemoryStorage()
    _, studies = open_runs(storage, *ONE)
    set_provenance(storage, studies[0].name, torch="2.11.0")
    runs, _ = open_runs(storage, *ONE)
    assert runs[0].table().provenance["torch"] == torch.__version__
    assert len(storage.get_all_studies()) == 2


def test_other_device_than_before() -> None:
    storage = InMemoryStorage()
    _, studies = open_runs(storage, *ONE)
    studies[0].tell(made_up(studies[0].ask()))
    with pytest.raises(UserError, match="device cpu, now cuda"):
        open_studies(storage, plan(*ONE), fresh=False, device=torch.device("cuda"))


def test_other_schema_is_refused_and_nothing_created(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    _, studies = open_runs(path, *ONE)
    storage = open_storage(str(path))
    study = optuna.load_study(study_name=studies[1].name, storage=storage)
    study.set_user_attr(ATTRIBUTE, {**study.user_attrs[ATTRIBUTE], "schema": 99})
    before = path.read_bytes()
    with pytest.raises(UserError, match="schema 99; accepted: 1"):
        open_runs(path, *ONE, "repeats=5")
    assert path.read_bytes() == before


def test_foreign_trial_is_refused_and_nothing_created(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    _, studies = open_runs(path, *ONE)
    study = optuna.load_study(study_name=studies[1].name, storage=open_storage(str(path)))
    study.tell(study.ask(), 0.5)
    before = path.read_bytes()
    with pytest.raises(UserError, match="trial 0 is COMPLETE"):
        open_runs(path, *ONE, "repeats=5")
    assert path.read_bytes() == before


def test_record_says_what_decided_each_study() -> None:
    storage = InMemoryStorage()
    open_runs(storage, *ONE)
    (planned,) = plan(*ONE)
    for study in storage.get_all_studies():
        attributes = study.user_attrs[ATTRIBUTE]
        assert attributes["schema"] == 1
        assert attributes["decided_by"] == planned.decided_by
        assert attributes["provenance"].keys() >= {
            *("hpsuite", "torch", "optuna", "device", "commit", "processor")
        }
        assert planned.identity in study.study_name


class Stop(Exception):
    pass


def stop_after_a_batch(told: int) -> None:
    raise Stop


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_real_sqlite_runs_and_resumes(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = (f"strategy={strategy}", "budget.trials=4")
    address = f"sqlite:///{tmp_path}/record.db"
    expected = run(tmp_path / "x.journal", *arm)
    monkeypatch.setattr(planner, "CPU_MOST", 2)
    monkeypatch.setattr(planner, "CPU_LEAST", 2)
    stops = 0
    while stops < 20:
        try:
            found = run(open_storage(address), *arm, on_told=stop_after_a_batch)
            break
        except Stop:
            stops += 1
    assert 4 <= stops <= 8
    assert_same(found, expected)
