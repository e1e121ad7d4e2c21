"""Arms on their way: planned against the data, identified, and opened in the record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import optuna
import torch
from optuna.storages import BaseStorage

from hpsuite import RESULTS_VERSION, __version__
from hpsuite.checks import UserError
from hpsuite.config import Arm
from hpsuite.datasets import Data
from hpsuite.findings import ArmTable, StudyTable
from hpsuite.parsing import build_sampler, check_against_data
from hpsuite.provenance import commit, processor
from hpsuite.record import (
    Provenance,
    create_study,
    generations,
    identity,
    newest_generation,
    read_study,
    study_name,
)
from hpsuite.study import StudyRun
from hpsuite.training.streams import study_seed


@dataclass(frozen=True)
class PlannedArm:
    """An arm with its data, its identity and its plan.

    Attributes:
        arm, data: what to train, on what.
        decided_by: all that decides its trials, as plain values.
        n_planned: trials of each study.
    """

    arm: Arm
    data: Data
    decided_by: Mapping[str, object]
    n_planned: int

    @property
    def identity(self) -> str:
        """Hash of all that decides its trials."""
        return identity(self.decided_by)

    @property
    def setup_identity(self) -> str:
        """Hash of all that decides its setup."""
        setup = self.decided_by["setup"]
        assert isinstance(setup, dict)
        return identity(setup)


def plan_arms(arms: Sequence[Arm]) -> list[PlannedArm]:
    """Load the data, and check all that needs it.

    Raises:
        UserError: on the first mistake.
    """
    loaded: dict[object, Data] = {}
    planned = []
    for arm in arms:
        config = arm.setup.dataset
        key = (config.target, config.arguments, config.split, config.split_seed)
        if key not in loaded:
            loaded[key] = config.load()
        data = loaded[key]
        check_against_data(arm.setup, data)
        sampler = build_sampler(arm, study_seed(arm.seed, 0))
        strategy = arm.strategy
        decided_by = {
            "setup": arm.setup.decided_by(data.fingerprint),
            "sampler": strategy.target,
            "arguments": dict(strategy.arguments),
            "asking": dict(strategy.asking),
            "plan": sampler.shaped_by_budget(),
            "seed": arm.seed,
        }
        planned.append(PlannedArm(arm, data, decided_by, sampler.n_planned))
    return planned


@dataclass(frozen=True)
class ArmRun:
    """An arm with its studies open."""

    planned: PlannedArm
    generation: int
    provenance: Mapping[str, object]
    studies: Sequence[StudyRun]

    def table(self) -> ArmTable:
        """Its trials."""
        arm, data = self.planned.arm, self.planned.data
        return ArmTable(
            arm=arm,
            data=data,
            identity=self.planned.identity,
            setup_identity=self.planned.setup_identity,
            generation=self.generation,
            provenance=self.provenance,
            studies=[
                StudyTable(s.name, s.repeat, study_seed(arm.seed, s.repeat), s.values, s.results)
                for s in self.studies
            ],
        )


def open_studies(
    storage: BaseStorage, planned: Sequence[PlannedArm], *, fresh: bool, device: torch.device
) -> list[ArmRun]:
    """Find each arm's newest studies in the record, and create those that are missing.

    Args:
        storage: the record.
        planned: all arms.
        fresh: whether to start a new generation of each.
        device: where trials will be trained.

    Raises:
        UserError: studies that are short of trials and were trained elsewhere; nothing is created.
    """
    now = Provenance(RESULTS_VERSION, torch.__version__, optuna.__version__, device.type)
    origin = {
        **asdict(now),
        "hpsuite": __version__,
        "commit": commit() or "unknown",
        "processor": processor(),
    }
    found = generations(storage)
    chosen: list[tuple[PlannedArm, int]] = []
    for p in planned:
        newest = newest_generation(found, p.identity)
        generation = newest + 1 if fresh else max(newest, 1)
        chosen.append((p, generation))
        for repeat, name in found.get((p.identity, generation), {}).items():
            if repeat < p.arm.repeats:
                _check_provenance(storage, name, now, p)
    runs = []
    for p, generation in chosen:
        names = found.get((p.identity, generation), {})
        for repeat in range(p.arm.repeats):
            if repeat not in names:
                name = study_name(p.arm.label, p.identity, repeat, generation)
                create_study(storage, name, {"provenance": origin, "decided_by": p.decided_by})
                names[repeat] = name
        provenance = read_study(storage, names[0])["provenance"]
        assert isinstance(provenance, dict)
        studies = [_open(storage, names[repeat], p, repeat) for repeat in range(p.arm.repeats)]
        runs.append(ArmRun(p, generation, provenance, studies))
    return runs


def _open(storage: BaseStorage, name: str, planned: PlannedArm, repeat: int) -> StudyRun:
    arm = planned.arm
    seed = study_seed(arm.seed, repeat)
    return StudyRun(
        storage,
        name,
        build_sampler(arm, seed),
        setup=arm.setup,
        dataset=planned.data.fingerprint,
        seed=seed,
        repeat=repeat,
    )


def _check_provenance(
    storage: BaseStorage, name: str, now: Provenance, planned: PlannedArm
) -> None:
    """A study that needs more trials must get them where it got those that it has."""
    attributes = read_study(storage, name)
    before = attributes.get("provenance", {})
    assert isinstance(before, dict)
    difference = now.difference(before)
    study_id = storage.get_study_id_from_name(name)
    if difference and storage.get_n_trials(study_id) < planned.n_planned:
        raise UserError(
            f"storage: study {name!r} is unfinished and was trained with {difference}; its trials "
            "would not be comparable; accepted: the same as before, another storage=, or "
            "fresh=true to train it anew beside the old one"
        )
