"""Days: a model that is trained in blocks of epochs ends as one that is trained in one go."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from hpsuite.datasets import Data, prepare
from hpsuite.datasets.digits import digits
from hpsuite.executors import ProcessExecutor
from hpsuite.training import Checkpoints, Resident, train
from hpsuite.training.states import Held, State, check_sum
from hpsuite.trials import Block, Lineage, Numerics, OptimizerSpec, TrialResult, TrialSpec
from tests.training.cases import trial
from tests.training.test_mixed import ACTIVATIONS, KINDS

DAYS, EPOCHS = 3, 2


class Kept(Held):
    """States in memory, with a way to lose some of them."""

    def lose(self) -> None:
        self._held.clear()

    @property
    def states(self) -> dict[str, State]:
        return self._held


def day(
    whole: TrialSpec, before: Sequence[Block], optimizer: OptimizerSpec | None = None
) -> TrialSpec:
    """A day of the model that a trial trains, with a number of its own."""
    return replace(
        whole,
        number=100 + len(before),
        epochs=EPOCHS,
        optimizer=optimizer or whole.optimizer,
        lineage=Lineage(whole.number, tuple(before)),
    )


def block(spec: TrialSpec) -> Block:
    return Block(spec.optimizer, spec.epochs or 0)


def check(whole: TrialResult, days: Sequence[TrialResult]) -> None:
    """Days as one training, to the bit."""
    assert whole.outcome == "finite"
    assert sum((d.val_curve for d in days), ()) == whole.val_curve
    assert sum((d.loss_curve for d in days), ()) == whole.loss_curve
    assert days[0].initial_loss == whole.initial_loss
    assert all(b.initial_loss == a.val_loss for a, b in pairwise(days))
    last = days[-1]
    found = (last.val_accuracy, last.test_accuracy, last.val_loss)
    assert found == (whole.val_accuracy, whole.test_accuracy, whole.val_loss)
    assert sum(d.steps for d in days) == whole.steps


def check_trials(wholes: Sequence[TrialSpec], resident: Resident) -> None:
    """Trials in one go, and day by day side by side."""
    one, kept = Held(), Kept()
    expected = train([replace(s, lineage=Lineage(s.number)) for s in wholes], resident, one)
    before: list[list[Block]] = [[] for _ in wholes]
    found: list[list[TrialResult]] = [[] for _ in wholes]
    for _ in range(DAYS):
        specs = [day(s, b) for s, b in zip(wholes, before, strict=True)]
        for i, result in enumerate(train(specs, resident, kept)):
            found[i].append(result)
            before[i].append(block(specs[i]))
    for whole, plain, days, b in zip(wholes, expected, found, before, strict=True):
        check(plain, days)
        alone = train([whole], resident)[0]
        assert plain.same_outcome(alone)
        together = one.load(replace(whole, lineage=Lineage(whole.number)))
        apart = kept.load(day(whole, b[:-1]))
        assert together is not None
        assert apart is not None
        assert check_sum(together) == check_sum(apart)


OPTIMIZERS = {
    "sgd": OptimizerSpec(learning_rate=0.05, weight_decay=1e-4),
    "nesterov": OptimizerSpec(learning_rate=0.03, nesterov=True, schedule="step", decay_rate=0.5),
    "sgd_ema": OptimizerSpec("sgd_ema", 0.3, schedule="exponential", decay_rate=0.8),
    "adam": OptimizerSpec("adam", 0.003, schedule="inverse_time", decay_rate=0.5),
    "adamw": OptimizerSpec("adamw", 0.003, weight_decay=0.1, label_smoothing=0.1),
}


@pytest.mark.parametrize("trainer", ["auto", "plain"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_days_are_one_training(kind: str, trainer: str, resident_few: Resident) -> None:
    whole = trial(
        resident_few,
        3,
        model={"units": 12, "layers": 2, "dropout": 0.2, "normalization": "before"},
        optimizer=OPTIMIZERS[kind],
        epochs=DAYS * EPOCHS,
    )
    numerics = Numerics(trainer=trainer)  # type: ignore[arg-type]
    check_trials([replace(whole, numerics=numerics)], resident_few)


def test_of_mixed_trials_side_by_side(resident_few: Resident) -> None:
    """Several widths, activations and update rules in one program, filled up with zeros."""
    wholes = [
        trial(
            resident_few,
            i,
            model={
                "units": ((32, 16), (37, 5), (64, 32), (48, 48), (3, 50))[i % 5],
                "activation": ACTIVATIONS[i % 7],
                "dropout": 0.1 * (1 + i % 3),
                "normalization": "before",
            },
            optimizer=OptimizerSpec(
                kind=KINDS[i % 4],  # type: ignore[arg-type]
                learning_rate=0.003 * (1 + i % 5),
                weight_decay=1e-3 * (i % 2),
            ),
            epochs=DAYS * EPOCHS,
        )
        for i in range(10)
    ]
    check_trials(wholes, resident_few)


def test_days_of_unequal_age_share_a_program(resident_few: Resident) -> None:
    """Dropout, order and decay of each go by its own age."""
    wholes = [
        trial(
            resident_few,
            i,
            model={"units": 16, "dropout": 0.3},
            optimizer=replace(OPTIMIZERS["sgd_ema"], learning_rate=0.1 + 0.1 * i),
            epochs=DAYS * EPOCHS,
        )
        for i in range(3)
    ]
    expected = train(wholes, resident_few)
    # The first is trained for its third day beside the second's second and the third's first.
    specs = [day(s, [Block(s.optimizer, EPOCHS)] * (DAYS - 1 - i)) for i, s in enumerate(wholes)]
    found = train(specs, resident_few)  # with nothing kept: what was before is trained first
    for i, (whole, own) in enumerate(zip(expected, found, strict=True)):
        first = EPOCHS * (DAYS - 1 - i)
        assert own.val_curve == whole.val_curve[first : first + EPOCHS]
        assert own.loss_curve == whole.loss_curve[first : first + EPOCHS]


@pytest.mark.parametrize("target", ["convnet", "resnet"])
@pytest.mark.parametrize("normalization", ["none", "before"])
def test_of_images_in_channels_last_flipped_and_shifted(target: str, normalization: str) -> None:
    data: Data = prepare(
        digits(image=True),
        split_seed=0,
        validation_size=359,
        test_size=360,
        train_fraction=0.1,
        input_normalization="channel",
        flip=True,
        shift=1,
    )
    resident = Resident.place(data, torch.device("cpu"))
    whole = trial(
        resident,
        2,
        target=f"hpsuite.models.{target}",
        model={"channels": 4, "normalization": normalization},
        optimizer=OPTIMIZERS["adam"],
        epochs=DAYS * EPOCHS,
    )
    check_trials([whole], resident)


def test_a_model_that_draws_from_torchs_stream(resident_few: Resident) -> None:
    whole = trial(
        resident_few, 1, target="tests.training.test_fallback.alpha", epochs=DAYS * EPOCHS
    )
    check_trials([whole], resident_few)


@pytest.mark.parametrize("trainer", ["auto", "plain"])
def test_lost_states_are_found_again(trainer: str, resident_few: Resident) -> None:
    """Another rate, momentum and decay each day; then nothing of it is there any more."""
    settings = [
        OptimizerSpec(
            learning_rate=0.05 * 2**i, momentum=0.9 - 0.1 * i, weight_decay=1e-3 / (i + 1)
        )
        for i in range(DAYS)
    ]
    numerics = Numerics(trainer=trainer)  # type: ignore[arg-type]
    wholes = [
        replace(
            trial(resident_few, i, model={"units": 9, "normalization": "before"}, epochs=1),
            numerics=numerics,
        )
        for i in range(2)
    ]
    kept = Kept()
    for d in range(DAYS):
        before = [Block(setting, EPOCHS) for setting in settings[:d]]
        specs = [day(whole, before, settings[d]) for whole in wholes]
        expected = train(specs, resident_few, kept)
    sums = {name: check_sum(state) for name, state in kept.states.items()}
    kept.lose()
    again = train(specs, resident_few, kept)
    assert all(a.same_outcome(b) for a, b in zip(again, expected, strict=True))
    assert {name: check_sum(state) for name, state in kept.states.items()} == sums
    assert len(sums) == DAYS * len(wholes)
    assert again[0].val_curve != again[1].val_curve


def test_a_nudge_changes_what_comes(resident_few: Resident) -> None:
    whole = trial(resident_few, 0, model={"units": 9}, epochs=DAYS * EPOCHS)
    before = [Block(whole.optimizer, EPOCHS)]
    kept = Kept()
    found = [
        train([day(whole, before, replace(whole.optimizer, **nudge))], resident_few, kept)[0]
        for nudge in ({}, {"learning_rate": 0.1}, {"momentum": 0.5}, {"weight_decay": 0.1})
    ]
    assert len({result.loss_curve for result in found}) == 4
    assert len({result.initial_loss for result in found}) == 1


def test_a_day_that_diverges_leaves_no_state(resident_few: Resident) -> None:
    kept = Kept()
    wild = OptimizerSpec(learning_rate=1e30)
    specs = [day(trial(resident_few, i, epochs=4), (), wild if i else None) for i in range(2)]
    found = train(specs, resident_few, kept)
    assert [result.outcome for result in found] == ["finite", "nonfinite"]
    assert kept.load(specs[0]) is not None
    assert kept.load(specs[1]) is None


def some_days(resident: Resident, n: int = 2) -> list[TrialSpec]:
    """The second days of some models."""
    wholes = [trial(resident, i, model={"units": 9, "dropout": 0.2}) for i in range(n)]
    return [day(whole, [Block(whole.optimizer, EPOCHS)]) for whole in wholes]


def test_checkpoints_are_files_that_come_and_go(tmp_path: Path, resident_few: Resident) -> None:
    kept = Checkpoints(tmp_path / "x.checkpoints")
    specs = some_days(resident_few)
    expected = train(specs, resident_few)
    train([spec.ancestor for spec in specs], resident_few, kept)
    files = sorted(path for path in kept.folder.rglob("*") if path.is_file())
    assert len(files) == 2
    assert all(
        a.same_outcome(b) for a, b in zip(train(specs, resident_few, kept), expected, strict=True)
    )
    assert len(list(kept.folder.rglob("*.pt"))) == 4
    kept.keep("s", specs[:1])
    assert kept.load(specs[0]) is not None
    assert kept.load(specs[1]) is None
    kept.keep("another study", [])
    assert kept.load(specs[0]) is not None
    kept.remove("s")
    assert not kept.folder.exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "bit", "pickle", "schema"])
def test_a_damaged_checkpoint_is_trained_again(
    damage: str, tmp_path: Path, resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Checkpoints(tmp_path)
    specs = some_days(resident_few)
    expected = train(specs, resident_few, kept)
    path, other = (kept._path(spec.ancestor) for spec in specs)
    whole = path.read_bytes()
    content = torch.load(path, weights_only=True)
    if damage == "bit":
        content["state"]["parameters"][0][0, 0] += 1e-3
        torch.save(content, path)
    elif damage == "schema":
        torch.save({**content, "schema": 99}, path)
    elif damage == "pickle":
        torch.save({**content, "state": Path("anything")}, path)
    else:
        damaged = {"cut": whole[: len(whole) // 2], "empty": b"", "other": other.read_bytes()}
        path.write_bytes(damaged[damage])
    again = train(specs, resident_few, kept)
    assert all(a.same_outcome(b) for a, b in zip(again, expected, strict=True))
    assert "is damaged" in caplog.text
    assert kept.load(specs[0].ancestor) is not None


def test_a_folder_that_cannot_be_written_changes_nothing(
    tmp_path: Path, resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    specs = some_days(resident_few)
    found = train(specs, resident_few, Checkpoints(tmp_path / "file"))
    assert all(a.same_outcome(b) for a, b in zip(found, train(specs, resident_few), strict=True))
    assert "cannot be written" in caplog.text


def test_workers_share_a_folder(tmp_path: Path, few: Data, resident_few: Resident) -> None:
    specs = some_days(resident_few, 4)
    expected = train(specs, resident_few)
    kept = Checkpoints(tmp_path / "x")
    with ProcessExecutor({few.fingerprint: few}, 2, kept) as workers:
        parts = [[s.ancestor for s in specs[:2]], [s.ancestor for s in specs[2:]]]
        for future in [workers.submit(part) for part in parts]:
            future.result()
        assert len(list(kept.folder.rglob("*.pt"))) == 4
        found = [r for f in [workers.submit([spec]) for spec in specs] for r in f.result()]
    assert all(a.same_outcome(b) for a, b in zip(found, expected, strict=True))
